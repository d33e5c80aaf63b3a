//! Redis is absent, killed, frozen, full or locked: the function simply runs.

// Many functions answer with the number of their run, whatever they are called with.
#![allow(unused_variables)]

use std::future::Future;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use cache_runtime::{
    Cache, Config, OutcomeKind, Reason, Status, cache_result, invalidate, observe, put,
};
use futures::future::join_all;
use support::{Log, Node, Proxy, Server, Verdict, eventually, patient};
use tokio::time::sleep;
use tracing::Level;

const DEADLINE: Duration = Duration::from_secs(5);

#[cache_result(ttl = 60)]
async fn number(of: u32) -> u32 {
    of * 2
}

#[cache_result(ttl = 60)]
async fn text(of: u32) -> String {
    "x".repeat(of as usize)
}

/// Default settings: what a service has.
fn impatient(server: &Server) -> Cache {
    Cache::new(Config::redis(&server.url()).unwrap())
}

async fn hits(cache: &Cache, of: u32) {
    cache
        .scope(eventually("a call hits", || async move { observe(number(of)).await.1.is_hit() }))
        .await;
}

async fn hits_again(cache: &Cache, of: u32) {
    let begun = Instant::now();
    hits(cache, of).await;
    assert!(begun.elapsed() < DEADLINE, "it took {:?}", begun.elapsed());
}

async fn breaker_opens(cache: &Cache) {
    let open = || async { observe(number(1)).await.1.reason() == Some(Reason::Unavailable) };
    cache.scope(eventually("the breaker opens", open)).await;
}

#[tokio::test]
async fn a_server_that_is_absent_at_start_costs_only_the_cache() {
    let (_folder, url) = Server::absent();
    let cache = Cache::new(Config::redis(&url).unwrap());
    cache
        .scope(async {
            for of in 0..20 {
                let (value, outcome) = observe(number(of)).await;
                assert_eq!(value, of * 2);
                assert_eq!(outcome.reason(), Some(Reason::Unavailable));
            }
            assert!(invalidate(number(1)).await.unwrap_err().is_unavailable());
            assert!(put(number(1), 1).await.unwrap_err().is_unavailable());
        })
        .await;
    assert_eq!(cache.health().status, Status::Down);
    assert!(cache.health().last_error.is_some());
    let error = Cache::connect(Config::redis(&url).unwrap()).await.unwrap_err();
    assert!(error.is_unavailable(), "{error}");
}

#[tokio::test]
async fn a_server_that_comes_up_late_is_found() {
    let mut server = Server::start().await;
    server.kill();
    let cache = impatient(&server);
    assert!(cache.scope(observe(number(1))).await.1.is_bypassed());
    server.restart().await;
    hits_again(&cache, 1).await;
    assert_eq!(cache.health().status, Status::Up);
}

#[tokio::test]
async fn a_server_that_is_killed_under_load_changes_no_answer_and_is_found_again() {
    let mut server = Server::start().await;
    let cache = impatient(&server);
    let call = |of: u32| {
        let cache = cache.clone();
        tokio::spawn(async move { cache.scope(number(of)).await })
    };
    for round in 0..60 {
        let answers = join_all((0..16).map(|of| call(of % 4))).await;
        for (of, answer) in (0u32..).zip(answers) {
            assert_eq!(answer.unwrap(), of % 4 * 2);
        }
        if round == 20 {
            server.kill();
        }
    }
    server.restart().await;
    hits_again(&cache, 1).await;
}

#[tokio::test]
async fn a_wrong_password_is_an_outage_and_is_told_once_without_the_password() {
    let server = Server::start_with(&["--requirepass", "right"]).await;
    let wrong = [server.url(), format!("{}?pass=hunter2", server.url())];
    for url in wrong {
        let config = Config::redis(&url).unwrap();
        assert!(!format!("{config:?}").contains("hunter2"));
        let error = Cache::connect(config.clone()).await.unwrap_err();
        assert!(error.is_unavailable() && !error.to_string().contains("hunter2"), "{error}");
        let cache = Cache::new(config);
        let (value, outcome) = cache.scope(observe(number(3))).await;
        assert_eq!((value, outcome.reason()), (6, Some(Reason::Unavailable)));
    }
    let right = Config::redis(&format!("{}?pass=right", server.url())).unwrap();
    let cache = Cache::connect(patient(right)).await.unwrap();
    cache.scope(number(4)).await;
    assert!(cache.scope(observe(number(4))).await.1.is_hit());
}

