//! What an invalidation reaches: entries by call, prefix and tag, leases, runs under way.

// Many functions answer with the number of their run, whatever they are called with.
#![allow(unused_variables)]

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use cache_runtime::{
    Cache, Config, Reason, cache_invalidate, cache_result, invalidate, invalidate_prefix,
    invalidate_tag, observe, peek,
};
use support::{
    Log, Runs, Server, both_stores, computed, eventually, fresh, hit, in_memory, key_of, landed,
    over_both, run, stored,
};
use tokio::time::{sleep, timeout};
use tracing::Level;

static LOG: LazyLock<Log> = LazyLock::new(Log::install);

const LONG: Duration = Duration::from_secs(20);

#[cache_result(ttl = 60, prefix = "areas", tags = ["agent:{agent}", "all"])]
async fn area(agent: u32, page: u32) -> u64 {
    run()
}

#[cache_result(ttl = 60, prefix = "searches", tags = ["agent:{agent}"])]
async fn search(agent: u32) -> u64 {
    run()
}

#[cache_result(ttl = 60, prefix = "others")]
async fn other(key: u32) -> u64 {
    run()
}

#[tokio::test]
async fn a_prefix_takes_its_entries_and_no_others() {
    over_both(|cache: Cache| async move {
        stored!(cache, area(1, 1));
        stored!(cache, area(1, 2));
        let kept = stored!(cache, other(1));
        cache.invalidate_prefix("areas").await.unwrap();
        assert_eq!(peek(area(1, 1)).await, None);
        stored!(cache, area(1, 1));
        stored!(cache, area(1, 2));
        assert_eq!(hit!(other(1)), kept);
        cache.invalidate_prefix("nobody has this prefix").await.unwrap();
        assert_eq!(cache.stats().prefix("areas").invalidations, 1);
    })
    .await;
}

#[tokio::test]
async fn a_tag_takes_its_entries_under_every_prefix_and_no_others() {
    over_both(|cache: Cache| async move {
        stored!(cache, area(1, 1));
        stored!(cache, search(1));
        let (kept, searched) = (stored!(cache, area(2, 1)), stored!(cache, search(2)));
        cache.invalidate_tag("agent:1").await.unwrap();
        stored!(cache, area(1, 1));
        stored!(cache, search(1));
        assert_eq!((hit!(area(2, 1)), hit!(search(2))), (kept, searched));
        cache.invalidate_tag("all").await.unwrap();
        stored!(cache, area(2, 1));
        assert_eq!(hit!(search(2)), searched);
    })
    .await;
}

#[derive(serde::Serialize)]
struct Filter {
    agent: &'static str,
    rooms: Option<u8>,
}

#[cache_result(ttl = 60, key = (text), tags = ["text:{text}", "{filter.agent}", "{filter}"])]
async fn tagged(text: &str, filter: Filter) -> u64 {
    run()
}

#[tokio::test]
async fn a_tag_reads_as_its_arguments_do_however_long_or_odd() {
    over_both(|cache: Cache| async move {
        let long = "x".repeat(1000);
        for text in ["a b", "ä%/{}", "", ":~#", &long] {
            let call = || tagged(text, Filter { agent: "smith & sons", rooms: Some(3) });
            stored!(cache, call());
            cache.invalidate_tag(&format!("text:{text}")).await.unwrap();
            assert_eq!(peek(call()).await, None, "{text}");
            stored!(cache, call());
            cache.invalidate_tag("smith & sons").await.unwrap();
            assert_eq!(peek(call()).await, None, "{text}");
        }
    })
    .await;
}

