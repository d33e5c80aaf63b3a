//! One hour of ten-second steps a prefix: what the counters of each step have gained.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::PrefixStats;
use super::serialize::seconds;

/// The length of a step.
pub(crate) const STEP: Duration = Duration::from_secs(10);

/// Steps that are kept: an hour.
const STEPS: usize = 360;

/// Prefixes that have a history, of 12 KB each at most. Those that are met later have none: prefixes may
/// be made of what the users of a program type.
const MOST_PREFIXES: usize = 500;

/// What a cache has done during the last hour, in steps of ten seconds; from
/// [`Cache::history`](crate::Cache::history).
///
/// A step that is still going on is not in it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct History {
    /// The length of a step. Serialized as `step_seconds`.
    #[serde(rename = "step_seconds", serialize_with = "seconds")]
    pub step: Duration,
    /// How long ago the newest step ended; zero before the first end. Serialized as `age_seconds`.
    #[serde(rename = "age_seconds", serialize_with = "seconds")]
    pub age: Duration,
    /// By prefix, as in [`Stats::prefixes`](crate::Stats::prefixes); the first 500 that were used.
    pub prefixes: BTreeMap<String, PrefixHistory>,
}

/// The steps of one prefix: each list has one number a step, the oldest first and all of one length, at
/// most 360.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PrefixHistory {
    /// Calls that ended ([`PrefixStats::calls`]).
    pub calls: Vec<u32>,
    /// Calls that cost no run of the function ([`PrefixStats::served`]).
    pub served: Vec<u32>,
    /// Calls that wanted the cache and had to run the function ([`PrefixStats::misses`]).
    pub misses: Vec<u32>,
    /// Calls that ran the function with a lease.
    pub computed: Vec<u32>,
    /// Calls that the cache had no part in.
    pub bypassed: Vec<u32>,
    /// The time that functions took when the values were computed that were served, in milliseconds
    /// ([`PrefixStats::saved`]).
    pub saved_millis: Vec<u32>,
    /// The time that runs of the function took, in milliseconds.
    pub load_millis: Vec<u32>,
}

impl PrefixHistory {
    /// The share of served calls in the calls that wanted the cache, 0 to 1, over the last `window`,
    /// rounded up to whole steps; `None` where there was no such call.
    pub fn hit_rate(&self, window: Duration) -> Option<f64> {
        let steps = window.as_secs().div_ceil(STEP.as_secs()) as usize;
        let sum = |of: &[u32]| {
            of.iter().rev().take(steps).map(|step| u64::from(*step)).sum::<u64>() as f64
        };
        let (served, misses) = (sum(&self.served), sum(&self.misses));
        (served + misses > 0.0).then(|| served / (served + misses))
    }
}

/// The steps as they are collected.
#[derive(Debug, Default)]
pub(crate) struct Steps(Mutex<Collected>);

#[derive(Debug, Default)]
struct Collected {
    before: BTreeMap<String, PrefixStats>,
    prefixes: BTreeMap<String, VecDeque<Step>>,
    /// When the newest step ended.
    ended: Option<Instant>,
}

/// What one prefix has gained in one step.
#[derive(Debug, Clone, Copy, Default)]
struct Step {
    calls: u32,
    served: u32,
    misses: u32,
    computed: u32,
    bypassed: u32,
    saved_millis: u32,
    load_millis: u32,
}

impl Step {
    fn of(gained: &PrefixStats) -> Self {
        let count = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
        let millis = |time: Duration| u32::try_from(time.as_millis()).unwrap_or(u32::MAX);
        Self {
            calls: count(gained.calls()),
            served: count(gained.served()),
            misses: count(gained.misses()),
            computed: count(gained.computed),
            bypassed: count(gained.bypassed_total()),
            saved_millis: millis(gained.saved),
            load_millis: millis(gained.loads.sum),
        }
    }
}

impl Steps {
    /// Ends a step: `now` is what has been counted up to its end.
    pub(crate) fn end_step(&self, now: BTreeMap<String, PrefixStats>) {
        let mut collected = self.lock();
        let none = PrefixStats::default();
        for (prefix, counted) in &now {
            let gained = counted.since(collected.before.get(prefix).unwrap_or(&none));
            let known = collected.prefixes.len() < MOST_PREFIXES;
            if !known && !collected.prefixes.contains_key(prefix) {
                continue;
            }
            let steps = collected.prefixes.entry(prefix.clone()).or_default();
            if steps.len() == STEPS {
                steps.pop_front();
            }
            steps.push_back(Step::of(&gained));
        }
        collected.before = now;
        collected.ended = Some(Instant::now());
    }

    pub(crate) fn snapshot(&self) -> History {
        let collected = self.lock();
        let of =
            |steps: &VecDeque<Step>, field: fn(&Step) -> u32| steps.iter().map(field).collect();
        let prefixes = collected.prefixes.iter().map(|(prefix, steps)| {
            let history = PrefixHistory {
                calls: of(steps, |step| step.calls),
                served: of(steps, |step| step.served),
                misses: of(steps, |step| step.misses),
                computed: of(steps, |step| step.computed),
                bypassed: of(steps, |step| step.bypassed),
                saved_millis: of(steps, |step| step.saved_millis),
                load_millis: of(steps, |step| step.load_millis),
            };
            (prefix.clone(), history)
        });
        let age = collected.ended.map_or(Duration::ZERO, |ended| ended.elapsed());
        History { step: STEP, age, prefixes: prefixes.collect() }
    }

    fn lock(&self) -> MutexGuard<'_, Collected> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(hits: u64, computed: u64) -> BTreeMap<String, PrefixStats> {
        let stats = PrefixStats { hits, computed, ..PrefixStats::default() };
        BTreeMap::from([("areas".to_owned(), stats)])
    }

    #[test]
    fn a_step_is_what_was_gained_since_the_one_before() {
        let steps = Steps::default();
        steps.end_step(counted(3, 1));
        steps.end_step(counted(3, 1));
        steps.end_step(counted(10, 2));
        let history = &steps.snapshot().prefixes["areas"];
        assert_eq!((&history.calls[..], &history.served[..]), (&[4, 0, 8][..], &[3, 0, 7][..]));
        assert_eq!(history.computed, [1, 0, 1]);
        assert_eq!(history.hit_rate(Duration::from_secs(10)), Some(0.875));
        assert_eq!(history.hit_rate(Duration::from_secs(1000)), Some(10.0 / 12.0));
        assert_eq!(PrefixHistory::default().hit_rate(STEP), None);
    }

    #[test]
    fn an_hour_is_kept_and_no_more() {
        let steps = Steps::default();
        for step in 0..=STEPS as u64 {
            steps.end_step(counted(step * step, 0));
        }
        let served = &steps.snapshot().prefixes["areas"].served;
        assert_eq!((served.len(), served.last()), (STEPS, Some(&719)));
    }

    #[test]
    fn the_number_of_prefixes_is_bounded() {
        let steps = Steps::default();
        let all = |prefix: usize| (prefix.to_string(), PrefixStats::default());
        steps.end_step((0..MOST_PREFIXES + 5).map(all).collect());
        assert_eq!(steps.snapshot().prefixes.len(), MOST_PREFIXES);
    }
}
