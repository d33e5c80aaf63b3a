//! The settings of a cache, and how they are read from variables.

mod credentials;
mod deployment;
mod duration;
mod origin;
mod source;
mod url;
mod vars;

use std::fmt;
use std::future::Future;
use std::time::Duration;

use crate::error::{Error, Result};
pub use credentials::Credentials;
use credentials::Provider;
#[cfg(feature = "sentinel")]
pub(crate) use deployment::Sentinel;
#[cfg(feature = "tls-no-provider")]
pub(crate) use deployment::Tls;
pub(crate) use deployment::{Access, Address, Deployment, Part, Server, Topology};
pub(crate) use origin::Origin;
pub(crate) use source::Source;
use vars::{Vars, clamp_lanes};

/// The settings of a [`Cache`](crate::Cache): where its values are stored, and its limits.
///
/// A `Config` is made by [`Config::from_env`] (the variables of the process), [`Config::redis`] (a URL)
/// or [`Config::in_memory`]. Each has the defaults below until a method replaces one. Making a `Config`
/// opens no connection; [`Cache::connect`](crate::Cache::connect) and [`Cache::new`](crate::Cache::new)
/// take it.
///
/// | method | variable | default |
/// |---|---|---|
/// | [`namespace`](Self::namespace) | `CACHE_NAMESPACE` | `cache` |
/// | [`default_ttl`](Self::default_ttl) | `REDIS_DEFAULT_TTL` | 1 h |
/// | [`budget`](Self::budget) | `CACHE_BUDGET_MS` | 100 ms |
/// | [`wait`](Self::wait) | | 5 s |
/// | [`max_run`](Self::max_run) | `CACHE_MAX_RUN_MS` | 1 h |
/// | [`timeout`](Self::timeout) | `REDIS_TIMEOUT_MS` | 100 ms |
/// | [`connect_timeout`](Self::connect_timeout) | `REDIS_CONNECT_TIMEOUT_MS` | 1 s |
/// | [`lanes`](Self::lanes) | `REDIS_POOL_SIZE` | 2 |
/// | [`max_value`](Self::max_value) | `CACHE_MAX_VALUE` | 1 MiB |
/// | [`compress_above`](Self::compress_above) | `CACHE_COMPRESS_ABOVE` | 4096 bytes |
/// | [`local`](Self::local), [`local_for`](Self::local_for) | `CACHE_LOCAL` | functions with `local` |
/// | [`local_bytes`](Self::local_bytes) | `CACHE_LOCAL_BYTES` | 64 MiB |
/// | [`slow`](Self::slow) | `CACHE_SLOW_MS` | 50 ms |
/// | [`log_interval`](Self::log_interval) | `CACHE_LOG_INTERVAL` | never |
///
/// The [configuration page](crate::_documentation::configuration) has every variable, the forms of the
/// URL, and what decides whether the cache is on.
///
/// # Examples
///
/// Variables that come from somewhere else than the environment, and two settings in code:
///
/// ```
/// use std::time::Duration;
///
/// use cache_runtime::{Cache, Config};
///
/// let config = Config::from_lookup(|name| match name {
///     "REDIS_URL" => Some("redis://cache.internal:6379/2".to_owned()),
///     "CACHE_NAMESPACE" => Some("shop".to_owned()),
///     _ => None,
/// })?
/// .budget(Duration::from_millis(50))
/// .wait(Duration::from_secs(2));
///
/// // Connects when a call first needs it. `Cache::connect(config).await?` would wait until Redis answers.
/// let cache = Cache::new(config);
/// # drop(cache);
/// # Ok::<(), cache_runtime::Error>(())
/// ```
#[derive(Clone)]
pub struct Config {
    pub(crate) backend: Backend,
    pub(crate) default_ttl: Duration,
    pub(crate) pool_size: usize,
    pub(crate) connect_timeout: Duration,
    pub(crate) timeout: Duration,
    pub(crate) namespace: String,
    pub(crate) budget: Duration,
    pub(crate) wait: Duration,
    pub(crate) max_run: Duration,
    pub(crate) max_value: usize,
    pub(crate) compress_above: usize,
    pub(crate) local: Local,
    pub(crate) local_bytes: usize,
    pub(crate) slow: Duration,
    pub(crate) log_interval: Duration,
    /// Who has chosen the backend; named in the line that is logged when a cache is made.
    pub(crate) origin: Origin,
}

