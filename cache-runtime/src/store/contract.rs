//! What both stores promise to their callers: how a key is read, what is found, how it is written, and why
//! there may be no answer.

use std::time::Duration;

use bytes::Bytes;
use smallvec::SmallVec;

use crate::entry::Token;
use crate::error::{Error, ErrorKind};
use crate::outcome::Reason;

/// What compare-and-set leaves in place of what was seen.
#[derive(Clone, Debug)]
pub(crate) enum Write {
    /// A whole entry that expires after `life`.
    Whole {
        bytes: Bytes,
        life: Duration,
    },
    /// A new header over the same body, and a new lifetime where one is given.
    Header {
        bytes: Bytes,
        life: Option<Duration>,
    },
    Delete,
}

/// Why the store gave no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// No connection, or the breaker is open.
    Down,
    Timeout,
    /// The bound on commands in flight was reached.
    Busy,
    /// The key holds a type that is not ours.
    WrongType,
    /// Redis refuses writes for now, and answers reads.
    ReadOnly,
    /// Redis answered with an error.
    Refused(String),
}

impl Fault {
    pub(crate) fn reason(&self) -> Reason {
        match self {
            Self::Down => Reason::Unavailable,
            Self::Timeout => Reason::Timeout,
            Self::Busy => Reason::Busy,
            Self::WrongType => Reason::WrongType,
            Self::ReadOnly => Reason::WritesRefused,
            Self::Refused(_) => Reason::Failed,
        }
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        let (kind, message) = match fault {
            Fault::Down => (ErrorKind::Unavailable, "redis is unavailable".to_owned()),
            Fault::Timeout => (ErrorKind::Timeout, "redis did not answer in time".to_owned()),
            Fault::Busy => (ErrorKind::Unavailable, "too many commands in flight".to_owned()),
            Fault::WrongType => (ErrorKind::Refused, "the key holds another Redis type".to_owned()),
            Fault::ReadOnly => (ErrorKind::Refused, "redis refuses writes".to_owned()),
            Fault::Refused(message) => (ErrorKind::Refused, message),
        };
        Error::new(kind, message)
    }
}

/// What lies under a key and the keys of its tokens, and for how much longer where that was asked.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Found {
    pub(crate) bytes: Option<Bytes>,
    pub(crate) tokens: SmallVec<[Option<Token>; 2]>,
    /// `None` also for an entry that came while it was asked.
    pub(crate) ttl_left: Option<Duration>,
}

/// How a key is read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Read {
    Plain,
    /// With the time that the entry has left.
    Timed,
    /// Timed, and so that a change of what was read is heard.
    Tracked,
}
