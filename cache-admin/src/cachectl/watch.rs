//! `cachectl watch`: the figures again and again; a screen on a terminal, and otherwise a line each time.

mod screen;

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, ErrorKind, IsTerminal as _};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::args::{Common, Watch};
use super::failure::{Exit, Failure};
use super::fleet::Source;
use super::stats::{a_second, percent, share};
use super::terminal;

/// Rates that a sparkline shows.
const KEPT: usize = 30;

/// The time over which the share of near hits and the mean time of a run are taken.
const WINDOW: Duration = Duration::from_secs(60);

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
    board.take(&source.stats().await?, Instant::now());
    for _ in 0..options.count.unwrap_or(u64::MAX) {
        tokio::time::sleep(options.interval).await;
        let written = match source.stats().await {
            Ok(stats) => {
                board.take(&stats, Instant::now());
                let line = if as_json { board.json().to_string() } else { board.line() };
                terminal::try_print(&line)
            }
            // The next time may succeed.
            Err(error) => {
                terminal::try_complain(&format!("no figures: {}", terminal::plain(error.text())))
            }
        };
        if let Err(error) = written {
            return unread(&error);
        }
    }
    Ok(Exit::Fine)
}

/// The end where a line could not be written. A reader that has read enough, as `head` does, is no failure.
fn unread(error: &io::Error) -> Result<Exit, Failure> {
    if error.kind() == ErrorKind::BrokenPipe {
        return Ok(Exit::Fine);
    }
    Err(Failure::failed(format!("the output cannot be written: {error}")))
}

/// Counters of which shares are made: those of which the processes report no figures of the last minute.
#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    served: f64,
    near: f64,
    loads: f64,
    load_seconds: f64,
}

impl Counts {
    fn of(counters: &Value) -> Self {
        let number = |name: &str| counters[name].as_f64().unwrap_or(0.0);
        Self {
            served: number("served"),
            near: number("local_hits"),
            loads: number("load_successes") + number("load_failures"),
            load_seconds: number("load_seconds"),
        }
    }

    fn since(self, before: Self) -> Self {
        Self {
            served: self.served - before.served,
            near: self.near - before.near,
            loads: self.loads - before.loads,
            load_seconds: self.load_seconds - before.load_seconds,
        }
    }

    fn has_shrunk(self) -> bool {
        [self.served, self.near, self.loads, self.load_seconds].iter().any(|added| *added < 0.0)
    }
}

/// What one prefix, or all, did in the last minute.
///
/// Most processes report every five seconds, and not together, so that differences between two looks would be no
/// rates. The rates are those that the processes report, of the complete steps of their own last minute.
#[derive(Debug, Clone, Default)]
struct Line {
    /// The counters as they were seen, of at most [`WINDOW`], the newest last. The first are a baseline.
    seen: VecDeque<(Instant, Counts)>,
    /// Calls a second; `None` before the first step has ended.
    calls: Option<f64>,
    hit: Option<f64>,
    near: Option<f64>,
    saved: Option<f64>,
    run: Option<f64>,
    bypassed: Option<f64>,
    /// Calls a second, the newest last.
    history: VecDeque<u64>,
}

impl Line {
    fn take(&mut self, counters: &Value, minute: &Value, now: Instant) {
        self.calls = a_second(minute, "calls");
        self.saved = a_second(minute, "saved_millis").map(|millis| millis / 1000.0);
        self.bypassed = a_second(minute, "bypassed");
        let [served, misses] =
            ["served", "misses"].map(|name| minute[name].as_f64().unwrap_or(0.0));
        self.hit = share(served, served + misses);
        let added = self.added(Counts::of(counters), now);
        self.near = share(added.near, added.served);
        self.run = share(added.load_seconds, added.loads);
        self.history.push_back(self.calls.unwrap_or(0.0).round() as u64);
        while self.history.len() > KEPT {
            self.history.pop_front();
        }
    }

    /// What was added within the window.
    fn added(&mut self, counts: Counts, now: Instant) -> Counts {
        let is_old = |(at, _): &(Instant, Counts)| now.duration_since(*at) > WINDOW;
        while self.seen.front().is_some_and(is_old) {
            self.seen.pop_front();
        }
        // A process that has ended takes its counters along.
        if self.seen.front().is_some_and(|(_, first)| counts.since(*first).has_shrunk()) {
            self.seen.clear();
        }
        self.seen.push_back((now, counts));
        self.seen.front().map_or_else(Counts::default, |(_, first)| counts.since(*first))
    }
}

