//! Counters, one set for each prefix; a hit adds to one atomic and takes no lock.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use crate::outcome::Reason;
use crate::site::group_name;

/// What a cache has done so far; from [`Cache::stats`](crate::Cache::stats).
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Stats {
    /// By prefix.
    pub prefixes: BTreeMap<String, PrefixStats>,
    /// Flights that are going on, or whose entry is being written.
    pub flights: usize,
    /// Names whose invalidation has not been delivered yet; calls that depend on them run plainly.
    pub undelivered: usize,
    /// Copies in the near cache; also those that do not count any more and were not yet evicted.
    pub local_entries: u64,
    /// Their size in bytes, as `CACHE_LOCAL_BYTES` bounds it: keys, encoded values, and 120 bytes each.
    pub local_bytes: u64,
}

/// What a cache has done for one prefix.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct PrefixStats {
    /// Calls answered from the store or from a copy in this process.
    pub hits: u64,
    /// Those among the hits that were answered from a copy in this process (`local`).
    pub local_hits: u64,
    /// Lookups that found nothing to serve.
    pub misses: u64,
    /// Those among the hits that were past their ttl, while they were refreshed.
    pub stale: u64,
    /// Failures of the function in whose place a stale value was served.
    pub stale_if_error: u64,
    /// Calls that shared another call's run.
    pub joined: u64,
    /// Those among the hits that had waited for another process's run.
    pub waited: u64,
    /// Refreshes behind a call.
    pub refreshes: u64,
    /// Runs of the function that returned a value.
    pub load_successes: u64,
    /// Runs of the function that returned an error.
    pub load_failures: u64,
    /// Time spent in the function.
    pub total_load_time: Duration,
    /// Entries written.
    pub populated: u64,
    /// Entries that were not written: the key had changed, the queue was full, or Redis refused.
    pub populates_dropped: u64,
    /// Entries found that could not be served: foreign, garbage, or of a changed type.
    pub dead: u64,
    /// Values over `CACHE_MAX_VALUE`, or that could not be encoded.
    pub unstorable: u64,
    /// Invalidations that succeeded.
    pub invalidations: u64,
    /// Commands that failed or timed out.
    pub errors: u64,
    /// Calls whose cache traffic took longer than `CACHE_SLOW_MS`.
    pub slow: u64,
    /// Calls that the cache had no part in, by reason; only those that occurred.
    pub bypassed: BTreeMap<&'static str, u64>,
}

impl Stats {
    /// One prefix; all zero where it has not been used.
    pub fn prefix(&self, prefix: &str) -> PrefixStats {
        self.prefixes.get(prefix).cloned().unwrap_or_default()
    }
}

impl PrefixStats {
    /// All calls that the cache had no part in.
    pub fn bypassed_total(&self) -> u64 {
        self.bypassed.values().sum()
    }

    /// Hits among hits and misses, 0 to 1; `None` before the first.
    pub fn hit_rate(&self) -> Option<f64> {
        let lookups = self.hits + self.misses;
        (lookups > 0).then(|| self.hits as f64 / lookups as f64)
    }
}

impl fmt::Display for PrefixStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} hits, {} misses, {} joined, {} runs, {} bypassed",
            self.hits,
            self.misses,
            self.joined,
            self.load_successes + self.load_failures,
            self.bypassed_total()
        )
    }
}

/// What is counted.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Count {
    Hit,
    Miss,
    Stale,
    StaleIfError,
    Joined,
    Waited,
    Refresh,
    LoadSuccess,
    LoadFailure,
    LoadMicros,
    Populated,
    PopulateDropped,
    Dead,
    Unstorable,
    Invalidated,
    Error,
    Slow,
}

const COUNTS: usize = Count::Slow as usize + 1;

#[derive(Debug)]
pub(crate) struct Counters {
    counts: [AtomicU64; COUNTS],
    local_hits: Tally,
    bypassed: [AtomicU64; Reason::ALL.len()],
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            counts: std::array::from_fn(|_| AtomicU64::new(0)),
            local_hits: Tally::default(),
            bypassed: std::array::from_fn(|_| AtomicU64::new(0)),
        }
    }
}

impl Counters {
    pub(crate) fn count(&self, what: Count) {
        self.add(what, 1);
    }

    /// A hit in the near cache, which has no time for more.
    #[inline]
    pub(crate) fn local_hit(&self) {
        self.local_hits.add_one();
    }

    pub(crate) fn add(&self, what: Count, amount: u64) {
        self.counts[what as usize].fetch_add(amount, Ordering::Relaxed);
    }

