//! What a caller may rely on, how old a value may be, and what is counted.
//!
//! # Values
//!
//! A cached function returns what it could have returned without the cache.
//!
//! - An entry is served only to calls of the function and the arguments that it was stored for: its
//!   header has a fingerprint of both. [Limits](super::limits#identity) has what the fingerprints cannot
//!   tell apart.
//! - A value is stored only if it decodes from its own bytes to an equal value. Equal is as `PartialEq`
//!   says; for a type without it, as what both values tell serde says.
//! - Entries have checksums. A value that was damaged on its way is not served, and its function runs.
//! - An `Err` is never stored, and a `None` only with `none_ttl`.
//!
//! # Calls
//!
//! - The cache never turns a success into an error, and never panics. A panic in `Serialize`,
//!   `Deserialize`, `Clone`, `PartialEq`, `cache_if` or `ttl` costs the caching of that value; a panic of
//!   the function is the function's own.
//! - Reading and populating hold a call up for no longer than [`Config::budget`](crate::Config::budget)
//!   (100 ms by default). A call waits for another run of its function for no longer than `wait` (5 s by
//!   default). Past either, its function runs.
//! - Where Redis is off, down, hung, slow, full or wrong, functions run. A connection that times out three
//!   times in a row is replaced. After five failures in a row, or ten of twenty, Redis is not asked until
//!   it answers probes, and is redialled in the background.
//! - A cached function is `Send` exactly when the plain one is, and works on any executor.
//!
//! # One run at a time
//!
//! Calls of one function with equal arguments share one run, over all processes that share a Redis and a
//! namespace, while its lease lives. A process that dies delays others by at most the rest of its lease
//! (2 s by default). Where the call that runs the function is dropped, panics or is not polled any more,
//! a call of its process that waits runs it for the rest. A run whose result is not stored (an error, a
//! `None`, a value that `cache_if` refuses) releases all who wait for it at once: they do not queue.
//!
//! # Invalidation
//!
//! A call that begins after an invalidation has returned `Ok` gets a value from a run of its function that
//! began after the invalidation reached Redis. This holds in every process, for calls, prefixes and tags,
//! and against runs, refreshes and writes that are under way. There are four exceptions:
//!
//! 1. A copy in another process (`local`) may be served until Redis has announced the change to that
//!    process: as a rule for less than a millisecond, and for one second at most, also where the network
//!    hangs. In the process that invalidates, the copy is void at once. The outcome is `local-hit`.
//! 2. A call that gets no answer from Redis in time, or cannot write to it, shares a run that another call
//!    of its process has begun. The outcome is `bypassed`; [`bypass`](crate::bypass) shares nothing.
//! 3. Redis may lose what it has acknowledged: in a fail-over to a replica that lagged, or a restart from
//!    a snapshot. What was stored before comes back, for its ttl and its stale windows at most.
//!    [`Cache::clear`](crate::Cache::clear) removes it.
//! 4. The function may read what is old: from a replica of the database that lags, or before the
//!    transaction is committed. Invalidate after the commit. A value of [`put`](crate::put) is not covered
//!    either: it was made before Redis was asked to store it.
//!
//! An invalidation that returns `Err` binds this process at once: the functions concerned run without the
//! cache until the invalidation is delivered, which is tried until it succeeds or the process ends. Other
//! processes see it when it is delivered.
//!
//! # Staleness
//!
//! A value past its ttl is served only where the attribute asks for it, and is gone when it is invalidated:
//!
//! | option | what is served | for how long past the ttl |
//! |---|---|---|
//! | none | nothing | |
//! | `stale_while_revalidate = 60` | the old value, while one process refreshes it | that window |
//! | `stale_if_error = 600` | the old value, if the function fails | that window |
//!
//! A copy in a process (`local`) lives no longer than its entry is fresh. It counts while the connection
//! that announces changes is answered: for 980 ms after the last heartbeat, which goes out every 250 ms.
//! While a function computes a value that will be stored, the cached functions that it calls on its task
//! use neither stale values nor copies.
//!
//! # What is counted
//!
//! [`Cache::stats`](crate::Cache::stats) counts each call under one outcome, by prefix, and
//! [`observe`](crate::observe) tells the outcome of one call:
//!
//! | outcome | the value came from | [`PrefixStats`](crate::PrefixStats) |
//! |---|---|---|
//! | `hit`, `local-hit` | the store; a copy in this process | `hits`, `local_hits` |
//! | `stale`, `stale-if-error` | the store, past its ttl | `stale`, `stale_if_error` |
//! | `waited`, `joined` | another run, through the store; within this process | `waited`, `joined` |
//! | `computed` | the call's own run, under a lease | `computed` |
//! | `bypassed` ([reason](crate::Reason)) | a run that stores nothing | `bypassed` |
//! | none: the call was dropped, or its function panicked | | `abandoned` |
//!
//! ```
//! use cache_runtime::{Cache, cache_result, invalidate, observe};
//!
//! #[cache_result(ttl = 3600, prefix = "areas")]
//! async fn areas(kind: String) -> Result<Vec<String>, std::io::Error> { Ok(vec![kind]) }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), cache_runtime::Error> {
//! # let cache = Cache::in_memory();
//! # cache.scope(async {
//! assert!(observe(areas("buy".into())).await.1.is_computed());
//! assert!(observe(areas("buy".into())).await.1.is_hit());
//! invalidate(areas("buy".into())).await?;
//! assert!(observe(areas("buy".into())).await.1.is_computed());
//!
//! let stats = Cache::current().stats().prefix("areas");
//! assert_eq!((stats.computed, stats.hits, stats.invalidations), (2, 1, 1));
//! # Ok(())
//! # }).await
//! # }
//! ```