#[tokio::test]
async fn several_calls_go_out_as_one_command() {
    let server = Server::start().await;
    let cache = server.cache().await;
    cache
        .scope(async {
            let unlinks = || server.calls("unlink");
            stored!(cache, area(1, 1));
            stored!(cache, other(1));
            let before = unlinks().await;
            invalidate((area(1, 1), other(1))).await.unwrap();
            assert_eq!(unlinks().await, before + 1);
            assert_eq!((peek(area(1, 1)).await, peek(other(1)).await), (None, None));
            for page in 0..3 {
                stored!(cache, area(1, page));
            }
            invalidate((0..3).map(|page| area(1, page)).collect::<Vec<_>>()).await.unwrap();
            invalidate([area(1, 0), area(1, 1)]).await.unwrap();
            assert_eq!(unlinks().await, before + 3);
            assert_eq!(peek(area(1, 2)).await, None);
            // One that is not cached does not keep the others from going out.
            stored!(cache, area(1, 1));
            let error = invalidate((async {}, area(1, 1))).await.unwrap_err();
            assert!(error.is_not_cached());
            assert_eq!(peek(area(1, 1)).await, None);
        })
        .await;
}

static SLOW: Runs = Runs::new();

#[cache_result(ttl = 60, prefix = "slow", tags = ["slow:{key}"])]
async fn slow(key: u32) -> u32 {
    let run = SLOW.run(key);
    sleep(Duration::from_millis(500)).await;
    run
}

/// Begins a call on a task of its own and returns once its function runs.
async fn begun(cache: &Cache, key: u32) -> tokio::task::JoinHandle<u32> {
    let ours = cache.clone();
    let runs = SLOW.of(key);
    let call = tokio::spawn(async move { ours.scope(slow(key)).await });
    eventually("it runs", || async { SLOW.of(key) > runs }).await;
    call
}

#[derive(Clone, Copy, Debug)]
enum By {
    Call,
    Prefix,
    Tag,
}

async fn invalidate_by(cache: &Cache, by: By, key: u32) {
    let done = match by {
        By::Call => cache.scope(invalidate(slow(key))).await,
        By::Prefix => cache.invalidate_prefix("slow").await,
        By::Tag => cache.invalidate_tag(&format!("slow:{key}")).await,
    };
    done.unwrap();
}

#[tokio::test]
async fn what_runs_during_an_invalidation_is_neither_stored_nor_joined_afterwards() {
    let (server, caches) = both_stores().await;
    for cache in &caches {
        for by in [By::Call, By::Prefix, By::Tag] {
            let key = fresh();
            let before = begun(cache, key).await;
            invalidate_by(cache, by, key).await;
            // Begun afterwards: a run of its own, while the first still goes on.
            let after = timeout(LONG, cache.scope(slow(key))).await.unwrap();
            assert_eq!((before.await.unwrap(), after), (1, 2), "{by:?}");
            landed(cache).await;
            assert_eq!(cache.scope(peek(slow(key))).await, Some(2), "{by:?}");
        }
    }
    drop(server);
}

#[tokio::test]
async fn an_invalidation_by_another_process_wins_as_well() {
    let server = Server::start().await;
    // Two caches have nothing in common but the server, as two processes have.
    let (here, there) = (server.cache().await, server.cache().await);
    for by in [By::Call, By::Prefix, By::Tag] {
        let key = fresh();
        let before = begun(&here, key).await;
        invalidate_by(&there, by, key).await;
        let (joined, computed) =
            tokio::join!(here.scope(slow(key)), there.scope(observe(slow(key))));
        assert!(joined > 1 && computed.0 > 1, "{by:?}: {joined} {computed:?}");
        assert_eq!(before.await.unwrap(), 1);
        landed(&here).await;
        landed(&there).await;
        assert_eq!(SLOW.of(key), 2, "one run for both, {by:?}");
        assert_eq!(here.scope(peek(slow(key))).await, Some(2));
    }
}

#[tokio::test]
async fn a_token_that_is_evicted_or_deleted_by_hand_takes_its_entries_with_it() {
    let server = Server::start().await;
    let cache = server.cache().await;
    cache
        .scope(async {
            for token in ["cache:~areas", "cache:#agent:1", "cache:#all"] {
                let value = stored!(cache, area(1, 1));
                assert_eq!(server.command::<u32>(&["DEL", token]).await, 1);
                assert_ne!(stored!(cache, area(1, 1)), value);
                // By whatever it is replaced, the entries of before are dead.
                server.command::<()>(&["SET", token, "by hand", "EX", "600"]).await;
                assert_ne!(stored!(cache, area(1, 1)), value);
                server.command::<u32>(&["DEL", token]).await;
            }
        })
        .await;
}

