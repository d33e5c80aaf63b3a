//! Single flight: overlapping calls with one key share one run of the function.
//!
//! A state machine without I/O or tasks: its callers bring the store's answer about the lease. A flight begins
//! when its lease is requested and ends in a run of the function, never in a hit. A call joins a flight whose
//! function has not begun, or one whose live lease id the call has itself just read; so a flight that an
//! invalidation has overtaken never has to send members away.
//!
//! A flight has one leader, which runs the function, and members, which wait. When the leader is dropped or
//! panics, one member becomes the leader; when the leader was woken and not polled for [`STALL`], one member
//! becomes a second leader. Each leads under the same lease, with its own unrun function. The first leader to
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

/// When a leader was woken and not polled for this long, one member overtakes it.
pub(crate) const STALL: Duration = Duration::from_secs(1);

/// After so many panics of the function in one flight, its members all run by themselves. Otherwise they would
/// run one after the other, and the last would wait for the panics of all others.
pub(crate) const PANICS: u8 = 3;

/// How many locks the table is divided among, by the first byte of the call's digest.
const SHARDS: usize = 16;

/// The owner of a flight's lease; releases one that no leader will populate.
pub(crate) trait Owner: Send + Sync + 'static {
    /// No leader is left that could populate under `lease`.
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
    /// The lease that has been requested. Calls may read it in the store before the OK has been handled here.
    requested: Option<EntryId>,
    /// The lease that the store has granted, or the id of the entry under which the flight runs: an unstored mark,
    /// or a value whose refresh has failed.
    lease: Option<EntryId>,
    /// When the latest leader was woken; also tells it from earlier ones.
    stamp: Arc<Stamp>,
    /// The latest leader was dropped, and no member has become leader since.
    vacant: bool,
    /// How many leaders' functions have panicked.
    panics: u8,
    /// How many leaders and members the flight has.
    parties: usize,
    last_ticket: u64,
    /// Of leaders, which wait for the answer about the lease.
    leaders: Wakers,
    /// Of members, which wait for the end of the flight.
    members: Wakers,
}

/// By the ticket of the leader or member that waits.
type Wakers = HashMap<u64, Waker>;

enum Phase<P> {
    /// The lease is requested; the function has not begun.
    Acquiring,
    /// With the reason why nothing will be stored, if that is known.
    Running(Option<Reason>),
    Ended(Ending<P>),
    /// Another process took the key first: all calls of the flight read again.
    Dissolved,
}

#[derive(Clone)]
pub(crate) enum Ending<P> {
    Shared(P),
    /// The function panicked [`PANICS`] times, or its result cannot be shared: all members run by themselves.
    Alone,
}

