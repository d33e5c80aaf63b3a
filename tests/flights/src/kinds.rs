//! Who takes part, and how it ends.

use crate::follower::Follower;
use crate::leader::Leader;

/// Who enters is one of these.
#[derive(Debug)]
pub enum Party {
    /// The one who is to run the function.
    Leader(Leader),
    /// One who waits for it.
    Follower(Follower),
}

/// How it ended for a party.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It got what another run returned.
    Shared,
    /// It is to run by itself, since leaders panicked too often or could not share.
    Alone,
    /// It is to read again, since another process was first.
    Again,
    /// It led, and ended the flight with its lease in hand.
    Populated,
    /// It led, and there was no lease, or another leader was first.
    Ran,
    /// It left.
    Gone,
    /// It found the value that another run has stored.
    Hit,
}

/// What a server makes of being asked for a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    /// Grants it.
    Grants,
    /// Grants it so that others can read it, and the answer is lost.
    GrantsUnheard,
    /// Another process has it.
    Refuses,
    /// Does not answer.
    IsAway,
    /// Grants it where the key is free.
    Decides,
}
