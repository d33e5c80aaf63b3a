//! What a row comes to.

use std::fmt::Write as _;
use std::time::Duration;

use cache_runtime::Cache;

use crate::Row;
use crate::load::Done;

/// What a row comes to.
#[derive(Clone, Debug)]
pub struct Figures {
    row: Row,
    /// Calls in all phases.
    pub calls: u64,
    /// Panics anywhere, calls that hang, and errors that no function has returned.
    pub errors: u64,
    /// Values that no function could have returned, or that the promise forbids.
    pub wrong: u64,
    /// Values older than an invalidation, as the promise allows.
    pub late: u64,
    /// The share of calls that were served before, during and after, of one.
    pub hits: [f64; 3],
    /// What the cache added to a call while it went wrong, at most and as a rule.
    pub added: [Duration; 2],
    /// How long a call has waited for another run at most.
    pub waited: Duration,
    /// From the end of it to the first hit, of each part that it concerned; nothing where none came.
    pub first_hit: Option<Duration>,
    /// How late a timer was at most while it went wrong: what the machine adds.
    pub stall: Duration,
    /// What is to be looked at.
    pub remarks: Vec<String>,
    /// Outcomes by phase.
    pub outcomes: String,
}

impl Figures {
    pub(crate) fn new(row: &Row, done: Done, cache: &Cache) -> Self {
        let Done { mut book, first_hit, stall } = done;
        book.added.sort_unstable();
        let share = |hits, calls| if calls == 0 { 0.0 } else { hits as f64 / calls as f64 };
        let mut remarks = book.wrong.lines;
        remarks.extend(book.errors.lines);
        remarks.extend(book.worst.map(|(worst, what)| format!("worst {worst:.1?}: {what}")));
        remarks.push(format!("longest wait {:.1?}: {}", book.waited.0, book.waited.1));
        remarks.push(format!("most traffic, as the runtime says: {:.1?}", book.spent));
        if cache.stats().undelivered > 0 {
            remarks.push(format!("{} invalidations undelivered", cache.stats().undelivered));
        }
        let mut outcomes = String::new();
        for ((phase, outcome), calls) in &book.outcomes {
            let _ = write!(outcomes, "{phase}: {outcome} {calls}; ");
        }
        Self {
            row: row.clone(),
            calls: book.phases.iter().map(|tally| tally.calls).sum(),
            errors: book.errors.count,
            wrong: book.wrong.count,
            late: book.late,
            hits: book.phases.map(|tally| share(tally.hits, tally.calls)),
            added: [book.added.last(), book.added.get(book.added.len() / 2)]
                .map(|added| added.copied().unwrap_or_default()),
            waited: book.waited.0,
            first_hit,
            stall,
            remarks,
            outcomes,
        }
    }

    /// What the promise forbids; nothing where it was kept.
    pub fn failure(&self) -> Option<String> {
        let deadline = self.row.deadline();
        let late = self.first_hit.is_none_or(|hit| hit > deadline);
        let broken = self.errors > 0 || self.wrong > 0 || late;
        broken.then(|| format!("{}: {self:#?}", self.row.name()))
    }

    /// The heads of [`Figures::cells`].
    pub const HEADS: [&'static str; 11] = [
        "topology",
        "fault",
        "local",
        "calls",
        "errors",
        "wrong",
        "late",
        "hits before / during / after",
        "added: worst / median",
        "longest wait",
        "first hit",
    ];

    /// A row of the table.
    pub fn cells(&self) -> [String; 11] {
        let [before, during, after] = self.hits.map(|share| format!("{:.0} %", share * 100.0));
        let [worst, median] = self.added.map(short);
        [
            self.row.topology().to_owned(),
            self.row.fault.to_owned(),
            if self.row.local { "yes" } else { "no" }.to_owned(),
            self.calls.to_string(),
            self.errors.to_string(),
            self.wrong.to_string(),
            self.late.to_string(),
            format!("{before} / {during} / {after}"),
            format!("{worst} / {median}"),
            short(self.waited),
            self.first_hit.map_or_else(|| "none".to_owned(), short),
        ]
    }
}

/// Three digits at most.
fn short(time: Duration) -> String {
    let micros = time.as_micros();
    if micros < 1000 {
        format!("{micros} µs")
    } else if micros < 10_000 {
        format!("{:.1} ms", micros as f64 / 1e3)
    } else {
        format!("{} ms", micros / 1000)
    }
}
