//! The handle that users hold: how a cache is made, switched, observed and invalidated.

mod advance;
mod batch;
mod clear;
mod close;
mod current;
mod report;
mod switch;

use std::fmt;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;
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
use crate::stats::{
    Count, CounterTable, Counters, History, Named, Stats, Steps, Summary, SummaryStatistics,
    Timings, seconds,
};
use crate::store::{Memory, Redis, ServerState, State, Store};
use crate::undelivered::Undelivered;
use crate::versions::Versions;
use crate::{background, deadline, invalidate, key};

pub(crate) use batch::InvalidationBatch;
pub use clear::{Clear, Cleared};
pub use current::init;
pub(crate) use current::{Chosen, Scope, current, scoped};
pub use switch::Switch;
use switch::Switches;

/// The most refreshes that run behind calls at a time; past that, stale values are served without one.
const REFRESHES: usize = 64;

/// A cache: a store (Redis, or this process), the runs under way, and counters.
///
/// A `Cache` is a handle: cloning it is cheap, and all clones are the same cache. Two caches share no
/// copies, counters or connections, even over one Redis; with one namespace they share the entries.
///
/// # Which cache a call uses
///
/// A call of a cached function uses, in this order:
///
/// 1. the cache that the attribute names (`cache = self.cache`);
/// 2. that of the innermost [`Cache::scope`] around the call;
/// 3. the global one: that given to [`init`](crate::init), or else one that the first call makes from
///    the environment, as [`Cache::from_env`].
///
/// [`Cache::current`] is the cache of 2 or 3. Most programs only have the global one.
///
/// # Making one
///
/// | | connects | a wrong setting |
/// |---|---|---|
/// | [`Cache::from_env`] | on use | one error line in the log, and a cache that is off |
/// | [`Cache::new`] | on use | the same |
/// | [`Cache::connect`] | now | an error, and so is a Redis that does not answer |
/// | [`Cache::in_memory`], [`Cache::disabled`] | never | |
///
/// Once a cache is made, a Redis that is down, slow or full costs hits, never results: see
/// [guarantees](crate::_documentation::guarantees). A program that ends should [`close`](Cache::close) it.
///
/// # Examples
///
/// A cache with a life of its own, which a service holds and a method names:
///
/// ```
/// use std::time::Duration;
///
/// use cache_runtime::{Cache, cache_result, observe};
///
/// struct Shop {
///     cache: Cache,
/// }
///
/// impl Shop {
///     #[cache_result(ttl = "1h", prefix = "areas", skip(self), cache = self.cache)]
///     async fn areas(&self, kind: String) -> Vec<String> {
///         vec![format!("Mitte ({kind})")] // a slow query
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), cache_runtime::Error> {
/// let shop = Shop { cache: Cache::in_memory() };
/// shop.areas("buy".into()).await; // runs
/// assert!(observe(shop.areas("buy".into())).await.1.is_hit());
///
/// shop.cache.invalidate_prefix("areas").await?;
/// assert!(observe(shop.areas("buy".into())).await.1.is_computed());
///
/// shop.cache.close(Duration::from_secs(5)).await?; // what was computed is written
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Cache(Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) config: Config,
    pub(crate) store: Arc<Store>,
    pub(crate) flights: Arc<Flights<Payload, LeaseOwner>>,
    pub(crate) leases: Arc<Leases>,
    pub(crate) lease_watch: Arc<LeaseWatch>,
    /// Which run waits for which, so that no two wait for each other.
    pub(crate) wait_graph: Arc<WaitGraph>,
    pub(crate) undelivered: Arc<Undelivered>,
    pub(crate) near: Near,
    /// One permit for each refresh behind a call, [`REFRESHES`] in all.
    pub(crate) refreshes: Arc<Semaphore>,
    pub(crate) queue: Arc<Queue>,
    counters: CounterTable,
    pub(crate) timings: Timings,
    history: Steps,
    /// The status as it was last looked at, and since when.
    status: Mutex<Option<(Status, Instant)>>,
    pub(crate) switches: Switches,
    /// Requests for a lease or a claim that Redis has not answered; [`Cache::close`] waits for them.
    pub(crate) acquiring: AtomicUsize,
    /// Read and written relaxed: a call that reads the old value counts as one that began before.
    enabled: AtomicBool,
    /// Set by [`Cache::close`], and never cleared.
    closed: AtomicBool,
}

impl Inner {
    pub(crate) fn counters(&self, group: usize) -> &Counters {
        self.counters.group(group)
    }

