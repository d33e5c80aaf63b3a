//! The right to store: a lease over a key that has no value, or a claim over one that is stale.
//!
//! Whoever holds it runs the function and populates; others wait, or serve what is stale. It is
//! the fence: an invalidation takes it away, and what was computed under it is then not stored.

use std::collections::HashSet;
use std::pin::pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::select;
use tokio::sync::Notify;

use crate::background;
use crate::cache::Inner;
use crate::entry::{Draft, Entry, EntryId, Owner, Seen, Tokens};
use crate::queue::Place;
use crate::store::{Fault, Key, Store, Write};

/// How much longer than what depends on them tokens live at least.
pub(crate) const AHEAD: Duration = Duration::from_secs(60);

/// For how long calls that read the mark of an unstored run run at once. Longer than a waiting process
/// needs to see the mark: its slowest poll, and a command.
pub(crate) const JOINT: Duration = Duration::from_millis(500);

/// So long before its end a claimed value makes way for a lease.
const BRINK: Duration = Duration::from_millis(100);

/// Between attempts to give a right up: at first, and at last.
const PAUSES: [Duration; 2] = [Duration::from_millis(25), Duration::from_millis(200)];

/// A right that has been asked for, or one that is had by reading it.
#[derive(Debug)]
pub(crate) struct Right {
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
    Lease {
        header: Bytes,
    },
    Claim {
        entry: Entry,
        left: Duration,
        /// Whether the value is still there, since the two are given up in different ways.
        stage: AtomicU8,
    },
}

/// The stages of a claim: it may turn into a lease, when its value is about to expire; it has done so;
/// it has ended over its value.
const OVER_A_VALUE: u8 = 0;
const TURNED: u8 = 1;
const ENDED: u8 = 2;

impl Right {
    fn new(id: EntryId, owner: Owner, tokens: Tokens, life: Duration, kind: Kind) -> Self {
        let (since, over) = (Instant::now(), Notify::new());
        Self { id, owner, tokens, life, since, joint: false, kind, over }
    }

    pub(crate) fn lease(id: EntryId, owner: Owner, tokens: Tokens, life: Duration) -> Self {
        let header = Draft::lease(id, owner, life, &tokens).encode();
        Self::new(id, owner, tokens, life, Kind::Lease { header })
    }

    /// A claim over `entry`, which had `left` when it was read.
    pub(crate) fn claim(id: EntryId, entry: Entry, left: Duration, life: Duration) -> Self {
        let (owner, tokens) = (entry.owner, entry.tokens().collect());
        let kind = Kind::Claim { entry, left, stage: AtomicU8::new(OVER_A_VALUE) };
        Self::new(id, owner, tokens, life, kind)
    }

    /// The right of all who have read `entry`: the mark of a run that is not stored, or a value whose
    /// refresh has failed.
    pub(crate) fn joint(entry: &Entry) -> Self {
        let Seen(header) = entry.seen();
        let (kind, tokens) = (Kind::Lease { header }, entry.tokens().collect());
        Self { joint: true, ..Self::new(entry.id, entry.owner, tokens, JOINT, kind) }
    }

    /// What takes it.
    pub(crate) fn taking(&self) -> Write {
        match &self.kind {
            Kind::Lease { header } => Write::Whole { bytes: header.clone(), life: self.life },
            Kind::Claim { entry, left, .. } => self.mark(entry, *left),
        }
    }

