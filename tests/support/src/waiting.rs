//! Runtimes that come and go, and what is waited for.

use std::time::{Duration, Instant};

use cache_runtime::Cache;

/// Waits until something holds, for seconds at most.
///
/// # Panics
///
/// Where it does not come to hold.
pub async fn eventually<F>(what: &str, mut holds: impl FnMut() -> F)
where
    F: Future<Output = bool>,
{
    let begun = Instant::now();
    while !holds().await {
        assert!(begun.elapsed() < Duration::from_secs(20), "it never came to hold: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until nothing is left of the calls that have ended: no write and no flight.
///
/// # Panics
///
/// Where a flight stays.
pub async fn landed(cache: &Cache) {
    cache.flush().await;
    eventually("no flight is left", || async { cache.stats().flights == 0 }).await;
}

/// Runs a scenario on several short-lived runtimes, one after the other: what a cache keeps must
/// not die with the first.
///
/// # Panics
///
/// Where a runtime cannot be made, or the scenario panics.
pub fn on_short_lived_runtimes<F: Future<Output = ()>>(scenario: impl Fn() -> F) {
    use tokio::runtime::Builder;
    for workers in [0, 2, 0, 2] {
        let runtime = match workers {
            0 => Builder::new_current_thread().enable_all().build(),
            workers => Builder::new_multi_thread().worker_threads(workers).enable_all().build(),
        };
        runtime.expect("a runtime").block_on(scenario());
    }
}

/// Runs an async step of a test that is not async itself.
///
/// # Panics
///
/// Where a runtime cannot be made.
pub fn block_on<F: Future>(step: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(step)
}
