//! Statistics in the log, once an interval (`Config::log_interval`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Cache;
use crate::background;
use crate::stats::{PrefixStats, STEP};

impl Cache {
    /// Drops a handle that a task of the private runtime has made. As the last one it would drop the near
    /// copies there, and the `Drop` of a user's value would hold up every cache of the process.
    pub(super) fn drop_elsewhere(self) {
        if let Some(last) = Arc::into_inner(self.0) {
            background::drop_elsewhere(last);
        }
    }

    /// Collects the steps of [`Cache::history`], and looks whether the status has changed.
    pub(super) fn keep_history(&self) {
        if self.is_off() {
            return;
        }
        let inner = Arc::downgrade(&self.0);
        background::spawn(async move {
            let mut steps = tokio::time::interval(STEP);
            // The first tick is now.
            steps.tick().await;
            loop {
                steps.tick().await;
                let Some(inner) = inner.upgrade().filter(|inner| !inner.is_closed()) else {
                    return;
                };
                let cache = Cache(inner);
                cache.0.history.end_step(cache.0.counters.snapshot());
                let _ = cache.health();
                cache.drop_elsewhere();
            }
        });
    }

    /// Starts the task that logs statistics, where the settings ask for it. It ends with the cache: it
    /// holds no strong reference while it sleeps.
    pub(super) fn log_statistics(&self) {
        let every = self.0.config.log_interval;
        if every.is_zero() || self.is_off() {
            return;
        }
        let inner = Arc::downgrade(&self.0);
        background::spawn(async move {
            let (mut before, mut began) = (BTreeMap::new(), Instant::now());
            loop {
                tokio::time::sleep(every).await;
                let Some(inner) = inner.upgrade().filter(|inner| !inner.is_closed()) else {
                    return;
                };
                let now = inner.counters.snapshot();
                Cache(inner).drop_elsewhere();
                report(&before, &now, began.elapsed());
                (before, began) = (now, Instant::now());
            }
        });
    }
}

/// Logs one line for each prefix whose counters have changed since `before`.
fn report(
    before: &BTreeMap<String, PrefixStats>,
    now: &BTreeMap<String, PrefixStats>,
    took: Duration,
) {
    let none = PrefixStats::default();
    for (prefix, counted) in now {
        let change = counted.since(before.get(prefix).unwrap_or(&none));
        if change != none {
            log_line(prefix, &change, took);
        }
    }
}

fn log_line(prefix: &str, change: &PrefixStats, took: Duration) {
    let calls = change.calls();
    let runs = change.load_successes + change.load_failures;
    let mean_load = u32::try_from(runs).ok().and_then(|runs| change.loads.sum.checked_div(runs));
    tracing::info!(
        prefix,
        seconds = took.as_secs_f64(),
        calls,
        calls_per_second = calls as f64 / took.as_secs_f64().max(f64::MIN_POSITIVE),
        hit_rate = change.hit_rate(),
        hits = change.hits,
        local_hits = change.local_hits,
        stale = change.stale,
        stale_if_error = change.stale_if_error,
        waited = change.waited,
        joined = change.joined,
        computed = change.computed,
        abandoned = change.abandoned,
        bypassed = change.bypassed_total(),
        bypassed_because = reasons(change),
        refreshes = change.refreshes,
        load_failures = change.load_failures,
        mean_load = mean_load.map(tracing::field::debug),
        populated = change.populated,
        not_populated =
            change.populates_fenced + change.populates_queue_full + change.populates_failed,
        invalidations = change.invalidations,
        dead = change.dead,
        unstorable = change.unstorable,
        errors = change.errors,
        slow = change.slow,
        "cache statistics"
    );
}

/// The reasons of bypassed calls as text, the most frequent first: `unavailable 7, timeout 1`.
fn reasons(change: &PrefixStats) -> Option<String> {
    let mut reasons: Vec<_> = change.bypassed.iter().collect();
    reasons.sort_by_key(|(_, times)| std::cmp::Reverse(**times));
    let reasons: Vec<_> = reasons.iter().map(|(why, times)| format!("{why} {times}")).collect();
    (!reasons.is_empty()).then(|| reasons.join(", "))
}