#[cache_result(ttl = 2, jitter = 0, prefix = "short")]
async fn short(key: u32) -> u64 {
    run()
}

#[cache_result(ttl = 864_000, prefix = "short")]
async fn lasting(key: u32) -> u64 {
    run()
}

#[tokio::test]
async fn nothing_stays_for_ever_and_tokens_outlive_their_entries() {
    let server = Server::start().await;
    let cache = server.cache().await;
    let expires = async |key: &str| server.command::<i64>(&["PTTL", key]).await;
    cache
        .scope(async {
            stored!(cache, short(1));
            let seeded = expires("cache:~short").await;
            assert!(seeded > 2_000);
            // The same prefix, with entries that live longer than its token: it is extended.
            stored!(cache, lasting(1));
            eventually("it is extended", || async { expires("cache:~short").await > 864_000_000 })
                .await;
            // A token without an expiry, put there by hand, gets one.
            server.command::<()>(&["PERSIST", "cache:~short"]).await;
            stored!(cache, short(2));
            eventually("it expires", || async { expires("cache:~short").await > 0 }).await;
            stored!(cache, area(1, 1));
            drop(tokio::time::timeout(Duration::from_millis(50), slow(fresh())).await);
            for key in server.keys().await {
                assert_ne!(expires(&key).await, -1, "{key}");
            }
        })
        .await;
}

#[tokio::test]
async fn an_invalidation_costs_the_same_with_ten_and_with_a_million_entries() {
    let server = Server::start().await;
    let cache = server.cache().await;
    cache.scope(async { stored!(cache, area(1, 1)) }).await;
    for entries in [10, 1_000_000] {
        let fill = "local entry = redis.call('GET', KEYS[1]) \
                    for i = ARGV[1], ARGV[2] do \
                      redis.call('SET', 'cache:areas:' .. i, entry, 'PX', 600000) \
                    end";
        let key = cache.scope(key_of(area(1, 1))).await;
        for from in (0..entries).step_by(5000) {
            let to = entries.min(from + 5000);
            let (from, to) = (from.to_string(), to.to_string());
            let () = server.command(&["EVAL", fill, "1", &key, &from, &to]).await;
        }
        assert!(server.command::<u64>(&["DBSIZE"]).await > entries);
        for tag in [false, true] {
            let before = (server.calls("unlink").await, server.commands().await);
            if tag {
                cache.invalidate_tag("all").await.unwrap();
            } else {
                cache.invalidate_prefix("areas").await.unwrap();
            }
            assert_eq!(server.calls("unlink").await, before.0 + 1);
            assert_eq!(server.calls("scan").await + server.calls("keys").await, 0);
            // Besides our own questions: one.
            assert_eq!(server.commands().await, before.1 + 1);
            cache.scope(async { stored!(cache, area(1, 1)) }).await;
        }
    }
}

#[tokio::test]
async fn a_hit_is_one_command_and_a_miss_three_round_trips_four_with_a_new_token() {
    let server = Server::start().await;
    let cache = server.cache().await;
    cache
        .scope(async {
            // The listening lane and the others are up, and the script is known.
            stored!(cache, other(1));
            let asked = async || {
                let mut calls = Vec::new();
                for command in ["mget", "get", "set", "evalsha", "pttl", "unlink"] {
                    calls.push(server.calls(command).await);
                }
                // With what the script calls: `SET`.
                calls.push(server.commands().await);
                calls
            };
            let difference = |before: &[u64], after: &[u64]| -> Vec<u64> {
                before.iter().zip(after).map(|(before, after)| after - before).collect()
            };
            let before = asked().await;
            hit!(other(1));
            other(1).await;
            let after = asked().await;
            // `observe` asks for the age in the same round trip; the plain call does not.
            assert_eq!(difference(&before, &after), [2, 0, 0, 0, 1, 0, 3]);

            let before = asked().await;
            other(2).await;
            cache.flush().await;
            let after = asked().await;
            // MGET; EVALSHA; PTTL and EVALSHA together. One SET in each script.
            assert_eq!(difference(&before, &after), [1, 0, 2, 2, 1, 0, 6]);

            cache.invalidate_prefix("others").await.unwrap();
            let before = asked().await;
            other(3).await;
            cache.flush().await;
            let after = asked().await;
            // As before, and SET NX with GET in one more round trip.
            assert_eq!(difference(&before, &after), [1, 1, 3, 2, 1, 0, 8]);
        })
        .await;
}

