//! Counters, one set for each prefix; a hit adds to one atomic and takes no lock.
//!
//! Every call is counted once, by what came of it. What happened on the way is counted apart.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use crate::outcome::{OutcomeKind, Reason};
mod groups;

pub(crate) use groups::{group_name, group_of, group_of_function};

/// What a cache has done so far; from [`Cache::stats`](crate::Cache::stats).
///
/// A cache that is off by its configuration counts nothing. One that was switched off at run time
/// counts its calls as bypassed, with the reason `off`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// By prefix: those of the functions that were called, and those that were invalidated.
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
///
/// The first fields, up to `bypassed`, are the calls: each call is counted in one of them, once, when
/// it ends ([`PrefixStats::calls`] is their sum). A call that does not ask the cache at all (`off`,
/// `when`, `bypass`, `function-disabled`, `key`) is counted when it begins. The fields after them are events, of
/// which a call may cause several or none. A verb that does not call the function (`peek`, `put`,
/// `explain`, `invalidate`) is no call; a refresh behind a call is part of that call.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PrefixStats {
    /// Calls answered from the store, with a fresh value and without waiting.
    pub hits: u64,
    /// Calls answered from a copy in this process (`local`).
    pub local_hits: u64,
    /// Calls answered with a value past its ttl, while it is refreshed (`stale_while_revalidate`).
    pub stale: u64,
    /// Calls answered with a value past its ttl, because the function had failed (`stale_if_error`).
    pub stale_if_error: u64,
    /// Calls answered from the store after waiting for another run of the function.
    pub waited: u64,
    /// Calls that shared another call's run of the function.
    pub joined: u64,
    /// Calls that ran the function with the right to store what it returns.
    pub computed: u64,
    /// Calls that ended without a value: the caller dropped them, or the function panicked.
    pub abandoned: u64,
    /// Calls that the cache had no part in, by reason; only those that occurred.
    pub bypassed: BTreeMap<&'static str, u64>,

    /// Runs of the function that began in order to renew a stored value: behind a call, ahead of the
    /// end of its ttl, or for [`refresh`](crate::refresh).
    pub refreshes: u64,
    /// Runs of the function that returned a value. Runs of calls that do not ask the cache at all are
    /// not counted as loads.
    pub load_successes: u64,
    /// Runs of the function that returned an error.
    pub load_failures: u64,
    /// Time spent in these runs.
    pub total_load_time: Duration,
    /// Entries written.
    pub populated: u64,
    /// Entries that were not written, because the key had changed since the function began: it was
    /// invalidated, the right to store had ended, or of several runs after one whose result was not
    /// stored another was first.
    pub populates_fenced: u64,
    /// Entries that were not written, because too many bytes were waiting to be written.
    pub populates_queue_full: u64,
    /// Entries that were not written, or perhaps were, because Redis refused or did not answer.
    pub populates_failed: u64,
    /// Entries found that could not be served: foreign, garbage, or of a changed type.
    pub dead: u64,
    /// Values over `CACHE_MAX_VALUE`, that could not be encoded, or that do not come back as they were.
    pub unstorable: u64,
    /// Invalidations of calls and of the prefix that succeeded, or that a writer which was dropped has
    /// left to be delivered.
    pub invalidations: u64,
    /// Commands that failed or timed out.
    pub errors: u64,
    /// Calls whose cache traffic took longer than `CACHE_SLOW_MS`.
    pub slow: u64,
}

impl Stats {
    /// One prefix; all zero where it has not been used.
    pub fn prefix(&self, prefix: &str) -> PrefixStats {
        self.prefixes.get(prefix).cloned().unwrap_or_default()
    }

    /// All prefixes together.
    pub fn total(&self) -> PrefixStats {
        let none = PrefixStats::default();
        self.prefixes.values().fold(none, |sum, prefix| sum.with(prefix, u64::saturating_add))
    }
}

/// Reasons for which a caller did not want the cache.
const UNWANTED: [Reason; 3] = [Reason::Off, Reason::When, Reason::Bypass];

impl PrefixStats {
    /// All calls that have ended: the sum of the fields up to `bypassed`.
    pub fn calls(&self) -> u64 {
        self.served() + self.stale_if_error + self.computed + self.abandoned + self.bypassed_total()
    }

    /// Calls that cost no run of the function: `hits`, `local_hits`, `stale`, `waited` and `joined`.
    pub fn served(&self) -> u64 {
        self.hits + self.local_hits + self.stale + self.waited + self.joined
    }

    /// Calls that wanted the cache and had to run the function: `computed`, `stale_if_error`, and
    /// `bypassed` for any reason but `off`, `when` and `bypass`. So calls during an outage are misses.
    pub fn misses(&self) -> u64 {
        let unwanted = UNWANTED.iter().filter_map(|reason| self.bypassed.get(reason.as_str()));
        let bypassed = self.bypassed_total() - unwanted.sum::<u64>();
        self.computed + self.stale_if_error + bypassed
    }

