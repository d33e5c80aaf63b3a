//! The lease to store: a lease over a key that has no value, or a claim over one that is stale.
//!
//! Whoever holds it runs the function and populates; others wait, or serve what is stale. It is
//! the fence: an invalidation takes it away, and what was computed under it is then not stored.

use std::collections::HashSet;
use std::pin::pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::select;
use tokio::sync::Notify;

use crate::background;
use crate::entry::{Draft, Entry, EntryId, Owner, Seen, Tokens};
use crate::flight::{self, Ending, Flight, Flights};
use crate::key::Key;
use crate::queue::{Queue, QueueSlot};
use crate::returns::Payload;
use crate::store::{Fault, Store, Write};

/// How much longer than what depends on them tokens live at least.
pub(crate) const AHEAD: Duration = Duration::from_secs(60);

/// For how long calls that read the mark of an unstored run run at once. Longer than a waiting process
/// needs to see the mark: its slowest poll, and a command.
pub(crate) const JOINT: Duration = Duration::from_millis(500);

/// So long before its end a claimed value makes way for a lease.
const BRINK: Duration = Duration::from_millis(100);

/// Between attempts to give a lease up: at first, and at last.
const PAUSES: [Duration; 2] = [Duration::from_millis(25), Duration::from_millis(200)];

/// A lease that has been asked for, or one that is had by reading it.
#[derive(Debug)]
pub(crate) struct Lease {
    pub(crate) id: EntryId,
    owner: Owner,
    /// What the new entry will depend on: read before the function begins.
    pub(crate) tokens: Tokens,
    /// How long it lasts without an extension.
    life: Duration,
    since: Instant,
    /// Others run under it as well: there is nothing to extend, and nothing to give up.
    joint: bool,
    kind: Kind,
    /// Its function has ended, or will not.
    over: Notify,
}

#[derive(Debug)]
enum Kind {
    Plain {
        header: Bytes,
    },
    Claim {
        entry: Entry,
        ttl_left: Duration,
        /// Whether the value is still there, since the two are given up in different ways.
        stage: AtomicU8,
    },
}

/// The stages of a claim: it may turn into a lease, when its value is about to expire; it has done so;
/// it has ended over its value.
const OVER_A_VALUE: u8 = 0;
const TURNED: u8 = 1;
const ENDED: u8 = 2;

impl Lease {
    fn new(id: EntryId, owner: Owner, tokens: Tokens, life: Duration, kind: Kind) -> Self {
        let (since, over) = (Instant::now(), Notify::new());
        Self { id, owner, tokens, life, since, joint: false, kind, over }
    }

    pub(crate) fn plain(id: EntryId, owner: Owner, tokens: Tokens, life: Duration) -> Self {
        let header = Draft::lease(id, owner, life, &tokens).encode();
        Self::new(id, owner, tokens, life, Kind::Plain { header })
    }

    /// A claim over `entry`, which had `left` when it was read.
    pub(crate) fn claim(id: EntryId, entry: Entry, ttl_left: Duration, life: Duration) -> Self {
        let (owner, tokens) = (entry.owner, entry.tokens().collect());
        let kind = Kind::Claim { entry, ttl_left, stage: AtomicU8::new(OVER_A_VALUE) };
        Self::new(id, owner, tokens, life, kind)
    }

    /// The lease of all who have read `entry`: the mark of a run that is not stored, or a value whose
    /// refresh has failed.
    pub(crate) fn joint(entry: &Entry) -> Self {
        let Seen(header) = entry.seen();
        let (kind, tokens) = (Kind::Plain { header }, entry.tokens().collect());
        Self { joint: true, ..Self::new(entry.id, entry.owner, tokens, JOINT, kind) }
    }

    /// What takes it.
    pub(crate) fn taking(&self) -> Write {
        match &self.kind {
            Kind::Plain { header } => Write::Whole { bytes: header.clone(), life: self.life },
            Kind::Claim { entry, ttl_left, .. } => self.mark(entry, *ttl_left),
        }
    }

