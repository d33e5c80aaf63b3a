//! Counters, one set for each prefix. A hit changes one atomic and takes no lock.
//!
//! Each call is counted once, by its outcome. Events on the way (loads, populates, errors) have counters
//! of their own.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use serde::Serialize;

use crate::outcome::{OutcomeKind, Reason};

mod groups;
mod histogram;
mod history;
mod serialize;
mod summary;
mod timings;

pub(crate) use groups::{group_name, group_of, group_of_function, known_prefix_of};
pub use histogram::Histogram;
use histogram::{Buckets, RUNS};
pub use history::{History, PrefixHistory};
pub(crate) use history::{STEP, Steps};
use serialize::Schema;
pub(crate) use serialize::{optional_seconds, seconds};
pub use summary::{Summary, SummaryStatistics};
pub use timings::{Confirmed, InvalidationStats, StoreStats};
pub(crate) use timings::{Named, Timings};

/// What a cache has counted since it was made; a snapshot, from [`Cache::stats`](crate::Cache::stats).
///
/// The counters are those of one cache in this process, and begin at zero with it. Counters that change
/// while the snapshot is taken may be of slightly different moments. A cache that is off by its
/// configuration counts nothing. One that was switched off at run time counts its calls as bypassed,
/// with the reason `off`.
///
/// # Examples
///
/// ```
/// use cache_runtime::{Cache, cache_result};
///
/// #[cache_result(prefix = "areas")]
/// async fn areas(kind: String) -> Vec<String> { vec![kind] }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let cache = Cache::in_memory();
/// cache.scope(async {
///     for _ in 0..4 {
///         areas("buy".into()).await;
///     }
/// }).await;
///
/// let stats = cache.stats();
/// let areas = stats.prefix("areas");
/// assert_eq!((areas.computed, areas.served()), (1, 3));
/// assert_eq!(areas.hit_rate(), Some(0.75));
/// assert_eq!(stats.total().calls(), 4);
/// # }
/// ```
///
/// Serialized with serde, durations are seconds, and `schema` is the version of the fields: 1.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Stats {
    #[serde(rename = "schema")]
    pub(crate) _schema: Schema,
    /// The counters of each prefix whose functions were called, or that was invalidated.
    pub prefixes: BTreeMap<String, PrefixStats>,
    /// Runs of functions that other calls may join: under way, or with an entry that is being written.
    pub flights: usize,
    /// Keys and tokens whose invalidation Redis has not confirmed yet. Calls that depend on them run their
    /// functions without the cache.
    pub undelivered: usize,
    /// Copies in this process (`local`), including those that are void and were not yet evicted.
    pub local_entries: u64,
    /// The size of these copies in bytes, as [`Config::local_bytes`](crate::Config::local_bytes) bounds
    /// it: arguments, values as they are encoded, and 120 bytes for each copy.
    pub local_bytes: u64,
    /// Why copies have gone.
    pub local_removals: LocalRemovals,
    /// The commands to the store.
    pub store: StoreStats,
    /// Invalidations, by what they named.
    pub invalidations: InvalidationStats,
}

/// Why copies in this process (`local`) have gone. A void copy is counted when it is replaced or evicted, so
/// later than it became void.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LocalRemovals {
    /// Copies that could still be served and had to make room: more
    /// [`Config::local_bytes`](crate::Config::local_bytes) would have kept them.
    pub evicted: u64,
    /// Copies whose entry, prefix or tag was invalidated or written, or that were void because the
    /// connection that announces changes was lost.
    pub invalidated: u64,
    /// Copies at the end of their time.
    pub expired: u64,
}

