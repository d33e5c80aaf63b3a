//! Everything before the function runs: the look into the store, the lease, the flights.
//!
//! Not generic, so that it is compiled once and not for every annotated function.

mod tell;
mod verbs;

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::cache::Inner;
use crate::call::Call;
use crate::entry::{Draft, Entry, EntryId, Kind, Owner, Seen};
use crate::flight::{self, Answer, Entered, Joined, STALL, Terms};
use crate::key::CallId;
use crate::outcome::Reason;
use crate::returns::Payload;
use crate::settle;
use crate::site::Warning;
use crate::stats::{Count, Counters};
use crate::store::{Fault, Found, Key, Write};
use crate::verb::Verb;
use crate::{background, clock, recursion};

/// How often others may take the key first before a call runs plainly.
const ATTEMPTS: u8 = 3;

pub(crate) type Lead = flight::Lead<Payload, Lease>;
type Member = flight::Member<Payload, Lease>;

/// What comes next in a call.
pub(crate) enum Step {
    /// An entry that is fresh and this call's own; it may still not decode.
    Found(Entry),
    /// What another run returned.
    Joined(Payload),
    Run(Role),
}

/// How the function runs.
pub(crate) struct Role {
    /// The flight that waits for it.
    pub(crate) lead: Option<Lead>,
    /// What a refresh replaces.
    pub(crate) over: Option<Seen>,
    /// Why nothing will be stored.
    pub(crate) reason: Option<Reason>,
}

impl Role {
    pub(crate) fn alone(reason: Reason) -> Self {
        Self { lead: None, over: None, reason: Some(reason) }
    }
}

/// What a flight's lease is about.
pub(crate) struct Lease {
    /// Weak: a leader that is held for ever must not keep the cache alive through its own table.
    inner: Weak<Inner>,
    key: Key,
    owner: Owner,
}

impl flight::Owner for Lease {
    fn abandoned(&self, lease: EntryId) {
        if let Some(inner) = self.inner.upgrade() {
            settle::give_up(inner, self.key.clone(), self.owner, lease, None);
        }
    }
}

/// What a look into the store showed.
enum Look {
    Entry(Entry),
    /// Nothing that counts: free to be leased by whoever saw this.
    Free(Seen),
    Lease(EntryId),
    /// To be replaced by a refresh.
    Over(Seen),
    /// No answer: share what is going on, store nothing.
    Without(Reason),
    Alone(Reason),
}

/// One call on its way to a value.
pub(crate) struct Search {
    pub(crate) call: Call,
    id: CallId,
    owner: Owner,
    key: Key,
    counters: Arc<Counters>,
    /// An entry that turned out not to decode.
    dead: Option<Seen>,
    missed: bool,
    read_again: bool,
    attempts: u8,
    /// Time spent on cache traffic.
    spent: Duration,
    waited: Duration,
    without_store: Option<Reason>,
    left: Option<Duration>,
}

