//! The locks and atomics of `flight.rs`. `tests/flights` compiles that file with a scheduler's own in place of
//! this module, to try its interleavings.

pub(crate) use std::sync::atomic::{AtomicU64, Ordering};
pub(crate) use std::sync::{Mutex, MutexGuard, PoisonError};
