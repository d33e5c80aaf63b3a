//! Whether a call got what the promise allows.

use std::time::Duration;

use cache_runtime::{Outcome, OutcomeKind, Reason};

use crate::watch::Notes;
use crate::world::{Answer, Failed, Function, fails};

/// Longer than callers stand in line for a processor, as a rule: what is left of a call without its
/// function and its traffic, and is longer, was waiting for another run.
const RESIDUE: Duration = Duration::from_millis(100);

/// What a call asked for, and which versions it may get.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    pub(crate) function: Function,
    pub(crate) key: u32,
    /// The oldest version that it may get.
    pub(crate) floor: u64,
    /// The newest one that there was when it had ended.
    pub(crate) newest: u64,
    /// The deployment may bring back what was gone.
    pub(crate) loses_writes: bool,
}

/// What is to be said of the value of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Right,
    /// Older than an invalidation, as the promise allows.
    Late,
    Wrong(String),
    /// A success that became an error.
    Error(String),
}

/// Judges what a call got.
pub(crate) fn judge(asked: Asked, got: &Result<Answer, Failed>, outcome: &Outcome) -> Verdict {
    let (answer, failed) = match got {
        Ok(answer) => (answer, false),
        Err(Failed(answer)) => (answer, true),
    };
    let Asked { function, key, floor, newest, loses_writes } = asked;
    let own = answer.function == function && answer.key == key && answer.is_whole();
    if !own || answer.version > newest {
        return Verdict::Wrong(format!("{asked:?} got {answer:?} ({outcome})"));
    }
    if failed != (function == Function::Fallible && fails(key, answer.version)) {
        return Verdict::Error(format!("{asked:?} got {got:?} ({outcome})"));
    }
    if answer.version >= floor {
        Verdict::Right
    } else if outcome.is_bypassed() || loses_writes {
        Verdict::Late
    } else {
        let version = answer.version;
        Verdict::Wrong(format!("{asked:?} got the older {version} ({outcome}, {:?})", outcome.age))
    }
}

/// What the cache has added to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cost {
    /// Traffic and work.
    Added(Duration),
    /// It waited for another run of its function.
    Waited(Duration),
}

/// Tells what the cache added to a call that took `whole`.
pub(crate) fn cost(whole: Duration, notes: Notes, outcome: &Outcome) -> Cost {
    let rest = whole.saturating_sub(notes.body.unwrap_or_default());
    let waits = match outcome.kind {
        OutcomeKind::Hit | OutcomeKind::LocalHit => false,
        OutcomeKind::Joined | OutcomeKind::Waited => true,
        OutcomeKind::Bypassed(_) if notes.body.is_none() => true,
        OutcomeKind::Bypassed(reason) if may_have_waited(reason) => true,
        // For the lease of a run whose value was not stored, for example.
        _ => rest.saturating_sub(notes.spent) > RESIDUE,
    };
    if waits { Cost::Waited(rest) } else { Cost::Added(rest) }
}

fn may_have_waited(reason: Reason) -> bool {
    use Reason::{Contended, Overtaken, Unshared, WaitOver};
    matches!(reason, Contended | Overtaken | Unshared | WaitOver)
}
