//! The promise: what may not happen, whatever else does.

use std::fmt;

use crate::case::Case;
use crate::inbox::Message;
use crate::state::{Call, Lane, MISSING, Process, State, Version};

/// How the promise was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Violation {
    /// A call began after an invalidation had returned in its own process, and got an older value.
    OldInOwnProcess(Source),
    /// A call began after an invalidation had returned elsewhere, and got an older value.
    OldElsewhere(Source),
    /// A near cache holds an old value, or a token table an old token, and no push is on its way.
    OldForGood,
    /// A near cache holds an old value in the very process whose invalidation has returned.
    OldInNearCache,
    /// Somebody took a lease or a claim whose owner computes and may still store.
    TwoComputations,
    /// A call waits, and nothing that is sure to happen will wake it.
    WaitsForEver,
}

/// Where a value came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The call's own look into Redis.
    Redis,
    /// The near cache.
    Near,
    /// Its own run of the function.
    Run,
    /// The flight that it has joined.
    Flight,
    /// A stale value, because the function failed.
    Fallback,
}

/// Whether a call may be given this version.
pub(crate) fn served(
    call: &Call,
    process: &Process,
    version: Version,
    source: Source,
) -> Option<Violation> {
    if version < call.own_floor {
        return Some(Violation::OldInOwnProcess(source));
    }
    // The one exception: a near cache may be old until its process hears of it.
    let excused = source == Source::Near && (process.inbox.has_push() || process.lane == Lane::Cut);
    (version < call.floor && !excused).then_some(Violation::OldElsewhere(source))
}

/// Whether local tables will be corrected, if they have to be.
pub(crate) fn local_tables(case: &Case, state: &State) -> Option<Violation> {
    let processes = state.processes.iter().enumerate();
    for (at, process) in processes.filter(|(_, process)| process.alive && process.lane == Lane::Up)
    {
        let messages = process.inbox.as_slice();
        let corrected = messages.contains(&Message::TokenChanged);
        let known = process.known_token;
        if known != MISSING && known != state.redis.token && !corrected {
            return Some(Violation::OldForGood);
        }
        // With a tombstone the near cache is not asked, and it is dropped before that is lifted.
        let Some(version) = process.near_hit().filter(|_| !state.has_tombstone(case, at)) else {
            continue;
        };
        if version < process.promised {
            return Some(Violation::OldInNearCache);
        }
        if version < state.promised && !process.inbox.has_push() {
            return Some(Violation::OldForGood);
        }
    }
    None
}

/// Whether two calls run the function under one and the same right.
pub(crate) fn computations(case: &Case, state: &State) -> Option<Violation> {
    let id = state.redis.entry.id();
    let under = |call: &usize| state.calls[*call].right == id;
    // Those who run under a mark do so jointly, one a process.
    let joint = state.calls.iter().any(|call| call.right == id && call.joint);
    let shared = (0..case.calls.len()).filter(under).any(|one| {
        let rival = |other: &usize| !joint || case.calls[*other] == case.calls[one];
        (0..one).filter(under).any(|other| rival(&other))
    });
    (state.is_computing(id) && shared).then_some(Violation::TwoComputations)
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, source) = match self {
            Self::OldInOwnProcess(source) => {
                ("a value older than an invalidation that had returned in this process", source)
            }
            Self::OldElsewhere(source) => {
                ("a value older than an invalidation that had returned elsewhere", source)
            }
            Self::OldForGood => return write!(f, "a local table is old, and no push will come"),
            Self::OldInNearCache => {
                return write!(f, "the near cache is old in the process that has invalidated");
            }
            Self::TwoComputations => return write!(f, "two computations may store at once"),
            Self::WaitsForEver => return write!(f, "a call waits for ever"),
        };
        write!(f, "{what} was served, from: {source:?}")
    }
}
