//! Everything before the function runs: the read of the store, the lease, the flights.
//!
//! Not generic, so that it is compiled once and not for every annotated function.

mod acquire;
mod classify;
mod dry_run;
mod pool;
mod report;
mod wait;

use std::future::Future;
use std::pin::{Pin, pin};
use std::time::{Duration, Instant};

use smallvec::SmallVec;

use crate::call::Call;
use crate::entry::{Entry, EntryId, Seen, Token};
use crate::flight::{self, Entered};
use crate::key::CallId;
use crate::key::Key;
use crate::lease::LeaseOwner;
use crate::near::ReadStart;
use crate::outcome::Reason;
use crate::returns::Payload;
use crate::store::{Fault, Found, Read};
use crate::verb::Verb;
use crate::{deadline, recursion};
pub(crate) use pool::PooledLookup;

/// How often others may take the key first before a call runs plainly.
const ATTEMPTS: u8 = 3;

pub(crate) type Lead = flight::Lead<Payload, LeaseOwner>;
type Member = flight::Member<Payload, LeaseOwner>;

/// What comes next in a call.
pub(crate) enum Step {
    Found(Hit),
    /// What another run returned.
    Joined(Payload),
    Run(Role),
}

/// An entry to serve, this call's own; it may still not decode.
#[derive(Clone)]
pub(crate) struct Hit {
    pub(crate) entry: Entry,
    pub(crate) stale: bool,
    /// What the entry had left, where somebody ought to refresh it.
    pub(crate) refresh: Option<Duration>,
}

/// What a call has read and could serve, if the function fails in time.
struct Kept {
    entry: Entry,
    ttl_left: Duration,
    since: Instant,
}

/// How the function runs.
pub(crate) struct Role {
    /// The flight that waits for it.
    pub(crate) lead: Option<Lead>,
    /// Why nothing will be stored.
    pub(crate) reason: Option<Reason>,
}

impl Role {
    pub(crate) fn alone(reason: Reason) -> Self {
        Self { lead: None, reason: Some(reason) }
    }
}

/// What a call asks for, to be the one that populates.
enum Want {
    /// In place of nothing that counts.
    Lease(Seen),
    /// Over a value that had so much left.
    Claim(Entry, Duration),
}

/// What a read of the store showed.
enum ReadState {
    Serve(Hit),
    /// To be leased or claimed by whoever saw this.
    Free(Want),
    /// Somebody's lease or claim.
    Held(EntryId),
    /// The mark of a run whose result is not stored: a call that reads it runs at once.
    Joint(Entry),
    /// It matters how old the entry is.
    Untimed,
    /// No answer: share what is going on, store nothing.
    Without(Reason),
    Alone(Reason),
}

/// What is done where nothing can be served; `None` has everything read again.
type NextStep<'a> = Pin<Box<dyn Future<Output = Option<Step>> + Send + 'a>>;

/// One call on its way to a value.
pub(crate) struct Lookup {
    pub(crate) call: Call,
    id: CallId,
    key: Key,
    /// The tokens as they were last read.
    tokens: SmallVec<[Option<Token>; 2]>,
    /// An entry that turned out not to decode.
    dead: Option<Box<Seen>>,
    /// To be served if the function fails.
    kept: Option<Box<Kept>>,
    timed: bool,
    /// When the entry was last asked for, if a copy may be made of what came.
    sent: Option<ReadStart>,
    missed: bool,
    /// The call has been counted; those of verbs that make no call never are.
    counted: bool,
    attempts: u8,
    /// Time spent on cache traffic.
    spent: Duration,
    waited: Duration,
    without_store: Option<Reason>,
    ttl_left: Option<Duration>,
}

impl Lookup {
    pub(crate) fn new(call: Call) -> Self {
        let id = call.id();
        let asks = [Verb::Observe, Verb::Explain, Verb::Refresh];
        let timed = call.identity.asks_age() || call.verb.is_some_and(|verb| asks.contains(&verb));
        let counted = call.verb.is_some_and(Verb::names_a_key);
        Self {
            id,
            key: call.key(id),
            call,
            tokens: SmallVec::new(),
            dead: None,
            kept: None,
            timed,
            sent: None,
            missed: false,
            counted,
            attempts: 0,
            spent: Duration::ZERO,
            waited: Duration::ZERO,
            without_store: None,
            ttl_left: None,
        }
    }

