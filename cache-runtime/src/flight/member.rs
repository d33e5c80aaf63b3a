//! Those who wait.

use std::sync::Arc;
use std::task::{Context, Poll};

use super::{Ending, Flight, Flights, Lead, Owner, Phase};

/// A call that waits for a flight's result.
pub(crate) struct Member<P: Clone, O: Owner> {
    flights: Arc<Flights<P, O>>,
    flight: Arc<Flight<P, O>>,
    ticket: u64,
    left: bool,
}

pub(crate) enum Joined<P: Clone, O: Owner> {
    Shared(P),
    /// Run by yourself, and store nothing.
    Alone,
    /// Read again.
    Again,
    /// The leader is gone or stalled: lead, under the same lease.
    Promoted(Lead<P, O>),
}

impl<P: Clone, O: Owner> Member<P, O> {
    /// Of a party that the flight has counted already.
    pub(super) fn new(flights: Arc<Flights<P, O>>, flight: Arc<Flight<P, O>>, ticket: u64) -> Self {
        Self { flights, flight, ticket, left: false }
    }

    /// Whether the run of this flight goes into an entry.
    pub(crate) fn is_stored(&self) -> bool {
        self.flight.state().lease.is_some()
    }

    /// Waits for the end of the flight; `now` in milliseconds decides whether the leader stalls.
    pub(crate) fn poll(&mut self, cx: &Context<'_>, now: u64) -> Poll<Joined<P, O>> {
        let waker = cx.waker().clone();
        let mut state = self.flight.state();
        let joined = match &state.phase {
            Phase::Ended(Ending::Shared(payload)) => Joined::Shared(payload.clone()),
            Phase::Ended(Ending::Alone) => Joined::Alone,
            Phase::Dissolved => Joined::Again,
            Phase::Sending | Phase::Running(_) => match state.promote(now) {
                None => {
                    // Dropped outside the lock, as the leader's.
                    let before = state.waiting.insert(self.ticket, waker);
                    drop(state);
                    drop(before);
                    return Poll::Pending;
                }
                Some(stamp) => {
                    // The member's party becomes the leader's.
                    self.left = true;
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
        if self.left {
            return;
        }
        let mut state = self.flight.state();
        state.parties -= 1;
        let _waker = state.waiting.remove(&self.ticket);
        let going_on = matches!(state.phase, Phase::Sending | Phase::Running(_));
        let deserted = state.parties == 0 && going_on;
        drop(state);
        if deserted {
            self.flights.abandon(&self.flight);
        }
    }
}