/// The counters of one prefix, or of several together ([`Stats::total`]).
///
/// The fields up to `bypassed` count calls. Each call is counted in one of them, once, when it ends;
/// [`PrefixStats::calls`] is their sum. A call that does not ask the cache at all (`off`, `when`,
/// `bypass`, `function-disabled`, `key`) is counted when it begins. A verb that does not call the function
/// (`peek`, `put`, `explain`, `invalidate`) is no call, and a refresh behind a call is part of that call.
///
/// The fields after `bypassed` count events, of which a call may cause several or none.
///
/// # Examples
///
/// The rate of the last minute, from two snapshots:
///
/// ```
/// use cache_runtime::PrefixStats;
///
/// fn report(earlier: &PrefixStats, now: &PrefixStats) {
///     let minute = now.since(earlier);
///     println!("{} calls, hit rate {:?}", minute.calls(), minute.hit_rate());
///     println!("{} loads failed", minute.load_failures);
/// }
/// # report(&PrefixStats::default(), &PrefixStats::default());
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PrefixStats {
    /// Calls answered with a fresh value from the store, without waiting for a run.
    pub hits: u64,
    /// Calls answered with a fresh value from a copy in this process (`local`).
    pub local_hits: u64,
    /// Calls answered with a value past its ttl, within its `stale_while_revalidate` window.
    pub stale: u64,
    /// Calls answered with a value past its ttl, because the function has failed (`stale_if_error`).
    pub stale_if_error: u64,
    /// Calls answered from the store after they had waited for another run of the function.
    pub waited: u64,
    /// Calls answered by another call's run of the function in this process.
    pub joined: u64,
    /// Calls that ran the function under a lease.
    pub computed: u64,
    /// Calls that ended without a value: the caller dropped them, or the function panicked.
    pub abandoned: u64,
    /// Calls answered by a run that stores nothing, by [`Reason::as_str`]; only the reasons that
    /// occurred.
    pub bypassed: BTreeMap<&'static str, u64>,

    /// Runs of the function to renew a stored value: behind a call, ahead of the end of its ttl, or for
    /// [`refresh`](crate::refresh).
    pub refreshes: u64,
    /// Loads that returned a value. A load is a run of the function by a call that asks the cache, so
    /// runs of `off`, `when`, `bypass`, `function-disabled` and `key` are none.
    pub load_successes: u64,
    /// Loads that returned an error.
    pub load_failures: u64,
    /// How long the loads took.
    pub loads: Histogram,
    /// The work that the cache has saved: of each call that was answered from the store or from a copy, the
    /// time that the function took when the value was computed. Calls that joined another's run saved one
    /// too, and are not counted: how long it took is not known to them. Serialized as `saved_seconds`.
    #[serde(rename = "saved_seconds", serialize_with = "seconds")]
    pub saved: Duration,
    /// Entries that were written, by calls and by [`put`](crate::put).
    pub populated: u64,
    /// Entries that were not written because the key had changed since the function began: the entry was
    /// invalidated, the lease had expired, or another run was first (after a run whose result is not
    /// stored, several may run at once).
    pub populates_fenced: u64,
    /// Entries that were not written because too much was waiting to be written: 64 MiB, of which each
    /// entry counts 16 KiB beside its bytes.
    pub populates_queue_full: u64,
    /// Entries that were not written, or perhaps were, because Redis refused the write or did not answer.
    pub populates_failed: u64,
    /// Values that were not stored because a rule of the function says so: `cache_if`, a `ttl` of zero,
    /// `None` without `none_ttl`, or a rule that panicked.
    pub populates_refused: u64,
    /// Entries that were found and could not be served: of another function or other arguments, garbage,
    /// or of a type that has changed. Entries that were invalidated are not counted here.
    pub dead: u64,
    /// Values that were not stored because they are larger than
    /// [`Config::max_value`](crate::Config::max_value), cannot be encoded, or do not decode to an equal
    /// value.
    pub unstorable: u64,
    /// Of `unstorable`, the values that were too large.
    pub too_large: u64,
    /// Invalidations of calls and of the prefix that Redis has confirmed, or that a
    /// `#[cache_invalidate]` function which was dropped has left to be delivered. Tags are not counted.
    pub invalidations: u64,
    /// Reads, requests for a lease, and invalidations that failed or timed out.
    pub errors: u64,
    /// The same by kind, only those that occurred: `down` (no connection, or the breaker is open),
    /// `timeout`, `busy` (too many commands in flight), `writes-refused` (Redis refuses all writes for now)
    /// and `refused` (Redis answered with an error).
    pub errors_by: BTreeMap<&'static str, u64>,
    /// Calls whose cache traffic took longer than [`Config::slow`](crate::Config::slow).
    pub slow: u64,
}

impl Stats {
    /// The counters of one prefix; all zero where it has not been used.
    pub fn prefix(&self, prefix: &str) -> PrefixStats {
        self.prefixes.get(prefix).cloned().unwrap_or_default()
    }

    /// The sum over all prefixes.
    pub fn total(&self) -> PrefixStats {
        let none = PrefixStats::default();
        self.prefixes.values().fold(none, |sum, prefix| sum.with(prefix, u64::saturating_add))
    }
}