/// Which functions keep copies in this process, and the longest time for which a copy is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Local {
    /// The functions whose attribute has `local`.
    AsWritten,
    Never,
    All(Duration),
}

impl Local {
    /// Whether a function keeps copies; `written`: its attribute has `local`.
    #[inline]
    pub(crate) fn keeps(self, written: bool) -> bool {
        match self {
            Self::AsWritten => written,
            Self::Never => false,
            Self::All(_) => true,
        }
    }

    /// The longest time for which a function may use a copy; `written` is the time in its attribute.
    /// `None`: the function keeps no copies.
    pub(crate) fn of(self, written: Option<Duration>) -> Option<Duration> {
        match self {
            Self::AsWritten => written,
            Self::Never => None,
            Self::All(most) => Some(written.map_or(most, |written| written.min(most))),
        }
    }
}

#[derive(Clone)]
pub(crate) enum Backend {
    Off,
    Memory,
    Redis(Box<Deployment>),
}

impl Default for Config {
    fn default() -> Self {
        Self {
            backend: Backend::Memory,
            default_ttl: Duration::from_secs(3600),
            pool_size: 2,
            connect_timeout: Duration::from_secs(1),
            timeout: Duration::from_millis(100),
            namespace: "cache".to_owned(),
            budget: Duration::from_millis(100),
            wait: Duration::from_secs(5),
            max_run: Duration::from_secs(60 * 60),
            max_value: 1 << 20,
            compress_above: 4096,
            local: Local::AsWritten,
            local_bytes: 64 << 20,
            slow: Duration::from_millis(50),
            log_interval: Duration::ZERO,
            origin: Origin::Code,
        }
    }
}

impl Config {
    /// Values in this process, and every setting at its default.
    ///
    /// Other processes do not share these values, and they end with the cache. All of them together
    /// take at most [`local_bytes`](Self::local_bytes).
    pub fn in_memory() -> Self {
        Self::default()
    }

    /// Values in the Redis at `url`, and every other setting at its default. Reads no variable.
    ///
    /// | URL | |
    /// |---|---|
    /// | `redis://user:password@host:6379/0` | one server; host, port and database may be left out |
    /// | `unix:///run/redis.sock` | one server, by its socket |
    /// | `rediss://host:6380/0` | one server over TLS (feature `tls`) |
    /// | `redis+sentinel://h1:26379,h2:26379/mymaster/0` | the master that the sentinels name (feature `sentinel`) |
    /// | `redis+cluster://n1:6379,n2:6379` | a cluster (feature `cluster`) |
    /// | `memory://` | values in this process, as [`Config::in_memory`] |
    ///
    /// The [configuration page](crate::_documentation::configuration#the-url) has the parameters.
    ///
    /// # Errors
    ///
    /// [`Error::is_config`] where the URL cannot be understood, or needs a feature that this build does
    /// not have. The text says which, and never shows the password.
    ///
    /// # Examples
    ///
    /// ```
    /// use cache_runtime::Config;
    ///
    /// let config = Config::redis("redis://app:secret@cache.internal:6379/2")?.namespace("shop");
    /// assert!(!format!("{config:?}").contains("secret"));
    ///
    /// assert!(Config::redis("http://cache.internal").unwrap_err().is_config());
    /// # Ok::<(), cache_runtime::Error>(())
    /// ```
    pub fn redis(url: &str) -> Result<Self> {
        let backend = url::parse(url).map_err(|problem| Error::config("url", problem))?;
        Ok(Self { backend, ..Self::default() })
    }

    /// Reads the environment of the process: `REDIS_URL`, `CACHE_NAMESPACE` and the other variables of
    /// the [configuration page](crate::_documentation::configuration).
    ///
    /// A variable that is not set, or is empty, leaves its setting at the default. With none set, values
    /// are kept in this process. Where `REDIS_ENABLED` or `ENABLE_REDIS_CACHE` says `false`, the cache is
    /// off and no other variable is read.
    ///
    /// # Errors
    ///
    /// [`Error::is_config`], whose text names the variable and what is wrong with it.
    pub fn from_env() -> Result<Self> {
        Self::from_lookup(|name| std::env::var(name).ok())
    }

