//! One moment: what is in Redis, in each process, and on its way between them.

use crate::case::{CALLS, Case, Faults, INVALIDATIONS, PROCESSES, Start};
use crate::entry::{Age, Entry, Id, NOBODY};
use crate::inbox::Inbox;

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

#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct Call {
    pub(crate) phase: Phase,
    /// What had been promised, anywhere, when the call began.
    pub(crate) floor: Version,
    /// What its own process had been promised when the call began.
    pub(crate) own_floor: Version,
    pub(crate) read: Read,
    /// How often others took the key first.
    pub(crate) attempts: u8,
    /// The lease or claim that it has asked for, or holds.
    pub(crate) right: Id,
    /// The token that its lease or claim carries, which was read before the function began.
    pub(crate) token: Token,
    /// The caller has been served a stale value: this refreshes behind the call.
    pub(crate) behind: bool,
}

/// What a call is about to do.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) enum Phase {
    /// It has not begun.
    #[default]
    Idle,
    /// Reads the key and the token, then decides.
    Reading,
    /// Leads a flight: its compare-and-set for a lease or a claim is on its way.
    Sending,
    /// Leads a flight: Redis has granted or refused, and the call has not seen it yet.
    Answered(bool),
    /// A member of the flight that another call of its process leads.
    Joined(u8),
    /// For another process's lease or claim.
    Waiting,
    /// Leads a flight that has run: its populate is on its way, or its give-up.
    Settling(Option<Version>),
    /// Redis has answered the populate or give-up; until it is seen the flight can be joined.
    Landing(Option<Version>),
    /// Runs the function, and stores nothing.
    Plain,
    Done,
    Crashed,
}

/// What a call knows from its latest look into Redis.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct Read {
    pub(crate) entry: Reply<Entry>,
    pub(crate) token: Reply<Token>,
    /// It went, or is to go, through the listening lane.
    pub(crate) tracked: bool,
    /// The token was read after the entry, or together with it.
    pub(crate) in_order: bool,
    pub(crate) touched: Marks,
}

/// Whether the key or the token may have changed since it was read. Only what is untouched may
/// be remembered in the process, or relied upon by a waiter.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct Marks {
    pub(crate) key: bool,
    pub(crate) token: bool,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) enum Reply<T> {
    #[default]
    Unsent,
    OnItsWay,
    Here(T),
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
        let value = |age| Entry::Value { id: 1, version: 0, token, age, claim: None };
        let entry = match case.start {
            Start::Nothing | Start::Token => Entry::Absent,
            Start::Value => value(Age::Fresh),
            Start::Stale => value(Age::Stale),
            Start::Old => value(Age::Old),
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

impl Call {
    /// Its caller, or its background task, is still there.
    pub(crate) fn is_pending(&self) -> bool {
        !matches!(self.phase, Phase::Idle | Phase::Done | Phase::Crashed)
    }

    /// What an ended call leaves behind: nothing, so that equal states look equal.
    pub(crate) fn ended(phase: Phase) -> Self {
        Self { phase, ..Self::default() }
    }

    /// Looks again; what an earlier look showed is forgotten.
    pub(crate) fn read_again(&mut self, tracked: bool) {
        self.phase = Phase::Reading;
        self.right = NOBODY;
        self.read = Read { tracked, ..Read::default() };
    }

    /// The stale value that this call has itself read, live: what it may fall back on.
    pub(crate) fn fallback(&self) -> Option<Version> {
        match (self.read.entry, self.read.token) {
            (
                Reply::Here(Entry::Value { version, token, age: Age::Old, .. }),
                Reply::Here(current),
            ) if token == current => Some(version),
            _ => None,
        }
    }
}

impl<T: Copy> Reply<T> {
    pub(crate) fn here(self) -> Option<T> {
        match self {
            Self::Here(reply) => Some(reply),
            Self::Unsent | Self::OnItsWay => None,
        }
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
