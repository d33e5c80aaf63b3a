//! A call that is part of its own computation must not wait for itself.

// Many functions answer with the number of their run, whatever they are called with.
#![allow(unused_variables)]

use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, Instant};

use cache_runtime::{Cache, Reason, cache_result, observe};
use support::{Runs, fresh, over_both_on_short_lived_runtimes};
use tokio::time::timeout;

const LONG: Duration = Duration::from_secs(20);

type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Calls itself with the same key once, and says what became of the inner call.
#[cache_result(ttl = 60, skip(again))]
async fn same(key: u32, again: bool) -> Option<String> {
    if !again {
        return Some(format!("inner {key}"));
    }
    let inner: Boxed<_> = boxed(key);
    let (_, outcome) = observe(inner).await;
    Some(outcome.to_string())
}

fn boxed(key: u32) -> Boxed<Option<String>> {
    Box::pin(same(key, false))
}

#[test]
fn a_key_computed_within_itself_runs_plainly() {
    over_both_on_short_lived_runtimes(&async |cache: &Cache| {
        cache_runtime::invalidate(cache.scope(same(1, true))).await.unwrap();
        let value = timeout(LONG, cache.scope(same(1, true))).await.expect("no deadlock");
        assert_eq!(value, Some(format!("bypassed ({})", Reason::Recursion)));
    });
}

#[cache_result(ttl = 60)]
async fn fibonacci(n: u64) -> u64 {
    if n < 2 {
        return n;
    }
    boxed_fibonacci(n - 1).await + boxed_fibonacci(n - 2).await
}

fn boxed_fibonacci(n: u64) -> Boxed<u64> {
    Box::pin(fibonacci(n))
}

#[test]
fn other_keys_of_the_same_function_are_cached_as_usual() {
    over_both_on_short_lived_runtimes(&async |cache: &Cache| {
        // Without a cache it would take as many runs as the number has.
        let value = timeout(LONG, cache.scope(fibonacci(90))).await.expect("it is fast");
        assert_eq!(value, 2_880_067_194_370_816_120);
    });
}

#[cache_result(ttl = 60)]
async fn ping(key: u32) -> u32 {
    boxed_pong(key).await + 1
}

#[cache_result(ttl = 60)]
async fn pong(key: u32) -> u32 {
    // Within one task: the outermost call is found on the way in.
    let (value, outcome) = observe(boxed_ping_end(key)).await;
    assert_eq!(outcome.reason(), None);
    value + 10
}

#[cache_result(ttl = 60)]
async fn ping_end(key: u32) -> u32 {
    key
}

fn boxed_pong(key: u32) -> Boxed<u32> {
    Box::pin(pong(key))
}

fn boxed_ping_end(key: u32) -> Boxed<u32> {
    Box::pin(ping_end(key))
}

#[test]
fn nested_functions_are_each_cached() {
    over_both_on_short_lived_runtimes(&async |cache: &Cache| {
        let value = timeout(LONG, cache.scope(ping(5))).await.expect("no deadlock");
        assert_eq!(value, 16);
        cache.flush().await;
        cache
            .scope(async {
                assert_eq!(cache_runtime::peek(ping(5)).await, Some(16));
                assert_eq!(cache_runtime::peek(pong(5)).await, Some(15));
                assert_eq!(cache_runtime::peek(ping_end(5)).await, Some(5));
            })
            .await;
    });
}

static RUNS: Runs = Runs::new();

/// Keys of this function call each other, if they are told to.
#[cache_result(ttl = 60, skip(calls))]
async fn mutual(key: u32, calls: Option<u32>) -> u32 {
    RUNS.run(key);
    tokio::time::sleep(Duration::from_millis(200)).await;
    match calls {
        Some(other) => boxed_mutual(other).await + 1,
        None => key,
    }
}

fn boxed_mutual(key: u32) -> Boxed<u32> {
    Box::pin(mutual(key, None))
}

#[test]
fn keys_that_wait_for_each_other_do_not_wait_for_long() {
    over_both_on_short_lived_runtimes(&async |cache: &Cache| {
        // Each calls the next, the last one the first.
        for length in [2, 3] {
            let keys: Vec<u32> = (0..length).map(|_| fresh()).collect();
            let next = keys.iter().cycle().skip(1);
            let calls = keys.iter().zip(next).map(|(key, next)| {
                let (key, next, cache) = (*key, *next, cache.clone());
                tokio::spawn(async move { cache.scope(observe(mutual(key, Some(next)))).await })
            });
            let begun = Instant::now();
            for call in calls.collect::<Vec<_>>() {
                let (_, outcome) = timeout(LONG, call).await.expect("no deadlock").unwrap();
                assert!(outcome.is_computed(), "{outcome:?}");
            }
            // They would wait for half a minute.
            assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
        }
    });
}

#[test]
fn who_waits_for_a_computation_that_does_not_wait_for_it_shares_it() {
    over_both_on_short_lived_runtimes(&async |cache: &Cache| {
        // A chain, whose end is awaited by all.
        let keys = [fresh(), fresh(), fresh()];
        let calls = keys.iter().zip([Some(keys[1]), Some(keys[2]), None]).map(|(key, next)| {
            let (key, cache) = (*key, cache.clone());
            tokio::spawn(async move { cache.scope(observe(mutual(key, next))).await })
        });
        for call in calls.collect::<Vec<_>>() {
            let (_, outcome) = timeout(LONG, call).await.expect("no deadlock").unwrap();
            assert!(outcome.is_computed(), "{outcome:?}");
        }
        assert_eq!(RUNS.of(keys[0]) + RUNS.of(keys[1]) + RUNS.of(keys[2]), 3);
    });
}