    /// What is under the key while it is held. An extension does not change that: the bytes that
    /// are compared end with the id.
    pub(crate) fn seen(&self) -> Seen {
        match &self.kind {
            Kind::Plain { header } => Seen::own(header),
            Kind::Claim { .. } if self.value_ttl_left().is_none() => {
                Seen::own(&self.as_lease(self.life))
            }
            Kind::Claim { entry, .. } => Seen::own(&entry.claimed(self.id, None)),
        }
    }

    /// A value that is about to expire would take the claim with it: it makes way for a lease, under
    /// the same id.
    fn extension(&self, limit: Duration) -> Write {
        let life = self.life.min(limit.saturating_sub(self.age()));
        match &self.kind {
            Kind::Plain { header } => Write::Header { bytes: header.clone(), life: Some(life) },
            Kind::Claim { entry, .. } => match self.value_ttl_left() {
                Some(ttl_left) if ttl_left > BRINK || !self.leave_stage_for(TURNED) => {
                    self.mark(entry, ttl_left)
                }
                _ => Write::Whole { bytes: self.as_lease(life), life },
            },
        }
    }

    /// The two ends of a claim over a value exclude each other: what is under the key has to be known.
    fn leave_stage_for(&self, next: u8) -> bool {
        let Kind::Claim { stage, .. } = &self.kind else { return false };
        stage.compare_exchange(OVER_A_VALUE, next, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    fn as_lease(&self, life: Duration) -> Bytes {
        Draft::lease(self.id, self.owner, life, &self.tokens).encode()
    }

    /// What the claimed value has left; `None` where there is none.
    fn value_ttl_left(&self) -> Option<Duration> {
        match &self.kind {
            Kind::Claim { ttl_left, stage, .. } if stage.load(Ordering::Acquire) != TURNED => {
                Some(ttl_left.saturating_sub(self.age()))
            }
            Kind::Claim { .. } | Kind::Plain { .. } => None,
        }
    }

    /// A claim is as old as the time that has gone off the entry since its mark.
    fn mark(&self, entry: &Entry, ttl_left: Duration) -> Write {
        let mark = ttl_left.max(Duration::from_millis(1));
        Write::Header { bytes: entry.claimed(self.id, Some(mark)), life: None }
    }

    /// What is left under the key.
    fn write_on_release(&self, on_release: OnRelease) -> Write {
        let value = match &self.kind {
            Kind::Claim { entry, .. } if on_release != OnRelease::RemoveValue => {
                self.value_ttl_left().map(|ttl_left| (entry, ttl_left))
            }
            Kind::Claim { .. } | Kind::Plain { .. } => None,
        };
        // Without randomness for an id there is nothing to be written.
        let Some(id) = EntryId::fresh() else { return Write::Delete };
        match (value, on_release) {
            (Some((entry, _)), OnRelease::Restore) => {
                Write::Header { bytes: entry.claimed(id, None), life: None }
            }
            (Some((entry, ttl_left)), _) => {
                Write::Header { bytes: entry.as_released(id, ttl_left), life: None }
            }
            (None, OnRelease::Restore) => Write::Delete,
            (None, _) => self.unstored(id),
        }
    }

    /// The mark stands for as long as those who run under it may take, going by this run.
    fn unstored(&self, id: EntryId) -> Write {
        let after = self.age().saturating_mul(2).max(JOINT);
        let draft = Draft::unstored(id, self.owner, [JOINT, after], &self.tokens);
        Write::Whole { bytes: draft.encode(), life: draft.life }
    }

    /// Extends it while its function runs, up to `limit`. Refused means that it is lost for good.
    pub(crate) async fn extend(
        &self,
        store: &Store,
        key: &Key,
        limit: Duration,
        going_on: impl Fn() -> bool,
    ) {
        let (tokens_for, limit) = (self.life.saturating_add(AHEAD), self.limit(limit));
        if !store.is_shared() {
            store.renew_in_process(key, tokens_for);
        }
        while let Some(pause) = self.pause(store, limit) {
            let Some(pause) = background::sleep(pause) else { return };
            select(pin!(pause), pin!(self.over.notified())).await;
            if !going_on() || self.age() >= limit {
                return;
            }
            // In this order: an extension may turn a claim into a lease.
            let (seen, write) = (self.seen(), self.extension(limit));
            let written = store.populate(key, &seen, write, tokens_for, store.patience()).await;
            if written == Ok(false) {
                return;
            }
        }
    }

    /// Up to the next extension; `None` where none is needed any more.
    fn pause(&self, store: &Store, limit: Duration) -> Option<Duration> {
        let ttl_left = self.value_ttl_left();
        // In process a lease lasts for as long as a run may take.
        if self.age() >= limit || (ttl_left.is_none() && !store.is_shared()) {
            return None;
        }
        let pause = (self.life / 3).min(AHEAD / 3);
        let pause = ttl_left.map_or(pause, |ttl_left| pause.min(ttl_left.saturating_sub(BRINK)));
        Some(pause.max(Duration::from_millis(1)))
    }

    /// How long ago it was asked for.
    pub(crate) fn age(&self) -> Duration {
        self.since.elapsed()
    }

    /// For how long it may be held, where runs are limited to `max_run`.
    pub(crate) fn limit(&self, max_run: Duration) -> Duration {
        max_run.max(self.life)
    }

    /// Whether it was held for as long as it may be: then it is extended no more.
    pub(crate) fn has_lapsed(&self, max_run: Duration) -> bool {
        !self.joint && self.age() >= self.limit(max_run)
    }

    /// Need not be extended any more.
    pub(crate) fn end(&self) {
        self.leave_stage_for(ENDED);
        self.over.notify_one();
    }

    /// Frees the key; otherwise others would wait until the lease expires. Tried again for as long as
    /// it lasts: a lane that was cut is soon dialled anew. Meanwhile nobody waits for it here.
    /// `place`, in the queue of writes, is left after the first attempt, or comes back.
    pub(crate) async fn release(
        &self,
        leases: &Leases,
        key: &Key,
        on_release: OnRelease,
        mut place: Option<QueueSlot>,
    ) -> Option<QueueSlot> {
        if self.joint {
            return place;
        }
        let store = &leases.store;
        let mut write = self.write_on_release(on_release);
        let _forsaken = leases.releasing.enter(self.id);
        let (began, mut pause) = (Instant::now(), PAUSES[0]);
        loop {
            let patience = store.patience();
            // A mark stands for long runs: what they store is to find its tokens.
            let done = match &write {
                Write::Whole { life, .. } => {
                    let tokens_for = life.saturating_add(AHEAD);
                    store.populate(key, &self.seen(), write.clone(), tokens_for, patience).await
                }
                _ => store.compare_and_set(key, &self.seen(), write.clone(), patience).await,
            };
            // Refused: it is gone already.
            let lost = done.as_ref().is_err_and(|fault| *fault != Fault::WrongType);
            if !lost || began.elapsed() >= self.life || store.is_closed() {
                return place;
            }
            // A server that is full has no room for a mark, and removes what is there.
            if matches!((&done, &write), (Err(Fault::ReadOnly), Write::Whole { .. })) {
                write = Write::Delete;
            }
            drop(place.take());
            background::sleep(pause)?.await;
            pause = (pause * 2).min(PAUSES[1]);
        }
    }
}

/// Leases of this process that are over, and could not be given up yet.
#[derive(Default)]
pub(crate) struct Releasing(Mutex<HashSet<EntryId>>);

impl Releasing {
    /// Whether nobody runs under a lease any more.
    pub(crate) fn has(&self, id: EntryId) -> bool {
        self.ids().contains(&id)
    }

    fn enter(&self, id: EntryId) -> ReleasingGuard<'_> {
        self.ids().insert(id);
        ReleasingGuard { all: self, id }
    }

    fn ids(&self) -> MutexGuard<'_, HashSet<EntryId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct ReleasingGuard<'a> {
    all: &'a Releasing,
    id: EntryId,
}

impl Drop for ReleasingGuard<'_> {
    fn drop(&mut self) {
        self.all.ids().remove(&self.id);
    }
}

/// What the holder leaves under the key when it releases its lease.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum OnRelease {
    /// The state from before the lease: the function did not run to its end.
    Restore,
    /// The claimed value, marked as released, or else the mark of an unstored run: the function failed, or
    /// its value could not be written. Under either mark waiting calls run at once instead of queueing.
    KeepValue,
    /// The mark of an unstored run, in place of a claimed value too: the function returned a value that must
    /// not be stored, so the old one must not be served any more.
    RemoveValue,
}

