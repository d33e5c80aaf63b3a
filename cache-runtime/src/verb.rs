//! What can be done with a call besides calling it.
//!
//! A verb polls the call's future with a ticket in a thread-local for the length of each poll. The
//! first cached function reached takes the ticket, and its body runs without it. Verbs that only
//! name an entry get their answer through the ticket and drop the future unrun.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use crate::cache::Cache;
use crate::error::{Error, Result};
use crate::outcome::{Outcome, Reason};
use crate::stats::Count;
use crate::store::Key;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Invalidate,
    Peek,
    Put,
    Refresh,
    Bypass,
    Observe,
    Explain,
}

impl Verb {
    /// Whether the verb needs the call's key whatever the call itself would do.
    pub(crate) fn names_a_key(self) -> bool {
        matches!(self, Self::Invalidate | Self::Peek | Self::Put | Self::Explain)
    }
}

struct Ticket {
    verb: Verb,
    taken: bool,
    /// The value of `put`, lent for the length of a poll.
    lent: Option<Box<dyn Any>>,
    answer: Option<Box<dyn Any>>,
    outcome: Option<Outcome>,
}

thread_local! {
    /// Whether there is a ticket to take: all that an ordinary call looks at.
    static OFFERED: Cell<bool> = const { Cell::new(false) };
    static TICKET: RefCell<Option<Ticket>> = const { RefCell::new(None) };
}

/// Takes the verb, if this is the first cached function that it reaches.
pub(crate) fn take() -> Option<Verb> {
    if !OFFERED.replace(false) {
        return None;
    }
    with(|ticket| {
        ticket.taken = true;
        ticket.verb
    })
}

fn with<T>(act: impl FnOnce(&mut Ticket) -> T) -> Option<T> {
    TICKET.with_borrow_mut(|ticket| ticket.as_mut().map(act))
}

/// Hands an answer to the verb that is polling, which then drops the call.
pub(crate) fn answer<A: 'static>(answer: A) {
    with(|ticket| ticket.answer = Some(Box::new(answer)));
}

/// The value that `put` lends; `None` where it is of another type.
pub(crate) fn lent<R: 'static>() -> Option<R> {
    let lent = with(|ticket| ticket.lent.take())??;
    lent.downcast().ok().map(|value| *value)
}

pub(crate) fn observed(outcome: Outcome) {
    with(|ticket| ticket.outcome = Some(outcome));
}

/// The polling side: everything that is kept between polls, none of it bound to a thread.
struct Driver {
    verb: Verb,
    taken: bool,
    outcome: Option<Outcome>,
}

/// Restores the ticket of a verb further out, also where the poll panics.
struct Restore {
    offered: bool,
    ticket: Option<Ticket>,
}

impl Drop for Restore {
    fn drop(&mut self) {
        OFFERED.set(self.offered);
        TICKET.replace(self.ticket.take());
    }
}

impl Driver {
    fn new(verb: Verb) -> Self {
        Self { verb, taken: false, outcome: None }
    }

    /// Polls once; an answer goes before the output, and what was lent and not used comes back.
    fn poll<F: Future>(
        &mut self,
        call: Pin<&mut F>,
        cx: &mut Context<'_>,
        lent: &mut Option<Box<dyn Any>>,
    ) -> (Poll<F::Output>, Option<Box<dyn Any>>) {
        let ticket = Ticket {
            verb: self.verb,
            taken: self.taken,
            lent: lent.take(),
            answer: None,
            outcome: None,
        };
        let restore =
            Restore { offered: OFFERED.replace(!self.taken), ticket: TICKET.replace(Some(ticket)) };
        let polled = call.poll(cx);
        let Some(ticket) = TICKET.take() else { return (polled, None) };
        drop(restore);
        self.taken = ticket.taken;
        self.outcome = ticket.outcome.or(self.outcome.take());
        *lent = ticket.lent;
        (polled, ticket.answer)
    }

    /// Drives the call until it answers; `None` where it has run instead.
    async fn answer<F: Future, A: 'static>(&mut self, call: F) -> Option<A> {
        let mut call = pin!(call);
        poll_fn(|cx| match self.poll(call.as_mut(), cx, &mut None) {
            (_, Some(answer)) => Poll::Ready(answer.downcast().ok().map(|answer| *answer)),
            (Poll::Ready(_), None) => Poll::Ready(None),
            (Poll::Pending, None) => Poll::Pending,
        })
        .await
    }

    /// Drives the call to its end.
    async fn run<F: Future>(&mut self, call: F) -> F::Output {
        let mut call = pin!(call);
        poll_fn(|cx| self.poll(call.as_mut(), cx, &mut None).0).await
    }

    fn warn_unless_taken(&self, name: &str) {
        if !self.taken {
            tracing::warn!(verb = name, "{}", Error::not_cached());
        }
    }
}

