//! Everything after the function has run: who gets its output, and what is written.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;

use crate::background;
use crate::cache::Inner;
use crate::call::Call;
use crate::contained;
use crate::entry::{Draft, EntryId, Kind, Owner, Seen};
use crate::error::{self, Error};
use crate::flight::{Ending, Flight};
use crate::outcome::{OutcomeKind, Reason};
use crate::returns::{Codec, KeepRule, Opened, Payload, Shape, TtlRule, Unencoded};
use crate::search::{Lease, Role, Search};
use crate::site::Warning;
use crate::stats::Count;
use crate::store::{Fault, Key, Store, Write};

/// How long one process holds the right to populate a missing key.
const LEASE: Duration = Duration::from_secs(2);

/// For how long a lease is extended while its function runs: a function that hangs must not keep
/// others from populating for ever.
const EXTENDED: Duration = Duration::from_secs(60);

/// Sites whose last value was larger have a connection of their own.
const BULK: usize = 256 << 10;

/// A flight that has ended, until its lease is settled.
pub(crate) struct Flown {
    flight: Arc<Flight<Payload, Lease>>,
    /// It holds something of the user's, whose `Drop` may take its time.
    foreign: bool,
}

impl Flown {
    fn new(flight: Arc<Flight<Payload, Lease>>, ending: &Ending<Payload>) -> Self {
        let foreign = Payload::is_foreign;
        Self { flight, foreign: matches!(ending, Ending::Shared(payload) if foreign(payload)) }
    }

    /// Takes the flight out of the table, and keeps its last drop off the private thread.
    fn land(self, inner: &Inner) {
        inner.flights.remove(&self.flight);
        if self.foreign {
            background::drop_elsewhere(self.flight);
        }
    }
}

/// An encoded output.
pub(crate) struct Ready {
    kind: Kind,
    body: Bytes,
    ttl: Duration,
}

/// Hands the output to all who joined, and what is to be stored to the queue.
pub(crate) fn settle<S, T, K>(
    codec: &Codec<S, T, K>,
    search: &Search,
    role: Role,
    output: &S::Return,
    cost: Duration,
) where
    S: Shape,
    T: TtlRule<S::Value>,
    K: KeepRule<S::Value>,
{
    let Role { lead, over, reason } = role;
    let counters = search.counters().clone();
    counters.add(Count::LoadMicros, u64::try_from(cost.as_micros()).unwrap_or(u64::MAX));
    let opened = S::open(output);
    counters.count(match opened {
        Opened::Error(_) => Count::LoadFailure,
        Opened::Value(_) | Opened::Nothing => Count::LoadSuccess,
    });
    let company = lead.as_ref().is_some_and(crate::search::Lead::has_company);
    let stores = reason.is_none();
    let ready = if stores { encode(codec, &search.call, &opened).ok() } else { None };
    let mut outcome = reason.map_or(OutcomeKind::Computed, OutcomeKind::Bypassed);

    if let Some(lead) = lead {
        let flight = lead.flight().clone();
        let limit = search.max_value();
        let ending = share(codec, &opened, ready.as_ref(), company.then_some(limit));
        let flown = Flown::new(flight, &ending);
        match (lead.finish(ending), ready) {
            (Some(lease), Some(ready)) => {
                let life = lease_life(&search.inner().store);
                let seen = Draft::lease(lease, search.owner(), life).encode();
                write(search, &ready, cost, Seen(seen), Some((flown, lease)));
            }
            (Some(lease), None) => give_up_for(search, lease, Some(flown)),
            (None, _) if stores => outcome = OutcomeKind::Bypassed(Reason::Overtaken),
            (None, _) => {}
        }
    } else if let (Some(seen), Some(ready)) = (over, ready) {
        write(search, &ready, cost, seen, None);
    }
    if let OutcomeKind::Bypassed(reason) = outcome {
        counters.bypassed(reason);
    }
    search.observe(outcome, Some(cost), None);
}

/// What all who joined get: a clone where there is one to be had and somebody to get it. With
/// `company`, the value may be encoded for it, up to that many bytes.
fn share<S: Shape, T, K>(
    codec: &Codec<S, T, K>,
    opened: &Opened<'_, S::Value, S::Error>,
    ready: Option<&Ready>,
    company: Option<usize>,
) -> Ending<Payload> {
    let payload = contained(|| match opened {
        Opened::Nothing => Some(Payload::Nothing),
        Opened::Error(error) => codec.hand_error(error),
        Opened::Value(value) => {
            let cloned = company.and_then(|_| codec.hand_value(value));
            let encoded = || ready.map(|ready| Payload::Bytes(ready.body.clone()));
            let late = || {
                let bytes = codec.encode(value, company?).ok()?;
                Some(Payload::Bytes(bytes.into()))
            };
            cloned.or_else(encoded).or_else(late)
        }
    });
    payload.flatten().map_or(Ending::Alone, Ending::Shared)
}

