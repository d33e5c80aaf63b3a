//! After the function has run: its output goes to the members of the flight, and to the store.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use crate::background;
use crate::contain::contained;
use crate::encode::{Ready, encode};
use crate::flight::Ending;
use crate::lease::{FinishedFlight, Lease, OnRelease};
use crate::lookup::{Lead, Lookup, Role};
use crate::outcome::{OutcomeKind, Reason};
use crate::queue::QueueSlot;
use crate::returns::{Codec, Form, Opened, Payload, Rule, Shape};
use crate::stats::Count;
use crate::verb::{Fate, Verb};

/// Ends the flight with the output, and writes what is to be stored behind the reply, or releases the lease.
/// Returns the call's outcome. `has_fallback`: the output is an error, and a stored value is served in its
/// place.
pub(crate) fn finish<S: Shape, R: Rule<S>>(
    codec: &Codec<S, R>,
    lookup: &Lookup,
    role: Role,
    output: &S::Return,
    cost: Duration,
    has_fallback: bool,
) -> OutcomeKind {
    let Role { lead, reason } = role;
    let counters = lookup.counters();
    counters.load(cost);
    let opened = S::open(output);
    counters.count(match opened {
        Opened::Error(_) => Count::LoadFailure,
        Opened::Value(_) | Opened::Nothing => Count::LoadSuccess,
    });
    let has_members = lead.as_ref().is_some_and(Lead::has_members);
    let stores = reason.is_none();
    if stores && lookup.call.verb == Some(Verb::Refresh) {
        counters.count(Count::Refresh);
    }
    let limit = lookup.max_value();
    let may_be_stored = match opened {
        Opened::Value(_) => stores,
        Opened::Nothing => stores && codec.none_ttl.is_some(),
        Opened::Error(_) => false,
    };
    // Before the value is encoded: with a full queue that would be for nothing.
    let slot = if may_be_stored { lookup.inner().queue.enter_for(limit) } else { None };
    let full = may_be_stored && slot.is_none();
    if stores && !may_be_stored && matches!(opened, Opened::Nothing) {
        counters.count(Count::PopulateRefused);
    }
    let ready = if slot.is_some() { encode(codec, &lookup.call, &opened).ok() } else { None };
    let mut outcome = reason.map_or(OutcomeKind::Computed, OutcomeKind::Bypassed);
    if let Opened::Error(_) = opened {
        lookup.report_fate(|| Fate::Failed);
    }

    if let Some(lead) = lead {
        let flight = lead.flight().clone();
        let ending =
            share(codec, &opened, ready.as_ref(), has_members.then_some(limit), has_fallback);
        let lease = flight.owner().lease.get().cloned();
        let finished = FinishedFlight::new(lookup.inner().flights.clone(), flight, &ending);
        let released_for = lead.reason();
        let lease = lead.finish(ending).and(lease);
        if let Some(lease) = &lease {
            lease.end();
        }
        match (lease, ready.zip(slot)) {
            (Some(lease), Some(_)) if lease.has_lapsed(lookup.inner().config.max_run) => {
                lookup.ran_too_long(&lease);
                outcome = OutcomeKind::Bypassed(Reason::RunTooLong);
                let key = lookup.store_key().clone();
                lookup.inner().leases.release(key, lease, OnRelease::KeepValue, Some(finished));
            }
            (Some(lease), Some((ready, slot))) => {
                write(lookup, &ready, cost, lease, finished, slot);
            }
            (Some(lease), None) => {
                if full {
                    counters.count(Count::PopulateQueueFull);
                    // Never set, which says that the value is not in the store.
                    lookup.report_fate(|| Fate::Written(Arc::default()));
                }
                let key = lookup.store_key().clone();
                // A claimed value is removed only where a run that held the lease returned an output that must not be
                // stored. A run without the lease, or with a full queue, says nothing about the value.
                let on_release = match opened {
                    Opened::Value(_) | Opened::Nothing if stores && !full => OnRelease::RemoveValue,
                    _ => OnRelease::KeepValue,
                };
                lookup.inner().leases.release(key, lease, on_release, Some(finished));
            }
            (None, _) if stores => {
                outcome = OutcomeKind::Bypassed(released_for.unwrap_or(Reason::Overtaken));
            }
            (None, _) => {}
        }
    }
    outcome
}