impl Search {
    pub(crate) fn new(call: Call) -> Self {
        let id = call.id();
        Self {
            id,
            owner: call.owner(id),
            key: call.key(id),
            counters: call.cache.counters(call.identity.group),
            call,
            dead: None,
            missed: false,
            read_again: false,
            attempts: 0,
            spent: Duration::ZERO,
            waited: Duration::ZERO,
            without_store: None,
            left: None,
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
        loop {
            let step = match self.look().await {
                Look::Entry(entry) => Some(Step::Found(entry)),
                // Boxed: a hit does not come here, and every call would carry their size.
                Look::Free(seen) => Box::pin(self.lead_or_join(seen)).await,
                Look::Lease(lease) => Box::pin(self.join_lease(lease)).await,
                Look::Over(seen) => {
                    let role = Role { lead: None, over: Some(seen), reason: None };
                    Some(Step::Run(role))
                }
                Look::Without(reason) => Some(Box::pin(self.share_without_store(reason)).await),
                Look::Alone(reason) => Some(Step::Run(Role::alone(reason))),
            };
            if let Some(step) = step {
                return step;
            }
        }
    }

    /// Others took the key first: read again, but not for ever.
    fn refused(&mut self) -> Option<Step> {
        self.attempts += 1;
        (self.attempts == ATTEMPTS).then(|| Step::Run(Role::alone(Reason::Contended)))
    }

    async fn look(&mut self) -> Look {
        if let Some(seen) = self.dead.take() {
            return Look::Free(seen);
        }
        if self.inner().store.is_down() {
            return Look::Without(Reason::Unavailable);
        }
        let found = match self.read().await {
            Ok(found) => found,
            Err(Fault::WrongType) => {
                self.warn(Warning::WrongType, "the key holds another Redis type: left alone");
                return Look::Alone(Reason::WrongType);
            }
            Err(fault) => return Look::Without(self.failed(&fault)),
        };
        self.left = found.left;
        let look = found.bytes.map_or(Look::Free(Seen::absent()), |bytes| self.judge(&bytes));
        if matches!(look, Look::Free(_)) {
            self.missed();
            if self.inner().store.is_write_paused() {
                return Look::Without(Reason::WritesRefused);
            }
        }
        look
    }

    async fn read(&mut self) -> Result<Found, Fault> {
        let inner = self.inner().clone();
        let (store, key) = (&inner.store, self.key.clone());
        if !store.is_ready(&key) {
            // Once in a process: not worth a place in every call.
            let (began, limit) = (Instant::now(), self.limit());
            let dialled = Box::pin(background::timeout(limit, pin!(store.ready(&key)))).await;
            self.spent += began.elapsed();
            if dialled.is_err() {
                return Err(Fault::Timeout);
            }
        }
        let limit = self.limit();
        if limit.is_zero() {
            return Err(Fault::Timeout);
        }
        let began = Instant::now();
        let timed = matches!(self.call.verb, Some(Verb::Observe | Verb::Explain));
        let found = if timed {
            Box::pin(store.read_with_left(&key, limit)).await
        } else {
            store.read(&key, limit).await.map(|bytes| Found { bytes, left: None })
        };
        self.spent += began.elapsed();
        found
    }

    /// Whose the bytes are, and whether they count.
    fn judge(&self, bytes: &Bytes) -> Look {
        let Some(entry) = Entry::parse(bytes.clone()) else {
            self.dead(Warning::Undecodable, "the entry is not one of ours: overwritten");
            return Look::Free(Seen::foreign(bytes));
        };
        if entry.owner.function != self.owner.function {
            self.other_function(&entry);
            return Look::Free(entry.seen());
        }
        if entry.owner.arguments != self.owner.arguments {
            self.dead(Warning::OtherFunction, "calls with different arguments share a `key`");
            return Look::Free(entry.seen());
        }
        if entry.owner.version > self.owner.version {
            self.warn(Warning::Newer, "the entry is from a newer `version`: left alone");
            return Look::Alone(Reason::Newer);
        }
        if entry.owner.version < self.owner.version {
            return Look::Free(entry.seen());
        }
        match entry.kind {
            Kind::Value | Kind::None | Kind::Lease if self.call.verb == Some(Verb::Refresh) => {
                Look::Over(entry.seen())
            }
            Kind::Lease => Look::Lease(entry.id),
            Kind::Value | Kind::None => Look::Entry(entry),
        }
    }

    /// Joins the flight that is about to ask for the lease, or leads one and asks.
    async fn lead_or_join(&mut self, seen: Seen) -> Option<Step> {
        let inner = self.inner().clone();
        match inner.flights.enter(self.id, || self.lease()) {
            Entered::Member(member) => self.wait(member).await,
            Entered::Lead(lead) => {
                self.ask(&lead, seen);
                self.terms(lead).await
            }
        }
    }

    /// Joins the flight of this process that holds the lease; another process's is not waited for.
    async fn join_lease(&mut self, lease: EntryId) -> Option<Step> {
        let inner = self.inner().clone();
        if let Some(member) = inner.flights.with_lease(self.id, lease) {
            return self.wait(member).await;
        }
        if self.read_again {
            return Some(Step::Run(Role::alone(Reason::Leased)));
        }
        // Ours may have ended between the reply and now: then there is a value.
        self.read_again = true;
        None
    }

    async fn share_without_store(&mut self, reason: Reason) -> Step {
        self.without_store = Some(reason);
        let inner = self.inner().clone();
        match inner.flights.enter_plain(self.id, || self.lease()) {
            Entered::Lead(lead) => {
                let role = Role { lead: Some(lead), over: None, reason: Some(reason) };
                Step::Run(role)
            }
            Entered::Member(member) => {
                let step = self.wait(member).await;
                step.unwrap_or_else(|| Step::Run(Role::alone(reason)))
            }
        }
    }

    /// Sends for the lease. The answer goes to the flight, so that it outlives this call.
    fn ask(&mut self, lead: &Lead, seen: Seen) {
        let inner = self.inner().clone();
        let flight = lead.flight().clone();
        let Some(lease) = EntryId::fresh() else {
            inner.flights.settle(&flight, Answer::Unknown(Reason::Failed));
            return;
        };
        flight.asks(lease);
        let (key, owner, limit) = (self.key.clone(), self.owner, self.limit());
        background::spawn_begun(async move {
            let life = settle::lease_life(&inner.store);
            let header = Draft::lease(lease, owner, life).encode();
            let write = Write::Whole { bytes: header.clone(), life };
            let taken = inner.store.compare_and_set(&key, &seen, write, limit).await;
            let answer = match &taken {
                Ok(true) => Answer::Granted(lease),
                Ok(false) => Answer::Refused,
                Err(fault) => Answer::Unknown(fault.reason()),
            };
            inner.flights.settle(&flight, answer);
            let weak = Arc::downgrade(&flight);
            // With it goes the output, which the last to hold it drops: not here.
            drop(flight);
            match taken {
                Ok(true) if inner.store.is_shared() => {
                    let held = || weak.upgrade().is_some_and(|flight| flight.holds(lease));
                    settle::extend(&inner.store, &key, header, life, held).await;
                }
                // It may have been taken all the same: on the same lane this comes after it.
                Err(Fault::Timeout | Fault::Down) => {
                    settle::delete_lease(&inner.store, &key, owner, lease).await;
                }
                _ => {}
            }
        });
    }

    /// Waits for the answer about the lease, within the budget.
    async fn terms(&mut self, mut lead: Lead) -> Option<Step> {
        let (began, limit) = (Instant::now(), self.limit());
        let answered = poll_fn(|cx| lead.poll_stamped(cx, |lead, cx| lead.poll_terms(cx)));
        let terms = background::timeout(limit, pin!(answered)).await;
        self.spent += began.elapsed();
        if terms.is_err() {
            // Closes the flight to newcomers before the function begins; should the lease be
            // granted yet, it is given up.
            let late = Answer::Unknown(Reason::Timeout);
            self.inner().flights.settle(lead.flight(), late);
        }
        let reason = match terms.unwrap_or(Terms::Plain(Reason::Timeout)) {
            Terms::Leased(_) => None,
            Terms::Plain(reason) => Some(reason),
            Terms::Dissolved => {
                lead.leave();
                return self.refused();
            }
        };
        if reason.is_some() {
            self.counters.count(Count::Error);
        }
        Some(Step::Run(Role { lead: Some(lead), over: None, reason }))
    }

    /// Waits for a flight to end, for as long as `wait` allows.
    async fn wait(&mut self, mut member: Member) -> Option<Step> {
        if background::handle().is_none() {
            // Without a clock there would be no end to it.
            return Some(Step::Run(Role::alone(Reason::WaitOver)));
        }
        let began = Instant::now();
        let rest = self.inner().config.wait.saturating_sub(self.waited);
        let joined = loop {
            let left = rest.saturating_sub(began.elapsed());
            // Looks up now and then whether the leader stalls.
            let tick = left.min(STALL / 2);
            let ended = poll_fn(|cx| member.poll(cx, clock::millis()));
            match background::timeout(tick, pin!(ended)).await {
                Ok(joined) => break Some(joined),
                Err(_) if left <= tick => break None,
                Err(_) => {}
            }
        };
        self.waited += began.elapsed();
        match joined {
            None => Some(Step::Run(Role::alone(Reason::WaitOver))),
            Some(Joined::Shared(payload)) => Some(Step::Joined(payload)),
            Some(Joined::Alone) => Some(Step::Run(Role::alone(Reason::Unshared))),
            Some(Joined::Again) => self.refused(),
            Some(Joined::Promoted(lead)) => {
                drop(member);
                self.terms(lead).await
            }
        }
    }

    fn lease(&self) -> Lease {
        Lease { inner: Arc::downgrade(self.inner()), key: self.key.clone(), owner: self.owner }
    }

    /// What is left of the budget for cache traffic, less a share for timers that fire late.
    fn limit(&self) -> Duration {
        let budget = self.inner().config.budget;
        budget.saturating_sub(budget / 32).saturating_sub(self.spent)
    }
}
