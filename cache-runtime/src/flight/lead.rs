//! The leader of a flight.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use super::stamp::{Stamp, Stamping};
use super::{Ending, Flight, Flights, Owner, PANICS, Phase, unlock_and_wake};
use crate::entry::EntryId;
use crate::outcome::Reason;

/// The leader of a flight: the permission to run the function and to populate under the flight's lease.
///
/// Where it is dropped before [`Lead::finish`], a member becomes the leader. A panic of the function is
/// counted; the last of [`PANICS`] ends the flight, and all members run by themselves.
pub(crate) struct Lead<P: Clone, O: Owner> {
    flights: Arc<Flights<P, O>>,
    flight: Arc<Flight<P, O>>,
    stamp: Arc<Stamp>,
    /// The waker of the last poll, and the stamping waker around it.
    waker: Option<(Waker, Waker)>,
    ticket: u64,
    /// The leader's work is being polled. Still true in `drop`, the poll has panicked; `thread::panicking` would
    /// not tell, since the panic of another future of the task drops the leader as well.
    polling: bool,
    /// The flight no longer counts this leader among its parties.
    departed: bool,
}

/// How a leader goes on once the request for the lease has been answered.
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
        Self { flights, flight, stamp, waker: None, ticket, polling: false, departed: false }
    }

    pub(crate) fn flight(&self) -> &Arc<Flight<P, O>> {
        &self.flight
    }

    /// Waits for the answer about the lease.
    pub(crate) fn poll_terms(&mut self, cx: &Context<'_>) -> Poll<Terms> {
        let waker = cx.waker().clone();
        let mut state = self.flight.state();
        match state.phase {
            Phase::Acquiring => {
                // The old waker is dropped outside the lock, as the new one is cloned: both run the executor's
                // code, which may lock the flight.
                let old = state.leaders.insert(self.ticket, waker);
                drop(state);
                drop(old);
                Poll::Pending
            }
            Phase::Dissolved => Poll::Ready(Terms::Dissolved),
            // Another leader has ended the flight, and uses its lease.
            Phase::Ended(_) => Poll::Ready(Terms::Plain(Reason::Overtaken)),
            Phase::Running(reason) => Poll::Ready(match state.lease {
                Some(lease) => Terms::Leased(lease),
                None => Terms::Plain(reason.unwrap_or(Reason::Unavailable)),
            }),
        }
    }

    /// Polls the leader's work with a waker that stamps, by which members see a leader that was woken and is not
    /// being polled.
    pub(crate) fn poll_stamped<T>(
        &mut self,
        cx: &Context<'_>,
        poll: impl FnOnce(&mut Self, &mut Context<'_>) -> T,
    ) -> T {
        let known = self.waker.as_ref().is_some_and(|(outer, _)| outer.will_wake(cx.waker()));
        if !known {
            let outer = cx.waker().clone();
            let stamping = Stamping::around(outer.clone(), self.stamp.clone());
            self.waker = Some((outer, stamping));
        }
        let waker = self.waker.as_ref().map_or_else(|| cx.waker().clone(), |(_, w)| w.clone());
        // Before the poll: a leader that is woken during the poll has to be polled once more.
        self.stamp.polled();
        self.polling = true;
        let polled = poll(self, &mut Context::from_waker(&waker));
        self.polling = false;
        polled
    }

    /// Whether the flight has other leaders or members.
    pub(crate) fn has_members(&self) -> bool {
        self.flight.state().parties > 1
    }

    /// Why the result will not be stored, if that is known; also for a flight whose lease was given up during the
    /// run.
    pub(crate) fn reason(&self) -> Option<Reason> {
        match self.flight.state().phase {
            Phase::Running(reason) => reason,
            _ => None,
        }
    }

    /// Ends the flight. Returns the lease, to be populated or released; `None` where there is none, or another
    /// leader was first. A flight with a lease stays in the table until the caller removes it.
    pub(crate) fn finish(mut self, ending: Ending<P>) -> Option<EntryId> {
        self.departed = true;
        let mut state = self.flight.state();
        state.parties -= 1;
        if matches!(state.phase, Phase::Ended(_)) {
            return None;
        }
        state.phase = Phase::Ended(ending);
        // Not taken: calls that read the lease still join the flight by it.
        let lease = state.lease;
        unlock_and_wake(state);
        if lease.is_none() {
            self.flights.remove(&self.flight);
        }
        lease
    }

    /// Leaves a dissolved flight.
    pub(crate) fn leave(mut self) {
        self.departed = true;
        self.flight.state().parties -= 1;
    }
}

impl<P: Clone, O: Owner> Drop for Lead<P, O> {
    fn drop(&mut self) {
        if self.departed {
            return;
        }
        let mut state = self.flight.state();
        state.parties -= 1;
        // Dropped after the lock is released, which all ways below do.
        let _waker = state.leaders.remove(&self.ticket);
        let latest = Arc::ptr_eq(&state.stamp, &self.stamp);
        state.panics += u8::from(latest && self.polling);
        if !matches!(state.phase, Phase::Acquiring | Phase::Running(_)) {
            drop(state);
        } else if state.panics >= PANICS {
            state.phase = Phase::Ended(Ending::Alone);
            let lease = state.lease;
            unlock_and_wake(state);
            self.flights.remove(&self.flight);
            if let Some(lease) = lease {
                self.flight.owner.abandoned(lease);
            }
        } else {
            state.vacant |= latest;
            let deserted = state.parties == 0;
            unlock_and_wake(state);
            if deserted {
                self.flights.abandon(&self.flight);
            }
        }
    }
}