    /// All calls that the cache had no part in.
    pub fn bypassed_total(&self) -> u64 {
        self.bypassed.values().sum()
    }

    /// The share of [`served`](Self::served) in `served` and [`misses`](Self::misses), 0 to 1; `None`
    /// before the first of them.
    ///
    /// It leaves out what was abandoned, and calls that did not want the cache: `off`, `when` and
    /// `asked`.
    pub fn hit_rate(&self) -> Option<f64> {
        let wanted = self.served() + self.misses();
        (wanted > 0).then(|| self.served() as f64 / wanted as f64)
    }

    /// What has been counted since `earlier`, an older state of the same prefix.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let mut since = self.with(earlier, u64::saturating_sub);
        since.bypassed.retain(|_, times| *times > 0);
        since
    }

    fn with(&self, other: &Self, with: fn(u64, u64) -> u64) -> Self {
        let mut bypassed = self.bypassed.clone();
        for (reason, times) in &other.bypassed {
            let ours = bypassed.entry(reason).or_default();
            *ours = with(*ours, *times);
        }
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let time = with(micros(self.total_load_time), micros(other.total_load_time));
        Self {
            hits: with(self.hits, other.hits),
            local_hits: with(self.local_hits, other.local_hits),
            stale: with(self.stale, other.stale),
            stale_if_error: with(self.stale_if_error, other.stale_if_error),
            waited: with(self.waited, other.waited),
            joined: with(self.joined, other.joined),
            computed: with(self.computed, other.computed),
            abandoned: with(self.abandoned, other.abandoned),
            bypassed,
            refreshes: with(self.refreshes, other.refreshes),
            load_successes: with(self.load_successes, other.load_successes),
            load_failures: with(self.load_failures, other.load_failures),
            total_load_time: Duration::from_micros(time),
            populated: with(self.populated, other.populated),
            populates_fenced: with(self.populates_fenced, other.populates_fenced),
            populates_queue_full: with(self.populates_queue_full, other.populates_queue_full),
            populates_failed: with(self.populates_failed, other.populates_failed),
            dead: with(self.dead, other.dead),
            unstorable: with(self.unstorable, other.unstorable),
            invalidations: with(self.invalidations, other.invalidations),
            errors: with(self.errors, other.errors),
            slow: with(self.slow, other.slow),
        }
    }
}

impl fmt::Display for PrefixStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} calls: {} hits, {} local hits, {} stale, {} waited, {} joined, {} computed, {} bypassed",
            self.calls(),
            self.hits,
            self.local_hits,
            self.stale + self.stale_if_error,
            self.waited,
            self.joined,
            self.computed,
            self.bypassed_total()
        )
    }
}

/// Events that are counted, apart from the outcomes of calls.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Count {
    Abandoned,
    Refresh,
    LoadSuccess,
    LoadFailure,
    LoadMicros,
    Populated,
    PopulateFenced,
    PopulateQueueFull,
    PopulateFailed,
    Dead,
    Unstorable,
    Invalidated,
    Error,
    Slow,
}

const COUNTS: usize = Count::Slow as usize + 1;

/// Kinds of outcomes, one for each reason of a bypass.
const OUTCOMES: usize = BYPASSED + Reason::ALL.len();

const BYPASSED: usize = 7;

fn place(kind: OutcomeKind) -> usize {
    match kind {
        OutcomeKind::Hit => 0,
        OutcomeKind::LocalHit => 1,
        OutcomeKind::Stale => 2,
        OutcomeKind::StaleIfError => 3,
        OutcomeKind::Waited => 4,
        OutcomeKind::Joined => 5,
        OutcomeKind::Computed => 6,
        OutcomeKind::Bypassed(reason) => BYPASSED + reason as usize,
    }
}

#[derive(Debug)]
pub(crate) struct Counters {
    outcomes: [AtomicU64; OUTCOMES],
    counts: [AtomicU64; COUNTS],
    local_hits: Tally,
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            outcomes: std::array::from_fn(|_| AtomicU64::new(0)),
            counts: std::array::from_fn(|_| AtomicU64::new(0)),
            local_hits: Tally::default(),
        }
    }
}

impl Counters {
    /// What came of a call; once for each.
    pub(crate) fn outcome(&self, kind: OutcomeKind) {
        self.outcomes[place(kind)].fetch_add(1, Ordering::Relaxed);
    }

    /// A hit in the near cache, which has no time for more.
    #[inline]
    pub(crate) fn local_hit(&self) {
        self.local_hits.add_one();
    }

    /// It was none: the copy could not be cloned, and the call goes on.
    #[cold]
    pub(crate) fn no_local_hit(&self) {
        self.local_hits.take_one();
    }

