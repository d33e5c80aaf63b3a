//! An invalidation: one `UNLINK`, sent again until it is delivered.

use crate::case::{Case, Target};
use crate::entry::Entry;
use crate::flaw::Flaw;
use crate::next::Next;
use crate::state::{MISSING, Stage};
use crate::step::Moves;

pub(crate) fn steps(moves: &mut Moves<'_>, invalidation: usize) {
    let case = moves.case;
    let (at, _) = case.invalidations[invalidation];
    if !moves.from.processes[at].alive {
        return;
    }
    match moves.from.invalidations[invalidation].stage {
        Stage::Idle if moves.case.has(Flaw::EmptiedBeforeUnlink) => {
            let mut next = moves.next();
            next.drop_local(at);
            next.invalidations[invalidation].stage = Stage::Emptied;
            moves.possible(next, || format!("process {at} empties its near cache"));
        }
        Stage::Idle => {
            let next = reach(moves, invalidation);
            moves.possible(next, || unlinks(case, invalidation));
            fail(moves, invalidation);
        }
        Stage::Emptied => {
            let next = reach(moves, invalidation);
            moves.sure(next, || unlinks(case, invalidation));
        }
        Stage::Undelivered => {
            let mut next = reach(moves, invalidation);
            if !case.has(Flaw::TombstoneLiftedEarly) {
                next.invalidations[invalidation].stage = Stage::Delivered;
            }
            moves.sure(next, || unlinks(case, invalidation));
        }
        Stage::Reached | Stage::Delivered => return_ok(moves, invalidation),
        Stage::Returned => {}
    }
}

fn unlinks(case: &Case, invalidation: usize) -> String {
    let (at, target) = case.invalidations[invalidation];
    format!("process {at} unlinks the {}", if target == Target::Key { "key" } else { "token" })
}

/// Redis unlinks. Whatever was read from the database before is old from now on.
fn reach<'a>(moves: &Moves<'a>, invalidation: usize) -> Next<'a> {
    let (at, target) = moves.case.invalidations[invalidation];
    let mut next = moves.next();
    next.database += 1;
    next.invalidations[invalidation].version = next.database;
    next.invalidations[invalidation].stage = Stage::Reached;
    match target {
        Target::Key => next.set_entry(Entry::Absent, at),
        Target::Token if moves.case.has(Flaw::WriterInstallsToken) => {
            let token = next.fresh_token();
            next.set_token(token, Some(at));
        }
        Target::Token => next.set_token(MISSING, Some(at)),
    }
    next
}

/// Local tables are dropped after the answer, which is after any fill that came before it.
fn return_ok(moves: &mut Moves<'_>, invalidation: usize) {
    let (at, target) = moves.case.invalidations[invalidation];
    let mut next = moves.next();
    let version = next.invalidations[invalidation].version;
    next.invalidations[invalidation].stage = Stage::Returned;
    next.promised = next.promised.max(version);
    next.processes[at].promised = next.processes[at].promised.max(version);
    if !moves.case.has(Flaw::EmptiedBeforeUnlink) {
        next.drop_local(at);
    }
    if target == Target::Token && moves.case.has(Flaw::WriterInstallsToken) {
        next.processes[at].known_token = next.redis.token;
    }
    moves.sure(next, || format!("the invalidation of process {at} returns Ok"));
}

/// Returns Err and leaves a tombstone, whether Redis has heard of it or not.
fn fail(moves: &mut Moves<'_>, invalidation: usize) {
    let (at, _) = moves.case.invalidations[invalidation];
    let Some(unheard) = moves.fault(|faults| &mut faults.unreachable) else { return };
    let mut heard = reach(moves, invalidation);
    heard.state.faults = unheard.state.faults;
    let mut unheard = unheard;
    unheard.database += 1;
    for (mut next, words) in [(unheard, "does not reach Redis"), (heard, "loses its answer")] {
        next.invalidations[invalidation].stage = Stage::Undelivered;
        next.processes[at].promised = next.database;
        next.drop_local(at);
        moves.possible(next, || format!("the invalidation of process {at} {words}: tombstone"));
    }
}
