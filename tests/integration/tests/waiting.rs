//! Waiting for a value that another process computes. Two caches have nothing in common but the
//! server, as two processes have.

// Many functions answer with the number of their run, whatever they are called with.
#![allow(unused_variables)]

use std::collections::BTreeMap;
use std::sync::{LazyLock, Mutex};
use std::time::{Duration, Instant};

use cache_runtime::{
    Cache, Config, OutcomeKind, Reason, Status, StoredKind, Verdict, cache_result, explain, observe,
};
use futures::future::join_all;
use support::{
    Log, Runs, Server, both_stores, computed, eventually, fresh, hit, key_of, landed, patient,
};
use tokio::time::{sleep, timeout};
use tracing::Level;

const LONG: Duration = Duration::from_secs(20);

static LOG: LazyLock<Log> = LazyLock::new(Log::install);
static RUNS: Runs = Runs::new();

#[cache_result(ttl = 60)]
async fn slow(key: u32) -> u32 {
    let run = RUNS.run(key);
    sleep(Duration::from_millis(700)).await;
    run
}

type Call<T> = tokio::task::JoinHandle<T>;

fn call<F>(cache: &Cache, call: F) -> Call<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let cache = cache.clone();
    tokio::spawn(async move { cache.scope(call).await })
}

/// A call that runs in a cache.
async fn owner(cache: &Cache, key: u32) -> Call<u32> {
    let owner = call(cache, slow(key));
    eventually("it runs", || async { RUNS.of(key) > 0 }).await;
    owner
}

async fn two(server: &Server) -> [Cache; 2] {
    [server.cache().await, server.cache().await]
}

/// The first time that a cache waits, it has the lane dialled that listens.
async fn listens(here: &Cache, there: &Cache) {
    let key = fresh();
    let owner = owner(there, key).await;
    here.scope(slow(key)).await;
    owner.await.unwrap();
}

#[tokio::test]
async fn another_process_is_waited_for_and_its_value_served() {
    let server = Server::start().await;
    let [here, there] = two(&server).await;
    // The lane that listens is dialled by the first who waits; the second listens.
    for _ in 0..2 {
        let key = fresh();
        let owner = owner(&there, key).await;
        let verdict = here.scope(explain(slow(key))).await.unwrap().verdict;
        assert_eq!(verdict, Verdict::Wait);
        let waiting = (0..100).map(|_| here.scope(observe(slow(key))));
        for (value, outcome) in join_all(waiting).await {
            assert_eq!((value, outcome.kind), (1, OutcomeKind::Waited), "{outcome:?}");
        }
        assert_eq!(owner.await.unwrap(), 1);
        assert_eq!(RUNS.of(key), 1);
    }
    let stats = here.stats();
    assert_eq!(stats.prefixes.values().map(|prefix| prefix.waited).sum::<u64>(), 200);
}

#[cache_result(ttl = 60, lease = "30s")]
async fn never_extended(key: u32) -> u32 {
    let run = RUNS.run(key);
    sleep(Duration::from_millis(1500)).await;
    run
}

#[tokio::test]
async fn while_it_listens_a_process_that_waits_asks_twice() {
    let server = Server::start().await;
    let [here, there] = two(&server).await;
    listens(&here, &there).await;
    let key = fresh();
    let owner = call(&there, never_extended(key));
    eventually("it runs", || async { RUNS.of(key) > 0 }).await;
    let before = (server.calls("mget").await, server.calls("pttl").await);
    let waiting = (0..50).map(|_| here.scope(never_extended(key)));
    assert_eq!(join_all(waiting).await, [1; 50]);
    owner.await.unwrap();
    landed(&there).await;
    // Each before it waits and after, or several together; all who wait, when they begin and when it
    // changes.
    let reads = server.calls("mget").await - before.0;
    assert!((1 + 1 + 2..=50 + 50 + 2).contains(&reads), "{reads}");
    // One more for the token of the populated entry.
    assert_eq!(server.calls("pttl").await - before.1, 2 + 1);
}

