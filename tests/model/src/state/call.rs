//! One call: how far it has come, and what it knows.

use crate::entry::{Age, Entry, Id, NOBODY};
use crate::state::{Token, Version};

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
    /// The lease or claim that it has asked for, or holds; or the mark that it runs under.
    pub(crate) right: Id,
    /// It runs under a mark, jointly: there is nothing to extend and nothing to give up.
    pub(crate) joint: bool,
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
    Settling(Result),
    /// Redis has answered the populate or give-up; until it is seen the flight can be joined.
    Landing(Result),
    /// Runs the function, and stores nothing.
    Plain,
    Done,
    Crashed,
}

/// What has become of a run.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) enum Result {
    /// A value that is to be stored.
    Value(Version),
    /// It failed, or returned what is not stored.
    Unstored,
    /// Its caller went away before its end.
    Dropped,
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
        self.joint = false;
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