/// The reasons of calls that did not want the cache, and so neither hit nor missed it.
const UNWANTED: [Reason; 3] = [Reason::Off, Reason::When, Reason::Bypass];

impl PrefixStats {
    /// All calls: the sum of the fields up to `bypassed`.
    pub fn calls(&self) -> u64 {
        self.served() + self.stale_if_error + self.computed + self.abandoned + self.bypassed_total()
    }

    /// Calls that cost no run of the function of their own: `hits`, `local_hits`, `stale`, `waited` and
    /// `joined`.
    pub fn served(&self) -> u64 {
        self.hits + self.local_hits + self.stale + self.waited + self.joined
    }

    /// Calls that wanted the cache and were not served by it: `computed`, `stale_if_error`, and `bypassed`
    /// for every reason but `off`, `when` and `bypass`. So calls during an outage are misses.
    pub fn misses(&self) -> u64 {
        let unwanted = UNWANTED.iter().filter_map(|reason| self.bypassed.get(reason.as_str()));
        let bypassed = self.bypassed_total() - unwanted.sum::<u64>();
        self.computed + self.stale_if_error + bypassed
    }

    /// The calls of `bypassed`, for all reasons together.
    pub fn bypassed_total(&self) -> u64 {
        self.bypassed.values().sum()
    }

    /// [`served`](Self::served) divided by the sum of `served` and [`misses`](Self::misses), 0 to 1;
    /// `None` before the first of them.
    ///
    /// Calls that were abandoned are left out, and so are calls that did not want the cache: those bypassed
    /// with the reason `off`, `when` or `bypass`.
    pub fn hit_rate(&self) -> Option<f64> {
        let wanted = self.served() + self.misses();
        (wanted > 0).then(|| self.served() as f64 / wanted as f64)
    }

    /// What was counted since `earlier`, an older snapshot of the same prefix. Where `earlier` is of another
    /// cache and larger, a counter is zero rather than negative.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let mut since = self.with(earlier, u64::saturating_sub);
        since.bypassed.retain(|_, times| *times > 0);
        since.errors_by.retain(|_, times| *times > 0);
        since
    }

    /// Combines each counter with its like in `other`.
    fn with(&self, other: &Self, with: fn(u64, u64) -> u64) -> Self {
        let mut bypassed = self.bypassed.clone();
        for (reason, times) in &other.bypassed {
            let ours = bypassed.entry(reason).or_default();
            *ours = with(*ours, *times);
        }
        let mut errors_by = self.errors_by.clone();
        for (kind, times) in &other.errors_by {
            let ours = errors_by.entry(kind).or_default();
            *ours = with(*ours, *times);
        }
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let saved = with(micros(self.saved), micros(other.saved));
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
            loads: self.loads.with(&other.loads, with),
            saved: Duration::from_micros(saved),
            populated: with(self.populated, other.populated),
            populates_fenced: with(self.populates_fenced, other.populates_fenced),
            populates_queue_full: with(self.populates_queue_full, other.populates_queue_full),
            populates_failed: with(self.populates_failed, other.populates_failed),
            populates_refused: with(self.populates_refused, other.populates_refused),
            dead: with(self.dead, other.dead),
            unstorable: with(self.unstorable, other.unstorable),
            too_large: with(self.too_large, other.too_large),
            invalidations: with(self.invalidations, other.invalidations),
            errors: with(self.errors, other.errors),
            errors_by,
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
    SavedMicros,
    Populated,
    PopulateFenced,
    PopulateQueueFull,
    PopulateFailed,
    PopulateRefused,
    Dead,
    Unstorable,
    TooLarge,
    Invalidated,
    ErrorDown,
    ErrorTimeout,
    ErrorBusy,
    ErrorReadOnly,
    ErrorRefused,
    Slow,
}

/// Kinds of errors, by the names that [`PrefixStats::errors_by`] gives them.
const ERRORS: [(Count, &str); 5] = [
    (Count::ErrorDown, "down"),
    (Count::ErrorTimeout, "timeout"),
    (Count::ErrorBusy, "busy"),
    (Count::ErrorReadOnly, "writes-refused"),
    (Count::ErrorRefused, "refused"),
];

const COUNTS: usize = Count::Slow as usize + 1;

/// Counters of outcomes: one for each kind, and one for each reason of a bypass.
const OUTCOMES: usize = BYPASSED + Reason::ALL.len();

