//! Everything that can happen next.

mod call;
mod environment;
mod flight;
mod invalidation;
mod process;
mod read;
mod run;

use crate::case::{Case, Faults};
use crate::check::{self, Violation};
use crate::entry::{Age, Entry};
use crate::flaw::Flaw;
use crate::next::Next;
use crate::state::{MISSING, Phase, State};

/// Something that can happen next.
#[derive(Clone)]
pub(crate) struct Move {
    pub(crate) state: State,
    pub(crate) violation: Option<Violation>,
    /// Happens some time unless something else does: beginnings and faults may never come, and
    /// nobody may have to wait for them.
    pub(crate) sure: bool,
    /// Empty unless somebody reads it.
    pub(crate) words: String,
}

/// Collects all that can happen next.
pub(crate) struct Moves<'a> {
    case: &'a Case,
    from: &'a State,
    narrated: bool,
    list: Vec<Move>,
}

/// All steps from `state`; what they are called only if `narrated`.
pub(crate) fn moves(case: &Case, state: &State, narrated: bool) -> Vec<Move> {
    let mut moves = Moves { case, from: state, narrated, list: Vec::new() };
    if let Some(call) = hit(case, state) {
        call::steps(&mut moves, call);
        return moves.list;
    }
    for call in 0..case.calls.len() {
        if state.processes[case.calls[call]].alive {
            call::steps(&mut moves, call);
        }
    }
    for process in 0..case.processes() {
        process::steps(&mut moves, process);
    }
    for invalidation in 0..case.invalidations.len() {
        invalidation::steps(&mut moves, invalidation);
    }
    environment::steps(&mut moves);
    moves.list
}

/// A call that has read a fresh value from Redis, on an ordinary lane, and will serve it.
///
/// That is all that is looked at next. The step depends on what the call has read and on how it
/// began, touches nothing that another step reads, and ends the call: whatever else could happen
/// before it can as well happen after it. Not so where a near cache is filled, where a claim may
/// follow, or where a call that still reads can be joined.
fn hit(case: &Case, state: &State) -> Option<usize> {
    if case.every_order
        || case.near
        || case.faults.refreshes_ahead > 0
        || case.has(Flaw::JoinsReadingFlight)
    {
        return None;
    }
    (0..case.calls.len()).find(|&call| {
        let read = state.calls[call].read;
        let (Some(entry), Some(token)) = (read.entry.here(), read.token.here()) else {
            return false;
        };
        let fresh = matches!(entry, Entry::Value { age: Age::Fresh, .. });
        state.calls[call].phase == Phase::Reading
            && fresh
            && entry.token() == token
            && token != MISSING
    })
}

impl<'a> Moves<'a> {
    fn next(&self) -> Next<'a> {
        Next { case: self.case, state: self.from.clone(), violation: None }
    }

    /// What follows a fault, if it may still happen.
    fn fault(&self, budget: impl Fn(&mut Faults) -> &mut u8) -> Option<Next<'a>> {
        let mut next = self.next();
        let left = budget(&mut next.state.faults);
        *left = left.checked_sub(1)?;
        Some(next)
    }

    fn sure(&mut self, next: Next<'_>, words: impl FnOnce() -> String) {
        self.add(next, true, words);
    }

    fn possible(&mut self, next: Next<'_>, words: impl FnOnce() -> String) {
        self.add(next, false, words);
    }

    fn add(&mut self, next: Next<'_>, sure: bool, words: impl FnOnce() -> String) {
        let Next { state, violation, .. } = next;
        let violation = violation
            .or_else(|| check::local_tables(self.case, &state))
            .or_else(|| check::computations(self.case, &state));
        let words = if self.narrated { words() } else { String::new() };
        self.list.push(Move { state, violation, sure, words });
    }
}
