//! Copies in this process: the first look of a call, before its key is made.

use std::cell::Cell;

use crate::call::Call;
use crate::contain::contained;
use crate::lookup::{Hit, Lookup};
use crate::near::{NewCopy, StoredAt, Value};
use crate::outcome::{Outcome, OutcomeKind};
use crate::returns::{Codec, Opened, Rule, Shape};
use crate::verb;

/// Lets others have their turn now and then: answered from copies alone, a task would never yield.
#[doc(hidden)]
pub async fn pace() {
    let hits = HITS.replace(HITS.get().wrapping_add(1));
    // Of the runtime's budget a unit for several: it is meant for what takes longer than a hit.
    if hits.is_multiple_of(HITS_TO_A_UNIT) {
        tokio::task::coop::consume_budget().await;
    }
}

thread_local! {
    static HITS: Cell<u8> = const { Cell::new(0) };
}

/// A task of nothing but hits yields after a thousand of them.
const HITS_TO_A_UNIT: u8 = 8;

/// Bytes of a value past which a hit is as good as several: it is cloned.
const LARGE: u32 = 1024;

/// A copy that counts. Neither hashed nor allocated for beyond the value's own clone.
#[doc(hidden)]
pub fn near<S: Shape, R: Rule<S>>(codec: &Codec<S, R>, call: &Call) -> Option<S::Return> {
    let found = codec.of_copy(copy(call)?.take());
    if found.is_none() {
        // The value's own `Clone` has failed: the call goes on, and has another outcome.
        call.counters().undo_local_hit();
    }
    found
}

/// Not generic: one call from where the function is, and all that follows is inlined here.
fn copy(call: &Call) -> Option<Value> {
    let inner = call.cache.inner();
    if !call.is_local() || inner.undelivered.any() {
        return None;
    }
    let (value, stored, size) = inner.near.get(call.local_name())?;
    if size > LARGE {
        HITS.set(0);
    }
    inner.counters(call.identity.group).local_hit();
    if tracing::enabled!(tracing::Level::DEBUG) {
        log(call, stored);
    }
    if call.verb.is_some() {
        observed(call, stored);
    }
    Some(value)
}

#[cold]
fn log(call: &Call, stored: StoredAt) {
    let (prefix, key) = (&call.identity.prefix, call.key(call.id()));
    let age = stored.age(call.cache.inner().near.now());
    tracing::debug!(prefix, key = key.entry(), ?age, "cache local hit");
}

#[cold]
fn observed(call: &Call, stored: StoredAt) {
    let key = Some(call.key(call.id()).entry().to_owned());
    let (kind, age) = (OutcomeKind::LocalHit, Some(stored.age(call.cache.inner().near.now())));
    verb::observed(Outcome { kind, key, age, cost: None });
}

/// Leaves a copy of what is being served, where its read was tracked.
pub(super) fn keep<S: Shape, R>(
    codec: &Codec<S, R>,
    lookup: &mut Lookup,
    hit: &Hit,
    output: &S::Return,
) {
    let Some((sent, life, age)) = lookup.take_for_copy(hit) else { return };
    let size = hit.entry.unpacked();
    let limit = lookup.max_value();
    let copy = contained(|| match S::open(output) {
        Opened::Value(value) => codec.copy(value, || hit.entry.body(limit)).map(Some),
        Opened::Nothing => Some(None),
        Opened::Error(_) => None,
    });
    if let Some(value) = copy.flatten() {
        let draft = NewCopy { value: Value::new(value), size, age, life };
        lookup.inner().near.keep(lookup.call.local_name(), sent, draft);
    }
}
