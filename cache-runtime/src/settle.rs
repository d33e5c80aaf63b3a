//! Everything after the function has run: who gets its output, and what is written.

mod unstorable;

use std::borrow::Cow;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::background;
use crate::cache::Inner;
use crate::call::Call;
use crate::contained;
use crate::entry::{Draft, EntryId, Kind, LONGEST_TTL, Token};
use crate::error::{self, Error};
use crate::flight::{Ending, Flight};
use crate::outcome::{OutcomeKind, Reason};
use crate::queue::Place;
use crate::returns::{Codec, Form, Opened, Payload, Proven, Rule, Shape};
use crate::right::{AHEAD, Holding, Leaving, Right};
use crate::search::{Role, Search};
use crate::site::{Identity, Warning};
use crate::stats::Count;
use crate::store::{Key, Write};
use crate::verb::{Fate, Verb};

/// Sites whose last value was larger have a connection of their own.
const BULK: usize = 256 << 10;

/// A flight that has ended, until its lease is settled.
pub(crate) struct Flown {
    flight: Arc<Flight<Payload, Holding>>,
    /// It holds something of the user's, whose `Drop` may take its time.
    foreign: bool,
}

impl Flown {
    fn new(flight: Arc<Flight<Payload, Holding>>, ending: &Ending<Payload>) -> Self {
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

impl Ready {
    /// How long the tokens have to be there that the entry depends on.
    pub(crate) fn tokens_for(&self, identity: &Identity) -> Duration {
        self.ttl.saturating_add(identity.window()).saturating_add(AHEAD)
    }

    /// Encoded bytes, and the ttl before the jitter: for logs.
    pub(crate) fn size_and_ttl(&self) -> (usize, Duration) {
        (self.body.len(), self.ttl)
    }
}

/// Hands the output to all who joined, and what is to be stored to the queue; returns what came of
/// the run. `forgiven`: a stale value is served in place of the error.
pub(crate) fn settle<S: Shape, R: Rule<S>>(
    codec: &Codec<S, R>,
    search: &Search,
    role: Role,
    output: &S::Return,
    cost: Duration,
    forgiven: bool,
) -> OutcomeKind {
    let Role { lead, reason } = role;
    let counters = search.counters();
    counters.add(Count::LoadMicros, u64::try_from(cost.as_micros()).unwrap_or(u64::MAX));
    let opened = S::open(output);
    counters.count(match opened {
        Opened::Error(_) => Count::LoadFailure,
        Opened::Value(_) | Opened::Nothing => Count::LoadSuccess,
    });
    let company = lead.as_ref().is_some_and(crate::search::Lead::has_company);
    let stores = reason.is_none();
    if stores && search.call.verb == Some(Verb::Refresh) {
        counters.count(Count::Refresh);
    }
    let limit = search.max_value();
    let may_be_stored = match opened {
        Opened::Value(_) => stores,
        Opened::Nothing => stores && codec.none_ttl.is_some(),
        Opened::Error(_) => false,
    };
    // Before anything is encoded, which a full queue would make vain.
    let place = if may_be_stored { search.inner().queue.enter_for(limit) } else { None };
    let full = may_be_stored && place.is_none();
    let ready = if place.is_some() { encode(codec, &search.call, &opened).ok() } else { None };
    let mut outcome = reason.map_or(OutcomeKind::Computed, OutcomeKind::Bypassed);
    if let Opened::Error(_) = opened {
        search.met(|| Fate::Failed);
    }

    if let Some(lead) = lead {
        let flight = lead.flight().clone();
        let ending = share(codec, &opened, ready.as_ref(), company.then_some(limit), forgiven);
        let right = flight.owner().right.get().cloned();
        let flown = Flown::new(flight, &ending);
        let given_up = lead.reason();
        let right = lead.finish(ending).and(right);
        if let Some(right) = &right {
            right.end();
        }
        match (right, ready.zip(place)) {
            (Some(right), Some(_)) if right.has_lapsed(search.inner().config.max_run) => {
                search.ran_too_long(&right);
                outcome = OutcomeKind::Bypassed(Reason::RunTooLong);
                let (inner, key) = (search.inner().clone(), search.store_key().clone());
                give_up(inner, key, right, Leaving::TheValue, Some(flown));
            }
            (Some(right), Some((ready, place))) => write(search, &ready, cost, right, flown, place),
            (Some(right), None) => {
                if full {
                    counters.count(Count::PopulateQueueFull);
                    search.met(|| Fate::Written(Arc::default()));
                }
                let (inner, key) = (search.inner().clone(), search.store_key().clone());
                // A run that did not hold the right must not remove the claimed value, and a full queue
                // says nothing about the value either.
                let leaving = match opened {
                    Opened::Value(_) | Opened::Nothing if stores && !full => Leaving::Nothing,
                    _ => Leaving::TheValue,
                };
                give_up(inner, key, right, leaving, Some(flown));
            }
            (None, _) if stores => {
                outcome = OutcomeKind::Bypassed(given_up.unwrap_or(Reason::Overtaken));
            }
            (None, _) => {}
        }
    }
    outcome
}

/// What all who joined get: a clone where there is one to be had and somebody to get it. With
/// `company`, the value may be encoded for it, up to that many bytes.
fn share<S: Shape, R>(
    codec: &Codec<S, R>,
    opened: &Opened<'_, S::Value, S::Error>,
    ready: Option<&Ready>,
    company: Option<usize>,
    forgiven: bool,
) -> Ending<Payload> {
    let payload = contained(|| match opened {
        Opened::Nothing => Some(Payload::Nothing),
        Opened::Error(error) => {
            codec.hand_error(error).or_else(|| forgiven.then_some(Payload::Forgiven))
        }
        Opened::Value(value) => {
            let cloned = company.and_then(|_| codec.hand_value(value));
            let encoded = || ready.map(|ready| Payload::Bytes(ready.body.clone()));
            let late = || {
                let proven = codec.encode(value, company?, Form::default()).ok()?;
                Some(Payload::Bytes(proven.bytes.into()))
            };
            cloned.or_else(encoded).or_else(late)
        }
    });
    payload.flatten().map_or(Ending::Alone, Ending::Shared)
}

/// Encodes an output for the store; the error says why it is not stored.
fn encode<S: Shape, R: Rule<S>>(
    codec: &Codec<S, R>,
    call: &Call,
    opened: &Opened<'_, S::Value, S::Error>,
) -> Result<Ready, Cow<'static, str>> {
    let mut ready = match opened {
        Opened::Error(_) => return Err("an error is never stored".into()),
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
        return Err("its `ttl` is zero".into());
    }
    ready.ttl = ready.ttl.min(LONGEST_TTL);
    Ok(ready)
}

/// The rules of the attribute over the value.
fn lifetime<S: Shape, R: Rule<S>>(
    codec: &Codec<S, R>,
    call: &Call,
    value: &S::Value,
) -> Result<Duration, &'static str> {
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

fn body<S: Shape, R>(
    codec: &Codec<S, R>,
    call: &Call,
    value: &S::Value,
) -> Result<Bytes, Cow<'static, str>> {
    let identity = call.identity;
    if hides_what_is_not_stored::<S>() {
        let why = "a `Result` or an `Option` is hidden in the return type, and could not be told \
                   from a value; name it, as in `Result<Option<T>, E>`";
        unstorable::never(call, why);
        return Err(why.into());
    }
    let limit = call.cache.inner().config.max_value;
    match codec.encode(value, limit, identity.proof.form()) {
        Ok(Proven { bytes, form }) => {
            identity.proof.came_back(form);
            identity.bulk.store(bytes.len() > BULK, Ordering::Relaxed);
            Ok(bytes.into())
        }
        Err(why) => Err(unstorable::tell(call, limit, why)),
    }
}