#[tokio::test]
async fn where_nothing_is_announced_it_is_asked_again_and_again() {
    let server = Server::start().await;
    let resp2 = format!("{}?protocol=2", server.url());
    let deaf = Cache::connect(patient(Config::redis(&resp2).unwrap())).await.unwrap();
    let there = server.cache().await;
    let key = fresh();
    let owner = owner(&there, key).await;
    let waiting = (0..50).map(|_| deaf.scope(observe(slow(key))));
    for (value, outcome) in join_all(waiting).await {
        assert_eq!((value, outcome.kind), (1, OutcomeKind::Waited));
    }
    owner.await.unwrap();

    // A server that refuses to announce: the same, after a warning.
    server.command::<()>(&["ACL", "SETUSER", "default", "-client|tracking"]).await;
    let refused = server.cache().await;
    let key = fresh();
    let owner = self::owner(&there, key).await;
    let (value, outcome) = refused.scope(observe(slow(key))).await;
    assert_eq!((value, outcome.kind), (1, OutcomeKind::Waited));
    owner.await.unwrap();
}

#[cache_result(ttl = 60, wait = "1s")]
async fn for_a_second(key: u32, seconds: u64) -> u64 {
    sleep(Duration::from_secs(seconds)).await;
    seconds
}

#[cache_result(ttl = 60, wait = 0)]
async fn for_nobody(key: u32) -> u32 {
    let run = RUNS.run(key);
    sleep(Duration::from_millis(300)).await;
    run
}

#[tokio::test]
async fn after_wait_a_call_runs_plainly_and_stores_nothing() {
    let server = Server::start().await;
    let [here, there] = two(&server).await;
    let owner = call(&there, for_a_second(1, 3));
    eventually("it has its lease", || async { !server.entries().await.is_empty() }).await;
    let begun = Instant::now();
    let (_, outcome) = here.scope(observe(for_a_second(1, 3))).await;
    assert_eq!(outcome.reason(), Some(Reason::WaitOver));
    assert!(begun.elapsed() >= Duration::from_secs(1));
    owner.await.unwrap();
    assert_eq!(here.stats().prefixes.values().map(|prefix| prefix.populated).sum::<u64>(), 0);

    let key = fresh();
    let calls = [&there, &here, &here].map(|cache| cache.scope(observe(for_nobody(key))));
    let outcomes = join_all(calls).await;
    assert_eq!(RUNS.of(key), 3, "nobody waits for anybody");
    let computed = outcomes.iter().filter(|(_, outcome)| outcome.is_computed()).count();
    assert_eq!(computed, 1, "{outcomes:?}");
}

static FAILING: Runs = Runs::new();

#[cache_result(ttl = 60)]
async fn fails_once(key: u32) -> Result<u32, String> {
    let run = FAILING.run(key);
    sleep(Duration::from_millis(300)).await;
    if run == 1 { Err("the first run fails".to_owned()) } else { Ok(run) }
}

#[tokio::test]
async fn when_an_owner_gives_up_one_of_those_who_wait_takes_over() {
    let server = Server::start().await;
    let [here, there] = two(&server).await;
    let key = fresh();
    let owner = call(&there, fails_once(key));
    eventually("it runs", || async { FAILING.of(key) > 0 }).await;
    let waiting = (0..20).map(|_| here.scope(observe(fails_once(key))));
    let mut kinds: BTreeMap<String, u32> = BTreeMap::new();
    for (value, outcome) in join_all(waiting).await {
        assert_eq!(value, Ok(2));
        *kinds.entry(outcome.to_string()).or_default() += 1;
    }
    assert!(owner.await.unwrap().is_err());
    assert_eq!(FAILING.of(key), 2, "{kinds:?}");
    assert_eq!(kinds["computed"], 1, "{kinds:?}");

    landed(&here).await;
    assert_eq!(there.scope(async { hit!(fails_once(key)) }).await, Ok(2));

    // The same where it is dropped.
    let key = fresh();
    let owner = self::owner(&there, key).await;
    let waiting = call(&here, observe(slow(key)));
    sleep(Duration::from_millis(100)).await;
    owner.abort();
    let (value, outcome) = timeout(LONG, waiting).await.unwrap().unwrap();
    assert_eq!((value, outcome.kind), (2, OutcomeKind::Computed));
}