    /// Reads the same variables as [`Config::from_env`], through `lookup` instead of the environment: for
    /// tests, and for settings that a program keeps elsewhere.
    ///
    /// # Errors
    ///
    /// [`Error::is_config`], whose text names the variable and what is wrong with it.
    ///
    /// # Examples
    ///
    /// ```
    /// use cache_runtime::Config;
    ///
    /// let wrong = Config::from_lookup(|name| (name == "CACHE_BUDGET_MS").then(|| "fast".to_owned()));
    /// assert!(wrong.unwrap_err().to_string().starts_with("CACHE_BUDGET_MS: "));
    /// ```
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let vars = Vars(&lookup);
        if let Some(by) = vars.switched_off()? {
            let origin = Origin::Variable(by);
            return Ok(Self { backend: Backend::Off, origin, ..Self::default() });
        }
        let (backend, origin) = vars.backend()?;
        let default = Self::default();
        Ok(Self {
            backend,
            origin,
            default_ttl: vars.seconds("REDIS_DEFAULT_TTL", default.default_ttl)?,
            pool_size: vars.lanes("REDIS_POOL_SIZE", default.pool_size)?,
            connect_timeout: vars.millis("REDIS_CONNECT_TIMEOUT_MS", default.connect_timeout)?,
            timeout: vars.millis("REDIS_TIMEOUT_MS", default.timeout)?,
            namespace: vars.namespace("CACHE_NAMESPACE", default.namespace)?,
            budget: vars.millis("CACHE_BUDGET_MS", default.budget)?,
            max_run: vars.millis("CACHE_MAX_RUN_MS", default.max_run)?,
            max_value: vars.bytes("CACHE_MAX_VALUE", default.max_value)?,
            compress_above: vars.bytes("CACHE_COMPRESS_ABOVE", default.compress_above)?,
            local: vars.local("CACHE_LOCAL")?,
            local_bytes: vars.bytes("CACHE_LOCAL_BYTES", default.local_bytes)?,
            slow: vars.millis("CACHE_SLOW_MS", default.slow)?,
            log_interval: vars.seconds_or_never("CACHE_LOG_INTERVAL", default.log_interval)?,
            wait: default.wait,
        })
    }

    /// The first part of every key in Redis, before a colon. Default: `cache`.
    ///
    /// Caches with different namespaces share no values and no invalidations, so it keeps deployments on
    /// one server apart. No namespace should begin with another one and a colon, since
    /// [`Cache::clear`](crate::Cache::clear) of the shorter one removes both. A namespace in braces, as
    /// in `{shop}`, puts all keys into one slot of a cluster, and so on one node.
    ///
    /// An empty namespace, or one with white space or control characters, is an error of
    /// [`Cache::connect`](crate::Cache::connect).
    #[must_use]
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = namespace.into();
        self
    }

    /// How long a value is fresh where the attribute has no `ttl`. Default: 1 hour.
    ///
    /// More than ten years counts as ten years. With zero, a function without a `ttl` stores nothing.
    #[must_use]
    pub fn default_ttl(mut self, ttl: Duration) -> Self {
        self.default_ttl = ttl;
        self
    }

    /// How long the cache traffic of one call may take, all commands together. Default: 100 ms.
    ///
    /// Once it is spent the function runs without the cache, and the outcome is
    /// [`Reason::Timeout`](crate::Reason::Timeout). The first dial counts too: calls that come while
    /// Redis is being dialled wait for it this long. Waiting for another run of the function does not
    /// count; [`wait`](Self::wait) bounds that. With zero, no call reads or populates.
    #[must_use]
    pub fn budget(mut self, budget: Duration) -> Self {
        self.budget = budget;
        self
    }

    /// How long a call waits for another run of the same function with the same arguments, in this
    /// process or another, before it runs the function itself and stores nothing. Default: 5 s.
    ///
    /// The outcome is then [`Reason::WaitOver`](crate::Reason::WaitOver). With zero, no call waits. The
    /// `wait` of a function's attribute takes precedence.
    #[must_use]
    pub fn wait(mut self, wait: Duration) -> Self {
        self.wait = wait;
        self
    }

    /// How long a function may run for its value to be stored. Default: 1 hour.
    ///
    /// While the function runs, its lease is extended up to here. The value of a longer run is returned
    /// and not stored, with one warning for the function and the outcome
    /// [`Reason::RunTooLong`](crate::Reason::RunTooLong). A run that hangs keeps other processes from
    /// storing this key for as long, so a service whose functions never take a minute may set a minute.
    /// A `lease` in the attribute that is longer takes precedence.
    #[must_use]
    pub fn max_run(mut self, max_run: Duration) -> Self {
        self.max_run = max_run;
        self
    }

    /// How long Redis may take to answer one command. Default: 100 ms.
    ///
    /// A command of a call also ends with the call's [`budget`](Self::budget). Commands behind a call
    /// (populating, extending a lease, invalidating again) have this time alone. Three timeouts in a row
    /// replace the connection. With zero, no command succeeds, and Redis counts as down.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How long each of the three parts of a dial may take: the credentials and the name lookup, the
    /// connection with its login, and the commands that greet the server. Default: 1 s.
    ///
    /// Calls do not wait for it: they wait for a dial within their [`budget`](Self::budget). An
    /// invalidation that needs a connection first may take as long.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Asks `credentials` for the user and the password before each dial, in place of those of the URL
    /// and the variables: for passwords that are rotated, and for tokens that expire.
    ///
    /// The login is that of the servers that hold the data; sentinels keep the login of the URL or the
    /// variables. A connection that is up keeps the login that it was made with. On a cache that is off
    /// or in memory, this setting has no effect.
    ///
    /// The future is polled within a tokio runtime with timers and I/O, on a thread of this crate, and
    /// dropped at the end of [`Config::connect_timeout`]. For each server one future runs at a time, and
    /// dials that wait for it take its answer.
    ///
    /// # Errors
    ///
    /// Where `credentials` fails, the dial fails, and is tried again after 25 ms to 1 s; functions run
    /// without the cache meanwhile. The text of the error is logged and shown by
    /// [`Cache::health`](crate::Cache::health), so it must contain no secret. The credentials are never
    /// shown.
    ///
    /// # Examples
    ///
    /// ```
    /// use cache_runtime::{Config, Credentials};
    ///
    /// # async fn fetch_token() -> Result<String, std::io::Error> { Ok(String::new()) }
    /// let config = Config::redis("redis://cache.internal:6379")?
    ///     .credentials(|| async { Ok::<_, std::io::Error>(Credentials::new("app", fetch_token().await?)) });
    /// # Ok::<(), cache_runtime::Error>(())
    /// ```
    #[must_use]
    pub fn credentials<F, A, E>(mut self, credentials: F) -> Self
    where
        F: Fn() -> A + Send + Sync + 'static,
        A: Future<Output = std::result::Result<Credentials, E>> + Send + 'static,
        E: fmt::Display,
    {
        if let Backend::Redis(deployment) = &mut self.backend {
            deployment.access.provider = Some(Provider::new(credentials));
        }
        self
    }

    /// The authorities that may sign the server's certificate, in PEM, instead of the system's.
    ///
    /// Has an effect only where the URL asks for TLS. Bytes that are no PEM are an error of
    /// [`Cache::connect`](crate::Cache::connect).
    #[cfg(feature = "tls-no-provider")]
    #[must_use]
    pub fn tls_ca(mut self, pem: impl Into<Vec<u8>>) -> Self {
        if let Some(tls) = self.tls() {
            tls.ca = Some(Source::Given(pem.into().into()));
        }
        self
    }

    /// The client certificate and its key, in PEM, for mutual TLS.
    ///
    /// Has an effect only where the URL asks for TLS. Bytes that are no PEM are an error of
    /// [`Cache::connect`](crate::Cache::connect).
    #[cfg(feature = "tls-no-provider")]
    #[must_use]
    pub fn tls_client(mut self, certificate: impl Into<Vec<u8>>, key: impl Into<Vec<u8>>) -> Self {
        if let Some(tls) = self.tls() {
            let given = |pem: Vec<u8>| Source::Given(pem.into());
            tls.client = Some([given(certificate.into()), given(key.into())]);
        }
        self
    }

    #[cfg(feature = "tls-no-provider")]
    fn tls(&mut self) -> Option<&mut Tls> {
        match &mut self.backend {
            Backend::Redis(deployment) => deployment.access.tls.as_mut(),
            Backend::Off | Backend::Memory => None,
        }
    }

    /// How many connections to each server share the traffic, 1 to 8. Default: 2.
    ///
    /// Commands are multiplexed, so this is no bound on the calls at a time. Zero counts as 1, and more
    /// than 8 as 8, with a warning. Two more connections are dialled when they are needed: one for
    /// functions whose values are over 256 KiB, and one through which Redis announces changes (`local`,
    /// and waiting for another process).
    #[must_use]
    pub fn lanes(mut self, lanes: usize) -> Self {
        self.pool_size = clamp_lanes(lanes.max(1));
        self
    }

    /// The largest value that is stored, in bytes as it is encoded, before compression. Default: 1 MiB.
    ///
    /// A larger value is returned, not stored, and counted in
    /// [`PrefixStats::unstorable`](crate::PrefixStats::unstorable), with one warning for the function. A
    /// larger entry that another deployment has stored is not read. The values that wait to be written
    /// take 64 MiB together at most, whatever is set here.
    #[must_use]
    pub fn max_value(mut self, bytes: usize) -> Self {
        self.max_value = bytes;
        self
    }

    /// Encoded values over this many bytes are compressed (LZ4). Default: 4096.
    ///
    /// A value that compression does not make smaller is stored as it is. `usize::MAX` compresses none.
    /// Compressed and plain entries are read whatever is set here.
    #[must_use]
    pub fn compress_above(mut self, bytes: usize) -> Self {
        self.compress_above = bytes;
        self
    }

    /// Whether all functions keep copies in this process (`true`), or none (`false`), whatever their
    /// attributes say. Default: the functions whose attribute has `local`.
    ///
    /// A copy may be served for up to one second after another process has invalidated it:
    /// [guarantees](crate::_documentation::guarantees#staleness).
    #[must_use]
    pub fn local(mut self, all: bool) -> Self {
        self.local = if all { Local::All(Duration::MAX) } else { Local::Never };
        self
    }

    /// All functions keep copies in this process, and use each for at most `at_most`; for a shorter
    /// time where the attribute says so, as in `local = "10s"`.
    #[must_use]
    pub fn local_for(mut self, at_most: Duration) -> Self {
        self.local = Local::All(at_most);
        self
    }

    /// A call whose cache traffic takes longer than this is counted in
    /// [`PrefixStats::slow`](crate::PrefixStats::slow), with a line at debug level. Default: 50 ms.
    #[must_use]
    pub fn slow(mut self, above: Duration) -> Self {
        self.slow = above;
        self
    }

    /// How often the statistics of the time since the last report are logged, at info level: one line
    /// for each prefix that was used meanwhile. Zero is never. Default: never.
    #[must_use]
    pub fn log_interval(mut self, every: Duration) -> Self {
        self.log_interval = every;
        self
    }

    /// The size in bytes of the copies in this process (`local`), those of all functions together, and
    /// of the store in memory, each for itself. Default: 64 MiB.
    ///
    /// Past it, entries that are used little are evicted. An entry that does not fit is not kept.
    #[must_use]
    pub fn local_bytes(mut self, bytes: usize) -> Self {
        self.local_bytes = bytes;
        self
    }
}

/// Says what is wrong with a namespace; `None` where nothing is.
pub(crate) fn namespace_problem(namespace: &str) -> Option<&'static str> {
    if namespace.is_empty() {
        return Some("must not be empty");
    }
    let is_forbidden = |c: char| c.is_whitespace() || c.is_control();
    namespace.chars().any(is_forbidden).then_some("must not contain blanks or control characters")
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("backend", &self.backend)
            .field("namespace", &self.namespace)
            .field("default_ttl", &self.default_ttl)
            .field("pool_size", &self.pool_size)
            .field("connect_timeout", &self.connect_timeout)
            .field("timeout", &self.timeout)
            .field("budget", &self.budget)
            .field("wait", &self.wait)
            .field("max_run", &self.max_run)
            .field("max_value", &self.max_value)
            .field("compress_above", &self.compress_above)
            .field("local", &self.local)
            .field("local_bytes", &self.local_bytes)
            .field("slow", &self.slow)
            .field("log_interval", &self.log_interval)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("Off"),
            Self::Memory => f.write_str("Memory"),
            Self::Redis(deployment) => write!(f, "Redis({deployment})"),
        }
    }
}
