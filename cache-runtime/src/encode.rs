//! From an output to the bytes of its entry: the attribute's rules on what is stored, the encoding, the TTL.

mod unstorable;

use std::borrow::Cow;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;

use crate::call::Call;
use crate::contain::contained;
use crate::entry::{Draft, EntryId, EntryKind, LONGEST_TTL, Token};
use crate::error::{self, Error};
use crate::lease::AHEAD;
use crate::outcome::Reason;
use crate::returns::{Codec, Opened, Proven, Rule, Shape};
use crate::site::{Identity, Warning};
use crate::stats::Count;
use crate::store::Write;

/// Functions whose last value had more bytes than this use a connection apart from those of small values, whose
/// answers would wait behind theirs.
const BULK: usize = 256 << 10;

/// An output as it is to be stored, still without its id and header.
pub(crate) struct Ready {
    kind: EntryKind,
    pub(crate) body: Bytes,
    ttl: Duration,
}

impl Ready {
    /// How long the tokens of the entry have to live.
    pub(crate) fn tokens_for(&self, identity: &Identity) -> Duration {
        self.ttl.saturating_add(identity.window()).saturating_add(AHEAD)
    }

    /// For logs: the number of encoded bytes, and the TTL before the jitter.
    pub(crate) fn size_and_ttl(&self) -> (usize, Duration) {
        (self.body.len(), self.ttl)
    }
}

/// Encodes an output for the store; the error says why it is not stored.
pub(crate) fn encode<S: Shape, R: Rule<S>>(
    codec: &Codec<S, R>,
    call: &Call,
    opened: &Opened<'_, S::Value, S::Error>,
) -> Result<Ready, Cow<'static, str>> {
    let mut ready = match opened {
        Opened::Error(_) => return Err("an error is never stored".into()),
        Opened::Nothing => {
            let ttl = codec.none_ttl.ok_or("`None` is stored only with `none_ttl`")?;
            Ready { kind: EntryKind::None, body: Bytes::new(), ttl }
        }
        Opened::Value(value) => {
            let ttl = ttl_of(codec, call, value)
                .inspect_err(|_| call.counters().count(Count::PopulateRefused))?;
            Ready { kind: EntryKind::Value, body: body(codec, call, value)?, ttl }
        }
    };
    if ready.ttl.is_zero() {
        call.counters().count(Count::PopulateRefused);
        return Err("its `ttl` is zero".into());
    }
    ready.ttl = ready.ttl.min(LONGEST_TTL);
    call.identity.note_ttl(ready.ttl);
    Ok(ready)
}

/// Applies `cache_if` to the value and finds its TTL: of `ttl` with a closure, else of `ttl`, else the default.
fn ttl_of<S: Shape, R: Rule<S>>(
    codec: &Codec<S, R>,
    call: &Call,
    value: &S::Value,
) -> Result<Duration, &'static str> {
    let default = call.cache.inner().config.default_ttl;
    let rules = contained(|| {
        codec.keeps(value).then(|| codec.ttl_of(value).or(call.ttl).unwrap_or(default))
    });
    match rules {
        Some(Some(ttl)) => Ok(ttl),
        Some(None) => Err("`cache_if` refuses the value"),
        None => {
            warn_once(
                call,
                Warning::Panicked,
                "`cache_if` or `ttl` panicked: the value is not stored",
            );
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
    if hides_an_error_or_none::<S>() {
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
        Err(why) => Err(unstorable::report(call, limit, why)),
    }
}

/// Whether the value's type is itself a `Result` or an `Option`, as where the return type is a type parameter: the
/// codec takes such a value for one to be stored, and would store an error or a `None`.
fn hides_an_error_or_none<S: Shape>() -> bool {
    let value = std::any::type_name::<S::Value>();
    value.starts_with("core::result::Result<")
        || (!S::OPTIONAL && value.starts_with("core::option::Option<"))
}

/// As [`encode`], for `put`: the reason is an error for its caller.
pub(crate) fn encode_for_put<S: Shape, R: Rule<S>>(
    codec: &Codec<S, R>,
    call: &Call,
    output: &S::Return,
) -> error::Result<Ready> {
    let function = call.identity.path();
    if call.skip == Some(Reason::FunctionDisabled) {
        let why = format!("`{function}` is not cached: a warning in the log says why");
        return Err(Error::new(error::ErrorKind::Value, why));
    }
    let ready = encode(codec, call, &S::open(output));
    ready.map_err(|why| {
        Error::new(error::ErrorKind::Value, format!("nothing is stored for `{function}`: {why}"))
    })
}

fn warn_once(call: &Call, warning: Warning, why: &str) {
    if call.identity.once(warning) {
        let identity = call.identity;
        tracing::warn!(function = identity.path(), prefix = identity.prefix, "{why}");
    }
}

impl Ready {
    /// The write of the whole entry under a fresh id; `None` where the system has no randomness for the id.
    ///
    /// The jitter shortens the TTL, so that entries written together do not expire together; the stale window
    /// is added to the rest.
    pub(crate) fn entry(&self, call: &Call, cost: Duration, tokens: &[Token]) -> Option<Write> {
        let id = EntryId::fresh()?;
        let identity = call.identity;
        let shortened = self.ttl.as_secs_f64() * (1.0 - identity.jitter() * id.fraction());
        let fresh = Duration::try_from_secs_f64(shortened).unwrap_or(self.ttl);
        let fresh = fresh.max(Duration::from_millis(1));
        let window = identity.window();
        let life = fresh.saturating_add(window);
        let draft = Draft {
            kind: self.kind,
            id,
            owner: call.owner(call.id()),
            cost,
            life,
            window,
            tokens,
            body: &self.body,
            compress_above: call.cache.inner().config.compress_above,
        };
        Some(Write::Whole { bytes: draft.encode(), life })
    }
}
