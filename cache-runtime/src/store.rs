//! Where entries live. Both stores honour one contract, so everything above them is shared.

mod breaker;
mod connection;
mod memory;
mod redis;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::entry::Seen;
use crate::outcome::Reason;

pub(crate) use breaker::Breaker;
pub(crate) use connection::State;
pub(crate) use memory::Memory;
pub(crate) use redis::Redis;

pub(crate) enum Store {
    Off,
    Memory(Memory),
    Redis(Redis),
}

/// A Redis key, and the way to it.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub(crate) text: Arc<str>,
    /// Chooses the lane.
    pub(crate) hash: u64,
    /// The function's last value was large: a connection of its own keeps others from waiting.
    pub(crate) bulk: bool,
}

impl Key {
    /// Any key at all, to ask whether its lane is up.
    pub(crate) fn any() -> Self {
        Self { text: Arc::from(""), hash: 0, bulk: false }
    }
}

/// What compare-and-set leaves in place of what was seen.
#[derive(Clone, Debug)]
pub(crate) enum Write {
    /// A whole entry that expires after `life`.
    Whole {
        bytes: Bytes,
        life: Duration,
    },
    /// A new header over the same body, and a new lifetime.
    Header {
        bytes: Bytes,
        life: Duration,
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

impl From<Fault> for crate::Error {
    fn from(fault: Fault) -> Self {
        use crate::error::Kind;
        let (kind, message) = match fault {
            Fault::Down => (Kind::Unavailable, "redis is unavailable".to_owned()),
            Fault::Timeout => (Kind::Timeout, "redis did not answer in time".to_owned()),
            Fault::Busy => (Kind::Unavailable, "too many commands in flight".to_owned()),
            Fault::WrongType => (Kind::Refused, "the key holds another Redis type".to_owned()),
            Fault::ReadOnly => (Kind::Refused, "redis refuses writes".to_owned()),
            Fault::Refused(message) => (Kind::Refused, message),
        };
        crate::Error::new(kind, message)
    }
}

/// What lies under a key, and for how much longer where that was asked.
#[derive(Clone, Debug, Default)]
pub(crate) struct Found {
    pub(crate) bytes: Option<Bytes>,
    pub(crate) left: Option<Duration>,
}

impl Store {
    /// Waits for the end of the first dial, so that the first calls of a process are not lost.
    pub(crate) async fn ready(&self, key: &Key) {
        if let Self::Redis(redis) = self {
            redis.ready(key).await;
        }
    }

    /// Whether [`Store::ready`] would return at once.
    pub(crate) fn is_ready(&self, key: &Key) -> bool {
        match self {
            Self::Off | Self::Memory(_) => true,
            Self::Redis(redis) => redis.is_ready(key),
        }
    }

    /// Reads a key within `limit`.
    pub(crate) async fn read(&self, key: &Key, limit: Duration) -> Result<Option<Bytes>, Fault> {
        match self {
            Self::Off => Err(Fault::Down),
            Self::Memory(memory) => Ok(memory.read(&key.text).bytes),
            Self::Redis(redis) => redis.read(key, limit).await,
        }
    }

    /// Reads a key, and the time that it has left.
    pub(crate) async fn read_with_left(&self, key: &Key, limit: Duration) -> Result<Found, Fault> {
        match self {
            Self::Off => Err(Fault::Down),
            Self::Memory(memory) => Ok(memory.read(&key.text)),
            Self::Redis(redis) => redis.read_with_left(key, limit).await,
        }
    }

    /// Writes where the key still begins with what was seen; `false` where it does not.
    pub(crate) async fn compare_and_set(
        &self,
        key: &Key,
        seen: &Seen,
        write: Write,
        limit: Duration,
    ) -> Result<bool, Fault> {
        match self {
            Self::Off => Err(Fault::Down),
            Self::Memory(memory) => Ok(memory.compare_and_set(&key.text, seen, write)),
            Self::Redis(redis) => redis.compare_and_set(key, seen, &write, limit).await,
        }
    }

    /// Removes a key.
    pub(crate) async fn unlink(&self, key: &Key, limit: Duration) -> Result<(), Fault> {
        match self {
            Self::Off => Ok(()),
            Self::Memory(memory) => {
                memory.unlink(&key.text);
                Ok(())
            }
            Self::Redis(redis) => redis.unlink(key, limit).await,
        }
    }

    /// How long a command off the caller's path may take.
    pub(crate) fn patience(&self) -> Duration {
        match self {
            Self::Redis(redis) => redis.timeout(),
            Self::Off | Self::Memory(_) => Duration::MAX,
        }
    }

    /// Whether other processes see the entries.
    pub(crate) fn is_shared(&self) -> bool {
        matches!(self, Self::Redis(_))
    }

    /// Whether writes were refused a moment ago, and are not tried.
    pub(crate) fn is_write_paused(&self) -> bool {
        match self {
            Self::Off | Self::Memory(_) => false,
            Self::Redis(redis) => redis.is_write_paused(),
        }
    }

    /// Whether a command would fail at once.
    pub(crate) fn is_down(&self) -> bool {
        match self {
            Self::Off => true,
            Self::Memory(_) => false,
            Self::Redis(redis) => redis.is_down(),
        }
    }
}
