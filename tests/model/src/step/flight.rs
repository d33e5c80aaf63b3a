//! Flights: joined by members, led by whoever asks for a lease or a claim.

use crate::entry::{Entry, Id, NOBODY};
use crate::flaw::Flaw;
use crate::next::{Ending, Next};
use crate::state::{Call, Late, Phase, Result};
use crate::step::{Moves, run};

/// How often others may take the key first before a call runs plainly.
const ATTEMPTS: u8 = 3;

pub(crate) fn steps(moves: &mut Moves<'_>, call: usize) {
    match moves.from.calls[call].phase {
        Phase::Sending => {
            ask(moves, call);
            time_out(moves, call);
        }
        Phase::Answered(true) => {
            if !moves.from.calls[call].joint {
                lose_answer(moves, call);
            }
            run::steps(moves, call);
        }
        Phase::Answered(false) => refused(moves, call),
        Phase::Settling(result) => run::settle(moves, call, result),
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
        let leader = &moves.from.calls[leader];
        !leader.joint && matches!(leader.phase, Phase::Sending | Phase::Answered(_))
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

/// Runs at once, under the mark that the call has itself read live: by itself or, where one of its
/// process does so already, jointly with that one.
pub(crate) fn run_jointly(moves: &mut Moves<'_>, call: usize, mark: Entry) {
    let (at, id) = (moves.case.calls[call], mark.id());
    let mut next = moves.next();
    if let Some(leader) = of_right(moves, at, id) {
        join(&mut next, call, leader);
        return moves.sure(next, || format!("call {call} joins call {leader} by the mark {id}"));
    }
    let leads = &mut next.calls[call];
    (leads.right, leads.token) = (id, mark.token());
    leads.joint = true;
    leads.phase = Phase::Answered(true);
    moves.sure(next, || format!("call {call} runs at once under the mark {id}"));
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
        Phase::Settling(Result::Value(version)) | Phase::Landing(Result::Value(version)) => {
            next.end_membership(call, Ending::Value(version), None);
        }
        Phase::Settling(_) | Phase::Landing(_) => {
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

fn run_without_right(next: &mut Next<'_>, call: usize) {
    if next.calls[call].behind {
        next.end_flight(call, Ending::Dissolved);
        next.calls[call] = Call::ended(Phase::Done);
    } else {
        next.run_plainly(call);
    }
}
