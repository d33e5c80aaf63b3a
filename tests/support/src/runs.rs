//! Runs of cached functions: told apart by their values, or counted.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// A number that no other run of any function in this process returns: equal values are of one run.
///
/// Small numbers are left to the tests, to put in place of a run's.
pub fn run() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1000);
    NEXT.fetch_add(1, Ordering::SeqCst)
}

/// An argument that no other test in this process has.
pub fn fresh() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    NEXT.fetch_add(1, Ordering::SeqCst)
}

/// Counts runs by key, since the tests run side by side.
#[derive(Debug, Default)]
pub struct Runs(Mutex<BTreeMap<u32, u32>>);

impl Runs {
    /// None so far.
    pub const fn new() -> Self {
        Self(Mutex::new(BTreeMap::new()))
    }

    /// Counts a run and returns how many there have been for its key.
    ///
    /// # Panics
    ///
    /// Never: the lock is not held across a panic.
    pub fn run(&self, key: u32) -> u32 {
        let mut runs = self.0.lock().expect("not poisoned");
        let runs = runs.entry(key).or_default();
        *runs += 1;
        *runs
    }

    /// How many runs there have been for a key.
    ///
    /// # Panics
    ///
    /// As [`Runs::run`].
    pub fn of(&self, key: u32) -> u32 {
        self.0.lock().expect("not poisoned").get(&key).copied().unwrap_or(0)
    }
}