/// Within another type, or behind a type parameter, errors would be stored as values.
fn hides_what_is_not_stored<S: Shape>() -> bool {
    let value = std::any::type_name::<S::Value>();
    value.starts_with("core::result::Result<")
        || (!S::OPTIONAL && value.starts_with("core::option::Option<"))
}

pub(crate) fn encode_for_put<S: Shape, R: Rule<S>>(
    codec: &Codec<S, R>,
    call: &Call,
    output: &S::Return,
) -> error::Result<Ready> {
    let ready = encode(codec, call, &S::open(output));
    ready.map_err(|why| {
        let function = call.identity.path();
        Error::new(error::Kind::Value, format!("nothing is stored for `{function}`: {why}"))
    })
}

fn once(call: &Call, warning: Warning, why: &str) {
    if call.identity.once(warning) {
        let identity = call.identity;
        tracing::warn!(function = identity.path(), prefix = identity.prefix, "{why}");
    }
}

/// The entry under a fresh id. Its ttl is shortened by the jitter, so that entries written together
/// do not expire together; the stale window comes on top.
pub(crate) fn whole(
    search: &Search,
    ready: &Ready,
    cost: Duration,
    tokens: &[Token],
) -> Option<Write> {
    let id = EntryId::fresh()?;
    let identity = search.call.identity;
    let shortened = ready.ttl.as_secs_f64() * (1.0 - identity.jitter() * id.fraction());
    let fresh = Duration::try_from_secs_f64(shortened).unwrap_or(ready.ttl);
    let fresh = fresh.max(Duration::from_millis(1));
    let window = identity.window();
    let life = fresh.saturating_add(window);
    let draft = Draft {
        kind: ready.kind,
        id,
        owner: search.owner(),
        cost,
        life,
        window,
        tokens,
        body: &ready.body,
        compress_above: search.inner().config.compress_above,
    };
    Some(Write::Whole { bytes: draft.encode(), life })
}

