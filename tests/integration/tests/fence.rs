//! Nothing old is stored, whatever comes late, and nothing that is served is older than it seems.

// Many functions answer with the number of their run, whatever they are called with.
#![allow(unused_variables)]

use std::time::Duration;

use cache_runtime::{Cache, Config, Reason, cache_result, invalidate, observe, peek, refresh};
use support::{Runs, Server, computed, eventually, fresh, key_of, landed, over_both, stored};
use tokio::time::sleep;

static RUNS: Runs = Runs::new();

#[cache_result(ttl = 60, prefix = "rows")]
async fn row(key: u32) -> u32 {
    let run = RUNS.run(key);
    sleep(Duration::from_millis(300)).await;
    run
}

#[cache_result(ttl = 60, prefix = "quick", tags = ["quick"])]
async fn quick(key: u32) -> u32 {
    RUNS.run(key)
}

#[tokio::test]
async fn a_prefix_that_another_process_invalidates_is_served_no_more_at_once() {
    let server = Server::start().await;
    let (here, there) = (server.cache().await, server.cache().await);
    for round in 0..50 {
        let key = fresh();
        here.scope(async { stored!(here, quick(key)) }).await;
        if round % 2 == 0 {
            there.invalidate_prefix("quick").await.unwrap();
        } else {
            there.invalidate_tag("quick").await.unwrap();
        }
        here.scope(async { computed!(here, quick(key)) }).await;
    }
}

#[cache_result(ttl = 60, prefix = "rows", lease = "60s")]
async fn guarded(key: u32) -> u32 {
    RUNS.run(key)
}

#[tokio::test]
async fn a_lease_that_is_granted_too_late_stores_nothing_and_delays_nobody() {
    let server = Server::start().await;
    let config = Config::redis(&server.url()).unwrap().timeout(Duration::from_secs(5));
    let hasty = Cache::connect(config.budget(Duration::from_millis(300))).await.unwrap();
    let other = server.cache().await;
    let key = fresh();
    hasty.scope(async { stored!(hasty, quick(key)) }).await;
    let key = fresh();
    let name = hasty.scope(key_of(guarded(key))).await;
    hasty.scope(guarded(fresh())).await;
    hasty.flush().await;
    let before = server.calls("getrange").await;
    // Reads are answered, and writes wait: the lease is asked for, and granted when it is over.
    server.command::<()>(&["CLIENT", "PAUSE", "1500", "WRITE"]).await;
    let (value, outcome) = hasty.scope(observe(guarded(key))).await;
    assert_eq!((value, outcome.reason()), (1, Some(Reason::Timeout)));
    let free = || async { server.command::<u32>(&["EXISTS", &name]).await == 0 };
    tokio::time::sleep(Duration::from_millis(1500)).await;
    // Long before it would expire.
    eventually("it is given up", free).await;
    assert!(server.calls("getrange").await >= before + 2, "it was granted, and given up");
    other.scope(async { stored!(other, guarded(key)) }).await;
    assert_eq!(RUNS.of(key), 2);
}

#[tokio::test]
async fn a_refresh_that_an_invalidation_overtakes_stores_nothing() {
    over_both(|cache: Cache| async move {
        for (there, prefix) in [(true, false), (true, true), (false, false), (false, true)] {
            let key = fresh();
            if there {
                computed!(cache, row(key));
            }
            let before = RUNS.of(key);
            let ours = cache.clone();
            let running = tokio::spawn(async move { ours.scope(refresh(row(key))).await });
            eventually("it runs", || async { RUNS.of(key) > before }).await;
            if prefix {
                cache.invalidate_prefix("rows").await.unwrap();
            } else {
                invalidate(row(key)).await.unwrap();
            }
            assert_eq!(running.await.unwrap(), before + 1);
            landed(&cache).await;
            assert_eq!(peek(row(key)).await, None, "{there} {prefix}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_lease_taken_away_by_hand_is_not_taken_again() {
    #[cache_result(ttl = 60, lease = "300ms")]
    async fn long(key: u32) -> u32 {
        RUNS.run(key);
        sleep(Duration::from_millis(1500)).await;
        key
    }
    let server = Server::start().await;
    let cache = server.cache().await;
    let key = fresh();
    let ours = cache.clone();
    let running = tokio::spawn(async move { ours.scope(long(key)).await });
    eventually("it runs", || async { RUNS.of(key) > 0 }).await;
    let lease = server.entries().await.remove(0);
    assert_eq!(server.command::<u32>(&["DEL", &lease]).await, 1);
    while !running.is_finished() {
        assert!(server.entries().await.is_empty(), "an extension took it again");
        sleep(Duration::from_millis(20)).await;
    }
    landed(&cache).await;
    assert!(server.entries().await.is_empty());
}

#[tokio::test]
async fn tokens_are_renewed_when_they_have_to_be_and_not_at_each_populate() {
    let server = Server::start().await;
    let cache = server.cache().await;
    cache
        .scope(async {
            for _ in 0..50 {
                let key = fresh();
                stored!(cache, quick(key));
            }
        })
        .await;
    assert_eq!(server.calls("pexpire").await, 0);
}

#[cache_result(ttl = 2, jitter = 0, stale_while_revalidate = 60)]
async fn windowed(key: u32) -> u32 {
    RUNS.run(key)
}

#[tokio::test]
async fn an_age_is_asked_for_before_the_entry_never_after() {
    let server = Server::start().await;
    let cache = server.cache().await;
    cache.scope(async { stored!(cache, windowed(1)) }).await;
    let client = redis::Client::open(server.url()).unwrap();
    let mut monitor = client.get_async_monitor().await.unwrap();
    cache.scope(windowed(1)).await;
    let mut lines = monitor.on_message::<String>();
    let mut seen = Vec::new();
    while seen.len() < 2 {
        let line = futures::StreamExt::next(&mut lines).await.unwrap();
        seen.extend(["PTTL", "MGET"].into_iter().filter(|word| line.contains(word)));
    }
    assert_eq!(seen, ["PTTL", "MGET"]);
}

#[tokio::test]
async fn an_entry_that_lost_its_expiry_is_not_fresh_for_ever() {
    let server = Server::start().await;
    let cache = server.cache().await;
    cache
        .scope(async {
            let value = stored!(cache, windowed(2));
            let key = key_of(windowed(2)).await;
            assert_eq!(server.command::<u32>(&["PERSIST", &key]).await, 1);
            assert_ne!(computed!(cache, windowed(2)), value);
        })
        .await;
}

#[tokio::test]
async fn a_function_that_hangs_does_not_hold_its_lease_for_ever() {
    #[cache_result(ttl = 60, lease = "1s", wait = "120s")]
    async fn hangs(key: u32) -> u32 {
        if RUNS.run(key) == 1 { std::future::pending().await } else { key }
    }
    if std::env::var_os("CI_LONG").is_none() {
        println!("skipped: a minute long; runs with CI_LONG=1");
        return;
    }
    let server = Server::start().await;
    let (here, there) = (server.cache().await, server.cache().await);
    let key = fresh();
    let running = tokio::spawn(async move { there.scope(hangs(key)).await });
    eventually("it runs", || async { RUNS.of(key) > 0 }).await;
    let begun = std::time::Instant::now();
    let (_, outcome) = here.scope(observe(hangs(key))).await;
    assert!(outcome.is_computed(), "{outcome:?}");
    assert!((50..70).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
    running.abort();
}
