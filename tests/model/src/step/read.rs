//! A call's look into Redis, and the row of the state table that it finds.

use std::fmt;

use crate::check::Source;
use crate::entry::{Age, Entry, Id, NOBODY};
use crate::flaw::Flaw;
use crate::inbox::Message;
use crate::next::{Ending, Next};
use crate::state::{Call, Lane, MISSING, Phase, Reply, Token, Version};
use crate::step::{Moves, flight};

/// `MGET` of the key and its token, or one `GET` for each; then the decision.
pub(crate) fn steps(moves: &mut Moves<'_>, call: usize) {
    let (case, read) = (moves.case, moves.from.calls[call].read);
    if let (Some(entry), Some(token)) = (read.entry.here(), read.token.here()) {
        return decide(moves, call, entry, token);
    }
    let (key, token) = (read.entry == Reply::Unsent, read.token == Reply::Unsent);
    let apart = case.cluster || case.has(Flaw::TokensHeldLocally);
    let commands: &[_] = if apart { &[(key, false), (false, token)] } else { &[(key, token)] };
    for &(key, token) in commands {
        let mut next = moves.next();
        if let Some(reply) = send(&mut next, call, key, token) {
            moves.sure(next, || format!("call {call} reads: {reply}"));
        }
    }
}

/// What Redis, or a local table, says.
pub(crate) struct Shown {
    entry: Option<Entry>,
    token: Option<Token>,
    how: &'static str,
}

/// Reads through the lane that the call is to use. Nothing is sent where it cannot be: what is
/// sent into a lane that is cut is sent again once that has been noticed.
pub(crate) fn send(next: &mut Next<'_>, call: usize, key: bool, token: bool) -> Option<Shown> {
    let process = next.processes[next.case.calls[call]];
    let held = token && next.case.has(Flaw::TokensHeldLocally);
    if held && process.known_token != MISSING {
        next.calls[call].read.token = Reply::Here(process.known_token);
        return Some(Shown { entry: None, token: Some(process.known_token), how: ", held here" });
    }
    let listens = next.calls[call].read.tracked || held;
    if (!key && !token) || (listens && process.lane == Lane::Cut) {
        return None;
    }
    if key {
        next.touch();
    }
    let entry = key.then_some(next.redis.entry);
    let current = token.then_some(next.redis.token);
    let tracked = listens && process.lane == Lane::Up;
    let read = &mut next.state.calls[call].read;
    read.in_order = token && (key || read.entry != Reply::Unsent);
    read.tracked &= tracked || next.case.has(Flaw::WaitIgnoresLane);
    if let Some(entry) = entry {
        read.entry = if tracked { Reply::OnItsWay } else { Reply::Here(entry) };
    }
    if let Some(token) = current {
        read.token = if tracked { Reply::OnItsWay } else { Reply::Here(token) };
    }
    if tracked {
        let process = &mut next.state.processes[next.case.calls[call]];
        process.key_tracked |= key;
        process.token_tracked |= token;
        process.inbox.push(Message::Reply { call: call as u8, entry, token: current });
    }
    Some(Shown { entry, token: current, how: if tracked { ", tracked" } else { "" } })
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.entry, self.token) {
            (Some(entry), Some(token)) => write!(f, "{entry}; token {token}")?,
            (Some(entry), None) => write!(f, "{entry}")?,
            (None, token) => write!(f, "token {}", token.unwrap_or(MISSING))?,
        }
        f.write_str(self.how)
    }
}

/// The row of the state table that the call has read.
fn decide(moves: &mut Moves<'_>, call: usize, entry: Entry, token: Token) {
    let case = moves.case;
    if token == MISSING && !case.has(Flaw::MissingTokenMatches) {
        return seed(moves, call);
    }
    let live = entry.token() == token;
    let unbound = |mark| matches!(mark, Entry::Unstored { .. }) && case.has(Flaw::MarkWithoutToken);
    match entry {
        Entry::Value { version, age: Age::Fresh | Age::Stale, .. } if live => {
            hit(moves, call, entry, version);
        }
        mark if mark.is_joint() && (live || unbound(mark)) => {
            flight::run_jointly(moves, call, mark);
        }
        Entry::Value { id, claim: Some(claim), .. } if live && !claim.run_out => {
            join_or_wait(moves, call, id);
        }
        Entry::Lease { id, .. } if live || case.has(Flaw::LeaseWithoutToken) => {
            join_or_wait(moves, call, id);
        }
        Entry::Lease { .. } | Entry::Unstored { .. } | Entry::Value { .. }
            if !live && must_confirm(moves, call) =>
        {
            let mut next = moves.next();
            next.calls[call].read.token = Reply::Unsent;
            moves.sure(next, || format!("call {call} has to see a later token than {token}"));
        }
        // Absent, dead, or too old: to be leased, or claimed.
        _ => flight::join_or_lead(moves, call),
    }
}

