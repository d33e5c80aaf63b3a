//! Invalidations that Redis has not confirmed.
//!
//! An invalidation that failed, or whose outcome is unknown, binds this process at once: calls that depend
//! on a name of it run their function without the cache until Redis has confirmed it. The process sends it
//! again until then, or until the cache is closed.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::background;
use crate::key::Key;
use crate::store::Store;

/// The most names that are remembered; beyond that the whole namespace is invalidated. To a single server all
/// names go in one command: an entry whose function calls another cached function could otherwise be stored
/// again from the other's old entry, in between. A cluster gets them list by list.
const MOST: usize = 1 << 15;

/// The pause between attempts: the first, and the longest; it doubles in between. While no lane is connected an
/// attempt sends nothing.
const PAUSES: [Duration; 2] = [Duration::from_millis(25), Duration::from_millis(250)];

/// The invalidations of one cache that Redis has not confirmed yet.
pub(crate) struct Undelivered {
    store: Arc<Store>,
    /// With its colon: the beginning of all keys of the cache.
    namespace: String,
    /// How many invalidations are being sent, by `invalidate`, and not enqueued yet.
    pub(crate) in_flight: AtomicUsize,
    /// Whether the state has any invalidation: all that an ordinary call reads.
    some: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The names of one failed command, in its order, with the number of its latest failure.
    lists: HashMap<List, u64>,
    /// The same lists by those numbers, so that `next` neither copies names nor sorts under the lock.
    order: BTreeMap<u64, List>,
    /// How many of the lists each name is on.
    names: HashMap<String, usize>,
    /// The names were too many: the number of the failure that last exceeded [`MOST`].
    everything: Option<u64>,
    /// The number of the latest failure.
    last: u64,
    /// A task is delivering.
    delivering: bool,
}

type List = Arc<Vec<String>>;

/// One delivery: lists of names with the numbers of their failures, or the whole namespace.
enum Batch {
    Lists(Vec<(List, u64)>),
    Everything(u64),
}

impl Undelivered {
    pub(crate) fn new(store: Arc<Store>, namespace: &str) -> Self {
        Self {
            store,
            namespace: format!("{namespace}:"),
            in_flight: AtomicUsize::new(0),
            some: AtomicBool::new(false),
            state: Mutex::default(),
        }
    }

    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// Whether a call of `key` must not use the store: an undelivered invalidation names it.
    pub(crate) fn binds(&self, key: &Key) -> bool {
        self.any() && self.state().binds(key)
    }

    /// Whether any invalidation is undelivered.
    pub(crate) fn any(&self) -> bool {
        self.some.load(Ordering::Acquire)
    }

    /// How many names are undelivered; the whole namespace counts as one more.
    pub(crate) fn len(&self) -> usize {
        let state = self.state();
        state.names.len() + usize::from(state.everything.is_some())
    }

    /// Adds names; true where the caller has to start the task that delivers.
    fn add(&self, names: Vec<String>) -> bool {
        let mut state = self.state();
        state.add(names);
        self.some.store(true, Ordering::Release);
        !std::mem::replace(&mut state.delivering, true)
    }

    /// The next delivery; `None` ends the task that delivers.
    fn next(&self) -> Option<Batch> {
        let mut state = self.state();
        let batch = state.next();
        if batch.is_none() {
            state.delivering = false;
            self.some.store(false, Ordering::Release);
        }
        batch
    }