    /// Looks, joins, waits or takes the lease, until there is a value or the function has to run.
    // The bound is written out, so that callers need not look inside to see it.
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
            // Boxed: a hit does not come here, and every call would carry their size.
            let further: NextStep<'_> = match self.read_state().await {
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
            if let Some(step) = further.await {
                return step;
            }
        }
    }

    /// Others took the key first: read again, but not for ever.
    fn refused(&mut self) -> Option<Step> {
        self.attempts += 1;
        (self.attempts == ATTEMPTS).then(|| Step::Run(Role::alone(Reason::Contended)))
    }

    async fn read_state(&mut self) -> ReadState {
        if let Some(seen) = self.dead.take() {
            return ReadState::Free(Want::Lease(*seen));
        }
        if self.inner().store.is_down() {
            return ReadState::Without(Reason::Unavailable);
        }
        let found = match self.read().await {
            Ok(found) => found,
            Err(fault) => return ReadState::Without(self.failed(&fault)),
        };
        let state = self.classify(found);
        if matches!(state, ReadState::Free(_) | ReadState::Joint(_)) {
            self.missed();
            if self.inner().store.is_write_paused(&self.key) {
                return ReadState::Without(Reason::WritesRefused);
            }
        }
        state
    }

    async fn read(&mut self) -> Result<Found, Fault> {
        let mut again = true;
        loop {
            let found = self.read_once().await;
            // Down and not ready: the runtime that drove the connection has just ended, and there
            // will be another.
            let ended = found == Err(Fault::Down) && !self.inner().store.is_ready(&self.key);
            if !std::mem::take(&mut again) || !ended {
                return found;
            }
        }
    }

    async fn read_once(&mut self) -> Result<Found, Fault> {
        if !self.inner().store.is_ready(&self.key) {
            // Once in a process: not worth a place in every call.
            Box::pin(self.dialled()).await?;
        }
        let limit = self.limit();
        if limit.is_zero() {
            return Err(Fault::Timeout);
        }
        let inner = self.call.cache.inner();
        let copies = self.call.is_local() && inner.store.tracks_changes();
        self.sent = copies.then(|| inner.near.sent(&self.key));
        self.timed |= copies;
        let how = match (copies, self.timed) {
            (true, _) => Read::Tracked,
            (false, true) => Read::Timed,
            (false, false) => Read::Plain,
        };
        let began = Instant::now();
        let found = self.inner().store.read(&self.key, how, limit).await;
        self.spent += began.elapsed();
        found
    }

    /// Waits for the first dial.
    async fn dialled(&mut self) -> Result<(), Fault> {
        let (inner, began) = (self.inner().clone(), Instant::now());
        let ready = pin!(inner.store.ready(&self.key));
        let dialled = deadline::timeout(self.limit(), ready).await;
        self.spent += began.elapsed();
        dialled.map_err(|_| Fault::Timeout)
    }

    /// Joins the flight that is about to ask for the lease, or leads one and asks.
    async fn lead_or_join(&mut self, want: Want) -> Option<Step> {
        let inner = self.inner().clone();
        if inner.is_closed() {
            // A lease that is taken now might be left behind.
            return self.share_without_store(Reason::Off).await;
        }
        match inner.flights.enter(self.id, || self.lease_owner()) {
            Entered::Member(member) => self.wait(member).await,
            Entered::Lead(lead) => {
                self.acquire(&lead, want);
                self.terms(lead).await
            }
        }
    }

    /// Joins the flight of this process that holds the lease, or waits until it is gone.
    async fn join_or_wait(&mut self, lease: EntryId) -> Option<Step> {
        let inner = self.inner().clone();
        // A refresh began later than whatever is going on.
        let joins = self.call.verb != Some(Verb::Refresh);
        match inner.flights.with_lease(self.id, lease).filter(|_| joins) {
            Some(member) => self.wait(member).await,
            None => self.wait_for_other(lease).await,
        }
    }

    /// Runs at once under what a run has left whose result is not stored, by itself or in the flight
    /// of this process that does so already. To wait for others who try would be to queue.
    async fn run_jointly(&mut self, entry: Entry) -> Option<Step> {
        let inner = self.inner().clone();
        match inner.flights.enter_under(self.id, entry.id, || self.joint_owner(&entry)) {
            Entered::Member(member) => self.wait(member).await,
            Entered::Lead(lead) => Some(Step::Run(Role { lead: Some(lead), reason: None })),
        }
    }

    async fn share_without_store(&mut self, reason: Reason) -> Option<Step> {
        self.without_store = Some(reason);
        if recursion::is_stored() || self.call.verb == Some(Verb::Refresh) {
            // What goes into an entry must not be older than the entry's own run.
            return Some(Step::Run(Role::alone(reason)));
        }
        let inner = self.inner().clone();
        let step = match inner.flights.enter_plain(self.id, || self.lease_owner()) {
            Entered::Lead(lead) => Some(Step::Run(Role { lead: Some(lead), reason: Some(reason) })),
            Entered::Member(member) => self.wait(member).await,
        };
        step.or_else(|| Some(Step::Run(Role::alone(reason))))
    }

    /// What is left of the budget for cache traffic, less a share for timers that fire late.
    fn limit(&self) -> Duration {
        let budget = self.inner().config.budget;
        budget.saturating_sub(budget / 32).saturating_sub(self.spent)
    }
}