/// Encodes an output for the store; the error says why it is not stored.
fn encode<S, T, K>(
    codec: &Codec<S, T, K>,
    call: &Call,
    opened: &Opened<'_, S::Value, S::Error>,
) -> Result<Ready, &'static str>
where
    S: Shape,
    T: TtlRule<S::Value>,
    K: KeepRule<S::Value>,
{
    let ready = match opened {
        Opened::Error(_) => return Err("an error is never stored"),
        Opened::Nothing => {
            let ttl = codec.none_ttl.ok_or("`None` is stored only with `none_ttl`")?;
            Ready { kind: Kind::None, body: Bytes::new(), ttl }
        }
        Opened::Value(value) => {
            let ttl = lifetime(codec, call, value)?;
            Ready { kind: Kind::Value, body: body(codec, call, value)?, ttl }
        }
    };
    if ready.ttl.is_zero() {
        return Err("its `ttl` is zero");
    }
    Ok(ready)
}

/// The rules of the attribute over the value.
fn lifetime<S, T, K>(
    codec: &Codec<S, T, K>,
    call: &Call,
    value: &S::Value,
) -> Result<Duration, &'static str>
where
    S: Shape,
    T: TtlRule<S::Value>,
    K: KeepRule<S::Value>,
{
    let default = call.cache.inner().config.default_ttl;
    let rules = contained(|| {
        let kept = codec.keeps(value);
        kept.then(|| codec.ttl_of(value).or(call.ttl).unwrap_or(default))
    });
    match rules {
        Some(Some(ttl)) => Ok(ttl),
        Some(None) => Err("`cache_if` refuses the value"),
        None => {
            once(call, Warning::Panicked, "`cache_if` or `ttl` panicked: the value is not stored");
            Err("`cache_if` or `ttl` panicked")
        }
    }
}

fn body<S: Shape, T, K>(
    codec: &Codec<S, T, K>,
    call: &Call,
    value: &S::Value,
) -> Result<Bytes, &'static str> {
    let refused = |warning, why| {
        call.cache.counters(call.identity.group).count(Count::Unstorable);
        once(call, warning, why);
        Err(why)
    };
    let limit = call.cache.inner().config.max_value;
    let body = match contained(|| codec.encode(value, limit)) {
        Some(Ok(body)) => body,
        Some(Err(Unencoded::TooLarge)) => {
            let why = "the value is over CACHE_MAX_VALUE: it is not stored";
            return refused(Warning::TooLarge, why);
        }
        Some(Err(Unencoded::Failed)) | None => {
            let why = "the value cannot be serialized: it is not stored";
            return refused(Warning::Unserializable, why);
        }
    };
    if !prove(codec, call, &body) {
        return Err("the function's values cannot be cached");
    }
    call.identity.bulk.store(body.len() > BULK, Ordering::Relaxed);
    Ok(body.into())
}

/// Before anything of a function is stored, one of its values is brought back from its own bytes.
fn prove<S: Shape, T, K>(codec: &Codec<S, T, K>, call: &Call, body: &[u8]) -> bool {
    let identity = call.identity;
    if identity.proven.load(Ordering::Relaxed) {
        return true;
    }
    // Within another type, or behind a type parameter, errors would be stored as values.
    let value = std::any::type_name::<S::Value>();
    let hidden = value.starts_with("core::result::Result<")
        || (!S::OPTIONAL && value.starts_with("core::option::Option<"));
    let decodes = contained(|| codec.decode(body).is_ok()) == Some(true);
    if hidden || !decodes {
        identity.off.store(true, Ordering::Relaxed);
        let why = if hidden {
            "a `Result` or an `Option` is hidden in the return type, and could not be told from a \
             value; name it, as in `Result<Option<T>, E>`"
        } else {
            "a value does not come back from its own bytes"
        };
        once(call, Warning::Unserializable, &format!("not cached any more: {why}"));
        return false;
    }
    identity.proven.store(true, Ordering::Relaxed);
    true
}