    /// What is under the key while it is held. An extension does not change that: the bytes that
    /// are compared end with the id.
    pub(crate) fn seen(&self) -> Seen {
        match &self.kind {
            Kind::Lease { header } => Seen::own(header),
            Kind::Claim { .. } if self.left_of_value().is_none() => {
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
            Kind::Lease { header } => Write::Header { bytes: header.clone(), life: Some(life) },
            Kind::Claim { entry, .. } => match self.left_of_value() {
                Some(left) if left > BRINK || !self.leave_stage_for(TURNED) => {
                    self.mark(entry, left)
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
    fn left_of_value(&self) -> Option<Duration> {
        match &self.kind {
            Kind::Claim { left, stage, .. } if stage.load(Ordering::Acquire) != TURNED => {
                Some(left.saturating_sub(self.age()))
            }
            Kind::Claim { .. } | Kind::Lease { .. } => None,
        }
    }

    /// A claim is as old as the time that has gone off the entry since its mark.
    fn mark(&self, entry: &Entry, left: Duration) -> Write {
        let mark = left.max(Duration::from_millis(1));
        Write::Header { bytes: entry.claimed(self.id, Some(mark)), life: None }
    }

    /// What is left under the key.
    fn giving_up(&self, leaving: Leaving) -> Write {
        let value = match &self.kind {
            Kind::Claim { entry, .. } if leaving != Leaving::Nothing => {
                self.left_of_value().map(|left| (entry, left))
            }
            Kind::Claim { .. } | Kind::Lease { .. } => None,
        };
        // Without randomness for an id there is nothing to be written.
        let Some(id) = EntryId::fresh() else { return Write::Delete };
        match (value, leaving) {
            (Some((entry, _)), Leaving::AsItWas) => {
                Write::Header { bytes: entry.claimed(id, None), life: None }
            }
            (Some((entry, left)), _) => {
                Write::Header { bytes: entry.as_released(id, left), life: None }
            }
            (None, Leaving::AsItWas) => Write::Delete,
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
        let left = self.left_of_value();
        // In process a lease lasts for as long as a run may take.
        if self.age() >= limit || (left.is_none() && !store.is_shared()) {
            return None;
        }
        let pause = (self.life / 3).min(AHEAD / 3);
        let pause = left.map_or(pause, |left| pause.min(left.saturating_sub(BRINK)));
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

    /// Frees the key; otherwise others would wait until the right expires. Tried again for as long as
    /// it lasts: a lane that was cut is soon dialled anew. Meanwhile nobody waits for it here.
    /// `place`, in the queue of writes, is left after the first attempt, or comes back.
    pub(crate) async fn give_up(
        &self,
        inner: &Inner,
        key: &Key,
        leaving: Leaving,
        mut place: Option<Place>,
    ) -> Option<Place> {
        if self.joint {
            return place;
        }
        let store = &inner.store;
        let mut write = self.giving_up(leaving);
        let _forsaken = inner.forsaken.enter(self.id);
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

/// Rights of this process that are over, and could not be given up yet.
#[derive(Default)]
pub(crate) struct Forsaken(Mutex<HashSet<EntryId>>);

impl Forsaken {
    /// Whether nobody runs under a right any more.
    pub(crate) fn has(&self, id: EntryId) -> bool {
        self.ids().contains(&id)
    }

    fn enter(&self, id: EntryId) -> Forsaking<'_> {
        self.ids().insert(id);
        Forsaking { all: self, id }
    }

    fn ids(&self) -> MutexGuard<'_, HashSet<EntryId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Forsaking<'a> {
    all: &'a Forsaken,
    id: EntryId,
}

impl Drop for Forsaking<'_> {
    fn drop(&mut self) {
        self.all.ids().remove(&self.id);
    }
}

/// What a right that is given up leaves to others.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Leaving {
    /// What was there before: the function was not run to its end under this right.
    AsItWas,
    /// The value that was there, if there was one: the function has failed, or its value could not be
    /// written. Nobody has to wait for another who tries.
    TheValue,
    /// Nothing but that: the function has returned what is not to be stored.
    Nothing,
}

/// How long a right lasts. In the in-process store nobody else could be kept waiting by an owner
/// that died, so a lease lasts for as long as a run may take.
pub(crate) fn life(store: &Store, lease: Duration, max_run: Duration) -> Duration {
    if store.is_shared() { lease } else { lease.max(max_run) }
}

/// Whether the refresh of `entry` has failed just now.
pub(crate) fn is_released(entry: &Entry, left: Duration) -> bool {
    entry.released().is_some_and(|then| then.saturating_sub(left) < JOINT)
}

/// How long a claim over `entry` goes on, by the age of its mark; `None` where it has run out or
/// there is none.
pub(crate) fn claimed_for(entry: &Entry, left: Duration, life: Duration) -> Option<Duration> {
    let age = entry.claim()?.saturating_sub(left);
    life.checked_sub(age).filter(|rest| !rest.is_zero())
}

/// What a flight's right is about.
pub(crate) struct Holding {
    /// Weak: a leader that is held for ever must not keep the cache alive through its own table.
    pub(crate) inner: std::sync::Weak<Inner>,
    pub(crate) key: Key,
    /// Set before the right is asked for; only then can there be an answer.
    pub(crate) right: std::sync::OnceLock<Arc<Right>>,
}

impl crate::flight::Owner for Holding {
    fn abandoned(&self, _: EntryId) {
        if let (Some(inner), Some(right)) = (self.inner.upgrade(), self.right.get()) {
            let key = self.key.clone();
            right.end();
            // A panic says as much about the next run as an error does.
            let failed = std::thread::panicking();
            let leaving = if failed { Leaving::TheValue } else { Leaving::AsItWas };
            crate::settle::give_up(inner, key, right.clone(), leaving, None);
        }
    }
}

#[cfg(test)]
mod tests;