    pub(crate) fn bypassed(&self, reason: Reason) {
        self.bypassed[reason as usize].fetch_add(1, Ordering::Relaxed);
    }

    fn snapshot(&self) -> PrefixStats {
        let count = |what: Count| self.counts[what as usize].load(Ordering::Relaxed);
        let bypassed = Reason::ALL.into_iter().filter_map(|reason| {
            let times = self.bypassed[reason as usize].load(Ordering::Relaxed);
            (times > 0).then_some((reason.as_str(), times))
        });
        PrefixStats {
            hits: count(Count::Hit) + self.local_hits.sum(),
            local_hits: self.local_hits.sum(),
            misses: count(Count::Miss),
            stale: count(Count::Stale),
            stale_if_error: count(Count::StaleIfError),
            joined: count(Count::Joined),
            waited: count(Count::Waited),
            refreshes: count(Count::Refresh),
            load_successes: count(Count::LoadSuccess),
            load_failures: count(Count::LoadFailure),
            total_load_time: Duration::from_micros(count(Count::LoadMicros)),
            populated: count(Count::Populated),
            populates_dropped: count(Count::PopulateDropped),
            dead: count(Count::Dead),
            unstorable: count(Count::Unstorable),
            invalidations: count(Count::Invalidated),
            errors: count(Count::Error),
            slow: count(Count::Slow),
            bypassed: bypassed.collect(),
        }
    }
}

/// A counter of which each thread has a cell of its own, so that none waits for another's cache
/// line, or for its own to be written.
#[derive(Debug, Default)]
struct Tally([Cell; CELLS]);

/// Threads with a cell of their own; those after share the last.
const CELLS: usize = 16;

#[derive(Debug, Default)]
#[repr(align(64))]
struct Cell(AtomicU64);

impl Tally {
    #[inline]
    fn add_one(&self) {
        let thread = thread_number();
        if thread < CELLS - 1 {
            // Nobody else writes here.
            let cell = &self.0[thread].0;
            cell.store(cell.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        } else {
            self.0[CELLS - 1].0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn sum(&self) -> u64 {
        self.0.iter().map(|cell| cell.0.load(Ordering::Relaxed)).sum()
    }
}

/// The threads that have ever asked, in the order in which they did.
#[inline]
fn thread_number() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static OWN: std::cell::Cell<usize> = const { std::cell::Cell::new(usize::MAX) };
    }
    let own = OWN.get();
    if own != usize::MAX {
        return own;
    }
    let own = NEXT.fetch_add(1, Ordering::Relaxed);
    OWN.set(own);
    own
}

/// The counters of a cache, by the group number of a prefix. They are never moved, so that a hit
/// finds its own without a lock or a count of references: shelf `n` has room for `2^n` of them.
#[derive(Debug, Default)]
pub(crate) struct Board {
    shelves: [OnceLock<Box<[OnceLock<Counters>]>>; SHELVES],
}

/// Enough for as many prefixes as anybody has.
const SHELVES: usize = 24;

impl Board {
    #[inline]
    pub(crate) fn group(&self, group: usize) -> &Counters {
        let number = (group + 1).min((1 << SHELVES) - 1);
        let which = number.ilog2();
        let room = || (0..1_usize << which).map(|_| OnceLock::new()).collect();
        let row = self.shelves[which as usize].get_or_init(room);
        row[number - (1 << which)].get_or_init(Counters::default)
    }

    pub(crate) fn snapshot(&self) -> BTreeMap<String, PrefixStats> {
        let numbers = self.shelves.iter().enumerate().flat_map(|(n, shelf)| {
            let row = shelf.get().into_iter().flatten().enumerate();
            row.map(move |(at, counters)| ((1 << n) + at - 1, counters))
        });
        let used = numbers.filter_map(|(group, counters)| Some((group, counters.get()?)));
        used.map(|(group, counters)| (group_name(group), counters.snapshot())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_count_is_lost_however_many_threads_there_are() {
        let board = Board::default();
        std::thread::scope(|scope| {
            for _ in 0..CELLS * 2 {
                scope.spawn(|| (0..10_000).for_each(|_| board.group(5).local_hit()));
            }
        });
        assert_eq!(board.group(5).local_hits.sum(), CELLS as u64 * 2 * 10_000);
    }

    #[test]
    fn every_group_has_counters_of_its_own() {
        let board = Board::default();
        for group in 0..200 {
            board.group(group).add(Count::Hit, group as u64);
        }
        for group in 0..200 {
            assert_eq!(board.group(group).snapshot().hits, group as u64);
        }
    }
}