/// Everything that is shown.
#[derive(Debug, Default)]
struct Board {
    processes: usize,
    undelivered: u64,
    flights: u64,
    total: Line,
    prefixes: BTreeMap<String, Line>,
}

impl Board {
    /// Shows these figures. A prefix that no process reports any more is dropped.
    fn take(&mut self, stats: &Value, now: Instant) {
        self.processes = stats["processes"].as_array().map_or(0, Vec::len);
        self.undelivered = stats["gauges"]["undelivered"].as_u64().unwrap_or(0);
        self.flights = stats["gauges"]["flights"].as_u64().unwrap_or(0);
        self.total.take(&stats["total"], &stats["total"]["last_minute"], now);
        let mut before = std::mem::take(&mut self.prefixes);
        for row in stats["prefixes"].as_array().into_iter().flatten() {
            let name = row["prefix"].as_str().unwrap_or_default();
            let mut line = before.remove(name).unwrap_or_default();
            line.take(&row["counters"], &row["last_minute"], now);
            self.prefixes.insert(name.to_owned(), line);
        }
    }

    fn line(&self) -> String {
        let total = &self.total;
        format!(
            "processes {}  calls/s {}  hit {}  near {}  saved/s {}  bypassed/s {}  flights {}  undelivered {}",
            self.processes,
            rate(total.calls),
            percent(total.hit),
            percent(total.near),
            saved(total.saved),
            rate(total.bypassed),
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

/// Events a second.
fn rate(rate: Option<f64>) -> String {
    rate.map_or_else(|| "-".to_owned(), |rate| format!("{rate:.1}"))
}

/// Seconds that are saved a second.
fn saved(seconds: Option<f64>) -> String {
    seconds.map_or_else(|| "-".to_owned(), |seconds| format!("{seconds:.2} s"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stats(prefix: &str, served: u64, minute: [u64; 3]) -> Value {
        let [calls, hits, seconds] = minute;
        let minute = json!({
            "calls": calls, "served": hits, "misses": calls - hits, "bypassed": 6,
            "saved_millis": 3000, "seconds": seconds,
        });
        let counters = json!({
            "served": served, "local_hits": served / 2, "last_minute": minute,
            "load_successes": served, "load_seconds": served as f64 / 10.0,
        });
        json!({
            "processes": [{}],
            "total": counters,
            "prefixes": [{ "prefix": prefix, "counters": counters, "last_minute": minute }],
        })
    }

    #[test]
    fn rates_are_those_of_the_last_minute_also_between_two_reports() {
        let begin = Instant::now();
        let mut board = Board::default();
        board.take(&stats("areas", 100, [0, 0, 0]), begin);
        assert_eq!(board.total.calls, None, "no step has ended");
        // Looked at every two seconds, and reported every five.
        for (look, served) in [(1, 100), (2, 100), (3, 600), (4, 600)] {
            let at = begin + Duration::from_secs(2 * look);
            board.take(&stats("areas", served, [600, 450, 60]), at);
            let areas = &board.prefixes["areas"];
            assert_eq!((board.total.calls, areas.calls), (Some(10.0), Some(10.0)));
            assert_eq!(
                (areas.hit, areas.saved, areas.bypassed),
                (Some(0.75), Some(0.05), Some(0.1))
            );
        }
        // What was there before is a baseline.
        assert_eq!((board.total.near, board.total.run), (Some(0.5), Some(0.1)));
        board.take(&stats("areas", 40, [0, 0, 60]), begin + Duration::from_secs(9));
        assert_eq!((board.total.near, board.total.run), (None, None));
        assert_eq!(board.total.calls, Some(0.0));
    }

    #[test]
    fn a_prefix_begins_without_a_past_and_goes_with_its_last_report() {
        let begin = Instant::now();
        let mut board = Board::default();
        board.take(&stats("areas", 100, [60, 30, 60]), begin);
        board.take(&stats("users", 5000, [60, 30, 60]), begin + Duration::from_secs(2));
        assert_eq!(board.prefixes.keys().collect::<Vec<_>>(), ["users"]);
        assert_eq!(
            (board.prefixes["users"].calls, board.prefixes["users"].near),
            (Some(1.0), None)
        );
    }

    #[test]
    fn only_a_reader_that_has_gone_away_is_no_failure() {
        assert!(unread(&ErrorKind::BrokenPipe.into()).is_ok());
        assert!(unread(&ErrorKind::StorageFull.into()).is_err());
    }
}
