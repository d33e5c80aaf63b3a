//! Near copies: a call looks for one before its key is made, and leaves one when it is served.

use std::cell::Cell;
use std::time::Duration;

use crate::call::Call;
use crate::contain::contained;
use crate::lookup::{Hit, Lookup};
use crate::near::{NewCopy, Served, StoredAt, Value};
use crate::outcome::{Outcome, OutcomeKind};
use crate::returns::{Codec, Opened, Rule, Shape};
use crate::verb;

/// Yields now and then: a task whose calls are all answered from copies would never let others run.
#[doc(hidden)]
pub async fn pace() {
    let hits = HITS.replace(HITS.get().wrapping_add(1));
    // One unit of tokio's cooperative budget (128 between yields) for several hits: a unit is meant for an
    // operation that takes longer than a hit.
    if hits.is_multiple_of(HITS_TO_A_UNIT) {
        tokio::task::coop::consume_budget().await;
    }
}

thread_local! {
    static HITS: Cell<u8> = const { Cell::new(0) };
}

/// Hits for one unit of the budget: a task of nothing but hits yields after 128 * 8 of them.
const HITS_TO_A_UNIT: u8 = 8;

/// A hit of a value with more bytes than this takes a unit for itself: its clone takes longer.
const LARGE: u32 = 1024;

/// Answers the call from a near copy that still counts. Makes no digest of the arguments, and allocates nothing
/// but what the value's own `Clone` does (`peers near` in `benches/` counts the allocations).
#[doc(hidden)]
pub fn near<S: Shape, R: Rule<S>>(codec: &Codec<S, R>, call: &Call) -> Option<S::Return> {
    let Served { value, cost, .. } = copy(call)?;
    let found = codec.of_copy(value.take());
    if found.is_none() {
        // The value's `Clone` panicked: the call goes on, and is counted by its further outcome.
        call.counters().undo_local_hit(cost);
    }
    found
}

/// Not generic, so that its inlined callees are compiled once and not for each cached function.
fn copy(call: &Call) -> Option<Served> {
    let inner = call.cache.inner();
    if !call.is_local() || inner.undelivered.any() {
        return None;
    }
    let served = inner.near.get(call.local_name())?;
    if served.size > LARGE {
        HITS.set(0);
    }
    inner.counters(call.identity.group).local_hit(served.cost);
    if tracing::enabled!(tracing::Level::DEBUG) {
        log(call, served.stored);
    }
    if call.verb.is_some() {
        report_outcome(call, served.stored, served.cost);
    }
    Some(served)
}

#[cold]
fn log(call: &Call, stored: StoredAt) {
    let (prefix, key) = (&call.identity.prefix, call.key(call.id()));
    let age = stored.age(call.cache.inner().near.now());
    tracing::debug!(prefix, key = key.entry(), ?age, "cache local hit");
}

#[cold]
fn report_outcome(call: &Call, stored: StoredAt, cost: u32) {
    let key = Some(call.key(call.id()).entry().to_owned());
    let (kind, age) = (OutcomeKind::LocalHit, Some(stored.age(call.cache.inner().near.now())));
    verb::report_outcome(Outcome {
        kind,
        key,
        age,
        cost: Some(Duration::from_micros(u64::from(cost))),
    });
}

/// Keeps a near copy of the value being served, where its read was tracked.
pub(super) fn keep<S: Shape, R>(
    codec: &Codec<S, R>,
    lookup: &mut Lookup,
    hit: &Hit,
    output: &S::Return,
) {
    let Some((read_start, life, age)) = lookup.take_for_copy(hit) else { return };
    let size = hit.entry.unpacked();
    let limit = lookup.max_value();
    let copy = contained(|| match S::open(output) {
        Opened::Value(value) => codec.copy(value, || hit.entry.body(limit)).map(Some),
        Opened::Nothing => Some(None),
        Opened::Error(_) => None,
    });
    if let Some(value) = copy.flatten() {
        let copy = NewCopy { value: Value::new(value), size, age, life, cost: hit.entry.cost };
        lookup.inner().near.keep(lookup.call.local_name(), read_start, copy);
    }
}
