//! The contract of both stores: how a key is read, the result of a read, conditional writes, and faults.

use std::time::Duration;

use bytes::Bytes;
use smallvec::SmallVec;

use crate::entry::Token;
use crate::error::{Error, ErrorKind};
use crate::outcome::Reason;
use crate::stats::Count;

/// What compare-and-set does with a key that still holds the expected bytes.
#[derive(Clone, Debug)]
pub(crate) enum Write {
    /// Replaces the entry with one that expires after `life`.
    Whole { bytes: Bytes, life: Duration },
    /// Overwrites the header and keeps the body; sets a new lifetime if one is given.
    Header { bytes: Bytes, life: Option<Duration> },
    /// Removes the entry.
    Delete,
}

impl Write {
    /// The bytes that it sends.
    pub(crate) fn size(&self) -> usize {
        match self {
            Self::Whole { bytes, .. } | Self::Header { bytes, .. } => bytes.len(),
            Self::Delete => 0,
        }
    }
}

/// Why a command to the store has failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// No connection, or the breaker is open.
    Down,
    /// No answer within the limit: a write may have been carried out.
    Timeout,
    /// The bound on commands in flight was reached.
    Busy,
    /// The key holds another Redis type than a string.
    WrongType,
    /// Redis refuses this write, or writes are paused after such a refusal; reads are answered.
    ReadOnly,
    /// Redis answered with another error.
    Refused(String),
}

impl Fault {
    /// The counter of errors of this kind.
    pub(crate) fn count(&self) -> Count {
        match self {
            Self::Down => Count::ErrorDown,
            Self::Timeout => Count::ErrorTimeout,
            Self::Busy => Count::ErrorBusy,
            Self::ReadOnly => Count::ErrorReadOnly,
            Self::WrongType | Self::Refused(_) => Count::ErrorRefused,
        }
    }

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

/// The result of a read: the bytes of an entry, its tokens, and its remaining TTL if that was asked for.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Found {
    pub(crate) bytes: Option<Bytes>,
    pub(crate) tokens: SmallVec<[Option<Token>; 2]>,
    /// `None` also for an entry that was stored between `PTTL` and the read.
    pub(crate) ttl_left: Option<Duration>,
}

/// How a key is read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Read {
    Plain,
    /// With the entry's remaining TTL.
    Timed,
    /// Timed, and on the tracking lane, so that the next change is reported.
    Tracked,
}
