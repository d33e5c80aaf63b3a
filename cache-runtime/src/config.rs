//! Settings, and how they are read from the environment.

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

/// Settings of a [`Cache`](crate::Cache).
///
/// [`Config::from_env`] reads the variables that the README lists; the methods set the same things
/// in code.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// let config = cache_runtime::Config::from_lookup(|name| match name {
///     "REDIS_URL" => Some("redis://cache.internal:6379/2".to_owned()),
///     _ => None,
/// })?
/// .namespace("shop")
/// .budget(Duration::from_millis(50));
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
    /// What has decided on the backend.
    pub(crate) origin: Origin,
}

/// Which functions keep copies in this process, and for how long at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Local {
    /// Those that ask for it.
    AsWritten,
    Never,
    All(Duration),
}

impl Local {
    /// Whether a function does that asks for it or does not.
    #[inline]
    pub(crate) fn keeps(self, asked: bool) -> bool {
        match self {
            Self::AsWritten => asked,
            Self::Never => false,
            Self::All(_) => true,
        }
    }

    /// For how long, for a function that asks for `written`; `None` where not at all.
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
    /// An in-process store with every setting at its default.
    pub fn in_memory() -> Self {
        Self::default()
    }

    /// Where Redis is, by URL: `redis://` or `rediss://` for a server, `unix://` for its socket,
    /// `redis+sentinel://` and `redis+cluster://` for many, or `memory://` for the in-process store.
    ///
    /// # Errors
    ///
    /// [`Error::is_config`] where the URL cannot be understood; the text never shows the password.
    pub fn redis(url: &str) -> Result<Self> {
        let backend = url::parse(url).map_err(|problem| Error::config("url", problem))?;
        Ok(Self { backend, ..Self::default() })
    }

    /// Reads the process's environment.
    ///
    /// # Errors
    ///
    /// [`Error::is_config`], whose text names the variable and what is wrong with it.
    pub fn from_env() -> Result<Self> {
        Self::from_lookup(|name| std::env::var(name).ok())
    }

    /// Reads variables through `lookup`, for tests and for settings kept elsewhere.
    ///
    /// # Errors
    ///
    /// [`Error::is_config`], whose text names the variable and what is wrong with it.
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

    /// First part of every Redis key; keeps deployments apart on one server. One that is empty, or has
    /// blanks or control characters, is an error of [`Cache::connect`](crate::Cache::connect). Default:
    /// `cache`.
    #[must_use]
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = namespace.into();
        self
    }

    /// How long a value is fresh where the attribute does not say, ten years at most. Default: 1 hour.
    #[must_use]
    pub fn default_ttl(mut self, ttl: Duration) -> Self {
        self.default_ttl = ttl;
        self
    }

    /// How long all cache traffic of one call may take together; past it the function simply
    /// runs. Default: 100 ms.
    #[must_use]
    pub fn budget(mut self, budget: Duration) -> Self {
        self.budget = budget;
        self
    }

    /// How long a call waits for another run of the same function, in this process or another,
    /// before it runs by itself and stores nothing; zero is not at all. A function's own `wait` goes
    /// before it. Default: 5 s.
    #[must_use]
    pub fn wait(mut self, wait: Duration) -> Self {
        self.wait = wait;
        self
    }

    /// How long a function may run for its value to be stored: while it runs and its process lives,
    /// its lease is extended up to here. What takes longer is returned and not stored, with a warning
    /// and the outcome [`Reason::RunTooLong`](crate::Reason::RunTooLong). A function that hangs keeps
    /// others from storing for as long. A longer `lease` goes before it. Default: 1 hour.
    #[must_use]
    pub fn max_run(mut self, max_run: Duration) -> Self {
        self.max_run = max_run;
        self
    }

    /// How long one command may take. Default: 100 ms.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How long each part of a dial may take: the credentials and the name, the connection with its login,
    /// and the commands that greet the server. Default: 1 s.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Asks `credentials` for the user and the password before each dial, in place of those of the URL
    /// and the variables: for passwords that are rotated, and for tokens that expire. The servers that
    /// hold the data are meant; sentinels keep the login that the settings give them.
    ///
    /// The future is polled within a tokio runtime with timers and I/O, on a thread of this crate, and
    /// dropped at the end of [`Config::connect_timeout`]. One is asked at a time for each server;
    /// dials that wait for it take its answer. A connection that is up keeps the login that it was made
    /// with.
    ///
    /// # Errors
    ///
    /// Where `credentials` fails, the dial fails, and is tried again; functions run plainly meanwhile.
    /// The text of the error is logged and shown by [`Cache::health`](crate::Cache::health), so it must
    /// contain no secret. The credentials are never shown.
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

    /// Authorities in PEM that have to have signed the server's certificate, instead of the system's;
    /// of use where the URL asks for TLS. What is no PEM is an error of
    /// [`Cache::connect`](crate::Cache::connect).
    #[cfg(feature = "tls-no-provider")]
    #[must_use]
    pub fn tls_ca(mut self, pem: impl Into<Vec<u8>>) -> Self {
        if let Some(tls) = self.tls() {
            tls.ca = Some(Source::Given(pem.into().into()));
        }
        self
    }

    /// Our certificate and its key in PEM, for a server that asks who we are; as [`Config::tls_ca`].
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

    /// How many connections share the traffic, 1 to 8. Default: 2.
    #[must_use]
    pub fn lanes(mut self, lanes: usize) -> Self {
        self.pool_size = clamp_lanes(lanes.max(1));
        self
    }

    /// The largest encoded value that is stored, in bytes. Default: 1 MiB.
    #[must_use]
    pub fn max_value(mut self, bytes: usize) -> Self {
        self.max_value = bytes;
        self
    }

    /// Encoded values over this many bytes are compressed. Default: 4096.
    #[must_use]
    pub fn compress_above(mut self, bytes: usize) -> Self {
        self.compress_above = bytes;
        self
    }

    /// Whether all functions keep copies in this process, or none, whatever their attributes say.
    /// Default: those with `local`.
    #[must_use]
    pub fn local(mut self, all: bool) -> Self {
        self.local = if all { Local::All(Duration::MAX) } else { Local::Never };
        self
    }

    /// All functions keep copies in this process, each for at most so long.
    #[must_use]
    pub fn local_for(mut self, at_most: Duration) -> Self {
        self.local = Local::All(at_most);
        self
    }

    /// Cache traffic of a call above this is counted as slow. Default: 50 ms.
    #[must_use]
    pub fn slow(mut self, above: Duration) -> Self {
        self.slow = above;
        self
    }

    /// How often the statistics of the time since the last are logged, one line for each prefix that
    /// was used meanwhile; zero is never. Default: never.
    #[must_use]
    pub fn log_interval(mut self, every: Duration) -> Self {
        self.log_interval = every;
        self
    }

    /// The size of the near cache, all functions together, and of the in-process store, each in
    /// bytes. Default: 64 MiB.
    #[must_use]
    pub fn local_bytes(mut self, bytes: usize) -> Self {
        self.local_bytes = bytes;
        self
    }
}

/// What is wrong with a namespace, if anything is.
pub(crate) fn namespace_problem(namespace: &str) -> Option<&'static str> {
    if namespace.is_empty() {
        return Some("must not be empty");
    }
    let odd = |c: char| c.is_whitespace() || c.is_control();
    namespace.chars().any(odd).then_some("must not contain blanks or control characters")
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
