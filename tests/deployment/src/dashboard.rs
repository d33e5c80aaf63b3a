//! The dashboard for Grafana, made of the tables of metrics.

use serde_json::{Value, json};

use crate::redis::REDIS;
use crate::table::{Kind, Table};

/// How many columns Grafana has.
const WIDTH: usize = 24;
const HEIGHT: usize = 8;

/// What is drawn of a metric.
#[derive(Clone, Copy)]
enum Show {
    /// Of a counter, what was added each second: by a label, or in all.
    PerSecond(&'static str, Option<&'static str>),
    /// The same of the time in a histogram.
    TimePerSecond(&'static str, Option<&'static str>),
    /// The ten largest of that.
    Top(&'static str, &'static str),
    /// Of a histogram, by a label, the duration that this share of all stays under.
    Quantile(&'static str, &'static str, &'static str),
    /// The value of a gauge, for each process or server.
    Value(&'static str),
    /// What a rule records; its labels, and what it says.
    Recorded(&'static str, &'static str, &'static str),
}

struct Panel {
    title: &'static str,
    unit: &'static str,
    shows: &'static [Show],
}

/// Rows from what matters most to what is looked up.
const ROWS: [(&str, &[Panel]); 4] = [
    (
        "Does it help?",
        &[
            Panel {
                title: "Calls by outcome",
                unit: "ops",
                shows: &[Show::PerSecond("cache_calls_total", Some("outcome"))],
            },
            Panel {
                title: "Hit ratio",
                unit: "percentunit",
                shows: &[Show::Recorded(
                    "cache:hit_ratio:rate5m",
                    "prefix",
                    "Of the calls that wanted the cache, those that cost no run of their own. The ratio of Redis \
                     itself (keyspace_hits) is another: it counts commands, and the tokens of entries too.",
                )],
            },
            Panel {
                title: "Time saved, seconds per second",
                unit: "short",
                shows: &[Show::PerSecond("cache_saved_seconds_total", None)],
            },
            Panel {
                title: "Runs of the functions",
                unit: "ops",
                shows: &[Show::PerSecond("cache_loads_total", Some("result"))],
            },
        ],
    ),
    (
        "Is it well?",
        &[
            Panel {
                title: "Bypassed calls by reason",
                unit: "ops",
                shows: &[Show::PerSecond("cache_bypassed_total", Some("reason"))],
            },
            Panel {
                title: "Round trips to Redis, median and 99th percentile",
                unit: "s",
                shows: &[
                    Show::Quantile("0.5", "cache_store_duration_seconds", "operation"),
                    Show::Quantile("0.99", "cache_store_duration_seconds", "operation"),
                ],
            },
            Panel {
                title: "Undelivered invalidations, and runs under way",
                unit: "short",
                shows: &[Show::Value("cache_invalidations_pending"), Show::Value("cache_flights")],
            },
            Panel {
                title: "Redis answers, and the cache is on",
                unit: "bool_on_off",
                shows: &[Show::Value("cache_store_up"), Show::Value("cache_enabled")],
            },
        ],
    ),
    (
        "Is Redis well?",
        &[
            Panel {
                title: "Memory of Redis",
                unit: "bytes",
                shows: &[
                    Show::Value("redis_memory_used_bytes"),
                    Show::Value("redis_memory_used_rss_bytes"),
                    Show::Value("redis_memory_max_bytes"),
                ],
            },
            Panel {
                title: "Keys that go, and commands",
                unit: "ops",
                shows: &[
                    Show::PerSecond("redis_evicted_keys_total", Some("instance")),
                    Show::PerSecond("redis_expired_keys_total", Some("instance")),
                    Show::PerSecond("redis_commands_processed_total", Some("instance")),
                ],
            },
            Panel {
                title: "Clients, and tracked keys",
                unit: "short",
                shows: &[
                    Show::Value("redis_connected_clients"),
                    Show::Value("redis_tracking_total_keys"),
                ],
            },
        ],
    ),
    (
        "What to change?",
        &[
            Panel {
                title: "Time in the functions: a longer ttl pays here",
                unit: "short",
                shows: &[Show::TimePerSecond("cache_load_duration_seconds", Some("prefix"))],
            },
            Panel {
                title: "Prefixes that save the most time",
                unit: "short",
                shows: &[Show::Top("cache_saved_seconds_total", "prefix")],
            },
            Panel {
                title: "Computed values, and what became of them",
                unit: "ops",
                shows: &[Show::PerSecond("cache_populates_total", Some("result"))],
            },
            Panel {
                title: "Copies in processes",
                unit: "bytes",
                shows: &[Show::Value("cache_local_bytes"), Show::Value("cache_local_max_bytes")],
            },
        ],
    ),
];

/// The dashboard as Grafana reads it.
///
/// # Panics
///
/// Where a panel asks for a metric, a label or a type that is not in the tables.
pub fn dashboard() -> Value {
    let table = Table::read();
    let (mut panels, mut y) = (Vec::new(), 0);
    for (title, row) in ROWS {
        let position = json!({"x": 0, "y": y, "w": WIDTH, "h": 1});
        panels.push(
            json!({"type": "row", "title": title, "gridPos": position, "id": panels.len() + 1}),
        );
        let width = WIDTH / row.len();
        for (column, panel) in row.iter().enumerate() {
            let position = json!({"x": column * width, "y": y + 1, "w": width, "h": HEIGHT});
            panels.push(panel.render(&table, &position, panels.len() + 1));
        }
        y += 1 + HEIGHT;
    }
    json!({
        "uid": "cache-runtime",
        "title": "Cache",
        "description": "Figures of cached functions and of their Redis. Made by `cargo run -p deployment`.",
        "tags": ["cache", "redis"],
        "timezone": "browser",
        "schemaVersion": 39,
        "editable": false,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "templating": {"list": [prefix_variable()]},
        "panels": panels,
    })
}

fn source() -> Value {
    json!({"type": "prometheus", "uid": "prometheus"})
}

fn prefix_variable() -> Value {
    let query = "label_values(cache_calls_total, prefix)";
    json!({
        "name": "prefix",
        "label": "Prefix",
        "type": "query",
        "datasource": source(),
        "definition": query,
        "query": {"query": query, "refId": "prefix"},
        "refresh": 2,
        "multi": true,
        "includeAll": true,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
    })
}

impl Panel {
    fn render(&self, table: &Table, position: &Value, id: usize) -> Value {
        let targets = self.shows.iter().enumerate().map(|(index, show)| {
            let query = show.query(table);
            let reference = char::from(b'A' + index as u8).to_string();
            json!({
                "refId": reference,
                "datasource": source(),
                "expr": query.expression,
                "legendFormat": query.legend,
            })
        });
        // Several may be of one metric.
        let mut about: Vec<String> =
            self.shows.iter().map(|show| show.query(table).about).collect();
        about.dedup();
        json!({
            "id": id,
            "type": "timeseries",
            "title": self.title,
            "description": about.join("\n\n"),
            "datasource": source(),
            "gridPos": position,
            "targets": targets.collect::<Vec<_>>(),
            "fieldConfig": {"defaults": {"unit": self.unit, "min": 0}, "overrides": []},
            "options": {"tooltip": {"mode": "multi", "sort": "desc"}},
        })
    }
}

/// What is asked for, how its lines are called, and its meaning.
struct Query {
    expression: String,
    legend: String,
    about: String,
}

impl Show {
    fn query(self, table: &Table) -> Query {
        match self {
            Self::PerSecond(name, by) => rate(&Source::of(table, name, Kind::Counter), "", by),
            Self::TimePerSecond(name, by) => {
                rate(&Source::of(table, name, Kind::Histogram), "_sum", by)
            }
            Self::Top(name, by) => {
                let all = rate(&Source::of(table, name, Kind::Counter), "", Some(by));
                Query { expression: format!("topk(10, {})", all.expression), ..all }
            }
            Self::Quantile(share, name, by) => {
                let source = Source::of(table, name, Kind::Histogram);
                let by = source.label(by);
                let buckets = format!("{name}_bucket{}[$__rate_interval]", source.filter());
                Query {
                    expression: format!(
                        "histogram_quantile({share}, sum by (le, {by}) (rate({buckets})))"
                    ),
                    legend: format!("{{{{{by}}}}} {share}"),
                    about: source.about,
                }
            }
            Self::Value(name) => {
                let source = Source::of(table, name, Kind::Gauge);
                Query {
                    expression: name.to_owned(),
                    legend: format!("{{{{instance}}}} {}", source.short()),
                    about: source.about,
                }
            }
            Self::Recorded(name, label, about) => Query {
                expression: format!("{name}{{{label}=~\"${label}\"}}"),
                legend: format!("{{{{{label}}}}}"),
                about: about.to_owned(),
            },
        }
    }
}

fn rate(source: &Source, suffix: &str, by: Option<&str>) -> Query {
    let name = &source.name;
    let rate = format!("rate({name}{suffix}{}[$__rate_interval])", source.filter());
    let (expression, legend) = match by.map(|label| source.label(label)) {
        Some(label) => {
            // The servers of several lines have to be told apart, and the metrics too.
            let metric =
                if label == "instance" { format!(" {}", source.short()) } else { String::new() };
            (format!("sum by ({label}) ({rate})"), format!("{{{{{label}}}}}{metric}"))
        }
        None => (format!("sum({rate})"), source.short()),
    };
    Query { expression, legend, about: source.about.clone() }
}

/// A metric of the one table or the other.
struct Source {
    name: String,
    labels: Vec<String>,
    about: String,
}

impl Source {
    fn of(table: &Table, name: &str, kind: Kind) -> Self {
        let of_redis = REDIS.iter().find(|metric| metric.name == name);
        let (labels, found, help) = if let Some(metric) = of_redis {
            (Vec::new(), metric.kind, metric.help.to_owned())
        } else {
            let metric = table.metric(name);
            (metric.labels.clone(), metric.kind, metric.help.clone())
        };
        assert_eq!(found, kind, "the type of {name}");
        Self { name: name.to_owned(), labels, about: format!("`{name}`: {help}") }
    }

    /// Prometheus adds `instance` to every metric.
    fn label<'a>(&self, label: &'a str) -> &'a str {
        let known = label == "instance" || self.labels.iter().any(|known| known == label);
        assert!(known, "{} has no label `{label}`", self.name);
        label
    }

    /// The prefixes that were chosen, where the metric has them.
    fn filter(&self) -> &'static str {
        let by_prefix = self.labels.iter().any(|label| label == "prefix");
        if by_prefix { "{prefix=~\"$prefix\"}" } else { "" }
    }

    /// The name without what all of them have.
    fn short(&self) -> String {
        let name = self.name.trim_start_matches("cache_").trim_start_matches("redis_");
        name.trim_end_matches("_total").trim_end_matches("_bytes").replace('_', " ")
    }
}