    /// Whether [`Cache::close`] was called: calls then run their functions plainly.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }
}

/// The state of the store, for a health endpoint; from [`Cache::health`].
///
/// # Examples
///
/// ```
/// use cache_runtime::{Cache, Status};
///
/// let health = Cache::in_memory().health();
/// assert_eq!(health.status, Status::Memory);
/// println!("cache: {}, {} connections, {:?}", health.status, health.lanes, health.last_error);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Health {
    /// Whether the store serves calls.
    pub status: Status,
    /// Connections to Redis that are up; 0 where the cache is off or in memory.
    pub lanes: usize,
    /// Why Redis, or one node of a cluster, is not used at the moment, or what it refuses: the step of
    /// the dial that failed, or the server's own words. `None` where nothing is wrong.
    pub last_error: Option<String>,
    /// Each server of the deployment that is known; empty where the cache is off or in memory, and until
    /// the first server of a cluster, or the first master behind sentinels, was found.
    pub servers: Vec<ServerHealth>,
    /// How long the status has been the same, as far as it was looked at: every ten seconds, and at each
    /// [`Cache::health`]. Serialized as `since_seconds`.
    #[serde(rename = "since_seconds", serialize_with = "seconds")]
    pub since: Duration,
}

/// The state of one server of Redis, from [`Health::servers`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ServerHealth {
    /// Host and port, or the path of a socket; no credentials.
    pub address: String,
    /// [`Status::Untried`], [`Status::Up`], [`Status::Down`] or [`Status::Degraded`].
    pub status: Status,
    /// Connections to this server that are up, without the one that announces changes.
    pub lanes: usize,
    /// Whether the circuit breaker is open: this server has failed too often, and calls do not ask it until
    /// it answers a probe.
    pub breaker_open: bool,
    /// Whether the connection that announces changes of keys is up. Without it no copies are kept in this
    /// process. It is dialled by the first call that may use a copy (`local`) or waits for another process,
    /// so `false` may mean that there was none; it is `false` while the breaker is open, too.
    pub listening: bool,
    /// Why the server is not used at the moment, or what it refuses; `None` where nothing is wrong.
    pub last_error: Option<String>,
}

impl ServerHealth {
    fn of(server: ServerState) -> Self {
        Self {
            address: server.address,
            status: Status::of(server.state),
            lanes: server.lanes,
            breaker_open: server.is_breaker_open,
            listening: server.is_tracking,
            last_error: server.last_error,
        }
    }
}

/// Whether the store of a cache serves calls; a field of [`Health`] and of [`ServerHealth`].
///
/// In every state but [`Up`](Self::Up), [`Memory`](Self::Memory) and [`Untried`](Self::Untried) some or
/// all functions run without the cache. None of them is a failure of the service: calls succeed as their
/// functions do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Status {
    /// The cache is switched off by its configuration or [`Cache::disable`], or was closed. Every
    /// function runs.
    Off,
    /// The cache keeps its values in this process.
    Memory,
    /// No dial of Redis has ended yet, well or badly. Connections are dialled on use.
    Untried,
    /// Redis serves calls.
    Up,
    /// Redis does not answer, fails every call, or is a replica where it was the master. Every function
    /// runs, and Redis is redialled in the background.
    Down,
    /// Redis answers, and does not serve all calls: it refuses reads (functions run) or writes (what is
    /// stored is served, and nothing is populated), or a part of a cluster is down.
    /// [`Health::last_error`] says which. A refusal that concerns the keys or values of one function
    /// does not count.
    Degraded,
}

impl Status {
    fn of(state: State) -> Self {
        match state {
            State::Untried => Self::Untried,
            State::Up => Self::Up,
            State::Lost => Self::Down,
            State::Degraded => Self::Degraded,
        }
    }

    /// The status as one word, for health checks and metric labels: `off`, `memory`, `untried`, `up`,
    /// `down` or `degraded`. `Display` writes the same.
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

/// Makes the store that the settings name; the error says which setting is wrong.
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
    /// Makes a cache from the variables of the process ([`Config::from_env`]).
    ///
    /// Never fails, and does not connect: connections are dialled when a call needs them. A wrong setting
    /// is one error line in the log, which names the variable, and a cache that is off.
    /// [`Cache::connect`] returns such an error instead.
    pub fn from_env() -> Self {
        Self::from_lookup(|name| std::env::var(name).ok())
    }

