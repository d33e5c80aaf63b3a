//! Single flight: calls with one key that overlap share one run of the function.
//!
//! A state machine without I/O, clocks or tasks: whoever drives it says what time it is, and what
//! became of the lease. A flight begins when its lease is asked for and ends in a run of the
//! function, never in a hit. A call joins it while the function has not begun, or when it has
//! itself read the flight's live lease id; so nothing ever has to be detached from a flight that
//! an invalidation has overtaken.
//!
//! A flight has one leader, who runs the function, and members, who wait. The leader's place is
//! free when it is dropped or panics, and is doubled when it was woken and not polled for [`STALL`]:
//! each time one member takes it, under the same lease, with its own unrun function. The first to
//! finish ends the flight; so does the last of [`PANICS`] leaders whose function panicked.

mod lead;
mod member;
mod stamp;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use crate::contain::contained;
use crate::entry::EntryId;
use crate::key::CallId;
use crate::outcome::Reason;
use crate::sync::{Mutex, MutexGuard, PoisonError};
pub(crate) use lead::{Lead, Terms};
pub(crate) use member::{Joined, Member};
use stamp::Stamp;

/// A leader that was woken and not polled for this long is overtaken by one member.
pub(crate) const STALL: Duration = Duration::from_secs(1);

/// After so many panics of the function in one flight its members run by themselves: one after the
/// other, each would wait for all panics before its own.
pub(crate) const PANICS: u8 = 3;

const SHARDS: usize = 16;

/// What a flight belongs to; told when a lease is left that nobody will populate.
pub(crate) trait Owner: Send + Sync + 'static {
    fn abandoned(&self, lease: EntryId);
}

/// All flights of a cache.
pub(crate) struct Flights<P, O> {
    shards: [Mutex<Table<P, O>>; SHARDS],
}

/// A key has more than one flight where an invalidation came between them.
type Table<P, O> = HashMap<CallId, Vec<Arc<Flight<P, O>>>>;

pub(crate) struct Flight<P, O> {
    call: CallId,
    owner: O,
    state: Mutex<State<P>>,
}

struct State<P> {
    phase: Phase<P>,
    /// The lease that has been asked for. Others may read it before its OK has been handled here.
    asked: Option<EntryId>,
    /// The lease that this flight is known to hold.
    lease: Option<EntryId>,
    /// When the latest leader was woken.
    stamp: Arc<Stamp>,
    /// The latest leader was dropped, and nobody has taken its place.
    vacant: bool,
    /// Leaders whose function has panicked.
    panics: u8,
    /// Leaders and members that are still there.
    parties: usize,
    next: u64,
    /// Leaders that wait for the answer about the lease.
    asking: Wakers,
    waiting: Wakers,
}

/// By the tickets of those who wait.
type Wakers = HashMap<u64, Waker>;

enum Phase<P> {
    /// The lease has been asked for; the function has not begun.
    Sending,
    /// Without a lease there is a reason for it.
    Running(Option<Reason>),
    Ended(Ending<P>),
    /// Another process took the lease first: all read again.
    Dissolved,
}

#[derive(Clone)]
pub(crate) enum Ending<P> {
    Shared(P),
    /// The function panicked [`PANICS`] times, or its result cannot be shared: everybody runs.
    Alone,
}

/// What became of asking for a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Granted(EntryId),
    Refused,
    /// Run, store nothing, and say why: the lease may or may not have been taken.
    Unknown(Reason),
}

pub(crate) enum Entered<P: Clone, O: Owner> {
    Lead(Lead<P, O>),
    Member(Member<P, O>),
}

