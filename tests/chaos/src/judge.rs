//! Whether a call got what the promise allows.

use std::time::Duration;

use cache_runtime::{Outcome, OutcomeKind, Reason};

use crate::watch::Notes;
use crate::world::{Answer, Failed, Function, fails};

/// Longer than callers stand in line for a processor, as a rule: what is left of a call without its
/// function and its traffic, and is longer, was waiting for another run.
const RESIDUE: Duration = Duration::from_millis(20);

/// Traffic that the runtime says nothing about, by default.
const UNTOLD: Duration = Duration::from_millis(50);

/// What a call asked for, and which versions it may get.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    pub(crate) function: Function,
    pub(crate) key: u32,
    /// The oldest version that it may get.
    pub(crate) floor: u64,
    /// The oldest one where what Redis has lost comes back.
    pub(crate) firm: u64,
    /// The newest one that there was when it had ended.
    pub(crate) newest: u64,
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
    let Asked { function, key, floor, firm, newest } = asked;
    let own = answer.function == function && answer.key == key && answer.is_whole();
    if !own || answer.version > newest {
        return Verdict::Wrong(format!("{asked:?} got {answer:?} ({outcome})"));
    }
    if failed != (function == Function::Fallible && fails(key, answer.version)) {
        return Verdict::Error(format!("{asked:?} got {got:?} ({outcome})"));
    }
    if answer.version >= floor {
        Verdict::Right
    } else if outcome.is_bypassed() || answer.version >= firm {
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
    /// It waited for another run of its function, for so long.
    Waited(Duration),
}

/// Tells what the cache added to a call that took `whole`.
pub(crate) fn cost(whole: Duration, notes: Notes, outcome: &Outcome) -> Cost {
    let rest = whole.saturating_sub(notes.body.unwrap_or_default());
    let residue = rest.saturating_sub(notes.spent);
    let usual = if notes.spent.is_zero() { RESIDUE + UNTOLD } else { RESIDUE };
    let waits = match outcome.kind {
        OutcomeKind::Hit | OutcomeKind::LocalHit => false,
        OutcomeKind::Joined | OutcomeKind::Waited => true,
        OutcomeKind::Bypassed(_) if notes.body.is_none() => true,
        OutcomeKind::Bypassed(reason) if may_have_waited(reason) => true,
        // For the lease of a run whose value was not stored, for example.
        _ => residue > usual,
    };
    if waits { Cost::Waited(residue) } else { Cost::Added(rest) }
}

fn may_have_waited(reason: Reason) -> bool {
    use Reason::{Contended, Overtaken, Unshared, WaitOver};
    matches!(reason, Contended | Overtaken | Unshared | WaitOver)
}

#[cfg(test)]
mod tests {
    use cache_runtime::{Cache, cache_result, observe};
    use support::block_on;

    use super::*;
    use crate::world::World;

    const ASKED: Asked = Asked { function: Function::Plain, key: 1, floor: 3, firm: 3, newest: 5 };

    #[cache_result(when = stored, prefix = "judged")]
    async fn anything(stored: bool) -> bool {
        stored
    }

    /// What `observe` says of a call that is stored, and of one that the cache has no part in.
    fn outcome(stored: bool) -> Outcome {
        block_on(Cache::in_memory().scope(observe(anything(stored)))).1
    }

    fn answer(function: Function, key: u32, version: u64) -> Answer {
        let world = World::new();
        for _ in 0..version {
            world.commit(function, key);
        }
        block_on(world.run(function, key))
    }

    fn judged(asked: Asked, answer: Answer) -> Verdict {
        judge(asked, &Ok(answer), &outcome(true))
    }

    #[test]
    fn what_the_function_could_have_returned_is_right() {
        for version in 3..=5 {
            assert_eq!(judged(ASKED, answer(Function::Plain, 1, version)), Verdict::Right);
        }
    }

    #[test]
    fn what_belongs_to_others_or_was_never_committed_is_wrong() {
        let foreign = [(Function::Local, 1, 4), (Function::Plain, 2, 4), (Function::Plain, 1, 6)];
        for (function, key, version) in foreign {
            let verdict = judged(ASKED, answer(function, key, version));
            assert!(matches!(verdict, Verdict::Wrong(_)), "{function:?} {key} {version}");
        }
        let mut torn = answer(Function::Plain, 1, 4);
        torn.version = 5;
        assert!(matches!(judged(ASKED, torn), Verdict::Wrong(_)));
    }

    #[test]
    fn what_is_older_than_an_invalidation_is_wrong_unless_the_promise_has_an_exception() {
        let old = Ok(answer(Function::Plain, 1, 2));
        assert!(matches!(judge(ASKED, &old, &outcome(true)), Verdict::Wrong(_)));
        assert_eq!(judge(ASKED, &old, &outcome(false)), Verdict::Late);
        assert_eq!(judge(Asked { firm: 2, ..ASKED }, &old, &outcome(true)), Verdict::Late);
    }

    #[test]
    fn errors_that_the_function_does_not_return_are_told() {
        let asked = Asked { function: Function::Fallible, ..ASKED };
        let [fails, succeeds] = [4, 5].map(|version| answer(Function::Fallible, 1, version));
        let of = |got| judge(asked, &got, &outcome(true));
        assert_eq!(of(Err(Failed(fails.clone()))), Verdict::Right);
        assert_eq!(of(Ok(succeeds.clone())), Verdict::Right);
        assert!(matches!(of(Ok(fails)), Verdict::Error(_)));
        assert!(matches!(of(Err(Failed(succeeds))), Verdict::Error(_)));
    }

    #[test]
    fn a_wait_is_told_from_traffic_by_what_the_runtime_says_it_has_spent() {
        let [whole, rest, ms, traffic, left] = [100, 99, 1, 60, 39].map(Duration::from_millis);
        let body = Some(ms);
        let of = |spent| cost(whole, Notes { body, spent }, &outcome(true));
        assert_eq!(of(whole), Cost::Added(rest));
        assert_eq!(of(traffic), Cost::Waited(left));
        assert_eq!(of(Duration::ZERO), Cost::Waited(rest));
        let shared = Notes { body: None, spent: ms };
        assert_eq!(cost(whole, shared, &outcome(false)), Cost::Waited(rest));
    }
}
