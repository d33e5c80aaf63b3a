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
    use std::cell::Cell;

    pub(crate) use shuttle::sync::atomic::{AtomicU64, Ordering};
    pub(crate) use shuttle::sync::{Mutex, MutexGuard, PoisonError};

    shuttle::thread_local!(static PANICKING: Cell<bool> = Cell::new(false));

    /// Of the task: all tasks share a thread, so std's answer would be everybody's.
    pub(crate) fn panicking() -> bool {
        PANICKING.with(Cell::get)
    }

    /// Runs `unwound` as what a panic unwinds.
    pub(crate) fn unwind(unwound: impl FnOnce()) {
        PANICKING.with(|panicking| panicking.set(true));
        unwound();
        PANICKING.with(|panicking| panicking.set(false));
    }
}
