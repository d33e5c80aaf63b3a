//! The right to populate a key: a lease where the key has no live value, a claim over a stored value.
//!
//! The holder runs the function and populates; other calls wait, or serve the stale value. The lease is
//! the fence: an invalidation removes it from the key, and the compare-and-set of the holder's result
//! then fails.

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

/// Tokens outlive the entries that depend on them by at least this.
pub(crate) const AHEAD: Duration = Duration::from_secs(60);

/// For this long after an unstored mark was written, calls that read it run at once. That is longer than a
/// waiting process may take to read the mark: the slowest poll, 250 ms (`lease_watch::POLLS`), and a command.
pub(crate) const JOINT: Duration = Duration::from_millis(500);

/// A claimed value with less than this left is replaced by a lease: its expiry would end the claim.
const BRINK: Duration = Duration::from_millis(100);

/// The pause between attempts to release a lease: the first, and the longest; it doubles in between.
const PAUSES: [Duration; 2] = [Duration::from_millis(25), Duration::from_millis(200)];

/// A lease or claim that has been requested, or the joint lease of the calls that read an unstored mark.
#[derive(Debug)]
pub(crate) struct Lease {
    pub(crate) id: EntryId,
    owner: Owner,
    /// The tokens that the new entry will depend on, read before the function begins.
    pub(crate) tokens: Tokens,
    /// How long the lease lasts without an extension.
    life: Duration,
    /// When the lease was requested.
    requested: Instant,
    /// Other calls run under the same id: the lease is neither extended nor released.
    joint: bool,
    kind: Kind,
    /// Notified once the run has ended, or was given up.
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
        /// One of the stages below.
        stage: AtomicU8,
    },
}

/// The stages of a claim. It begins over its value; from there, either an extension turns it into a lease,
/// because the value is about to expire, or the run ends. The stage tells which bytes are under the key.
const OVER_VALUE: u8 = 0;
const LEASE: u8 = 1;
const ENDED: u8 = 2;

impl Lease {
    fn new(id: EntryId, owner: Owner, tokens: Tokens, life: Duration, kind: Kind) -> Self {
        let (requested, over) = (Instant::now(), Notify::new());
        Self { id, owner, tokens, life, requested, joint: false, kind, over }
    }

    pub(crate) fn plain(id: EntryId, owner: Owner, tokens: Tokens, life: Duration) -> Self {
        let header = Draft::lease(id, owner, life, &tokens).encode();
        Self::new(id, owner, tokens, life, Kind::Plain { header })
    }

    /// A claim over `entry`, which had `ttl_left` when it was read.
    pub(crate) fn claim(id: EntryId, entry: Entry, ttl_left: Duration, life: Duration) -> Self {
        let (owner, tokens) = (entry.owner, entry.tokens().collect());
        let kind = Kind::Claim { entry, ttl_left, stage: AtomicU8::new(OVER_VALUE) };
        Self::new(id, owner, tokens, life, kind)
    }

    /// The lease of all calls that have read `entry`: an unstored mark, or a value whose refresh has failed.
    pub(crate) fn joint(entry: &Entry) -> Self {
        let Seen(header) = entry.seen();
        let (kind, tokens) = (Kind::Plain { header }, entry.tokens().collect());
        Self { joint: true, ..Self::new(entry.id, entry.owner, tokens, JOINT, kind) }
    }

    /// The write that acquires the lease.
    pub(crate) fn taking(&self) -> Write {
        match &self.kind {
            Kind::Plain { header } => Write::Whole { bytes: header.clone(), life: self.life },
            Kind::Claim { entry, ttl_left, .. } => self.claim_mark(entry, *ttl_left),
        }
    }

    /// The bytes to compare while the lease is held. An extension does not change them: they end with the id.
    pub(crate) fn seen(&self) -> Seen {
        match &self.kind {
            Kind::Plain { header } => Seen::own(header),
            Kind::Claim { .. } if self.value_ttl_left().is_none() => {
                Seen::own(&self.as_lease(self.life))
            }
            Kind::Claim { entry, .. } => Seen::own(&entry.claimed(self.id, None)),
        }
    }