/// The entry that a call would use.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) cache: Cache,
    pub(crate) key: Option<Key>,
    pub(crate) group: usize,
}

/// Finds the entry of a call in a single poll; `None` where the future reaches no cached function at
/// once.
pub(crate) fn target<F: Future>(call: F) -> Option<Target> {
    let mut call = pin!(call);
    let mut cx = Context::from_waker(std::task::Waker::noop());
    let (_, answer) = Driver::new(Verb::Invalidate).poll(call.as_mut(), &mut cx, &mut None);
    answer?.downcast().ok().map(|target| *target)
}

/// One call of a cached function, or several: a tuple, an array or a `Vec` of calls.
///
/// `Form` tells the compiler which; it is always inferred.
pub trait Calls<Form> {
    #[doc(hidden)]
    fn targets(self) -> impl Future<Output = Targets>;
}

/// The entries of several calls.
#[derive(Default)]
#[doc(hidden)]
#[allow(missing_debug_implementations)]
pub struct Targets {
    found: Vec<Target>,
    /// Whether a future has run instead.
    stranger: bool,
}

impl Targets {
    async fn add<F: Future>(&mut self, call: F) {
        match Driver::new(Verb::Invalidate).answer(call).await {
            Some(target) => self.found.push(target),
            None => self.stranger = true,
        }
    }
}

impl<F: Future> Calls<()> for F {
    async fn targets(self) -> Targets {
        let mut targets = Targets::default();
        targets.add(self).await;
        targets
    }
}

impl<F: Future> Calls<Vec<()>> for Vec<F> {
    async fn targets(self) -> Targets {
        let mut targets = Targets::default();
        for call in self {
            targets.add(call).await;
        }
        targets
    }
}

impl<F: Future, const N: usize> Calls<[(); N]> for [F; N] {
    async fn targets(self) -> Targets {
        let mut targets = Targets::default();
        for call in self {
            targets.add(call).await;
        }
        targets
    }
}

macro_rules! tuples {
    ($($($call:ident)+;)+) => {$(
        impl<$($call: Future),+> Calls<($($call,)+)> for ($($call,)+) {
            #[allow(non_snake_case)]
            async fn targets(self) -> Targets {
                let ($($call,)+) = self;
                let mut targets = Targets::default();
                $(targets.add($call).await;)+
                targets
            }
        }
    )+};
}
tuples! { A; A B; A B C; A B C D; A B C D E; A B C D E F; A B C D E F G; A B C D E F G H; }

/// Removes what is stored for a call: `invalidate(areas("buy".into())).await?`, or for several at
/// once: `invalidate((areas("buy".into()), search("buy".into()))).await?`.
///
/// The function does not run. A call that begins after this has returned `Ok` gets a value from a
/// run of the function that began after the entry was removed, in any process; except in one that
/// at that time cannot reach Redis, or cannot write to it: there it may share a run that is already
/// going on. Several go out as one command, so that none is refilled from another in between.
///
/// # Errors
///
/// [`Error::is_unavailable`] or [`Error::is_refused`] where Redis did not confirm the removal. It
/// is tried again in the background until it has been delivered, and until then this process runs
/// the function without the cache. [`Error::is_not_cached`] where a future reached no cached
/// function; it has then run, with its effects. [`Error::is_value`] where the arguments make no key.
pub async fn invalidate<Form, C: Calls<Form>>(calls: C) -> Result<()> {
    let Targets { found, stranger } = calls.targets().await;
    let mut result = if stranger { Err(Error::not_cached()) } else { Ok(()) };
    for (cache, names, groups) in together(found, &mut result) {
        let first = groups.first().copied();
        if let Err(error) = cache.invalidate(names, first).await {
            result = Err(error);
        } else {
            let others = groups.iter().skip(1);
            others.for_each(|group| cache.counters(*group).count(Count::Invalidated));
        }
    }
    result
}

