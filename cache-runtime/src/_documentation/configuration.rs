//! Every variable, every form of the URL, and the defaults.
//!
//! [`Config::from_env`](crate::Config::from_env) reads the variables below from the environment of the
//! process, and [`Config::from_lookup`](crate::Config::from_lookup) reads them from wherever a program
//! keeps them. [`Cache::from_env`](crate::Cache::from_env), and so a program that sets nothing up, uses
//! the former. Each setting is also a method of [`Config`](crate::Config), for programs that set it in
//! code.
//!
//! # Whether the cache is on, and where its values are
//!
//! The first line that applies decides:
//!
//! | set | then |
//! |---|---|
//! | `REDIS_ENABLED` or `ENABLE_REDIS_CACHE` is `false` | the cache is off: every function runs, nothing connects, no other variable is read |
//! | `REDIS_URL` | values are where the [URL](#the-url) says |
//! | `REDIS_HOST` | values are in that Redis: with `REDIS_PORT` (6379) and `REDIS_DB` (0) |
//! | one of the two switches is `true` | values are in the Redis at 127.0.0.1: with `REDIS_PORT` and `REDIS_DB` |
//! | none of them | values are in this process, and other processes do not share them; one warning says so |
//!
//! The log says once, when a cache is made from variables, where its values go or which switch is off. A
//! wrong setting is one error line that names the variable, and a cache that is off;
//! [`Cache::connect`](crate::Cache::connect) with [`Config::from_env`](crate::Config::from_env) returns
//! that error instead.
//!
//! # How a value is written
//!
//! - White space and one pair of quotes around a value are left out, except around passwords, which are
//!   taken literally. An empty variable counts as unset.
//! - A **switch** is `true`, `1`, `yes` or `on`; or `false`, `0`, `no` or `off`; in any case.
//! - A **time** is a sum of whole numbers with units (`ms`, `s`, `m`, `h`, `d`), such as `1h30m` or
//!   `250ms`; or one plain number in the unit of its variable. Zero is an error, except for
//!   `CACHE_LOG_INTERVAL`.
//! - A **size** is a whole number of bytes greater than zero.
//!
//! # Where Redis is
//!
//! | variable | value |
//! |---|---|
//! | `REDIS_ENABLED`, `ENABLE_REDIS_CACHE` | switches; of two that contradict each other, the one that says off counts |
//! | `REDIS_URL` | [the URL](#the-url) |
//! | `REDIS_HOST` | a host, with or without a port; also a URL, or `user:password@host` |
//! | `REDIS_PORT` | a port; also `tcp://10.0.0.7:6379`, which Kubernetes sets for a service named `redis` |
//! | `REDIS_DB` | the number of a database |
//! | `REDIS_USERNAME`, `REDIS_PASSWORD` | the login, where the URL or the host has none |
//! | `REDIS_PASSWORD_FILE` | a file with the password, instead of `REDIS_PASSWORD` |
//! | `REDIS_SENTINEL_USERNAME`, `REDIS_SENTINEL_PASSWORD`, `REDIS_SENTINEL_PASSWORD_FILE` | the login of the sentinels, which is not that of the servers |
//! | `REDIS_TLS_CA` | a file in PEM: the authorities, instead of the system's |
//! | `REDIS_TLS_CERT`, `REDIS_TLS_KEY` | files in PEM: the client certificate and its key, for mutual TLS |
//!
//! Files have to be readable when the settings are read, and are read again at each dial, so that a
//! rotated password or a renewed certificate needs no restart. One line break at the end of a file of a
//! password does not belong to the password. A password and a file of one are an error; where the URL
//! has a password too, that of the URL is used, and a warning says so. The `REDIS_TLS_` files have an
//! effect only where the connection uses TLS. [`Config::credentials`](crate::Config::credentials) asks
//! the application for the login instead.
//!
//! # Limits and sizes
//!
//! | variable | default | [`Config`](crate::Config) | |
//! |---|---|---|---|
//! | `CACHE_NAMESPACE` | `cache` | [`namespace`](crate::Config::namespace) | the first part of every key |
//! | `REDIS_DEFAULT_TTL` | 3600 (s) | [`default_ttl`](crate::Config::default_ttl) | how long a value is fresh where the attribute has no `ttl` |
//! | `CACHE_BUDGET_MS` | 100 (ms) | [`budget`](crate::Config::budget) | all cache traffic of one call together |
//! | | 5 s | [`wait`](crate::Config::wait) | how long a call waits for another run of its function |
//! | `CACHE_MAX_RUN_MS` | 3600000 (ms) | [`max_run`](crate::Config::max_run) | the value of a longer run is not stored |
//! | `REDIS_TIMEOUT_MS` | 100 (ms) | [`timeout`](crate::Config::timeout) | one command |
//! | `REDIS_CONNECT_TIMEOUT_MS` | 1000 (ms) | [`connect_timeout`](crate::Config::connect_timeout) | each part of a dial |
//! | `REDIS_POOL_SIZE` | 2 | [`lanes`](crate::Config::lanes) | shared connections to each server, 1 to 8 |
//! | `CACHE_MAX_VALUE` | 1048576 (bytes) | [`max_value`](crate::Config::max_value) | a larger value is not stored |
//! | `CACHE_COMPRESS_ABOVE` | 4096 (bytes) | [`compress_above`](crate::Config::compress_above) | a larger value is compressed |
//! | `CACHE_LOCAL` | | [`local`](crate::Config::local), [`local_for`](crate::Config::local_for) | `true`: every function keeps copies in this process; `false`: none; `10s`: every function, and no copy is used for longer; unset: the functions with `local` |
//! | `CACHE_LOCAL_BYTES` | 67108864 (bytes) | [`local_bytes`](crate::Config::local_bytes) | the copies in this process; and the store in this process |
//! | `CACHE_SLOW_MS` | 50 (ms) | [`slow`](crate::Config::slow) | a call with more cache traffic is counted as slow |
//! | `CACHE_LOG_INTERVAL` | 0 (s): never | [`log_interval`](crate::Config::log_interval) | between two log lines with the statistics of a prefix |
//!
//! ```
//! # // Keeps the defaults of this page true.
//! # let shown = format!("{:?}", cache_runtime::Config::in_memory());
//! # for default in [
//! #     "backend: Memory", "namespace: \"cache\"", "default_ttl: 3600s", "budget: 100ms", "wait: 5s",
//! #     "max_run: 3600s", " timeout: 100ms", "connect_timeout: 1s", "pool_size: 2", "max_value: 1048576",
//! #     "compress_above: 4096", "local: AsWritten", "local_bytes: 67108864", "slow: 50ms",
//! #     "log_interval: 0ns",
//! # ] {
//! #     assert!(shown.contains(default), "{default}: {shown}");
//! # }
//! use cache_runtime::Config;
//!
//! let variables = [("REDIS_URL", "memory://"), ("CACHE_BUDGET_MS", "1s"), ("REDIS_DEFAULT_TTL", "600")];
//! let config = Config::from_lookup(|name| {
//!     variables.iter().find(|(variable, _)| *variable == name).map(|(_, value)| value.to_string())
//! })?;
//! assert!(format!("{config:?}").contains("budget: 1s"));
//! # assert!(format!("{config:?}").contains("default_ttl: 600s"));
//! # Ok::<(), cache_runtime::Error>(())
//! ```
//!
//! # The URL
//!
//! | URL | Redis | feature |
//! |---|---|---|
//! | `redis://user:password@host:6379/0` | one server | |
//! | `unix:///run/redis.sock` | one server, by its socket | |
//! | `rediss://host:6379/0` | one server over TLS | `tls` |
//! | `redis+sentinel://h1:26379,h2:26379/mymaster/0` | the master that the sentinels name | `sentinel` |
//! | `redis+cluster://n1:6379,n2:6379` | the cluster that these nodes belong to | `cluster` |
//! | `memory://` | none: values are in this process | |
//!
//! `rediss+sentinel://` and `rediss+cluster://` use TLS to all servers. `valkey` may stand for `redis` in
//! each scheme. User, password, port and database may be left out: the ports are then 6379, and 26379 for
//! sentinels. A cluster has only the database 0. An IPv6 address stands in brackets.
//!
//! User and password are percent-decoded; text that is no valid escape, such as raw base64, stays as it
//! is. The login ends at the last `@`, so an `@` in a parameter is written `%40`.
//!
//! | parameter | |
//! |---|---|
//! | `db`, `user` (`username`), `pass` (`password`) | the database; the login |
//! | `protocol=2` | RESP2: `local` then has no effect, and waiting for another process polls |
//! | `ssl=true` (`tls=true`) | TLS, as `rediss://` |
//! | `ssl_cert_reqs` | `required` (default) verifies the server's certificate; `none` takes anybody for the server (feature `tls-insecure`) |
//! | `ssl_ca_certs`, `ssl_certfile`, `ssl_keyfile` | files in PEM, as `REDIS_TLS_CA`, `REDIS_TLS_CERT` and `REDIS_TLS_KEY` |
//! | `cluster=true` | the host or hosts are nodes of a cluster |
//! | `sentinel_master` (`service_name`) | the name of the master, where the path has none |
//! | `sentinel_username`, `sentinel_password` | the login of the sentinels |
//!
//! Parameters that are not in this table are ignored, since clients of other languages have some of their
//! own.
