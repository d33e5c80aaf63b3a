//! Counters as the JSON has them, which can be added over processes.

use std::collections::BTreeMap;
use std::time::Duration;

use cache_runtime::{PrefixHistory, PrefixStats, Stats};
use serde::{Deserialize, Serialize};

/// Defines a struct of figures, all zero by default, and its addition.
macro_rules! figures {
    ($(#[$about:meta])* $name:ident { $($field:ident: $kind:ty),* $(,)? }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
        #[serde(default)]
        pub(crate) struct $name { $(pub(crate) $field: $kind,)* }

        impl Sum for $name {
            fn add(&mut self, other: &Self) {
                $(self.$field.add(&other.$field);)*
            }
        }
    };
}

/// A figure that is summed over processes.
pub(crate) trait Sum {
    fn add(&mut self, other: &Self);
}

impl Sum for u64 {
    fn add(&mut self, other: &Self) {
        *self = self.saturating_add(*other);
    }
}

impl Sum for f64 {
    fn add(&mut self, other: &Self) {
        *self += other;
    }
}

impl Sum for BTreeMap<String, u64> {
    fn add(&mut self, other: &Self) {
        for (name, figure) in other {
            self.entry(name.clone()).or_default().add(figure);
        }
    }
}

figures! {
    /// The counters of one prefix or of several, since the start of their processes.
    Counters {
        calls: u64,
        served: u64,
        misses: u64,
        hits: u64,
        local_hits: u64,
        stale: u64,
        stale_if_error: u64,
        waited: u64,
        joined: u64,
        computed: u64,
        abandoned: u64,
        bypassed: BTreeMap<String, u64>,
        refreshes: u64,
        load_successes: u64,
        load_failures: u64,
        load_seconds: f64,
        saved_seconds: f64,
        populated: u64,
        populates_fenced: u64,
        populates_queue_full: u64,
        populates_failed: u64,
        populates_refused: u64,
        too_large: u64,
        unencodable: u64,
        dead: u64,
        invalidations: u64,
        errors: BTreeMap<String, u64>,
        slow: u64,
    }
}

/// Every kind of error, so that those that did not occur are zero rather than absent.
const ERRORS: [&str; 5] = ["busy", "down", "refused", "timeout", "writes-refused"];

impl Counters {
    fn of(stats: &PrefixStats) -> Self {
        let named = |by: &BTreeMap<&'static str, u64>| {
            by.iter().map(|(name, times)| ((*name).to_owned(), *times)).collect()
        };
        let errors = ERRORS.map(|kind| (kind.to_owned(), 0));
        let mut counters = Self {
            calls: stats.calls(),
            served: stats.served(),
            misses: stats.misses(),
            hits: stats.hits,
            local_hits: stats.local_hits,
            stale: stats.stale,
            stale_if_error: stats.stale_if_error,
            waited: stats.waited,
            joined: stats.joined,
            computed: stats.computed,
            abandoned: stats.abandoned,
            bypassed: named(&stats.bypassed),
            refreshes: stats.refreshes,
            load_successes: stats.load_successes,
            load_failures: stats.load_failures,
            load_seconds: stats.loads.sum.as_secs_f64(),
            saved_seconds: stats.saved.as_secs_f64(),
            populated: stats.populated,
            populates_fenced: stats.populates_fenced,
            populates_queue_full: stats.populates_queue_full,
            populates_failed: stats.populates_failed,
            populates_refused: stats.populates_refused,
            too_large: stats.too_large,
            unencodable: stats.unstorable.saturating_sub(stats.too_large),
            dead: stats.dead,
            invalidations: stats.invalidations,
            errors: BTreeMap::from(errors),
            slow: stats.slow,
        };
        counters.errors.add(&named(&stats.errors_by));
        counters
    }

    pub(crate) fn hit_rate(&self) -> Option<f64> {
        rate(self.served, self.misses)
    }
}

figures! {
    /// What the last complete steps of the history have gained: at most a minute.
    Minute {
        calls: u64,
        served: u64,
        misses: u64,
        bypassed: u64,
        saved_millis: u64,
        load_millis: u64,
    }
}

figures! {
    /// Served and missed calls of a window.
    Window { served: u64, misses: u64 }
}

figures! {
    /// One prefix, or several together.
    Group {
        counters: Counters,
        minute: Minute,
        last_10: Window,
        last_100: Window,
        last_1000: Window,
    }
}

figures! {
    /// What a process holds at the moment.
    Gauges {
        flights: u64,
        undelivered: u64,
        local_entries: u64,
        local_bytes: u64,
        local_max_bytes: u64,
    }
}

