//! One call, up to its value, its place in a flight, or its asking for a lease.

use crate::case::Case;
use crate::check::Source;
use crate::entry::{Age, Entry, Id, NOBODY};
use crate::flaw::Flaw;
use crate::inbox::Message;
use crate::next::{Ending, Next};
use crate::state::{Call, Lane, MISSING, Phase, Read, Reply, Token};
use crate::step::{Moves, flight};

/// How often others may take the key first before a call runs plainly.
const ATTEMPTS: u8 = 3;

pub(crate) fn steps(moves: &mut Moves<'_>, call: usize) {
    match moves.from.calls[call].phase {
        Phase::Idle => begin(moves, call),
        Phase::Reading => read(moves, call),
        Phase::Seeding => seed(moves, call),
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
    if case.calls_of(at).any(|other| other < call && from.calls[other].phase == Phase::Idle) {
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
        if !can_be_joined_at_once(case, from.calls[leader].phase) {
            continue;
        }
        let mut next = next;
        flight::join(&mut next, call, leader);
        moves.possible(next, || format!("call {call} begins at {at}: joins call {leader}"));
    }
    next.calls[call].read_again(case.near);
    moves.possible(next, || format!("call {call} begins at {at}"));
}

/// Rule J, first half: the function of the flight has not begun.
fn can_be_joined_at_once(case: &Case, leader: Phase) -> bool {
    match leader {
        Phase::Sending | Phase::Answered(_) => true,
        Phase::Settling(Some(_)) => case.has(Flaw::JoinsRunningFlight),
        Phase::Reading => case.has(Flaw::JoinsReadingFlight),
        _ => false,
    }
}

/// `MGET` of the key and its token, or one `GET` for each.
fn read(moves: &mut Moves<'_>, call: usize) {
    let (case, read) = (moves.case, moves.from.calls[call].read);
    if let (Some(entry), Some(token)) = (read.entry.here(), read.token.here()) {
        return decide(moves, call, entry, token);
    }
    let unsent = (read.entry == Reply::Unsent, read.token == Reply::Unsent);
    if !case.cluster && !case.has(Flaw::TokensHeldLocally) {
        return if unsent.0 {
            send(moves, call, true, true)
        };
    }
    if unsent.0 {
        send(moves, call, true, false);
    }
    if unsent.1 {
        send(moves, call, false, true);
    }
}

fn send(moves: &mut Moves<'_>, call: usize, key: bool, token: bool) {
    let at = moves.case.calls[call];
    let mut next = moves.next();
    let held = token && !key && moves.case.has(Flaw::TokensHeldLocally);
    let known = next.processes[at].known_token;
    if held && known != MISSING {
        next.calls[call].read.token = Reply::Here(known);
        return moves.sure(next, || format!("call {call} knows the token: {known}"));
    }
    if key {
        next.touch();
    }
    let entry = key.then_some(next.redis.entry);
    let current = token.then_some(next.redis.token);
    let shown = || match (entry, current) {
        (Some(entry), Some(token)) => format!("{entry}; token {token}"),
        (Some(entry), None) => format!("{entry}"),
        (None, token) => format!("token {}", token.unwrap_or(MISSING)),
    };
    let listens = next.calls[call].read.tracked || held;
    match next.processes[at].lane {
        // No reply will come: the call reads again once the loss has been noticed.
        Lane::Cut if listens => {}
        Lane::Up if listens => {
            send_tracked(&mut next, call, entry, current);
            moves.sure(next, || format!("call {call} reads, tracked: {}", shown()));
        }
        _ => {
            let read = &mut next.calls[call].read;
            read.tracked &= moves.case.has(Flaw::WaitIgnoresLane);
            read.entry = entry.map_or(read.entry, Reply::Here);
            read.token = current.map_or(read.token, Reply::Here);
            note_order(read, key, token);
            moves.sure(next, || format!("call {call} reads: {}", shown()));
        }
    }
}

fn send_tracked(next: &mut Next<'_>, call: usize, entry: Option<Entry>, token: Option<Token>) {
    let process = &mut next.state.processes[next.case.calls[call]];
    process.key_tracked |= entry.is_some();
    process.token_tracked |= token.is_some();
    process.inbox.push(Message::Reply { call: call as u8, entry, token });
    let read = &mut next.state.calls[call].read;
    if entry.is_some() {
        read.entry = Reply::OnItsWay;
    }
    if token.is_some() {
        read.token = Reply::OnItsWay;
    }
    note_order(read, entry.is_some(), token.is_some());
}

fn note_order(read: &mut Read, key: bool, token: bool) {
    read.in_order = token && (key || read.entry != Reply::Unsent);
}

/// The row of the state table that the call has read.
fn decide(moves: &mut Moves<'_>, call: usize, entry: Entry, token: Token) {
    let case = moves.case;
    if token == MISSING && !case.has(Flaw::MissingTokenMatches) {
        let mut next = moves.next();
        next.calls[call].phase = Phase::Seeding;
        return moves.sure(next, || format!("call {call} finds no token"));
    }
    let live = entry.token() == token;
    match entry {
        Entry::Value { version, age: Age::Fresh | Age::Stale, .. } if live => {
            hit(moves, call, entry, version);
        }
        Entry::Value { id, claim: Some(claim), .. } if live && !claim.run_out => {
            join_or_wait(moves, call, id);
        }
        Entry::Lease { id, .. } if live || case.has(Flaw::LeaseWithoutToken) => {
            join_or_wait(moves, call, id);
        }
        // Absent is absent under any token.
        Entry::Lease { .. } | Entry::Value { .. } if !live && must_confirm(moves, call) => {
            let mut next = moves.next();
            next.calls[call].read.token = Reply::Unsent;
            moves.sure(next, || format!("call {call} has to see a later token than {token}"));
        }
        // Absent, dead, or too old: to be leased, or claimed.
        _ => flight::join_or_lead(moves, call, ATTEMPTS),
    }
}

/// In a cluster the token that makes an entry dead may be older than the entry.
fn must_confirm(moves: &Moves<'_>, call: usize) -> bool {
    let in_order = moves.from.calls[call].read.in_order;
    moves.case.cluster && !in_order && !moves.case.has(Flaw::DeadByAnEarlierToken)
}

fn hit(moves: &mut Moves<'_>, call: usize, entry: Entry, version: u8) {
    let case = moves.case;
    let mut next = moves.next();
    next.serve(call, version, Source::Redis);
    next.end_flight(call, Ending::Value(version));
    fill(&mut next, call, entry, version);
    let Entry::Value { age, claim, .. } = entry else { return };
    let free = claim.is_none_or(|claim| claim.run_out);
    if age == Age::Stale && free && !moves.from.calls[call].behind {
        if case.has(Flaw::RefreshWithoutClaim) {
            next.calls[call].right = entry.id();
            next.calls[call].phase = Phase::Answered(true);
        } else {
            flight::ask_behind(&mut next, call);
        }
        return moves.sure(next, || format!("call {call} serves version {version} and refreshes"));
    }
    if age == Age::Fresh && free {
        if let Some(mut next) = moves.fault(|faults| &mut faults.refreshes_ahead) {
            next.serve(call, version, Source::Redis);
            flight::ask_behind(&mut next, call);
            moves.possible(next, || format!("call {call} hits version {version}, refreshes ahead"));
        }
    }
    next.calls[call] = Call::ended(Phase::Done);
    moves.sure(next, || format!("call {call} hits version {version}"));
}

/// Rule L: only from the reply of a tracked read whose mark is untouched.
fn fill(next: &mut Next<'_>, call: usize, entry: Entry, version: u8) {
    let read = next.calls[call].read;
    let untouched = !read.key_touched || next.case.has(Flaw::FillIgnoresMarks);
    let fresh = matches!(entry, Entry::Value { age: Age::Fresh, .. });
    let process = &mut next.state.processes[next.case.calls[call]];
    if next.case.near && fresh && read.tracked && untouched && process.lane != Lane::Down {
        process.near = Some((version, entry.token()));
    }
}

/// Rule J, second half: the call has itself read the live lease or claim of a flight.
fn join_or_wait(moves: &mut Moves<'_>, call: usize, id: Id) {
    let at = moves.case.calls[call];
    let leader = flight::of_right(moves, at, id);
    let mut next = moves.next();
    if let Some(leader) = leader {
        flight::join(&mut next, call, leader);
        return moves.sure(next, || format!("call {call} joins call {leader} by its right {id}"));
    }
    let read = next.calls[call].read;
    let touched = read.key_touched || read.token_touched;
    if read.tracked && !touched && next.processes[at].lane != Lane::Down {
        next.calls[call].phase = Phase::Waiting;
        next.calls[call].right = NOBODY;
        return moves.sure(next, || format!("call {call} waits for {id}"));
    }
    next.calls[call].read_again(true);
    moves.sure(next, || format!("call {call} has to listen before it waits for {id}"));
}

fn seed(moves: &mut Moves<'_>, call: usize) {
    let at = moves.case.calls[call];
    let mut next = moves.next();
    if next.redis.token == MISSING {
        let token = next.fresh_token();
        next.set_token(token, Some(at));
    }
    let token = next.redis.token;
    next.calls[call].read.token = Reply::Here(token);
    next.calls[call].read.in_order = true;
    next.calls[call].phase = Phase::Reading;
    if moves.case.has(Flaw::SeederInstallsToken) {
        next.processes[at].known_token = token;
    }
    moves.sure(next, || format!("call {call} seeds the token: {token}"));
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
        next.calls[call].read.token = moves.from.calls[call].read.token;
        next.calls[call].phase = Phase::Settling(Some(version));
    }
    moves.sure(next, || format!("call {call} runs plainly, returns version {version}"));

    if let Some(mut next) = moves.fault(|faults| &mut faults.failures) {
        next.fail(call);
        next.end_flight(call, Ending::Failed);
        next.calls[call] = Call::ended(Phase::Done);
        moves.possible(next, || format!("call {call} runs plainly, and fails"));
    }
}
