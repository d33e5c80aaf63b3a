//! The verbs: what can be done with a call of a cached function besides awaiting it.
//!
//! A verb polls the call's future with a ticket in a thread-local for the length of each poll. The first cached
//! function that the future reaches takes the ticket; cached functions that its body calls find none. A verb
//! that only names an entry gets its answer through the ticket, and drops the future unrun.

mod calls;
mod explain;
mod ticket;

use std::any::Any;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use crate::cache::Cache;
use crate::error::{Error, Result};
use crate::outcome::{Outcome, Reason};

pub use calls::{Calls, invalidate};
pub(crate) use calls::{Target, target};
pub use explain::{Explanation, Stored, StoredKind, Verdict, explain};
use ticket::Driver;
pub(crate) use ticket::{Fate, Verb, Watched, answer, lent, report_fate, report_outcome, take};

/// Returns the stored output of a call, without ever running its function.
///
/// `Some(output)`, as the function would return it, for a value that is fresh or within
/// `stale_while_revalidate`, whatever the function's `when` says. `None` where there is no such value, where
/// the cache is off, or where Redis does not answer within [`Config::budget`](crate::Config::budget). Nothing is
/// refreshed, no other run is waited for, and the statistics count no call.
///
/// A future that reaches no cached function runs to its end, with its effects: the result is `None`, and
/// a warning in the log.
///
/// # Examples
///
/// ```
/// # use cache_runtime::{Cache, cache_result};
/// use cache_runtime::peek;
///
/// #[cache_result(ttl = 60)]
/// async fn square(of: u32) -> u32 {
///     of * of
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// # Cache::in_memory().scope(async {
/// assert_eq!(peek(square(3)).await, None);
/// square(3).await; // runs, and stores 9
/// assert_eq!(peek(square(3)).await, Some(9));
/// # }).await
/// # }
/// ```
pub async fn peek<F>(call: F) -> Option<F::Output>
where
    F: Future,
    F::Output: 'static,
{
    let mut driver = Driver::new(Verb::Peek);
    let found: Option<Option<F::Output>> = driver.answer(pin!(call)).await;
    driver.warn_unless_taken("peek");
    found.flatten()
}