impl<P: Clone, O: Owner> Flights<P, O> {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { shards: std::array::from_fn(|_| Mutex::default()) })
    }

    /// Joins a flight whose function has not begun, or leads one that is about to ask for a lease.
    pub(crate) fn enter(
        self: &Arc<Self>,
        call: CallId,
        owner: impl FnOnce() -> O,
    ) -> Entered<P, O> {
        self.join_or_lead(
            call,
            |state| matches!(state.phase, Phase::Sending),
            Phase::Sending,
            owner,
        )
    }

    /// Without a store: joins whatever is going on, or leads a flight that holds no lease.
    pub(crate) fn enter_plain(
        self: &Arc<Self>,
        call: CallId,
        owner: impl FnOnce() -> O,
    ) -> Entered<P, O> {
        let going_on = |state: &State<P>| matches!(state.phase, Phase::Sending | Phase::Running(_));
        self.join_or_lead(call, going_on, Phase::Running(None), owner)
    }

    /// Leads a flight where none is going on, as a refresh behind the call does.
    pub(crate) fn lead_if_idle(
        self: &Arc<Self>,
        call: CallId,
        owner: impl FnOnce() -> O,
    ) -> Option<Lead<P, O>> {
        let mut shard = self.shard(call);
        let flights = shard.entry(call).or_default();
        let going_on = |flight: &Arc<Flight<P, O>>| {
            matches!(flight.state().phase, Phase::Sending | Phase::Running(_))
        };
        if flights.iter().any(going_on) {
            return None;
        }
        Some(self.lead(call, flights, Phase::Sending, owner))
    }

    /// Joins the flight that holds `lease`, which the caller has itself just read.
    pub(crate) fn with_lease(
        self: &Arc<Self>,
        call: CallId,
        lease: EntryId,
    ) -> Option<Member<P, O>> {
        let shard = self.shard(call);
        let flights = shard.get(&call)?;
        let holds = |state: &State<P>| match state.phase {
            Phase::Sending => state.asked == Some(lease),
            _ => state.lease == Some(lease),
        };
        flights.iter().find_map(|flight| self.join(flight, holds))
    }

    /// Joins the flight that runs under `mark`, which the caller has itself just read, or leads one
    /// whose function begins at once.
    pub(crate) fn enter_under(
        self: &Arc<Self>,
        call: CallId,
        mark: EntryId,
        owner: impl FnOnce() -> O,
    ) -> Entered<P, O> {
        let mut shard = self.shard(call);
        let flights = shard.entry(call).or_default();
        let under = |state: &State<P>| state.lease == Some(mark);
        if let Some(member) = flights.iter().find_map(|flight| self.join(flight, under)) {
            return Entered::Member(member);
        }
        let lead = self.lead(call, flights, Phase::Running(None), owner);
        lead.flight().state().lease = Some(mark);
        Entered::Lead(lead)
    }

    fn join_or_lead(
        self: &Arc<Self>,
        call: CallId,
        open: impl Fn(&State<P>) -> bool,
        phase: Phase<P>,
        owner: impl FnOnce() -> O,
    ) -> Entered<P, O> {
        let mut shard = self.shard(call);
        let flights = shard.entry(call).or_default();
        if let Some(member) = flights.iter().find_map(|flight| self.join(flight, &open)) {
            return Entered::Member(member);
        }
        Entered::Lead(self.lead(call, flights, phase, owner))
    }

    fn lead(
        self: &Arc<Self>,
        call: CallId,
        flights: &mut Vec<Arc<Flight<P, O>>>,
        phase: Phase<P>,
        owner: impl FnOnce() -> O,
    ) -> Lead<P, O> {
        let state = Mutex::new(State::new(phase));
        let flight = Arc::new(Flight { call, owner: owner(), state });
        flights.push(flight.clone());
        let stamp = flight.state().stamp.clone();
        Lead::new(self.clone(), flight, stamp)
    }

    fn join(
        self: &Arc<Self>,
        flight: &Arc<Flight<P, O>>,
        open: impl Fn(&State<P>) -> bool,
    ) -> Option<Member<P, O>> {
        let mut state = flight.state();
        if !open(&state) {
            return None;
        }
        state.parties += 1;
        let ticket = state.ticket();
        drop(state);
        Some(Member::new(self.clone(), flight.clone(), ticket))
    }

    /// Forgets a flight: its populate or give-up has been answered, or it had no lease.
    pub(crate) fn remove(&self, flight: &Arc<Flight<P, O>>) {
        let mut shard = self.shard(flight.call);
        if let Some(flights) = shard.get_mut(&flight.call) {
            flights.retain(|other| !Arc::ptr_eq(other, flight));
            if flights.is_empty() {
                shard.remove(&flight.call);
            }
        }
    }

    /// Says what became of the lease that `flight` asked for.
    pub(crate) fn resolve(&self, flight: &Arc<Flight<P, O>>, answer: Answer) {
        let mut state = flight.state();
        if !matches!(state.phase, Phase::Sending) {
            // Its leader did not wait for the answer.
            drop(state);
            if let Answer::Granted(lease) = answer {
                flight.owner.abandoned(lease);
            }
            return;
        }
        match answer {
            Answer::Granted(lease) => {
                state.phase = Phase::Running(None);
                state.lease = Some(lease);
            }
            Answer::Unknown(reason) => state.phase = Phase::Running(Some(reason)),
            Answer::Refused => state.phase = Phase::Dissolved,
        }
        if answer == Answer::Refused {
            wake(state);
            self.remove(flight);
            return;
        }
        self.begin(flight, state);
    }

    /// Has the leader begin; members go on waiting for the run.
    fn begin(&self, flight: &Arc<Flight<P, O>>, mut state: MutexGuard<'_, State<P>>) {
        let (deserted, asking) = (state.parties == 0, std::mem::take(&mut state.asking));
        drop(state);
        use_all(asking);
        if deserted {
            self.abandon(flight);
        }
    }

    /// Gives up all leases, for `reason`. Runs go on and are shared, and none of them is stored.
    pub(crate) fn release_all(&self, reason: Reason) {
        for shard in &self.shards {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            let flights: Vec<_> = shard.values().flatten().cloned().collect();
            drop(shard);
            for flight in &flights {
                self.release_one(flight, reason);
            }
        }
    }

    fn release_one(&self, flight: &Arc<Flight<P, O>>, reason: Reason) {
        let mut state = flight.state();
        match state.phase {
            Phase::Sending => {
                // Should it be granted yet, it is given up as one whose leader did not wait.
                state.phase = Phase::Running(Some(reason));
                self.begin(flight, state);
            }
            Phase::Running(_) => {
                state.phase = Phase::Running(Some(reason));
                let lease = state.lease.take();
                drop(state);
                if let Some(lease) = lease {
                    flight.owner.abandoned(lease);
                }
            }
            Phase::Ended(_) | Phase::Dissolved => {}
        }
    }

    /// The last party has left a flight that has not ended.
    fn abandon(&self, flight: &Arc<Flight<P, O>>) {
        let mut state = flight.state();
        // Somebody may have joined since; and while the answer about the lease is to come, whoever
        // brings it finds nobody here.
        if state.parties > 0 || !matches!(state.phase, Phase::Running(_)) {
            return;
        }
        state.phase = Phase::Ended(Ending::Alone);
        let lease = state.lease.take();
        drop(state);
        self.remove(flight);
        if let Some(lease) = lease {
            flight.owner.abandoned(lease);
        }
    }

    fn shard(&self, call: CallId) -> MutexGuard<'_, Table<P, O>> {
        let shard = usize::from(call.0[0]) % SHARDS;
        self.shards[shard].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many flights are in the table.
    pub(crate) fn len(&self) -> usize {
        let size = |shard: &Mutex<Table<P, O>>| {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            shard.values().map(Vec::len).sum::<usize>()
        };
        self.shards.iter().map(size).sum()
    }
}

