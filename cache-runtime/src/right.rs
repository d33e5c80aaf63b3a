//! The right to store: a lease over a key that has no value, or a claim over one that is stale.
//!
//! Whoever holds it runs the function and populates; others wait, or serve what is stale. It is
//! the fence: an invalidation takes it away, and what was computed under it is then not stored.

use std::collections::HashSet;
use std::pin::pin;
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

/// For how long a right is extended while its function runs: a function that hangs must not keep
/// others from populating for ever.
pub(crate) const EXTENDED: Duration = Duration::from_secs(60);

/// Between attempts to give a right up: at first, and at last.
const PAUSES: [Duration; 2] = [Duration::from_millis(25), Duration::from_millis(200)];

/// A right that has been asked for.
#[derive(Debug)]
pub(crate) struct Right {
    pub(crate) id: EntryId,
    /// What the new entry will depend on: read before the function begins.
    pub(crate) tokens: Tokens,
    /// How long it lasts without an extension.
    life: Duration,
    kind: Kind,
    /// Its function has ended, or will not.
    over: Notify,
}

#[derive(Debug)]
enum Kind {
    Lease { header: Bytes },
    Claim { entry: Entry, left: Duration, since: Instant },
}

impl Right {
    pub(crate) fn lease(id: EntryId, owner: Owner, tokens: Tokens, life: Duration) -> Self {
        let header = Draft::lease(id, owner, life, &tokens).encode();
        Self { id, tokens, life, kind: Kind::Lease { header }, over: Notify::new() }
    }