/// `SET NX` and `GET`: a missing token matches nothing.
fn seed(moves: &mut Moves<'_>, call: usize) {
    let at = moves.case.calls[call];
    let mut next = moves.next();
    if next.redis.token == MISSING {
        let token = next.fresh_token();
        next.set_token(token, Some(at));
    }
    let token = next.redis.token;
    let read = &mut next.calls[call].read;
    read.token = Reply::Here(token);
    read.in_order = true;
    if moves.case.has(Flaw::SeederInstallsToken) {
        next.processes[at].known_token = token;
    }
    moves.sure(next, || format!("call {call} finds no token, seeds it: {token}"));
}

/// In a cluster the token that makes an entry dead may be older than the entry.
fn must_confirm(moves: &Moves<'_>, call: usize) -> bool {
    let in_order = moves.from.calls[call].read.in_order;
    moves.case.cluster && !in_order && !moves.case.has(Flaw::DeadByAnEarlierToken)
}

fn hit(moves: &mut Moves<'_>, call: usize, entry: Entry, version: Version) {
    let case = moves.case;
    let mut next = moves.next();
    next.serve(call, version, Source::Redis);
    next.end_flight(call, Ending::Value(version));
    fill(&mut next, call, entry, version);
    let Entry::Value { age, claim, .. } = entry else { return };
    let free = claim.is_none_or(|claim| claim.run_out || claim.released);
    if age == Age::Stale && free {
        if case.has(Flaw::RefreshWithoutClaim) {
            next.calls[call].right = entry.id();
            next.calls[call].token = entry.token();
            next.calls[call].phase = Phase::Answered(true);
        } else {
            flight::ask_behind(&mut next, call);
        }
        return moves.sure(next, || format!("call {call} serves version {version} and refreshes"));
    }
    if age == Age::Fresh
        && free
        && let Some(mut next) = moves.fault(|faults| &mut faults.refreshes_ahead)
    {
        next.serve(call, version, Source::Redis);
        flight::ask_behind(&mut next, call);
        moves.possible(next, || format!("call {call} hits version {version}, refreshes ahead"));
    }
    next.calls[call] = Call::ended(Phase::Done);
    moves.sure(next, || format!("call {call} hits version {version}"));
}

/// Rule L: only from the reply of a tracked read whose mark is untouched.
fn fill(next: &mut Next<'_>, call: usize, entry: Entry, version: Version) {
    let read = next.calls[call].read;
    let untouched = !read.touched.key || next.case.has(Flaw::FillIgnoresMarks);
    let fresh = matches!(entry, Entry::Value { age: Age::Fresh, .. });
    let process = &mut next.state.processes[next.case.calls[call]];
    if next.case.near && fresh && read.tracked && untouched && process.lane != Lane::Down {
        process.near = Some((version, entry.token()));
    }
}

/// Rule J, second half: the call has itself read the live lease or claim of a flight.
fn join_or_wait(moves: &mut Moves<'_>, call: usize, id: Id) {
    let at = moves.case.calls[call];
    let mut next = moves.next();
    if let Some(leader) = flight::of_right(moves, at, id) {
        flight::join(&mut next, call, leader);
        return moves.sure(next, || format!("call {call} joins call {leader} by its right {id}"));
    }
    let read = next.calls[call].read;
    let touched = read.touched.key || read.touched.token;
    if read.tracked && !touched && next.processes[at].lane != Lane::Down {
        next.calls[call].phase = Phase::Waiting;
        next.calls[call].right = NOBODY;
        return moves.sure(next, || format!("call {call} waits for {id}"));
    }
    next.calls[call].read_again(true);
    moves.sure(next, || format!("call {call} has to listen before it waits for {id}"));
}