impl<P, O> Flight<P, O> {
    pub(crate) fn owner(&self) -> &O {
        &self.owner
    }

    /// Notes which lease is being asked for.
    pub(crate) fn requests(&self, lease: EntryId) {
        self.state().asked = Some(lease);
    }

    /// Whether somebody may still populate under this lease.
    pub(crate) fn holds(&self, lease: EntryId) -> bool {
        let state = self.state();
        matches!(state.phase, Phase::Running(_)) && state.lease == Some(lease)
    }

    fn state(&self) -> MutexGuard<'_, State<P>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<P> State<P> {
    fn new(phase: Phase<P>) -> Self {
        Self {
            phase,
            asked: None,
            lease: None,
            stamp: Arc::default(),
            vacant: false,
            panics: 0,
            parties: 1,
            next: 0,
            asking: HashMap::new(),
            waiting: HashMap::new(),
        }
    }

    fn ticket(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// Takes the leader's place where it is free, or where the leader is not being polled.
    fn promote(&mut self, now: u64) -> Option<Arc<Stamp>> {
        if !self.vacant && !self.stamp.stalled(now) {
            return None;
        }
        self.vacant = false;
        self.stamp = Arc::default();
        Some(self.stamp.clone())
    }
}

/// Unlocks, then wakes everybody.
fn wake<P>(mut state: MutexGuard<'_, State<P>>) {
    let wakers = [std::mem::take(&mut state.asking), std::mem::take(&mut state.waiting)];
    drop(state);
    wakers.into_iter().for_each(use_all);
}

/// A waker is an executor's and may run any code: a panic in one must neither keep others asleep nor
/// reach the call whose output is being shared.
fn use_all(wakers: Wakers) {
    for waker in wakers.into_values() {
        let _ = contained(|| waker.wake());
    }
}

impl<P, O> fmt::Debug for Flights<P, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flights").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
