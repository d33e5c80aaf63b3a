//! What is cached, the bodies of the cached functions, and what every contestant can be asked.

use std::cell::Cell;
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use hitbox_fn::CacheableResponse;
use serde::{Deserialize, Serialize};

/// About 200 bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, CacheableResponse)]
pub struct Small {
    pub id: u64,
    pub title: String,
    pub street: String,
    pub city: String,
    pub price: f64,
    pub rooms: u32,
    pub listed: bool,
}

/// About 10 KB.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, CacheableResponse)]
pub struct Large {
    pub rows: Vec<Small>,
}

/// Letters that differ from id to id, so that nothing compresses away.
fn text(id: u64, length: usize) -> String {
    let mut state = id.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let letters = (0..length).map(|_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(b'a' + u8::try_from(state % 26).unwrap_or(0))
    });
    letters.collect()
}

impl Small {
    pub fn of(id: u64) -> Self {
        Self {
            id,
            title: text(id, 48),
            street: text(id + 1, 32),
            city: text(id + 2, 24),
            price: 1250.5,
            rooms: 3,
            listed: true,
        }
    }
}

impl Large {
    pub fn of(id: u64) -> Self {
        Self { rows: (0..60).map(|row| Small::of(id * 100 + row)).collect() }
    }
}

/// How often a body has run.
static RUNS: AtomicU64 = AtomicU64::new(0);

pub fn runs() -> u64 {
    RUNS.load(Relaxed)
}

tokio::task_local! {
    /// What the body took of a call, where it runs on the caller's task.
    pub static SPENT: Cell<Duration>;
}

/// The bodies of the cached functions: the same for all.
pub mod body {
    use super::{Cell, Duration, Instant, Large, RUNS, Relaxed, SPENT, Small};

    pub const SLOW: Duration = Duration::from_millis(100);
    pub const BRIEF: Duration = Duration::from_millis(1);

    pub async fn small(id: u64) -> Small {
        RUNS.fetch_add(1, Relaxed);
        Small::of(id)
    }

    pub async fn large(id: u64) -> Large {
        RUNS.fetch_add(1, Relaxed);
        Large::of(id)
    }

    pub async fn slow(id: u64) -> Small {
        tokio::time::sleep(SLOW).await;
        small(id).await
    }

    pub async fn brief(id: u64) -> Small {
        let begun = Instant::now();
        tokio::time::sleep(BRIEF).await;
        let value = small(id).await;
        let _ = SPENT.try_with(|spent: &Cell<Duration>| spent.set(spent.get() + begun.elapsed()));
        value
    }
}

/// What a call came to.
#[derive(Debug, PartialEq)]
pub enum Got<T> {
    Value(T),
    /// Undecoded, from the contestant that does nothing else.
    Bytes(Vec<u8>),
    /// The caller sees an error.
    Failed(String),
}

impl<T: PartialEq> Got<T> {
    pub fn is(&self, right: &T) -> bool {
        match self {
            Self::Value(value) => value == right,
            Self::Bytes(bytes) => !bytes.is_empty(),
            Self::Failed(_) => false,
        }
    }
}

impl<T, E: std::fmt::Display> From<Result<T, E>> for Got<T> {
    fn from(result: Result<T, E>) -> Self {
        result.map_or_else(|error| Self::Failed(error.to_string()), Self::Value)
    }
}

/// Two functions whose values are in Redis.
pub trait Reads: Send + Sync + Sized + 'static {
    const NAME: &'static str;
    fn start(url: &str) -> impl Future<Output = Self> + Send;
    fn small(&self, id: u64) -> impl Future<Output = Got<Small>> + Send;
    fn large(&self, id: u64) -> impl Future<Output = Got<Large>> + Send;
    /// Waits for what is written behind the reply.
    fn settle(&self) -> impl Future<Output = ()> + Send {
        async {}
    }
}

/// A whole function cache: it computes what it misses.
pub trait Peer: Reads {
    /// Runs for [`body::SLOW`].
    fn slow(&self, id: u64) -> impl Future<Output = Got<Small>> + Send;
    /// Runs for [`body::BRIEF`].
    fn brief(&self, id: u64) -> impl Future<Output = Got<Small>> + Send;
}
