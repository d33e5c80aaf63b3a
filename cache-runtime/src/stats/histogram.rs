//! Histograms of durations with fixed buckets.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::Serialize;

use super::serialize::{seconds, seconds_of_all};

/// Upper bounds of the buckets for commands to the store, in microseconds: around the budget of a call,
/// which is 100 ms by default.
pub(crate) const ROUND_TRIPS: [u64; 11] =
    [100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000];

/// Upper bounds of the buckets for runs of functions and for waiting, in microseconds.
pub(crate) const RUNS: [u64; 14] = [
    1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    5_000_000, 10_000_000, 30_000_000,
];

/// How often something took how long.
///
/// The buckets are fixed, and each has an upper bound that belongs to it, as in Prometheus: a duration is
/// counted in the first bucket whose bound is not smaller. The bounds of commands contain the configured
/// [`budget`](crate::Config::budget) and [`slow`](crate::Config::slow), so that the share of commands
/// within them can be read exactly.
///
/// Histograms in which nothing was counted are equal, whatever their bounds.
#[derive(Debug, Clone, Default, Serialize)]
#[non_exhaustive]
pub struct Histogram {
    /// The upper bounds of the buckets, ascending. Serialized as `bounds_seconds`.
    #[serde(rename = "bounds_seconds", serialize_with = "seconds_of_all")]
    pub bounds: Vec<Duration>,
    /// How many durations fell into each bucket. The last one, which has no bound, is for all durations
    /// above the largest bound.
    pub counts: Vec<u64>,
    /// The sum of all durations. Serialized as `sum_seconds`.
    #[serde(rename = "sum_seconds", serialize_with = "seconds")]
    pub sum: Duration,
}

impl PartialEq for Histogram {
    fn eq(&self, other: &Self) -> bool {
        let counted = |histogram: &Self| histogram.count() > 0;
        self.sum == other.sum
            && (self.counts == other.counts || !counted(self) && !counted(other))
            && (self.bounds == other.bounds || !counted(self))
    }
}

impl Eq for Histogram {}

impl Histogram {
    /// How many durations were counted.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The mean of all durations; `None` before the first.
    pub fn mean(&self) -> Option<Duration> {
        let count = self.count();
        (count > 0).then(|| self.sum.div_f64(count as f64))
    }

    /// An upper bound of the given share (0 to 1) of all durations: the bound of the bucket in which the
    /// quantile lies. `None` before the first duration, or where it lies above the largest bound.
    ///
    /// ```
    /// # use cache_runtime::{Cache, cache_result};
    /// #[cache_result(prefix = "slow")]
    /// async fn slow(id: u32) -> u32 {
    ///     tokio::time::sleep(std::time::Duration::from_millis(3)).await;
    ///     id
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let cache = Cache::in_memory();
    /// cache.scope(slow(1)).await;
    /// let runs = cache.stats().prefix("slow").loads;
    /// assert_eq!(runs.count(), 1);
    /// assert!(runs.quantile(0.99) >= Some(std::time::Duration::from_millis(3)));
    /// # }
    /// ```
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let count = self.count();
        let rank = ((count as f64 * share.clamp(0.0, 1.0)).ceil() as u64).max(1);
        let mut below = 0;
        let bucket = self.counts.iter().position(|in_bucket| {
            below += in_bucket;
            below >= rank
        });
        self.bounds.get(bucket.filter(|_| count > 0)?).copied()
    }

    /// Combines two histograms of the same bounds, bucket by bucket. One without bounds is empty.
    pub(crate) fn with(&self, other: &Self, with: fn(u64, u64) -> u64) -> Self {
        let (bounds, length) = if self.bounds.is_empty() {
            (&other.bounds, other.counts.len())
        } else {
            (&self.bounds, self.counts.len())
        };
        let at = |counts: &[u64], bucket| counts.get(bucket).copied().unwrap_or_default();
        let counts =
            (0..length).map(|bucket| with(at(&self.counts, bucket), at(&other.counts, bucket)));
        let micros = |sum: Duration| u64::try_from(sum.as_micros()).unwrap_or(u64::MAX);
        let sum = Duration::from_micros(with(micros(self.sum), micros(other.sum)));
        Self { bounds: bounds.clone(), counts: counts.collect(), sum }
    }
}