/// The output in the form in which members get it: a clone if the type is `Clone` and a call has joined; else
/// the encoded bytes. `encode_limit` is there where a call has joined: a value that was not encoded for the
/// store is then encoded for the members, up to that many bytes.
fn share<S: Shape, R>(
    codec: &Codec<S, R>,
    opened: &Opened<'_, S::Value, S::Error>,
    ready: Option<&Ready>,
    encode_limit: Option<usize>,
    has_fallback: bool,
) -> Ending<Payload> {
    let payload = contained(|| match opened {
        Opened::Nothing => Some(Payload::Nothing),
        Opened::Error(error) => {
            codec.hand_error(error).or_else(|| has_fallback.then_some(Payload::Forgiven))
        }
        Opened::Value(value) => {
            let cloned = encode_limit.and_then(|_| codec.hand_value(value));
            let stored = || ready.map(|ready| Payload::Bytes(ready.body.clone()));
            let encoded_for_members = || {
                let proven = codec.encode(value, encode_limit?, Form::default()).ok()?;
                Some(Payload::Bytes(proven.bytes.into()))
            };
            cloned.or_else(stored).or_else(encoded_for_members)
        }
    });
    payload.flatten().map_or(Ending::Alone, Ending::Shared)
}

/// Writes the entry behind the reply. The flight stays joinable by its lease until Redis has answered.
fn write(
    lookup: &Lookup,
    ready: &Ready,
    cost: Duration,
    lease: Arc<Lease>,
    finished: FinishedFlight,
    mut slot: QueueSlot,
) {
    let (inner, key) = (lookup.inner().clone(), lookup.store_key().clone());
    let identity = lookup.call.identity;
    // Set once the write has ended; there for `observe` alone.
    let mut fate = None;
    lookup.report_fate(|| Fate::Written(fate.insert(Arc::<OnceLock<bool>>::default()).clone()));
    let fits = slot.resize(ready.body.len());
    let entry = if fits { ready.entry(&lookup.call, cost, &lease.tokens) } else { None };
    let Some(entry) = entry else {
        drop(slot);
        lookup.counters().count(if fits {
            Count::PopulateFailed
        } else {
            Count::PopulateQueueFull
        });
        inner.leases.release(key, lease, OnRelease::KeepValue, Some(finished));
        return;
    };
    let entry_bytes = entry.size();
    let mut slot = Some(slot);
    let tokens_for = ready.tokens_for(identity);
    let (bytes, ttl) = ready.size_and_ttl();
    background::spawn_begun(async move {
        let (store, prefix, began) = (&inner.store, &identity.prefix, Instant::now());
        let counters = inner.counters(identity.group);
        let patience = store.patience();
        let sent = Instant::now();
        let written = store.populate(&key, &lease.seen(), entry, tokens_for, patience).await;
        inner.timings.writes.record(sent.elapsed());
        if written == Ok(true) {
            counters.count(Count::Populated);
            inner.timings.written(entry_bytes);
            let (key, took) = (key.entry(), began.elapsed());
            tracing::debug!(prefix, key, bytes, ?ttl, ?took, "cache set");
        } else {
            let fenced = written.is_ok();
            counters.count(if fenced { Count::PopulateFenced } else { Count::PopulateFailed });
            let (key, took) = (key.entry(), began.elapsed());
            tracing::debug!(prefix, key, bytes, ?took, ?written, "cache error");
        }
        if let Some(fate) = fate {
            let _ = fate.set(written == Ok(true));
        }
        if written.is_err() {
            // Redis may have executed the write all the same. Then the compare-and-set of the release fails, and
            // the value stays.
            slot = lease.release(&inner.leases, &key, OnRelease::KeepValue, slot).await;
        }
        finished.remove();
        drop(slot);
    });
}
