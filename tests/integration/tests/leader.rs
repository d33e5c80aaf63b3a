//! The call that runs the function for others is dropped, panics, or is not polled.

// Many functions answer with the number of their run, whatever they are called with.
#![allow(unused_variables)]

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use cache_runtime::{Cache, cache_result, observe};
use futures::FutureExt as _;
use support::{
    Runs, Server, block_on, eventually, fresh, landed, over_both_on_short_lived_runtimes,
};
use tokio::time::{sleep, timeout};

const SLOW: Duration = Duration::from_millis(300);
const LONG: Duration = Duration::from_secs(20);

/// A call on a task of its own.
fn call<F>(cache: &Cache, call: F) -> tokio::task::JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let cache = cache.clone();
    tokio::spawn(async move { cache.scope(call).await })
}

/// How often [`slow`] has begun.
static STARTS: Runs = Runs::new();

#[cache_result(ttl = 60)]
async fn slow(key: u32) -> u32 {
    STARTS.run(key);
    sleep(SLOW).await;
    key + 1
}

/// A call that runs, and its key.
async fn lead(cache: &Cache) -> (u32, tokio::task::JoinHandle<u32>) {
    let key = fresh();
    let leader = call(cache, slow(key));
    eventually("it runs", || async { STARTS.of(key) > 0 }).await;
    (key, leader)
}

#[test]
fn a_dropped_leader_hands_over_to_a_waiter() {
    over_both_on_short_lived_runtimes(&async |cache: &Cache| {
        let (key, leader) = lead(cache).await;
        let followers: Vec<_> = (0..20).map(|_| call(cache, observe(slow(key)))).collect();
        sleep(SLOW / 6).await;
        leader.abort();
        let mut computed = 0;
        for follower in followers {
            let (value, outcome) = timeout(LONG, follower).await.unwrap().unwrap();
            assert_eq!(value, key + 1);
            computed += u32::from(outcome.is_computed());
            assert!(!outcome.is_bypassed(), "{outcome:?}");
        }
        assert_eq!(STARTS.of(key), 2, "the dropped one and its heir");
        assert_eq!(computed, 1);
        landed(cache).await;
        // Under the same lease: what the heir computed is stored.
        let (_, outcome) = cache.scope(observe(slow(key))).await;
        assert!(outcome.is_hit(), "{outcome:?}");
    });
}

#[test]
fn a_leader_dropped_with_nobody_waiting_frees_its_lease() {
    over_both_on_short_lived_runtimes(&async |cache: &Cache| {
        let (key, leader) = lead(cache).await;
        leader.abort();
        let _ = leader.await;
        landed(cache).await;
        let (_, outcome) = cache.scope(observe(slow(key))).await;
        assert!(outcome.is_computed(), "{outcome:?}");
        landed(cache).await;
        assert!(cache.scope(observe(slow(key))).await.1.is_hit());
    });
}

#[test]
fn a_leader_dropped_before_its_lease_is_answered_leaves_nothing_behind() {
    over_both_on_short_lived_runtimes(&async |cache: &Cache| {
        for polls in 1..6 {
            let key = fresh();
            let mut leader = Box::pin(cache.scope(slow(key)));
            for _ in 0..polls {
                let _ = (&mut leader).now_or_never();
                tokio::task::yield_now().await;
            }
            drop(leader);
            landed(cache).await;
            let (value, outcome) = cache.scope(observe(slow(key))).await;
            assert_eq!(value, key + 1);
            assert!(!outcome.is_bypassed(), "{outcome:?}");
        }
    });
}

#[test]
fn a_dropped_follower_disturbs_nobody() {
    over_both_on_short_lived_runtimes(&async |cache: &Cache| {
        let key = fresh();
        let calls: Vec<_> = (0..30).map(|_| call(cache, slow(key))).collect();
        eventually("it runs", || async { STARTS.of(key) > 0 }).await;
        sleep(SLOW / 6).await;
        // Whoever leads is among them or not: a third goes away.
        let mut rest = Vec::new();
        for (number, call) in calls.into_iter().enumerate() {
            if number % 3 == 1 { call.abort() } else { rest.push(call) }
        }
        for call in rest {
            assert_eq!(timeout(LONG, call).await.unwrap().unwrap(), key + 1);
        }
        assert!(STARTS.of(key) <= 2);
        landed(cache).await;
    });
}

/// How often [`panicking`] has begun.
static PANIC_STARTS: Runs = Runs::new();

/// Panics in its first `panics` runs of a key.
#[cache_result(ttl = 60, skip(panics))]
async fn panicking(key: u32, panics: u32) -> u32 {
    let run = PANIC_STARTS.run(key);
    sleep(SLOW).await;
    assert!(run > panics, "as asked");
    key
}

/// The panics among calls that all end.
async fn panics_among(calls: Vec<tokio::task::JoinHandle<u32>>, key: u32) -> u32 {
    let mut panicked = 0;
    for call in calls {
        match timeout(LONG, call).await.expect("nobody hangs") {
            Ok(value) => assert_eq!(value, key),
            Err(error) => panicked += u32::from(error.is_panic()),
        }
    }
    panicked
}