#[tokio::test]
async fn clearing_takes_the_whole_namespace_and_tells_how_far_it_is() {
    let server = Server::start().await;
    let cache = server.cache().await;
    let odd = Cache::connect(server.config().namespace("odd*[a]?")).await.unwrap();
    odd.scope(async { stored!(odd, other(1)) }).await;
    cache.scope(async { stored!(cache, other(1)) }).await;
    for number in 0..3000 {
        let key = format!("cache:others:{number}");
        server.command::<()>(&["SET", &key, "x", "EX", "600"]).await;
    }
    server.command::<()>(&["SET", "another", "x"]).await;
    let mut told = Vec::new();
    let cleared = cache.clear().progress(|cleared| told.push(cleared.removed)).await.unwrap();
    assert_eq!(cleared.removed, 3002, "entries and the token");
    assert!(told.len() > 2 && told.is_sorted() && told.last() == Some(&3002));
    assert_eq!(server.keys().await.len(), 3, "another namespace's and a stranger's");
    cache.scope(async { computed!(cache, other(1)) }).await;
    // What looks like a pattern is a name.
    assert_eq!(odd.clear().await.unwrap().removed, 2);
    cache.scope(async { hit!(other(1)) }).await;

    let memory = in_memory();
    memory.scope(async { stored!(memory, other(1)) }).await;
    assert_eq!(memory.clear().await.unwrap().removed, 2);
    memory.scope(async { computed!(memory, other(1)) }).await;
}

#[tokio::test]
async fn what_cannot_be_delivered_binds_this_process_until_it_is() {
    let server = Server::start().await;
    let (here, there) = (server.cache().await, server.cache().await);
    let by_key = fresh();
    here.scope(async {
        stored!(here, other(by_key));
        stored!(here, area(7, 1));
        stored!(here, search(7));
    })
    .await;
    server.command::<()>(&["ACL", "SETUSER", "default", "-unlink"]).await;
    let error = here.scope(invalidate(other(by_key))).await.unwrap_err();
    assert!(error.is_refused(), "{error}");
    assert!(here.invalidate_prefix("areas").await.is_err());
    assert!(here.invalidate_tag("agent:7").await.is_err());
    assert_eq!(here.stats().undelivered, 3);
    here.scope(async {
        for outcome in [
            observe(other(by_key)).await.1,
            observe(area(7, 1)).await.1,
            observe(area(8, 8)).await.1,
            observe(search(7)).await.1,
        ] {
            assert_eq!(outcome.reason(), Some(Reason::Invalidated), "{outcome:?}");
        }
        assert_eq!(peek(other(by_key)).await, None);
        stored!(here, search(8));
    })
    .await;
    // Others hear of it when it has been delivered.
    there.scope(async { hit!(other(by_key)) }).await;
    server.command::<()>(&["ACL", "SETUSER", "default", "+unlink"]).await;
    eventually("it is delivered", || async { here.stats().undelivered == 0 }).await;
    there.scope(async { computed!(there, other(by_key)) }).await;
    here.scope(async {
        hit!(other(by_key));
        computed!(here, area(7, 1));
        hit!(search(8));
    })
    .await;
}

