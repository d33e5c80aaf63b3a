//! What callers write down.

use std::collections::BTreeMap;
use std::time::Duration;

use cache_runtime::{Outcome, OutcomeKind};

use crate::judge::{Cost, Verdict};
use crate::watch::Notes;

/// Lines of a kind that are kept.
const LINES: usize = 5;

/// When a call was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    Before = 0,
    During = 1,
    After = 2,
}

impl Phase {
    pub(crate) const ALL: [Self; 3] = [Self::Before, Self::During, Self::After];
}

/// Calls, and those among them that hit.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) calls: u64,
    pub(crate) hits: u64,
}

/// What one caller has seen, or all of them.
#[derive(Debug, Default)]
pub(crate) struct Book {
    pub(crate) phases: [Tally; 3],
    /// What the cache added to calls of the middle phase.
    pub(crate) added: Vec<Duration>,
    /// The longest that a call has waited for another run, and what it was.
    pub(crate) waited: (Duration, String),
    /// What the longest of `added` was.
    pub(crate) worst: Option<(Duration, String)>,
    /// The most traffic of any call, as the runtime says.
    pub(crate) spent: Duration,
    pub(crate) late: u64,
    pub(crate) wrong: Complaints,
    pub(crate) errors: Complaints,
    pub(crate) outcomes: BTreeMap<(u8, String), u64>,
}

/// How many, and the first few.
#[derive(Debug, Default)]
pub(crate) struct Complaints {
    pub(crate) count: u64,
    pub(crate) lines: Vec<String>,
}

impl Complaints {
    pub(crate) fn add(&mut self, line: String) {
        self.count += 1;
        if self.lines.len() < LINES {
            self.lines.push(line);
        }
    }

    fn merge(&mut self, other: Self) {
        let count = self.count + other.count;
        other.lines.into_iter().for_each(|line| self.add(line));
        self.count = count;
    }
}

impl Book {
    /// Writes down a call.
    pub(crate) fn note(
        &mut self,
        phase: Phase,
        outcome: &Outcome,
        (cost, notes): (Cost, Notes),
        verdict: Verdict,
    ) {
        let tally = &mut self.phases[phase as usize];
        tally.calls += 1;
        tally.hits += u64::from(is_served(outcome));
        *self.outcomes.entry((phase as u8, outcome.to_string())).or_default() += 1;
        self.spent = self.spent.max(notes.spent);
        match cost {
            Cost::Added(added) if phase == Phase::During => {
                self.added.push(added);
                if self.worst.as_ref().is_none_or(|(most, _)| added > *most) {
                    self.worst = Some((added, format!("{outcome}, {notes:?}")));
                }
            }
            Cost::Added(_) => {}
            Cost::Waited(waited) => {
                if waited > self.waited.0 {
                    self.waited = (waited, format!("{outcome}, {notes:?}"));
                }
            }
        }
        match verdict {
            Verdict::Right => {}
            Verdict::Late => self.late += 1,
            Verdict::Wrong(line) => self.wrong.add(line),
            Verdict::Error(line) => self.errors.add(line),
        }
    }

    pub(crate) fn merge(&mut self, other: Self) {
        for (tally, more) in self.phases.iter_mut().zip(other.phases) {
            tally.calls += more.calls;
            tally.hits += more.hits;
        }
        self.added.extend(other.added);
        self.waited = std::mem::take(&mut self.waited).max(other.waited);
        self.worst = self.worst.take().max(other.worst);
        self.spent = self.spent.max(other.spent);
        self.late += other.late;
        self.wrong.merge(other.wrong);
        self.errors.merge(other.errors);
        for (outcome, calls) in other.outcomes {
            *self.outcomes.entry(outcome).or_default() += calls;
        }
    }
}

/// Whether the value came from the store, or from a copy of what is there.
fn is_served(outcome: &Outcome) -> bool {
    outcome.is_hit() || outcome.is_stale() || outcome.kind == OutcomeKind::Waited
}