/// A histogram that is being counted: an atomic addition for the bucket and one for the sum.
#[derive(Debug)]
pub(crate) struct Buckets {
    /// In microseconds, ascending.
    bounds: Box<[u64]>,
    counts: Box<[AtomicU64]>,
    sum: AtomicU64,
}

impl Buckets {
    /// With the given bounds in microseconds, and one more at each of `also`.
    pub(crate) fn new(bounds: &[u64], also: &[Duration]) -> Self {
        let also = also.iter().map(|bound| u64::try_from(bound.as_micros()).unwrap_or(u64::MAX));
        let mut bounds: Vec<u64> = bounds.iter().copied().chain(also).collect();
        bounds.sort_unstable();
        bounds.dedup();
        Self {
            counts: (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect(),
            bounds: bounds.into(),
            sum: AtomicU64::new(0),
        }
    }

    pub(crate) fn record(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        // A bound in whole microseconds belongs to its bucket, and what is a fraction above does not.
        let above = !took.subsec_nanos().is_multiple_of(1_000);
        let bucket = self.bounds.partition_point(|bound| micros + u64::from(above) > *bound);
        self.counts[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(micros, Ordering::Relaxed);
    }

    pub(crate) fn snapshot(&self) -> Histogram {
        Histogram {
            bounds: self.bounds.iter().map(|bound| Duration::from_micros(*bound)).collect(),
            counts: self.counts.iter().map(|count| count.load(Ordering::Relaxed)).collect(),
            sum: Duration::from_micros(self.sum.load(Ordering::Relaxed)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_falls_into_the_first_bucket_that_it_does_not_exceed() {
        let buckets = Buckets::new(&[100, 1_000], &[Duration::from_micros(500)]);
        for micros in [1, 100, 101, 500, 501, 1_000, 1_001, 9_000] {
            buckets.record(Duration::from_micros(micros));
        }
        buckets.record(Duration::from_nanos(100_001));
        let histogram = buckets.snapshot();
        assert_eq!(histogram.bounds, [100, 500, 1_000].map(Duration::from_micros));
        assert_eq!(histogram.counts, [2, 3, 2, 2]);
        assert_eq!(histogram.count(), 9);
        assert_eq!(histogram.sum, Duration::from_micros(12_304));
    }

    #[test]
    fn a_quantile_is_the_bound_of_its_bucket() {
        let buckets = Buckets::new(&[100, 1_000], &[]);
        assert_eq!((buckets.snapshot().quantile(0.5), buckets.snapshot().mean()), (None, None));
        for micros in [10, 20, 500, 5_000] {
            buckets.record(Duration::from_micros(micros));
        }
        let histogram = buckets.snapshot();
        assert_eq!(histogram.quantile(0.0), Some(Duration::from_micros(100)));
        assert_eq!(histogram.quantile(0.5), Some(Duration::from_micros(100)));
        assert_eq!(histogram.quantile(0.75), Some(Duration::from_millis(1)));
        assert_eq!(histogram.quantile(1.0), None);
    }

    #[test]
    fn histograms_are_added_and_subtracted_by_bucket_and_none_is_empty() {
        let (one, two) = (Buckets::new(&[100], &[]), Buckets::new(&[100], &[]));
        one.record(Duration::from_micros(50));
        two.record(Duration::from_micros(500));
        let (one, two) = (one.snapshot(), two.snapshot());
        let both = one.with(&two, u64::saturating_add);
        assert_eq!((both.counts.clone(), both.sum), (vec![1, 1], Duration::from_micros(550)));
        assert_eq!(both.with(&one, u64::saturating_sub), two);
        assert_eq!(Histogram::default().with(&one, u64::saturating_add), one);
        assert_eq!(one.with(&Histogram::default(), u64::saturating_sub), one);
        assert_eq!(one.with(&one, u64::saturating_sub), Histogram::default());
        assert_ne!(one, two);
    }
}
