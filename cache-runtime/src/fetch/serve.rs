//! Outputs that do not come from the call's own run.

use std::borrow::Cow;

use crate::contained;
use crate::entry::{Entry, Kind};
use crate::returns::{Codec, Opened, Payload, Rule, Shape};
use crate::search::{Hit, Search};
use crate::verb::Fate;

/// What another run of the function returned, or what is served in its place.
pub(super) fn receive<S: Shape, R: Rule<S>>(
    codec: &Codec<S, R>,
    search: &mut Search,
    payload: &Payload,
) -> Option<S::Return> {
    if matches!(payload, Payload::Forgiven) {
        // The leader's error is not to be had; its leave is.
        let kept = search.in_place_of_an_error(|| true)?;
        return forgive(codec, search, &kept);
    }
    let output = contained(|| codec.receive(payload)).flatten()?;
    let kept = in_place_of(codec, search, &output);
    if let Some(old) = kept.and_then(|kept| forgive(codec, search, &kept)) {
        return Some(old);
    }
    if let Opened::Error(_) = S::open(&output) {
        search.met(|| Fate::Failed);
    }
    search.joined();
    Some(output)
}

/// An older value that is to be served because the function has failed.
pub(super) fn in_place_of<S: Shape, R: Rule<S>>(
    codec: &Codec<S, R>,
    search: &Search,
    output: &S::Return,
) -> Option<Hit> {
    let Opened::Error(error) = S::open(output) else { return None };
    search.in_place_of_an_error(|| contained(|| codec.forgives(error)) == Some(true))
}

pub(super) fn forgive<S: Shape, R>(
    codec: &Codec<S, R>,
    search: &mut Search,
    kept: &Hit,
) -> Option<S::Return> {
    let old = decode(codec, search.max_value(), &kept.entry).ok()?;
    search.forgave(kept);
    Some(old)
}

/// Decodes an entry, or notes that it is dead.
pub(super) fn serve<S: Shape, R>(
    codec: &Codec<S, R>,
    search: &mut Search,
    hit: &Hit,
) -> Option<S::Return> {
    match decode(codec, search.max_value(), &hit.entry) {
        Ok(output) => {
            search.served(&hit.entry, hit.stale);
            Some(output)
        }
        Err(why) => {
            search.undecodable(&hit.entry, &why);
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
        Kind::None if codec.none_ttl.is_some() => S::nothing().ok_or(NOT_OURS.into()),
        Kind::Value => {
            let body = entry.body(limit).ok_or("its bytes are damaged, or over CACHE_MAX_VALUE")?;
            match contained(|| codec.decode(&body)) {
                Some(Ok(value)) => Ok(S::value(value)),
                Some(Err(error)) => Err(error.to_string().into()),
                None => Err("`Deserialize` panicked".into()),
            }
        }
        Kind::None | Kind::Lease | Kind::Unstored => Err(NOT_OURS.into()),
    }
}

const NOT_OURS: &str = "it is a `None`, which the function does not store";