    /// A claim over `entry`, which had `left` when it was read.
    pub(crate) fn claim(id: EntryId, entry: Entry, left: Duration, life: Duration) -> Self {
        let tokens = entry.tokens().collect();
        let kind = Kind::Claim { entry, left, since: Instant::now() };
        Self { id, tokens, life, kind, over: Notify::new() }
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
            Kind::Claim { entry, .. } => Seen::own(&entry.claimed(self.id, None)),
        }
    }

    fn extension(&self) -> Write {
        match &self.kind {
            Kind::Lease { header } => {
                Write::Header { bytes: header.clone(), life: Some(self.life) }
            }
            Kind::Claim { entry, left, since } => {
                self.mark(entry, left.saturating_sub(since.elapsed()))
            }
        }
    }

    /// A claim is as old as the time that has gone off the entry since its mark.
    fn mark(&self, entry: &Entry, left: Duration) -> Write {
        let mark = left.max(Duration::from_millis(1));
        Write::Header { bytes: entry.claimed(self.id, Some(mark)), life: None }
    }

    /// What frees the key for others; `None` where there is no randomness for a fresh id.
    fn giving_up(&self) -> Option<Write> {
        Some(match &self.kind {
            Kind::Lease { .. } => Write::Delete,
            Kind::Claim { entry, .. } => {
                Write::Header { bytes: entry.claimed(EntryId::fresh()?, None), life: None }
            }
        })
    }

    /// Extends it while its function runs. Refused means that it is lost for good.
    pub(crate) async fn extend(&self, store: &Store, key: &Key, going_on: impl Fn() -> bool) {
        if !store.is_shared() {
            return;
        }
        let pause = (self.life / 3).max(Duration::from_millis(1));
        for _ in 0..EXTENDED.as_millis() / pause.as_millis() {
            let Some(pause) = background::sleep(pause) else { return };
            select(pin!(pause), pin!(self.over.notified())).await;
            if !going_on() {
                return;
            }
            let written =
                store.compare_and_set(key, &self.seen(), self.extension(), store.patience()).await;
            if written == Ok(false) {
                return;
            }
        }
    }

    /// Need not be extended any more.
    pub(crate) fn end(&self) {
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
        let store = &inner.store;
        let write = match leaving {
            Leaving::TheValue => self.giving_up(),
            Leaving::Nothing => Some(Write::Delete),
        };
        let Some(write) = write else { return place };
        let _forsaken = inner.forsaken.enter(self.id);
        let (began, mut pause) = (Instant::now(), PAUSES[0]);
        loop {
            let patience = store.patience();
            let done = store.compare_and_set(key, &self.seen(), write.clone(), patience).await;
            // Refused: it is gone already.
            let lost = done.is_err_and(|fault| fault != Fault::WrongType);
            if !lost || began.elapsed() >= self.life || store.is_closed() {
                return place;
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

/// What becomes of a claimed value where nothing is populated.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Leaving {
    /// The function has not returned a value under this right.
    TheValue,
    /// It has returned one that is not to be stored.
    Nothing,
}

/// How long a right lasts. In the in-process store nobody else could be kept waiting by an owner
/// that died.
pub(crate) fn life(store: &Store, lease: Duration) -> Duration {
    if store.is_shared() { lease } else { EXTENDED }
}

/// How long a claim over `entry` goes on, by the age of its mark; `None` where it has run out or
/// there is none.
pub(crate) fn claimed_for(entry: &Entry, left: Duration, life: Duration) -> Option<Duration> {
    let age = entry.claim?.saturating_sub(left);
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
            crate::settle::give_up(inner, key, right.clone(), Leaving::TheValue, None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Cache;
    use crate::entry::{Kind, Token};
    use crate::store::Read;

    const LIFE: Duration = Duration::from_secs(60);
    const OWNER: Owner = Owner { function: 1, arguments: 2, version: 3 };

    fn id() -> EntryId {
        EntryId::fresh().unwrap()
    }

    fn value(tokens: &[Token]) -> Write {
        let draft = Draft {
            kind: Kind::Value,
            id: id(),
            owner: OWNER,
            cost: Duration::ZERO,
            life: LIFE,
            window: LIFE / 2,
            tokens,
            body: b"value",
            compress_above: usize::MAX,
        };
        Write::Whole { bytes: draft.encode(), life: LIFE }
    }

    struct Shelf {
        cache: Cache,
        key: Key,
        tokens: Tokens,
    }

    impl Shelf {
        async fn new() -> Self {
            let (cache, key) = (Cache::in_memory(), Key::named("k"));
            let tokens = cache.inner().store.seed(&key, &[None], LIFE, LIFE).await.unwrap();
            Self { cache, key, tokens }
        }

        fn inner(&self) -> &Inner {
            self.cache.inner()
        }

        async fn set(&self, seen: &Seen, write: Write) -> bool {
            self.inner().store.compare_and_set(&self.key, seen, write, LIFE).await.unwrap()
        }

        async fn entry(&self) -> Entry {
            let found = self.inner().store.read(&self.key, Read::Timed, LIFE).await.unwrap();
            Entry::parse(found.bytes.unwrap()).unwrap()
        }
    }

    #[tokio::test]
    async fn a_claim_that_has_been_extended_is_not_taken_over() {
        let shelf = Shelf::new().await;
        assert!(shelf.set(&Seen::absent(), value(&shelf.tokens)).await);
        let entry = shelf.entry().await;
        let ours = Right::claim(id(), entry.clone(), LIFE / 3, LIFE / 30);
        assert!(shelf.set(&entry.seen(), ours.taking()).await);
        // To somebody it seems to have run out; then its owner extends it.
        let claimed = shelf.entry().await;
        assert_eq!(claimed_for(&claimed, LIFE / 4, LIFE / 30), None);
        tokio::time::sleep(Duration::from_millis(5)).await;
        assert!(shelf.set(&ours.seen(), ours.extension()).await);
        let theirs = Right::claim(id(), claimed.clone(), LIFE / 4, LIFE / 30);
        assert!(!shelf.set(&claimed.seen(), theirs.taking()).await);
        // The owner need not know which of its extensions has arrived.
        assert!(shelf.set(&ours.seen(), value(&shelf.tokens)).await);
        assert_eq!(shelf.entry().await.claim, None);
    }

    #[tokio::test]
    async fn giving_up_leaves_a_claimed_value_and_removes_a_lease() {
        let shelf = Shelf::new().await;
        assert!(shelf.set(&Seen::absent(), value(&shelf.tokens)).await);
        let entry = shelf.entry().await;
        let claim = Right::claim(id(), entry.clone(), LIFE, LIFE);
        assert!(shelf.set(&entry.seen(), claim.taking()).await);
        claim.give_up(shelf.inner(), &shelf.key, Leaving::TheValue, None).await;
        let after = shelf.entry().await;
        assert!(after.claim.is_none() && after.id != entry.id && after.id != claim.id);
        assert_eq!(*after.body(100).unwrap(), *b"value");
        // The claim is spent.
        assert!(!shelf.set(&claim.seen(), value(&shelf.tokens)).await);

        let lease = Right::lease(id(), OWNER, shelf.tokens.clone(), LIFE);
        assert!(shelf.set(&after.seen(), lease.taking()).await);
        assert_eq!(shelf.entry().await.kind, Kind::Lease);
        lease.give_up(shelf.inner(), &shelf.key, Leaving::TheValue, None).await;
        assert!(
            shelf.inner().store.read(&shelf.key, Read::Plain, LIFE).await.unwrap().bytes.is_none()
        );
    }
}