#[tokio::test]
async fn a_frozen_server_delays_nobody_for_long_and_is_found_again() {
    let server = Server::start().await;
    let cache = impatient(&server);
    hits_again(&cache, 0).await;
    server.freeze();
    let calls = (0..64).map(|of| {
        let cache = cache.clone();
        tokio::spawn(async move {
            let begun = Instant::now();
            let (value, outcome) = cache.scope(observe(number(of))).await;
            (of, value, outcome, begun.elapsed())
        })
    });
    for call in join_all(calls).await {
        let (of, value, outcome, took) = call.unwrap();
        assert_eq!(value, of * 2);
        let reason = outcome.reason();
        let expected = [Some(Reason::Timeout), Some(Reason::Unavailable)];
        assert!(expected.contains(&reason), "{outcome:?}");
        assert!(took < DEADLINE, "{took:?}");
    }
    // The breaker is open: a call whose body is ready ends in one poll.
    breaker_opens(&cache).await;
    for of in 0..100 {
        let mut call = Box::pin(cache.scope(number(of)));
        let polled = call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert_eq!(polled, Poll::Ready(of * 2));
    }
    server.thaw();
    hits_again(&cache, 1).await;
}

#[tokio::test]
async fn an_open_breaker_sends_no_command() {
    let server = Server::start().await;
    let cache = impatient(&server);
    hits_again(&cache, 0).await;
    server.freeze();
    cache.scope(join_all((0..64).map(number))).await;
    breaker_opens(&cache).await;
    cache.scope(join_all((1000..2000).map(number))).await;
    server.thaw();
    hits_again(&cache, 1).await;
    // What was sent before the freeze may still have arrived; none of the thousand did.
    assert!(server.calls("get").await < 500);
}

#[tokio::test]
async fn a_full_server_still_serves_what_it_has() {
    let server = Server::start().await;
    let cache = server.cache().await;
    cache
        .scope(async {
            text(1000).await;
            cache.flush().await;
            let _: String = server.command(&["CONFIG", "SET", "maxmemory", "1"]).await;
            assert!(observe(text(1000)).await.1.is_hit(), "reads go on");
            let (value, outcome) = observe(text(2000)).await;
            assert_eq!(value.len(), 2000);
            assert_eq!(outcome.reason(), Some(Reason::WritesRefused), "{outcome:?}");
            invalidate(text(1000)).await.expect("removing frees memory");
            assert!(observe(text(1000)).await.1.is_bypassed());
            let _: String = server.command(&["CONFIG", "SET", "maxmemory", "0"]).await;
        })
        .await;
    let again = || async { observe(text(3000)).await.1.is_hit() };
    cache.scope(eventually("writes go on", again)).await;
}

#[tokio::test]
async fn a_script_cache_that_was_emptied_is_filled_again() {
    let server = Server::start().await;
    let cache = server.cache().await;
    cache
        .scope(async {
            number(1).await;
            let _: String = server.command(&["SCRIPT", "FLUSH"]).await;
            assert!(observe(number(2)).await.1.is_computed());
            cache.flush().await;
            assert!(observe(number(2)).await.1.is_hit());
        })
        .await;
}

#[tokio::test]
async fn a_lane_that_the_server_cuts_is_dialled_anew() {
    let server = Server::start().await;
    let cache = impatient(&server);
    hits_again(&cache, 1).await;
    for _ in 0..5 {
        let _: i64 = server.command(&["CLIENT", "KILL", "TYPE", "normal"]).await;
        hits_again(&cache, 1).await;
    }
}

#[cache_result(ttl = 60)]
async fn slower_than_its_lease(key: u32) -> u32 {
    tokio::time::sleep(Duration::from_secs(5)).await;
    key
}

