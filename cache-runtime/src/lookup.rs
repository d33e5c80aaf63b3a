//! One call up to the point where it has a value, or has to run its function: the read of the store, the
//! lease, the flights of this process.
//!
//! Not generic, so that it is compiled once and not for every annotated function.

mod acquire;
mod classify;
mod dry_run;
mod fallback;
mod report;
mod wait;

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::{Duration, Instant};

use smallvec::SmallVec;

use crate::cache::Inner;
use crate::call::Call;
use crate::entry::{Entry, EntryId, Owner, Seen, Token};
use crate::flight::{self, Entered};
use crate::key::CallId;
use crate::key::Key;
use crate::lease::LeaseOwner;
use crate::near::ReadStart;
use crate::outcome::Reason;
use crate::returns::Payload;
use crate::stats::Counters;
use crate::store::{Fault, Found, Read};
use crate::verb::Verb;
use crate::{deadline, recursion};
use fallback::Fallback;

/// How often a call may lose the key to another process before it runs its function without storing.
const ATTEMPTS: u8 = 3;

pub(crate) type Lead = flight::Lead<Payload, LeaseOwner>;
type Member = flight::Member<Payload, LeaseOwner>;

/// The end of a lookup.
pub(crate) enum Step {
    Found(Hit),
    /// The result of another call's run.
    Joined(Payload),
    Run(Role),
}

/// An entry of this very call, to be served. It may turn out not to decode: then the lookup goes on.
#[derive(Clone)]
pub(crate) struct Hit {
    pub(crate) entry: Entry,
    /// The entry is past its TTL.
    pub(crate) stale: bool,
    /// The entry is due for a refresh that no process has claimed; its remaining TTL when it was read.
    pub(crate) refresh: Option<Duration>,
}

/// How a call runs its function.
pub(crate) struct Role {
    /// The flight that the call leads; `None` where the call runs for itself.
    pub(crate) lead: Option<Lead>,
    /// Why the result will not be stored; `None` where it may be.
    pub(crate) reason: Option<Reason>,
}

impl Role {
    pub(crate) fn alone(reason: Reason) -> Self {
        Self { lead: None, reason: Some(reason) }
    }
}

/// What a call requests, so as to be the one that populates.
enum Want {
    /// A lease, in place of the absent or dead entry that was seen.
    Lease(Seen),
    /// A claim over a stored value, with its remaining TTL when it was read.
    Claim(Entry, Duration),
}

/// The state of the key, as a call reads it.
enum ReadState {
    Serve(Hit),
    /// Nothing final: lease or claim the key, if it is unchanged since the read.
    Free(Want),
    /// Under the lease or claim of a run that has not ended.
    Held(EntryId),
    /// An unstored mark, or a value whose refresh has just failed: the call runs at once, under the id read.
    Joint(Entry),
    /// The entry's age decides, and was not read: read again, with `PTTL`.
    Untimed,
    /// The store cannot be read, or refuses writes: share a run of this process, store nothing.
    Without(Reason),
    Alone(Reason),
}

/// The next step when nothing can be served; `None` means read again.
type NextStep<'a> = Pin<Box<dyn Future<Output = Option<Step>> + Send + 'a>>;

/// One call on its way to a value.
pub(crate) struct Lookup {
    pub(crate) call: Call,
    id: CallId,
    key: Key,
    /// The tokens as they were last read.
    tokens: SmallVec<[Option<Token>; 2]>,
    /// An entry that was read and does not decode: to be overwritten without another read.
    undecodable: Option<Box<Seen>>,
    /// A value to serve if the function fails.
    fallback: Option<Box<Fallback>>,
    /// Reads include the entry's `PTTL`.
    timed: bool,
    /// The versions of the entry's names before the last read, where a near copy may be made of its answer.
    read_start: Option<ReadStart>,
    miss_logged: bool,
    /// The call has been counted, or is of a verb that is no call and is never counted.
    counted: bool,
    /// How often the key was lost to another process.
    attempts: u8,
    /// Time spent on cache traffic; it comes off the budget.
    spent: Duration,
    /// Time spent waiting for other runs; it comes off the site's `wait`.
    waited: Duration,
    /// Why the call went on without the store.
    without_store: Option<Reason>,
    /// The entry's `PTTL` at the last read, if that was timed: its stale window included.
    ttl_left: Option<Duration>,
}

