//! Waiting for a value that another process computes.
//!
//! All calls of this process that wait for one lease or claim share one look at it. It is read so
//! that its change is heard, and read again when something was heard or when its time is over; where
//! nothing can be heard, now and then. When it is gone all are woken, and each reads for itself.

use std::collections::HashMap;
use std::future::pending;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use futures_util::future::select;
use tokio::sync::watch;

use crate::background;
use crate::entry::{Entry, EntryId, EntryKind};
use crate::key::Key;
use crate::lease;
use crate::store::{Found, Read, Store, Subscription};

/// How often it is read where nothing can be heard: at first, and at last.
const POLLS: [Duration; 2] = [Duration::from_millis(20), Duration::from_millis(250)];

/// Wakes those who wait when it is dropped.
type Over = Arc<watch::Sender<()>>;

/// By the key: what is waited for, and those who wait.
type Table = HashMap<Box<str>, (EntryId, Weak<watch::Sender<()>>)>;

/// The leases of other processes that calls of this process wait for.
pub(crate) struct LeaseWatch {
    store: Arc<Store>,
    watched: Mutex<Table>,
}

impl LeaseWatch {
    pub(crate) fn new(store: Arc<Store>) -> Arc<Self> {
        Arc::new(Self { store, watched: Mutex::default() })
    }

    /// Joins those who wait for `lease`; ends with an error, or a change, when it is over.
    pub(crate) fn join(
        self: &Arc<Self>,
        key: &Key,
        lease: EntryId,
        life: Duration,
    ) -> watch::Receiver<()> {
        let mut waits = self.table();
        if let Some((known, over)) = waits.get(key.entry())
            && *known == lease
            && let Some(over) = over.upgrade()
        {
            return over.subscribe();
        }
        let (over, receiver) = watch::channel(());
        let over = Arc::new(over);
        waits.insert(key.entry().into(), (lease, Arc::downgrade(&over)));
        drop(waits);
        let (watch, key) = (self.clone(), key.clone());
        background::spawn_begun(async move {
            stand_by(&watch.store, &key, lease, life, &over).await;
            watch.forget(&key, &over);
        });
        receiver
    }

    fn forget(&self, key: &Key, over: &Over) {
        let mut waits = self.table();
        let ours = |(_, other): &(_, Weak<_>)| std::ptr::eq(other.as_ptr(), Arc::as_ptr(over));
        if waits.get(key.entry()).is_some_and(ours) {
            waits.remove(key.entry());
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns once the lease is gone, nobody waits for it any more, or the store does not answer.
async fn stand_by(store: &Store, key: &Key, lease: EntryId, life: Duration, over: &Over) {
    let mut listening: Option<Subscription> = None;
    let mut pause = POLLS[0];
    while !over.is_closed() {
        // Listens before it reads, so that no change falls in between.
        listening = listening.or_else(|| store.subscribe(key));
        let mut found = None;
        if listening.is_some() {
            found = store.read(key, Read::Tracked, store.patience()).await.ok();
        }
        if found.is_none() {
            listening = None;
            found = store.read(key, Read::Timed, store.patience()).await.ok();
        }
        let Some(found) = found else { return };
        let Some(rest) = rest(found, lease, life) else { return };
        let asleep = if listening.is_some() { rest } else { rest.min(pause) };
        pause = (pause * 2).min(POLLS[1]);
        let Some(timer) = background::sleep(asleep) else { return };
        let changed = pin!(changed(listening.as_ref()));
        select(select(changed, pin!(timer)), pin!(over.closed())).await;
    }
}

async fn changed(listening: Option<&Subscription>) {
    match listening {
        Some(listening) => listening.changed().await,
        None => pending().await,
    }
}

/// How long the lease still lasts unless it is extended; `None` where it is gone.
fn rest(found: Found, lease: EntryId, life: Duration) -> Option<Duration> {
    let entry = Entry::parse(found.bytes?).ok().filter(|entry| entry.id == lease)?;
    if !entry.depends_on(&found.tokens) {
        return None;
    }
    let ttl_left = found.ttl_left.unwrap_or(entry.life);
    let rest = match entry.kind {
        EntryKind::Lease => ttl_left,
        EntryKind::Value | EntryKind::None => lease::claimed_for(&entry, ttl_left, life)?,
        // Nobody waits for it.
        EntryKind::Unstored => return None,
    };
    // Never round and round: also where somebody has taken the expiry off.
    Some(rest.max(POLLS[0]))
}
