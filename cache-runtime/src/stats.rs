//! Counters, one set for each prefix; a hit adds to one atomic and takes no lock.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;

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
}

/// What a cache has done for one prefix.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct PrefixStats {
    /// Calls answered from the store.
    pub hits: u64,
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
    bypassed: [AtomicU64; Reason::ALL.len()],
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            counts: std::array::from_fn(|_| AtomicU64::new(0)),
            bypassed: std::array::from_fn(|_| AtomicU64::new(0)),
        }
    }
}

impl Counters {
    pub(crate) fn count(&self, what: Count) {
        self.add(what, 1);
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
            hits: count(Count::Hit),
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

/// The counters of a cache, by the group number of a prefix.
#[derive(Debug, Default)]
pub(crate) struct Board {
    groups: ArcSwap<Vec<Option<Arc<Counters>>>>,
    growing: Mutex<()>,
}

impl Board {
    pub(crate) fn group(&self, group: usize) -> Arc<Counters> {
        match self.groups.load().get(group) {
            Some(Some(counters)) => counters.clone(),
            _ => self.grow(group),
        }
    }

    fn grow(&self, group: usize) -> Arc<Counters> {
        let _one_at_a_time = self.growing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut groups = (**self.groups.load()).clone();
        if groups.len() <= group {
            groups.resize(group + 1, None);
        }
        let counters = groups[group].get_or_insert_default().clone();
        self.groups.store(Arc::new(groups));
        counters
    }

    pub(crate) fn snapshot(&self) -> BTreeMap<String, PrefixStats> {
        let groups = self.groups.load();
        let used = groups.iter().enumerate();
        used.filter_map(|(group, counters)| {
            Some((group_name(group), counters.as_ref()?.snapshot()))
        })
        .collect()
    }
}
