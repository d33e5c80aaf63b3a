//! Outputs that do not come from the call's own run.

use std::borrow::Cow;

use crate::contain::contained;
use crate::entry::{Entry, EntryKind};
use crate::lookup::{Hit, Lookup};
use crate::returns::{Codec, Opened, Payload, Rule, Shape};
use crate::verb::Fate;

/// What another run of the function returned, or what is served in its place.
pub(super) fn receive<S: Shape, R: Rule<S>>(
    codec: &Codec<S, R>,
    lookup: &mut Lookup,
    payload: &Payload,
) -> Option<S::Return> {
    if matches!(payload, Payload::Forgiven) {
        // The leader's error is not to be had; its leave is.
        let kept = lookup.stale_for_error(|| true)?;
        return serve_fallback(codec, lookup, &kept);
    }
    let output = contained(|| codec.receive(payload)).flatten()?;
    let kept = stale_fallback(codec, lookup, &output);
    if let Some(old) = kept.and_then(|kept| serve_fallback(codec, lookup, &kept)) {
        return Some(old);
    }
    if let Opened::Error(_) = S::open(&output) {
        lookup.met(|| Fate::Failed);
    }
    lookup.joined();
    Some(output)
}

/// An older value that is to be served because the function has failed.
pub(super) fn stale_fallback<S: Shape, R: Rule<S>>(
    codec: &Codec<S, R>,
    lookup: &Lookup,
    output: &S::Return,
) -> Option<Hit> {
    let Opened::Error(error) = S::open(output) else { return None };
    lookup.stale_for_error(|| contained(|| codec.forgives(error)) == Some(true))
}

pub(super) fn serve_fallback<S: Shape, R>(
    codec: &Codec<S, R>,
    lookup: &mut Lookup,
    kept: &Hit,
) -> Option<S::Return> {
    let old = decode(codec, lookup.max_value(), &kept.entry).ok()?;
    lookup.served_fallback(kept);
    Some(old)
}

/// Decodes an entry, or notes that it is dead.
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

/// The output that lies in an entry; the error says why there is none.
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