    fn delivered(&self, batch: &Batch) {
        self.state().delivered(batch);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn binds(&self, key: &Key) -> bool {
        self.everything.is_some() || key.all().any(|name| self.names.contains_key(name))
    }

    fn add(&mut self, names: Vec<String>) {
        self.last += 1;
        if let Some(last) = self.lists.get_mut(&names) {
            let list = self.order.remove(last);
            *last = self.last;
            self.order.extend(list.map(|list| (self.last, list)));
            return;
        }
        let fresh = names.iter().filter(|name| !self.names.contains_key(*name)).count();
        if self.lists.len() == MOST || self.names.len() + fresh > MOST {
            self.everything = Some(self.last);
            return;
        }
        for name in &names {
            *self.names.entry(name.clone()).or_default() += 1;
        }
        let list = Arc::new(names);
        self.order.insert(self.last, list.clone());
        self.lists.insert(list, self.last);
    }

    /// All lists, in the order of their failures.
    fn next(&self) -> Option<Batch> {
        if let Some(number) = self.everything {
            return Some(Batch::Everything(number));
        }
        let lists: Vec<_> = self.order.iter().map(|(at, list)| (list.clone(), *at)).collect();
        (!lists.is_empty()).then_some(Batch::Lists(lists))
    }

    /// Forgets what has been delivered, except for lists that have failed once more since `batch` was made.
    fn delivered(&mut self, batch: &Batch) {
        match batch {
            Batch::Everything(number) => {
                self.everything = self.everything.filter(|last| last > number);
                let done: Vec<_> = self.order.range(..=number).map(|(_, l)| l.clone()).collect();
                for list in &done {
                    self.forget(list);
                }
            }
            Batch::Lists(lists) => {
                for (list, number) in lists {
                    if self.lists.get(list) == Some(number) {
                        self.forget(list);
                    }
                }
            }
        }
    }

    fn forget(&mut self, list: &List) {
        if let Some(last) = self.lists.remove(list) {
            self.order.remove(&last);
        }
        for name in list.iter() {
            if let Some(on) = self.names.get_mut(name) {
                *on -= 1;
                if *on == 0 {
                    self.names.remove(name);
                }
            }
        }
    }
}

/// Why an invalidation is enqueued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// Redis did not confirm it.
    Failed,
    /// It was not sent yet: its writer was dropped or panicked. No warning until an attempt has failed.
    Dropped,
}

impl Undelivered {
    /// Binds this process to an invalidation that has not been delivered, and sends it until Redis confirms.
    pub(crate) fn enqueue(self: &Arc<Self>, names: Vec<String>, cause: Cause) {
        let first = self.add(names);
        if first && cause == Cause::Failed {
            self.warn();
        }
        if first {
            // The task owns the table: the invalidation is delivered even after the last handle of the cache is
            // dropped.
            background::spawn_begun(self.clone().deliver(cause));
        }
    }

    fn warn(&self) {
        if self.store.is_closed() {
            tracing::warn!(
                "an invalidation came after the cache was closed: it is never delivered, and other \
                 processes may serve what it names until its ttl and stale windows are over"
            );
        } else {
            tracing::warn!(
                "an invalidation could not be delivered: until it is, what it names is not served here"
            );
        }
    }

    async fn deliver(self: Arc<Self>, mut cause: Cause) {
        let mut pause = PAUSES[0];
        while let Some(batch) = self.next() {
            if self.send(batch).await {
                pause = PAUSES[0];
            } else {
                if cause == Cause::Dropped {
                    cause = Cause::Failed;
                    self.warn();
                }
                let Some(sleep) = background::sleep(pause) else { return };
                sleep.await;
                if self.store.is_closed() {
                    return;
                }
                pause = (pause * 2).min(PAUSES[1]);
            }
        }
        if cause == Cause::Failed {
            tracing::info!("all invalidations have been delivered");
        }
    }

