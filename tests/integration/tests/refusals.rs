//! Redis, or a proxy before it, answers with errors or hangs up: what can be done without is, what
//! cannot is told, and what concerns one function concerns no other.

// Many functions answer with the number of their run, whatever they are called with.
#![allow(unused_variables)]

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use cache_runtime::{Cache, Config, Credentials, Health, Reason, Status, cache_result, observe};
use support::{ClusterServers, Node, Proxy, Server, Verdict, eventually, fresh, patient, run};
use tokio::time::sleep;

#[cache_result(ttl = 60, prefix = "open")]
async fn open(key: u32) -> u64 {
    u64::from(key) + run()
}

#[cache_result(ttl = 60, prefix = "closed")]
async fn closed(key: u32) -> u64 {
    u64::from(key) + run()
}

#[cache_result(ttl = 60, prefix = "sized")]
async fn sized(bytes: usize) -> String {
    format!("{:?}", (0..bytes).map(|_| rand_letter()).collect::<String>())
}

/// One that does not compress.
fn rand_letter() -> char {
    char::from(b'a' + (run() * 7 % 26) as u8)
}

/// Calls a function until its health is no longer `Up`.
async fn degraded(cache: &Cache) -> Health {
    let not_up = || async {
        cache.scope(open(fresh())).await;
        cache.health().status == Status::Degraded
    };
    eventually("its health says so", not_up).await;
    cache.health()
}

#[tokio::test]
async fn a_node_of_a_cluster_behind_a_plain_url_is_degraded_and_says_where_the_keys_are() {
    let cluster = ClusterServers::start().await;
    let url = format!("redis://{}", cluster.nodes()[0].address());
    let cache = Cache::connect(patient(Config::redis(&url).unwrap())).await.unwrap();
    let health = degraded(&cache).await;
    let why = health.last_error.unwrap();
    assert!(["MOVED", "CROSSSLOT"].iter().any(|code| why.contains(code)), "{why}");
    assert!(why.contains("redis+cluster://"), "{why}");
    // It stays so while calls are refused.
    for _ in 0..50 {
        assert!(cache.scope(observe(open(fresh()))).await.1.is_bypassed());
        assert_eq!(cache.health().status, Status::Degraded);
    }
}

#[tokio::test]
async fn a_user_that_may_not_read_is_degraded_until_it_may() {
    let server = Node::alone().await;
    server.command::<()>(&["ACL", "SETUSER", "default", "-mget"]).await;
    let url = format!("redis://{}", server.address());
    let cache = Cache::connect(patient(Config::redis(&url).unwrap())).await.unwrap();
    let why = degraded(&cache).await.last_error.unwrap();
    assert!(why.contains("refuses reads") && why.contains("mget"), "{why}");
    server.command::<()>(&["ACL", "SETUSER", "default", "+mget"]).await;
    let up = || async {
        cache.scope(open(1)).await;
        cache.health().status == Status::Up
    };
    eventually("it is up again", up).await;
    assert_eq!(cache.health().last_error, None);
}

#[tokio::test]
async fn a_server_that_answers_probes_and_no_call_stays_down() {
    let server = Server::start().await;
    let busy = |words: &[String]| match &words[0][..] {
        "MGET" => Verdict::Refuse("CLUSTERDOWN Hash slot not served"),
        _ => Verdict::Pass,
    };
    let proxy = Proxy::start(server.socket().display().to_string(), busy).await;
    let cache = Cache::connect(patient(Config::redis(&proxy.url()).unwrap())).await.unwrap();
    let down = || async {
        cache.scope(open(fresh())).await;
        cache.health().status == Status::Down
    };
    eventually("its health says so", down).await;
    for _ in 0..200 {
        cache.scope(open(fresh())).await;
        assert_eq!(cache.health().status, Status::Down);
        sleep(Duration::from_millis(10)).await;
    }
    assert!(cache.health().last_error.unwrap().contains("CLUSTERDOWN"));
}

#[tokio::test]
async fn a_refused_key_concerns_its_function_and_no_other() {
    let server = Node::alone().await;
    let rights = ["~cache:open:*", "~cache:~open", "%R~cache:*"];
    let words = ["ACL", "SETUSER", "app", "reset", "on", ">secret", "+@all"];
    server.command::<()>(&[&words[..], &rights].concat()).await;
    let url = format!("redis://app:secret@{}", server.address());
    let cache = Cache::connect(patient(Config::redis(&url).unwrap())).await.unwrap();
    cache
        .scope(async {
            for _ in 0..20 {
                let (_, outcome) = observe(closed(fresh())).await;
                assert_eq!(outcome.reason(), Some(Reason::WritesRefused), "{outcome:?}");
                let key = fresh();
                assert!(observe(open(key)).await.1.is_computed());
                cache.flush().await;
                assert!(observe(open(key)).await.1.is_hit());
            }
        })
        .await;
    assert_eq!(cache.health().status, Status::Up);
}

