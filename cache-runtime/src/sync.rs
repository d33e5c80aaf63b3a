//! What flights are synchronized by. A scheduler that tries their interleavings has its own in
//! place of this module.

pub(crate) use std::sync::atomic::{AtomicU64, Ordering};
pub(crate) use std::sync::{Mutex, MutexGuard, PoisonError};