pub(crate) fn encode_for_put<S, T, K>(
    codec: &Codec<S, T, K>,
    call: &Call,
    output: &S::Return,
) -> error::Result<Ready>
where
    S: Shape,
    T: TtlRule<S::Value>,
    K: KeepRule<S::Value>,
{
    let ready = encode(codec, call, &S::open(output));
    ready.map_err(|why| Error::new(error::Kind::Value, why))
}

fn once(call: &Call, warning: Warning, why: &str) {
    if call.identity.once(warning) {
        tracing::warn!(function = call.identity.path(), "{why}");
    }
}

/// The entry under a fresh id; its lifetime is shortened by the jitter, so that entries written
/// together do not expire together.
pub(crate) fn whole(search: &Search, ready: &Ready, cost: Duration) -> Option<Write> {
    let id = EntryId::fresh()?;
    let shortened = ready.ttl.as_secs_f64() * (1.0 - search.call.identity.jitter() * id.fraction());
    let life = Duration::try_from_secs_f64(shortened).unwrap_or(ready.ttl);
    let life = life.max(Duration::from_millis(1));
    let draft = Draft {
        kind: ready.kind,
        id,
        owner: search.owner(),
        cost,
        life,
        body: &ready.body,
        compress_above: search.inner().config.compress_above,
    };
    Some(Write::Whole { bytes: draft.encode(), life })
}

/// Writes behind the reply. The flight stays joinable by its lease until the answer is there.
fn write(
    search: &Search,
    ready: &Ready,
    cost: Duration,
    seen: Seen,
    flown: Option<(Flown, EntryId)>,
) {
    let inner = search.inner().clone();
    let counters = search.counters().clone();
    let place = inner.queue.enter(ready.body.len());
    let entry = whole(search, ready, cost);
    let (Some(place), Some(entry)) = (place, entry) else {
        counters.count(Count::PopulateDropped);
        if let Some((flight, lease)) = flown {
            give_up_for(search, lease, Some(flight));
        }
        return;
    };
    let (key, owner) = (search.store_key().clone(), search.owner());
    let prefix = &search.call.identity.prefix;
    background::spawn_begun(async move {
        let patience = inner.store.patience();
        let written = inner.store.compare_and_set(&key, &seen, entry, patience).await;
        if written == Ok(true) {
            counters.count(Count::Populated);
            tracing::debug!(prefix, "cache set");
        } else {
            counters.count(Count::PopulateDropped);
            tracing::debug!(prefix, ?written, "cache error");
        }
        if let Some((flight, lease)) = flown {
            if written == Err(Fault::ReadOnly) {
                delete_lease(&inner.store, &key, owner, lease).await;
            }
            flight.land(&inner);
        }
        drop(place);
    });
}

fn give_up_for(search: &Search, lease: EntryId, flight: Option<Flown>) {
    let (inner, key) = (search.inner().clone(), search.store_key().clone());
    give_up(inner, key, search.owner(), lease, flight);
}

/// Frees a lease that nobody will populate; otherwise it would delay others until it expires.
pub(crate) fn give_up(
    inner: Arc<Inner>,
    key: Key,
    owner: Owner,
    lease: EntryId,
    flight: Option<Flown>,
) {
    // Waited for by `flush`; where the queue is full it goes out all the same.
    let place = inner.queue.enter(0);
    background::spawn_begun(async move {
        delete_lease(&inner.store, &key, owner, lease).await;
        if let Some(flight) = flight {
            flight.land(&inner);
        }
        drop(place);
    });
}

pub(crate) async fn delete_lease(store: &Store, key: &Key, owner: Owner, lease: EntryId) {
    let seen = Seen(Draft::lease(lease, owner, lease_life(store)).encode());
    // Refused or failed: it is gone already, or it expires.
    let _ = store.compare_and_set(key, &seen, Write::Delete, store.patience()).await;
}

/// In the in-process store nobody else could be kept waiting by an owner that died.
pub(crate) fn lease_life(store: &Store) -> Duration {
    if store.is_shared() { LEASE } else { EXTENDED }
}

/// Extends a lease while its function runs. Refused means that it is lost for good.
pub(crate) async fn extend(
    store: &Store,
    key: &Key,
    header: Bytes,
    life: Duration,
    going_on: impl Fn() -> bool,
) {
    let pause = life / 3;
    for _ in 0..(EXTENDED.as_millis() / pause.as_millis()) {
        let Some(pause) = background::sleep(pause) else { return };
        pause.await;
        if !going_on() {
            return;
        }
        let write = Write::Header { bytes: header.clone(), life };
        let seen = Seen(header.clone());
        if store.compare_and_set(key, &seen, write, store.patience()).await == Ok(false) {
            return;
        }
    }
}
