//! The recorder of the `metrics` crate. Its instruments are pushed to, so the figures are pushed at a tick.

use std::time::Duration;

use cache_runtime::{Cache, Histogram};
use metrics::{Label, counter, gauge};

use super::{Kind, Labels, METRICS, MOST_PREFIXES, Metric, Sink, Snapshot};

/// Pushes the statistics of `cache` to the recorder of the [`metrics`] crate that the program has installed.
///
/// The names and labels are those of [`render`](super::render), with three differences that the facade asks for.
/// Its counters are whole numbers, so metrics that count seconds (`cache_saved_seconds_total`, and the `_sum` of a
/// histogram) are gauges, which only grow. Its histograms take one value at a time, so of a histogram there are
/// `_sum` and `_count`, and no buckets. A recorder keeps the last value of a gauge that is not pushed any more: that of
/// a server that has left the deployment, and `cache_store_up` of a cache that was switched off (`cache_enabled` is 0
/// then). Without a recorder the call does nothing.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use cache_runtime::Cache;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let cache = Cache::in_memory();
/// let pushing = cache_admin::metrics::push_every(cache.clone(), Duration::from_secs(10));
/// let pushing = tokio::spawn(pushing); // until it is aborted
/// # pushing.abort();
/// # }
/// ```
pub fn push(cache: &Cache) {
    let snapshot = Snapshot::new(cache, MOST_PREFIXES);
    for Metric { name, kind, samples, .. } in METRICS {
        samples(&snapshot, &mut Push { name, kind: *kind });
    }
}

/// Calls [`push`] every `period`, for as long as the future is polled. A period of zero counts as one
/// millisecond.
pub async fn push_every(cache: Cache, period: Duration) {
    let mut ticks = tokio::time::interval(period.max(Duration::from_millis(1)));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        push(&cache);
    }
}

struct Push {
    name: &'static str,
    kind: Kind,
}

impl Sink for Push {
    fn sample(&mut self, labels: &Labels<'_>, value: f64) {
        let labels = owned(labels);
        if self.kind == Kind::Counter && !self.name.ends_with("_seconds_total") {
            counter!(self.name, labels).absolute(value as u64);
        } else {
            gauge!(self.name, labels).set(value);
        }
    }

    fn histogram(&mut self, labels: &Labels<'_>, histogram: &Histogram) {
        let labels = owned(labels);
        gauge!(format!("{}_sum", self.name), labels.clone()).set(histogram.sum.as_secs_f64());
        counter!(format!("{}_count", self.name), labels).absolute(histogram.count());
    }
}

fn owned(labels: &Labels<'_>) -> Vec<Label> {
    labels.iter().map(|(name, value)| Label::new((*name).to_owned(), (*value).to_owned())).collect()
}