/// Stores an output for a call, as if its function had just returned it. The function does not run.
///
/// Once this has returned `Ok`, calls read `output` from the store until it expires or is invalidated. It
/// replaces whatever was stored; a run of the function that is under way at the time stores nothing. The
/// attribute's rules hold as for a run: `ttl`, `none_ttl`, `cache_if`, `tags`.
///
/// A `put` is not fenced: the output was made before the store knew of it, so it may already be out of date,
/// and would hide an invalidation that came in between. To make calls see a change, use [`invalidate`].
///
/// # Errors
///
/// - [`Error::is_value`] where the output is not stored: an `Err`, a `None` without `none_ttl`, a value that
///   `cache_if` refuses, that cannot be encoded or is too large, a `ttl` of zero, or an output of
///   another type than the cached function's. Also where the arguments make no key, or values of this
///   function have turned out not to be storable.
/// - [`Error::is_unavailable`] where the cache is off or Redis does not answer. After
///   [`Error::is_timeout`] the output may or may not be stored.
/// - [`Error::is_refused`] where Redis refuses the write, or three attempts met another writer of the key.
/// - [`Error::is_not_cached`] where the future reached no cached function; it has then run, with its
///   effects.
///
/// # Examples
///
/// ```
/// # use cache_runtime::{Cache, cache_result};
/// use cache_runtime::put;
///
/// #[cache_result(ttl = 60)]
/// async fn square(of: u32) -> Result<u32, String> {
///     panic!("never run here")
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), cache_runtime::Error> {
/// # Cache::in_memory().scope(async {
/// put(square(3), Ok(9)).await?;
/// assert_eq!(square(3).await, Ok(9));
///
/// let error = put(square(4), Err("no".into())).await.unwrap_err();
/// assert!(error.is_value()); // errors are never stored
/// # Ok(())
/// # }).await
/// # }
/// ```
pub async fn put<F>(call: F, output: F::Output) -> Result<()>
where
    F: Future,
    F::Output: 'static,
{
    let mut driver = Driver::new(Verb::Put);
    let mut call = pin!(call);
    let mut output = Some(output);
    poll_fn(|cx| {
        let mut lent = output.take().map(|output| Box::new(output) as Box<dyn Any>);
        let polled = driver.poll(call.as_mut(), cx, &mut lent);
        output = lent.and_then(|lent| lent.downcast().ok()).map(|output| *output);
        match polled {
            (_, Some(answer)) => {
                Poll::Ready(answer.downcast().map_or_else(|_| Err(Error::not_cached()), |a| *a))
            }
            (Poll::Ready(_), None) => Poll::Ready(Err(Error::not_cached())),
            (Poll::Pending, None) => Poll::Pending,
        }
    })
    .await
}

/// Removes all entries of a prefix from the cache that calls use here ([`Cache::current`]).
///
/// One command, however many entries there are; `prefix` is a whole name and no pattern. The guarantee is that
/// of [`invalidate`]; more on prefixes at [`Cache::invalidate_prefix`].
///
/// # Errors
///
/// [`Error::is_unavailable`] or [`Error::is_refused`], as [`invalidate`].
///
/// # Examples
///
/// ```
/// # use cache_runtime::{Cache, cache_result};
/// use cache_runtime::{invalidate_prefix, peek};
///
/// #[cache_result(ttl = 60, prefix = "squares")]
/// async fn square(of: u32) -> u32 {
///     of * of
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), cache_runtime::Error> {
/// # Cache::in_memory().scope(async {
/// square(3).await;
/// invalidate_prefix("squares").await?;
/// assert_eq!(peek(square(3)).await, None);
/// # Ok(())
/// # }).await
/// # }
/// ```
pub async fn invalidate_prefix(prefix: &str) -> Result<()> {
    Cache::current().invalidate_prefix(prefix).await
}

/// Removes all entries with a tag, of every prefix, from the cache that calls use here ([`Cache::current`]).
///
/// One command, however many entries there are; a tag that no entry has is no error. The guarantee is that of
/// [`invalidate`].
///
/// # Errors
///
/// [`Error::is_unavailable`] or [`Error::is_refused`], as [`invalidate`].
///
/// # Examples
///
/// ```
/// # use cache_runtime::{Cache, cache_result};
/// use cache_runtime::{invalidate_tag, peek};
///
/// #[cache_result(ttl = 60, tags = ["agent:{agent}"])]
/// async fn listings(agent: u32) -> Vec<u32> {
///     vec![agent]
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), cache_runtime::Error> {
/// # Cache::in_memory().scope(async {
/// listings(7).await;
/// invalidate_tag("agent:7").await?;
/// assert_eq!(peek(listings(7)).await, None);
/// # Ok(())
/// # }).await
/// # }
/// ```
pub async fn invalidate_tag(tag: &str) -> Result<()> {
    Cache::current().invalidate_tag(tag).await
}

/// Runs the function whatever is stored, and stores its output.
///
/// The output comes from a run that began after this call. Where an earlier run is under way, in any process,
/// `refresh` waits for its end and then runs the function; after [`Config::wait`](crate::Config::wait), or
/// where Redis does not answer within the budget, it runs the function and stores nothing. Nothing is stored
/// either where the entry is invalidated or replaced during the run.
///
/// Until the new value is stored, other calls are served the old one while it is fresh or within
/// `stale_while_revalidate`. Where the function fails, its error is returned and the old value stays stored;
/// where it returns an output that is not stored (a `None` without `none_ttl`, or one that `cache_if` refuses),
/// the old value is removed.
///
/// # Examples
///
/// ```
/// # use cache_runtime::{Cache, cache_result};
/// use cache_runtime::refresh;
/// use std::sync::atomic::{AtomicU32, Ordering};
///
/// static RATE: AtomicU32 = AtomicU32::new(1);
///
/// #[cache_result(ttl = 60)]
/// async fn rate() -> u32 {
///     RATE.load(Ordering::Relaxed)
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// # Cache::in_memory().scope(async {
/// assert_eq!(rate().await, 1);
/// RATE.store(2, Ordering::Relaxed);
/// assert_eq!(rate().await, 1); // stored
/// assert_eq!(refresh(rate()).await, 2);
/// assert_eq!(rate().await, 2); // stored anew
/// # }).await
/// # }
/// ```
pub async fn refresh<F: Future>(call: F) -> F::Output {
    let mut driver = Driver::new(Verb::Refresh);
    let output = driver.run(pin!(call)).await;
    driver.warn_unless_taken("refresh");
    output
}

/// Runs the function without the cache: reads nothing, stores nothing, shares no other call's run.
///
/// Cached functions that the function calls in turn use the cache as ever. The statistics count the call as
/// bypassed. To store the output as well, use [`refresh`].
///
/// # Examples
///
/// ```
/// # use cache_runtime::{Cache, cache_result};
/// use cache_runtime::{bypass, peek};
///
/// #[cache_result(ttl = 60)]
/// async fn square(of: u32) -> u32 {
///     of * of
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// # Cache::in_memory().scope(async {
/// assert_eq!(bypass(square(3)).await, 9);
/// assert_eq!(peek(square(3)).await, None);
/// # }).await
/// # }
/// ```
pub async fn bypass<F: Future>(call: F) -> F::Output {
    Driver::new(Verb::Bypass).run(pin!(call)).await
}

/// Makes a call, and returns its output with the [`Outcome`]: where the output came from, its key, its age, and
/// the time that its run took.
///
/// The output is that of the call without `observe`. The outcome is that of the first cached function that the
/// future reaches; [`Reason::NotCached`] where it reaches none. To know the age, the read asks Redis for the
/// entry's `PTTL` as well.
///
/// # Examples
///
/// ```
/// # use cache_runtime::{Cache, cache_result};
/// use cache_runtime::{OutcomeKind, observe};
///
/// #[cache_result(ttl = 60)]
/// async fn square(of: u32) -> u32 {
///     of * of
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// # Cache::in_memory().scope(async {
/// let (nine, outcome) = observe(square(3)).await;
/// assert_eq!((nine, outcome.kind), (9, OutcomeKind::Computed));
///
/// let (_, outcome) = observe(square(3)).await;
/// assert_eq!(outcome.to_string(), "hit"); // for a response header
/// # }).await
/// # }
/// ```
pub async fn observe<F: Future>(call: F) -> (F::Output, Outcome) {
    let mut driver = Driver::new(Verb::Observe);
    let mut call = pin!(call);
    poll_fn(|cx| {
        let (polled, _) = driver.poll(call.as_mut(), cx, &mut None);
        let outcome = || Outcome::bypassed(Reason::NotCached);
        polled.map(|output| (output, driver.outcome.take().unwrap_or_else(outcome)))
    })
    .await
}
