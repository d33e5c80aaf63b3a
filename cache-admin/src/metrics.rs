//! The statistics of a cache as metrics: Prometheus text, and behind features `OpenTelemetry` instruments and
//! the `metrics` facade. All are made of one table, and of a snapshot of the statistics: no call of a function
//! does anything for them.

#[cfg(feature = "metrics")]
mod facade;
#[cfg(feature = "opentelemetry")]
mod instruments;
mod text;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use cache_runtime::__admin::{Settings, settings};
use cache_runtime::{
    Cache, Confirmed, Health, Histogram, PrefixStats, Reason, ServerHealth, Stats, Status,
};

#[cfg(feature = "metrics")]
pub use facade::{push, push_every};
#[cfg(feature = "opentelemetry")]
pub use instruments::register;

/// The content type of what [`render`] returns, for the response that carries it.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The most prefixes with series of their own.
const MOST_PREFIXES: usize = 500;

/// The prefix under which all further ones are summed.
const OTHER: &str = "other";

/// Renders the statistics of `cache` in Prometheus' text format 0.0.4, the body of a `GET /metrics`.
///
/// The figures are those of one cache in this process, and asking for them sends nothing to Redis. Every call
/// is counted in one series of `cache_calls_total`, so their sum is the number of calls. No label has a key, a
/// tag or an argument: labels have the prefixes of functions, and words from fixed sets. `METRICS.md` of this
/// crate lists every metric.
///
/// A prefix has its series from its first call on, for every outcome and every reason, at zero where there was
/// none: so `rate()` sees the first timeout of a function that has been called before.
///
/// At most 500 prefixes have series of their own, those with the most calls. All others are summed under
/// `prefix="other"`, and `cache_groups_dropped` says how many they are. Where it is not 0, a prefix may move
/// into the sum or out of it between two scrapes, and rates of `prefix="other"` cannot be relied on.
///
/// # Examples
///
/// ```
/// use cache_runtime::{Cache, cache_result};
///
/// #[cache_result(prefix = "areas")]
/// async fn areas(kind: String) -> usize { kind.len() }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let cache = Cache::in_memory();
/// cache.scope(async {
///     areas("buy".into()).await;
///     areas("buy".into()).await;
/// }).await;
///
/// let text = cache_admin::metrics::render(&cache);
/// assert!(text.contains("cache_calls_total{prefix=\"areas\",outcome=\"computed\"} 1\n"));
/// assert!(text.contains("cache_calls_total{prefix=\"areas\",outcome=\"hit\"} 1\n"));
/// # }
/// ```
pub fn render(cache: &Cache) -> String {
    text::render(&Snapshot::new(cache, MOST_PREFIXES))
}

/// All that one text is made of.
struct Snapshot {
    prefixes: Vec<(String, PrefixStats)>,
    /// The number of prefixes that are summed.
    dropped: usize,
    stats: Stats,
    settings: Settings,
    health: Health,
    enabled: bool,
}

impl Snapshot {
    /// With series for the `most` busiest prefixes.
    fn new(cache: &Cache, most: usize) -> Self {
        let mut stats = cache.stats();
        let (prefixes, dropped) = busiest(std::mem::take(&mut stats.prefixes), most);
        Self {
            prefixes,
            dropped,
            stats,
            settings: settings(cache),
            health: cache.health(),
            enabled: cache.is_enabled(),
        }
    }

    /// Calls `each` with each prefix and its counters.
    fn by_prefix(&self, mut each: impl FnMut(&str, &PrefixStats)) {
        self.prefixes.iter().for_each(|(prefix, stats)| each(prefix, stats));
    }

