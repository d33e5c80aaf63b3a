//! Detects a leader that was woken and is not being polled, as one whose task is blocked or whose future is held
//! undropped.

use std::sync::Arc;
use std::task::{Wake, Waker};

use super::STALL;
use crate::sync::{AtomicU64, Ordering};

/// When a leader was woken, in milliseconds of `clock::millis`; 0 since its last poll.
#[derive(Default)]
pub(super) struct Stamp(AtomicU64);

impl Stamp {
    pub(super) fn polled(&self) {
        self.0.store(0, Ordering::Release);
    }

    fn woken(&self) {
        let now = crate::clock::millis().max(1);
        let _ = self.0.compare_exchange(0, now, Ordering::AcqRel, Ordering::Relaxed);
    }

    pub(super) fn stalled(&self, now: u64) -> bool {
        let woken = self.0.load(Ordering::Acquire);
        woken != 0 && now.saturating_sub(woken) >= STALL.as_millis() as u64
    }
}

/// A waker that sets the stamp before it wakes the leader's own.
pub(super) struct Stamping {
    stamp: Arc<Stamp>,
    outer: Waker,
}

impl Stamping {
    pub(super) fn around(outer: Waker, stamp: Arc<Stamp>) -> Waker {
        Waker::from(Arc::new(Self { stamp, outer }))
    }
}

impl Wake for Stamping {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.stamp.woken();
        self.outer.wake_by_ref();
    }
}
