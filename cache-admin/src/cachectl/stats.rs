//! `cachectl stats`: the figures of all processes, once.

use serde_json::{Value, json};

use super::args::{Common, Stats};
use super::failure::{Exit, Failure};
use super::fleet::Source;
use super::terminal::{self, BOLD, time};

pub(super) async fn run(common: &Common, options: &Stats, as_json: bool) -> Result<Exit, Failure> {
    let mut stats = Source::of(common).await?.stats().await?;
    if let (Some(wanted), Some(rows)) = (&options.prefix, stats["prefixes"].as_array_mut()) {
        rows.retain(|row| row["prefix"] == **wanted);
    }
    if as_json {
        stats["schema"] = json!(1);
        stats["command"] = json!("stats");
        terminal::print_json(&stats);
        return Ok(Exit::Fine);
    }
    terminal::print(&text(&stats));
    Ok(Exit::Fine)
}

fn text(stats: &Value) -> String {
    let processes = rows(&stats["processes"]);
    let namespace = name(&stats["namespace"]);
    let mut parts =
        vec![format!("{BOLD}{} processes{BOLD:#} of namespace {namespace}", processes.len())];
    if processes.is_empty() {
        parts.push(
            "No process has written figures in the last 15 s. A process does so with `cache_admin::router` or \
             `cache_admin::heartbeat`."
                .to_owned(),
        );
    } else {
        parts.push(process_table(processes));
        parts.push(prefix_table(stats));
    }
    for switch in rows(&stats["switches"]) {
        let what = terminal::plain(switch["prefix"].as_str().unwrap_or("everything"));
        let left = time(switch["seconds_left"].as_f64().unwrap_or(0.0));
        let [reason, who] = ["reason", "who"].map(|field| name(&switch[field]));
        parts.push(format!("switched off: {what}, {left} more: {reason} ({who})"));
    }
    parts.join("\n\n")
}

/// A name that another process has written.
fn name(value: &Value) -> String {
    terminal::plain(value.as_str().unwrap_or_default())
}

fn rows(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn process_table(processes: &[Value]) -> String {
    let mut table =
        terminal::table(&["HOST", "PID", "UP", "STATUS", "CALLS", "HIT", "UNDELIVERED"]);
    for process in processes {
        table.add_row([
            name(&process["host"]),
            process["pid"].to_string(),
            time(process["uptime_seconds"].as_f64().unwrap_or(0.0)),
            name(&process["status"]),
            process["calls"].to_string(),
            percent(process["hit_rate"].as_f64()),
            process["undelivered"].to_string(),
        ]);
    }
    table.trim_fmt()
}

fn prefix_table(stats: &Value) -> String {
    let mut table = terminal::table(&[
        "PREFIX", "CALLS", "CALLS/s", "HIT", "NEAR", "SAVED", "RUN", "BYPASSED", "DEAD",
    ]);
    for row in rows(&stats["prefixes"]) {
        table.add_row(cells(&name(&row["prefix"]), &row["counters"], row));
    }
    table.add_row(cells("total", &stats["total"], &stats["total"]));
    table.trim_fmt()
}

fn cells(name: &str, counters: &Value, rates: &Value) -> Vec<String> {
    let number = |name: &str| counters[name].as_f64().unwrap_or(0.0);
    let calls = a_second(&rates["last_minute"], "calls");
    let runs = number("load_successes") + number("load_failures");
    vec![
        name.to_owned(),
        counters["calls"].to_string(),
        calls.map_or_else(|| "-".to_owned(), |calls| format!("{calls:.1}")),
        percent(counters["hit_rate"].as_f64()),
        percent(share(number("local_hits"), number("served"))),
        time(number("saved_seconds")),
        share(number("load_seconds"), runs).map_or_else(|| "-".to_owned(), time),
        bypassed(counters).to_string(),
        counters["dead"].to_string(),
    ]
}

/// A figure of the last minute, for each second of it; `None` before its first step has ended.
pub(super) fn a_second(minute: &Value, name: &str) -> Option<f64> {
    share(minute[name].as_f64().unwrap_or(0.0), minute["seconds"].as_f64()?)
}

/// Calls that ran without the cache, for whatever reason.
fn bypassed(counters: &Value) -> u64 {
    let by = counters["bypassed"].as_object();
    by.map_or(0, |by| by.values().filter_map(Value::as_u64).sum())
}

pub(super) fn share(part: f64, whole: f64) -> Option<f64> {
    (whole > 0.0).then(|| part / whole)
}

pub(super) fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| "-".to_owned(), |share| format!("{:.1} %", share * 100.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_other_processes_cannot_write_to_the_terminal() {
        let stats = json!({
            "namespace": "a\u{1b}b",
            "processes": [{ "host": "h\u{1b}]0;x\u{7}", "pid": 1, "status": "u\rp" }],
            "prefixes": [{ "prefix": "areas\u{9b}2J", "counters": {} }],
            "switches": [{ "prefix": null, "reason": "bad\nimport", "who": "o\u{7f}p" }],
        });
        let shown = anstream::adapter::strip_str(&text(&stats)).to_string();
        assert!(!shown.chars().any(|c| c.is_control() && c != '\n'), "{shown:?}");
        for name in
            [r"a\u{1b}b", r"h\u{1b}]0;x\u{7}", r"u\rp", r"areas\u{9b}2J", r"bad\nimport (o\u{7f}p)"]
        {
            assert!(shown.contains(name), "{name} is missing: {shown}");
        }
    }
}
