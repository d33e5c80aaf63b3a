//! Where entries live. Both stores honour one contract, so everything above them is shared.

mod breaker;
mod connection;
mod memory;
mod redis;
// Without the features there is always the one that the URL names.
#[cfg_attr(
    not(any(feature = "cluster", feature = "sentinel")),
    allow(unused_imports, irrefutable_let_patterns, clippy::unnecessary_wraps)
)]
mod servers;

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use smallvec::SmallVec;

use crate::background;
use crate::entry::{Seen, Token, Tokens};
use crate::key::Buffer;
use crate::outcome::Reason;

pub(crate) use breaker::Breaker;
pub(crate) use connection::{Listening, State};
pub(crate) use memory::Memory;
pub(crate) use redis::Redis;
use redis::Together;

pub(crate) enum Store {
    Off,
    Memory(Memory),
    Redis(Redis),
}

/// The key of an entry with those of its tokens, and the way to them.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub(crate) names: Names,
    /// Chooses the lane.
    pub(crate) hash: u64,
    /// The function's last value was large: a connection of its own keeps others from waiting.
    pub(crate) bulk: bool,
}

/// The name of an entry, then those of its tokens: of the prefix and the tags, in the order in which
/// entries list them. One after the other in one text.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    text: Buffer,
    /// Where each of them ends.
    ends: SmallVec<[usize; 2]>,
}

impl Names {
    pub(crate) fn new() -> Self {
        Self { text: Buffer::new(), ends: SmallVec::new() }
    }

    /// Adds the name that `write` appends.
    pub(crate) fn add(&mut self, write: impl FnOnce(&mut Buffer)) {
        write(&mut self.text);
        self.ends.push(self.text.len());
    }

    fn all(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        let mut from = 0;
        self.ends.iter().map(move |end| &self.text[std::mem::replace(&mut from, *end)..*end])
    }
}

impl Key {
    /// Any key at all, to ask whether its lane is up.
    pub(crate) fn any() -> Self {
        Self { names: Names::new(), hash: 0, bulk: false }
    }

    #[cfg(test)]
    pub(crate) fn named(entry: &str) -> Self {
        let mut names = Names::new();
        names.add(|text| text.push_str(entry));
        names.add(|text| text.push_str(&format!("~{entry}")));
        Self { names, ..Self::any() }
    }

    pub(crate) fn entry(&self) -> &str {
        self.all().next().unwrap_or_default()
    }

    pub(crate) fn tokens(&self) -> impl ExactSizeIterator<Item = &str> {
        self.all().skip(1)
    }

    /// What tells the functions of one prefix from others: the name of their token.
    pub(crate) fn function(&self) -> &str {
        self.tokens().next().unwrap_or_default()
    }

    /// The names of the entry and of all that it depends on.
    pub(crate) fn all(&self) -> impl ExactSizeIterator<Item = &str> {
        // Only text is ever written there.
        self.bytes().map(|name| std::str::from_utf8(name).unwrap_or_default())
    }

    /// As [`Key::all`], without a look at every letter.
    pub(crate) fn bytes(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.names.all()
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

/// What lies under a key and the keys of its tokens, and for how much longer where that was asked.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Found {
    pub(crate) bytes: Option<Bytes>,
    pub(crate) tokens: SmallVec<[Option<Token>; 2]>,
    /// `None` also for an entry that came while it was asked.
    pub(crate) left: Option<Duration>,
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

/// A read on its way, and no larger than it has to be: every call carries it.
pub(crate) enum Reading<'a> {
    /// Known at once.
    Known(Option<Result<Found, Fault>>),
    Together(Together<'a>),
    /// The rest is boxed.
    Other(Pin<Box<dyn Future<Output = Result<Found, Fault>> + Send + 'a>>),
}

impl Future for Reading<'_> {
    type Output = Result<Found, Fault>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.get_mut() {
            Self::Known(found) => found.take().map_or(Poll::Pending, Poll::Ready),
            Self::Together(reading) => Pin::new(reading).poll(cx),
            Self::Other(reading) => reading.as_mut().poll(cx),
        }
    }
}

impl Store {
    /// Waits for the end of the first dial, so that the first calls of a process are not lost.
    pub(crate) async fn ready(&self, key: &Key) {
        if let Self::Redis(redis) = self {
            background::guarded(redis.ready(key)).await;
        }
    }

    /// Whether [`Store::ready`] would return at once.
    pub(crate) fn is_ready(&self, key: &Key) -> bool {
        match self {
            Self::Off | Self::Memory(_) => true,
            Self::Redis(redis) => redis.is_ready(key),
        }
    }

    /// Reads an entry and its tokens within `limit`.
    // Not an `async fn`: that would keep what it is given twice.
    pub(crate) fn read<'a>(&'a self, key: &'a Key, how: Read, limit: Duration) -> Reading<'a> {
        match self {
            Self::Off => Reading::Known(Some(Err(Fault::Down))),
            Self::Memory(memory) => Reading::Known(Some(Ok(memory.read(key)))),
            Self::Redis(redis) => redis.read(key, how, limit),
        }
    }

