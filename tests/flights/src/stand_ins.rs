//! What the flights stand on in place of the runtime's.

/// Time that passes when a test says so.
pub(crate) mod clock {
    use std::cell::Cell;

    // All tasks of a schedule share a thread.
    thread_local!(static NOW: Cell<u64> = const { Cell::new(0) });

    pub(crate) fn millis() -> u64 {
        NOW.get()
    }

    pub(crate) fn set(now: u64) {
        NOW.set(now);
    }
}

pub(crate) mod entry {
    #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
    pub(crate) struct EntryId(pub(crate) [u8; 16]);
}

pub(crate) mod key {
    #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
    pub(crate) struct CallId(pub(crate) [u8; 32]);
}

pub(crate) mod sync {
    pub(crate) use shuttle::sync::atomic::{AtomicU64, Ordering};
    pub(crate) use shuttle::sync::{Mutex, MutexGuard, PoisonError};
}

pub(crate) mod contain {
    /// Where a scenario's waker panics, a promise is broken that the scheduler has to see.
    #[expect(clippy::unnecessary_wraps, reason = "the runtime's has `None` for a panic")]
    pub(crate) fn contained<T>(run: impl FnOnce() -> T) -> Option<T> {
        Some(run())
    }
}