#[tokio::test]
async fn after_a_run_that_was_not_stored_all_run_at_once_and_one_of_them_stores() {
    let server = Server::start().await;
    let [owner, here, there] = [server.cache().await, server.cache().await, server.cache().await];
    let key = fresh();
    assert!(owner.scope(fails_once(key)).await.is_err());
    landed(&owner).await;
    let explanation = owner.scope(explain(fails_once(key))).await.unwrap();
    assert_eq!(explanation.stored.unwrap().kind, StoredKind::Unstored);
    assert_eq!(explanation.verdict, Verdict::Compute);
    let calls = [&owner, &here, &there].map(|cache| cache.scope(observe(fails_once(key))));
    let values = join_all(calls).await.into_iter().map(|(value, outcome)| {
        assert!(outcome.is_computed(), "{outcome:?}");
        value.unwrap()
    });
    let mut values: Vec<_> = values.collect();
    values.sort_unstable();
    assert_eq!(values, [2, 3, 4], "each of them runs");
    for cache in [&owner, &here, &there] {
        landed(cache).await;
    }
    let stored = here.scope(async { hit!(fails_once(key)) }).await;
    assert!(values.contains(&stored.clone().unwrap()));
    assert_eq!(there.scope(async { hit!(fails_once(key)) }).await, stored);
}

#[tokio::test]
async fn what_an_invalidation_overtakes_after_a_run_that_was_not_stored_is_not_stored_either() {
    for prefix in [false, true] {
        let server = Server::start().await;
        let [here, there] = two(&server).await;
        let key = fresh();
        assert!(here.scope(fails_once(key)).await.is_err());
        landed(&here).await;
        let overtaken = call(&here, fails_once(key));
        eventually("it runs", || async { FAILING.of(key) == 2 }).await;
        if prefix {
            let path = explain(fails_once(key)).await.unwrap().prefix;
            there.invalidate_prefix(&path).await.unwrap();
        } else {
            there.scope(cache_runtime::invalidate(fails_once(key))).await.unwrap();
        }
        // Nor is it joined.
        assert_eq!(here.scope(fails_once(key)).await, Ok(3));
        assert_eq!(overtaken.await.unwrap(), Ok(2));
        landed(&here).await;
        assert_eq!(there.scope(async { hit!(fails_once(key)) }).await, Ok(3));
    }
}

#[tokio::test]
async fn who_waits_for_a_run_that_panics_runs_at_once() {
    #[cache_result(ttl = 60)]
    async fn panics(key: u32) -> u32 {
        RUNS.run(key);
        sleep(Duration::from_secs(1)).await;
        panic!("as asked");
    }
    let server = Server::start().await;
    let mut caches = Vec::new();
    for _ in 0..6 {
        caches.push(server.cache().await);
    }
    let key = fresh();
    let begun = Instant::now();
    let calls: Vec<_> = caches.iter().map(|cache| call(cache, panics(key))).collect();
    for call in calls {
        assert!(timeout(LONG, call).await.expect("nobody hangs").unwrap_err().is_panic());
    }
    assert!(begun.elapsed() < Duration::from_secs(4), "they queue: {:?}", begun.elapsed());
    assert_eq!(RUNS.of(key), 6);
}

#[tokio::test]
async fn an_invalidation_wakes_those_who_wait_for_what_it_has_overtaken() {
    let server = Server::start().await;
    let [here, there] = two(&server).await;
    for prefix in [false, true] {
        let key = fresh();
        let owner = owner(&there, key).await;
        let waiting = call(&here, slow(key));
        sleep(Duration::from_millis(100)).await;
        if prefix {
            let path = explain(slow(key)).await.unwrap().prefix;
            there.invalidate_prefix(&path).await.unwrap();
        } else {
            there.scope(cache_runtime::invalidate(slow(key))).await.unwrap();
        }
        assert_eq!(timeout(LONG, waiting).await.unwrap().unwrap(), 2, "a run of its own");
        assert_eq!(owner.await.unwrap(), 1);
        landed(&here).await;
        assert_eq!(here.scope(async { hit!(slow(key)) }).await, 2);
    }
}