    /// Whether the key holds a type that is not ours, which a read shows as nothing.
    pub(crate) async fn is_of_another_type(&self, key: &Key, limit: Duration) -> bool {
        match self {
            Self::Off | Self::Memory(_) => false,
            Self::Redis(redis) => redis.is_of_another_type(key, limit).await,
        }
    }

    /// Makes the tokens that are missing, unless others were faster, and returns all of them.
    pub(crate) async fn seed(
        &self,
        key: &Key,
        known: &[Option<Token>],
        life: Duration,
        limit: Duration,
    ) -> Result<Tokens, Fault> {
        match self {
            Self::Off => Err(Fault::Down),
            Self::Memory(memory) => memory.seed(key, life),
            Self::Redis(redis) => redis.seed(key, known, life, limit).await,
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
            Self::Memory(memory) => Ok(memory.compare_and_set(key.entry(), seen, write)),
            Self::Redis(redis) => redis.compare_and_set(key, seen, &write, limit).await,
        }
    }

    /// As [`Store::compare_and_set`]; also sees to it that the entry's tokens live for `tokens_for`,
    /// for without them it is dead.
    pub(crate) async fn populate(
        &self,
        key: &Key,
        seen: &Seen,
        write: Write,
        tokens_for: Duration,
        limit: Duration,
    ) -> Result<bool, Fault> {
        match self {
            Self::Off => Err(Fault::Down),
            Self::Memory(memory) => {
                memory.renew(key, tokens_for);
                Ok(memory.compare_and_set(key.entry(), seen, write))
            }
            Self::Redis(redis) => redis.populate(key, seen, &write, tokens_for, limit).await,
        }
    }

    /// As the tokens of [`Store::populate`], where that takes no command.
    pub(crate) fn renew_in_process(&self, key: &Key, tokens_for: Duration) {
        if let Self::Memory(memory) = self {
            memory.renew(key, tokens_for);
        }
    }

    /// Removes entries and tokens together.
    pub(crate) async fn unlink(&self, names: &[String], limit: Duration) -> Result<(), Fault> {
        match self {
            Self::Off => Ok(()),
            Self::Memory(memory) => {
                memory.unlink(names);
                Ok(())
            }
            Self::Redis(redis) => redis.unlink(names, limit).await,
        }
    }

    /// Removes everything whose name begins with `start`; told how much after each batch.
    pub(crate) async fn clear(
        &self,
        start: &str,
        progress: &mut (dyn FnMut(u64) + Send),
    ) -> Result<u64, Fault> {
        match self {
            Self::Off => Ok(0),
            Self::Memory(memory) => {
                let removed = memory.clear(start);
                progress(removed);
                Ok(removed)
            }
            Self::Redis(redis) => redis.clear(start, progress).await,
        }
    }

    /// Whether a change of what is read [`Read::Tracked`] touches its marks.
    pub(crate) fn hears(&self) -> bool {
        match self {
            Self::Off => false,
            Self::Memory(_) => true,
            Self::Redis(redis) => redis.hears(),
        }
    }

    /// Begins to hear of changes of what is then read [`Read::Tracked`], where that can be had.
    pub(crate) fn listen(&self, key: &Key) -> Option<Listening> {
        match self {
            Self::Off | Self::Memory(_) => None,
            Self::Redis(redis) => redis.listen(key),
        }
    }

    /// How long a command off the caller's path may take.
    pub(crate) fn patience(&self) -> Duration {
        match self {
            Self::Redis(redis) => redis.timeout(),
            Self::Off | Self::Memory(_) => Duration::MAX,
        }
    }

    /// Closes all connections, for good.
    pub(crate) fn close(&self) {
        if let Self::Redis(redis) = self {
            redis.close();
        }
    }

    /// Whether it was closed.
    pub(crate) fn is_closed(&self) -> bool {
        matches!(self, Self::Redis(redis) if redis.is_closed())
    }

    /// Whether any number of names is removed by one command, and thereby at once.
    pub(crate) fn unlinks_together(&self) -> bool {
        match self {
            Self::Off | Self::Memory(_) => true,
            Self::Redis(redis) => redis.unlinks_together(),
        }
    }

    /// How long the removal of so many names may take, if that of a few may take `few`.
    pub(crate) fn patience_for(&self, names: usize, few: Duration) -> Duration {
        let many = if self.unlinks_together() { 1 } else { names.div_ceil(64).max(1) };
        few.saturating_mul(u32::try_from(many).unwrap_or(u32::MAX))
    }

    /// Whether other processes see the entries.
    pub(crate) fn is_shared(&self) -> bool {
        matches!(self, Self::Redis(_))
    }

    /// Whether such writes were refused a moment ago, and are not tried.
    pub(crate) fn is_write_paused(&self, key: &Key) -> bool {
        match self {
            Self::Off | Self::Memory(_) => false,
            Self::Redis(redis) => redis.is_write_paused(key),
        }
    }

    /// The moment by the clock that entries here age by; of Redis's own, only differences are known.
    pub(crate) fn now(&self) -> Instant {
        match self {
            Self::Memory(memory) => memory.now(),
            Self::Off | Self::Redis(_) => Instant::now(),
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