/// What goes to each cache, in one command.
fn together(
    targets: Vec<Target>,
    result: &mut Result<()>,
) -> Vec<(Cache, Vec<String>, Vec<usize>)> {
    let mut all: Vec<(Cache, Vec<String>, Vec<usize>)> = Vec::new();
    for Target { cache, key, group } in targets {
        let Some(key) = key else {
            if !cache.is_off() {
                *result = Err(Error::no_key());
            }
            continue;
        };
        let name = key.entry().to_owned();
        match all.iter_mut().find(|(other, ..)| other.is(&cache)) {
            Some((_, names, groups)) => {
                names.push(name);
                groups.push(group);
            }
            None => all.push((cache, vec![name], vec![group])),
        }
    }
    all
}

/// What is stored for a call: `Some(output)` as the function would return it, `None` where nothing
/// is stored or the store cannot be asked. The function never runs.
///
/// A future that reaches no cached function runs, with its effects; that gives `None` and one
/// warning.
pub async fn peek<F>(call: F) -> Option<F::Output>
where
    F: Future,
    F::Output: 'static,
{
    let mut driver = Driver::new(Verb::Peek);
    let found: Option<Option<F::Output>> = driver.answer(call).await;
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

/// Runs the function whatever is stored, and stores what it returns; unless the entry that was there
/// has been invalidated, replaced or has expired meanwhile.
///
/// Shares no run that began before it: where one is going on, in any process, it waits for its end, for
/// [`Config::wait`](crate::Config::wait) at most, then runs.
pub async fn refresh<F: Future>(call: F) -> F::Output {
    let mut driver = Driver::new(Verb::Refresh);
    let output = driver.run(call).await;
    driver.warn_unless_taken("refresh");
    output
}

/// Runs the function without the cache.
pub async fn bypass<F: Future>(call: F) -> F::Output {
    Driver::new(Verb::Bypass).run(call).await
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

/// What a call would do, and what is stored for it, without running anything.
///
/// # Errors
///
/// [`Error::is_not_cached`] where the future reached no cached function; it has then run.
pub async fn explain<F: Future>(call: F) -> Result<Explanation> {
    let answer = Driver::new(Verb::Explain).answer(call).await;
    answer.ok_or_else(Error::not_cached)
}

/// A dry run of a call; from [`explain`].
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Explanation {
    /// The function's path.
    pub function: String,
    /// Its prefix.
    pub prefix: String,
    /// The key in Redis; `None` where the cache is off or the arguments make no key.
    pub key: Option<String>,
    /// The entry under the key, if there is one of ours.
    pub stored: Option<Stored>,
    /// What a call would do.
    pub verdict: Verdict,
}

/// An entry as [`explain`] sees it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Stored {
    /// `value`, `none`, or `lease` while a process computes the value.
    pub kind: &'static str,
    /// Since the write, by the store's clock.
    pub age: Option<Duration>,
    /// Until it expires.
    pub left: Option<Duration>,
    /// How long the function took.
    pub cost: Duration,
    /// Bytes in the store, header and all.
    pub size: usize,
    /// The `version` of the function that wrote it.
    pub version: u32,
}

/// What a call would do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// Return the stored value.
    Hit,
    /// Run the function and store its value.
    Compute,
    /// Return the stored value, which is past its ttl, and have it refreshed.
    Stale,
    /// Share the run that this process has under way.
    Join,
    /// Wait for the run that another process has under way.
    Wait,
    /// Run the function without storing anything.
    Bypass(Reason),
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = self.key.as_deref().unwrap_or("no key");
        write!(f, "{} [{key}]: ", self.function)?;
        if let Verdict::Bypass(reason) = self.verdict {
            write!(f, "would run without the cache ({reason})")?;
        } else {
            f.write_str(match self.verdict {
                Verdict::Hit => "would return the stored value",
                Verdict::Stale => "would return the stored value, stale, and have it refreshed",
                Verdict::Join => "would share a run that is under way",
                Verdict::Wait => "would wait for another process's run",
                Verdict::Compute | Verdict::Bypass(_) => "would run and store",
            })?;
        }
        if let Some(stored) = &self.stored {
            write!(f, "; stored: {}, {} bytes", stored.kind, stored.size)?;
            if let (Some(age), Some(left)) = (stored.age, stored.left) {
                write!(f, ", {age:.0?} old, {left:.0?} left")?;
            }
            write!(f, ", computed in {:.1?}", stored.cost)?;
        }
        Ok(())
    }
}
