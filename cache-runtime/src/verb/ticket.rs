//! The ticket that a verb leaves in a thread-local for the length of a poll, and the driver that polls with it.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use crate::error::Error;
use crate::outcome::Outcome;

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
    /// A cached function has taken the verb.
    taken: bool,
    /// The output given to `put`, lent for the length of a poll.
    lent: Option<Box<dyn Any>>,
    answer: Option<Box<dyn Any>>,
    outcome: Option<Outcome>,
    fate: Option<Fate>,
}

/// The further way of an output, of the call's own run or the run that it joined; for `Cache::warm`.
#[derive(Debug, Clone)]
pub(crate) enum Fate {
    /// An error, which is not stored.
    Failed,
    /// The write behind the reply, once it has ended: whether the value is in the store.
    Written(Arc<OnceLock<bool>>),
}

thread_local! {
    /// Whether there is a ticket to take: all that a call without a verb reads.
    static OFFERED: Cell<bool> = const { Cell::new(false) };
    static TICKET: RefCell<Option<Ticket>> = const { RefCell::new(None) };
}

/// Takes the verb, if this call is the first of a cached function that the verb's future reaches.
#[inline]
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

/// The output that `put` lends; `None` where it is of another type.
pub(crate) fn lent<R: 'static>() -> Option<R> {
    let lent = with(|ticket| ticket.lent.take())??;
    lent.downcast().ok().map(|value| *value)
}

pub(crate) fn report_outcome(outcome: Outcome) {
    with(|ticket| ticket.outcome = Some(outcome));
}

pub(crate) fn report_fate(fate: Fate) {
    with(|ticket| ticket.fate = Some(fate));
}

/// Polls a verb's future. Keeps between polls what the ticket holds during one, since the next poll may be on
/// another thread.
pub(super) struct Driver {
    verb: Verb,
    taken: bool,
    pub(super) outcome: Option<Outcome>,
    fate: Option<Fate>,
}

/// An observed call whose output is dropped; for `Cache::warm`.
pub(crate) struct Watched<F> {
    driver: Driver,
    call: Pin<Box<F>>,
}

impl<F> Watched<F> {
    pub(crate) fn new(call: F) -> Self {
        Self { driver: Driver::new(Verb::Observe), call: Box::pin(call) }
    }
}

impl<F: Future> Future for Watched<F> {
    /// The outcome is `None` where the call reached no cached function.
    type Output = (Option<Outcome>, Option<Fate>);

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { driver, call } = &mut *self;
        let (polled, _) = driver.poll(call.as_mut(), cx, &mut None);
        polled.map(|_| (driver.outcome.take(), driver.fate.take()))
    }
}

/// Restores the ticket of an enclosing verb, also where the poll panics.
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
    pub(super) fn new(verb: Verb) -> Self {
        Self { verb, taken: false, outcome: None, fate: None }
    }

    /// Polls once. Returns the answer beside the output, and gives `lent` back where it was not taken.
    pub(super) fn poll<F: Future>(
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
            fate: None,
        };
        let restore =
            Restore { offered: OFFERED.replace(!self.taken), ticket: TICKET.replace(Some(ticket)) };
        let polled = call.poll(cx);
        let Some(ticket) = TICKET.take() else { return (polled, None) };
        drop(restore);
        self.taken = ticket.taken;
        self.outcome = ticket.outcome.or(self.outcome.take());
        self.fate = ticket.fate.or(self.fate.take());
        *lent = ticket.lent;
        (polled, ticket.answer)
    }

    /// Drives the call until it answers; `None` where it has run to its end without reaching a cached function.
    pub(super) async fn answer<F: Future, A: 'static>(
        &mut self,
        mut call: Pin<&mut F>,
    ) -> Option<A> {
        poll_fn(|cx| match self.poll(call.as_mut(), cx, &mut None) {
            (_, Some(answer)) => Poll::Ready(answer.downcast().ok().map(|answer| *answer)),
            (Poll::Ready(_), None) => Poll::Ready(None),
            (Poll::Pending, None) => Poll::Pending,
        })
        .await
    }

    /// Drives the call to its end.
    pub(super) async fn run<F: Future>(&mut self, mut call: Pin<&mut F>) -> F::Output {
        poll_fn(|cx| self.poll(call.as_mut(), cx, &mut None).0).await
    }

    pub(super) fn warn_unless_taken(&self, name: &str) {
        if !self.taken {
            tracing::warn!(verb = name, "{}", Error::not_cached());
        }
    }
}
