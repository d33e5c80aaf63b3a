//! `cachectl watch`: the figures again and again; a screen on a terminal, and otherwise a line each time.

mod screen;

use std::collections::{BTreeMap, VecDeque};
use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::args::{Common, Watch};
use super::failure::{Exit, Failure};
use super::fleet::Source;
use super::stats::{bypassed, percent, share};
use super::terminal;

/// Rates that a sparkline shows.
const KEPT: usize = 30;

pub(super) async fn run(common: &Common, options: &Watch, as_json: bool) -> Result<Exit, Failure> {
    if options.interval < Duration::from_millis(100) {
        return Err(Failure::usage("--interval: 100 ms at least"));
    }
    let source = Source::of(common).await?;
    let on_screen = !as_json && !options.lines && std::io::stdout().is_terminal();
    if on_screen {
        return screen::run(&source, options).await;
    }
    let mut board = Board::default();
    // The first figures are no rates yet.
    board.take(&source.stats().await?, Instant::now());
    for _ in 0..options.count.unwrap_or(u64::MAX) {
        tokio::time::sleep(options.interval).await;
        match source.stats().await {
            Ok(stats) => {
                board.take(&stats, Instant::now());
                if as_json {
                    terminal::print(&board.json().to_string());
                } else {
                    terminal::print(&board.line());
                }
            }
            // The next time may succeed.
            Err(error) => terminal::complain(&format!("no figures: {}", error.text())),
        }
    }
    Ok(Exit::Fine)
}

/// Counters of which rates are made.
#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    calls: f64,
    served: f64,
    misses: f64,
    near: f64,
    saved: f64,
    bypassed: f64,
    loads: f64,
    load_seconds: f64,
}

impl Counts {
    fn of(counters: &Value) -> Self {
        let number = |name: &str| counters[name].as_f64().unwrap_or(0.0);
        Self {
            calls: number("calls"),
            served: number("served"),
            misses: number("misses"),
            near: number("local_hits"),
            saved: number("saved_seconds"),
            bypassed: bypassed(counters) as f64,
            loads: number("load_successes") + number("load_failures"),
            load_seconds: number("load_seconds"),
        }
    }

    /// What was added. A process that has ended takes its counters along: then nothing was.
    fn since(self, before: Self) -> Self {
        let added = |now: f64, then: f64| (now - then).max(0.0);
        Self {
            calls: added(self.calls, before.calls),
            served: added(self.served, before.served),
            misses: added(self.misses, before.misses),
            near: added(self.near, before.near),
            saved: added(self.saved, before.saved),
            bypassed: added(self.bypassed, before.bypassed),
            loads: added(self.loads, before.loads),
            load_seconds: added(self.load_seconds, before.load_seconds),
        }
    }
}

/// What one prefix, or all, did between the last two figures.
#[derive(Debug, Clone, Default)]
struct Line {
    counts: Counts,
    calls: f64,
    hit: Option<f64>,
    near: Option<f64>,
    saved: f64,
    run: Option<f64>,
    bypassed: f64,
    /// Calls a second, the newest last.
    history: VecDeque<u64>,
}

impl Line {
    fn take(&mut self, counts: Counts, seconds: f64) {
        let added = counts.since(self.counts);
        self.counts = counts;
        self.calls = added.calls / seconds;
        self.hit = share(added.served, added.served + added.misses);
        self.near = share(added.near, added.served);
        self.saved = added.saved / seconds;
        self.run = share(added.load_seconds, added.loads);
        self.bypassed = added.bypassed / seconds;
        self.history.push_back(self.calls.round() as u64);
        while self.history.len() > KEPT {
            self.history.pop_front();
        }
    }
}

/// Everything that is shown.
#[derive(Debug, Default)]
struct Board {
    at: Option<Instant>,
    processes: usize,
    undelivered: u64,
    flights: u64,
    total: Line,
    prefixes: BTreeMap<String, Line>,
}

impl Board {
    fn take(&mut self, stats: &Value, now: Instant) {
        let first = self.at.is_none();
        let seconds = self.at.map_or(1.0, |at| (now - at).as_secs_f64()).max(0.001);
        self.at = Some(now);
        self.processes = stats["processes"].as_array().map_or(0, Vec::len);
        self.undelivered = stats["gauges"]["undelivered"].as_u64().unwrap_or(0);
        self.flights = stats["gauges"]["flights"].as_u64().unwrap_or(0);
        let take = |line: &mut Line, counts: Counts| {
            if first {
                line.counts = counts;
            } else {
                line.take(counts, seconds);
            }
        };
        take(&mut self.total, Counts::of(&stats["total"]));
        for row in stats["prefixes"].as_array().into_iter().flatten() {
            let name = row["prefix"].as_str().unwrap_or_default().to_owned();
            take(self.prefixes.entry(name).or_default(), Counts::of(&row["counters"]));
        }
    }

    fn line(&self) -> String {
        let total = &self.total;
        format!(
            "processes {}  calls/s {:.1}  hit {}  near {}  saved/s {:.2} s  \
                    bypassed/s {:.1}  flights {}  undelivered {}",
            self.processes,
            total.calls,
            percent(total.hit),
            percent(total.near),
            total.saved,
            total.bypassed,
            self.flights,
            self.undelivered,
        )
    }

    fn json(&self) -> Value {
        let line = |line: &Line| {
            json!({
                "calls_per_second": line.calls,
                "hit_rate": line.hit,
                "near_rate": line.near,
                "saved_seconds_per_second": line.saved,
                "mean_run_seconds": line.run,
                "bypassed_per_second": line.bypassed,
            })
        };
        let prefixes = self.prefixes.iter().map(|(name, one)| (name.clone(), line(one)));
        json!({
            "schema": 1,
            "command": "watch",
            "processes": self.processes,
            "flights": self.flights,
            "undelivered": self.undelivered,
            "total": line(&self.total),
            "prefixes": prefixes.collect::<serde_json::Map<_, _>>(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stats(calls: u64, served: u64) -> Value {
        let counters = json!({ "calls": calls, "served": served, "misses": calls - served });
        json!({
            "processes": [{}],
            "total": counters,
            "prefixes": [{ "prefix": "areas", "counters": counters }],
        })
    }

    #[test]
    fn rates_are_what_was_added_and_never_negative() {
        let begin = Instant::now();
        let mut board = Board::default();
        board.take(&stats(100, 50), begin);
        board.take(&stats(120, 65), begin + Duration::from_secs(2));
        assert!((board.total.calls - 10.0).abs() < 1e-9);
        assert_eq!(board.prefixes["areas"].hit, Some(0.75));
        board.take(&stats(20, 10), begin + Duration::from_secs(4));
        assert!(board.total.calls.abs() < 1e-9 && board.total.hit.is_none());
    }
}
