//! The leader of a flight: from asking for a lease or a claim to its populate or give-up.

use crate::check::Source;
use crate::entry::{Age, Claim, Entry, Id, NOBODY};
use crate::flaw::Flaw;
use crate::next::{Ending, Next};
use crate::state::{Call, Lane, Late, Phase, Version};
use crate::step::Moves;

/// How often others may take the key first before a call runs plainly.
const ATTEMPTS: u8 = 3;

pub(crate) fn steps(moves: &mut Moves<'_>, call: usize) {
    match moves.from.calls[call].phase {
        Phase::Sending => {
            ask(moves, call);
            time_out(moves, call);
        }
        Phase::Answered(true) => {
            run(moves, call);
            lose_answer(moves, call);
            extend(moves, call);
            drop_leader(moves, call);
        }
        Phase::Answered(false) => refused(moves, call),
        Phase::Settling(result) => {
            settle(moves, call, result);
            extend(moves, call);
        }
        Phase::Landing(_) => {
            let mut next = moves.next();
            next.calls[call] = Call::ended(Phase::Done);
            moves.sure(next, || format!("call {call} ends its flight"));
        }
        _ => {}
    }
}

/// Joins a flight of this process whose function has not begun, or leads one that asks.
pub(crate) fn join_or_lead(moves: &mut Moves<'_>, call: usize) {
    let at = moves.case.calls[call];
    let mut next = moves.next();
    if next.calls[call].attempts >= ATTEMPTS {
        next.run_plainly(call);
        return moves.sure(next, || format!("call {call} was refused too often"));
    }
    let open = |&leader: &usize| {
        matches!(moves.from.calls[leader].phase, Phase::Sending | Phase::Answered(_))
    };
    let leader = moves.case.calls_of(at).find(open);
    if let Some(leader) = leader {
        next.calls[call].phase = Phase::Joined(leader as u8);
        return moves.sure(next, || format!("call {call} misses, joins call {leader}"));
    }
    let right = lead(&mut next, call);
    moves.sure(next, || format!("call {call} asks for {right}"));
}

/// A refresh behind a caller that has been served.
pub(crate) fn ask_behind(next: &mut Next<'_>, call: usize) {
    next.calls[call].behind = true;
    lead(next, call);
}

fn lead(next: &mut Next<'_>, call: usize) -> Id {
    let right = next.fresh_id();
    let call = &mut next.calls[call];
    call.right = right;
    call.token = call.read.token.here().unwrap_or_default();
    call.phase = Phase::Sending;
    right
}

/// The flight of this process that has, or had until now, this right.
pub(crate) fn of_right(moves: &Moves<'_>, at: usize, id: Id) -> Option<usize> {
    let named = |&call: &usize| {
        let call = &moves.from.calls[call];
        let joinable =
            matches!(call.phase, Phase::Answered(_) | Phase::Settling(_) | Phase::Landing(_));
        joinable && call.right == id && id != NOBODY
    };
    moves.case.calls_of(at).find(named)
}

/// Joins a flight, or takes at once what has become of it.
pub(crate) fn join(next: &mut Next<'_>, call: usize, leader: usize) {
    match next.calls[leader].phase {
        Phase::Settling(Some(version)) | Phase::Landing(Some(version)) => {
            next.end_membership(call, Ending::Value(version), None);
        }
        Phase::Settling(None) | Phase::Landing(None) => {
            next.end_membership(call, Ending::Failed, None);
        }
        _ => next.calls[call].phase = Phase::Joined(leader as u8),
    }
}

fn seen(call: &Call) -> Entry {
    call.read.entry.here().unwrap_or_default()
}

fn ask(moves: &mut Moves<'_>, call: usize) {
    let mut next = moves.next();
    let id = next.calls[call].right;
    let (entry, token) = (seen(&next.calls[call]), next.calls[call].token);
    let granted = next.take(entry, token, id, moves.case.calls[call]);
    next.calls[call].phase = Phase::Answered(granted);
    moves.sure(next, || {
        let answer = if granted { "granted" } else { "refused" };
        format!("call {call}'s {id} in place of {entry} is {answer}")
    });
}

fn refused(moves: &mut Moves<'_>, call: usize) {
    let mut next = moves.next();
    next.end_flight(call, Ending::Dissolved);
    if next.calls[call].behind {
        next.calls[call] = Call::ended(Phase::Done);
    } else if moves.case.has(Flaw::WaitsAfterRefusal) {
        next.calls[call].phase = Phase::Waiting;
        next.calls[call].right = NOBODY;
    } else {
        next.calls[call].attempts += 1;
        next.calls[call].read_again(true);
    }
    moves.sure(next, || format!("call {call} sees that it was refused"));
}

