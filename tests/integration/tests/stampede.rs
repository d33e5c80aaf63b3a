//! Many callers of one cold key: the function runs once, and everybody gets what it returned.

// Many functions answer with the number of their run, whatever they are called with.
#![allow(unused_variables)]

use std::future::Future;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use cache_runtime::{Cache, cache_result, observe};
use futures::future::join_all;
use serde::{Deserialize, Serialize};
use support::{Runs, fresh, landed, over_both_on_short_lived_runtimes};
use tokio::time::sleep;

const SLOW: Duration = Duration::from_millis(300);

/// Calls from tasks of their own, all at once.
async fn herd<F>(cache: &Cache, callers: usize, call: impl Fn() -> F) -> Vec<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let tasks = (0..callers).map(|_| {
        let (cache, call) = (cache.clone(), call());
        tokio::spawn(async move { cache.scope(call).await })
    });
    join_all(tasks).await.into_iter().map(|task| task.expect("no caller panics")).collect()
}

static CLONED: Runs = Runs::new();

#[cache_result(ttl = 60)]
async fn cloned(key: u32) -> String {
    sleep(SLOW).await;
    format!("{key}: run {}", CLONED.run(key))
}

#[test]
fn fifty_and_a_thousand_cold_callers_share_one_run() {
    over_both_on_short_lived_runtimes(&async |cache: &Cache| {
        for callers in [50, 1000] {
            let key = fresh();
            let values = herd(cache, callers, || observe(cloned(key))).await;
            assert_eq!(CLONED.of(key), 1);
            assert!(values.iter().all(|(value, _)| *value == values[0].0));
            assert!(values.iter().all(|(_, outcome)| !outcome.is_bypassed()), "{values:?}");
            assert_eq!(values.iter().filter(|(_, outcome)| outcome.is_computed()).count(), 1);
        }
    });
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct NotClone(u32);

static ENCODED: Runs = Runs::new();

#[cache_result(ttl = 60)]
async fn encoded(key: u32) -> NotClone {
    sleep(SLOW).await;
    NotClone(ENCODED.run(key))
}

#[test]
fn a_value_that_is_not_clone_is_shared_by_its_bytes() {
    over_both_on_short_lived_runtimes(&async |cache: &Cache| {
        let key = fresh();
        let values = herd(cache, 50, || encoded(key)).await;
        assert_eq!(ENCODED.of(key), 1);
        assert!(values.iter().all(|value| *value == NotClone(1)));
    });
}

static REFUSED: Runs = Runs::new();

#[cache_result(ttl = 60, cache_if = |_| false)]
async fn not_stored(key: u32) -> NotClone {
    sleep(SLOW).await;
    NotClone(REFUSED.run(key))
}

#[test]
fn a_value_that_is_not_stored_is_still_shared() {
    over_both_on_short_lived_runtimes(&async |cache: &Cache| {
        let key = fresh();
        herd(cache, 50, || not_stored(key)).await;
        assert_eq!(REFUSED.of(key), 1);
        cache.flush().await;
        cache.scope(not_stored(key)).await;
        assert_eq!(REFUSED.of(key), 2);
    });
}

static FAILED: Runs = Runs::new();

#[cache_result(ttl = 60)]
async fn failing(key: u32) -> Result<u32, String> {
    sleep(SLOW).await;
    Err(format!("{key}: run {}", FAILED.run(key)))
}

#[test]
fn a_clone_error_is_shared_and_not_kept() {
    over_both_on_short_lived_runtimes(&async |cache: &Cache| {
        let key = fresh();
        let errors = herd(cache, 50, || failing(key)).await;
        assert_eq!(FAILED.of(key), 1);
        assert!(errors.iter().all(|error| *error == errors[0] && error.is_err()));
        cache.scope(failing(key)).await.expect_err("it always fails");
        assert_eq!(FAILED.of(key), 2, "an error is never stored");
    });
}

static UNSHARED: Runs = Runs::new();
static AT_ONCE: AtomicU32 = AtomicU32::new(0);
static MOST_AT_ONCE: AtomicU32 = AtomicU32::new(0);

#[cache_result(ttl = 60)]
async fn failing_unshared(key: u32) -> Result<u32, Box<dyn std::error::Error + Send + Sync>> {
    UNSHARED.run(key);
    let now = AT_ONCE.fetch_add(1, Ordering::SeqCst) + 1;
    MOST_AT_ONCE.fetch_max(now, Ordering::SeqCst);
    sleep(SLOW).await;
    AT_ONCE.fetch_sub(1, Ordering::SeqCst);
    Err(format!("no {key}").into())
}

#[test]
fn an_error_that_is_not_clone_sends_all_off_at_once_and_not_in_a_queue() {
    over_both_on_short_lived_runtimes(&async |cache: &Cache| {
        let key = fresh();
        MOST_AT_ONCE.store(0, Ordering::SeqCst);
        let errors = herd(cache, 20, || failing_unshared(key)).await;
        assert!(errors.iter().all(Result::is_err));
        assert_eq!(UNSHARED.of(key), 20);
        assert!(MOST_AT_ONCE.load(Ordering::SeqCst) > 10, "they queued");
    });
}

static NONE: Runs = Runs::new();

#[cache_result(ttl = 60)]
async fn nothing(key: u32) -> Option<NotClone> {
    sleep(SLOW).await;
    NONE.run(key);
    None
}

#[test]
fn a_none_is_shared_and_not_kept() {
    over_both_on_short_lived_runtimes(&async |cache: &Cache| {
        let key = fresh();
        let values = herd(cache, 50, || nothing(key)).await;
        assert!(values.iter().all(Option::is_none));
        assert_eq!(NONE.of(key), 1);
        assert_eq!(cache.scope(nothing(key)).await, None);
        assert_eq!(NONE.of(key), 2);
    });
}

#[test]
fn no_flight_is_left_behind() {
    over_both_on_short_lived_runtimes(&async |cache: &Cache| {
        let key = fresh();
        herd(cache, 50, || cloned(key)).await;
        herd(cache, 50, || failing(key)).await;
        landed(cache).await;
    });
}
