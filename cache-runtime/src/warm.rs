//! `Cache::warm`: computes and stores values before they are needed.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::vec;

use futures_util::stream::{self, BufferUnordered, StreamExt as _};

use crate::cache::{Cache, Scope};
use crate::outcome::{OutcomeKind, Reason};
use crate::verb::{Fate, Watched};

/// How far [`Cache::warm`] is; given to [`Warm::progress`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// How many calls have returned.
    pub done: usize,
    /// How many calls there are.
    pub total: usize,
}

/// The counts of [`Cache::warm`]: each call is counted in `total` and in exactly one of the other fields.
///
/// ```
/// # use cache_runtime::{Cache, cache_result};
/// # #[cache_result(ttl = 60)]
/// # async fn square(of: u32) -> u32 { of * of }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// # let cache = Cache::in_memory();
/// let warmed = cache.warm((1..=3).map(square)).await;
/// assert_eq!((warmed.total, warmed.stored, warmed.present), (3, 3, 0));
/// let again = cache.warm((1..=3).map(square)).await;
/// assert_eq!((again.total, again.stored, again.present), (3, 0, 3));
/// # }
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Warmed {
    /// How many calls there were.
    pub total: usize,
    /// Calls whose value was computed and has been written to the store.
    pub stored: usize,
    /// Calls whose value was in the store, or was being computed by another call.
    pub present: usize,
    /// Calls whose function returned an error. A stored value that was served in its place stays stored.
    pub failed: usize,
    /// Calls whose value was computed and may not be stored: `None` without `none_ttl`, refused by
    /// `cache_if`, with a ttl of zero, too large, or not encodable.
    pub refused: usize,
    /// Calls whose value was computed and could not be written: it was invalidated meanwhile, another
    /// run has stored its value first, or Redis refused the write or did not answer.
    pub unwritten: usize,
    /// Calls in which the cache had no part: it is off or cannot be reached, `when` was false, or the future
    /// reached no cached function. Whether they succeeded is not known.
    pub bypassed: usize,
}

/// The builder that [`Cache::warm`] returns, where there is an example; `.await` starts it.
#[must_use = "nothing runs until it is awaited"]
pub struct Warm<'a, I> {
    cache: &'a Cache,
    calls: I,
    concurrency: usize,
    progress: Box<dyn FnMut(Progress) + Send + 'a>,
}

impl Cache {
    /// Makes the given calls in this cache, eight at a time unless set, so that values that are absent are
    /// computed and stored; fresh values stay as they are. Returns the counts once all writes have ended.
    ///
    /// Errors of the functions and of the store are counted, and stop nothing. Nothing runs before the builder
    /// is awaited. The future is `Send` exactly when the calls are; a call that panics unwinds through it.
    ///
    /// # Examples
    ///
    /// ```
    /// # use cache_runtime::{Cache, cache_result};
    /// #[cache_result]
    /// async fn areas(kind: &str) -> Result<u32, String> {
    ///     if kind == "swap" { Err("no such kind".into()) } else { Ok(7) }
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// # let cache = Cache::in_memory();
    /// let warmed = cache.warm(["buy", "rent", "swap"].map(areas)).concurrency(4).await;
    /// assert_eq!((warmed.total, warmed.stored, warmed.failed), (3, 2, 1));
    /// # }
    /// ```
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
    /// Sets how many calls run at a time. Default: 8; 0 counts as 1.
    pub fn concurrency(mut self, calls: usize) -> Self {
        self.concurrency = calls.max(1);
        self
    }

    /// Sets a closure that is called after each call has returned, on the task that awaits.
    ///
    /// ```
    /// # use cache_runtime::{Cache, cache_result};
    /// # #[cache_result(ttl = 60)]
    /// # async fn square(of: u32) -> u32 { of * of }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// # let cache = Cache::in_memory();
    /// let mut lines = Vec::new();
    /// cache
    ///     .warm([1, 2].map(square))
    ///     .progress(|at| lines.push(format!("{} of {}", at.done, at.total)))
    ///     .await;
    /// assert_eq!(lines, ["1 of 2", "2 of 2"]);
    /// # }
    /// ```
    pub fn progress(mut self, progress: impl FnMut(Progress) + Send + 'a) -> Self {
        self.progress = Box::new(progress);
        self
    }
}

impl<'a, I> IntoFuture for Warm<'a, I>
where
    I: Iterator,
    I::Item: Future,
{
    type Output = Warmed;
    type IntoFuture = Warming<'a, I::Item>;

    fn into_future(self) -> Self::IntoFuture {
        let calls: Vec<_> = self.calls.map(Watched::new).collect();
        let total = calls.len();
        Warming {
            cache: self.cache,
            running: stream::iter(calls).buffer_unordered(self.concurrency),
            progress: self.progress,
            done: Vec::with_capacity(total),
            total,
            flush: None,
        }
    }
}

/// The future of [`Warm`].
#[must_use = "nothing runs until it is awaited"]
pub struct Warming<'a, F: Future> {
    cache: &'a Cache,
    running: BufferUnordered<stream::Iter<vec::IntoIter<Watched<F>>>>,
    progress: Box<dyn FnMut(Progress) + Send + 'a>,
    done: Vec<(OutcomeKind, Option<Fate>)>,
    total: usize,
    /// The wait for all writes, after the last call.
    flush: Option<Pin<Box<dyn Future<Output = ()> + Send + 'a>>>,
}

impl<F: Future> Future for Warming<'_, F> {
    type Output = Warmed;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Warmed> {
        let Self { cache, running, progress, done, total, flush } = self.get_mut();
        let _entered = Scope::enter(cache);
        while flush.is_none() {
            match ready!(running.poll_next_unpin(cx)) {
                Some((outcome, fate)) => {
                    let kind = outcome.map(|outcome| outcome.kind);
                    let kind = kind.unwrap_or(OutcomeKind::Bypassed(Reason::NotCached));
                    done.push((kind, fate));
                    progress(Progress { done: done.len(), total: *total });
                }
                None => *flush = Some(Box::pin(cache.flush())),
            }
        }
        if let Some(flush) = flush {
            ready!(flush.as_mut().poll(cx));
        }
        Poll::Ready(report(done))
    }
}

/// Counts the calls, after the flush: a write without a result by now was given up.
fn report(done: &[(OutcomeKind, Option<Fate>)]) -> Warmed {
    let mut warmed = Warmed { total: done.len(), ..Warmed::default() };
    for (kind, fate) in done {
        let field = match (kind, fate) {
            (OutcomeKind::Bypassed(_), _) => &mut warmed.bypassed,
            (OutcomeKind::StaleIfError, _) | (_, Some(Fate::Failed)) => &mut warmed.failed,
            (OutcomeKind::Computed, Some(Fate::Written(written))) => match written.get() {
                Some(true) => &mut warmed.stored,
                _ => &mut warmed.unwritten,
            },
            (OutcomeKind::Computed, _) => &mut warmed.refused,
            _ => &mut warmed.present,
        };
        *field += 1;
    }
    warmed
}

impl<I> fmt::Debug for Warm<'_, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Warm").field("concurrency", &self.concurrency).finish_non_exhaustive()
    }
}

impl<F: Future> fmt::Debug for Warming<'_, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { done, total, .. } = self;
        f.debug_struct("Warming").field("done", &done.len()).field("total", total).finish()
    }
}