    /// The write that extends the lease. Where the claimed value is about to expire, which would end the claim,
    /// it replaces the value by a lease with the same id.
    fn extension(&self, limit: Duration) -> Write {
        let life = self.life.min(limit.saturating_sub(self.age()));
        match &self.kind {
            Kind::Plain { header } => Write::Header { bytes: header.clone(), life: Some(life) },
            Kind::Claim { entry, .. } => match self.value_ttl_left() {
                Some(ttl_left) if ttl_left > BRINK || !self.leave_stage_for(LEASE) => {
                    self.claim_mark(entry, ttl_left)
                }
                _ => Write::Whole { bytes: self.as_lease(life), life },
            },
        }
    }

    /// Moves a claim on from [`OVER_VALUE`]; false where it has left that stage already. Extension and end race
    /// for it, in the task that extends and in the caller's, and only one of them may win.
    fn leave_stage_for(&self, next: u8) -> bool {
        let Kind::Claim { stage, .. } = &self.kind else { return false };
        stage.compare_exchange(OVER_VALUE, next, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    fn as_lease(&self, life: Duration) -> Bytes {
        Draft::lease(self.id, self.owner, life, &self.tokens).encode()
    }

    /// The claimed value's remaining TTL; `None` for a lease, and for a claim that has turned into one.
    fn value_ttl_left(&self) -> Option<Duration> {
        match &self.kind {
            Kind::Claim { ttl_left, stage, .. } if stage.load(Ordering::Acquire) != LEASE => {
                Some(ttl_left.saturating_sub(self.age()))
            }
            Kind::Claim { .. } | Kind::Plain { .. } => None,
        }
    }

    /// The header with a claim mark: the entry's TTL at this moment. The claim's age is what the entry's TTL has
    /// lost since, by Redis's clock.
    fn claim_mark(&self, entry: &Entry, ttl_left: Duration) -> Write {
        // Not zero, which is no mark.
        let mark = ttl_left.max(Duration::from_millis(1));
        Write::Header { bytes: entry.claimed(self.id, Some(mark)), life: None }
    }

    /// The write that releases the lease.
    fn write_on_release(&self, on_release: OnRelease) -> Write {
        let value = match &self.kind {
            Kind::Claim { entry, .. } if on_release != OnRelease::RemoveValue => {
                self.value_ttl_left().map(|ttl_left| (entry, ttl_left))
            }
            Kind::Claim { .. } | Kind::Plain { .. } => None,
        };
        // An entry needs a fresh id; without randomness for one, none can be written.
        let Some(id) = EntryId::fresh() else { return Write::Delete };
        match (value, on_release) {
            (Some((entry, _)), OnRelease::Restore) => {
                Write::Header { bytes: entry.claimed(id, None), life: None }
            }
            (Some((entry, ttl_left)), _) => {
                Write::Header { bytes: entry.as_released(id, ttl_left), life: None }
            }
            (None, OnRelease::Restore) => Write::Delete,
            (None, _) => self.unstored_mark(id),
        }
    }

    /// An unstored mark. It lasts for as long as the calls that run under it may take, to judge by this run: they
    /// populate over it.
    fn unstored_mark(&self, id: EntryId) -> Write {
        let after = self.age().saturating_mul(2).max(JOINT);
        let draft = Draft::unstored(id, self.owner, [JOINT, after], &self.tokens);
        Write::Whole { bytes: draft.encode(), life: draft.life }
    }

    /// Extends the lease while its function runs, up to `limit`. Ends when an extension is refused: the lease is
    /// not under the key any more, and cannot come back.
    pub(crate) async fn extend(
        &self,
        store: &Store,
        key: &Key,
        limit: Duration,
        is_held: impl Fn() -> bool,
    ) {
        let (tokens_for, limit) = (self.life.saturating_add(AHEAD), self.limit(limit));
        if !store.is_shared() {
            store.renew_in_process(key, tokens_for);
        }
        while let Some(pause) = self.pause(store, limit) {
            let Some(pause) = background::sleep(pause) else { return };
            select(pin!(pause), pin!(self.over.notified())).await;
            if !is_held() || self.age() >= limit {
                return;
            }
            // In this order: `extension` may turn the claim into a lease, and `seen` is what it replaces.
            let (seen, write) = (self.seen(), self.extension(limit));
            let written = store.populate(key, &seen, write, tokens_for, store.patience()).await;
            if written == Ok(false) {
                return;
            }
        }
    }

    /// The time to the next extension; `None` where none is needed any more.
    fn pause(&self, store: &Store, limit: Duration) -> Option<Duration> {
        let ttl_left = self.value_ttl_left();
        // In the in-process store a lease lasts for as long as a run may take: see `life`.
        if self.age() >= limit || (ttl_left.is_none() && !store.is_shared()) {
            return None;
        }
        // Thirds, so that an extension may fail and be repeated before the lease or its tokens expire.
        let pause = (self.life / 3).min(AHEAD / 3);
        let pause = ttl_left.map_or(pause, |ttl_left| pause.min(ttl_left.saturating_sub(BRINK)));
        Some(pause.max(Duration::from_millis(1)))
    }

    /// The time since the lease was requested.
    pub(crate) fn age(&self) -> Duration {
        self.requested.elapsed()
    }

    /// How long the lease may be held, where runs are limited to `max_run`.
    pub(crate) fn limit(&self, max_run: Duration) -> Duration {
        max_run.max(self.life)
    }

    /// Whether the lease was held for its limit: it is not extended any more, and its run not stored.
    pub(crate) fn has_lapsed(&self, max_run: Duration) -> bool {
        !self.joint && self.age() >= self.limit(max_run)
    }

    /// Stops the extensions: the run has ended.
    pub(crate) fn end(&self) {
        self.leave_stage_for(ENDED);
        self.over.notify_one();
    }

    /// Releases the lease, so that other processes need not wait until it expires. Tries again for as long as
    /// the lease lasts, since a lost connection is soon redialled; meanwhile [`Releasing`] keeps calls of this
    /// process from waiting for it. `slot`, in the queue of writes, is freed after the first attempt where
    /// that fails, and returned otherwise.
    pub(crate) async fn release(
        &self,
        leases: &Leases,
        key: &Key,
        on_release: OnRelease,
        mut slot: Option<QueueSlot>,
    ) -> Option<QueueSlot> {
        if self.joint {
            return slot;
        }
        let store = &leases.store;
        let mut write = self.write_on_release(on_release);
        let _releasing = leases.releasing.enter(self.id);
        let (began, mut pause) = (Instant::now(), PAUSES[0]);
        loop {
            let patience = store.patience();
            // A mark is populated over by long runs, whose entries depend on its tokens: extend those too.
            let done = match &write {
                Write::Whole { life, .. } => {
                    let tokens_for = life.saturating_add(AHEAD);
                    store.populate(key, &self.seen(), write.clone(), tokens_for, patience).await
                }
                _ => store.compare_and_set(key, &self.seen(), write.clone(), patience).await,
            };
            // `Ok(false)`: the key holds the lease no more. `WrongType`: it holds no string at all.
            let unconfirmed = done.as_ref().is_err_and(|fault| *fault != Fault::WrongType);
            if !unconfirmed || began.elapsed() >= self.life || store.is_closed() {
                return slot;
            }
            // A server that refuses writes, for want of memory for example, still executes a removal.
            if matches!((&done, &write), (Err(Fault::ReadOnly), Write::Whole { .. })) {
                write = Write::Delete;
            }
            drop(slot.take());
            background::sleep(pause)?.await;
            pause = (pause * 2).min(PAUSES[1]);
        }
    }
}

/// The leases of this process whose release Redis has not confirmed yet.
#[derive(Default)]
pub(crate) struct Releasing(Mutex<HashSet<EntryId>>);

impl Releasing {
    fn has(&self, id: EntryId) -> bool {
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
    /// The state from before the lease: the run was dropped before its end.
    Restore,
    /// The claimed value, marked as released, or else an unstored mark: the function failed, or its value could
    /// not be written. Under either, waiting calls run at once instead of queueing.
    KeepValue,
    /// An unstored mark, in place of a claimed value too: the function returned a value that must not be stored,
    /// so the old one must not be served any more.
    RemoveValue,
}

/// How long a lease lasts without an extension. The in-process store dies with the holder of the lease, which
/// so keeps no other process waiting: there a lease lasts for as long as a run may take.
pub(crate) fn life(store: &Store, lease: Duration, max_run: Duration) -> Duration {
    if store.is_shared() { lease } else { lease.max(max_run) }
}

/// Whether a refresh of `entry` has failed less than [`JOINT`] ago: its TTL has lost less since its release
/// mark.
pub(crate) fn is_released(entry: &Entry, ttl_left: Duration) -> bool {
    entry.released().is_some_and(|then| then.saturating_sub(ttl_left) < JOINT)
}

/// How long the claim over `entry` still lasts, by the age of its mark; `None` where the claim has run out, or
/// there is none.
pub(crate) fn claimed_for(entry: &Entry, ttl_left: Duration, life: Duration) -> Option<Duration> {
    let age = entry.claim()?.saturating_sub(ttl_left);
    life.checked_sub(age).filter(|rest| !rest.is_zero())
}

/// What the release of a lease takes, one of each for a cache.
pub(crate) struct Leases {
    store: Arc<Store>,
    queue: Arc<Queue>,
    releasing: Releasing,
}

impl Leases {
    pub(crate) fn new(store: Arc<Store>, queue: Arc<Queue>) -> Arc<Self> {
        Arc::new(Self { store, queue, releasing: Releasing::default() })
    }

    /// Whether this process is releasing the lease, and Redis has not confirmed it yet: no run goes on under
    /// it.
    pub(crate) fn is_releasing(&self, id: EntryId) -> bool {
        self.releasing.has(id)
    }

    /// Releases a lease under which no run will populate, in a task of its own. `finished` leaves the table of
    /// flights afterwards.
    pub(crate) fn release(
        self: &Arc<Self>,
        key: Key,
        lease: Arc<Lease>,
        on_release: OnRelease,
        finished: Option<FinishedFlight>,
    ) {
        // The slot makes `flush` wait for the release. Where the queue is full the release goes out without one.
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

/// A flight that has ended, and stays joinable by its lease until that is populated or released.
pub(crate) struct FinishedFlight {
    flights: Arc<Flights<Payload, LeaseOwner>>,
    flight: Arc<Flight<Payload, LeaseOwner>>,
    /// The flight shares a value of the user's, whose `Drop` may take long or panic.
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

    /// Takes the flight out of the table. Its last drop may be here, on the private thread, which drives timers
    /// and connections: a value of the user's is dropped on another.
    pub(crate) fn remove(self) {
        self.flights.remove(&self.flight);
        if self.foreign {
            background::drop_elsewhere(self.flight);
        }
    }
}

/// The lease of one flight, and what its release takes.
pub(crate) struct LeaseOwner {
    /// Weak: a leader whose future is held for ever, undropped, must not keep the connections alive.
    pub(crate) leases: Weak<Leases>,
    pub(crate) key: Key,
    /// Set before the lease is requested; only then can there be an answer.
    pub(crate) lease: OnceLock<Arc<Lease>>,
}

impl flight::Owner for LeaseOwner {
    fn abandoned(&self, _: EntryId) {
        if let (Some(leases), Some(lease)) = (self.leases.upgrade(), self.lease.get()) {
            lease.end();
            // A panic of the function is treated as an error: the next run is likely to fail too.
            let failed = std::thread::panicking();
            let on_release = if failed { OnRelease::KeepValue } else { OnRelease::Restore };
            leases.release(self.key.clone(), lease.clone(), on_release, None);
        }
    }
}

#[cfg(test)]
mod tests;
