//! The table of metrics in `cache-admin/METRICS.md`, which a test there compares with the renderer.

use crate::read;

/// The type of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Has a value now.
    Gauge,
    /// Durations by bucket.
    Histogram,
}

/// One row.
#[derive(Clone, Debug)]
pub struct Metric {
    /// Its name, as Prometheus has it.
    pub name: String,
    /// Its type.
    pub kind: Kind,
    /// The names of its labels.
    pub labels: Vec<String>,
    /// Its meaning.
    pub help: String,
}

/// All rows.
#[derive(Clone, Debug)]
pub struct Table(Vec<Metric>);

impl Table {
    /// Reads the table.
    ///
    /// # Panics
    ///
    /// Where it is not there, or has a row that cannot be understood.
    pub fn read() -> Self {
        let text = read("cache-admin/METRICS.md");
        let rows: Vec<_> = text.lines().filter(|line| line.starts_with("| `")).map(row).collect();
        assert!(!rows.is_empty(), "METRICS.md has no table");
        Self(rows)
    }

    /// The row of a metric.
    ///
    /// # Panics
    ///
    /// Where there is none.
    pub fn metric(&self, name: &str) -> &Metric {
        let metric = self.0.iter().find(|metric| metric.name == name);
        metric.unwrap_or_else(|| panic!("METRICS.md has no `{name}`"))
    }

    /// All metrics.
    pub fn metrics(&self) -> &[Metric] {
        &self.0
    }
}

fn row(line: &str) -> Metric {
    let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
    let [name, kind, labels, help] = cells[..] else { panic!("four cells: {line}") };
    // Labels are followed by ` = ` and their values, in which there is no comma.
    let labels = labels.split(',').filter_map(|label| label.trim().split(' ').next());
    Metric {
        name: unquoted(name),
        kind: match kind {
            "counter" => Kind::Counter,
            "gauge" => Kind::Gauge,
            "histogram" => Kind::Histogram,
            other => panic!("no type: {other}"),
        },
        labels: labels.filter(|label| !label.is_empty()).map(unquoted).collect(),
        help: help.to_owned(),
    }
}

fn unquoted(code: &str) -> String {
    code.trim_matches('`').to_owned()
}
