//! Outputs that do not come from the call's own run.

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
    let old = decode(codec, search.max_value(), &kept.entry)?;
    search.forgave(kept);
    Some(old)
}

/// Decodes an entry, or notes that it is dead.
pub(super) fn serve<S: Shape, R>(
    codec: &Codec<S, R>,
    search: &mut Search,
    hit: &Hit,
) -> Option<S::Return> {
    let output = decode(codec, search.max_value(), &hit.entry);
    if output.is_some() {
        search.served(&hit.entry, hit.stale);
    } else {
        search.undecodable(&hit.entry);
    }
    output
}

pub(crate) fn decode<S: Shape, R>(
    codec: &Codec<S, R>,
    limit: usize,
    entry: &Entry,
) -> Option<S::Return> {
    match entry.kind {
        Kind::None if codec.none_ttl.is_some() => S::nothing(),
        Kind::Value => {
            let body = entry.body(limit)?;
            contained(|| codec.decode(&body).ok()).flatten().map(S::value)
        }
        Kind::None | Kind::Lease => None,
    }
}
