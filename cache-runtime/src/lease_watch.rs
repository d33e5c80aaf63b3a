//! Waiting for a value that another process computes.
//!
//! All calls of this process that wait for one lease or claim share one task, which watches the key. It reads
//! the key with client tracking on, and again when Redis pushes an invalidation or the lease is due to expire;
//! without tracking it polls. When the lease is gone the task wakes all waiting calls, and each reads for
//! itself.

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

/// The pause between polls where there is no tracking: the first, and the longest; it doubles in between.
const POLLS: [Duration; 2] = [Duration::from_millis(20), Duration::from_millis(250)];

/// Wakes the waiting calls when it is dropped.
type Over = Arc<watch::Sender<()>>;

/// By the key: the lease that is watched, and the channel of the calls that wait for it.
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

    /// Watches `lease`, or joins the task that does so already. The receiver's `changed` ends, with an error, when
    /// the watch is over.
    pub(crate) fn join(
        self: &Arc<Self>,
        key: &Key,
        lease: EntryId,
        life: Duration,
    ) -> watch::Receiver<()> {
        let mut watched = self.table();
        if let Some((known, over)) = watched.get(key.entry())
            && *known == lease
            && let Some(over) = over.upgrade()
        {
            return over.subscribe();
        }
        let (over, receiver) = watch::channel(());
        let over = Arc::new(over);
        watched.insert(key.entry().into(), (lease, Arc::downgrade(&over)));
        drop(watched);
        let (watch, key) = (self.clone(), key.clone());
        background::spawn_begun(async move {
            watch_until_over(&watch.store, &key, lease, life, &over).await;
            watch.forget(&key, &over);
        });
        receiver
    }

    fn forget(&self, key: &Key, over: &Over) {
        let mut watched = self.table();
        let ours = |(_, other): &(_, Weak<_>)| std::ptr::eq(other.as_ptr(), Arc::as_ptr(over));
        if watched.get(key.entry()).is_some_and(ours) {
            watched.remove(key.entry());
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns once the lease is gone, no call waits for it any more, or the store does not answer.
async fn watch_until_over(store: &Store, key: &Key, lease: EntryId, life: Duration, over: &Over) {
    let mut subscription: Option<Subscription> = None;
    let mut pause = POLLS[0];
    while !over.is_closed() {
        // Before the read, so that no change is missed in between.
        subscription = subscription.or_else(|| store.subscribe(key));
        let mut found = None;
        if subscription.is_some() {
            found = store.read(key, Read::Tracked, store.patience()).await.ok();
        }
        if found.is_none() {
            subscription = None;
            found = store.read(key, Read::Timed, store.patience()).await.ok();
        }
        let Some(found) = found else { return };
        let Some(rest) = rest(found, lease, life) else { return };
        let limit = if subscription.is_some() { rest } else { rest.min(pause) };
        pause = (pause * 2).min(POLLS[1]);
        let Some(timer) = background::sleep(limit) else { return };
        let changed = pin!(changed(subscription.as_ref()));
        select(select(changed, pin!(timer)), pin!(over.closed())).await;
    }
}

/// Pends for ever without a subscription.
async fn changed(subscription: Option<&Subscription>) {
    match subscription {
        Some(subscription) => subscription.changed().await,
        None => pending().await,
    }
}

/// How long the lease or claim still lasts unless it is extended; `None` where it is gone.
fn rest(found: Found, lease: EntryId, life: Duration) -> Option<Duration> {
    let entry = Entry::parse(found.bytes?).ok().filter(|entry| entry.id == lease)?;
    if !entry.depends_on(&found.tokens) {
        return None;
    }
    let ttl_left = found.ttl_left.unwrap_or(entry.life);
    let rest = match entry.kind {
        EntryKind::Lease => ttl_left,
        EntryKind::Value | EntryKind::None => lease::claimed_for(&entry, ttl_left, life)?,
        // A call that reads an unstored mark does not wait.
        EntryKind::Unstored => return None,
    };
    // A TTL of zero is read at the entry's end, and where its expiry was removed (`PERSIST`): no busy loop.
    Some(rest.max(POLLS[0]))
}
