//! The handle that users hold: one cache, and which of them a call uses.

mod advance;
mod batch;
mod clear;
mod close;
mod report;
mod scope;

use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::config::{self, Backend, Config, Origin};
use crate::error::{Error, ErrorKind, Result};
use crate::flight::Flights;
use crate::key::Buffer;
use crate::lease::{LeaseOwner, Leases};
use crate::lease_watch::LeaseWatch;
use crate::near::Near;
use crate::queue::Queue;
use crate::recursion::WaitGraph;
use crate::returns::Payload;
use crate::stats::{Board, Count, Counters, Stats};
use crate::store::{Memory, Redis, State, Store};
use crate::undelivered::Undelivered;
use crate::versions::Versions;
use crate::{background, deadline, invalidate, key};

pub(crate) use batch::InvalidationBatch;
pub use clear::{Clear, Cleared};
pub use scope::init;
pub(crate) use scope::{Chosen, Scope, current, scoped};

/// How many values are refreshed behind calls at a time; past that they are served stale.
const REFRESHES: usize = 64;

/// A cache: a store, the calls under way, and counters. A cheap handle; clones are the same cache.
///
/// Most programs have one, which the first cached call makes from the environment
/// ([`Cache::from_env`]), or which they hand to [`init`](crate::init).
#[derive(Clone)]
pub struct Cache(Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) config: Config,
    pub(crate) store: Arc<Store>,
    pub(crate) flights: Arc<Flights<Payload, LeaseOwner>>,
    pub(crate) leases: Arc<Leases>,
    pub(crate) lease_watch: Arc<LeaseWatch>,
    /// Computations that wait for others, for they must not wait for one another.
    pub(crate) wait_graph: Arc<WaitGraph>,
    pub(crate) undelivered: Arc<Undelivered>,
    pub(crate) near: Near,
    /// Places for refreshes behind a call.
    pub(crate) refreshes: Arc<Semaphore>,
    pub(crate) queue: Arc<Queue>,
    board: Board,
    /// Leases and claims that are being asked for.
    pub(crate) acquiring: AtomicUsize,
    enabled: AtomicBool,
    /// For good.
    closed: AtomicBool,
}

impl Inner {
    pub(crate) fn counters(&self, group: usize) -> &Counters {
        self.board.group(group)
    }

    /// Whether nothing can be read or written any more.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }
}

/// How the store does; from [`Cache::health`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Health {
    /// What the store does.
    pub status: Status,
    /// Connections that are up.
    pub lanes: usize,
    /// Why Redis, or one node of a cluster, is not used at the moment, or what it refuses: with the
    /// step of the dial, or the server's own words.
    pub last_error: Option<String>,
}

/// What the store of a cache does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Status {
    /// Switched off, by configuration or at run time.
    Off,
    /// The in-process store.
    Memory,
    /// Redis, of which no dial has ended yet, well or badly: connections are dialled on use.
    Untried,
    /// Redis, which serves calls.
    Up,
    /// Redis, which does not answer; functions run plainly and it is redialled in the background.
    Down,
    /// Redis, which answers, and does not serve all calls: it refuses reads (functions run plainly) or
    /// writes (what is stored is served, and nothing is populated), or a part of a cluster is down.
    /// [`Health::last_error`] says which. One function whose keys or values are refused is no reason.
    Degraded,
}

impl Status {
    /// The status as one word, for health checks and metric labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Memory => "memory",
            Self::Untried => "untried",
            Self::Up => "up",
            Self::Down => "down",
            Self::Degraded => "degraded",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The store that the settings ask for; the error says what is wrong with them.
fn store(config: &Config, versions: &Arc<Versions>) -> std::result::Result<Store, String> {
    if let Some(problem) = config::namespace_problem(&config.namespace) {
        return Err(format!("namespace: {problem}"));
    }
    Ok(match &config.backend {
        Backend::Off => Store::Off,
        Backend::Memory => Store::Memory(Memory::new(config.local_bytes, versions.clone())),
        Backend::Redis(deployment) => {
            Store::Redis(Redis::new(deployment, config, versions.clone())?)
        }
    })
}

impl Cache {
    /// Makes a cache from the environment. Never fails and does not connect: a wrong setting is
    /// one error line in the log and a cache that is off.
    pub fn from_env() -> Self {
        Self::from_lookup(|name| std::env::var(name).ok())
    }

