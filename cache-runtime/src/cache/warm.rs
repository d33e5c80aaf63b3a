//! Computing ahead what will be asked for.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;

use futures_util::stream::{self, StreamExt as _};

use super::Cache;

/// How far [`Cache::warm`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Calls that have returned.
    pub done: usize,
    /// All calls.
    pub total: usize,
}

/// A warming-up under construction; `.await` starts it.
#[must_use = "nothing runs until it is awaited"]
pub struct Warm<'a, I> {
    cache: &'a Cache,
    calls: I,
    concurrency: usize,
    progress: Box<dyn FnMut(Progress) + Send + 'a>,
}

impl Cache {
    /// Makes the given calls, so that what is absent is computed and stored; what is stored stays.
    ///
    /// `cache.warm(["buy", "rent"].map(|kind| areas(kind.into()))).concurrency(4).await`
    pub fn warm<I>(&self, calls: I) -> Warm<'_, I::IntoIter>
    where
        I: IntoIterator,
        I::Item: Future,
    {
        let calls = calls.into_iter();
        Warm { cache: self, calls, concurrency: 8, progress: Box::new(|_| {}) }
    }
}

impl<'a, I> Warm<'a, I> {
    /// How many calls run at a time. Default: 8.
    pub fn concurrency(mut self, calls: usize) -> Self {
        self.concurrency = calls.max(1);
        self
    }

    /// Told after each call.
    pub fn progress(mut self, progress: impl FnMut(Progress) + Send + 'a) -> Self {
        self.progress = Box::new(progress);
        self
    }
}

impl<'a, I> IntoFuture for Warm<'a, I>
where
    I: Iterator + Send + 'a,
    I::Item: Future + Send,
{
    type Output = Progress;
    type IntoFuture = Pin<Box<dyn Future<Output = Progress> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        let Self { cache, calls, concurrency, mut progress } = self;
        Box::pin(async move {
            let calls: Vec<_> = calls.map(|call| async { drop(call.await) }).collect();
            let mut far = Progress { done: 0, total: calls.len() };
            let mut running = stream::iter(calls).buffer_unordered(concurrency);
            cache
                .scope(async {
                    while running.next().await.is_some() {
                        far.done += 1;
                        progress(far);
                    }
                })
                .await;
            cache.flush().await;
            far
        })
    }
}

impl<I> fmt::Debug for Warm<'_, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Warm").field("concurrency", &self.concurrency).finish_non_exhaustive()
    }
}
