//! Figures for operators that do not say what happened: work saved, errors and removals by cause, runs and
//! round trips by how long they took, switches, functions.

// Many functions answer with the number of their run, whatever they are called with.
#![allow(unused_variables)]

use std::time::Duration;

use cache_runtime::{
    Cache, Config, Reason, Status, cache_invalidate, cache_result, functions, invalidate, observe,
};
use support::{Server, both_stores, eventually, in_memory, run};

#[cache_result(prefix = "saves")]
async fn saves(key: u32) -> u64 {
    tokio::time::sleep(Duration::from_millis(20)).await;
    run()
}

#[cache_result(prefix = "saves-locally", local)]
async fn saves_locally(key: u32) -> u64 {
    tokio::time::sleep(Duration::from_millis(20)).await;
    run()
}

#[tokio::test]
async fn what_is_served_saves_the_time_that_it_took_to_compute() {
    let (_server, caches) = both_stores().await;
    for cache in caches {
        cache
            .scope(async {
                saves(1).await;
                cache.flush().await;
                let cost = observe(saves(1)).await.1.cost.expect("it was stored with its cost");
                assert!(cost >= Duration::from_millis(20), "{cost:?}");
                saves(1).await;
                let stats = cache.stats().prefix("saves");
                assert_eq!((stats.hits, stats.computed), (2, 1));
                assert_eq!(stats.saved, cost * 2);
                assert_eq!(stats.loads.count(), 1);
                assert!(stats.loads.sum >= Duration::from_millis(20));

                saves_locally(1).await;
                cache.flush().await;
                eventually("copies are hit", async || {
                    // The first hits may come from the store: they make the copy.
                    saves_locally(1).await;
                    cache.stats().prefix("saves-locally").local_hits >= 3
                })
                .await;
                let stats = cache.stats().prefix("saves-locally");
                let cost = observe(saves_locally(1)).await.1.cost.expect("copies know their cost");
                let hits = u32::try_from(stats.hits + stats.local_hits).unwrap();
                assert_eq!(stats.saved, cost * hits);
            })
            .await;
    }
}

#[cache_result(prefix = "refused", cache_if = |value: &u64| *value > 100)]
async fn refused(key: u32) -> u64 {
    7
}

#[cache_result(prefix = "refused", ttl = |_: &u64| 0)]
async fn no_time(key: u32) -> u64 {
    7
}

#[cache_result(prefix = "refused")]
async fn none(key: u32) -> Option<u64> {
    None
}

#[cache_result(prefix = "large")]
async fn large(key: u32) -> String {
    "x".repeat(5000)
}

#[tokio::test]
async fn a_computed_value_is_stored_or_counted_by_the_reason_why_not() {
    let cache = Cache::new(Config::in_memory().max_value(1000));
    cache
        .scope(async {
            refused(1).await;
            no_time(1).await;
            none(1).await;
            large(1).await;
            saves(1).await;
        })
        .await;
    cache.flush().await;
    let stats = cache.stats();
    assert_eq!(stats.prefix("refused").populates_refused, 3);
    let large = stats.prefix("large");
    assert_eq!((large.unstorable, large.too_large, large.populates_refused), (1, 1, 0));
    assert_eq!(stats.prefix("saves").populated, 1);
    let total = stats.total();
    let stored_or_not = total.populated + total.populates_refused + total.unstorable;
    assert_eq!(stored_or_not, total.computed, "{total:?}");
    assert!(stats.store.bytes_written > 0);
}

#[tokio::test]
async fn errors_are_counted_by_kind_and_reads_by_how_long_they_took() {
    let server = Server::start().await;
    let cache = Cache::connect(Config::redis(&server.url()).unwrap()).await.unwrap();
    cache.scope(async { saves(1).await }).await;
    cache.flush().await;
    let stats = cache.stats();
    assert!(stats.total().errors_by.is_empty());
    assert!(stats.store.reads.count() >= 1 && stats.store.writes.count() >= 1, "{stats:?}");
    assert!(stats.store.reads.bounds.contains(&Duration::from_millis(100)), "the budget");
    drop(server);
    cache
        .scope(eventually("a read fails", async || {
            saves(2).await;
            !cache.stats().total().errors_by.is_empty()
        }))
        .await;
    let total = cache.stats().total();
    assert_eq!(total.errors, total.errors_by.values().sum::<u64>());
    assert!(total.errors_by.keys().all(|kind| ["down", "timeout"].contains(kind)), "{total:?}");
}

#[cache_result(prefix = "tagged", tags = ["one:{key}"])]
async fn tagged(key: u32) -> u64 {
    run()
}

#[cache_invalidate(prefix = "tagged")]
async fn writes() -> u64 {
    run()
}

#[tokio::test]
async fn invalidations_are_counted_by_what_they_name() {
    let cache = in_memory();
    cache
        .scope(async {
            tagged(1).await;
            invalidate(tagged(1)).await.unwrap();
            invalidate((tagged(1), tagged(2))).await.unwrap();
            cache.invalidate_prefix("tagged").await.unwrap();
            cache.invalidate_tag("one:1").await.unwrap();
            writes().await;
            cache.clear().await.unwrap();
        })
        .await;
    let counted = cache.stats().invalidations;
    let ok = [counted.calls.ok, counted.prefixes.ok, counted.tags.ok, counted.clears.ok];
    assert_eq!(ok, [2, 2, 1, 1]);
    assert_eq!(counted.calls.pending + counted.prefixes.pending + counted.tags.pending, 0);
}

#[cache_result(prefix = "switched")]
async fn switched(key: u32) -> u64 {
    run()
}