#[tokio::test]
async fn those_who_wait_outlast_the_loss_of_their_connections() {
    let server = Server::start().await;
    let [here, there] = two(&server).await;
    for _ in 0..3 {
        let key = fresh();
        let owner = owner(&there, key).await;
        let waiting = (0..10).map(|_| call(&here, observe(slow(key))));
        let waiting: Vec<_> = waiting.collect();
        sleep(Duration::from_millis(200)).await;
        let _: i64 = server.command(&["CLIENT", "KILL", "TYPE", "normal"]).await;
        for waiting in waiting {
            let (_, outcome) = timeout(LONG, waiting).await.unwrap().unwrap();
            // Without a store they share a run of their own.
            assert!(
                outcome.kind == OutcomeKind::Waited
                    || outcome.is_computed()
                    || outcome.is_bypassed()
            );
        }
        owner.await.unwrap();
        eventually("both are connected", || async {
            [&here, &there].iter().all(|cache| cache.health().status == Status::Up)
        })
        .await;
    }
}

#[tokio::test]
async fn those_who_wait_are_woken_by_an_outage() {
    let mut server = Server::start().await;
    let config = Config::redis(&server.url()).unwrap().wait(Duration::from_secs(60));
    let (here, there) = (Cache::new(config), server.cache().await);
    let owner = call(&there, for_ever());
    eventually("it has its lease", || async { !server.entries().await.is_empty() }).await;
    let waiting: Vec<_> = (0..20).map(|_| call(&here, observe(for_ever()))).collect();
    sleep(Duration::from_millis(300)).await;
    server.kill();
    for waiting in waiting {
        let (_, outcome) = timeout(LONG, waiting).await.expect("nobody hangs").unwrap();
        assert!(outcome.is_bypassed(), "{outcome:?}");
    }
    assert_eq!(BRIEF.lock().unwrap().len(), 2, "one run a process");
    owner.abort();
}

static BRIEF: Mutex<Vec<()>> = Mutex::new(Vec::new());

#[cache_result(ttl = 60)]
async fn for_ever() -> u32 {
    let first = {
        let mut runs = BRIEF.lock().unwrap();
        runs.push(());
        runs.len() == 1
    };
    sleep(Duration::from_millis(if first { 60_000 } else { 300 })).await;
    1
}

#[tokio::test]
async fn the_end_of_a_lease_is_noticed_though_redis_does_not_announce_it() {
    let server = Server::start_without_active_expiry().await;
    let [here, there] = two(&server).await;
    listens(&here, &there).await;
    // The lease of an owner that is gone: nobody extends it, gives it up or populates.
    let key = fresh();
    let owner = owner(&there, key).await;
    let name = here.scope(key_of(slow(key))).await;
    let lease = server.entry(&name).await;
    owner.abort();
    landed(&there).await;
    let mut client = server.client().await;
    let mut set = redis::cmd("SET");
    set.arg(&name).arg(&lease).arg("PX").arg(1500);
    set.query_async::<()>(&mut client).await.unwrap();
    let begun = Instant::now();
    let waiting = timeout(LONG, here.scope(observe(slow(key)))).await;
    let (value, outcome) = waiting.expect("its end is noticed");
    assert_eq!((value, outcome.kind), (2, OutcomeKind::Computed));
    assert!(begun.elapsed() >= Duration::from_secs(1), "{:?}", begun.elapsed());
}

/// Ends the connections that Redis tells of changes, and says how many there were.
async fn kill_listeners(server: &Server) -> usize {
    let clients: String = server.command(&["CLIENT", "LIST"]).await;
    let field = |client: &str, name: &str| {
        let mut fields = client.split(' ');
        fields.find_map(|field| field.strip_prefix(name).map(str::to_owned)).unwrap()
    };
    let listening = clients.lines().filter(|client| field(client, "flags=").contains('t'));
    let listening: Vec<_> = listening.map(|client| field(client, "id=")).collect();
    for id in &listening {
        server.command::<i64>(&["CLIENT", "KILL", "ID", id]).await;
    }
    listening.len()
}