/// Rule F: the function begins only now that its OK is there. An outcome that is unknown means a
/// plain run, shared by those who have joined, and a give-up behind it on the same lane.
fn time_out(moves: &mut Moves<'_>, call: usize) {
    let Some(mut next) = moves.fault(|faults| &mut faults.timeouts) else { return };
    let process = moves.case.calls[call] as u8;
    let id = next.calls[call].right;
    let (seen, token) = (seen(&next.calls[call]), next.calls[call].token);
    next.late = Some(Late::OnItsWay { process, seen, new: Entry::Lease { id, token } });
    if moves.case.has(Flaw::UnknownLeaseCounts) {
        next.calls[call].phase = Phase::Answered(true);
    } else {
        run_without_right(&mut next, call);
    }
    moves.possible(next, || format!("call {call}'s {id} times out, and is still on its way"));
}

fn lose_answer(moves: &mut Moves<'_>, call: usize) {
    let Some(mut next) = moves.fault(|faults| &mut faults.timeouts) else { return };
    let (process, id) = (moves.case.calls[call] as u8, next.calls[call].right);
    next.late = Some(Late::GiveUp { process, id });
    run_without_right(&mut next, call);
    moves.possible(next, || format!("the answer to call {call}'s {id} is lost"));
}

/// A leader that is dropped hands over to a member, under the same right; without members it gives
/// up. What the leader has read is not handed over: its stale value may be too old for the member.
fn drop_leader(moves: &mut Moves<'_>, call: usize) {
    let Some(mut next) = moves.fault(|faults| &mut faults.drops) else { return };
    let joined = Phase::Joined(call as u8);
    let member = (0..next.calls.len()).find(|&member| next.calls[member].phase == joined);
    let Some(heir) = member else {
        next.calls[call].phase = Phase::Settling(None);
        return moves.possible(next, || format!("call {call} is dropped, and gives up"));
    };
    let Call { right, token, .. } = next.calls[call];
    next.calls[call] = Call::ended(Phase::Done);
    let phase = Phase::Answered(true);
    next.calls[heir] = Call { phase, right, token, ..next.calls[heir] };
    for member in next.calls.iter_mut().filter(|member| member.phase == joined) {
        member.phase = Phase::Joined(heir as u8);
    }
    moves.possible(next, || format!("call {call} is dropped, and hands over to call {heir}"));
}

fn run_without_right(next: &mut Next<'_>, call: usize) {
    if next.calls[call].behind {
        next.end_flight(call, Ending::Dissolved);
        next.calls[call] = Call::ended(Phase::Done);
    } else {
        next.run_plainly(call);
    }
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
    next.calls[call].phase = Phase::Settling(Some(version));
    moves.sure(next, || format!("call {call} runs, returns version {version}"));

    if let Some(mut next) = moves.fault(|faults| &mut faults.failures) {
        if !next.calls[call].behind {
            next.fail(call);
        }
        next.end_flight(call, Ending::Failed);
        next.calls[call].phase = Phase::Settling(None);
        moves.possible(next, || format!("call {call} runs, and fails"));
    }
}

/// Populates where its right still stands, or gives it up.
fn settle(moves: &mut Moves<'_>, call: usize, result: Option<Version>) {
    let at = moves.case.calls[call];
    let mut next = moves.next();
    let right = next.calls[call].right;
    let done = match result {
        Some(version) => populate(&mut next, call, version),
        None => next.give_up(right, at),
    };
    next.calls[call].phase = Phase::Landing(result);
    moves.sure(next, || {
        let what = if result.is_some() { "populate" } else { "give-up" };
        format!("call {call}'s {what} is {}", if done { "done" } else { "refused" })
    });
}

fn populate(next: &mut Next<'_>, call: usize, version: Version) -> bool {
    let at = next.case.calls[call];
    next.touch();
    let right = next.calls[call].right;
    let unfenced = right == NOBODY && next.case.has(Flaw::PlainRunStores);
    // Absent has nobody's id.
    if next.redis.entry.id() != right || (right == NOBODY && !unfenced) {
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
    let Some(mut next) = moves.fault(|faults| &mut faults.extensions) else { return };
    next.touch();
    let right = next.calls[call].right;
    let token = next.calls[call].token;
    let extended = match next.redis.entry {
        Entry::Value { id, claim: Some(claim), .. } if id == right => {
            let claim = Claim { mark: claim.mark + 1, run_out: false };
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
