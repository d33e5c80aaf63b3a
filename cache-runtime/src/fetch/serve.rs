//! Outputs that do not come from the call's own run.

use crate::contained;
use crate::entry::{Entry, Kind};
use crate::returns::{Codec, Opened, Payload, Rule, Shape};
use crate::search::{Hit, Search};

/// What another run of the function returned, or what is served in its place.
pub(super) fn receive<S: Shape, R: Rule<S>>(
    codec: &Codec<S, R>,
    search: &Search,
    payload: &Payload,
) -> Option<S::Return> {
    if matches!(payload, Payload::Forgiven) {
        return in_place_of_an_error(codec, search);
    }
    let output = contained(|| codec.receive(payload)).flatten()?;
    let old = forgives(codec, search, &output).then(|| in_place_of_an_error(codec, search));
    old.flatten().or_else(|| {
        search.joined();
        Some(output)
    })
}

/// Whether the function has failed and an older value is to be served instead.
pub(super) fn forgives<S: Shape, R: Rule<S>>(
    codec: &Codec<S, R>,
    search: &Search,
    output: &S::Return,
) -> bool {
    match (S::open(output), search.kept()) {
        (Opened::Error(error), Some(kept)) => {
            // What could have been served without running needs no leave.
            kept.refresh.is_some() || contained(|| codec.forgives(error)) == Some(true)
        }
        _ => false,
    }
}

pub(super) fn in_place_of_an_error<S: Shape, R>(
    codec: &Codec<S, R>,
    search: &Search,
) -> Option<S::Return> {
    let kept = search.kept()?;
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

pub(super) fn decode<S: Shape, R>(
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
