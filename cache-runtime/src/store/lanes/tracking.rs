//! Client tracking: which subscribers an invalidation push wakes, and until when copies may be trusted.
//!
//! The tracking lane uses the default mode of `CLIENT TRACKING`: Redis pushes one invalidation for each key
//! that was read through the lane, at the key's next change, and sends pushes ahead of later replies. A
//! subscriber registers before it reads, so that it misses no change in between. The loss of the lane counts
//! as a change of every key.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use deadpool_redis::redis::{PushInfo, PushKind, Value};
use tokio::sync::Notify;

use super::Lanes;
use crate::clock::Coarse;
use crate::key::Key;
use crate::versions::Versions;

/// For how long copies count after the last answered heartbeat was sent: a second, less 20 ms for the coarse
/// clock, which may be late by 10 ms.
const VALID_FOR: Duration = Duration::from_millis(980);

/// The subscribers of one tracking lane, or of one on each node of a cluster.
pub(crate) struct Tracking {
    versions: Arc<Versions>,
    subscribers: Mutex<HashMap<Box<str>, Vec<Arc<Notify>>>>,
    /// The nodes of a cluster, each of which must answer heartbeats; empty for a single server.
    nodes: Mutex<Vec<Weak<Lanes>>>,
}

impl Tracking {
    pub(crate) fn new(versions: Arc<Versions>) -> Self {
        Self { versions, subscribers: Mutex::default(), nodes: Mutex::default() }
    }

    /// A heartbeat that was sent at `sent` is answered: all earlier pushes were handled. In a cluster the node
    /// whose last heartbeat is the oldest decides.
    pub(super) fn heartbeat_answered(&self, sent: Coarse) {
        let nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        let last = |node: &Weak<Lanes>| {
            node.upgrade().map_or(Coarse::default(), |node| node.last_heartbeat())
        };
        let all = nodes.iter().map(last).min_by_key(|at| at.millis()).unwrap_or(sent);
        self.versions.trust(all, VALID_FOR);
    }

    /// Replaces the cluster's nodes, and invalidates everything.
    #[cfg(feature = "cluster")]
    pub(crate) fn set_nodes(&self, nodes: Vec<Weak<Lanes>>) {
        *self.nodes.lock().unwrap_or_else(PoisonError::into_inner) = nodes;
        self.invalidate_all();
    }

    pub(crate) fn subscribe(self: &Arc<Self>, key: &Key) -> Subscription {
        let change = Arc::new(Notify::new());
        let mut subscribers = self.subscribers();
        for name in key.all() {
            subscribers.entry(name.into()).or_default().push(change.clone());
        }
        drop(subscribers);
        Subscription { tracking: self.clone(), key: key.clone(), change }
    }

    /// Handles a push. Runs in the connection's driver task, so it must not block.
    pub(crate) fn push(&self, push: &PushInfo) {
        match (&push.kind, &push.data[..]) {
            (PushKind::Invalidate, [Value::Array(names)]) => {
                for name in names {
                    let Value::BulkString(name) = name else { continue };
                    self.versions.bump(name);
                    if let Ok(name) = std::str::from_utf8(name) {
                        self.wake(name);
                    }
                }
            }
            // `FLUSHALL` or `FLUSHDB` (no names), or the connection has ended.
            (PushKind::Invalidate | PushKind::Disconnection, _) => self.invalidate_all(),
            _ => {}
        }
    }

    /// Voids all copies and wakes all subscribers.
    pub(crate) fn invalidate_all(&self) {
        self.versions.bump_all();
        self.wake_all();
    }

    /// Wakes all subscribers, which then read.
    pub(crate) fn wake_all(&self) {
        let changes: Vec<_> = self.subscribers().values().flatten().cloned().collect();
        for change in &changes {
            change.notify_one();
        }
    }

    /// Wakes the subscribers of a name. Outside the lock, since wakers are the executor's code.
    fn wake(&self, name: &str) {
        let changes = self.subscribers().get(name).cloned();
        for change in changes.iter().flatten() {
            change.notify_one();
        }
    }

    fn subscribers(&self) -> MutexGuard<'_, HashMap<Box<str>, Vec<Arc<Notify>>>> {
        self.subscribers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One subscriber to changes of an entry and its tokens.
pub(crate) struct Subscription {
    tracking: Arc<Tracking>,
    key: Key,
    change: Arc<Notify>,
}

impl Subscription {
    /// Waits for a change since the last return, or since the subscription. May wake without one.
    pub(crate) async fn changed(&self) {
        self.change.notified().await;
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut subscribers = self.tracking.subscribers();
        for name in self.key.all() {
            if let Some(changes) = subscribers.get_mut(name) {
                changes.retain(|change| !Arc::ptr_eq(change, &self.change));
                if changes.is_empty() {
                    subscribers.remove(name);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::task::{Context, Waker};

    use super::*;

    fn was_woken(subscription: &Subscription) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        std::pin::pin!(subscription.changed()).poll(&mut cx).is_ready()
    }

    fn push(kind: PushKind, data: Vec<Value>) -> PushInfo {
        PushInfo { kind, data }
    }

    #[test]
    fn a_push_wakes_its_subscribers_once_and_a_flush_wakes_all() {
        let tracking = Arc::new(Tracking::new(Arc::new(Versions::new(0))));
        let one = tracking.subscribe(&Key::named("one"));
        let other = tracking.subscribe(&Key::named("other"));
        let names = Value::Array(vec![Value::BulkString(b"one".to_vec())]);
        tracking.push(&push(PushKind::Invalidate, vec![names]));
        assert!(was_woken(&one) && !was_woken(&one) && !was_woken(&other));
        tracking.push(&push(PushKind::Invalidate, vec![Value::Nil]));
        assert!(was_woken(&one) && was_woken(&other));
        tracking.push(&push(PushKind::Disconnection, vec![]));
        assert!(was_woken(&one) && was_woken(&other));
    }

    /// A waker that subscribes.
    struct Subscribes(Arc<Tracking>);

    impl std::task::Wake for Subscribes {
        fn wake(self: Arc<Self>) {
            drop(self.0.subscribe(&Key::named("other")));
        }
    }

    #[test]
    fn wakers_may_subscribe() {
        let tracking = Arc::new(Tracking::new(Arc::new(Versions::new(0))));
        let (done, is_done) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let subscription = tracking.subscribe(&Key::named("one"));
            let waker = Waker::from(Arc::new(Subscribes(tracking.clone())));
            let names = Value::Array(vec![Value::BulkString(b"one".to_vec())]);
            for data in [names, Value::Nil] {
                let mut changed = std::pin::pin!(subscription.changed());
                assert!(changed.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
                tracking.push(&push(PushKind::Invalidate, vec![data]));
                assert!(changed.as_mut().poll(&mut Context::from_waker(&waker)).is_ready());
            }
            done.send(()).expect("the test waits");
        });
        is_done.recv_timeout(Duration::from_secs(10)).expect("no waker is run under the lock");
    }

    #[test]
    fn a_token_wakes_the_entries_that_depend_on_it_and_no_subscriber_stays_behind() {
        let tracking = Arc::new(Tracking::new(Arc::new(Versions::new(0))));
        let subscription = tracking.subscribe(&Key::named("one"));
        let names = Value::Array(vec![Value::BulkString(b"~one".to_vec())]);
        tracking.push(&push(PushKind::Invalidate, vec![names]));
        assert!(was_woken(&subscription));
        drop(subscription);
        assert!(tracking.subscribers().is_empty());
    }
}