#[test]
fn a_panic_stays_with_its_caller_and_one_waiter_runs_for_the_rest() {
    over_both_on_short_lived_runtimes(&async |cache: &Cache| {
        for panics in [1, 2] {
            let key = fresh();
            let calls = (0..500).map(|_| call(cache, panicking(key, panics))).collect();
            assert_eq!(panics_among(calls, key).await, panics);
            assert_eq!(PANIC_STARTS.of(key), panics + 1, "those that panicked and their heir");
            landed(cache).await;
            let (_, outcome) = cache.scope(observe(panicking(key, panics))).await;
            assert!(outcome.is_hit(), "{outcome:?}");
        }
    });
}

#[test]
fn a_function_that_always_panics_does_so_for_each_of_its_callers_and_not_one_after_the_other() {
    over_both_on_short_lived_runtimes(&async |cache: &Cache| {
        let key = fresh();
        let calls = (0..200).map(|_| call(cache, panicking(key, u32::MAX))).collect();
        let began = Instant::now();
        assert_eq!(panics_among(calls, key).await, 200);
        assert!(began.elapsed() < SLOW * 50, "{:?}", began.elapsed());
        landed(cache).await;
    });
}

/// Its first run never ends.
#[cache_result(ttl = 60)]
async fn at_second_try(key: u32) -> u32 {
    if STARTS.run(key) == 1 {
        std::future::pending::<()>().await;
    }
    key + 1
}

#[test]
fn a_leader_that_goes_with_the_panic_of_its_sibling_hands_over_to_a_waiter() {
    over_both_on_short_lived_runtimes(&async |cache: &Cache| {
        let (key, (panic, told)) = (fresh(), tokio::sync::oneshot::channel::<()>());
        let pair = call(cache, async move {
            let panics = async {
                let _ = told.await;
                std::panic::resume_unwind(Box::new("as asked"))
            };
            tokio::join!(at_second_try(key), panics).0
        });
        eventually("it runs", || async { STARTS.of(key) > 0 }).await;
        let followers: Vec<_> =
            (0..100).map(|_| call(cache, observe(at_second_try(key)))).collect();
        sleep(SLOW / 6).await;
        drop(panic);
        assert!(timeout(LONG, pair).await.unwrap().unwrap_err().is_panic());
        for follower in followers {
            let (value, outcome) = timeout(LONG, follower).await.unwrap().unwrap();
            assert!(value == key + 1 && !outcome.is_bypassed(), "{outcome:?}");
        }
        assert_eq!(STARTS.of(key), 2, "the one that went and its heir");
    });
}

/// Polls a call until it runs, then keeps it without polling it.
async fn hold<'a>(cache: &'a Cache, key: u32) -> Pin<Box<dyn Future<Output = u32> + Send + 'a>> {
    let mut held: Pin<Box<dyn Future<Output = u32> + Send>> = Box::pin(cache.scope(slow(key)));
    while STARTS.of(key) == 0 {
        assert!((&mut held).now_or_never().is_none());
        sleep(Duration::from_millis(5)).await;
    }
    held
}

#[test]
fn a_leader_that_is_held_and_not_polled_is_overtaken_by_one() {
    over_both_on_short_lived_runtimes(&async |cache: &Cache| {
        let key = fresh();
        let held = hold(cache, key).await;
        let followers: Vec<_> = (0..20).map(|_| call(cache, observe(slow(key)))).collect();
        for follower in followers {
            let (value, outcome) = timeout(LONG, follower).await.unwrap().unwrap();
            assert_eq!(value, key + 1);
            assert!(!outcome.is_bypassed(), "{outcome:?}");
        }
        assert_eq!(STARTS.of(key), 2, "one overtakes, the rest wait");
        landed(cache).await;
        // The held one comes back late, gets its own value, and stores nothing.
        assert_eq!(timeout(LONG, held).await.unwrap(), key + 1);
        let (_, outcome) = cache.scope(observe(slow(key))).await;
        assert!(outcome.is_hit(), "{outcome:?}");
    });
}

type Boxed = Pin<Box<dyn Future<Output = u32> + Send>>;

/// Calls by way of a pointer, so that two functions can call each other over tasks.
async fn on_a_task(cache: Cache, call: fn(Cache, u32) -> Boxed, key: u32) -> u32 {
    tokio::spawn(async move { cache.scope(call(cache.clone(), key)).await })
        .await
        .expect("no panic")
}

#[cache_result(ttl = 60, skip(cache))]
async fn knot(cache: Cache, key: u32) -> u32 {
    on_a_task(cache, |cache, key| Box::pin(through(cache, key)), key).await + 1
}

#[cache_result(ttl = 60, skip(cache))]
async fn through(cache: Cache, key: u32) -> u32 {
    static FIRST: AtomicBool = AtomicBool::new(true);
    if !FIRST.swap(false, Ordering::SeqCst) {
        return 10;
    }
    on_a_task(cache, boxed_knot, key).await
}

fn boxed_knot(cache: Cache, key: u32) -> Boxed {
    Box::pin(knot(cache, key))
}

#[test]
fn a_knot_of_two_functions_over_three_tasks_is_cut_by_wait() {
    let server = block_on(Server::start());
    let cache = Cache::new(server.config().wait(Duration::from_secs(2)));
    block_on(cache.scope(async {
        // knot waits for through, which waits for knot, which waits for the first knot.
        let value = timeout(LONG, knot(cache.clone(), 1)).await.expect("the knot is cut");
        assert!(value > 10);
    }));
}
