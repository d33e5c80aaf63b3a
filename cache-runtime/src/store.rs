//! Where entries live. Both stores honour one contract, so everything above them is shared.

mod breaker;
mod contract;
mod lanes;
mod memory;
mod redis;
// Without the features there is always the one that the URL names.
#[cfg_attr(
    not(any(feature = "cluster", feature = "sentinel")),
    allow(unused_imports, irrefutable_let_patterns, clippy::unnecessary_wraps)
)]
mod servers;

use std::time::{Duration, Instant};

use crate::background;
use crate::entry::{Seen, Token, Tokens};
use crate::key::Key;

pub(crate) use contract::{Fault, Found, Read, Write};
pub(crate) use lanes::{State, Subscription};
pub(crate) use memory::Memory;
pub(crate) use redis::{Reading, Redis};

pub(crate) enum Store {
    Off,
    Memory(Memory),
    Redis(Redis),
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
    pub(crate) fn read<'a>(&'a self, key: &'a Key, mode: Read, limit: Duration) -> Reading<'a> {
        match self {
            Self::Off => Reading::Ready(Some(Err(Fault::Down))),
            Self::Memory(memory) => Reading::Ready(Some(Ok(memory.read(key)))),
            Self::Redis(redis) => redis.read(key, mode, limit),
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

    /// Whether a change of what is read [`Read::Tracked`] touches its versions.
    pub(crate) fn tracks_changes(&self) -> bool {
        match self {
            Self::Off => false,
            Self::Memory(_) => true,
            Self::Redis(redis) => redis.tracks_changes(),
        }
    }

    /// Begins to hear of changes of what is then read [`Read::Tracked`], where that can be had.
    pub(crate) fn subscribe(&self, key: &Key) -> Option<Subscription> {
        match self {
            Self::Off | Self::Memory(_) => None,
            Self::Redis(redis) => redis.subscribe(key),
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