/// Writes behind the reply. The flight stays joinable by its right until the answer is there.
fn write(
    search: &Search,
    ready: &Ready,
    cost: Duration,
    right: Arc<Right>,
    flown: Flown,
    mut place: Place,
) {
    let (inner, key) = (search.inner().clone(), search.store_key().clone());
    let identity = search.call.identity;
    let mut landed = None;
    search.met(|| Fate::Written(landed.insert(Arc::<OnceLock<bool>>::default()).clone()));
    let fits = place.resize(ready.body.len());
    let entry = if fits { whole(search, ready, cost, &right.tokens) } else { None };
    let Some(entry) = entry else {
        drop(place);
        search.counters().count(if fits {
            Count::PopulateFailed
        } else {
            Count::PopulateQueueFull
        });
        give_up(inner, key, right, Leaving::TheValue, Some(flown));
        return;
    };
    let mut place = Some(place);
    let tokens_for = ready.tokens_for(identity);
    let (bytes, ttl) = ready.size_and_ttl();
    background::spawn_begun(async move {
        let (store, prefix, began) = (&inner.store, &identity.prefix, Instant::now());
        let counters = inner.counters(identity.group);
        let patience = store.patience();
        let written = store.populate(&key, &right.seen(), entry, tokens_for, patience).await;
        if written == Ok(true) {
            counters.count(Count::Populated);
            let (key, took) = (key.entry(), began.elapsed());
            tracing::debug!(prefix, key, bytes, ?ttl, ?took, "cache set");
        } else {
            let fenced = written.is_ok();
            counters.count(if fenced { Count::PopulateFenced } else { Count::PopulateFailed });
            let (key, took) = (key.entry(), began.elapsed());
            tracing::debug!(prefix, key, bytes, ?took, ?written, "cache error");
        }
        if let Some(landed) = landed {
            let _ = landed.set(written == Ok(true));
        }
        if written.is_err() {
            // It may have arrived all the same, and then there is nothing to give up.
            place = right.give_up(&inner, &key, Leaving::TheValue, place).await;
        }
        flown.land(&inner);
        drop(place);
    });
}

/// Frees a right under which nobody will populate; otherwise it would delay others until it
/// expires.
pub(crate) fn give_up(
    inner: Arc<Inner>,
    key: Key,
    right: Arc<Right>,
    leaving: Leaving,
    flight: Option<Flown>,
) {
    // Waited for by `flush`; where the queue is full it goes out all the same.
    let place = inner.queue.enter(0);
    background::spawn_begun(async move {
        let place = right.give_up(&inner, &key, leaving, place).await;
        if let Some(flight) = flight {
            flight.land(&inner);
        }
        drop(place);
    });
}
