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
//! let first = areas("buy".into()).await?; // runs
//! let second = areas("buy".into()).await?; // does not
//! cache_runtime::invalidate(areas("buy".into())).await?; // the call is the key
//! # assert_eq!(first.len(), second.len());
//! # Ok(())
//! # }
//! ```
//!
//! Where Redis is comes from the environment (`REDIS_URL`, `REDIS_ENABLED`, ...) or from
//! [`init`]. With nothing set, values are kept in this process.
//!
//! # What it does not do
//!
//! It does not retry the function, cache errors, rewrite queries, or compare clocks of two hosts.
//!
//! # Guarantees
//!
//! The value that a caller gets is always one that its own function could have returned. The cache
//! never turns a success into an error, never serves another function's value, never panics, and
//! never holds a call up for longer than its budget (100 ms by default), except while it waits, at
//! most [`Config::wait`], for another run of the same function. Redis can be off, down, hung, slow,
//! full or wrong: the function then simply runs.
//!
//! An invalidation that has returned `Ok` is seen by every call that begins afterwards, in any
//! process, whatever was under way. What that does not cover, and how it works, is in
//! `docs/coherence.md` of the repository.
//!
//! # Crate features
//!
//! - `axum-08`: functions may return the `axum::Json<T>` of axum 0.8.
//! - `tls`: `rediss://`, and `?ssl=true` with any other URL; rustls with its provider ring; 12 crates.
//! - `tls-no-provider`: the same with the default provider that the application has installed in
//!   rustls, for programs that use another one than ring.
//! - `tls-insecure`: `?ssl_cert_reqs=none`, which takes anybody for the server.
//! - `sentinel`: `redis+sentinel://host:26379/mymaster/0`.
//! - `cluster`: `redis+cluster://host:6379`, and `?cluster=true`; 2 crates.

#![cfg_attr(docsrs, feature(doc_cfg))]

// Lets the examples of the attribute, and the crate's own tests, name the crate as users do.
extern crate self as cache_runtime;

mod background;
mod cache;
mod call;
mod clock;
mod config;
mod contain;
mod deadline;
mod encode;
mod entry;
mod error;
mod fetch;
mod flight;
mod invalidate;
mod key;
mod lease;
mod lookup;
mod near;
mod outcome;
mod populate;
mod queue;
mod recursion;
mod returns;
mod site;
mod stats;
mod store;
mod sync;
mod undelivered;

mod lease_watch;
mod verb;
mod versions;
mod warm;
mod writer;

pub use cache::{Cache, Clear, Cleared, Health, Status, init};
pub use cache_macros::{cache_invalidate, cache_result};
pub use config::{Config, Credentials};
pub use error::Error;
pub use outcome::{Outcome, OutcomeKind, Reason};
pub use returns::IntoTtl;
pub use stats::{PrefixStats, Stats};
pub use verb::{
    Calls, Explanation, Stored, StoredKind, Verdict, bypass, explain, invalidate,
    invalidate_prefix, invalidate_tag, observe, peek, put, refresh,
};
pub use warm::{Progress, Warm, Warmed, Warming};

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
