//! Time, and Redis by itself.

use crate::entry::{Age, Claim, Entry};
use crate::state::MISSING;
use crate::step::{Moves, process};

pub(crate) fn steps(moves: &mut Moves<'_>) {
    expire(moves);
    collect(moves);
    evict(moves);
    age(moves);
    run_out(moves);
    age_mark(moves);
    process::late_steps(moves);
}

/// A lease or claim whose owner is gone is bound to end; anything else may.
fn expire(moves: &mut Moves<'_>) {
    let entry = moves.from.redis.entry;
    if entry == Entry::Absent {
        return;
    }
    let orphan = matches!(entry, Entry::Lease { id, .. } if !moves.from.has_owner(id));
    let brief = matches!(entry, Entry::Unstored { aged: true, .. });
    let next = if orphan || brief {
        Some(moves.next())
    } else {
        moves.fault(|faults| &mut faults.expiries)
    };
    if let Some(mut next) = next {
        next.redis.entry = Entry::Absent;
        next.redis.expired = true;
        moves.add(next, orphan, || "the key expires, unheard".into());
    }
}

/// Redis comes across the expired key by itself, which nobody may rely on.
fn collect(moves: &mut Moves<'_>) {
    if moves.from.redis.expired {
        let mut next = moves.next();
        next.touch();
        moves.possible(next, || "Redis collects the expired key".into());
    }
}

fn evict(moves: &mut Moves<'_>) {
    if moves.from.redis.token == MISSING {
        return;
    }
    if let Some(mut next) = moves.fault(|faults| &mut faults.evictions) {
        next.set_token(MISSING, None);
        moves.possible(next, || "the token is evicted".into());
    }
}

fn age(moves: &mut Moves<'_>) {
    let Entry::Value { id, version, token, age, claim } = moves.from.redis.entry else { return };
    let older = match age {
        Age::Fresh => Age::Stale,
        Age::Stale => Age::Old,
        Age::Old => return,
    };
    if let Some(mut next) = moves.fault(|faults| &mut faults.agings) {
        next.redis.entry = Entry::Value { id, version, token, age: older, claim };
        moves.possible(next, || format!("the value becomes {older:?}"));
    }
}

fn run_out(moves: &mut Moves<'_>) {
    let entry = moves.from.redis.entry;
    let Entry::Value { id, claim: Some(claim), .. } = entry else { return };
    if claim.run_out {
        return;
    }
    let orphan = claim.released || !moves.from.has_owner(id);
    let next =
        if orphan { Some(moves.next()) } else { moves.fault(|faults| &mut faults.claims_run_out) };
    if let Some(mut next) = next {
        next.redis.entry = entry.with_claim(id, Some(Claim { run_out: true, ..claim }));
        moves.add(next, orphan, || format!("claim {id} runs out"));
    }
}

fn age_mark(moves: &mut Moves<'_>) {
    if let Entry::Unstored { id, token, aged: false } = moves.from.redis.entry {
        let mut next = moves.next();
        next.redis.entry = Entry::Unstored { id, token, aged: true };
        moves.possible(next, || format!("the mark {id} lets nobody run any more"));
    }
}
