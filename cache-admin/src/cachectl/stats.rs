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
    let namespace = stats["namespace"].as_str().unwrap_or_default();
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
        let what = switch["prefix"].as_str().unwrap_or("everything");
        let left = time(switch["seconds_left"].as_f64().unwrap_or(0.0));
        let (reason, who) = (switch["reason"].as_str(), switch["who"].as_str());
        let [reason, who] = [reason, who].map(Option::unwrap_or_default);
        parts.push(format!("switched off: {what}, {left} more: {reason} ({who})"));
    }
    parts.join("\n\n")
}

fn rows(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn process_table(processes: &[Value]) -> String {
    let mut table =
        terminal::table(&["HOST", "PID", "UP", "STATUS", "CALLS", "HIT", "UNDELIVERED"]);
    for process in processes {
        table.add_row([
            process["host"].as_str().unwrap_or_default().to_owned(),
            process["pid"].to_string(),
            time(process["uptime_seconds"].as_f64().unwrap_or(0.0)),
            process["status"].as_str().unwrap_or_default().to_owned(),
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
        table.add_row(cells(row["prefix"].as_str().unwrap_or_default(), &row["counters"], row));
    }
    table.add_row(cells("total", &stats["total"], &stats["total"]));
    table.trim_fmt()
}

fn cells(name: &str, counters: &Value, rates: &Value) -> Vec<String> {
    let number = |name: &str| counters[name].as_f64().unwrap_or(0.0);
    let minute = &rates["last_minute"];
    let seconds = minute["seconds"].as_f64().filter(|seconds| *seconds > 0.0);
    let calls = seconds.map(|seconds| minute["calls"].as_f64().unwrap_or(0.0) / seconds);
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

/// Calls that ran without the cache, for whatever reason.
pub(super) fn bypassed(counters: &Value) -> u64 {
    let by = counters["bypassed"].as_object();
    by.map_or(0, |by| by.values().filter_map(Value::as_u64).sum())
}

pub(super) fn share(part: f64, whole: f64) -> Option<f64> {
    (whole > 0.0).then(|| part / whole)
}

pub(super) fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| "-".to_owned(), |share| format!("{:.1} %", share * 100.0))
}