#[tokio::test]
async fn an_invalidation_while_redis_is_down_is_delivered_when_it_is_back() {
    let server = Server::start().await;
    let (here, there) = (server.cache().await, server.cache().await);
    here.scope(async { stored!(here, other(1)) }).await;
    server.freeze();
    let impatient = Cache::new(
        cache_runtime::Config::redis(&server.url()).unwrap().timeout(Duration::from_millis(200)),
    );
    let gone = impatient.scope(invalidate(other(1))).await;
    assert!(gone.unwrap_err().is_unavailable());
    let (_, outcome) = impatient.scope(observe(other(1))).await;
    assert_eq!(outcome.reason(), Some(Reason::Invalidated));
    server.thaw();
    eventually("it is delivered", || async { impatient.stats().undelivered == 0 }).await;
    there.scope(async { computed!(there, other(1)) }).await;
}

#[tokio::test]
async fn by_hand_what_calls_use_is_invalidated_in_a_scope_and_in_its_tasks() {
    over_both(|cache: Cache| async move {
        stored!(cache, area(31, 1));
        invalidate_prefix("areas").await.unwrap();
        stored!(cache, area(31, 1));
        invalidate_tag("agent:31").await.unwrap();
        stored!(cache, area(31, 1));
        Cache::current().invalidate_prefix("areas").await.unwrap();
        let value = stored!(cache, area(31, 1));
        // The task of a spawned future is in no scope, unless it is spawned so.
        tokio::spawn(invalidate_prefix("areas")).await.unwrap().unwrap();
        assert_eq!(hit!(area(31, 1)), value);
        let spawned = Cache::current().spawn(async {
            assert!(observe(area(31, 1)).await.1.is_hit());
            invalidate_tag("agent:31").await
        });
        spawned.await.unwrap().unwrap();
        stored!(cache, area(31, 1));
    })
    .await;
}

#[cache_invalidate(prefix = "patterned:*")]
async fn writes_by_pattern() {}

#[tokio::test]
async fn a_prefix_that_looks_like_a_pattern_or_a_key_is_told_with_those_that_there_are() {
    let _ = &*LOG;
    let cache = in_memory();
    cache
        .scope(async {
            other(fresh()).await;
            let told = |level, prefix: &str| LOG.lines(level, &format!("prefix={prefix:?}"));
            for prefix in ["others*", "others:", "cache:others", "*"] {
                invalidate_prefix(prefix).await.unwrap();
                invalidate_prefix(prefix).await.unwrap();
                let lines = told(Level::WARN, prefix);
                assert_eq!(lines.len(), 1, "once: {lines:#?}");
                assert!(lines[0].contains("\"others\""), "{lines:#?}");
            }
            writes_by_pattern().await;
            assert_eq!(told(Level::WARN, "patterned:*").len(), 1);
            // Another process's, perhaps; the path of a function, before its first call.
            for prefix in ["elsewhere", "crate::elsewhere"] {
                invalidate_prefix(prefix).await.unwrap();
                assert_eq!(told(Level::WARN, prefix), Vec::<String>::new());
                assert_eq!(told(Level::DEBUG, prefix).len(), 1 + 1, "and of the invalidation");
            }
            invalidate_prefix("others").await.unwrap();
            assert_eq!(told(Level::WARN, "others"), Vec::<String>::new());
        })
        .await;
}

#[cache_invalidate(other(*key))]
async fn written(key: &u32) -> u32 {
    *key
}

#[tokio::test]
async fn an_invalidation_takes_its_budget_once_where_the_first_dial_is_never_answered() {
    // Connections are made by the system, and nobody reads from them.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("redis://{}", silent.local_addr().unwrap());
    let config = Config::redis(&url).unwrap().connect_timeout(LONG).timeout(LONG);
    let cache = Cache::new(config.budget(Duration::from_secs(2)));
    let begun = Instant::now();
    assert_eq!(cache.scope(written(&1)).await, 1);
    let took = begun.elapsed();
    assert!((1900..3000).contains(&took.as_millis()), "{took:?}");
    assert_eq!(cache.stats().undelivered, 1);
}
