//! Figures that mislead: a call that is counted twice, or not at all, or as what it was not.

// Many functions answer with the number of their run, whatever they are called with.
#![allow(unused_variables)]

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cache_runtime::{
    Cache, Config, PrefixStats, bypass, cache_result, explain, invalidate, observe, peek, put,
    refresh,
};
use futures::FutureExt;
use support::{
    Dice, Server, both_stores, computed, eventually, fresh, hit, in_memory, landed, over_both, run,
};

/// Calls of a prefix that have been begun: polled at least once.
struct Made(AtomicU64);

impl Made {
    const fn none() -> Self {
        Self(AtomicU64::new(0))
    }

    fn one(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

static PLAIN: Made = Made::none();
static STALE: Made = Made::none();
static NESTED: Made = Made::none();

#[cache_result(ttl = 1, prefix = "chaos-plain", local, when = key != 7, wait = "100ms")]
async fn plain(key: u64, act: u64) -> Result<u64, String> {
    perform(act).await
}

#[cache_result(
    ttl = "100ms",
    prefix = "chaos-stale",
    key = "{key}",
    stale_while_revalidate = "150ms",
    stale_if_error = "300ms",
    refresh_ahead = 1.0
)]
async fn stale(key: u64, act: u64) -> Result<u64, String> {
    perform(act).await
}

#[cache_result(ttl = 1, prefix = "chaos-nested", skip(act), stale_if_error = 1)]
async fn nested(key: u64, act: u64) -> Result<u64, String> {
    PLAIN.one();
    plain(key, act).await
}

const ASKED: &str = "as asked";

/// What a function does: takes its time, fails, or panics.
async fn perform(act: u64) -> Result<u64, String> {
    tokio::time::sleep(Duration::from_millis(act % 5)).await;
    match act % 11 {
        0 => Err(ASKED.to_owned()),
        1 => panic!("{ASKED}"),
        _ => Ok(run()),
    }
}

/// One call by one of the verbs, to its end or until it is dropped.
async fn one_of<F, O>(call: F, dice: &mut Dice)
where
    F: Future<Output = O> + Send,
    O: Send + 'static,
{
    let verb = dice.below(8);
    let called = async {
        match verb {
            0 => drop(observe(call).await),
            1 => drop(refresh(call).await),
            2 => drop(bypass(call).await),
            _ => drop(call.await),
        }
    };
    let called = std::panic::AssertUnwindSafe(called).catch_unwind();
    let patience = if dice.below(6) == 0 { 1 } else { 60_000 };
    let _ = tokio::time::timeout(Duration::from_millis(patience), called).await;
}

async fn caller(cache: Cache, mut dice: Dice, calls: u64) {
    for _ in 0..calls {
        let (key, act) = (dice.below(8), dice.below(100));
        match dice.below(12) {
            0..4 => {
                PLAIN.one();
                one_of(plain(key, act % 3 + 3), &mut dice).await;
            }
            4..7 => {
                STALE.one();
                one_of(stale(key, act), &mut dice).await;
            }
            7..9 => {
                NESTED.one();
                one_of(nested(key, act), &mut dice).await;
            }
            9 if act < 10 => {
                drop(invalidate((plain(key, 3), stale(key, 3), nested(key, 3))).await);
            }
            10 if act < 2 => drop(cache.invalidate_prefix("chaos-stale").await),
            9 | 10 => tokio::time::sleep(Duration::from_millis(act)).await,
            _ => {
                let _ = (peek(plain(key, 3)).await, explain(stale(key, 3)).await);
                let _ = put(stale(key, 3), Ok(3)).await;
            }
        }
    }
}

