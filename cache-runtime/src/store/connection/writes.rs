//! Writes that a server refuses, while it answers reads.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::clock;

/// For how long a refused write keeps others from trying.
const PAUSED: Duration = Duration::from_secs(1);

/// Whether one server takes writes.
#[derive(Default)]
pub(crate) struct Writes {
    /// Until when they are not tried, in milliseconds of [`clock::millis`].
    paused: AtomicU64,
    refused: AtomicBool,
}

impl Writes {
    pub(crate) fn are_paused(&self) -> bool {
        clock::millis() < self.paused.load(Ordering::Relaxed)
    }

    pub(crate) fn pause(&self, why: &str) {
        let until = clock::millis() + PAUSED.as_millis() as u64;
        self.paused.store(until, Ordering::Relaxed);
        if !self.refused.swap(true, Ordering::Relaxed) {
            tracing::warn!(error = why, "redis refuses writes: nothing is populated for now");
        }
    }

    pub(crate) fn go_on(&self) {
        if self.refused.load(Ordering::Relaxed) && self.refused.swap(false, Ordering::Relaxed) {
            tracing::info!("redis takes writes again");
        }
    }
}
