//! Calls that take nanoseconds: many in a loop, awaited one by one on the runtime.

use std::future::Future;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cache_runtime::Cache;

use crate::contest::Lane;
use crate::counting;
use crate::values::Small;

/// Calls between two looks at the clock, and of a count of allocations.
const BATCH: u64 = 1000;

/// Nanoseconds of one call, where so many threads call at a time; in the scope of a cache, if any.
pub fn lane<F, Fut>(
    name: &str,
    threads: usize,
    turn: Duration,
    scope: Option<Cache>,
    call: F,
) -> Lane<f64>
where
    F: Fn(u64) -> Fut + Copy + Send + 'static,
    Fut: Future + Send,
{
    Lane::new(name, move || {
        let tasks: Vec<_> = (0..threads)
            .map(|_| {
                let calls = async move {
                    let (begun, mut calls) = (Instant::now(), 0);
                    while begun.elapsed() < turn {
                        for number in calls..calls + BATCH {
                            black_box(call(black_box(number)).await);
                        }
                        calls += BATCH;
                    }
                    begun.elapsed().as_secs_f64() * 1e9 / calls as f64
                };
                tokio::spawn(within(scope.clone(), calls))
            })
            .collect();
        async move {
            let mut sum = 0.0;
            for task in tasks {
                sum += task.await.expect("no panic");
            }
            sum / threads as f64
        }
    })
}

/// Allocations of one call: the least of some batches, since other threads are counted too.
pub async fn allocations<F, Fut>(scope: Option<Cache>, call: F) -> f64
where
    F: Fn(u64) -> Fut + Copy + Send + 'static,
    Fut: Future + Send,
{
    let calls = async move {
        let mut least = u64::MAX;
        for _ in 0..9 {
            counting::begin();
            for number in 0..BATCH {
                black_box(call(black_box(number)).await);
            }
            least = least.min(counting::end().calls);
        }
        least as f64 / BATCH as f64
    };
    let task = tokio::spawn(within(scope, calls));
    task.await.expect("no panic")
}

async fn within<T>(scope: Option<Cache>, work: impl Future<Output = T>) -> T {
    match scope {
        Some(cache) => cache.scope(work).await,
        None => work.await,
    }
}

/// Whatever has a [`Small`] in it.
pub trait Holds {
    fn small(&self) -> Option<&Small>;
}

impl Holds for Small {
    fn small(&self) -> Option<&Small> {
        Some(self)
    }
}

impl<T: Holds> Holds for Arc<T> {
    fn small(&self) -> Option<&Small> {
        (**self).small()
    }
}

impl<T: Holds> Holds for Option<T> {
    fn small(&self) -> Option<&Small> {
        self.as_ref()?.small()
    }
}

impl<T: Holds, E> Holds for Result<T, E> {
    fn small(&self) -> Option<&Small> {
        self.as_ref().ok()?.small()
    }
}
