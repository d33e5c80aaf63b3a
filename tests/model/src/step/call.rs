//! The beginning of a call, its waiting, and its run without a lease.

use crate::case::Case;
use crate::check::Source;
use crate::entry::Entry;
use crate::flaw::Flaw;
use crate::next::Ending;
use crate::state::{Call, Phase, Result};
use crate::step::{Moves, flight, read};

pub(crate) fn steps(moves: &mut Moves<'_>, call: usize) {
    match moves.from.calls[call].phase {
        Phase::Idle => begin(moves, call),
        Phase::Reading => read::steps(moves, call),
        Phase::Waiting => wait(moves, call),
        Phase::Joined(_) => wait_is_over(moves, call),
        Phase::Plain => run_plainly(moves, call),
        Phase::Sending | Phase::Answered(_) | Phase::Settling(_) | Phase::Landing(_) => {
            flight::steps(moves, call);
        }
        Phase::Done | Phase::Crashed => {}
    }
}

fn begin(moves: &mut Moves<'_>, call: usize) {
    let (case, from) = (moves.case, moves.from);
    let at = case.calls[call];
    // Calls of one process are interchangeable: they begin in order.
    let first = case.calls_of(at).find(|&call| from.calls[call].phase == Phase::Idle);
    if first != Some(call) && !case.every_order {
        return;
    }
    let mut next = moves.next();
    next.calls[call].floor = from.promised;
    next.calls[call].own_floor = from.processes[at].promised;

    if from.has_tombstone(case, at) && !case.has(Flaw::TombstoneIgnored) {
        next.run_plainly(call);
        return moves.possible(next, || format!("call {call} begins at {at}: tombstone"));
    }
    if let Some(version) = from.processes[at].near_hit().filter(|_| case.near) {
        next.serve(call, version, Source::Near);
        next.calls[call] = Call::ended(Phase::Done);
        return moves
            .possible(next, || format!("call {call} begins at {at}: near hit, version {version}"));
    }
    for leader in case.calls_of(at) {
        if can_be_joined_at_once(case, &from.calls[leader]) {
            let mut next = next.clone();
            flight::join(&mut next, call, leader);
            moves.possible(next, || format!("call {call} begins at {at}: joins call {leader}"));
        }
    }
    next.calls[call].read_again(case.near);
    if !reads_as_it_begins(case) {
        return moves.possible(next, || format!("call {call} begins at {at}"));
    }
    if let Some(reply) = read::send(&mut next, call, true, true) {
        moves.possible(next, || format!("call {call} begins at {at}, reads: {reply}"));
    }
}

/// Rule J, first half: the function of the flight has not begun.
fn can_be_joined_at_once(case: &Case, leader: &Call) -> bool {
    let running = case.has(Flaw::JoinsRunningFlight)
        || (leader.joint && case.has(Flaw::JoinsUnderUnreadMark));
    match leader.phase {
        // Under a mark it begins at once.
        Phase::Answered(true) if leader.joint => running,
        Phase::Sending | Phase::Answered(_) => true,
        Phase::Settling(Result::Value(_)) => running,
        Phase::Reading => case.has(Flaw::JoinsReadingFlight),
        _ => false,
    }
}

/// A call that has begun and has not yet read might as well begin later, when more is promised to
/// it: that is all that is looked at. Not so where its beginning looks at a near cache or at a
/// tombstone, where it reads more than once, or where it could be joined meanwhile.
fn reads_as_it_begins(case: &Case) -> bool {
    let looks = case.near || case.faults.unreachable > 0;
    let reads_twice = case.cluster || case.has(Flaw::TokensHeldLocally);
    let matters = looks || reads_twice || case.has(Flaw::JoinsReadingFlight);
    !matters && !case.every_order
}

/// A push wakes a waiter where it is delivered; here are its timers.
fn wait(moves: &mut Moves<'_>, call: usize) {
    let redis = moves.from.redis;
    let run_out = matches!(redis.entry, Entry::Value { claim: Some(claim), .. } if claim.run_out);
    if (redis.expired || run_out) && !moves.case.has(Flaw::WaitWithoutTimer) {
        let mut next = moves.next();
        next.calls[call].read_again(true);
        moves.sure(next, || format!("call {call} wakes: the time of what it waits for is over"));
    }
    wait_is_over(moves, call);
}

fn wait_is_over(moves: &mut Moves<'_>, call: usize) {
    if let Some(mut next) = moves.fault(|faults| &mut faults.waits_over) {
        next.run_plainly(call);
        moves.possible(next, || format!("call {call} has waited for long enough"));
    }
}

/// Runs, returns and shares in one step: the versions that calls may have were settled when they
/// began, and nobody can join a plain run.
fn run_plainly(moves: &mut Moves<'_>, call: usize) {
    let mut next = moves.next();
    let version = next.database;
    next.serve(call, version, Source::Run);
    next.end_flight(call, Ending::Value(version));
    next.calls[call] = Call::ended(Phase::Done);
    if moves.case.has(Flaw::PlainRunStores) {
        next.calls[call].token = moves.from.calls[call].read.token.here().unwrap_or_default();
        next.calls[call].phase = Phase::Settling(Result::Value(version));
    }
    moves.sure(next, || format!("call {call} runs plainly, returns version {version}"));

    if let Some(mut next) = moves.fault(|faults| &mut faults.failures) {
        next.fail(call);
        next.end_flight(call, Ending::Failed);
        next.calls[call] = Call::ended(Phase::Done);
        moves.possible(next, || format!("call {call} runs plainly, and fails"));
    }
}
