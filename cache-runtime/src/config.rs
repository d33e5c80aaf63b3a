//! Settings, and how they are read from the environment.

mod url;

use std::fmt;
use std::time::Duration;

use crate::error::{Error, Result};
pub(crate) use url::{Address, Server};

/// The most lanes a cache keeps: more are slower, because each driver then sends smaller batches.
const MAX_LANES: usize = 8;

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
    pub(crate) max_value: usize,
    pub(crate) compress_above: usize,
    pub(crate) local: Local,
    pub(crate) local_bytes: usize,
    pub(crate) slow: Duration,
    pub(crate) log_interval: Duration,
    /// True where nothing was set at all: worth a warning, since replicas will not share entries.
    pub(crate) unset: bool,
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
    Redis(Server),
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
            max_value: 1 << 20,
            compress_above: 4096,
            local: Local::AsWritten,
            local_bytes: 64 << 20,
            slow: Duration::from_millis(50),
            log_interval: Duration::ZERO,
            unset: false,
        }
    }
}

impl Config {
    /// An in-process store with every setting at its default.
    pub fn in_memory() -> Self {
        Self::default()
    }

    /// A Redis server, by URL: `redis://`, `unix://`, or `memory://` for the in-process store.
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
        if vars.switched_off()? {
            return Ok(Self { backend: Backend::Off, ..Self::default() });
        }
        let (backend, unset) = vars.backend()?;
        let default = Self::default();
        Ok(Self {
            backend,
            unset,
            default_ttl: vars.seconds("REDIS_DEFAULT_TTL", default.default_ttl)?,
            pool_size: vars.lanes("REDIS_POOL_SIZE", default.pool_size)?,
            connect_timeout: vars.millis("REDIS_CONNECT_TIMEOUT_MS", default.connect_timeout)?,
            timeout: vars.millis("REDIS_TIMEOUT_MS", default.timeout)?,
            namespace: vars.namespace("CACHE_NAMESPACE", default.namespace)?,
            budget: vars.millis("CACHE_BUDGET_MS", default.budget)?,
            max_value: vars.bytes("CACHE_MAX_VALUE", default.max_value)?,
            compress_above: vars.bytes("CACHE_COMPRESS_ABOVE", default.compress_above)?,
            local: vars.local("CACHE_LOCAL")?,
            local_bytes: vars.bytes("CACHE_LOCAL_BYTES", default.local_bytes)?,
            slow: vars.millis("CACHE_SLOW_MS", default.slow)?,
            log_interval: Duration::from_secs(vars.number("CACHE_LOG_INTERVAL", 0)?),
            wait: default.wait,
        })
    }

    /// First part of every Redis key; keeps deployments apart on one server. Default: `cache`.
    #[must_use]
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = namespace.into();
        self
    }

    /// How long a value is fresh where the attribute does not say. Default: 1 hour.
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

    /// How long one command may take. Default: 100 ms.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How long a dial may take. Default: 1 s.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
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

    /// The size of the near cache, all functions together, and of the in-process store, each in
    /// bytes. Default: 64 MiB.
    #[must_use]
    pub fn local_bytes(mut self, bytes: usize) -> Self {
        self.local_bytes = bytes;
        self
    }
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
            Self::Redis(server) => write!(f, "Redis({server})"),
        }
    }
}

/// The environment, one reader a kind of value. An empty variable counts as unset.
struct Vars<'a>(&'a dyn Fn(&str) -> Option<String>);