#[tokio::test]
async fn a_prefix_is_switched_off_and_comes_back_by_itself() {
    let (_server, caches) = both_stores().await;
    for cache in caches {
        cache
            .scope(async {
                let first = switched(1).await;
                saves(1).await;
                cache.flush().await;
                cache.switch_off(Some("switched"), Duration::from_secs(2), "a bad import");
                let (value, outcome) = observe(switched(1)).await;
                assert_eq!((outcome.reason(), value == first), (Some(Reason::Off), false));
                assert!(observe(saves(1)).await.1.is_hit(), "another prefix");
                let switches = cache.switches();
                assert_eq!((switches.len(), switches[0].prefix.as_deref()), (1, Some("switched")));
                assert_eq!(switches[0].reason, "a bad import");
                eventually("the switch is over", async || observe(switched(1)).await.1.is_hit())
                    .await;
                assert!(cache.switches().is_empty());

                cache.switch_off(None, Duration::from_secs(600), "the database is migrated");
                assert!(!cache.is_enabled() && observe(saves(1)).await.1.is_bypassed());
                cache.switch_on(Some("switched"));
                assert!(!cache.is_enabled(), "another switch");
                cache.switch_on(None);
                assert!(cache.is_enabled() && observe(saves(1)).await.1.is_hit());
            })
            .await;
    }
}

#[cache_result(prefix = "known", stale_if_error = "1h", version = 3, local)]
async fn known(key: u32) -> Result<u64, String> {
    Ok(run())
}

#[tokio::test]
async fn functions_are_listed_with_their_options() {
    in_memory().scope(async { known(1).await.unwrap() }).await;
    let all = functions();
    let known = all.iter().find(|function| function.prefix == "known").expect("it was called");
    assert!(known.function.contains("known"), "{known:?}");
    assert_eq!((known.version, known.local, known.disabled.as_deref()), (3, true, None));
    assert_eq!(known.stale_if_error, Duration::from_secs(3600));
}

#[tokio::test]
async fn statistics_have_a_schema_and_the_summary_the_shape_of_hand_written_ones() {
    let cache = in_memory();
    cache
        .scope(async {
            for _ in 0..3 {
                saves(1).await;
            }
        })
        .await;
    let json = serde_json::to_value(cache.stats()).unwrap();
    assert_eq!(json["schema"], 1);
    assert_eq!(json["prefixes"]["saves"]["hits"], 2);
    assert!(json["prefixes"]["saves"]["saved_seconds"].as_f64().unwrap() >= 0.04);
    assert_eq!(json["prefixes"]["saves"]["loads"]["counts"].as_array().unwrap().len(), 15);
    let health = serde_json::to_value(cache.health()).unwrap();
    assert_eq!((&health["status"], &health["last_error"]), (&"memory".into(), &().into()));
    let summary = serde_json::to_value(cache.summary()).unwrap();
    assert_eq!(summary["cache_enabled"], true);
    assert_eq!(summary["statistics"]["redis_enabled"], false);
    assert_eq!(summary["statistics"]["total_requests"], 3);
    assert_eq!(summary["statistics"]["hit_rate"], 66.67);
}

#[tokio::test]
async fn an_hour_is_kept_in_steps_of_ten_seconds() {
    let cache = in_memory();
    cache.scope(async { saves(1).await }).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    eventually("a step has ended", async || cache.history().prefixes.contains_key("saves")).await;
    let history = cache.history();
    assert_eq!(history.step, Duration::from_secs(10));
    assert_eq!(history.prefixes["saves"].computed.iter().sum::<u32>(), 1);
    assert_eq!(history.prefixes["saves"].hit_rate(Duration::from_secs(100)), Some(0.0));
}

#[cache_result(ttl = 90, prefix = "seen-locally", local)]
async fn seen_locally(key: u32) -> u64 {
    run()
}

#[tokio::test]
async fn each_server_is_told_with_its_breaker_and_its_tracking() {
    let mut server = Server::start().await;
    let config = Config::redis(&server.url()).unwrap().timeout(Duration::from_millis(50));
    let cache = Cache::connect(config).await.unwrap();
    let only = || {
        let health = cache.health();
        assert_eq!(health.servers.len(), 1, "{health:?}");
        assert_eq!(health.lanes, health.servers[0].lanes);
        health.servers[0].clone()
    };
    let first = only();
    assert_eq!(first.address, server.socket().to_str().unwrap());
    assert_eq!((first.status, first.breaker_open, first.listening), (Status::Up, false, false));
    cache
        .scope(async {
            seen_locally(1).await;
            cache.flush().await;
            eventually("changes are heard", async || {
                seen_locally(1).await;
                only().listening
            })
            .await;
        })
        .await;
    let known = functions();
    let known = known.iter().find(|function| function.prefix == "seen-locally").unwrap();
    assert_eq!(known.last_ttl, Some(Duration::from_secs(90)));

    server.freeze();
    eventually("the breaker opens", async || {
        cache.scope(seen_locally(2)).await;
        only().breaker_open
    })
    .await;
    let lost = only();
    assert_eq!((lost.status, lost.listening), (Status::Down, false));
    server.thaw();
    eventually("the server is back", async || {
        cache.scope(seen_locally(2)).await;
        only().status == Status::Up
    })
    .await;
    assert!(!only().breaker_open);
    server.kill();
    eventually("the loss is told", async || {
        cache.scope(seen_locally(3)).await;
        only().last_error.is_some()
    })
    .await;
    assert_eq!(only().lanes, 0);
}