/// How long a lease lasts. In the in-process store nobody else could be kept waiting by an owner
/// that died, so a lease lasts for as long as a run may take.
pub(crate) fn life(store: &Store, lease: Duration, max_run: Duration) -> Duration {
    if store.is_shared() { lease } else { lease.max(max_run) }
}

/// Whether the refresh of `entry` has failed just now.
pub(crate) fn is_released(entry: &Entry, ttl_left: Duration) -> bool {
    entry.released().is_some_and(|then| then.saturating_sub(ttl_left) < JOINT)
}

/// How long a claim over `entry` goes on, by the age of its mark; `None` where it has run out or
/// there is none.
pub(crate) fn claimed_for(entry: &Entry, ttl_left: Duration, life: Duration) -> Option<Duration> {
    let age = entry.claim()?.saturating_sub(ttl_left);
    life.checked_sub(age).filter(|rest| !rest.is_zero())
}

/// All leases of one cache: what releasing one takes.
pub(crate) struct Leases {
    store: Arc<Store>,
    queue: Arc<Queue>,
    releasing: Releasing,
}

impl Leases {
    pub(crate) fn new(store: Arc<Store>, queue: Arc<Queue>) -> Arc<Self> {
        Arc::new(Self { store, queue, releasing: Releasing::default() })
    }