#[tokio::test]
async fn a_lease_is_extended_while_its_function_runs() {
    let server = Server::start().await;
    let cache = server.cache().await;
    cache
        .scope(async {
            assert!(observe(slower_than_its_lease(1)).await.1.is_computed());
            cache.flush().await;
            assert!(observe(slower_than_its_lease(1)).await.1.is_hit());
        })
        .await;
}

#[tokio::test]
async fn an_invalidation_during_a_run_is_not_overwritten_by_it() {
    let server = Server::start().await;
    let cache = server.cache().await;
    let running = {
        let cache = cache.clone();
        tokio::spawn(async move { cache.scope(slower_than_its_lease(3)).await })
    };
    eventually("the lease is there", || async { server.entries().await.len() == 1 }).await;
    cache.scope(invalidate(slower_than_its_lease(3))).await.unwrap();
    assert_eq!(running.await.unwrap(), 3);
    cache.flush().await;
    assert!(server.entries().await.is_empty(), "the run began before the invalidation");
    let stored = cache.scope(cache_runtime::peek(slower_than_its_lease(3))).await;
    assert_eq!(stored, None);
}

static CUT: AtomicU32 = AtomicU32::new(0);

/// Loses its connections while it runs, the first time.
#[cache_result(ttl = 60, lease = "60s", wait = "60s", skip(server))]
async fn cut_off(key: u32, server: &Server) -> u32 {
    if CUT.fetch_add(1, Ordering::SeqCst) == 0 {
        let _: i64 = server.command(&["CLIENT", "KILL", "TYPE", "normal"]).await;
    }
    key
}

#[tokio::test]
async fn a_lease_under_which_nothing_can_be_stored_keeps_nobody_waiting() {
    let server = Server::start().await;
    let (cache, other) = (server.cache().await, server.cache().await);
    assert_eq!(cache.scope(cut_off(1, &server)).await, 1);
    let begun = Instant::now();
    let (here, there) =
        tokio::join!(cache.scope(cut_off(1, &server)), other.scope(cut_off(1, &server)));
    assert_eq!((here, there), (1, 1));
    assert!(begun.elapsed() < DEADLINE, "{:?}", begun.elapsed());
}

static DEMOTED: AtomicU32 = AtomicU32::new(0);

/// Its server takes no writes any more while it runs, the first time.
#[cache_result(ttl = 60, lease = "60s", wait = "60s", skip(server))]
async fn demoted(key: u32, server: &Server) -> u32 {
    if DEMOTED.fetch_add(1, Ordering::SeqCst) == 0 {
        let _: String = server.command(&["REPLICAOF", "127.0.0.1", "1"]).await;
    }
    key
}

#[tokio::test]
async fn a_lease_that_was_not_given_up_because_of_a_refusal_is_given_up_later() {
    let server = Server::start().await;
    let (cache, other) = (server.cache().await, server.cache().await);
    assert_eq!(cache.scope(demoted(1, &server)).await, 1);
    tokio::time::sleep(Duration::from_millis(300)).await;
    let _: String = server.command(&["REPLICAOF", "NO", "ONE"]).await;
    let begun = Instant::now();
    assert_eq!(other.scope(demoted(1, &server)).await, 1);
    assert!(begun.elapsed() < DEADLINE, "{:?}", begun.elapsed());
}

static FROZEN: AtomicU32 = AtomicU32::new(0);

/// Its server stops answering while it runs, the first time.
#[cache_result(ttl = 60, lease = "60s", wait = "60s", skip(server))]
async fn frozen_out(key: u32, server: &Server) -> u32 {
    if FROZEN.fetch_add(1, Ordering::SeqCst) == 0 {
        server.freeze();
    }
    key
}