/// The store's answer to the request for a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Granted(EntryId),
    /// The key was changed since it was read.
    Refused,
    /// The lease may or may not have been granted: run, and store nothing, for this reason.
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

    /// Joins a flight whose function has not begun, or leads a new one, whose leader is to request a lease.
    pub(crate) fn enter(
        self: &Arc<Self>,
        call: CallId,
        owner: impl FnOnce() -> O,
    ) -> Entered<P, O> {
        self.join_or_lead(
            call,
            |state| matches!(state.phase, Phase::Acquiring),
            Phase::Acquiring,
            owner,
        )
    }

    /// Without a store: joins any flight that has not ended, or leads one without a lease.
    pub(crate) fn enter_plain(
        self: &Arc<Self>,
        call: CallId,
        owner: impl FnOnce() -> O,
    ) -> Entered<P, O> {
        let going_on =
            |state: &State<P>| matches!(state.phase, Phase::Acquiring | Phase::Running(_));
        self.join_or_lead(call, going_on, Phase::Running(None), owner)
    }

    /// Leads a flight, for a refresh; `None` where one is under way.
    pub(crate) fn lead_if_idle(
        self: &Arc<Self>,
        call: CallId,
        owner: impl FnOnce() -> O,
    ) -> Option<Lead<P, O>> {
        let mut shard = self.shard(call);
        let flights = shard.entry(call).or_default();
        let going_on = |flight: &Arc<Flight<P, O>>| {
            matches!(flight.state().phase, Phase::Acquiring | Phase::Running(_))
        };
        if flights.iter().any(going_on) {
            return None;
        }
        Some(self.lead(call, flights, Phase::Acquiring, owner))
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
            Phase::Acquiring => state.requested == Some(lease),
            _ => state.lease == Some(lease),
        };
        flights.iter().find_map(|flight| self.join(flight, holds))
    }

    /// Joins the flight that runs under the id of `entry`, which the caller has itself just read; or leads one
    /// whose function begins at once.
    pub(crate) fn enter_under(
        self: &Arc<Self>,
        call: CallId,
        entry: EntryId,
        owner: impl FnOnce() -> O,
    ) -> Entered<P, O> {
        let mut shard = self.shard(call);
        let flights = shard.entry(call).or_default();
        let under = |state: &State<P>| state.lease == Some(entry);
        if let Some(member) = flights.iter().find_map(|flight| self.join(flight, under)) {
            return Entered::Member(member);
        }
        let lead = self.lead(call, flights, Phase::Running(None), owner);
        lead.flight().state().lease = Some(entry);
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

    /// Takes a flight out of the table: its lease was populated or released, or it had none.
    pub(crate) fn remove(&self, flight: &Arc<Flight<P, O>>) {
        let mut shard = self.shard(flight.call);
        if let Some(flights) = shard.get_mut(&flight.call) {
            flights.retain(|other| !Arc::ptr_eq(other, flight));
            if flights.is_empty() {
                shard.remove(&flight.call);
            }
        }
    }

    /// Handles the store's answer to the lease request of `flight`.
    pub(crate) fn resolve(&self, flight: &Arc<Flight<P, O>>, answer: Answer) {
        let mut state = flight.state();
        if !matches!(state.phase, Phase::Acquiring) {
            // Its leader has not waited for the answer, so nothing may be populated under this lease.
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
            unlock_and_wake(state);
            self.remove(flight);
            return;
        }
        self.begin(flight, state);
    }

    /// Wakes the leader to begin its run; members go on waiting for the end.
    fn begin(&self, flight: &Arc<Flight<P, O>>, mut state: MutexGuard<'_, State<P>>) {
        let (deserted, leaders) = (state.parties == 0, std::mem::take(&mut state.leaders));
        drop(state);
        wake_all(leaders);
        if deserted {
            self.abandon(flight);
        }
    }

    /// Gives up the leases of all flights, for `reason`. Runs go on and are shared, and none of them is stored.
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
            Phase::Acquiring => {
                // `resolve` will give the lease up, should the store grant it.
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

    /// Ends a flight whose last leader or member has left before the end.
    fn abandon(&self, flight: &Arc<Flight<P, O>>) {
        let mut state = flight.state();
        // A call may have joined since the last one left. A flight that is still acquiring its lease stays:
        // `resolve` ends it when the answer comes.
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

    /// Notes the id of the lease that is being requested.
    pub(crate) fn requests(&self, lease: EntryId) {
        self.state().requested = Some(lease);
    }

    /// Whether a leader may still populate under this lease.
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
            requested: None,
            lease: None,
            stamp: Arc::default(),
            vacant: false,
            panics: 0,
            parties: 1,
            last_ticket: 0,
            leaders: HashMap::new(),
            members: HashMap::new(),
        }
    }

    fn ticket(&mut self) -> u64 {
        self.last_ticket += 1;
        self.last_ticket
    }

    /// Makes a member leader where the latest leader was dropped, or was woken and is not being polled.
    fn promote(&mut self, now: u64) -> Option<Arc<Stamp>> {
        if !self.vacant && !self.stamp.stalled(now) {
            return None;
        }
        self.vacant = false;
        self.stamp = Arc::default();
        Some(self.stamp.clone())
    }
}

/// Unlocks, then wakes all leaders and members.
fn unlock_and_wake<P>(mut state: MutexGuard<'_, State<P>>) {
    let wakers = [std::mem::take(&mut state.leaders), std::mem::take(&mut state.members)];
    drop(state);
    wakers.into_iter().for_each(wake_all);
}

/// A waker is the executor's, and may run any code: a panic in one must neither keep other calls asleep nor
/// reach the leader, whose output would be lost.
fn wake_all(wakers: Wakers) {
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