#[tokio::test]
async fn a_value_that_a_provider_finds_too_large_concerns_its_function_and_no_other() {
    let server = Server::start().await;
    let limited = |words: &[String]| {
        let bytes: usize = words[1..].iter().map(String::len).sum();
        let script = words[0].starts_with("EVAL");
        if script && bytes > 4000 {
            Verdict::Refuse("ERR max request size exceeded. Limit: 4000 bytes")
        } else {
            Verdict::Pass
        }
    };
    let proxy = Proxy::start(server.socket().display().to_string(), limited).await;
    let config = Config::redis(&proxy.url()).unwrap().compress_above(1 << 20);
    let cache = Cache::connect(patient(config)).await.unwrap();
    cache
        .scope(async {
            for round in 0..20 {
                assert!(sized(5000 + round).await.len() > 5000);
                cache.flush().await;
                let key = fresh();
                assert!(observe(open(key)).await.1.is_computed());
                cache.flush().await;
                assert!(observe(open(key)).await.1.is_hit());
            }
        })
        .await;
    assert_eq!(cache.health().status, Status::Up);
}

/// A cache over a proxy that treats commands of some names in one way.
async fn behind(server: &Server, names: &'static [&'static str], how: Verdict) -> (Proxy, Cache) {
    let rule = move |words: &[String]| {
        if names.contains(&&words[0][..]) { how } else { Verdict::Pass }
    };
    let proxy = Proxy::start(server.socket().display().to_string(), rule).await;
    let cache = Cache::new(patient(Config::redis(&proxy.url()).unwrap()));
    (proxy, cache)
}

const UNKNOWN: Verdict = Verdict::Refuse("ERR unknown command");

#[tokio::test]
async fn a_server_that_refuses_or_hangs_up_on_what_is_optional_is_used_without() {
    let optional: [&[&str]; 5] =
        [&["HELLO"], &["CLIENT"], &["ROLE"], &["SCRIPT"], &["HELLO", "CLIENT", "ROLE", "SCRIPT"]];
    for names in optional {
        for how in [Verdict::HangUp, UNKNOWN] {
            let server = Server::start().await;
            let (proxy, cache) = behind(&server, names, how).await;
            for round in 0..3 {
                let key = fresh();
                let outcome = cache.scope(observe(open(key))).await.1;
                assert!(outcome.is_computed(), "{names:?} {how:?} {round}: {outcome:?}");
                cache.flush().await;
                let outcome = cache.scope(observe(open(key))).await.1;
                assert!(outcome.is_hit(), "{names:?} {how:?} {round}: {outcome:?}");
            }
            let health = cache.health();
            assert_eq!((health.status, health.last_error), (Status::Up, None), "{names:?}");
            // What was learnt at the first dial is known at the next.
            assert!(proxy.dials() <= 6, "{names:?} {how:?}: {} dials", proxy.dials());
        }
    }
}

#[tokio::test]
async fn a_server_that_knows_no_digest_of_a_script_gets_the_script() {
    let server = Server::start().await;
    let (_proxy, cache) =
        behind(&server, &["EVALSHA", "SCRIPT"], Verdict::Refuse("ERR unknown command 'EVALSHA'"))
            .await;
    cache
        .scope(async {
            assert!(observe(open(1)).await.1.is_computed());
            cache.flush().await;
            assert!(observe(open(1)).await.1.is_hit());
        })
        .await;
    assert_eq!(cache.health().status, Status::Up);
}

#[tokio::test]
async fn without_scripts_nothing_is_stored_and_that_is_told() {
    for how in [Verdict::HangUp, Verdict::Refuse("ERR unknown command 'EVAL'")] {
        let server = Server::start().await;
        let (proxy, cache) = behind(&server, &["EVAL", "EVALSHA", "SCRIPT"], how).await;
        for key in 0..50 {
            let (value, outcome) = cache.scope(observe(open(key))).await;
            assert!(value >= u64::from(key));
            assert_eq!(outcome.reason(), Some(Reason::WritesRefused), "{how:?}: {outcome:?}");
        }
        let health = cache.health();
        assert_eq!(health.status, Status::Degraded, "{how:?}");
        let why = health.last_error.unwrap();
        assert!(why.contains("refuses writes") && why.contains("EVAL"), "{how:?}: {why}");
        assert!(proxy.dials() <= 6, "{} dials", proxy.dials());
    }
}