    pub(crate) fn count(&self, what: Count) {
        self.add(what, 1);
    }

    pub(crate) fn add(&self, what: Count, amount: u64) {
        self.counts[what as usize].fetch_add(amount, Ordering::Relaxed);
    }

    fn snapshot(&self) -> PrefixStats {
        let count = |what: Count| self.counts[what as usize].load(Ordering::Relaxed);
        let calls = |kind| self.outcomes[place(kind)].load(Ordering::Relaxed);
        let bypassed = Reason::ALL.into_iter().filter_map(|reason| {
            let times = calls(OutcomeKind::Bypassed(reason));
            (times > 0).then_some((reason.as_str(), times))
        });
        PrefixStats {
            hits: calls(OutcomeKind::Hit),
            local_hits: self.local_hits.sum(),
            stale: calls(OutcomeKind::Stale),
            stale_if_error: calls(OutcomeKind::StaleIfError),
            waited: calls(OutcomeKind::Waited),
            joined: calls(OutcomeKind::Joined),
            computed: calls(OutcomeKind::Computed),
            abandoned: count(Count::Abandoned),
            bypassed: bypassed.collect(),
            refreshes: count(Count::Refresh),
            load_successes: count(Count::LoadSuccess),
            load_failures: count(Count::LoadFailure),
            total_load_time: Duration::from_micros(count(Count::LoadMicros)),
            populated: count(Count::Populated),
            populates_fenced: count(Count::PopulateFenced),
            populates_queue_full: count(Count::PopulateQueueFull),
            populates_failed: count(Count::PopulateFailed),
            dead: count(Count::Dead),
            unstorable: count(Count::Unstorable),
            invalidations: count(Count::Invalidated),
            errors: count(Count::Error),
            slow: count(Count::Slow),
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
        self.add(1);
    }

    /// Takes back what this thread has added.
    fn take_one(&self) {
        self.add(u64::MAX);
    }

    #[inline]
    fn add(&self, amount: u64) {
        let thread = thread_number();
        if thread < CELLS - 1 {
            // Nobody else writes here.
            let cell = &self.0[thread].0;
            cell.store(cell.load(Ordering::Relaxed).wrapping_add(amount), Ordering::Relaxed);
        } else {
            self.0[CELLS - 1].0.fetch_add(amount, Ordering::Relaxed);
        }
    }

    fn sum(&self) -> u64 {
        let cells = self.0.iter().map(|cell| cell.0.load(Ordering::Relaxed));
        cells.fold(0, u64::wrapping_add)
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
            board.group(group).add(Count::Dead, group as u64);
        }
        for group in 0..200 {
            assert_eq!(board.group(group).snapshot().dead, group as u64);
        }
    }

    #[test]
    fn a_hit_that_was_none_is_taken_back() {
        let counters = Counters::default();
        counters.no_local_hit();
        assert_eq!(counters.local_hits.sum(), u64::MAX);
        counters.local_hit();
        assert_eq!(counters.local_hits.sum(), 0);
    }

    #[test]
    fn every_outcome_is_one_call_and_what_nobody_wanted_is_no_miss() {
        let counters = Counters::default();
        let kinds = [
            OutcomeKind::Hit,
            OutcomeKind::Stale,
            OutcomeKind::StaleIfError,
            OutcomeKind::Waited,
            OutcomeKind::Joined,
            OutcomeKind::Computed,
        ];
        let bypassed = Reason::ALL.map(OutcomeKind::Bypassed);
        for kind in kinds.into_iter().chain(bypassed) {
            counters.outcome(kind);
        }
        counters.local_hit();
        counters.count(Count::Abandoned);
        let stats = counters.snapshot();
        let reasons = Reason::ALL.len() as u64;
        assert_eq!(stats.calls(), 8 + reasons);
        assert_eq!((stats.served(), stats.misses()), (5, 2 + reasons - 3));
        let earlier = Counters::default();
        earlier.outcome(OutcomeKind::Bypassed(Reason::Key));
        let since = stats.since(&earlier.snapshot());
        assert_eq!(since.calls(), stats.calls() - 1);
        assert!(!since.bypassed.contains_key("key"));
    }

    #[test]
    fn the_rate_falls_while_everything_is_bypassed() {
        let counters = Counters::default();
        assert_eq!(counters.snapshot().hit_rate(), None);
        counters.outcome(OutcomeKind::Hit);
        assert_eq!(counters.snapshot().hit_rate(), Some(1.0));
        counters.outcome(OutcomeKind::Bypassed(Reason::Unavailable));
        assert_eq!(counters.snapshot().hit_rate(), Some(0.5));
        counters.outcome(OutcomeKind::Bypassed(Reason::Bypass));
        assert_eq!(counters.snapshot().hit_rate(), Some(0.5));
    }
}
