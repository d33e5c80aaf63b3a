//! What the commands of one cache cost and carry, whatever prefix they are for.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::Serialize;

use super::histogram::{Buckets, Histogram, ROUND_TRIPS, RUNS};

/// Commands to the store, as their callers waited for them; from [`Stats::store`](crate::Stats).
///
/// Over the in-process store these are calls into a table, and take microseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct StoreStats {
    /// Reads of an entry with its tokens, also those that failed or timed out.
    pub reads: Histogram,
    /// Writes of entries behind the reply, also those that failed or were fenced.
    pub writes: Histogram,
    /// Invalidations.
    pub invalidations: Histogram,
    /// Waiting for another run of the function, in this process or another.
    pub waits: Histogram,
    /// Bytes of entries that were read, with their headers.
    pub bytes_read: u64,
    /// Bytes of entries that were written, with their headers.
    pub bytes_written: u64,
}

/// Invalidations by what was named and by whether Redis confirmed them at once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct InvalidationStats {
    /// Of calls, by [`invalidate`](crate::invalidate) and `#[cache_invalidate]`; what is named together
    /// is one invalidation.
    pub calls: Confirmed,
    /// Of prefixes.
    pub prefixes: Confirmed,
    /// Of tags.
    pub tags: Confirmed,
    /// Of everything, by [`Cache::clear`](crate::Cache::clear).
    pub clears: Confirmed,
}

/// How many invalidations of one kind there were.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Confirmed {
    /// Confirmed by Redis within their time.
    pub ok: u64,
    /// Not confirmed: failed, timed out, or left by a writer that was dropped. They are sent again.
    pub pending: u64,
}

/// What an invalidation names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Named {
    Calls,
    Prefix,
    Tag,
    Everything,
}

#[derive(Debug)]
pub(crate) struct Timings {
    pub(crate) reads: Buckets,
    pub(crate) writes: Buckets,
    pub(crate) invalidations: Buckets,
    pub(crate) waits: Buckets,
    bytes_read: AtomicU64,
    bytes_written: AtomicU64,
    invalidated: [[AtomicU64; 2]; 4],
}

impl Timings {
    /// With bounds at the budget and at the threshold of slow calls too.
    pub(crate) fn new(budget: Duration, slow: Duration) -> Self {
        let commands = || Buckets::new(&ROUND_TRIPS, &[budget, slow]);
        Self {
            reads: commands(),
            writes: commands(),
            invalidations: commands(),
            waits: Buckets::new(&RUNS, &[]),
            bytes_read: AtomicU64::new(0),
            bytes_written: AtomicU64::new(0),
            invalidated: Default::default(),
        }
    }

    pub(crate) fn read(&self, bytes: usize) {
        self.bytes_read.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn written(&self, bytes: usize) {
        self.bytes_written.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn invalidated(&self, named: Named, confirmed: bool) {
        self.invalidated[named as usize][usize::from(!confirmed)].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn store(&self) -> StoreStats {
        StoreStats {
            reads: self.reads.snapshot(),
            writes: self.writes.snapshot(),
            invalidations: self.invalidations.snapshot(),
            waits: self.waits.snapshot(),
            bytes_read: self.bytes_read.load(Ordering::Relaxed),
            bytes_written: self.bytes_written.load(Ordering::Relaxed),
        }
    }

    pub(crate) fn invalidations(&self) -> InvalidationStats {
        let [calls, prefixes, tags, clears] = self.invalidated.each_ref().map(|[ok, pending]| {
            let [ok, pending] = [ok, pending].map(|count| count.load(Ordering::Relaxed));
            Confirmed { ok, pending }
        });
        InvalidationStats { calls, prefixes, tags, clears }
    }
}
