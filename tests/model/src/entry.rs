//! What the key holds: the rows of the protocol's state table.

use std::fmt;

use crate::state::{MISSING, Token, Version};

/// Random in truth. Here the smallest that occurs nowhere: ids are only ever compared.
pub(crate) type Id = u8;
pub(crate) const NOBODY: Id = 0;

#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) enum Entry {
    #[default]
    Absent,
    Lease {
        id: Id,
        token: Token,
    },
    /// Left by an owner whose run ended with a result that is not stored: whoever reads it runs at
    /// once, jointly with all others who read it.
    Unstored {
        id: Id,
        token: Token,
        /// It no longer lets anybody run, and still stands for those who do. Follows from the time
        /// to live, so it is no part of the bytes.
        aged: bool,
    },
    Value {
        id: Id,
        version: Version,
        token: Token,
        age: Age,
        claim: Option<Claim>,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) enum Age {
    Fresh,
    /// May be served while it is refreshed.
    Stale,
    /// May be served only if the function fails.
    Old,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct Claim {
    /// The time of the claim, which each extension writes anew.
    pub(crate) mark: u8,
    /// The mark is older than a lease may be: others may take the claim over. Follows from the
    /// mark and the time to live, so it is no part of the bytes.
    pub(crate) run_out: bool,
    /// Its owner's function has failed. Until it has run out the value lets all who read it run
    /// at once, as [`Entry::Unstored`] does.
    pub(crate) released: bool,
}

impl Claim {
    pub(crate) const NEW: Self = Self { mark: 0, run_out: false, released: false };
    pub(crate) const RELEASED: Self = Self { released: true, ..Self::NEW };
}

impl Entry {
    pub(crate) fn id(self) -> Id {
        match self {
            Self::Absent => NOBODY,
            Self::Lease { id, .. } | Self::Unstored { id, .. } | Self::Value { id, .. } => id,
        }
    }

    pub(crate) fn token(self) -> Token {
        match self {
            Self::Absent => MISSING,
            Self::Lease { token, .. }
            | Self::Unstored { token, .. }
            | Self::Value { token, .. } => token,
        }
    }

    /// Whether a compare-and-set that expects `seen` finds the header that it expects.
    pub(crate) fn is_same_bytes(self, seen: Self) -> bool {
        self.id() == seen.id() && self.mark() == seen.mark()
    }

    fn mark(self) -> Option<u8> {
        match self {
            Self::Value { claim, .. } => claim.map(|claim| claim.mark),
            Self::Absent | Self::Lease { .. } | Self::Unstored { .. } => None,
        }
    }

    /// Whether all who read it, live, run under its id at the same time.
    pub(crate) fn is_joint(self) -> bool {
        match self {
            Self::Unstored { aged, .. } => !aged,
            Self::Value { claim: Some(claim), .. } => claim.released && !claim.run_out,
            Self::Absent | Self::Lease { .. } | Self::Value { claim: None, .. } => false,
        }
    }

    /// Whether somebody has the right to replace it that nobody may take away: a lease, or a claim
    /// that has not run out, under the current token.
    pub(crate) fn is_owned(self, current: Token) -> bool {
        let owned = match self {
            Self::Absent | Self::Unstored { .. } | Self::Value { claim: None, .. } => false,
            Self::Lease { .. } => true,
            Self::Value { claim: Some(claim), .. } => !claim.run_out && !claim.released,
        };
        owned && self.token() == current
    }

    /// The same value under a new id, claimed or no longer so.
    pub(crate) fn with_claim(self, id: Id, claim: Option<Claim>) -> Self {
        match self {
            Self::Value { version, token, age, .. } => {
                Self::Value { id, version, token, age, claim }
            }
            other => other,
        }
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Absent => write!(f, "absent"),
            Self::Lease { id, token } => write!(f, "lease {id} under token {token}"),
            Self::Unstored { id, token, aged } => {
                let aged = if aged { ", aged" } else { "" };
                write!(f, "mark {id}{aged} under token {token}")
            }
            Self::Value { id, version, token, age, claim } => {
                let claim = match claim {
                    None => "",
                    Some(Claim { released: true, .. }) => ", its claim released",
                    Some(Claim { run_out: false, .. }) => ", claimed",
                    Some(Claim { run_out: true, .. }) => ", its claim run out",
                };
                write!(f, "value {id} (version {version}, {age:?}{claim}) under token {token}")
            }
        }
    }
}
