//! How statistics are serialized: durations as seconds, and the version of the schema beside them.

use std::time::Duration;

use serde::{Serialize, Serializer};

/// The version of the JSON that [`Stats`](super::Stats) serialize to. A field may be added without a new
/// version; a field that goes or changes its meaning makes one.
const SCHEMA: u32 = 1;

/// Serializes as the version of the schema.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Schema;

impl Serialize for Schema {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(SCHEMA)
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
pub(crate) fn seconds<S: Serializer>(duration: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_f64(duration.as_secs_f64())
}

#[allow(clippy::ref_option, reason = "serde passes a reference")]
pub(crate) fn optional_seconds<S: Serializer>(
    duration: &Option<Duration>,
    to: S,
) -> Result<S::Ok, S::Error> {
    duration.map(|duration| duration.as_secs_f64()).serialize(to)
}

pub(crate) fn seconds_of_all<S: Serializer>(
    durations: &[Duration],
    to: S,
) -> Result<S::Ok, S::Error> {
    to.collect_seq(durations.iter().map(Duration::as_secs_f64))
}