#[tokio::test]
async fn what_happens_while_nothing_can_be_heard_is_not_missed() {
    let server = Server::start().await;
    let [here, there] = two(&server).await;
    listens(&here, &there).await;
    let key = fresh();
    let owner = call(&there, never_extended(key));
    eventually("it runs", || async { RUNS.of(key) > 0 }).await;
    let waiting = call(&here, observe(never_extended(key)));
    sleep(Duration::from_millis(300)).await;
    assert_eq!(kill_listeners(&server).await, 1);
    // The lease lasts for half a minute more; what is stored before is announced to nobody.
    let (value, outcome) = timeout(LONG, waiting).await.expect("it is noticed").unwrap();
    assert_eq!((value, outcome.kind), (1, OutcomeKind::Waited));
    owner.await.unwrap();
}

#[tokio::test]
async fn those_who_wait_do_not_wait_for_a_server_that_hangs() {
    let server = Server::start().await;
    let config = Config::redis(&server.url()).unwrap().wait(Duration::from_secs(60));
    let (here, there) = (Cache::new(config), server.cache().await);
    listens(&here, &there).await;
    let key = fresh();
    let owner = call(&there, never_extended(key));
    eventually("it runs", || async { RUNS.of(key) > 0 }).await;
    let waiting: Vec<_> = (0..20).map(|_| call(&here, observe(never_extended(key)))).collect();
    sleep(Duration::from_millis(300)).await;
    // Nobody else asks: that it hangs is found out by the lane that listens.
    server.freeze();
    for waiting in waiting {
        let (_, outcome) = timeout(LONG, waiting).await.expect("nobody hangs").unwrap();
        assert!(outcome.is_bypassed(), "{outcome:?}");
    }
    assert_eq!(RUNS.of(key), 2, "one run a process");
    owner.abort();
    server.thaw();
}

#[tokio::test]
async fn a_refresh_without_a_store_shares_no_run_that_began_before() {
    let mut server = Server::start().await;
    let cache = server.cache().await;
    let key = fresh();
    cache.scope(slow(fresh())).await;
    server.kill();
    let running = owner(&cache, key).await;
    assert_eq!(cache.scope(cache_runtime::refresh(slow(key))).await, 2);
    assert_eq!(running.await.unwrap(), 1);
}

#[tokio::test]
async fn those_who_wait_survive_a_flood_of_commands_that_are_not_answered() {
    let server = Server::start().await;
    let patience = Duration::from_secs(3);
    let config = Config::redis(&server.url()).unwrap().timeout(patience).budget(patience);
    let (here, there) = (Cache::connect(config).await.unwrap(), server.cache().await);
    listens(&here, &there).await;
    let key = fresh();
    let owner = owner(&there, key).await;
    let waiting = call(&here, slow(key));
    sleep(Duration::from_millis(100)).await;
    server.freeze();
    // More than may be in flight; the end of the lease comes while they are.
    let flood: Vec<_> = (0..4500).map(|_| call(&here, quick(fresh()))).collect();
    sleep(Duration::from_millis(2300)).await;
    server.thaw();
    for call in flood {
        timeout(LONG, call).await.expect("the thread that drives everything goes on").unwrap();
    }
    timeout(LONG, waiting).await.expect("nobody hangs").unwrap();
    owner.await.unwrap();
}

#[cache_result(ttl = 60)]
async fn quick(key: u32) -> u32 {
    key
}

#[tokio::test]
async fn a_refresh_waits_for_the_run_of_another_then_runs() {
    let server = Server::start().await;
    let [here, there] = two(&server).await;
    let key = fresh();
    let owner = owner(&there, key).await;
    assert_eq!(here.scope(cache_runtime::refresh(slow(key))).await, 2);
    assert_eq!(owner.await.unwrap(), 1);
    landed(&here).await;
    assert_eq!(there.scope(async { hit!(slow(key)) }).await, 2);
    // One of this process is no better: it began before the refresh was asked for.
    let key = fresh();
    let running = self::owner(&here, key).await;
    assert_eq!(here.scope(cache_runtime::refresh(slow(key))).await, 2);
    running.await.unwrap();
    landed(&here).await;
    assert_eq!(here.scope(async { hit!(slow(key)) }).await, 2);
}