    /// Whether this process has given the lease up and Redis has not confirmed it yet: no run goes on
    /// under it.
    pub(crate) fn is_releasing(&self, id: EntryId) -> bool {
        self.releasing.has(id)
    }

    /// Frees a lease under which no run will populate; other processes would wait until it expires. Goes
    /// on behind the caller; `finished` leaves the table of flights afterwards.
    pub(crate) fn release(
        self: &Arc<Self>,
        key: Key,
        lease: Arc<Lease>,
        on_release: OnRelease,
        finished: Option<FinishedFlight>,
    ) {
        // A slot makes `flush` wait for the release. Where the queue is full the release goes out without.
        let slot = self.queue.enter(0);
        let leases = self.clone();
        background::spawn_begun(async move {
            let slot = lease.release(&leases, &key, on_release, slot).await;
            if let Some(finished) = finished {
                finished.remove();
            }
            drop(slot);
        });
    }
}

/// A flight that has ended, and stays joinable until its lease is populated or released.
pub(crate) struct FinishedFlight {
    flights: Arc<Flights<Payload, LeaseOwner>>,
    flight: Arc<Flight<Payload, LeaseOwner>>,
    /// The flight shares a value of the user's, whose `Drop` may take long.
    foreign: bool,
}

impl FinishedFlight {
    pub(crate) fn new(
        flights: Arc<Flights<Payload, LeaseOwner>>,
        flight: Arc<Flight<Payload, LeaseOwner>>,
        ending: &Ending<Payload>,
    ) -> Self {
        let foreign = matches!(ending, Ending::Shared(payload) if payload.is_foreign());
        Self { flights, flight, foreign }
    }

    /// Takes the flight out of the table, and keeps its last drop off the private thread.
    pub(crate) fn remove(self) {
        self.flights.remove(&self.flight);
        if self.foreign {
            background::drop_elsewhere(self.flight);
        }
    }
}

/// The lease of one flight, and the way to release it.
pub(crate) struct LeaseOwner {
    /// Weak: a leader that is held for ever must not keep the connections alive through its own table.
    pub(crate) leases: Weak<Leases>,
    pub(crate) key: Key,
    /// Set before the lease is requested; only then can there be an answer.
    pub(crate) lease: OnceLock<Arc<Lease>>,
}

impl flight::Owner for LeaseOwner {
    fn abandoned(&self, _: EntryId) {
        if let (Some(leases), Some(lease)) = (self.leases.upgrade(), self.lease.get()) {
            lease.end();
            // A panic says as much about the next run as an error does.
            let failed = std::thread::panicking();
            let on_release = if failed { OnRelease::KeepValue } else { OnRelease::Restore };
            leases.release(self.key.clone(), lease.clone(), on_release, None);
        }
    }
}

#[cfg(test)]
mod tests;
