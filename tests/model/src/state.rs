//! One moment: what is in Redis, in each process, and on its way between them.

mod call;

use crate::case::{CALLS, Case, Faults, INVALIDATIONS, PROCESSES, Start};
use crate::entry::{Age, Claim, Entry, Id};
use crate::inbox::Inbox;
pub(crate) use call::{Call, Marks, Phase, Reply, Result};

/// What the database holds: how many invalidations have reached Redis when a function reads it.
///
/// A writer commits at the last moment, together with its `UNLINK`: whatever was read before the
/// invalidation reached Redis is old, which is what the promise says.
pub(crate) type Version = u8;

/// The generation of the prefix or tag. Only ever compared.
pub(crate) type Token = u8;
pub(crate) const MISSING: Token = 0;

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct State {
    pub(crate) redis: Redis,
    pub(crate) database: Version,
    /// The latest invalidation that has returned Ok anywhere.
    pub(crate) promised: Version,
    pub(crate) calls: [Call; CALLS],
    pub(crate) processes: [Process; PROCESSES],
    pub(crate) invalidations: [Invalidation; INVALIDATIONS],
    pub(crate) late: Option<Late>,
    /// What may still go wrong.
    pub(crate) faults: Faults,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Redis {
    pub(crate) entry: Entry,
    /// The key has expired, and those who track it hear of it only when something touches it.
    pub(crate) expired: bool,
    pub(crate) token: Token,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Process {
    pub(crate) alive: bool,
    pub(crate) lane: Lane,
    /// Pushes and replies of the listening lane, oldest first.
    pub(crate) inbox: Inbox,
    /// Redis will push the next change of the key, or of the token.
    pub(crate) key_tracked: bool,
    pub(crate) token_tracked: bool,
    /// The near cache: a value and the token that it was stored under.
    pub(crate) near: Option<(Version, Token)>,
    /// The token as far as this process knows, or `MISSING`.
    pub(crate) known_token: Token,
    /// The latest invalidation that has returned here, whether Ok or Err.
    pub(crate) promised: Version,
}

/// The listening lane.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Lane {
    Up,
    /// Cut, and not noticed yet.
    Cut,
    Down,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Invalidation {
    pub(crate) stage: Stage,
    pub(crate) version: Version,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Stage {
    #[default]
    Idle,
    /// Only with [`Flaw::EmptiedBeforeUnlink`](crate::Flaw): the near cache has been emptied.
    Emptied,
    /// Has returned Err: a tombstone stands in its process until it is known to be delivered.
    Undelivered,
    /// Redis has unlinked at last; the tombstone stands until the answer is there.
    Delivered,
    /// Redis has unlinked; the answer is on its way.
    Reached,
    Returned,
}

/// What is left of a compare-and-set that nobody waits for any more.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Late {
    /// It arrives some time.
    OnItsWay { process: u8, seen: Entry, new: Entry },
    /// Behind it, on the same lane, comes the give-up.
    GiveUp { process: u8, id: Id },
}

impl State {
    pub(crate) fn first(case: &Case) -> Self {
        let token = if case.start == Start::Nothing { MISSING } else { 1 };
        let value = |age, claim| Entry::Value { id: 1, version: 0, token, age, claim };
        let entry = match case.start {
            Start::Nothing | Start::Token => Entry::Absent,
            Start::Value => value(Age::Fresh, None),
            Start::Stale => value(Age::Stale, None),
            Start::Old => value(Age::Old, None),
            Start::Released => value(Age::Old, Some(Claim::RELEASED)),
            Start::Unstored => Entry::Unstored { id: 1, token, aged: false },
        };
        Self {
            redis: Redis { entry, expired: false, token },
            database: 0,
            promised: 0,
            calls: [Call::default(); CALLS],
            processes: [Process::FIRST; PROCESSES],
            invalidations: [Invalidation::default(); INVALIDATIONS],
            late: None,
            faults: case.faults,
        }
    }

    /// Whether the process must not use near cache, flights or Redis for this key.
    pub(crate) fn has_tombstone(&self, case: &Case, process: usize) -> bool {
        case.invalidations.iter().zip(&self.invalidations).any(|(&(at, _), invalidation)| {
            let undelivered = matches!(invalidation.stage, Stage::Undelivered | Stage::Delivered);
            at == process && undelivered
        })
    }

    /// Whether somebody lives who may extend, populate or give up under this id.
    pub(crate) fn has_owner(&self, id: Id) -> bool {
        let late = matches!(self.late, Some(Late::GiveUp { id: left, .. }) if left == id);
        late || self.calls.iter().any(|call| call.right == id)
    }
}

impl Process {
    const FIRST: Self = Self {
        alive: true,
        lane: Lane::Up,
        inbox: Inbox::EMPTY,
        key_tracked: false,
        token_tracked: false,
        near: None,
        known_token: MISSING,
        promised: 0,
    };

    /// What the near cache serves: a value whose token is here too.
    pub(crate) fn near_hit(&self) -> Option<Version> {
        let (version, token) = self.near?;
        let usable = self.lane != Lane::Down && token != MISSING && token == self.known_token;
        usable.then_some(version)
    }
}
