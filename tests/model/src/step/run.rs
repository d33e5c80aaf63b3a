//! The run of a flight's function, under a lease or a claim, up to its populate or give-up.

use crate::check::Source;
use crate::entry::{Age, Claim, Entry, NOBODY};
use crate::flaw::Flaw;
use crate::next::{Ending, Next};
use crate::state::{Call, Lane, Phase, Result, Version};
use crate::step::Moves;

pub(crate) fn steps(moves: &mut Moves<'_>, call: usize) {
    run(moves, call);
    extend(moves, call);
    drop_leader(moves, call);
}

/// The function reads the database, and its result goes to all who have joined.
///
/// That it also takes time changes nothing: until the populate is sent the flight can be joined by
/// its right alone, whether the members get the value at its end or, as here, at once.
fn run(moves: &mut Moves<'_>, call: usize) {
    let mut next = moves.next();
    let version = next.database;
    if !next.calls[call].behind {
        next.serve(call, version, Source::Run);
    }
    next.end_flight(call, Ending::Value(version));
    next.calls[call].phase = Phase::Settling(Result::Value(version));
    moves.sure(next, || format!("call {call} runs, returns version {version}"));

    if let Some(mut next) = moves.fault(|faults| &mut faults.failures) {
        if !next.calls[call].behind {
            next.fail(call);
        }
        next.end_flight(call, Ending::Failed);
        next.calls[call].phase = Phase::Settling(Result::Unstored);
        moves.possible(next, || format!("call {call} runs, and fails"));
    }
}

/// Populates where its right still stands, or gives it up.
pub(crate) fn settle(moves: &mut Moves<'_>, call: usize, result: Result) {
    extend(moves, call);
    let at = moves.case.calls[call];
    let mut next = moves.next();
    let Call { right, joint, .. } = next.calls[call];
    let done = match result {
        Result::Value(version) => populate(&mut next, call, version),
        // Others may run under the mark.
        Result::Unstored | Result::Dropped if joint => true,
        Result::Unstored => next.release(right, at),
        Result::Dropped => next.give_up(right, at),
    };
    next.calls[call].phase = Phase::Landing(result);
    moves.sure(next, || {
        let what = if matches!(result, Result::Value(_)) { "populate" } else { "give-up" };
        format!("call {call}'s {what} is {}", if done { "done" } else { "refused" })
    });
}

fn populate(next: &mut Next<'_>, call: usize, version: Version) -> bool {
    let at = next.case.calls[call];
    next.touch();
    let right = next.calls[call].right;
    let unfenced = right == NOBODY && next.case.has(Flaw::PlainRunStores);
    let gone = next.redis.entry == Entry::Absent;
    let unmarked = gone && next.calls[call].joint && next.case.has(Flaw::MarkMayBeGone);
    // Absent has nobody's id.
    let seen = next.redis.entry.id() == right && (right != NOBODY || unfenced);
    if !seen && !unmarked {
        return false;
    }
    let mut token = next.calls[call].token;
    if next.case.has(Flaw::TokenReadAfterRun) {
        token = next.redis.token;
    }
    let id = next.fresh_id();
    next.set_entry(Entry::Value { id, version, token, age: Age::Fresh, claim: None }, at);
    if next.case.has(Flaw::PopulateFillsNear) && next.processes[at].lane == Lane::Up {
        next.processes[at].near = Some((version, token));
    }
    true
}

/// By compare-and-set of the id on itself, so that what is lost stays lost.
fn extend(moves: &mut Moves<'_>, call: usize) {
    if moves.from.calls[call].joint {
        return;
    }
    let Some(mut next) = moves.fault(|faults| &mut faults.extensions) else { return };
    next.touch();
    let right = next.calls[call].right;
    let token = next.calls[call].token;
    let extended = match next.redis.entry {
        Entry::Value { id, claim: Some(claim), .. } if id == right => {
            let claim = Claim { mark: claim.mark + 1, ..Claim::NEW };
            next.redis.entry.with_claim(id, Some(claim))
        }
        lease @ Entry::Lease { id, .. } if id == right => lease,
        Entry::Absent if moves.case.has(Flaw::ExtensionRetakes) => {
            Entry::Lease { id: right, token }
        }
        _ => return,
    };
    next.set_entry(extended, moves.case.calls[call]);
    moves.possible(next, || format!("call {call} extends {right}"));
}

/// A leader that is dropped hands over to a member, under the same right; without members it gives
/// up. What the leader has read is not handed over: its stale value may be too old for the member.
fn drop_leader(moves: &mut Moves<'_>, call: usize) {
    let Some(mut next) = moves.fault(|faults| &mut faults.drops) else { return };
    let joined = Phase::Joined(call as u8);
    let member = (0..next.calls.len()).find(|&member| next.calls[member].phase == joined);
    let Some(heir) = member else {
        next.calls[call].phase = Phase::Settling(Result::Dropped);
        return moves.possible(next, || format!("call {call} is dropped, and gives up"));
    };
    let Call { right, joint, token, .. } = next.calls[call];
    next.calls[call] = Call::ended(Phase::Done);
    let phase = Phase::Answered(true);
    next.calls[heir] = Call { phase, right, joint, token, ..next.calls[heir] };
    for member in next.calls.iter_mut().filter(|member| member.phase == joined) {
        member.phase = Phase::Joined(heir as u8);
    }
    moves.possible(next, || format!("call {call} is dropped, and hands over to call {heir}"));
}