    /// As [`Cache::from_env`], with variables from elsewhere.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Self {
        let config = Config::from_lookup(lookup).unwrap_or_else(|error| {
            tracing::error!(%error, "the cache is off: a setting is wrong");
            Config { backend: Backend::Off, origin: Origin::Mistake, ..Config::default() }
        });
        Self::new(config)
    }

    /// Makes a cache and waits until Redis answers.
    ///
    /// # Errors
    ///
    /// [`Error::is_unavailable`] where no connection comes up within twice the connect timeout
    /// and 100 ms, with the server's reason.
    pub async fn connect(config: Config) -> Result<Self> {
        let versions = Arc::new(Versions::new(config.local_bytes));
        let store =
            store(&config, &versions).map_err(|problem| Error::new(ErrorKind::Config, problem))?;
        config.announce();
        let cache = Self::over(store, config, versions);
        let Store::Redis(redis) = &*cache.0.store else { return Ok(cache) };
        let dial = cache.0.config.connect_timeout;
        let patience = dial.saturating_mul(2).saturating_add(Duration::from_millis(100));
        let dialled = background::guarded(redis.dialled());
        let dialled = deadline::timeout(patience, pin!(dialled)).await;
        if dialled.is_ok() && matches!(redis.state(), State::Up | State::Degraded) {
            return Ok(cache);
        }
        let why = redis.last_error().unwrap_or_else(|| "no answer in time".to_owned());
        Err(Error::new(ErrorKind::Unavailable, format!("redis cannot be reached: {why}")))
    }

    /// Makes a cache from settings, without connecting. One that cannot be made, as with a certificate
    /// that is none, is one error line in the log and a cache that is off.
    pub fn new(config: Config) -> Self {
        let versions = Arc::new(Versions::new(config.local_bytes));
        let store = store(&config, &versions);
        if store.is_ok() {
            config.announce();
        }
        let store = store.unwrap_or_else(|problem| {
            tracing::error!(problem, "the cache is off: a setting is wrong");
            Store::Off
        });
        Self::over(store, config, versions)
    }

    fn over(store: Store, config: Config, versions: Arc<Versions>) -> Self {
        let store = Arc::new(store);
        let queue = Arc::<Queue>::default();
        let cache = Self(Arc::new(Inner {
            leases: Leases::new(store.clone(), queue.clone()),
            lease_watch: LeaseWatch::new(store.clone()),
            undelivered: Arc::new(Undelivered::new(store.clone(), &config.namespace)),
            near: Near::new(config.local_bytes, config.max_value, versions),
            wait_graph: Arc::default(),
            refreshes: Arc::new(Semaphore::new(REFRESHES)),
            board: Board::default(),
            acquiring: AtomicUsize::new(0),
            enabled: AtomicBool::new(true),
            closed: AtomicBool::new(false),
            store,
            flights: Flights::new(),
            queue,
            config,
        }));
        cache.log_now_and_then();
        cache
    }

    /// A cache that keeps values in this process, with every setting at its default. For tests, whose
    /// clock [`Cache::advance`] moves, and for programs of one process.
    pub fn in_memory() -> Self {
        Self::new(Config::in_memory())
    }

    /// A cache that is off: every function runs plainly.
    pub fn disabled() -> Self {
        Self::new(Config { backend: Backend::Off, ..Config::default() })
    }

    /// Stops reading and populating. Invalidations still go out.
    pub fn disable(&self) {
        self.0.enabled.store(false, Ordering::Relaxed);
    }

    /// Undoes [`Cache::disable`]. The near cache begins empty.
    pub fn enable(&self) {
        self.0.near.clear();
        self.0.enabled.store(true, Ordering::Relaxed);
    }

    /// Whether calls read and populate.
    pub fn is_enabled(&self) -> bool {
        !self.is_off() && self.0.enabled.load(Ordering::Relaxed) && !self.0.is_closed()
    }

    /// Waits until everything that was computed before has been written, refused or given up.
    pub async fn flush(&self) {
        self.0.queue.flush().await;
    }

    /// What the cache has done so far.
    pub fn stats(&self) -> Stats {
        let (local_entries, local_bytes) = self.0.near.size();
        Stats {
            prefixes: self.0.board.snapshot(),
            flights: self.0.flights.len(),
            undelivered: self.0.undelivered.len(),
            local_entries,
            local_bytes,
        }
    }