impl Vars<'_> {
    fn text(&self, name: &str) -> Option<String> {
        let raw = (self.0)(name)?;
        let value = unquote(raw.trim());
        (!value.is_empty()).then(|| value.to_owned())
    }

    fn switched_off(&self) -> Result<bool> {
        let switches = [self.switch("REDIS_ENABLED")?, self.switch("ENABLE_REDIS_CACHE")?];
        Ok(switches.contains(&Some(false)))
    }

    fn switch(&self, name: &str) -> Result<Option<bool>> {
        let Some(value) = self.text(name) else { return Ok(None) };
        let switch =
            switch(&value).ok_or_else(|| Error::config(name, "expected `true` or `false`"));
        switch.map(Some)
    }

    /// A switch, or how long a copy may be used.
    fn local(&self, name: &str) -> Result<Local> {
        let Some(value) = self.text(name) else { return Ok(Local::AsWritten) };
        match (switch(&value), span(&value)) {
            (Some(true), _) => Ok(Local::All(Duration::MAX)),
            (Some(false), _) => Ok(Local::Never),
            (None, Some(most)) if !most.is_zero() => Ok(Local::All(most)),
            _ => Err(Error::config(name, "expected `true`, `false`, or a time as in `10s`")),
        }
    }

    /// Where the store is, and whether nothing at all was said about it.
    fn backend(&self) -> Result<(Backend, bool)> {
        if let Some(url) = self.text("REDIS_URL") {
            let backend = url::parse(&url).map_err(|p| Error::config("REDIS_URL", p))?;
            return Ok((backend, false));
        }
        if let Some(host) = self.text("REDIS_HOST") {
            return Ok((self.parts(&host)?, false));
        }
        let on = self.switch("REDIS_ENABLED")?.or(self.switch("ENABLE_REDIS_CACHE")?);
        if on.is_some() {
            return Ok((self.parts("127.0.0.1")?, false));
        }
        Ok((Backend::Memory, true))
    }

    fn parts(&self, host: &str) -> Result<Backend> {
        if host.contains("://") || host.contains('@') {
            let url = if host.contains("://") { host.into() } else { format!("redis://{host}") };
            let backend = url::parse(&url).map_err(|p| Error::config("REDIS_HOST", p))?;
            return Ok(self.with_credentials(backend));
        }
        // The host may bring its port, as in a list of brokers; an IPv6 address has more colons.
        let with_port = host.matches(':').count() == 1 || host.starts_with('[');
        let (host, port) = if with_port {
            url::host_and_port(host).map_err(|problem| Error::config("REDIS_HOST", problem))?
        } else {
            (host.to_owned(), None)
        };
        let port = port.map_or_else(|| self.port("REDIS_PORT"), Ok)?;
        let db = u32::try_from(self.number("REDIS_DB", 0)?)
            .map_err(|_| Error::config("REDIS_DB", "no server has that many databases"))?;
        Ok(self.with_credentials(Backend::Redis(Server::tcp(&host, port, db.into()))))
    }

    /// Adds `REDIS_USERNAME` and `REDIS_PASSWORD`, taken literally, where the URL has none.
    fn with_credentials(&self, backend: Backend) -> Backend {
        let Backend::Redis(mut server) = backend else { return backend };
        if server.password.is_none() {
            server.username = self.text("REDIS_USERNAME").or(server.username);
            // Literal: quotes and blanks may belong to the password.
            server.password = (self.0)("REDIS_PASSWORD").filter(|password| !password.is_empty());
        }
        Backend::Redis(server)
    }

    fn port(&self, name: &str) -> Result<u16> {
        let Some(value) = self.text(name) else { return Ok(6379) };
        // Kubernetes sets `tcp://10.0.0.7:6379` for a service that is named `redis`.
        let port = match value.strip_prefix("tcp://") {
            Some(address) => address.rsplit(':').next().unwrap_or(address),
            None => &value,
        };
        let port = port.parse().ok().filter(|port| *port > 0);
        port.ok_or_else(|| Error::config(name, "expected a number from 1 to 65535"))
    }

    fn number(&self, name: &str, default: u64) -> Result<u64> {
        let Some(value) = self.text(name) else { return Ok(default) };
        value.parse().map_err(|_| {
            let shown: String = value.chars().take(40).collect();
            Error::config(name, format_args!("expected a whole number, found `{shown}`"))
        })
    }

    fn positive(&self, name: &str, default: u64) -> Result<u64> {
        match self.number(name, default)? {
            0 => Err(Error::config(name, "must be greater than zero")),
            number => Ok(number),
        }
    }

    fn seconds(&self, name: &str, default: Duration) -> Result<Duration> {
        Ok(Duration::from_secs(self.positive(name, default.as_secs())?))
    }

    fn millis(&self, name: &str, default: Duration) -> Result<Duration> {
        Ok(Duration::from_millis(self.positive(name, default.as_millis() as u64)?))
    }

    fn bytes(&self, name: &str, default: usize) -> Result<usize> {
        let number = self.positive(name, default as u64)?;
        usize::try_from(number).map_err(|_| Error::config(name, "too large"))
    }

    fn lanes(&self, name: &str, default: usize) -> Result<usize> {
        Ok(clamp_lanes(self.bytes(name, default)?))
    }

    fn namespace(&self, name: &str, default: String) -> Result<String> {
        let namespace = self.text(name).unwrap_or(default);
        if namespace.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(Error::config(name, "must not contain blanks or control characters"));
        }
        Ok(namespace)
    }
}

fn switch(value: &str) -> Option<bool> {
    match value.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Some(true),
        "false" | "0" | "no" | "off" => Some(false),
        _ => None,
    }
}

/// `10s`, with the units of the attribute.
fn span(value: &str) -> Option<Duration> {
    let unit = value.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = (value[..unit].parse::<u64>().ok()?, value[unit..].trim());
    let seconds = |each: u64| number.checked_mul(each).map(Duration::from_secs);
    match unit {
        "ms" => Some(Duration::from_millis(number)),
        "s" => seconds(1),
        "m" => seconds(60),
        "h" => seconds(60 * 60),
        "d" => seconds(24 * 60 * 60),
        _ => None,
    }
}

fn clamp_lanes(lanes: usize) -> usize {
    if lanes > MAX_LANES {
        tracing::warn!(
            "REDIS_POOL_SIZE {lanes} is taken as {MAX_LANES}: every call shares the lanes, and \
             more of them are slower, because each then sends smaller batches"
        );
    }
    lanes.min(MAX_LANES)
}

fn unquote(value: &str) -> &str {
    for quote in ['"', '\''] {
        if let Some(inner) = value.strip_prefix(quote).and_then(|v| v.strip_suffix(quote)) {
            return inner;
        }
    }
    value
}
