//! Statistics in the log, now and then.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Cache;
use crate::background;
use crate::stats::PrefixStats;

impl Cache {
    pub(super) fn log_now_and_then(&self) {
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
                let now = inner.board.snapshot();
                report(&before, &now, began.elapsed());
                (before, began) = (now, Instant::now());
            }
        });
    }
}

/// One line for each prefix that anything was counted for meanwhile.
fn report(
    before: &BTreeMap<String, PrefixStats>,
    now: &BTreeMap<String, PrefixStats>,
    took: Duration,
) {
    let none = PrefixStats::default();
    for (prefix, counted) in now {
        let of = counted.since(before.get(prefix).unwrap_or(&none));
        if of != none {
            line(prefix, &of, took);
        }
    }
}

fn line(prefix: &str, of: &PrefixStats, took: Duration) {
    let calls = of.calls();
    let runs = of.load_successes + of.load_failures;
    let mean_load = u32::try_from(runs).ok().and_then(|runs| of.total_load_time.checked_div(runs));
    tracing::info!(
        prefix,
        seconds = took.as_secs_f64(),
        calls,
        calls_per_second = calls as f64 / took.as_secs_f64().max(f64::MIN_POSITIVE),
        hit_rate = of.hit_rate(),
        hits = of.hits,
        local_hits = of.local_hits,
        stale = of.stale,
        stale_if_error = of.stale_if_error,
        waited = of.waited,
        joined = of.joined,
        computed = of.computed,
        abandoned = of.abandoned,
        bypassed = of.bypassed_total(),
        bypassed_because = reasons(of),
        refreshes = of.refreshes,
        load_failures = of.load_failures,
        mean_load = mean_load.map(tracing::field::debug),
        populated = of.populated,
        not_populated = of.populates_fenced + of.populates_queue_full + of.populates_failed,
        invalidations = of.invalidations,
        dead = of.dead,
        unstorable = of.unstorable,
        errors = of.errors,
        slow = of.slow,
        "cache statistics"
    );
}

/// `unavailable 7, timeout 1`; the most frequent first.
fn reasons(of: &PrefixStats) -> Option<String> {
    let mut reasons: Vec<_> = of.bypassed.iter().collect();
    reasons.sort_by_key(|(_, times)| std::cmp::Reverse(**times));
    let reasons: Vec<_> = reasons.iter().map(|(why, times)| format!("{why} {times}")).collect();
    (!reasons.is_empty()).then(|| reasons.join(", "))
}