figures! {
    /// Why copies of the near cache have gone.
    Removals { evicted: u64, invalidated: u64, expired: u64 }
}

figures! {
    /// Everything that is summed over processes.
    Figures {
        prefixes: BTreeMap<String, Group>,
        unnamed: Group,
        gauges: Gauges,
        removals: Removals,
        bytes_read: u64,
        bytes_written: u64,
    }
}

impl Sum for BTreeMap<String, Group> {
    fn add(&mut self, other: &Self) {
        for (prefix, group) in other {
            self.entry(prefix.clone()).or_default().add(group);
        }
    }
}

/// The length of a step of the history, in seconds.
pub(crate) const STEP_SECONDS: u64 = 10;

/// Steps of [`Minute`].
const MINUTE_STEPS: usize = 6;

impl Group {
    fn of(stats: &PrefixStats, history: Option<&PrefixHistory>) -> Self {
        let counters = Counters::of(stats);
        let Some(history) = history else { return Self { counters, ..Self::default() } };
        let window = |seconds: u64| {
            let steps = seconds.div_ceil(STEP_SECONDS) as usize;
            Window {
                served: newest(&history.served, steps),
                misses: newest(&history.misses, steps),
            }
        };
        let minute = |of: &[u32]| newest(of, MINUTE_STEPS);
        Self {
            counters,
            minute: Minute {
                calls: minute(&history.calls),
                served: minute(&history.served),
                misses: minute(&history.misses),
                bypassed: minute(&history.bypassed),
                saved_millis: minute(&history.saved_millis),
                load_millis: minute(&history.load_millis),
            },
            last_10: window(10),
            last_100: window(100),
            last_1000: window(1000),
        }
    }
}

impl Window {
    pub(crate) fn hit_rate(&self) -> Option<f64> {
        rate(self.served, self.misses)
    }
}

impl Figures {
    /// Of this process.
    pub(crate) fn of(cache: &cache_runtime::Cache) -> Self {
        let (stats, history) = (cache.stats(), cache.history());
        let Stats { local_removals: removals, flights, undelivered, .. } = stats;
        let group = |(prefix, stats): (&String, &PrefixStats)| {
            (prefix.clone(), Group::of(stats, history.prefixes.get(prefix)))
        };
        Self {
            prefixes: stats.prefixes.iter().map(group).collect(),
            unnamed: Group::default(),
            gauges: Gauges {
                flights: flights as u64,
                undelivered: undelivered as u64,
                local_entries: stats.local_entries,
                local_bytes: stats.local_bytes,
                local_max_bytes: cache_runtime::__admin::settings(cache).local_bytes as u64,
            },
            removals: Removals {
                evicted: removals.evicted,
                invalidated: removals.invalidated,
                expired: removals.expired,
            },
            bytes_read: stats.store.bytes_read,
            bytes_written: stats.store.bytes_written,
        }
    }

    pub(crate) fn total(&self) -> Group {
        let mut total = self.unnamed.clone();
        self.prefixes.values().for_each(|group| total.add(group));
        total
    }

    /// Keeps the busiest prefixes by name, and the others as a sum.
    pub(crate) fn keep_busiest(&mut self, most: usize) {
        if self.prefixes.len() <= most {
            return;
        }
        let mut all: Vec<_> = std::mem::take(&mut self.prefixes).into_iter().collect();
        all.sort_by_key(|(_, group)| std::cmp::Reverse(group.counters.calls));
        for (_, group) in all.split_off(most) {
            self.unnamed.add(&group);
        }
        self.prefixes = all.into_iter().collect();
    }
}

/// How many seconds the figures of [`Minute`] cover: 0 before the first step has ended.
pub(crate) fn minute_seconds(history: &cache_runtime::History) -> u64 {
    let steps = history.prefixes.values().map(|one| one.calls.len()).max().unwrap_or(0);
    steps.min(MINUTE_STEPS) as u64 * STEP_SECONDS
}

fn newest(of: &[u32], steps: usize) -> u64 {
    of.iter().rev().take(steps).map(|step| u64::from(*step)).sum()
}

fn rate(served: u64, misses: u64) -> Option<f64> {
    (served + misses > 0).then(|| served as f64 / (served + misses) as f64)
}

/// The longest time of `Duration` as seconds; for JSON.
pub(crate) fn seconds(time: Option<Duration>) -> Option<f64> {
    time.map(|time| time.as_secs_f64())
}
