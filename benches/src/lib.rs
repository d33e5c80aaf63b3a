//! What the benches share.

use std::time::Duration;

/// The middle of some durations.
///
/// # Panics
///
/// Where there is none.
#[must_use]
pub fn median(mut durations: Vec<Duration>) -> Duration {
    durations.sort();
    durations[durations.len() / 2]
}