/// The index of the first reason: the kinds before it are those of [`outcome_index`].
const BYPASSED: usize = 7;

fn outcome_index(kind: OutcomeKind) -> usize {
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

/// The counters of one prefix in one cache. All accesses are relaxed: a number says nothing about other
/// memory, and a snapshot need not be of one moment.
#[derive(Debug)]
pub(crate) struct Counters {
    outcomes: [AtomicU64; OUTCOMES],
    counts: [AtomicU64; COUNTS],
    local_hits: ShardedCounter,
    loads: Buckets,
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            outcomes: std::array::from_fn(|_| AtomicU64::new(0)),
            counts: std::array::from_fn(|_| AtomicU64::new(0)),
            local_hits: ShardedCounter::default(),
            loads: Buckets::new(&RUNS, &[]),
        }
    }
}

impl Counters {
    /// Counts the outcome of a call; to be called once for each.
    pub(crate) fn outcome(&self, kind: OutcomeKind) {
        self.outcomes[outcome_index(kind)].fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a hit in the near cache. Apart from the other outcomes: `benches/benches/near.rs` measures
    /// what such a hit costs.
    #[inline]
    pub(crate) fn local_hit(&self, cost: u32) {
        self.local_hits.add(1, u64::from(cost));
    }

    /// Takes a hit back: the `Clone` of the copied value has panicked, and the call goes on.
    #[cold]
    pub(crate) fn undo_local_hit(&self, cost: u32) {
        // Sums wrap, so these are minus one and minus the cost.
        self.local_hits.add(u64::MAX, u64::from(cost).wrapping_neg());
    }

    /// Counts a load that took `cost`.
    pub(crate) fn load(&self, cost: Duration) {
        self.loads.record(cost);
    }

    /// Counts the work that a served value has saved.
    pub(crate) fn saved(&self, cost: Duration) {
        self.add(Count::SavedMicros, u64::try_from(cost.as_micros()).unwrap_or(u64::MAX));
    }

    pub(crate) fn count(&self, event: Count) {
        self.add(event, 1);
    }

    pub(crate) fn add(&self, event: Count, amount: u64) {
        self.counts[event as usize].fetch_add(amount, Ordering::Relaxed);
    }

    fn snapshot(&self) -> PrefixStats {
        let count = |event: Count| self.counts[event as usize].load(Ordering::Relaxed);
        let calls = |kind| self.outcomes[outcome_index(kind)].load(Ordering::Relaxed);
        let bypassed = Reason::ALL.iter().filter_map(|reason| {
            let times = calls(OutcomeKind::Bypassed(*reason));
            (times > 0).then_some((reason.as_str(), times))
        });
        let (local_hits, saved_locally) = self.local_hits.sums();
        let errors_by = ERRORS.into_iter().filter_map(|(kind, name)| {
            let times = count(kind);
            (times > 0).then_some((name, times))
        });
        let errors_by: BTreeMap<_, _> = errors_by.collect();
        PrefixStats {
            hits: calls(OutcomeKind::Hit),
            local_hits,
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
            loads: self.loads.snapshot(),
            saved: Duration::from_micros(count(Count::SavedMicros).wrapping_add(saved_locally)),
            populated: count(Count::Populated),
            populates_fenced: count(Count::PopulateFenced),
            populates_queue_full: count(Count::PopulateQueueFull),
            populates_failed: count(Count::PopulateFailed),
            populates_refused: count(Count::PopulateRefused),
            dead: count(Count::Dead),
            unstorable: count(Count::Unstorable),
            too_large: count(Count::TooLarge),
            invalidations: count(Count::Invalidated),
            errors: errors_by.values().sum(),
            errors_by,
            slow: count(Count::Slow),
        }
    }
}

/// A counter in shards, of which each of the first threads owns one: its cache line is written by one
/// core, and the owner needs no atomic read-modify-write. `peers near` in `benches/` counts hits on one
/// thread and on two.
#[derive(Debug, Default)]
struct ShardedCounter([Shard; SHARDS]);

/// The last shard is shared by the threads that own none.
const SHARDS: usize = 16;

/// A cache line of its own (64 bytes on x86-64 and most of ARM).
#[derive(Debug, Default)]
#[repr(align(64))]
struct Shard {
    hits: AtomicU64,
    /// The cost of what was served, in microseconds.
    saved: AtomicU64,
}

impl ShardedCounter {
    #[inline]
    fn add(&self, hits: u64, saved: u64) {
        let thread = thread_number();
        if thread < SHARDS - 1 {
            // No other thread writes to this shard, so no addition can come in between.
            let Shard { hits: ours, saved: ours_saved } = &self.0[thread];
            ours.store(ours.load(Ordering::Relaxed).wrapping_add(hits), Ordering::Relaxed);
            ours_saved
                .store(ours_saved.load(Ordering::Relaxed).wrapping_add(saved), Ordering::Relaxed);
        } else {
            let last = &self.0[SHARDS - 1];
            last.hits.fetch_add(hits, Ordering::Relaxed);
            last.saved.fetch_add(saved, Ordering::Relaxed);
        }
    }