    /// How the store does, from what the last commands and probes showed; asks nothing.
    ///
    /// It follows calls: where they are served it is [`Status::Up`]. A connection that nobody uses is
    /// asked every 2 s whether it is there, so that a loss is seen without a call too. A server that was
    /// lost is up again once a call has been served, or none has failed for 2 s while it answers.
    pub fn health(&self) -> Health {
        let (status, lanes, last_error) = match &*self.0.store {
            _ if !self.is_enabled() => (Status::Off, 0, None),
            Store::Off => (Status::Off, 0, None),
            Store::Memory(_) => (Status::Memory, 0, None),
            Store::Redis(redis) => {
                let status = match redis.state() {
                    State::Untried => Status::Untried,
                    State::Up => Status::Up,
                    State::Lost => Status::Down,
                    State::Degraded => Status::Degraded,
                };
                (status, redis.live_lanes(), redis.last_error())
            }
        };
        Health { status, lanes, last_error }
    }

    pub(crate) fn inner(&self) -> &Arc<Inner> {
        &self.0
    }

    /// Whether both are handles of one cache.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    pub(crate) fn is_off(&self) -> bool {
        matches!(*self.0.store, Store::Off)
    }

    pub(crate) fn namespace(&self) -> &str {
        &self.0.config.namespace
    }

    pub(crate) fn counters(&self, group: usize) -> &Counters {
        self.0.counters(group)
    }

    /// Where the token of a prefix lies.
    pub(crate) fn prefix_token(&self, prefix: &str) -> String {
        let mut name = Buffer::new();
        key::prefix_token(self.namespace(), prefix, &mut name);
        String::from_utf8_lossy(&name).into_owned()
    }

    /// Where the token of a tag lies.
    pub(crate) fn tag_token(&self, tag: &str) -> String {
        let mut name = Buffer::new();
        key::tag_token(self.namespace(), tag, &mut name);
        String::from_utf8_lossy(&name).into_owned()
    }

    /// Removes what a prefix groups from this cache: one command, however many entries there are.
    /// For the cache that calls use, there is [`invalidate_prefix`](crate::invalidate_prefix).
    ///
    /// `prefix` is the whole name of a group, as written in `prefix = ".."`, and no pattern. Where no
    /// function that this process has called has it, the group may be another process's: that is no
    /// error, and worth a warning where `prefix` looks like a pattern or a key.
    ///
    /// A call that begins after this has returned `Ok` gets a value from a run of its function that
    /// began after the removal, in any process.
    ///
    /// # Errors
    ///
    /// As [`invalidate`](crate::invalidate).
    pub async fn invalidate_prefix(&self, prefix: &str) -> Result<()> {
        self.invalidate(vec![self.prefix_token(prefix)], crate::stats::group_of(prefix)).await
    }

    /// Removes what carries a tag from this cache, across prefixes, as [`Cache::invalidate_prefix`].
    /// For the cache that calls use, there is [`invalidate_tag`](crate::invalidate_tag).
    ///
    /// A tag that nothing carries is no error.
    ///
    /// # Errors
    ///
    /// As [`invalidate`](crate::invalidate).
    pub async fn invalidate_tag(&self, tag: &str) -> Result<()> {
        self.invalidate(vec![self.tag_token(tag)], None).await
    }

    /// Removes `names`; a first dial may take as long as a dial may, rather than a request's budget.
    pub(crate) async fn invalidate(&self, names: Vec<String>, group: Option<usize>) -> Result<()> {
        let patience = self.0.config.connect_timeout.max(self.0.store.patience());
        let done = invalidate::invalidate(&self.0.undelivered, names, group, patience).await;
        let group = group.filter(|_| !self.is_off());
        let count = |what| group.iter().for_each(|group| self.counters(*group).count(what));
        match done {
            Ok(()) => {
                count(Count::Invalidated);
                Ok(())
            }
            Err(fault) => {
                count(Count::Error);
                let what = group.map(|group| format!("`{}`", crate::stats::group_name(group)));
                Err(Error::from(fault).of_invalidating(what.as_deref().unwrap_or("a tag")))
            }
        }
    }
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache")
            .field("config", &self.0.config)
            .field("health", &self.health())
            .finish_non_exhaustive()
    }
}
