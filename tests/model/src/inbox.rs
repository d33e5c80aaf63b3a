//! What is on its way to a process on its listening lane.

use std::hash::{Hash, Hasher};

use crate::entry::Entry;
use crate::state::Token;

const CAPACITY: usize = 8;

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Message {
    KeyChanged,
    TokenChanged,
    /// The reply of a tracked read of the key, the token, or both.
    Reply {
        call: u8,
        entry: Option<Entry>,
        token: Option<Token>,
    },
}

/// First in, first out: pushes precede the replies of later commands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Inbox {
    messages: [Message; CAPACITY],
    len: u8,
}

impl Inbox {
    pub(crate) const EMPTY: Self = Self { messages: [Message::KeyChanged; CAPACITY], len: 0 };

    pub(crate) fn push(&mut self, message: Message) {
        self.messages[usize::from(self.len)] = message;
        self.len += 1;
    }

    pub(crate) fn pop(&mut self) -> Option<Message> {
        let oldest = *self.as_slice().first()?;
        self.messages.rotate_left(1);
        self.len -= 1;
        Some(oldest)
    }

    pub(crate) fn as_slice(&self) -> &[Message] {
        &self.messages[..usize::from(self.len)]
    }

    pub(crate) fn as_mut_slice(&mut self) -> &mut [Message] {
        &mut self.messages[..usize::from(self.len)]
    }

    /// Whether the process has yet to hear of a change.
    pub(crate) fn has_push(&self) -> bool {
        self.as_slice().iter().any(|message| !matches!(message, Message::Reply { .. }))
    }
}

impl PartialEq for Inbox {
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl Eq for Inbox {}

impl Hash for Inbox {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.as_slice().hash(hasher);
    }
}