    /// As [`Cache::from_env`], with variables that `lookup` reads.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Self {
        let config = Config::from_lookup(lookup).unwrap_or_else(|error| {
            tracing::error!(%error, "the cache is off: a setting is wrong");
            Config { backend: Backend::Off, origin: Origin::Mistake, ..Config::default() }
        });
        Self::new(config)
    }

    /// Makes a cache and waits until Redis answers: for a service that should not start without it.
    ///
    /// A cache in memory, or one that is off, is made at once.
    ///
    /// # Errors
    ///
    /// [`Error::is_config`] where a setting is wrong. [`Error::is_unavailable`] where the first dial fails,
    /// or does not end within twice [`Config::connect_timeout`] and 100 ms; the text has the server's reason.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use cache_runtime::{Cache, Config};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), cache_runtime::Error> {
    /// cache_runtime::init(Cache::connect(Config::from_env()?).await?)?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn connect(config: Config) -> Result<Self> {
        let versions = Arc::new(Versions::new(config.local_bytes));
        let store =
            store(&config, &versions).map_err(|problem| Error::new(ErrorKind::Config, problem))?;
        config.announce();
        let cache = Self::with_store(store, config, versions);
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

    /// Makes a cache from settings. Never fails, and does not connect: connections are dialled when a
    /// call needs them.
    ///
    /// Settings that no cache can be made of, such as an empty namespace or a certificate that is none,
    /// are one error line in the log, and a cache that is off.
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
        Self::with_store(store, config, versions)
    }

    fn with_store(store: Store, config: Config, versions: Arc<Versions>) -> Self {
        let store = Arc::new(store);
        let queue = Arc::<Queue>::default();
        let cache = Self(Arc::new(Inner {
            leases: Leases::new(store.clone(), queue.clone()),
            lease_watch: LeaseWatch::new(store.clone()),
            undelivered: Arc::new(Undelivered::new(store.clone(), &config.namespace)),
            near: Near::new(config.local_bytes, config.max_value, versions),
            wait_graph: Arc::default(),
            refreshes: Arc::new(Semaphore::new(REFRESHES)),
            counters: CounterTable::default(),
            timings: Timings::new(config.budget, config.slow),
            history: Steps::default(),
            status: Mutex::default(),
            switches: Switches::default(),
            acquiring: AtomicUsize::new(0),
            enabled: AtomicBool::new(true),
            closed: AtomicBool::new(false),
            store,
            flights: Flights::new(),
            queue,
            config,
        }));
        cache.log_statistics();
        cache.keep_history();
        cache
    }

    /// Makes a cache that keeps its values in this process, with every setting at its default: for tests,
    /// where [`Cache::advance`] moves its clock, and for programs of one process.
    ///
    /// Such a cache has leases, invalidation and stale values as one over Redis has, and takes at most
    /// 64 MiB for its entries and 64 MiB for copies ([`Config::local_bytes`]). For other settings:
    /// `Cache::new(Config::in_memory().wait(..))`.
    pub fn in_memory() -> Self {
        Self::new(Config::in_memory())
    }

    /// Makes a cache that is off for good: every function runs, nothing is stored or counted.
    pub fn disabled() -> Self {
        Self::new(Config { backend: Backend::Off, ..Config::default() })
    }

    /// Stops reading and populating until [`Cache::enable`]: every function runs, and its calls are
    /// counted as bypassed, with the reason `off`. Invalidations still go out.
    ///
    /// Concerns this process alone. A call that has begun goes on as it was.
    ///
    /// # Examples
    ///
    /// ```
    /// use cache_runtime::{Cache, Reason, cache_result, observe};
    ///
    /// #[cache_result]
    /// async fn double(number: u32) -> u32 { number * 2 }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let cache = Cache::in_memory();
    /// cache.disable();
    /// let (_, outcome) = cache.scope(observe(double(1))).await;
    /// assert_eq!(outcome.reason(), Some(Reason::Off));
    /// cache.enable();
    /// assert!(cache.scope(observe(double(1))).await.1.is_computed());
    /// # }
    /// ```
    pub fn disable(&self) {
        self.0.enabled.store(false, Ordering::Relaxed);
    }

    /// Undoes [`Cache::disable`]. Entries in the store are served again; copies in this process (`local`)
    /// are not.
    pub fn enable(&self) {
        self.0.near.clear();
        self.0.enabled.store(true, Ordering::Relaxed);
    }

    /// Whether calls read and populate: not where the cache is off by its configuration, disabled or
    /// closed. Says nothing about whether Redis answers; [`Cache::health`] does.
    pub fn is_enabled(&self) -> bool {
        !self.is_off()
            && self.0.enabled.load(Ordering::Relaxed)
            && !self.0.is_closed()
            && !self.0.switches.is_all_off()
    }

    /// Waits until every value that was computed before has been written, refused or given up.
    ///
    /// Values are written behind the reply, so a program that looks into Redis itself waits here first.
    /// Later calls of this process need not: until a value is written they join the run that has made it.
    pub async fn flush(&self) {
        self.0.queue.flush().await;
    }

    /// Takes a snapshot of what the cache has counted since it was made. Asks nothing of Redis.
    pub fn stats(&self) -> Stats {
        let (local_entries, local_bytes) = self.0.near.size();
        Stats {
            prefixes: self.0.counters.snapshot(),
            flights: self.0.flights.len(),
            undelivered: self.0.undelivered.len(),
            local_entries,
            local_bytes,
            local_removals: self.0.near.removals(),
            store: self.0.timings.store(),
            invalidations: self.0.timings.invalidations(),
            ..Stats::default()
        }
    }

    /// What the cache has done during the last hour, in steps of ten seconds. Asks nothing of Redis.
    ///
    /// Steps are collected from the moment that the cache is made; a cache that is off by its configuration
    /// collects none.
    pub fn history(&self) -> History {
        self.0.history.snapshot()
    }

    /// The cache in a few figures, in the shape in which hand-written caches report them: for a status
    /// endpoint that existed before.
    ///
    /// ```
    /// # use cache_runtime::{Cache, cache_result};
    /// #[cache_result]
    /// async fn areas(kind: String) -> usize { kind.len() }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let cache = Cache::in_memory();
    /// cache.scope(async {
    ///     for _ in 0..4 {
    ///         areas("buy".into()).await;
    ///     }
    /// }).await;
    /// let summary = cache.summary();
    /// assert!(summary.cache_enabled && !summary.statistics.redis_enabled);
    /// assert_eq!((summary.statistics.total_requests, summary.statistics.hit_rate), (4, 75.0));
    /// # }
    /// ```
    pub fn summary(&self) -> Summary {
        let total = self.stats().total();
        let hit_rate = (total.hit_rate().unwrap_or_default() * 10_000.0).round() / 100.0;
        Summary {
            cache_enabled: self.is_enabled(),
            statistics: SummaryStatistics {
                redis_enabled: self.0.store.is_shared(),
                status: self.health().status.as_str(),
                total_requests: total.calls(),
                hits: total.served(),
                misses: total.misses(),
                bypassed: total.bypassed_total(),
                hit_rate,
                errors: total.errors,
                invalidations: total.invalidations,
                seconds_saved: total.saved.as_secs_f64(),
            },
        }
    }

    /// Whether the store serves calls, by what the last commands and probes have shown. Returns at once,
    /// and asks nothing of Redis.
    ///
    /// The status follows calls: while Redis serves them it is [`Status::Up`]. A connection that no call
    /// uses is sent a heartbeat every 2 s, so that a loss is noticed without calls too. A server that was
    /// lost is up again once it has served a call, or once it answers and no call has failed for 2 s.
    pub fn health(&self) -> Health {
        let (status, servers, last_error) = match &*self.0.store {
            _ if !self.is_enabled() => (Status::Off, Vec::new(), None),
            Store::Off => (Status::Off, Vec::new(), None),
            Store::Memory(_) => (Status::Memory, Vec::new(), None),
            Store::Redis(redis) => (Status::of(redis.state()), redis.servers(), redis.last_error()),
        };
        let servers: Vec<_> = servers.into_iter().map(ServerHealth::of).collect();
        let lanes = servers.iter().map(|server| server.lanes).sum();
        let mut seen = self.0.status.lock().unwrap_or_else(PoisonError::into_inner);
        let since = match *seen {
            Some((before, since)) if before == status => since,
            _ => Instant::now(),
        };
        *seen = Some((status, since));
        Health { status, lanes, last_error, servers, since: since.elapsed() }
    }

    pub(crate) fn inner(&self) -> &Arc<Inner> {
        &self.0
    }

    /// Whether both handles are of one cache.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    pub(crate) fn is_off(&self) -> bool {
        matches!(*self.0.store, Store::Off)
    }

    #[cfg(feature = "spans")]
    pub(crate) fn is_over_redis(&self) -> bool {
        matches!(*self.0.store, Store::Redis(_))
    }

    /// What the values are kept in, in one word.
    pub(crate) fn topology(&self) -> &'static str {
        match &*self.0.store {
            Store::Off => "off",
            Store::Memory(_) => "memory",
            Store::Redis(redis) => redis.topology(),
        }
    }

    pub(crate) fn namespace(&self) -> &str {
        &self.0.config.namespace
    }

    pub(crate) fn counters(&self, group: usize) -> &Counters {
        self.0.counters(group)
    }

    /// The key of a prefix's token.
    pub(crate) fn prefix_token(&self, prefix: &str) -> String {
        let mut name = Buffer::new();
        key::prefix_token(self.namespace(), prefix, &mut name);
        String::from_utf8_lossy(&name).into_owned()
    }

    /// The key of a tag's token.
    pub(crate) fn tag_token(&self, tag: &str) -> String {
        let mut name = Buffer::new();
        key::tag_token(self.namespace(), tag, &mut name);
        String::from_utf8_lossy(&name).into_owned()
    }

    /// Invalidates every entry under a prefix: a call that begins after this has returned `Ok` gets a
    /// value from a run of its function that began after the removal, in any process.
    /// [Guarantees](crate::_documentation::guarantees#invalidation) has the four exceptions.
    ///
    /// The invalidation is one command to Redis (in a cluster, to the node that has the prefix's token),
    /// however many entries there are. `prefix` is the whole name of a group, as written in `prefix =
    /// ".."`, and no pattern. A prefix that no function of this process has may be another process's,
    /// and is no error; one that looks like a pattern or a key is worth one warning.
    ///
    /// This concerns one cache. [`invalidate_prefix`](crate::invalidate_prefix) concerns the cache that
    /// calls use.
    ///
    /// # Errors
    ///
    /// As [`invalidate`](crate::invalidate).
    ///
    /// # Examples
    ///
    /// ```
    /// use cache_runtime::{Cache, cache_result, observe};
    ///
    /// #[cache_result(prefix = "areas")]
    /// async fn areas(kind: String) -> Vec<String> { vec![kind] }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), cache_runtime::Error> {
    /// let cache = Cache::in_memory();
    /// cache.scope(areas("buy".into())).await;
    /// cache.invalidate_prefix("areas").await?;
    /// assert!(cache.scope(observe(areas("buy".into()))).await.1.is_computed());
    /// # Ok(())
    /// # }
    /// ```
    pub async fn invalidate_prefix(&self, prefix: &str) -> Result<()> {
        let group = crate::stats::group_of(prefix);
        self.invalidate(vec![self.prefix_token(prefix)], group, Named::Prefix).await
    }

    /// Invalidates every entry that carries a tag, under every prefix, with the guarantee of
    /// [`Cache::invalidate_prefix`].
    ///
    /// `tag` is the tag as it reads for one call: of `tags = ["agent:{agent}"]` it is `agent:7`. A tag
    /// that no entry carries is no error.
    ///
    /// This concerns one cache. [`invalidate_tag`](crate::invalidate_tag) concerns the cache that calls
    /// use.
    ///
    /// # Errors
    ///
    /// As [`invalidate`](crate::invalidate).
    pub async fn invalidate_tag(&self, tag: &str) -> Result<()> {
        self.invalidate(vec![self.tag_token(tag)], None, Named::Tag).await
    }

    /// Removes `names`. Where a connection has to be dialled first, it waits for as long as a dial may
    /// take, since the caller wants the removal rather than an answer in time.
    pub(crate) async fn invalidate(
        &self,
        names: Vec<String>,
        group: Option<usize>,
        kind: Named,
    ) -> Result<()> {
        let patience = self.0.config.connect_timeout.max(self.0.store.patience());
        let began = Instant::now();
        let done = invalidate::invalidate(&self.0.undelivered, names, group, patience).await;
        if !self.is_off() {
            self.0.timings.invalidations.record(began.elapsed());
            self.0.timings.invalidated(kind, done.is_ok());
        }
        let group = group.filter(|_| !self.is_off());
        let count = |event| group.iter().for_each(|group| self.counters(*group).count(event));
        match done {
            Ok(()) => {
                count(Count::Invalidated);
                Ok(())
            }
            Err(fault) => {
                count(fault.count());
                let target = group.map(|group| format!("`{}`", crate::stats::group_name(group)));
                Err(Error::from(fault).of_invalidating(target.as_deref().unwrap_or("a tag")))
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