    /// Sends the batch; true where Redis has confirmed all of it.
    async fn send(&self, batch: Batch) -> bool {
        let store = &self.store;
        let batches = match batch {
            Batch::Everything(_) => {
                let cleared = store.clear(&self.namespace, &mut |_| {}).await.is_ok();
                if cleared {
                    self.delivered(&batch);
                }
                return cleared;
            }
            Batch::Lists(_) if store.unlinks_together() => vec![batch],
            // Over a cluster, each list by itself: a node that cannot be reached must not delay lists for others.
            Batch::Lists(lists) => lists.into_iter().map(|list| Batch::Lists(vec![list])).collect(),
        };
        let mut all = true;
        for batch in batches {
            let Batch::Lists(lists) = &batch else { continue };
            let names: Vec<_> = lists.iter().flat_map(|(list, _)| list.iter()).cloned().collect();
            let patience = store.patience_for(names.len(), store.patience());
            if store.unlink(&names, patience).await.is_ok() {
                self.delivered(&batch);
            } else {
                all = false;
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nothing() -> Undelivered {
        Undelivered::new(Arc::new(Store::Off), "test")
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn an_invalidation_binds_what_it_names_until_it_is_delivered() {
        let undelivered = nothing();
        assert!(!undelivered.binds(&Key::named("one")));
        assert!(undelivered.add(names(&["one", "~two"])));
        assert!(!undelivered.add(names(&["three"])), "a task delivers already");
        for (name, bound) in [("one", true), ("two", true), ("three", true), ("four", false)] {
            assert_eq!(undelivered.binds(&Key::named(name)), bound, "{name}");
        }
        let batch = undelivered.next().unwrap();
        undelivered.delivered(&batch);
        assert!(undelivered.next().is_none());
        assert!(!undelivered.binds(&Key::named("one")));
        assert!(undelivered.add(names(&["one"])), "no task delivers any more");
    }

    #[test]
    fn what_fails_again_during_a_delivery_is_delivered_again() {
        let undelivered = nothing();
        undelivered.add(names(&["one", "two"]));
        let batch = undelivered.next().unwrap();
        undelivered.add(names(&["one"]));
        undelivered.delivered(&batch);
        assert!(undelivered.binds(&Key::named("one")));
        assert!(!undelivered.binds(&Key::named("two")));
    }

    #[test]
    fn a_name_stays_bound_until_all_that_name_it_are_delivered_in_the_order_of_their_failing() {
        let undelivered = nothing();
        undelivered.add(names(&["inner", "outer"]));
        undelivered.add(names(&["first", "inner"]));
        undelivered.add(names(&["inner", "outer"]));
        let Some(Batch::Lists(lists)) = undelivered.next() else { panic!("there are some") };
        let order: Vec<_> = lists.iter().map(|(list, _)| (**list).clone()).collect();
        assert_eq!(order, [names(&["first", "inner"]), names(&["inner", "outer"])]);
        let mut batches = lists.into_iter().map(|list| Batch::Lists(vec![list]));
        undelivered.delivered(&batches.next().unwrap());
        assert!(!undelivered.binds(&Key::named("first")));
        assert!(undelivered.binds(&Key::named("inner")));
        undelivered.delivered(&batches.next().unwrap());
        assert!(!undelivered.binds(&Key::named("inner")));
        assert!(undelivered.next().is_none());
    }

    #[test]
    fn a_retry_copies_no_names() {
        let undelivered = nothing();
        undelivered.add(names(&["one", "two"]));
        let mut tries = [(); 2].map(|()| match undelivered.next() {
            Some(Batch::Lists(mut lists)) => lists.pop().unwrap().0,
            _ => panic!("there is one"),
        });
        assert!(Arc::ptr_eq(&tries[0], &tries[1]));
        undelivered.add(names(&["three"]));
        undelivered.add(names(&["one", "two"]));
        let Some(batch @ Batch::Lists(_)) = undelivered.next() else { panic!("there are some") };
        undelivered.delivered(&batch);
        drop(batch);
        assert_eq!(Arc::strong_count(&tries[0]), 2, "nothing else keeps what was delivered");
        tries.reverse();
        assert!(undelivered.next().is_none());
    }

    #[test]
    fn a_full_table_binds_everything() {
        let undelivered = nothing();
        undelivered.add((0..MOST).map(|n| n.to_string()).collect());
        assert!(!undelivered.binds(&Key::named("another")));
        undelivered.add(names(&["0", "1"]));
        assert!(!undelivered.binds(&Key::named("another")), "those were there");
        for one in 0..MOST {
            undelivered.add(names(&["0", &one.to_string()]));
        }
        assert!(undelivered.binds(&Key::named("another")), "so many lists are too many");
        let batch = undelivered.next().unwrap();
        undelivered.delivered(&batch);
        assert_eq!(undelivered.len(), 0);
        undelivered.add((0..MOST).map(|n| n.to_string()).collect());
        undelivered.add(names(&["one too many"]));
        assert!(undelivered.binds(&Key::named("another")));
        let batch = undelivered.next().unwrap();
        undelivered.add(names(&["later"]));
        undelivered.delivered(&batch);
        assert!(undelivered.binds(&Key::named("another")), "the later one was not covered");
        let batch = undelivered.next().unwrap();
        undelivered.delivered(&batch);
        assert!(!undelivered.binds(&Key::named("another")));
        assert_eq!(undelivered.len(), 0);
    }
}