    /// Calls `each` with each server and its labels.
    fn by_server(&self, mut each: impl FnMut(&ServerHealth, &Labels<'_>)) {
        self.health.servers.iter().for_each(|server| each(server, &[("server", &server.address)]));
    }
}

/// The `most` prefixes with the most calls, and after them the sum of all others as [`OTHER`]; and how many
/// are in the sum.
fn busiest(all: BTreeMap<String, PrefixStats>, most: usize) -> (Vec<(String, PrefixStats)>, usize) {
    let mut prefixes: Vec<_> = all.into_iter().collect();
    if prefixes.len() <= most {
        return (prefixes, 0);
    }
    // A prefix with the name of the sum is always part of it: no series may occur twice.
    prefixes.sort_by_key(|(prefix, stats)| (prefix == OTHER, Reverse(stats.calls())));
    let mut rest = Stats::default();
    rest.prefixes = prefixes.split_off(most).into_iter().collect();
    prefixes.push((OTHER.to_owned(), rest.total()));
    (prefixes, rest.prefixes.len())
}

/// One metric: its description, and the samples that a snapshot has of it.
struct Metric {
    name: &'static str,
    kind: Kind,
    help: &'static str,
    samples: fn(&Snapshot, &mut dyn Sink),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Counter,
    Gauge,
    Histogram,
}

use Kind::{Counter as COUNTER, Gauge as GAUGE, Histogram as HISTOGRAM};

type Labels<'a> = [(&'a str, &'a str)];

/// Takes the samples of one metric.
trait Sink {
    fn sample(&mut self, labels: &Labels<'_>, value: f64);
    fn histogram(&mut self, labels: &Labels<'_>, histogram: &Histogram);
}

/// A number as samples have it. Counts are exact up to 2^53.
trait Figure {
    fn figure(self) -> f64;
}

impl Figure for u64 {
    fn figure(self) -> f64 {
        self as f64
    }
}

impl Figure for usize {
    fn figure(self) -> f64 {
        self as f64
    }
}

impl Figure for bool {
    fn figure(self) -> f64 {
        f64::from(u8::from(self))
    }
}

const METRICS: &[Metric] = &[
    Metric {
        name: "cache_calls_total",
        kind: COUNTER,
        help: "Calls of cached functions, each counted once, by outcome; abandoned: the caller dropped the \
               call, or the function panicked.",
        samples: |of, to| {
            of.by_prefix(|prefix, stats| {
                for (outcome, calls) in outcomes(stats) {
                    to.sample(&[("prefix", prefix), ("outcome", outcome)], calls.figure());
                }
            });
        },
    },
    Metric {
        name: "cache_bypassed_total",
        kind: COUNTER,
        help: "Calls with the outcome bypassed, by reason.",
        samples: |of, to| {
            of.by_prefix(|prefix, stats| {
                for (reason, calls) in all_of(&reasons(), &stats.bypassed) {
                    to.sample(&[("prefix", prefix), ("reason", reason)], calls.figure());
                }
            });
        },
    },
    Metric {
        name: "cache_loads_total",
        kind: COUNTER,
        help: "Runs of the function that returned, for calls that ask the cache and for refreshes; ok: a \
               value; failed: an error.",
        samples: |of, to| {
            of.by_prefix(|prefix, stats| {
                to.sample(&[("prefix", prefix), ("result", "ok")], stats.load_successes.figure());
                to.sample(
                    &[("prefix", prefix), ("result", "failed")],
                    stats.load_failures.figure(),
                );
            });
        },
    },
    Metric {
        name: "cache_refreshes_total",
        kind: COUNTER,
        help: "Runs of the function to renew a stored value.",
        samples: |of, to| {
            of.by_prefix(|prefix, stats| {
                to.sample(&[("prefix", prefix)], stats.refreshes.figure());
            });
        },
    },
    Metric {
        name: "cache_load_duration_seconds",
        kind: HISTOGRAM,
        help: "How long the runs of cache_loads_total took.",
        samples: |of, to| {
            of.by_prefix(|prefix, stats| to.histogram(&[("prefix", prefix)], &stats.loads));
        },
    },
    Metric {
        name: "cache_saved_seconds_total",
        kind: COUNTER,
        help: "Of each call that was answered from the store or from a copy in this process, the time that \
               the function took when the value was computed.",
        samples: |of, to| {
            of.by_prefix(|prefix, stats| {
                to.sample(&[("prefix", prefix)], stats.saved.as_secs_f64());
            });
        },
    },
    Metric {
        name: "cache_store_duration_seconds",
        kind: HISTOGRAM,
        help: "Commands to the store as their callers waited for them, also those that failed; write: of entries, behind \
               the reply.",
        samples: |of, to| {
            let store = &of.stats.store;
            to.histogram(&[("operation", "read")], &store.reads);
            to.histogram(&[("operation", "write")], &store.writes);
            to.histogram(&[("operation", "invalidate")], &store.invalidations);
        },
    },
    Metric {
        name: "cache_wait_seconds",
        kind: HISTOGRAM,
        help: "How long calls waited for another run of the function, in this process or another.",
        samples: |of, to| to.histogram(&[], &of.stats.store.waits),
    },
    Metric {
        name: "cache_populates_total",
        kind: COUNTER,
        help: "What became of values that were to be stored; fenced: the key had changed since the function \
               began; queue_full: too much was waiting to be written; refused: Redis refused the write or did \
               not answer, so the value is perhaps stored; rule: cache_if, a ttl of zero or a missing \
               none_ttl forbids it; too_large: over CACHE_MAX_VALUE; unencodable: the value cannot be \
               encoded, or not decoded to an equal one.",
        samples: |of, to| {
            of.by_prefix(|prefix, stats| {
                for (result, values) in populates(stats) {
                    to.sample(&[("prefix", prefix), ("result", result)], values.figure());
                }
            });
        },
    },
    Metric {
        name: "cache_invalidations_total",
        kind: COUNTER,
        help: "Invalidations by what they named; ok: Redis confirmed them in time; pending: it did not, and \
               they are sent again.",
        samples: |of, to| {
            let of = &of.stats.invalidations;
            let kinds = [
                ("call", of.calls),
                ("prefix", of.prefixes),
                ("tag", of.tags),
                ("clear", of.clears),
            ];
            for (kind, Confirmed { ok, pending, .. }) in kinds {
                to.sample(&[("kind", kind), ("result", "ok")], ok.figure());
                to.sample(&[("kind", kind), ("result", "pending")], pending.figure());
            }
        },
    },
    Metric {
        name: "cache_invalidations_pending",
        kind: GAUGE,
        help: "Keys and tokens whose invalidation Redis has not confirmed yet.",
        samples: |of, to| to.sample(&[], of.stats.undelivered.figure()),
    },
    Metric {
        name: "cache_dead_entries_total",
        kind: COUNTER,
        help: "Entries that were found and could not be served: of another function or other arguments, \
               garbage, or of a type that has changed.",
        samples: |of, to| {
            of.by_prefix(|prefix, stats| to.sample(&[("prefix", prefix)], stats.dead.figure()));
        },
    },
    Metric {
        name: "cache_store_errors_total",
        kind: COUNTER,
        help: "Reads, requests for a lease and invalidations that failed; down: there was no connection, or \
               the breaker was open; busy: too many commands were in flight; writes-refused: Redis refuses \
               all writes for now; refused: Redis answered with another error.",
        samples: |of, to| {
            let mut errors = BTreeMap::new();
            of.by_prefix(|_, stats| {
                for (kind, times) in &stats.errors_by {
                    *errors.entry(*kind).or_default() += times;
                }
            });
            for (kind, times) in all_of(&ERRORS, &errors) {
                to.sample(&[("kind", kind)], times.figure());
            }
        },
    },
    Metric {
        name: "cache_slow_calls_total",
        kind: COUNTER,
        help: "Calls whose cache traffic took longer than CACHE_SLOW_MS.",
        samples: |of, to| {
            of.by_prefix(|prefix, stats| to.sample(&[("prefix", prefix)], stats.slow.figure()));
        },
    },
    Metric {
        name: "cache_store_bytes_total",
        kind: COUNTER,
        help: "Bytes of entries that were read and written, with their headers.",
        samples: |of, to| {
            to.sample(&[("direction", "read")], of.stats.store.bytes_read.figure());
            to.sample(&[("direction", "written")], of.stats.store.bytes_written.figure());
        },
    },
    Metric {
        name: "cache_local_entries",
        kind: GAUGE,
        help: "Copies in this process, including those that are void and were not yet evicted.",
        samples: |of, to| to.sample(&[], of.stats.local_entries.figure()),
    },
    Metric {
        name: "cache_local_bytes",
        kind: GAUGE,
        help: "The size of these copies.",
        samples: |of, to| to.sample(&[], of.stats.local_bytes.figure()),
    },
    Metric {
        name: "cache_local_max_bytes",
        kind: GAUGE,
        help: "The size that copies may have, CACHE_LOCAL_BYTES.",
        samples: |of, to| to.sample(&[], of.settings.local_bytes.figure()),
    },
    Metric {
        name: "cache_local_removals_total",
        kind: COUNTER,
        help: "Copies in this process that have gone; evicted: they could still be served, and had to make \
               room; invalidated: invalidated or written, or void since the connection that announces changes \
               was lost; expired: at the end of their time.",
        samples: |of, to| {
            let of = &of.stats.local_removals;
            to.sample(&[("cause", "evicted")], of.evicted.figure());
            to.sample(&[("cause", "invalidated")], of.invalidated.figure());
            to.sample(&[("cause", "expired")], of.expired.figure());
        },
    },
    Metric {
        name: "cache_flights",
        kind: GAUGE,
        help: "Runs of functions that other calls may join: under way, or with an entry that is being \
               written.",
        samples: |of, to| to.sample(&[], of.stats.flights.figure()),
    },
    Metric {
        name: "cache_store_up",
        kind: GAUGE,
        help: "1 while the store answers calls, all or some; 0 while it answers none. No sample until \
               the first dial has ended, nor while the cache is off.",
        samples: |of, to| {
            if let Some(up) = is_up(of.health.status) {
                to.sample(&[], up.figure());
            }
        },
    },
    Metric {
        name: "cache_server_up",
        kind: GAUGE,
        help: "1 while a server of Redis answers calls, all or some; 0 while it answers none. No sample before its \
               first dial has ended.",
        samples: |of, to| {
            of.by_server(|server, labels| {
                if let Some(up) = is_up(server.status) {
                    to.sample(labels, up.figure());
                }
            });
        },
    },
    Metric {
        name: "cache_server_connections",
        kind: GAUGE,
        help: "Connections to each server that are up, without the one that announces changes.",
        samples: |of, to| {
            of.by_server(|server, labels| to.sample(labels, server.lanes.figure()));
        },
    },
    Metric {
        name: "cache_breaker_open",
        kind: GAUGE,
        help: "1 while the circuit breaker of a server is open: it has failed too often, and no call asks it.",
        samples: |of, to| {
            of.by_server(|server, labels| to.sample(labels, server.breaker_open.figure()));
        },
    },
    Metric {
        name: "cache_listening",
        kind: GAUGE,
        help: "1 while the connection that announces changes of keys is up, without which no copies are kept in \
               this process; 0 also while the breaker is open, and before the first call that may use a copy or waits \
               for another process.",
        samples: |of, to| {
            of.by_server(|server, labels| to.sample(labels, server.listening.figure()));
        },
    },
    Metric {
        name: "cache_enabled",
        kind: GAUGE,
        help: "1 while calls read and populate; 0 while the whole cache is switched off, by its configuration \
               or by an operator, or closed.",
        samples: |of, to| to.sample(&[], of.enabled.figure()),
    },
    Metric {
        name: "cache_groups_dropped",
        kind: GAUGE,
        help: "Prefixes beyond the busiest 500 (100 in OpenTelemetry), summed as prefix=\"other\". While this is not 0, rates of \
               prefix=\"other\" cannot be relied on.",
        samples: |of, to| to.sample(&[], of.dropped.figure()),
    },
    Metric {
        name: "cache_info",
        kind: GAUGE,
        help: "Always 1. The version of the crates, the namespace of keys, and what the values are kept in.",
        samples: |of, to| {
            let labels = [
                ("version", env!("CARGO_PKG_VERSION")),
                ("namespace", &of.settings.namespace),
                ("topology", of.settings.topology),
            ];
            to.sample(&labels, 1.0);
        },
    },
];

/// The reasons for which calls are bypassed; `not-cached` is the reason of no call of a cached function.
fn reasons() -> Vec<&'static str> {
    let all = Reason::ALL.iter().filter(|reason| **reason != Reason::NotCached);
    all.map(|reason| reason.as_str()).collect()
}

/// The kinds in [`PrefixStats::errors_by`].
const ERRORS: [&str; 5] = ["down", "timeout", "busy", "writes-refused", "refused"];

/// The count of each word, 0 where `counted` has none, and of every other word in `counted`, so that nothing
/// that was counted is left out.
fn all_of<'a>(
    words: &[&'static str],
    counted: &'a BTreeMap<&'static str, u64>,
) -> impl Iterator<Item = (&'static str, u64)> + 'a {
    let all: BTreeSet<_> = words.iter().copied().chain(counted.keys().copied()).collect();
    all.into_iter().map(|word| (word, counted.get(word).copied().unwrap_or_default()))
}

/// The calls of a prefix by outcome; their sum is [`PrefixStats::calls`].
fn outcomes(stats: &PrefixStats) -> [(&'static str, u64); 9] {
    [
        ("hit", stats.hits),
        ("local_hit", stats.local_hits),
        ("stale", stats.stale),
        ("stale_if_error", stats.stale_if_error),
        ("waited", stats.waited),
        ("joined", stats.joined),
        ("computed", stats.computed),
        ("abandoned", stats.abandoned),
        ("bypassed", stats.bypassed_total()),
    ]
}

fn populates(stats: &PrefixStats) -> [(&'static str, u64); 7] {
    [
        ("stored", stats.populated),
        ("fenced", stats.populates_fenced),
        ("queue_full", stats.populates_queue_full),
        ("refused", stats.populates_failed),
        ("rule", stats.populates_refused),
        ("too_large", stats.too_large),
        // The two counters may be of slightly different moments.
        ("unencodable", stats.unstorable.saturating_sub(stats.too_large)),
    ]
}

/// Whether the store answers; `None` where that is not known.
fn is_up(status: Status) -> Option<bool> {
    match status {
        Status::Up | Status::Memory | Status::Degraded => Some(true),
        Status::Down => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn called(hits: u64) -> PrefixStats {
        let mut stats = PrefixStats::default();
        stats.hits = hits;
        stats
    }

    fn rendered(prefixes: impl IntoIterator<Item = (String, PrefixStats)>) -> String {
        let mut snapshot = Snapshot::new(&Cache::in_memory(), MOST_PREFIXES);
        (snapshot.prefixes, snapshot.dropped) =
            busiest(prefixes.into_iter().collect(), MOST_PREFIXES);
        text::render(&snapshot)
    }

    #[test]
    fn a_label_value_is_escaped() {
        let text = rendered([("a\\b\"c\nd\u{e9}".to_owned(), called(7))]);
        let expected = "cache_calls_total{prefix=\"a\\\\b\\\"c\\nd\u{e9}\",outcome=\"hit\"} 7\n";
        assert!(text.contains(expected), "{text}");
    }

    #[test]
    fn all_outcomes_and_reasons_of_a_prefix_begin_at_zero() {
        let text = rendered([("areas".to_owned(), PrefixStats::default())]);
        let lines = |name: &str| text.lines().filter(|line| line.starts_with(name)).count();
        assert_eq!(lines("cache_calls_total{prefix=\"areas\""), 9);
        assert_eq!(lines("cache_bypassed_total{prefix=\"areas\""), reasons().len());
        assert_eq!(lines("cache_populates_total{prefix=\"areas\""), 7);
        assert!(text.contains("cache_bypassed_total{prefix=\"areas\",reason=\"timeout\"} 0\n"));
        assert!(text.contains("cache_store_errors_total{kind=\"timeout\"} 0\n"));
    }

    #[test]
    fn a_reason_that_is_not_known_here_is_shown_all_the_same() {
        let mut stats = PrefixStats::default();
        stats.bypassed.insert("moonlight", 3);
        let text = rendered([("areas".to_owned(), stats)]);
        let expected = "cache_bypassed_total{prefix=\"areas\",reason=\"moonlight\"} 3\n";
        assert!(text.contains(expected), "{text}");
    }

    #[test]
    fn prefixes_beyond_the_busiest_are_summed() {
        let most = MOST_PREFIXES as u64;
        let text = rendered((0..most + 3).map(|n| (format!("p{n}"), called(n))));
        assert!(text.contains("cache_groups_dropped 3\n"));
        let hits: Vec<_> = text.lines().filter(|line| line.contains("outcome=\"hit\"")).collect();
        assert_eq!(hits.len(), MOST_PREFIXES + 1);
        assert!(hits.contains(&"cache_calls_total{prefix=\"other\",outcome=\"hit\"} 3"));
        assert!(hits.contains(&"cache_calls_total{prefix=\"p3\",outcome=\"hit\"} 3"));
        assert!(!text.contains("prefix=\"p2\""));
    }

    #[test]
    fn a_prefix_with_the_name_of_the_sum_is_part_of_it() {
        let prefixes = [("a", 2), (OTHER, 9), ("b", 1)];
        let prefixes = || prefixes.map(|(prefix, hits)| (prefix.to_owned(), called(hits))).into();
        let shown = |most| {
            let (shown, dropped) = busiest(prefixes(), most);
            let shown: Vec<_> =
                shown.into_iter().map(|(prefix, stats)| (prefix, stats.hits)).collect();
            (shown, dropped)
        };
        let named = |all: &[(&str, u64)]| {
            all.iter().map(|(prefix, hits)| ((*prefix).to_owned(), *hits)).collect::<Vec<_>>()
        };
        assert_eq!(shown(2), (named(&[("a", 2), ("b", 1), (OTHER, 9)]), 1));
        assert_eq!(shown(1), (named(&[("a", 2), (OTHER, 10)]), 2));
        assert_eq!(shown(3), (named(&[("a", 2), ("b", 1), (OTHER, 9)]), 0));
    }

    #[test]
    fn values_that_were_not_stored_are_counted_once() {
        let mut stats = PrefixStats::default();
        (stats.unstorable, stats.too_large) = (5, 3);
        let populates = BTreeMap::from(populates(&stats));
        assert_eq!((populates["too_large"], populates["unencodable"]), (3, 2));
    }
}
