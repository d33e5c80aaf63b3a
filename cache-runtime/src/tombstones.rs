//! Invalidations that are still to be delivered.
//!
//! One that failed, or whose outcome is unknown, binds this process at once: calls that depend on
//! what it names run plainly until it has been delivered. It is sent again until then, for as long
//! as the process lives.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::background;
use crate::cache::Inner;
use crate::store::Key;

/// Names that are remembered; with more than that, everything is to be invalidated. All of them go
/// out in one command: an entry must not be refilled from another that is still to be removed.
const MOST: usize = 1 << 15;

const PAUSES: [Duration; 2] = [Duration::from_millis(25), Duration::from_secs(1)];

#[derive(Default)]
pub(crate) struct Tombstones {
    /// Whether there are any: all that an ordinary call looks at.
    some: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// By name, with the number of the last invalidation that failed.
    names: HashMap<String, u64>,
    everything: Option<u64>,
    last: u64,
    delivering: bool,
}

/// What is sent at a time.
enum Batch {
    Names(Vec<(String, u64)>),
    Everything(u64),
}

impl Tombstones {
    /// Whether a call must not use what is stored.
    pub(crate) fn binds(&self, key: &Key) -> bool {
        self.any() && self.state().binds(key)
    }

    /// Whether there are any at all.
    pub(crate) fn any(&self) -> bool {
        self.some.load(Ordering::Acquire)
    }

    /// How many names are still to be invalidated.
    pub(crate) fn len(&self) -> usize {
        self.state().names.len()
    }

    /// Adds names; true where somebody has to begin to deliver.
    fn add(&self, names: Vec<String>) -> bool {
        let mut state = self.state();
        state.add(names);
        self.some.store(true, Ordering::Release);
        !std::mem::replace(&mut state.delivering, true)
    }

    /// What to send next; `None` where nothing is left.
    fn next(&self) -> Option<Batch> {
        let mut state = self.state();
        let batch = state.next();
        if batch.is_none() {
            state.delivering = false;
            self.some.store(false, Ordering::Release);
        }
        batch
    }

    fn delivered(&self, batch: Batch) {
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
        for name in names {
            if self.names.len() < MOST || self.names.contains_key(&name) {
                self.names.insert(name, self.last);
            } else {
                self.everything = Some(self.last);
            }
        }
    }

    fn next(&self) -> Option<Batch> {
        if let Some(number) = self.everything {
            return Some(Batch::Everything(number));
        }
        let names: Vec<_> = self.names.iter().map(|(n, at)| (n.clone(), *at)).collect();
        (!names.is_empty()).then_some(Batch::Names(names))
    }

    /// What failed once more meanwhile stays.
    fn delivered(&mut self, batch: Batch) {
        match batch {
            Batch::Everything(number) => {
                self.everything = self.everything.filter(|last| *last > number);
                self.names.retain(|_, last| *last > number);
            }
            Batch::Names(names) => {
                for (name, number) in names {
                    if self.names.get(&name) == Some(&number) {
                        self.names.remove(&name);
                    }
                }
            }
        }
    }
}

/// Why nobody waits for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    Failed,
    /// The writer was dropped or has panicked.
    Dropped,
}

/// Binds this process to an invalidation that has not been delivered, and tries until it has.
pub(crate) fn bury(inner: &Arc<Inner>, names: Vec<String>, cause: Cause) {
    let first = inner.tombstones.add(names);
    if first && cause == Cause::Failed {
        warn();
    }
    if first {
        // Strong: the obligation outlives the last handle.
        background::spawn_begun(deliver(inner.clone(), cause));
    }
}

fn warn() {
    tracing::warn!(
        "an invalidation could not be delivered: until it is, what it names is not served here"
    );
}

async fn deliver(inner: Arc<Inner>, mut cause: Cause) {
    let mut pause = PAUSES[0];
    while let Some(batch) = inner.tombstones.next() {
        if send(&inner, &batch).await {
            inner.tombstones.delivered(batch);
            pause = PAUSES[0];
        } else {
            if cause == Cause::Dropped {
                cause = Cause::Failed;
                warn();
            }
            let Some(sleep) = background::sleep(pause) else { return };
            sleep.await;
            pause = (pause * 2).min(PAUSES[1]);
        }
    }
    if cause == Cause::Failed {
        tracing::info!("all invalidations have been delivered");
    }
}

async fn send(inner: &Inner, batch: &Batch) -> bool {
    let store = &inner.store;
    match batch {
        Batch::Names(names) => {
            let names: Vec<_> = names.iter().map(|(name, _)| name.clone()).collect();
            store.unlink(&names, store.patience()).await.is_ok()
        }
        Batch::Everything(_) => {
            let start = format!("{}:", inner.config.namespace);
            store.clear(&start, &mut |_| {}).await.is_ok()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn a_tombstone_binds_what_it_names_until_it_is_delivered() {
        let tombstones = Tombstones::default();
        assert!(!tombstones.binds(&Key::named("one")));
        assert!(tombstones.add(names(&["one", "~two"])));
        assert!(!tombstones.add(names(&["three"])), "somebody delivers already");
        for (name, bound) in [("one", true), ("two", true), ("three", true), ("four", false)] {
            assert_eq!(tombstones.binds(&Key::named(name)), bound, "{name}");
        }
        let batch = tombstones.next().unwrap();
        tombstones.delivered(batch);
        assert!(tombstones.next().is_none());
        assert!(!tombstones.binds(&Key::named("one")));
        assert!(tombstones.add(names(&["one"])), "nobody delivers any more");
    }

    #[test]
    fn what_fails_again_during_a_delivery_is_delivered_again() {
        let tombstones = Tombstones::default();
        tombstones.add(names(&["one", "two"]));
        let batch = tombstones.next().unwrap();
        tombstones.add(names(&["one"]));
        tombstones.delivered(batch);
        assert!(tombstones.binds(&Key::named("one")));
        assert!(!tombstones.binds(&Key::named("two")));
    }

    #[test]
    fn a_full_table_binds_everything() {
        let tombstones = Tombstones::default();
        tombstones.add((0..MOST).map(|n| n.to_string()).collect());
        assert!(!tombstones.binds(&Key::named("another")));
        tombstones.add(names(&["0", "1"]));
        assert!(!tombstones.binds(&Key::named("another")), "those were there");
        tombstones.add(names(&["one too many"]));
        assert!(tombstones.binds(&Key::named("another")));
        let batch = tombstones.next().unwrap();
        tombstones.add(names(&["later"]));
        tombstones.delivered(batch);
        assert!(tombstones.binds(&Key::named("another")), "the later one was not covered");
        let batch = tombstones.next().unwrap();
        tombstones.delivered(batch);
        assert!(!tombstones.binds(&Key::named("another")));
        assert_eq!(tombstones.len(), 0);
    }
}
