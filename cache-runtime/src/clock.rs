//! Monotonic time for this process; never compared with another host's.

use std::sync::OnceLock;
use std::time::Instant;

/// Milliseconds since the first use.
pub(crate) fn millis() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_millis() as u64
}
