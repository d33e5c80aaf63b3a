//! The listening lane of a process, and its death.

use crate::entry::Id;
use crate::inbox::{Inbox, Message};
use crate::next::Next;
use crate::state::{Call, Lane, Late, MISSING, Marks, Phase, Reply};
use crate::step::Moves;

pub(crate) fn steps(moves: &mut Moves<'_>, at: usize) {
    if !moves.from.processes[at].alive {
        return;
    }
    match moves.from.processes[at].lane {
        Lane::Up => {
            hear(moves, at);
            if moves.case.calls_of(at).next().is_some() {
                cut(moves, at);
            }
        }
        Lane::Cut => notice(moves, at),
        Lane::Down => {
            let mut next = moves.next();
            next.processes[at].lane = Lane::Up;
            moves.sure(next, || format!("process {at} listens again"));
        }
    }
    crash(moves, at);
}

fn hear(moves: &mut Moves<'_>, at: usize) {
    let mut next = moves.next();
    let Some(message) = next.processes[at].inbox.pop() else { return };
    match message {
        Message::KeyChanged => {
            next.processes[at].near = None;
            hear_push(&mut next, at, true);
            moves.sure(next, || format!("process {at} hears that the key has changed"));
        }
        Message::TokenChanged => {
            next.processes[at].known_token = MISSING;
            hear_push(&mut next, at, false);
            moves.sure(next, || format!("process {at} hears that the token has changed"));
        }
        Message::Reply { call, entry, token } => {
            let (call, keeps) = (usize::from(call), moves.case.keeps_tokens());
            let read = &mut next.state.calls[call].read;
            read.entry = entry.map_or(read.entry, Reply::Here);
            read.token = token.map_or(read.token, Reply::Here);
            let untouched = !read.touched.token || moves.case.has(crate::Flaw::FillIgnoresMarks);
            if let Some(token) = token.filter(|_| keeps && untouched) {
                next.processes[at].known_token = token;
            }
            moves.sure(next, || format!("process {at} hears the reply to call {call}"));
        }
    }
}

/// Touches marks and wakes waiters.
fn hear_push(next: &mut Next<'_>, at: usize, key: bool) {
    for call in next.case.calls_of(at) {
        if next.calls[call].phase == Phase::Waiting {
            next.calls[call].read_again(true);
        } else {
            next.touch_marks(call, Marks { key, token: !key });
        }
    }
}

fn cut(moves: &mut Moves<'_>, at: usize) {
    let Some(mut next) = moves.fault(|faults| &mut faults.cuts) else { return };
    let process = &mut next.processes[at];
    process.lane = Lane::Cut;
    process.inbox = Inbox::EMPTY;
    process.key_tracked = false;
    process.token_tracked = false;
    moves.possible(next, || format!("the lane of process {at} is cut, unnoticed"));
}

/// The lane's epoch ends: local tables are dropped, what was asked is asked again.
fn notice(moves: &mut Moves<'_>, at: usize) {
    let mut next = moves.next();
    next.processes[at].lane = Lane::Down;
    next.drop_local(at);
    for call in moves.case.calls_of(at) {
        let on_its_way = next.calls[call].read.entry == Reply::OnItsWay
            || next.calls[call].read.token == Reply::OnItsWay;
        if next.calls[call].phase == Phase::Waiting || on_its_way {
            next.calls[call].read_again(true);
        }
    }
    moves.sure(next, || format!("process {at} notices that its lane is lost"));
}

fn crash(moves: &mut Moves<'_>, at: usize) {
    let pending = moves.case.calls_of(at).any(|call| moves.from.calls[call].is_pending());
    let Some(mut next) = moves.fault(|faults| &mut faults.crashes).filter(|_| pending) else {
        return;
    };
    let process = &mut next.processes[at];
    process.alive = false;
    process.inbox = Inbox::EMPTY;
    process.near = None;
    process.known_token = MISSING;
    process.key_tracked = false;
    process.token_tracked = false;
    for call in moves.case.calls_of(at) {
        next.calls[call] = Call::ended(Phase::Crashed);
    }
    // What is on its way arrives all the same; a give-up that is still to be sent does not.
    if matches!(next.late, Some(Late::GiveUp { process, .. }) if usize::from(process) == at) {
        next.late = None;
    }
    moves.possible(next, || format!("process {at} crashes"));
}

/// The late command of a lease or claim that nobody waits for, and the give-up behind it.
pub(crate) fn late_steps(moves: &mut Moves<'_>) {
    let mut next = moves.next();
    match moves.from.late {
        Some(Late::OnItsWay { process, seen, new }) => {
            let (at, id): (usize, Id) = (usize::from(process), new.id());
            let taken = next.take(seen, new.token(), id, at);
            let owes = taken
                && next.processes[at].alive
                && !moves.case.has(crate::Flaw::UnknownLeaseCounts);
            next.late = owes.then_some(Late::GiveUp { process, id });
            moves.sure(next, || {
                let answer = if taken { "is taken" } else { "is refused" };
                format!("the late command arrives: {id} {answer}")
            });
        }
        Some(Late::GiveUp { process, id }) => {
            let done = next.give_up(id, usize::from(process));
            next.late = None;
            moves.sure(next, || {
                format!("the give-up of {id} is {}", if done { "done" } else { "refused" })
            });
        }
        None => {}
    }
}
