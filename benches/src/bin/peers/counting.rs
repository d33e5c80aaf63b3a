//! An allocator that counts, while it is asked to.

#![allow(unsafe_code)] // `GlobalAlloc` cannot be implemented without; every call is handed on.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed};

pub struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

static ON: AtomicBool = AtomicBool::new(false);
static CALLS: AtomicU64 = AtomicU64::new(0);
static BYTES: AtomicI64 = AtomicI64::new(0);

fn count(calls: u64, bytes: i64) {
    if ON.load(Relaxed) {
        CALLS.fetch_add(calls, Relaxed);
        BYTES.fetch_add(bytes, Relaxed);
    }
}

fn size(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(1, size(layout.size()));
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(1, size(layout.size()));
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(0, -size(layout.size()));
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new: usize) -> *mut u8 {
        count(1, size(new) - size(layout.size()));
        unsafe { System.realloc(pointer, layout, new) }
    }
}

/// What was allocated between two moments, by all threads.
#[derive(Clone, Copy, Debug, Default)]
pub struct Allocated {
    pub calls: u64,
    /// Less what was freed.
    pub bytes: i64,
}

/// Begins to count.
pub fn begin() {
    CALLS.store(0, Relaxed);
    BYTES.store(0, Relaxed);
    ON.store(true, Relaxed);
}

/// Ends the count that was begun last.
pub fn end() -> Allocated {
    ON.store(false, Relaxed);
    Allocated { calls: CALLS.load(Relaxed), bytes: BYTES.load(Relaxed) }
}
