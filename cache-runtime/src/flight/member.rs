//! The members of a flight.

use std::sync::Arc;
use std::task::{Context, Poll};

use super::{Ending, Flight, Flights, Lead, Owner, Phase};

/// A call that waits for a flight's result.
pub(crate) struct Member<P: Clone, O: Owner> {
    flights: Arc<Flights<P, O>>,
    flight: Arc<Flight<P, O>>,
    ticket: u64,
    /// The flight no longer counts this member among its parties.
    departed: bool,
}

/// The end of a member's wait.
pub(crate) enum Joined<P: Clone, O: Owner> {
    Shared(P),
    /// Run by yourself, and store nothing.
    Alone,
    /// Read again.
    Again,
    /// The leader was dropped or has stalled: lead, under the same lease.
    Promoted(Lead<P, O>),
}

impl<P: Clone, O: Owner> Member<P, O> {
    /// The flight has counted the member among its parties already.
    pub(super) fn new(flights: Arc<Flights<P, O>>, flight: Arc<Flight<P, O>>, ticket: u64) -> Self {
        Self { flights, flight, ticket, departed: false }
    }

    /// Whether the result of this flight is to be stored.
    pub(crate) fn is_stored(&self) -> bool {
        self.flight.state().lease.is_some()
    }

    /// Waits for the end of the flight. `now`, in milliseconds of `clock::millis`, decides whether the leader has
    /// stalled.
    pub(crate) fn poll(&mut self, cx: &Context<'_>, now: u64) -> Poll<Joined<P, O>> {
        let waker = cx.waker().clone();
        let mut state = self.flight.state();
        let joined = match &state.phase {
            Phase::Ended(Ending::Shared(payload)) => Joined::Shared(payload.clone()),
            Phase::Ended(Ending::Alone) => Joined::Alone,
            Phase::Dissolved => Joined::Again,
            Phase::Acquiring | Phase::Running(_) => match state.promote(now) {
                None => {
                    // The old waker is dropped outside the lock, as in `Lead::poll_terms`.
                    let old = state.members.insert(self.ticket, waker);
                    drop(state);
                    drop(old);
                    return Poll::Pending;
                }
                Some(stamp) => {
                    // The leader takes over the member's count among the parties.
                    self.departed = true;
                    drop(state);
                    let lead = Lead::new(self.flights.clone(), self.flight.clone(), stamp);
                    return Poll::Ready(Joined::Promoted(lead));
                }
            },
        };
        Poll::Ready(joined)
    }
}

impl<P: Clone, O: Owner> Drop for Member<P, O> {
    fn drop(&mut self) {
        if self.departed {
            return;
        }
        let mut state = self.flight.state();
        state.parties -= 1;
        // Dropped after the lock is released.
        let _waker = state.members.remove(&self.ticket);
        let going_on = matches!(state.phase, Phase::Acquiring | Phase::Running(_));
        let deserted = state.parties == 0 && going_on;
        drop(state);
        if deserted {
            self.flights.abandon(&self.flight);
        }
    }
}
