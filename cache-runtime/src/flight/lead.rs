//! The leader of a flight.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use super::stamp::{Stamp, Stamping};
use super::{Ending, Flight, Flights, Owner, PANICS, Phase, wake};
use crate::entry::EntryId;
use crate::outcome::Reason;

/// The lease and the duty to run the function for a flight.
///
/// Dropped before [`Lead::finish`], it hands over to a member. That its function has panicked is
/// counted, and at the last of [`PANICS`] all members are sent off to run by themselves.
pub(crate) struct Lead<P: Clone, O: Owner> {
    flights: Arc<Flights<P, O>>,
    flight: Arc<Flight<P, O>>,
    stamp: Arc<Stamp>,
    /// The waker of the last poll, and ours around it.
    waker: Option<(Waker, Waker)>,
    ticket: u64,
    /// Its work is being polled; still so when it is dropped, that poll has panicked. Whether the
    /// thread is panicking would not tell: a leader is also dropped by the panic of a sibling.
    polling: bool,
    left: bool,
}

/// What a leader finds once its flight's lease has been answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Terms {
    /// Run; populate under this lease.
    Leased(EntryId),
    /// Run; store nothing, for this reason.
    Plain(Reason),
    /// Read again.
    Dissolved,
}

impl<P: Clone, O: Owner> Lead<P, O> {
    pub(super) fn new(
        flights: Arc<Flights<P, O>>,
        flight: Arc<Flight<P, O>>,
        stamp: Arc<Stamp>,
    ) -> Self {
        let ticket = flight.state().ticket();
        Self { flights, flight, stamp, waker: None, ticket, polling: false, left: false }
    }

    pub(crate) fn flight(&self) -> &Arc<Flight<P, O>> {
        &self.flight
    }

    /// Waits for the answer about the lease.
    pub(crate) fn poll_terms(&mut self, cx: &Context<'_>) -> Poll<Terms> {
        let waker = cx.waker().clone();
        let mut state = self.flight.state();
        match state.phase {
            Phase::Sending => {
                // Dropped outside the lock: that may run code that locks the flight, as cloning may.
                let before = state.asking.insert(self.ticket, waker);
                drop(state);
                drop(before);
                Poll::Pending
            }
            Phase::Dissolved => Poll::Ready(Terms::Dissolved),
            // Where another has ended the flight meanwhile, its lease is spent.
            Phase::Ended(_) => Poll::Ready(Terms::Plain(Reason::Overtaken)),
            Phase::Running(reason) => Poll::Ready(match state.lease {
                Some(lease) => Terms::Leased(lease),
                None => Terms::Plain(reason.unwrap_or(Reason::Unavailable)),
            }),
        }
    }

    /// Polls the leader's work so that members see when it is woken and not polled.
    pub(crate) fn poll_stamped<T>(
        &mut self,
        cx: &Context<'_>,
        poll: impl FnOnce(&mut Self, &mut Context<'_>) -> T,
    ) -> T {
        let known = self.waker.as_ref().is_some_and(|(outer, _)| outer.will_wake(cx.waker()));
        if !known {
            let outer = cx.waker().clone();
            let ours = Stamping::around(outer.clone(), self.stamp.clone());
            self.waker = Some((outer, ours));
        }
        let waker = self.waker.as_ref().map_or_else(|| cx.waker().clone(), |(_, w)| w.clone());
        self.stamp.polled();
        self.polling = true;
        let polled = poll(self, &mut Context::from_waker(&waker));
        self.polling = false;
        polled
    }

    /// Whether anybody else waits for the result.
    pub(crate) fn has_members(&self) -> bool {
        self.flight.state().parties > 1
    }

    /// Why nothing that is returned will be stored, where that is known: also of a flight that had a
    /// lease, which was given up meanwhile.
    pub(crate) fn reason(&self) -> Option<Reason> {
        match self.flight.state().phase {
            Phase::Running(reason) => reason,
            _ => None,
        }
    }

    /// Ends the flight. Returns the lease to populate or to give up; `None` where there is none or
    /// another leader was first. The flight stays in the table while a lease is outstanding.
    pub(crate) fn finish(mut self, ending: Ending<P>) -> Option<EntryId> {
        self.left = true;
        let mut state = self.flight.state();
        state.parties -= 1;
        if matches!(state.phase, Phase::Ended(_)) {
            return None;
        }
        state.phase = Phase::Ended(ending);
        // Readers of the lease still find the flight by it.
        let lease = state.lease;
        wake(state);
        if lease.is_none() {
            self.flights.remove(&self.flight);
        }
        lease
    }

    /// Leaves a dissolved flight.
    pub(crate) fn leave(mut self) {
        self.left = true;
        self.flight.state().parties -= 1;
    }
}

impl<P: Clone, O: Owner> Drop for Lead<P, O> {
    fn drop(&mut self) {
        if self.left {
            return;
        }
        let mut state = self.flight.state();
        state.parties -= 1;
        let _waker = state.asking.remove(&self.ticket);
        let latest = Arc::ptr_eq(&state.stamp, &self.stamp);
        state.panics += u8::from(latest && self.polling);
        if !matches!(state.phase, Phase::Sending | Phase::Running(_)) {
            drop(state);
        } else if state.panics >= PANICS {
            state.phase = Phase::Ended(Ending::Alone);
            let lease = state.lease;
            wake(state);
            self.flights.remove(&self.flight);
            if let Some(lease) = lease {
                self.flight.owner.abandoned(lease);
            }
        } else {
            state.vacant |= latest;
            let deserted = state.parties == 0;
            wake(state);
            if deserted {
                self.flights.abandon(&self.flight);
            }
        }
    }
}