#[tokio::test]
async fn a_lease_that_could_not_be_given_up_counts_for_nothing_here() {
    let server = Server::start().await;
    let cache = impatient(&server);
    hits_again(&cache, 3).await;
    cache.scope(frozen_out(1, &server)).await;
    // Until its populate has failed.
    tokio::time::sleep(Duration::from_millis(300)).await;
    server.thaw();
    let begun = Instant::now();
    let hits = || async {
        let (value, outcome) = cache.scope(observe(frozen_out(1, &server))).await;
        assert_eq!(value, 1);
        outcome.is_hit()
    };
    eventually("it is stored", hits).await;
    assert!(begun.elapsed() < 2 * DEADLINE, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_frozen_server_is_noticed_whatever_the_budget_and_the_timeout() {
    let server = Server::start().await;
    let plain = || Config::redis(&server.url()).unwrap();
    let short = Cache::new(plain().budget(Duration::from_millis(20)));
    let long = Cache::new(plain().timeout(Duration::from_secs(10)));
    for cache in [&short, &long] {
        hits(cache, 1).await;
    }
    server.freeze();
    for cache in [&short, &long] {
        breaker_opens(cache).await;
        let down = || async { cache.health().status == Status::Down };
        eventually("its health says so", down).await;
    }
}

static FULL: AtomicU32 = AtomicU32::new(0);

#[cache_result(ttl = 60)]
async fn slow_while_full(key: u32) -> u32 {
    FULL.fetch_add(1, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_millis(300)).await;
    key
}

#[tokio::test]
async fn runs_are_shared_while_writes_are_refused() {
    let server = Server::start_with(&["--maxmemory", "1"]).await;
    let cache = server.cache().await;
    // The first refusal is learnt from a call of its own.
    assert!(cache.scope(observe(number(1))).await.1.is_bypassed());
    cache.scope(join_all((0..100).map(|_| slow_while_full(1)))).await;
    assert_eq!(FULL.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_read_only_replica_is_read_and_not_dialled_for_every_write() {
    let server = Server::start().await;
    let cache = server.cache().await;
    cache
        .scope(async {
            number(1).await;
            cache.flush().await;
            // A replica without its master: it serves what it has, and takes nothing.
            let _: String = server.command(&["REPLICAOF", "127.0.0.1", "1"]).await;
            let before = connections(&server).await;
            for of in 100..400 {
                let (value, outcome) = observe(number(of)).await;
                assert_eq!(value, of * 2);
                assert!(outcome.is_bypassed(), "{outcome:?}");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            assert!(connections(&server).await < before + 30);
            let _: String = server.command(&["REPLICAOF", "NO", "ONE"]).await;
        })
        .await;
    hits_again(&cache, 1000).await;
}

async fn connections(server: &Server) -> u64 {
    let stats: String = server.command(&["INFO", "stats"]).await;
    let line = stats.lines().find_map(|line| line.strip_prefix("total_connections_received:"));
    line.and_then(|number| number.trim().parse().ok()).expect("a number")
}

#[cache_result(ttl = 60, key = "{of}")]
async fn readable(of: &str) -> usize {
    of.len()
}

#[tokio::test]
async fn an_error_of_the_server_is_told_without_the_key() {
    let server = Server::start_with(&["--rename-command", "UNLINK", ""]).await;
    let cache = server.cache().await;
    let error = cache.scope(invalidate(readable("alice"))).await.unwrap_err();
    assert!(error.is_refused() && !error.to_string().contains("alice"), "{error}");
}

#[tokio::test]
async fn an_endless_timeout_is_no_reason_to_panic() {
    let (_folder, url) = Server::absent();
    let config = Config::redis(&url).unwrap().connect_timeout(Duration::MAX).timeout(Duration::MAX);
    let config = config.budget(Duration::MAX).wait(Duration::MAX);
    assert!(Cache::connect(config.clone()).await.unwrap_err().is_unavailable());
    assert_eq!(Cache::new(config).scope(number(1)).await, 2);

    let server = Server::start().await;
    let config = server.config().connect_timeout(Duration::MAX).timeout(Duration::MAX);
    let config = config.budget(Duration::MAX).wait(Duration::MAX);
    let cache = Cache::connect(config).await.unwrap();
    for _ in 0..3 {
        // So many at a time are read together.
        let all = futures::future::join_all((0..200).map(number));
        let all = cache.scope(all).await;
        assert!(all.into_iter().eq((0..200).map(|of| of * 2)));
    }
    cache.flush().await;
    assert!(cache.scope(observe(number(199))).await.1.is_hit());
}

#[tokio::test]
async fn observing_asks_for_the_age_in_the_same_round_trip() {
    let server = Server::start().await;
    let cache = server.cache().await;
    cache
        .scope(async {
            number(1).await;
            cache.flush().await;
            let (_, outcome) = observe(number(1)).await;
            assert!(outcome.is_hit() && outcome.age.is_some());
            let (reads, ages) = (server.calls("mget").await, server.calls("pttl").await);
            number(1).await;
            assert_eq!(server.calls("mget").await, reads + 1);
            assert_eq!(server.calls("pttl").await, ages, "only who asks for it pays");
        })
        .await;
}

/// The log of this process, which all tests here share.
fn log() -> &'static Log {
    static LOG: OnceLock<Log> = OnceLock::new();
    LOG.get_or_init(Log::install)
}

/// How often the loss of a server has been told.
fn losses(server: &Server) -> usize {
    let socket = server.socket().display().to_string();
    let lines = log().lines(Level::WARN, "redis lost");
    lines.iter().filter(|line| line.contains(&socket)).count()
}

/// What a process does first, which decides which of its lanes is the first.
#[derive(Clone, Copy, Debug)]
enum First {
    Prefix,
    Tag,
    Call,
    Clear,
}

async fn is_down_and_comes_back(first: First, of: u32) {
    let mut server = Server::start().await;
    log();
    let cache = Cache::new(Config::redis(&server.url()).unwrap().lanes(8));
    match first {
        First::Prefix => cache.invalidate_prefix("number").await.unwrap(),
        First::Tag => cache.invalidate_tag("number").await.unwrap(),
        First::Call => cache.scope(invalidate(number(of + 1))).await.unwrap(),
        First::Clear => drop(cache.clear().await.unwrap()),
    }
    for _ in 0..2 {
        cache.scope(number(of)).await;
    }
    server.kill();
    let begun = Instant::now();
    while cache.health().status != Status::Down {
        assert_eq!(cache.scope(number(of)).await, of * 2);
        sleep(Duration::from_millis(10)).await;
        assert!(begun.elapsed() < DEADLINE, "{first:?}, {of}: {:?}", cache.health());
    }
    for _ in 0..50 {
        let (_, outcome) = cache.scope(observe(number(of))).await;
        assert_eq!(outcome.reason(), Some(Reason::Unavailable));
        assert_eq!(cache.health().status, Status::Down);
        sleep(Duration::from_millis(10)).await;
    }
    assert!(cache.health().last_error.is_some());
    assert_eq!((losses(&server), cache.health().lanes), (1, 0), "{first:?}, {of}");
    server.restart().await;
    hits_again(&cache, of).await;
    assert_eq!(cache.health().status, Status::Up);
    assert_eq!(losses(&server), 1, "{first:?}, {of}");
}

#[tokio::test]
async fn a_dead_server_is_down_whichever_lane_was_the_first() {
    for first in [First::Prefix, First::Tag, First::Call, First::Clear] {
        join_all((1..4).map(|of| is_down_and_comes_back(first, of))).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_server_is_down_also_where_callers_drive_the_lanes() {
    for first in [First::Prefix, First::Tag, First::Call, First::Clear] {
        join_all((1..4).map(|of| is_down_and_comes_back(first, of))).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_server_is_noticed_while_nobody_calls() {
    let mut server = Server::start().await;
    let cache = impatient(&server);
    hits_again(&cache, 1).await;
    server.kill();
    let down = || async { cache.health().status == Status::Down };
    eventually("its health says so", down).await;
    server.restart().await;
    eventually("and that it is back", || async { cache.health().status == Status::Up }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_vanishes_and_leaves_its_connections_open_is_down() {
    let server = Server::start().await;
    let proxy = Proxy::start(server.socket().display().to_string(), |_| Verdict::Pass).await;
    let cache = Cache::new(Config::redis(&proxy.url()).unwrap().lanes(4));
    for of in 0..20 {
        hits_again(&cache, of).await;
    }
    proxy.forget();
    proxy.lead_to("/nowhere");
    // Those of one key use one lane; the others idle.
    let down = || async {
        let (_, outcome) = cache.scope(observe(number(1))).await;
        assert!(outcome.is_bypassed(), "{outcome:?}");
        cache.health().status == Status::Down
    };
    let begun = Instant::now();
    eventually("its health says so", down).await;
    assert!(begun.elapsed() < DEADLINE, "it took {:?}", begun.elapsed());
    proxy.lead_to(server.socket().display().to_string());
    hits_again(&cache, 1).await;
    assert_eq!(cache.health().status, Status::Up);
}

/// Calls a function so often, over so many keys; how many calls hit.
async fn hits_of(cache: &Cache, keys: u32, calls: u32) -> u32 {
    let mut hits = 0;
    for call in 0..calls {
        let (_, outcome) = cache.scope(observe(number(call % keys))).await;
        hits += u32::from(outcome.is_hit());
        sleep(Duration::from_millis(5)).await;
    }
    hits
}

#[tokio::test]
async fn calls_are_served_by_the_connections_that_a_server_allows() {
    let server = Server::start().await;
    let cache = Cache::new(patient(Config::redis(&server.url()).unwrap().lanes(8)));
    // One lane is up, and there is room for no other.
    cache.invalidate_prefix("number").await.unwrap();
    let mut client = server.client().await;
    let mut set = redis::cmd("CONFIG");
    set.arg("SET").arg("maxclients").arg("2");
    set.query_async::<()>(&mut client).await.unwrap();
    hits_of(&cache, 20, 40).await;
    cache.flush().await;
    assert_eq!(hits_of(&cache, 20, 40).await, 40);
    let health = cache.health();
    assert_eq!((health.status, health.lanes), (Status::Up, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_die_at_the_first_command_are_dialled_less_and_less() {
    let server = Server::start().await;
    let cut = |words: &[String]| if words[0] == "MGET" { Verdict::HangUp } else { Verdict::Pass };
    let proxy = Proxy::start(server.socket().display().to_string(), cut).await;
    let cache = Cache::new(Config::redis(&proxy.url()).unwrap());
    hits_of(&cache, 20, 200).await;
    let (dials, begun) = (proxy.dials(), Instant::now());
    while begun.elapsed() < Duration::from_secs(4) {
        hits_of(&cache, 20, 10).await;
        assert_eq!(cache.health().status, Status::Down, "after {:?}", begun.elapsed());
    }
    let dials = proxy.dials() - dials;
    assert!((2..=20).contains(&dials), "{dials} dials in 4 s, of two lanes");
    assert!(cache.health().last_error.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_was_forgotten_on_its_way_is_replaced_before_a_call_pays() {
    let server = Server::start().await;
    let proxy = Proxy::start(server.socket().display().to_string(), |_| Verdict::Pass).await;
    let cache = Cache::new(Config::redis(&proxy.url()).unwrap());
    for of in 0..20 {
        hits_again(&cache, of).await;
    }
    let dials = proxy.dials();
    proxy.forget();
    eventually("both lanes are replaced", || async {
        proxy.dials() >= dials + 2 && cache.health().lanes == 2
    })
    .await;
    assert_eq!(hits_of(&cache, 20, 20).await, 20);
}

#[cache_result(ttl = 60, prefix = "held", local)]
async fn held(key: u32) -> u64 {
    support::run() + u64::from(key)
}

/// How often a line about a server that does not announce changes has been told, with a reason.
fn deaf(why: &str) -> usize {
    let lines = log().lines(Level::WARN, "does not announce changes");
    lines.iter().filter(|line| line.contains(why)).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_without_hello_is_no_loss_and_its_reason_is_told() {
    log();
    let server = Server::start().await;
    let rule = |words: &[String]| match &words[0][..] {
        "HELLO" => Verdict::Refuse("ERR no such greeting here"),
        // The lane that listens has failed before any other is up.
        "PING" => {
            std::thread::sleep(Duration::from_millis(200));
            Verdict::Pass
        }
        _ => Verdict::Pass,
    };
    let proxy = Proxy::start(server.socket().display().to_string(), rule).await;
    let cache = Cache::new(Config::redis(&proxy.url()).unwrap().budget(DEADLINE).timeout(DEADLINE));
    let up = || async {
        cache.scope(held(1)).await;
        cache.health().status == Status::Up
    };
    eventually("it is up", up).await;
    let address = proxy.url().trim_start_matches("redis://").to_owned();
    let lost = log().lines(Level::WARN, "redis lost");
    assert!(!lost.iter().any(|line| line.contains(&address)), "{lost:?}");
    let told = || async { deaf("no such greeting here") == 1 };
    eventually("it is told that nothing is announced", told).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_short_outage_leaves_the_lane_that_listens_able_to_hear() {
    log();
    let server = Server::start().await;
    let proxy = Proxy::start(server.socket().display().to_string(), |_| Verdict::Pass).await;
    let cache = Cache::connect(Config::redis(&proxy.url()).unwrap()).await.unwrap();
    let copied = || async { cache.scope(observe(held(2))).await.1.kind == OutcomeKind::LocalHit };
    eventually("a copy is served", copied).await;
    proxy.lead_to("/nowhere/at/all");
    proxy.forget();
    sleep(Duration::from_secs(3)).await;
    proxy.lead_to(server.socket().display().to_string());
    eventually("a copy is served again", copied).await;
    assert_eq!(deaf("nowhere"), 0);
}

/// A server behind an address is demoted and keeps its clients, and the address leads to another.
/// What that one is told is seen, also by a process that only reads.
async fn demoted_behind_an_address(linked: bool, acl: Option<&str>) {
    let (old, new) = (Node::alone().await, Node::alone().await);
    if let Some(rule) = acl {
        old.command::<()>(&["ACL", "SETUSER", "default", rule]).await;
    }
    let port = old.port().to_string();
    new.command::<()>(&["REPLICAOF", "127.0.0.1", &port]).await;
    let proxy = Proxy::start(old.address(), |_| Verdict::Pass).await;
    let reader = Cache::new(patient(Config::redis(&proxy.url()).unwrap()));
    let local = || async { observe(held(1)).await.1.is_local_hit() };
    reader.scope(eventually("a copy is made", local)).await;
    let before = reader.scope(held(1)).await;
    hits_again(&reader, 7).await;
    let key = reader.scope(support::key_of(held(1))).await;
    let replicated = || async { new.command::<bool>(&["EXISTS", &key]).await };
    eventually("it is replicated", replicated).await;

    new.command::<()>(&["REPLICAOF", "NO", "ONE"]).await;
    let port = if linked { new.port().to_string() } else { "1".to_owned() };
    old.command::<()>(&["REPLICAOF", "127.0.0.1", &port]).await;
    if acl.is_none() {
        // The address leads to it for a while, and nothing is read there.
        let down = || async { reader.health().status == Status::Down };
        eventually("it is left", down).await;
        assert!(reader.health().last_error.unwrap().contains("replica"));
    }
    proxy.lead_to(new.address());
    if acl.is_some() {
        // A write of its own finds it out.
        let written = || async { observe(number(8)).await.1.is_hit() };
        reader.scope(eventually("writes go on", written)).await;
    }
    let other =
        Cache::connect(patient(Config::redis(&format!("redis://{}", new.address())).unwrap()));
    other.await.unwrap().scope(invalidate(held(1))).await.unwrap();
    let seen = || async { held(1).await != before };
    reader.scope(eventually("the invalidation is seen", seen)).await;
    eventually("no connection is left to it", || async {
        let clients: String = old.command(&["CLIENT", "LIST", "TYPE", "normal"]).await;
        clients.lines().count() == 1
    })
    .await;
    eventually("copies are made again", || {
        let reader = reader.clone();
        async move { reader.scope(observe(held(1))).await.1.is_local_hit() }
    })
    .await;
    assert_eq!(reader.health().status, Status::Up);
}

#[tokio::test]
async fn a_demoted_server_that_keeps_its_clients_is_left_without_a_write() {
    demoted_behind_an_address(true, None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_demoted_server_that_is_cut_off_is_left_without_a_write() {
    demoted_behind_an_address(false, None).await;
}

#[tokio::test]
async fn a_demoted_server_that_does_not_tell_its_role_is_left_by_all_lanes_at_a_refused_write() {
    demoted_behind_an_address(false, Some("-role")).await;
}
