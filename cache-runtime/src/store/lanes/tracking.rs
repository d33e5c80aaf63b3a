//! Hearing of changes: who waits for a push about which key.
//!
//! The listening lane tracks in Redis's default mode: what is read through it is announced once,
//! at its next change, and pushes come before the replies of later commands. Whoever listens does
//! so before it reads, so that no change falls in between; a lost lane counts as a change of
//! everything.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use deadpool_redis::redis::{PushInfo, PushKind, Value};
use tokio::sync::Notify;

use super::Lanes;
use crate::clock::Coarse;
use crate::key::Key;
use crate::versions::Versions;

/// For how long copies count after the sending of the last answered PING: a second, less what the
/// coarse clock may be late.
const VALID_FOR: Duration = Duration::from_millis(980);

/// All who subscribe on one lane, or on one of each node of a cluster.
pub(crate) struct Tracking {
    versions: Arc<Versions>,
    subscribers: Mutex<HashMap<Box<str>, Vec<Arc<Notify>>>>,
    /// The nodes of a cluster, of all of which one has to hear; none where there is one server.
    nodes: Mutex<Vec<Weak<Lanes>>>,
}

impl Tracking {
    pub(crate) fn new(versions: Arc<Versions>) -> Self {
        Self { versions, subscribers: Mutex::default(), nodes: Mutex::default() }
    }

    /// All that was announced before the reply to what was sent at `sent` has been dealt with.
    pub(super) fn heartbeat_answered(&self, sent: Coarse) {
        let nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        let last = |node: &Weak<Lanes>| {
            node.upgrade().map_or(Coarse::default(), |node| node.last_heartbeat())
        };
        let all = nodes.iter().map(last).min_by_key(|at| at.millis()).unwrap_or(sent);
        self.versions.trust(all, VALID_FOR);
    }

    /// From now on these are the nodes, and nothing is known of what they have.
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

    /// Called by the driver of the connection: must not block.
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
            // Everything was flushed, or the connection is gone.
            (PushKind::Invalidate | PushKind::Disconnection, _) => self.invalidate_all(),
            _ => {}
        }
    }

    /// Nothing is known any more.
    pub(crate) fn invalidate_all(&self) {
        self.versions.bump_all();
        self.wake_all();
    }

    /// Has all who subscribe look for themselves.
    pub(crate) fn wake_all(&self) {
        let changes: Vec<_> = self.subscribers().values().flatten().cloned().collect();
        for change in &changes {
            change.notify_one();
        }
    }

    /// Wakers are the executor's code, which must not be run under the lock.
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

/// One listener, for an entry and its tokens.
pub(crate) struct Subscription {
    tracking: Arc<Tracking>,
    key: Key,
    change: Arc<Notify>,
}

impl Subscription {
    /// Returns once something may have changed since the last return.
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
    fn a_listener_hears_what_concerns_it_and_forgets_what_it_heard() {
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

    /// Wakes nobody, and listens itself.
    struct Subscribes(Arc<Tracking>);

    impl std::task::Wake for Subscribes {
        fn wake(self: Arc<Self>) {
            drop(self.0.subscribe(&Key::named("other")));
        }
    }

    #[test]
    fn wakers_may_listen_themselves() {
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
    fn a_token_concerns_the_entries_that_depend_on_it_and_nobody_stays_behind() {
        let tracking = Arc::new(Tracking::new(Arc::new(Versions::new(0))));
        let subscription = tracking.subscribe(&Key::named("one"));
        let names = Value::Array(vec![Value::BulkString(b"~one".to_vec())]);
        tracking.push(&push(PushKind::Invalidate, vec![names]));
        assert!(was_woken(&subscription));
        drop(subscription);
        assert!(tracking.subscribers().is_empty());
    }
}
