//! What can be done with a call besides calling it.
//!
//! A verb polls the call's future with a ticket in a thread-local for the length of each poll. The
//! first cached function reached takes the ticket, and its body runs without it. Verbs that only
//! name an entry get their answer through the ticket and drop the future unrun.

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

/// What is stored for a call and would be served without a run, fresh or within
/// `stale_while_revalidate`: `Some(output)` as the function would return it; `None` where there is
/// nothing or the store cannot be asked. The function never runs.
///
/// A future that reaches no cached function runs, with its effects; that gives `None` and one
/// warning.
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

/// Stores an output for a call, as if the function had just returned it.
///
/// Not fenced: the value was made before the store heard of it. To make calls see a change, use
/// [`invalidate`] instead.
///
/// # Errors
///
/// [`Error::is_value`] for an `Err`, a `None` without `none_ttl`, a value that `cache_if` refuses,
/// or one that cannot be encoded or is too large; otherwise as [`invalidate`].
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

/// Removes what a prefix groups: `invalidate_prefix("areas").await?`, as
/// [`Cache::invalidate_prefix`] of the cache that calls use here ([`Cache::current`]).
///
/// # Errors
///
/// As [`invalidate`].
pub async fn invalidate_prefix(prefix: &str) -> Result<()> {
    Cache::current().invalidate_prefix(prefix).await
}

/// Removes what carries a tag, across prefixes: `invalidate_tag("agent:7").await?`, as
/// [`Cache::invalidate_tag`] of the cache that calls use here ([`Cache::current`]).
///
/// # Errors
///
/// As [`invalidate`].
pub async fn invalidate_tag(tag: &str) -> Result<()> {
    Cache::current().invalidate_tag(tag).await
}

/// Runs the function whatever is stored, and stores what it returns; unless the entry that was there
/// has been invalidated, replaced or has expired meanwhile.
///
/// Shares no run that began before it: where one is going on, in any process, it waits for its end,
/// then runs; after [`Config::wait`](crate::Config::wait), or without an answer from Redis, it runs and
/// stores nothing.
pub async fn refresh<F: Future>(call: F) -> F::Output {
    let mut driver = Driver::new(Verb::Refresh);
    let output = driver.run(pin!(call)).await;
    driver.warn_unless_taken("refresh");
    output
}

/// Runs the function without the cache.
pub async fn bypass<F: Future>(call: F) -> F::Output {
    Driver::new(Verb::Bypass).run(pin!(call)).await
}

/// Calls, and says what the cache did.
///
/// A future that reaches no cached function gives [`Reason::NotCached`].
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
