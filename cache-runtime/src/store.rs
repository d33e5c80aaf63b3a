//! The store of entries and tokens: in this process, or in Redis. Both honour one contract ([`contract`]), so that
//! the layers above do not tell them apart.

mod breaker;
mod contract;
mod lanes;
mod memory;
mod redis;
// Without the features `Servers` has one variant: the server that the URL names.
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
pub(crate) use lanes::{COMPARE_AND_SET, ServerState, State, Subscription};
pub use lanes::{Probe, ProbeError, ProbeStep};
pub(crate) use memory::Memory;
pub use redis::escape_glob;
pub(crate) use redis::{Reading, Redis};

pub(crate) enum Store {
    Off,
    Memory(Memory),
    Redis(Redis),
}

impl Store {
    /// Waits until the first dial of the key's lane has ended, so that the first calls of a process are cached
    /// too.
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
    // Not an `async fn`: its future would store the arguments twice, and every call carries it.
    pub(crate) fn read<'a>(&'a self, key: &'a Key, mode: Read, limit: Duration) -> Reading<'a> {
        match self {
            Self::Off => Reading::Ready(Some(Err(Fault::Down))),
            Self::Memory(memory) => Reading::Ready(Some(Ok(memory.read(key)))),
            Self::Redis(redis) => redis.read(key, mode, limit),
        }
    }

    /// Whether the key holds another Redis type than a string: a read shows such a key as absent.
    pub(crate) async fn is_of_another_type(&self, key: &Key, limit: Duration) -> bool {
        match self {
            Self::Off | Self::Memory(_) => false,
            Self::Redis(redis) => redis.is_of_another_type(key, limit).await,
        }
    }

    /// Makes the missing tokens of a key, unless another process has done so meanwhile, and returns all of them.
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

    /// Writes if the key still begins with the bytes of `seen`; returns whether it did.
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

    /// As [`Store::compare_and_set`]; also extends tokens that would expire within `tokens_for`, since an entry
    /// is dead without its tokens.
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

    /// Extends the tokens as [`Store::populate`] does, for the in-process store alone.
    pub(crate) fn renew_in_process(&self, key: &Key, tokens_for: Duration) {
        if let Self::Memory(memory) = self {
            memory.renew(key, tokens_for);
        }
    }

    /// Removes entries and tokens: at once, or in a cluster in rounds.
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

    /// Removes every name that begins with `start`, and returns how many; `progress` gets the number so far
    /// after each batch.
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

    /// Whether the store reports changes of keys that are read with [`Read::Tracked`], so that copies may be kept.
    pub(crate) fn tracks_changes(&self) -> bool {
        match self {
            Self::Off => false,
            Self::Memory(_) => true,
            Self::Redis(redis) => redis.tracks_changes(),
        }
    }

    /// Subscribes to changes of a key that is read with [`Read::Tracked`] afterwards; `None` where the store
    /// reports none.
    pub(crate) fn subscribe(&self, key: &Key) -> Option<Subscription> {
        match self {
            Self::Off | Self::Memory(_) => None,
            Self::Redis(redis) => redis.subscribe(key),
        }
    }

    /// How long a command off the caller's path may take (`Config::timeout`).
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

    /// Whether [`Store::close`] was called.
    pub(crate) fn is_closed(&self) -> bool {
        matches!(self, Self::Redis(redis) if redis.is_closed())
    }

    /// Whether one command removes any number of names, and thereby all of them at once.
    pub(crate) fn unlinks_together(&self) -> bool {
        match self {
            Self::Off | Self::Memory(_) => true,
            Self::Redis(redis) => redis.unlinks_together(),
        }
    }

    /// The time limit for removing `names` names, given the limit for a few of them. A single server removes all
    /// of them with one command; a cluster needs one command a name, so it gets the limit again for every 64.
    pub(crate) fn patience_for(&self, names: usize, few: Duration) -> Duration {
        let many = if self.unlinks_together() { 1 } else { names.div_ceil(64).max(1) };
        few.saturating_mul(u32::try_from(many).unwrap_or(u32::MAX))
    }

    /// Whether other processes see the entries.
    pub(crate) fn is_shared(&self) -> bool {
        matches!(self, Self::Redis(_))
    }

    /// Whether writes to the key are paused, after a refusal.
    pub(crate) fn is_write_paused(&self, key: &Key) -> bool {
        match self {
            Self::Off | Self::Memory(_) => false,
            Self::Redis(redis) => redis.is_write_paused(key),
        }
    }

    /// The present by the clock by which entries age; the in-process one can be advanced. Redis's own clock is
    /// never read: only its TTLs are.
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