impl Lookup {
    pub(crate) fn new(call: Call) -> Self {
        let id = call.id();
        let timed_verbs = [Verb::Observe, Verb::Explain, Verb::Refresh];
        let timed =
            call.identity.asks_age() || call.verb.is_some_and(|verb| timed_verbs.contains(&verb));
        let counted = call.verb.is_some_and(Verb::names_a_key);
        Self {
            id,
            key: call.key(id),
            call,
            tokens: SmallVec::new(),
            undecodable: None,
            fallback: None,
            timed,
            read_start: None,
            miss_logged: false,
            counted,
            attempts: 0,
            spent: Duration::ZERO,
            waited: Duration::ZERO,
            without_store: None,
            ttl_left: None,
        }
    }

    pub(crate) fn inner(&self) -> &Arc<Inner> {
        self.call.cache.inner()
    }

    pub(crate) fn id(&self) -> CallId {
        self.id
    }

    pub(crate) fn owner(&self) -> Owner {
        self.call.owner(self.id)
    }

    pub(crate) fn store_key(&self) -> &Key {
        &self.key
    }

    pub(crate) fn counters(&self) -> &Counters {
        self.call.counters()
    }

    pub(crate) fn max_value(&self) -> usize {
        self.inner().config.max_value
    }

    /// Reads, joins, waits or acquires the lease, until there is a value or the function has to run.
    // `Send` is written out: otherwise the compiler looks for it inside, once for each cached function.
    pub(crate) fn next(&mut self) -> impl Future<Output = Step> + Send {
        self.step()
    }