fn sums(stats: &cache_runtime::Stats) -> [u64; 3] {
    ["chaos-plain", "chaos-stale", "chaos-nested"].map(|prefix| stats.prefix(prefix).calls())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_call_is_counted_once_whatever_becomes_of_it() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if panic.payload_as_str() != Some(ASKED) {
            usual(panic);
        }
    }));
    let mut server = Server::start().await;
    let config = Config::redis(&server.url()).unwrap().timeout(Duration::from_millis(20));
    let here = Cache::connect(config.clone()).await.unwrap();
    // Another process's.
    let there = Cache::connect(config).await.unwrap();
    let memory = Cache::in_memory();
    let caches = [here, there, memory];
    let mut dice = Dice::new(12);
    let mut callers = tokio::task::JoinSet::new();
    for number in 0..24 {
        let (cache, dice) = (caches[number % 3].clone(), dice.split());
        callers.spawn(async move { cache.scope(caller(cache.clone(), dice, 250)).await });
    }
    let pause = || tokio::time::sleep(Duration::from_millis(300));
    pause().await;
    server.kill();
    caches[2].disable();
    pause().await;
    server.restart().await;
    caches[2].enable();
    pause().await;
    server.freeze();
    pause().await;
    server.thaw();
    while let Some(ended) = callers.join_next().await {
        ended.unwrap();
    }
    let made = || [&PLAIN, &STALE, &NESTED].map(|made| made.0.load(Ordering::SeqCst));
    // Refreshes behind a call go on after it, and may make calls.
    for cache in &caches {
        landed(cache).await;
    }
    eventually("every call is counted", || async {
        let each = caches.each_ref().map(|cache| sums(&cache.stats()));
        let counted: [u64; 3] =
            std::array::from_fn(|prefix| each.iter().map(|sums| sums[prefix]).sum());
        counted == made()
    })
    .await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    let totals = caches.each_ref().map(|cache| cache.stats().total());
    assert_eq!(totals.iter().map(PrefixStats::calls).sum::<u64>(), made().iter().sum::<u64>());
    let all = |count: fn(&PrefixStats) -> u64| totals.iter().map(count).sum::<u64>() > 0;
    assert!(all(|of| of.hits) && all(|of| of.local_hits) && all(|of| of.stale), "{totals:#?}");
    assert!(all(|of| of.joined) && all(|of| of.computed) && all(|of| of.abandoned), "{totals:#?}");
    assert!(all(|of| of.refreshes) && all(PrefixStats::bypassed_total), "{totals:#?}");
    assert!(all(|of| of.errors) && all(|of| of.populated), "{totals:#?}");
    for total in &totals {
        assert!(total.saved > Duration::ZERO, "{total:#?}");
        assert_eq!(total.errors, total.errors_by.values().sum::<u64>(), "{total:#?}");
        assert_eq!(total.loads.count(), total.load_successes + total.load_failures, "{total:#?}");
        // Each run that returned a value is one populate, whatever becomes of the value; `put` is one too.
        let populates = total.populated
            + total.populates_fenced
            + total.populates_queue_full
            + total.populates_failed
            + total.populates_refused
            + total.unstorable;
        assert!(populates >= total.computed.saturating_sub(total.load_failures), "{total:#?}");
    }
}

#[cache_result(prefix = "counted-refresh")]
async fn refreshed(key: u32) -> u64 {
    run()
}

#[tokio::test]
async fn a_refresh_is_a_call_that_computed_and_a_refresh_and_a_dry_run_is_nothing() {
    over_both(|cache| async move {
        let key = fresh();
        refresh(refreshed(key)).await;
        cache.flush().await;
        refresh(refreshed(key)).await;
        cache.flush().await;
        let (_, _) = (peek(refreshed(key)).await, explain(refreshed(key)).await.unwrap());
        put(refreshed(key), 7).await.unwrap();
        let stats = cache.stats().prefix("counted-refresh");
        assert_eq!((stats.calls(), stats.computed, stats.refreshes), (2, 2, 2), "{stats:?}");
        hit!(refreshed(key));
        let stats = cache.stats().prefix("counted-refresh");
        assert_eq!((stats.hits, stats.misses(), stats.hit_rate()), (1, 2, Some(1.0 / 3.0)));
    })
    .await;
}

#[cache_result(prefix = "counted-outage")]
async fn unreachable(key: u32) -> u64 {
    run()
}

#[tokio::test]
async fn the_hit_rate_falls_while_everything_is_bypassed_and_rises_with_the_server() {
    let mut server = Server::start().await;
    let cache = server.cache().await;
    cache
        .scope(async {
            let key = fresh();
            computed!(cache, unreachable(key));
            for _ in 0..9 {
                hit!(unreachable(key));
            }
            assert_eq!(cache.stats().prefix("counted-outage").hit_rate(), Some(0.9));
            server.kill();
            for _ in 0..10 {
                unreachable(key).await;
            }
            let stats = cache.stats().prefix("counted-outage");
            assert_eq!((stats.calls(), stats.bypassed_total()), (20, 10), "{stats:?}");
            assert_eq!(stats.hit_rate(), Some(0.45));
            // A caller that does not want the cache misses nothing.
            bypass(unreachable(key)).await;
            assert_eq!(cache.stats().prefix("counted-outage").hit_rate(), Some(0.45));
        })
        .await;
}

#[tokio::test]
async fn an_invalidation_counts_before_the_first_call_of_its_prefix_and_without_a_function() {
    let (server, caches) = both_stores().await;
    for cache in caches {
        cache.invalidate_prefix("counted-first").await.unwrap();
        cache.invalidate_prefix("counted-elsewhere").await.unwrap();
        let stats = cache.stats();
        assert_eq!(stats.prefix("counted-first").invalidations, 1);
        assert_eq!(stats.prefix("counted-elsewhere").invalidations, 1);
        assert_eq!(stats.total().calls(), 0);
    }
    drop(server);
    let off = Cache::disabled();
    off.invalidate_prefix("counted-first").await.unwrap();
    assert_eq!(off.stats(), cache_runtime::Stats::default());
    // A program may make prefixes up: they do not stay for ever.
    let cache = in_memory();
    for number in 0..3000 {
        cache.invalidate_prefix(&format!("counted-{number}")).await.unwrap();
    }
    assert!(cache.stats().prefixes.len() <= 1024, "{}", cache.stats().prefixes.len());
}
