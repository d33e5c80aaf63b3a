//! Alerts that never fire, that fire without a reason, or that lead nowhere.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use deployment::{read, root, yaml};
use serde_json::Value;

const TESTS: [&str; 2] = ["alerts.test.yaml", "alerts.long.test.yaml"];
const RUNBOOK: &str =
    "https://github.com/cache-runtime/cache-runtime/blob/main/docs/operations.md#";

/// The rules that alert, by name.
fn alerts() -> BTreeMap<String, Value> {
    let [file] =
        <[Value; 1]>::try_from(yaml("deploy/prometheus/alerts.yaml")).expect("one document");
    let groups = file["groups"].as_array().expect("groups").clone();
    let rules = groups.iter().flat_map(|group| group["rules"].as_array().expect("rules").clone());
    let named = rules.filter_map(|rule| Some((rule["alert"].as_str()?.to_owned(), rule)));
    named.collect()
}

fn promtool(words: &[&str]) {
    let mut command = Command::new("promtool");
    command.args(words).current_dir(root().join("deploy/prometheus"));
    let output = command.output().unwrap_or_else(|error| {
        panic!("promtool cannot be started ({error}): run `scripts/install prometheus`")
    });
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "promtool {words:?}: {said}");
}

#[test]
fn promtool_takes_the_rules_and_the_settings() {
    promtool(&["check", "rules", "alerts.yaml"]);
    promtool(&["check", "config", "--syntax-only", "prometheus.yml"]);
}

#[test]
fn alerts_fire_when_they_should_and_are_silent_when_they_should_be() {
    promtool(&["test", "rules", TESTS[0]]);
}

#[test]
fn alerts_about_hours_do_too() {
    promtool(&["test", "rules", TESTS[1]]);
}

#[test]
fn every_alert_is_tried_both_ways() {
    let (mut fires, mut silent) = (BTreeSet::new(), BTreeSet::new());
    for file in TESTS {
        for tests in yaml(&format!("deploy/prometheus/{file}")) {
            for case in tests["tests"].as_array().expect("tests") {
                for check in case["alert_rule_test"].as_array().expect("checks") {
                    let name = check["alertname"].as_str().expect("a name").to_owned();
                    let expected = check["exp_alerts"].as_array().expect("a list");
                    if expected.is_empty() {
                        silent.insert(name)
                    } else {
                        fires.insert(name)
                    };
                }
            }
        }
    }
    let names: BTreeSet<String> = alerts().into_keys().collect();
    assert_eq!(fires, names);
    assert_eq!(silent, names);
}

#[test]
fn every_alert_says_how_urgent_it_is_and_where_to_read_on() {
    let alerts = alerts();
    assert!(alerts.len() > 15, "{alerts:?}");
    for (name, rule) in &alerts {
        let severity = rule["labels"]["severity"].as_str();
        assert!(matches!(severity, Some("page" | "ticket")), "{name}: {severity:?}");
        let expected = format!("{RUNBOOK}{}", name.to_lowercase());
        assert_eq!(rule["annotations"]["runbook_url"], *expected, "{name}");
    }
    let document = read("docs/operations.md");
    let (_, section) = document.split_once("\n## Alerts\n").expect("a section about alerts");
    let section = section.split("\n## ").next().expect("its text");
    let headings = section.lines().filter_map(|line| line.strip_prefix("### "));
    let headings: BTreeSet<&str> = headings.collect();
    assert_eq!(headings, alerts.keys().map(String::as_str).collect());
}
