//! Files in YAML.

use serde_json::Value;

use crate::read;

/// The documents of a file in YAML, by its path within the repository.
///
/// # Panics
///
/// Where the file cannot be read, or is no YAML.
pub fn yaml(path: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(&read(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The alert rules as a resource of the Prometheus operator.
///
/// # Panics
///
/// Where there are no rules.
pub fn prometheus_rule() -> String {
    let rules = read("deploy/prometheus/alerts.yaml");
    let (_, groups) = rules.split_once("\ngroups:\n").expect("groups of rules");
    let mut resource = "\
# The rules of deploy/prometheus/alerts.yaml for the Prometheus operator; `cargo run -p deployment` writes this
# file. The rules ask for jobs that are named `cache` and `redis`.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: cache
spec:
  groups:
"
    .to_owned();
    for line in groups.lines() {
        resource += if line.is_empty() { "" } else { "  " };
        resource += line;
        resource += "\n";
    }
    resource
}
