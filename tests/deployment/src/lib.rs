//! The generated files of `deploy/`, and what its tests share.
//!
//! `cargo run -p deployment` writes the dashboard and the rules for Kubernetes; a test fails where they are out
//! of date.

mod dashboard;
mod document;
mod expression;
mod redis;
mod table;

use std::path::{Path, PathBuf};

pub use dashboard::dashboard;
pub use document::{prometheus_rule, yaml};
pub use expression::{Selector, selectors};
pub use redis::{Field, REDIS, RedisMetric};
pub use table::{Kind, Metric, Table};

/// The root of the repository.
///
/// # Panics
///
/// Where the sources are gone.
pub fn root() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.join("../..").canonicalize().expect("the package is in the repository")
}

/// The text of a file, by its path within the repository.
///
/// # Panics
///
/// Where the file cannot be read.
pub fn read(path: &str) -> String {
    let path = root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The generated files: their paths within the repository, and what they have to be.
///
/// # Panics
///
/// Where a file from which they are made cannot be read, or a panel asks for a metric that is not in the table.
pub fn generated() -> [(&'static str, String); 2] {
    let dashboard = serde_json::to_string_pretty(&dashboard()).expect("values are JSON");
    [
        ("deploy/grafana/dashboard.json", dashboard + "\n"),
        ("deploy/kubernetes/prometheus-rule.yaml", prometheus_rule()),
    ]
}