    async fn step(&mut self) -> Step {
        if recursion::is_computing(self.id) {
            return Step::Run(Role::alone(Reason::Recursion));
        }
        if self.inner().undelivered.binds(&self.key) {
            return Step::Run(Role::alone(Reason::Invalidated));
        }
        loop {
            // Boxed: a hit does not come here, and unboxed every call's future would have room for them.
            let next_step: NextStep<'_> = match self.read_state().await {
                ReadState::Serve(hit) => return Step::Found(hit),
                ReadState::Alone(reason) => return Step::Run(Role::alone(reason)),
                ReadState::Untimed => {
                    self.timed = true;
                    continue;
                }
                ReadState::Free(want) => Box::pin(self.lead_or_join(want)),
                ReadState::Held(lease) => Box::pin(self.join_or_wait(lease)),
                ReadState::Joint(entry) => Box::pin(self.run_jointly(entry)),
                ReadState::Without(reason) => Box::pin(self.share_without_store(reason)),
            };
            if let Some(step) = next_step.await {
                return step;
            }
        }
    }

    /// Another process took the key first: `None` to read again; the third time, a run without the cache.
    fn read_again(&mut self) -> Option<Step> {
        self.attempts += 1;
        (self.attempts == ATTEMPTS).then(|| Step::Run(Role::alone(Reason::Contended)))
    }

    async fn read_state(&mut self) -> ReadState {
        if let Some(seen) = self.undecodable.take() {
            return ReadState::Free(Want::Lease(*seen));
        }
        if self.inner().store.is_down() {
            return ReadState::Without(Reason::Unavailable);
        }
        let found = match self.read().await {
            Ok(found) => found,
            Err(fault) => return ReadState::Without(self.read_failed(&fault)),
        };
        let state = self.classify(found);
        if matches!(state, ReadState::Free(_) | ReadState::Joint(_)) {
            self.log_miss();
            if self.inner().store.is_write_paused(&self.key) {
                return ReadState::Without(Reason::WritesRefused);
            }
        }
        state
    }

    async fn read(&mut self) -> Result<Found, Fault> {
        let mut may_retry = true;
        loop {
            let found = self.read_once().await;
            // Down and not ready: the runtime that drove the connection has just ended. The retry dials
            // another connection.
            let ended = found == Err(Fault::Down) && !self.inner().store.is_ready(&self.key);
            if !std::mem::take(&mut may_retry) || !ended {
                return found;
            }
        }
    }

    async fn read_once(&mut self) -> Result<Found, Fault> {
        if !self.inner().store.is_ready(&self.key) {
            // Boxed: it happens once in a process, and unboxed every call's future would have room for it.
            Box::pin(self.wait_for_dial()).await?;
        }
        let limit = self.budget_left();
        if limit.is_zero() {
            return Err(Fault::Timeout);
        }
        let inner = self.call.cache.inner();
        let copies = self.call.is_local() && inner.store.tracks_changes();
        // Before the read: a change that comes while it is under way makes the copy void.
        self.read_start = copies.then(|| inner.near.sent(&self.key));
        self.timed |= copies;
        let mode = match (copies, self.timed) {
            (true, _) => Read::Tracked,
            (false, true) => Read::Timed,
            (false, false) => Read::Plain,
        };
        let began = Instant::now();
        let found = self.inner().store.read(&self.key, mode, limit).await;
        let took = began.elapsed();
        self.spent += took;
        let timings = &self.inner().timings;
        timings.reads.record(took);
        if let Ok(Found { bytes: Some(bytes), .. }) = &found {
            timings.read(bytes.len());
        }
        found
    }

    /// Waits until the key's lane is connected, within the budget.
    async fn wait_for_dial(&mut self) -> Result<(), Fault> {
        let (inner, began) = (self.inner().clone(), Instant::now());
        let ready = pin!(inner.store.ready(&self.key));
        let dialled = deadline::timeout(self.budget_left(), ready).await;
        self.spent += began.elapsed();
        dialled.map_err(|_| Fault::Timeout)
    }

    /// Joins the flight that is acquiring the lease, or leads one and acquires it.
    async fn lead_or_join(&mut self, want: Want) -> Option<Step> {
        let inner = self.inner().clone();
        if inner.is_closed() {
            // `Cache::close` waits for the leases that are there: one acquired now might outlive the process.
            return self.share_without_store(Reason::Off).await;
        }
        match inner.flights.enter(self.id, || self.lease_owner()) {
            Entered::Member(member) => self.wait_for_flight(member).await,
            Entered::Lead(lead) => {
                self.acquire(&lead, want);
                self.wait_for_answer(lead).await
            }
        }
    }

    /// Joins the flight of this process that holds the lease, or waits until the lease is gone.
    async fn join_or_wait(&mut self, lease: EntryId) -> Option<Step> {
        let inner = self.inner().clone();
        // `refresh` promises a run that began after it, and the flight's began before.
        let joins = self.call.verb != Some(Verb::Refresh);
        match inner.flights.with_lease(self.id, lease).filter(|_| joins) {
            Some(member) => self.wait_for_flight(member).await,
            None => self.wait_for_lease(lease).await,
        }
    }

    /// Runs at once under the id of `entry`, which a run whose result is not stored has left; or joins the
    /// flight of this process that does so already. Waiting for other processes would make calls queue.
    async fn run_jointly(&mut self, entry: Entry) -> Option<Step> {
        let inner = self.inner().clone();
        match inner.flights.enter_under(self.id, entry.id, || self.joint_owner(&entry)) {
            Entered::Member(member) => self.wait_for_flight(member).await,
            Entered::Lead(lead) => Some(Step::Run(Role { lead: Some(lead), reason: None })),
        }
    }

    /// Joins whatever flight of this process runs the call, or leads one; the result is not stored.
    async fn share_without_store(&mut self, reason: Reason) -> Option<Step> {
        self.without_store = Some(reason);
        if recursion::is_stored() || self.call.verb == Some(Verb::Refresh) {
            // The flight's run may have begun before this call: too early for `refresh`, and for a value that
            // becomes part of another entry.
            return Some(Step::Run(Role::alone(reason)));
        }
        let inner = self.inner().clone();
        let step = match inner.flights.enter_plain(self.id, || self.lease_owner()) {
            Entered::Lead(lead) => Some(Step::Run(Role { lead: Some(lead), reason: Some(reason) })),
            Entered::Member(member) => self.wait_for_flight(member).await,
        };
        step.or_else(|| Some(Step::Run(Role::alone(reason))))
    }

    /// The rest of the budget for cache traffic, less 1/32 of the whole for timers that fire late.
    fn budget_left(&self) -> Duration {
        let budget = self.inner().config.budget;
        budget.saturating_sub(budget / 32).saturating_sub(self.spent)
    }
}