#[tokio::test]
async fn the_step_at_which_a_dial_ended_is_told() {
    for (names, step) in [
        (&["PING"][..], "`PING`"),
        (&["HELLO", "PING"], "`PING`"),
        (&["SELECT"], "`SELECT`"),
        (&["HELLO", "AUTH"], "`AUTH`"),
    ] {
        let server = Server::start().await;
        let rule = move |words: &[String]| {
            if names.contains(&&words[0][..]) { Verdict::HangUp } else { Verdict::Pass }
        };
        let proxy = Proxy::start(server.socket().display().to_string(), rule).await;
        let login = if names.contains(&"AUTH") { "?pass=secret" } else { "?db=1" };
        let config = Config::redis(&format!("{}/{login}", proxy.url())).unwrap();
        let error = Cache::connect(patient(config)).await.unwrap_err().to_string();
        assert!(error.contains(step) && error.contains("closed the connection"), "{error}");
    }
    let (_folder, url) = Server::absent();
    let error = Cache::connect(Config::redis(&url).unwrap()).await.unwrap_err().to_string();
    assert!(error.contains("connecting: "), "{error}");
}

#[tokio::test]
async fn a_server_that_wants_the_password_before_hello_takes_it_by_auth() {
    let server = Server::start_with(&["--requirepass", "secret"]).await;
    let hello = |words: &[String]| match &words[0][..] {
        "HELLO" => Verdict::Refuse("NOAUTH HELLO must be called with the client authenticated"),
        _ => Verdict::Pass,
    };
    let proxy = Proxy::start(server.socket().display().to_string(), hello).await;
    let config = Config::redis(&format!("{}?pass=secret", proxy.url())).unwrap();
    let cache = Cache::connect(patient(config)).await.unwrap();
    cache.scope(open(1)).await;
    cache.flush().await;
    assert!(cache.scope(observe(open(1))).await.1.is_hit());
}

/// Why a login with a password fails where commands are treated so.
async fn refused_login(rule: fn(&[String]) -> Verdict) -> String {
    let server = Server::start().await;
    let proxy = Proxy::start(server.socket().display().to_string(), rule).await;
    let config = Config::redis(&format!("{}?pass=secret", proxy.url())).unwrap();
    Cache::connect(patient(config)).await.unwrap_err().to_string()
}

#[tokio::test]
async fn a_server_that_takes_no_more_clients_is_no_server_without_hello() {
    let full = |words: &[String]| match &words[0][..] {
        "HELLO" => Verdict::Refuse("ERR max number of clients reached"),
        _ => Verdict::HangUp,
    };
    let why = refused_login(full).await;
    assert!(why.contains("max number of clients") && !why.contains("AUTH"), "{why}");
}

#[tokio::test]
async fn where_the_login_without_hello_fails_too_both_reasons_are_told() {
    let odd = |words: &[String]| match &words[0][..] {
        "HELLO" => Verdict::Refuse("ERR the first reason"),
        "AUTH" => Verdict::HangUp,
        _ => Verdict::Pass,
    };
    let why = refused_login(odd).await;
    assert!(why.contains("the first reason") && why.contains("closed the connection"), "{why}");
}

#[tokio::test]
async fn a_connection_that_breaks_once_at_the_script_leaves_writes_as_they_were() {
    let server = Server::start().await;
    let tried = AtomicU32::new(0);
    let breaks = move |words: &[String]| {
        let first = words[0] == "EVAL" && tried.fetch_add(1, Ordering::Relaxed) == 0;
        if first { Verdict::HangUp } else { Verdict::Pass }
    };
    let proxy = Proxy::start(server.socket().display().to_string(), breaks).await;
    let cache = Cache::new(patient(Config::redis(&proxy.url()).unwrap()));
    assert!(cache.scope(observe(open(1))).await.1.is_computed());
    cache.flush().await;
    assert!(cache.scope(observe(open(1))).await.1.is_hit());
    let health = cache.health();
    assert_eq!((health.status, health.last_error), (Status::Up, None));
}

#[tokio::test]
async fn credentials_that_do_not_come_in_time_are_told_as_such() {
    let server = Server::start().await;
    let config = Config::redis(&server.url()).unwrap().connect_timeout(Duration::from_millis(500));
    let config = config.credentials(|| async {
        sleep(Duration::from_secs(60)).await;
        Ok::<_, std::convert::Infallible>(Credentials::password("any"))
    });
    let error = Cache::connect(config).await.unwrap_err().to_string();
    assert!(error.contains("no credentials: they were not given in time"), "{error}");
}
