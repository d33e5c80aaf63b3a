//! A clock that all processes of this machine share.

use nix::time::{ClockId, clock_gettime};

/// Nanoseconds of the monotonic clock.
///
/// # Panics
///
/// Where the system has no such clock.
pub fn now() -> u64 {
    let time = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("a monotonic clock");
    let [seconds, nanos] = [time.tv_sec(), time.tv_nsec()].map(i64::unsigned_abs);
    seconds * 1_000_000_000 + nanos
}
