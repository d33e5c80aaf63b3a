//! A function cache for Redis: annotate an async function, and it checks Redis before it runs and
//! populates Redis afterwards.
//!
//! # Overview
//!
//! ```
//! use cache_runtime::cache_result;
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Clone, Serialize, Deserialize)]
//! struct Area {
//!     name: String,
//!     listings: u32,
//! }
//!
//! #[cache_result(ttl = 3600, prefix = "areas")]
//! async fn areas(kind: String) -> Result<Vec<Area>, std::io::Error> {
//!     // a slow query
//!     # Ok(vec![Area { name: kind, listings: 7 }])
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let first = areas("buy".into()).await?; // runs the function, and stores the value
//! let second = areas("buy".into()).await?; // is served from the cache
//! cache_runtime::invalidate(areas("buy".into())).await?; // names the entry by the call, which does not run
//! # assert_eq!(first.len(), second.len());
//! # Ok(())
//! # }
//! ```
//!
//! Where values are stored comes from the environment (`REDIS_URL`, `REDIS_ENABLED`, ...), or from the
//! [`Cache`] that a program hands to [`init`]. With nothing set, values are kept in this process.
//!
//! # What is where
//!
//! - [`macro@cache_result`] is the attribute for functions that read, with every option, and
//!   [`macro@cache_invalidate`] that for functions that write.
//! - Verbs act on a call instead of making it: [`invalidate`], [`invalidate_prefix`], [`invalidate_tag`],
//!   [`refresh`], [`bypass`], [`peek`], [`put`], [`observe`] and [`explain`].
//! - [`Cache`] is the handle: which cache a call uses, how one is made, closed, warmed and switched off,
//!   its [`Stats`] and its [`Health`].
//! - [`Config`] has the settings; [`_documentation::configuration`] every variable and URL.
//! - [`Outcome`] says what the cache did for one call.
//!
//! # Guarantees
//!
//! A caller gets a value that its own function could have returned. The cache never turns a success into
//! an error, never serves another function's value, never panics, and never holds a call up for longer
//! than [`Config::budget`] (100 ms by default), except while the call waits, for at most
//! [`Config::wait`], for another run of the same function. Where Redis is off, down, hung, slow, full or
//! wrong, the function runs.
//!
//! A call that begins after an invalidation has returned `Ok` gets a value from a run that began after the
//! invalidation, in any process, whatever was under way. [`_documentation::guarantees`] has all of it,
//! with the four exceptions, and [`_documentation::limits`] what the cache does not do.
//!
//! # Crate features
//!
//! None is on by default. A URL that needs one says so in its error.
//!
//! - `axum-08`: functions may return the `axum::Json<T>` of axum 0.8.
//! - `tls`: `rediss://`, and `?ssl=true` with any other URL: rustls with its provider ring; 12 crates.
//! - `tls-no-provider`: the same with the default provider that the application has installed in
//!   rustls, for programs that use a provider other than ring; 10 crates.
//! - `tls-insecure`: `?ssl_cert_reqs=none`, which takes anybody for the server; 12 crates, those of `tls`.
//! - `sentinel`: `redis+sentinel://host:26379/mymaster/0`; no crate.
//! - `spans`: spans of `tracing` at level `INFO`: `cache.lookup` around the lookup of a call, and `cache.run`
//!   around the run of its function, whose own spans are its children. Both have `cache.function` and
//!   `cache.prefix`, and the lookup `cache.result` (`found`, `stale`, `joined` or `run`) and, over Redis,
//!   `otel.kind` and `db.system.name`. A hit of a copy in this process has no span, and neither has a run past the
//!   cache (`when`, `bypass`, a cache that is off). No crate.
//! - `cluster`: `redis+cluster://host:6379`, and `?cluster=true`; 2 crates.

#![cfg_attr(docsrs, feature(doc_cfg))]

// Lets the examples of the attribute, and the crate's own tests, name the crate as users do.
extern crate self as cache_runtime;

pub mod _documentation;
#[allow(missing_docs)]
mod admin;
mod background;
mod cache;
mod call;
mod clock;
mod config;
mod contain;
mod deadline;
#[allow(missing_docs)]
mod diagnosis;
mod encode;
mod entry;
mod error;
mod fetch;
mod flight;
mod invalidate;
mod key;
mod lease;
mod lease_watch;
mod lookup;
mod near;
mod outcome;
mod populate;
mod queue;
mod recursion;
mod returns;
mod site;
mod spans;
mod stats;
mod store;
mod sync;
mod undelivered;
mod verb;
mod versions;
mod warm;
mod writer;

pub use cache::{Cache, Clear, Cleared, Health, ServerHealth, Status, Switch, init};
pub use cache_macros::{cache_invalidate, cache_result};
pub use config::{Config, Credentials};
pub use error::Error;
pub use outcome::{Outcome, OutcomeKind, Reason};
pub use returns::IntoTtl;
pub use site::{Function, functions};
pub use stats::{
    Confirmed, Histogram, History, InvalidationStats, LocalRemovals, PrefixHistory, PrefixStats,
    Stats, StoreStats, Summary, SummaryStatistics,
};
pub use verb::{
    Calls, Explanation, Stored, StoredKind, Verdict, bypass, explain, invalidate,
    invalidate_prefix, invalidate_tag, observe, peek, put, refresh,
};
pub use warm::{Progress, Warm, Warmed, Warming};

/// What `cache-admin` calls. Not part of the public interface.
#[doc(hidden)]
#[allow(missing_docs)]
pub mod __admin {
    pub use crate::admin::{
        Inspected, Settings, info, inspect, invalidate_key, put_slot, remove_slot, settings, slots,
    };
    pub use crate::diagnosis::{
        Head, Script, Shape, certificates, dial, script, shape, tag_token, token_of,
    };
    pub use crate::store::{Probe, ProbeError, ProbeStep, escape_glob};
    pub use deadpool_redis::redis::Value as Reply;
}

/// What expansions call. Not part of the public interface.
#[doc(hidden)]
#[allow(missing_docs)]
pub mod __private {
    pub use crate::__package as package;
    pub use crate::call::{Call, KeyPart};
    pub use crate::fetch::{begin, get_or_compute, get_or_refresh, near, pace};
    pub use crate::returns::{CacheValue, Codec, IntoTtl, Returns, levels};
    pub use crate::site::{Package, Site};
    pub use crate::writer::{Invalidation, invalidating};
}

/// What `fuzz/` calls.
#[cfg(cache_runtime_fuzzing)]
#[doc(hidden)]
#[allow(missing_docs)]
pub mod fuzzing;