    /// The hits, and the cost of what was served.
    fn sums(&self) -> (u64, u64) {
        let sum = |of: fn(&Shard) -> &AtomicU64| {
            self.0.iter().map(of).fold(0, |sum, one| one.load(Ordering::Relaxed).wrapping_add(sum))
        };
        (sum(|shard| &shard.hits), sum(|shard| &shard.saved))
    }
}

/// The number of this thread among those that have ever called this, in the order of their first calls.
/// No number is given twice, so that a shard's owner stays its only writer.
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

/// The counters of a cache, by the group number of a prefix. The table grows and never moves what it
/// holds, so that a hit finds its counters without a lock or a reference count: segment `n` has room for
/// `2^n` groups.
#[derive(Debug, Default)]
pub(crate) struct CounterTable {
    segments: [OnceLock<Box<[OnceLock<Counters>]>>; SEGMENTS],
}

/// Room for 16 million prefixes; any further ones share the last counters.
const SEGMENTS: usize = 24;

impl CounterTable {
    #[inline]
    pub(crate) fn group(&self, group: usize) -> &Counters {
        // Group 0 is number 1, and segment `n` has the numbers from `2^n` on.
        let number = (group + 1).min((1 << SEGMENTS) - 1);
        let segment = number.ilog2();
        let empty = || (0..1_usize << segment).map(|_| OnceLock::new()).collect();
        let counters = self.segments[segment as usize].get_or_init(empty);
        counters[number - (1 << segment)].get_or_init(Counters::default)
    }

    pub(crate) fn snapshot(&self) -> BTreeMap<String, PrefixStats> {
        let groups = self.segments.iter().enumerate().flat_map(|(n, segment)| {
            let counters = segment.get().into_iter().flatten().enumerate();
            counters.map(move |(at, counters)| ((1 << n) + at - 1, counters))
        });
        let used = groups.filter_map(|(group, counters)| Some((group, counters.get()?)));
        used.map(|(group, counters)| (group_name(group), counters.snapshot())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_count_is_lost_however_many_threads_there_are() {
        let table = CounterTable::default();
        std::thread::scope(|scope| {
            for _ in 0..SHARDS * 2 {
                scope.spawn(|| (0..10_000).for_each(|_| table.group(5).local_hit(3)));
            }
        });
        let calls = SHARDS as u64 * 2 * 10_000;
        assert_eq!(table.group(5).local_hits.sums(), (calls, calls * 3));
    }

    #[test]
    fn every_group_has_counters_of_its_own() {
        let table = CounterTable::default();
        for group in 0..200 {
            table.group(group).add(Count::Dead, group as u64);
        }
        for group in 0..200 {
            assert_eq!(table.group(group).snapshot().dead, group as u64);
        }
    }

    #[test]
    fn a_hit_that_was_undone_is_not_counted() {
        let counters = Counters::default();
        counters.undo_local_hit(7);
        assert_eq!(counters.local_hits.sums().0, u64::MAX);
        counters.local_hit(7);
        assert_eq!(counters.local_hits.sums(), (0, 0));
    }

    #[test]
    fn every_outcome_is_one_call_and_an_unwanted_cache_is_no_miss() {
        let counters = Counters::default();
        let kinds = [
            OutcomeKind::Hit,
            OutcomeKind::Stale,
            OutcomeKind::StaleIfError,
            OutcomeKind::Waited,
            OutcomeKind::Joined,
            OutcomeKind::Computed,
        ];
        let bypassed = Reason::ALL.iter().copied().map(OutcomeKind::Bypassed);
        for kind in kinds.into_iter().chain(bypassed) {
            counters.outcome(kind);
        }
        counters.local_hit(0);
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
