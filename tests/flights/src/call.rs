//! Whole calls, and the key that they are about.

use crate::books::Books;
use crate::entry::EntryId;
use crate::kinds::{End, Party, Server};
use crate::leader::Leader;
use crate::schedule::pause;
use crate::world::World;

/// What the server has under the key, where it decides about leases itself.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Key {
    #[default]
    Free,
    Leased(EntryId),
    Value,
}

impl World {
    /// Looks at the key, joins, leads or waits until it ends, as a call does; leads as told.
    pub fn call(&self, leads: impl Fn(Leader) -> End) -> End {
        loop {
            let end = match self.books.key() {
                Key::Value => return End::Hit,
                Key::Leased(lease) => self.read_lease(lease).map(|member| member.waits_or(&leads)),
                Key::Free => match self.enter() {
                    Party::Leader(mut leader) => {
                        leader.ask(Server::Decides);
                        Some(leads(leader))
                    }
                    Party::Follower(follower) => Some(follower.waits_or(&leads)),
                },
            };
            match end {
                None | Some(End::Again) => pause(),
                Some(end) => return end,
            }
        }
    }
}

impl Books {
    pub(crate) fn key(&self) -> Key {
        self.open().key
    }

    /// Whether the key was free for the lease.
    pub(crate) fn take_key(&self, lease: EntryId) -> bool {
        let mut state = self.open();
        let free = state.key == Key::Free;
        if free {
            state.key = Key::Leased(lease);
        }
        free
    }

    pub(crate) fn populate_key(&self, lease: EntryId) {
        self.replace_key(lease, Key::Value);
    }

    pub(crate) fn replace_key(&self, lease: EntryId, with: Key) {
        let mut state = self.open();
        if state.key == Key::Leased(lease) {
            state.key = with;
        }
    }
}