#[tokio::test]
async fn a_lease_lasts_as_long_as_its_function_and_no_longer() {
    #[cache_result(ttl = 60, lease = "300ms")]
    async fn longer_than_its_lease(key: u32) -> u32 {
        let run = RUNS.run(key);
        sleep(Duration::from_secs(2)).await;
        run
    }
    let server = Server::start().await;
    let [here, there] = two(&server).await;
    let key = fresh();
    let owner = call(&there, longer_than_its_lease(key));
    eventually("it runs", || async { RUNS.of(key) > 0 }).await;
    let lease = server.entries().await.remove(0);
    assert!((1..=300).contains(&server.command::<i64>(&["PTTL", &lease]).await));
    let (value, outcome) = here.scope(observe(longer_than_its_lease(key))).await;
    assert_eq!((value, outcome.kind), (1, OutcomeKind::Waited));
    assert_eq!((owner.await.unwrap(), RUNS.of(key)), (1, 1));
}

#[cache_result(ttl = 1, jitter = 0, lease = "300ms")]
async fn long(key: u32, ms: u64) -> u32 {
    let run = RUNS.run(key);
    sleep(Duration::from_millis(ms)).await;
    run
}

#[tokio::test]
async fn a_run_that_outlasts_its_lease_its_ttl_and_its_tokens_is_stored() {
    let server = Server::start().await;
    let cache = server.cache().await;
    let key = fresh();
    let running = call(&cache, observe(long(key, 3000)));
    eventually("it runs", || async { RUNS.of(key) > 0 }).await;
    let tokens = server.keys().await.into_iter().filter(|key| key.contains(":~"));
    for token in tokens {
        assert_eq!(server.command::<u32>(&["PEXPIRE", &token, "800"]).await, 1);
    }
    assert!(running.await.unwrap().1.is_computed());
    landed(&cache).await;
    assert_eq!(cache.scope(async { hit!(long(key, 3000)) }).await, 1);
}

#[cache_result(ttl = 3600, lease = "2m")]
async fn long_with_a_long_lease(key: u32) -> u32 {
    let run = RUNS.run(key);
    sleep(Duration::from_secs(65)).await;
    run
}

#[tokio::test]
async fn a_run_of_more_than_a_minute_is_stored() {
    if std::env::var_os("CI_LONG").is_none() {
        println!("skipped: it takes more than a minute, with CI_LONG=1");
        return;
    }
    let (_server, caches) = both_stores().await;
    let runs = caches.iter().map(|cache| {
        cache.scope(async {
            let (key, other) = (fresh(), fresh());
            let calls = (observe(long(key, 65_000)), observe(long_with_a_long_lease(other)));
            let (one, two) = tokio::join!(calls.0, calls.1);
            assert!(one.1.is_computed() && two.1.is_computed(), "{one:?} {two:?}");
            landed(cache).await;
            assert_eq!((hit!(long(key, 65_000)), hit!(long_with_a_long_lease(other))), (1, 1));
        })
    });
    join_all(runs).await;
}

#[tokio::test]
async fn a_run_past_the_limit_is_not_stored_and_says_so() {
    #[cache_result(ttl = 60, lease = "4s")]
    async fn under_a_longer_lease(key: u32) -> u32 {
        sleep(Duration::from_secs(2)).await;
        key
    }
    let server = Server::start().await;
    let limit = Duration::from_secs(1);
    LazyLock::force(&LOG);
    for config in [server.config(), patient(Config::in_memory())] {
        let cache = Cache::new(config.max_run(limit));
        cache
            .scope(async {
                assert!(observe(long(fresh(), 0)).await.1.is_computed(), "a short run is stored");
                computed!(cache, under_a_longer_lease(7));
                assert_eq!(hit!(under_a_longer_lease(7)), 7);
                let key = fresh();
                for run in 1..=2 {
                    let (value, outcome) = observe(long(key, 2000)).await;
                    assert_eq!((value, outcome.reason()), (run, Some(Reason::RunTooLong)));
                    landed(&cache).await;
                }
            })
            .await;
    }
    let lines = LOG.lines(Level::WARN, "CACHE_MAX_RUN_MS");
    assert_eq!(lines.len(), 1, "once for the function: {lines:?}");
    let words = ["waiting::long", "limit=1s", "took=2."];
    assert!(words.iter().all(|word| lines[0].contains(word)), "{lines:?}");
}
