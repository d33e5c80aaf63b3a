//! Outputs that do not come from the call's own run: of an entry, of another run, and the stale value in
//! place of an error (`lookup/fallback.rs` has the rules).

use std::borrow::Cow;

use crate::contain::contained;
use crate::entry::{Entry, EntryKind};
use crate::lookup::{Hit, Lookup};
use crate::returns::{Codec, Opened, Payload, Rule, Shape};
use crate::verb::Fate;

/// The output of another run, or the stale value in place of its error; `None` where the output cannot be
/// shared.
pub(super) fn receive<S: Shape, R: Rule<S>>(
    codec: &Codec<S, R>,
    lookup: &mut Lookup,
    payload: &Payload,
) -> Option<S::Return> {
    if matches!(payload, Payload::Forgiven) {
        // The leader's error is not `Clone`; its `stale_if` has allowed a stale value.
        let fallback = lookup.fallback(|| true)?;
        return serve_fallback(codec, lookup, &fallback);
    }
    let output = contained(|| codec.receive(payload)).flatten()?;
    let fallback = fallback(codec, lookup, &output);
    if let Some(stale) = fallback.and_then(|hit| serve_fallback(codec, lookup, &hit)) {
        return Some(stale);
    }
    if let Opened::Error(_) = S::open(&output) {
        lookup.report_fate(|| Fate::Failed);
    }
    lookup.joined();
    Some(output)
}

/// The value to serve in place of `output`, where that is an error.
pub(super) fn fallback<S: Shape, R: Rule<S>>(
    codec: &Codec<S, R>,
    lookup: &Lookup,
    output: &S::Return,
) -> Option<Hit> {
    let Opened::Error(error) = S::open(output) else { return None };
    lookup.fallback(|| contained(|| codec.forgives(error)) == Some(true))
}

/// Decodes and reports the value that [`fallback`] has found; `None` where it does not decode.
pub(super) fn serve_fallback<S: Shape, R>(
    codec: &Codec<S, R>,
    lookup: &mut Lookup,
    hit: &Hit,
) -> Option<S::Return> {
    let stale = decode(codec, lookup.max_value(), &hit.entry).ok()?;
    lookup.served_fallback(hit);
    Some(stale)
}

/// Decodes an entry and reports it as served; where it does not decode, has the lookup overwrite it.
pub(super) fn serve<S: Shape, R>(
    codec: &Codec<S, R>,
    lookup: &mut Lookup,
    hit: &Hit,
) -> Option<S::Return> {
    match decode(codec, lookup.max_value(), &hit.entry) {
        Ok(output) => {
            lookup.served(&hit.entry, hit.stale);
            Some(output)
        }
        Err(why) => {
            lookup.undecodable(&hit.entry, &why);
            None
        }
    }
}

/// The output that an entry holds; the error says why it holds none.
pub(crate) fn decode<S: Shape, R>(
    codec: &Codec<S, R>,
    limit: usize,
    entry: &Entry,
) -> Result<S::Return, Cow<'static, str>> {
    match entry.kind {
        EntryKind::None if codec.none_ttl.is_some() => S::nothing().ok_or(NOT_OURS.into()),
        EntryKind::Value => {
            let body = entry.body(limit).ok_or("its bytes are damaged, or over CACHE_MAX_VALUE")?;
            match contained(|| codec.decode(&body)) {
                Some(Ok(value)) => Ok(S::value(value)),
                Some(Err(error)) => Err(error.to_string().into()),
                None => Err("`Deserialize` panicked".into()),
            }
        }
        EntryKind::None | EntryKind::Lease | EntryKind::Unstored => Err(NOT_OURS.into()),
    }
}

const NOT_OURS: &str = "it is a `None`, which the function does not store";
