//! What the cache does not do, and what it asks of the functions that use it.
//!
//! It does not retry functions, cache errors, rewrite queries, read from replicas, or compare the clocks
//! of two hosts.
//!
//! # Identity
//!
//! - **Arguments that serialize alike are one.** A type that masks or rounds itself (a `Secret` that writes
//!   `***`) hides what distinguishes two calls: `login(user, password: Secret)` would answer to any password.
//!   Do not cache such a function, or put a digest into `key`.
//! - Maps in arguments make one key in any order, except ordered ones that are known by name (`IndexMap`,
//!   BSON, JSON). Another ordered map, or one behind `transparent`, `untagged`, `flatten` or `with`, is not
//!   known: pass a list of pairs where the order counts.
//! - A `HashSet` behind such an attribute may miss, and so may an invalidation that names it.
//! - A function is its package with its compatible version, its path and its type parameters. One that
//!   is moved or renamed without an `id` begins cold, and its `invalidate` of a call does not reach what
//!   earlier deployments have stored. Prefixes and tags reach both.
//! - Services whose packages have one name, or that share a generic function of a library, need a
//!   [namespace](crate::Config::namespace) each.
//! - A generic function with a closure among its type parameters is not cached, since closures have no
//!   name. Two types or functions of one name in sibling blocks of one function are told apart within a
//!   process only: give such a function an `id`.
//!
//! # Values
//!
//! - A value that does not decode to an equal one is not stored, with one warning: a `#[serde(skip)]` field
//!   that is set, or the inner `None` of an `Option<Option<_>>`. Without `PartialEq`, what both values tell
//!   serde is compared, which misses a skipped field, an `untagged` variant that reads as another, and an
//!   order that `deserialize_with` changes: derive `PartialEq`.
//! - Values and arguments nested deeper than 128 levels are not cached.
//! - A change of a type's meaning without a change of its shape needs a new `version`. A field that is an
//!   `Option` and missing in an older entry reads as `None`.
//! - A `Result` that is hidden in a return type (`Result<Result<..>, _>`, or a type parameter) is
//!   noticed at run time: one warning, and the function is not cached, since its errors could not be
//!   told from values.
//! - Whoever can write to Redis can store any value of the right type: checksums are no defence against
//!   forgery. Keep others off the server, or off the namespace by an ACL.
//!
//! # Redis
//!
//! - What Redis loses, in a fail-over or a restart from a snapshot, the cache loses: invalidations too.
//! - A call that gets no answer from Redis in time, or cannot write to it, shares a run of its process, also
//!   one that began before an invalidation.
//! - [`put`](crate::put) is not fenced against invalidations. Prefer [`invalidate`](crate::invalidate),
//!   after the commit.
//! - Sentinels and cluster nodes are found through the addresses in the URL: name all of them.
//! - In a cluster, the names of one invalidation are removed in as many rounds as there are names, four at
//!   most. An outer value may be made of inner ones four levels deep.
//! - Where a proxy refuses `HELLO` or `CLIENT TRACKING`, `local` has no effect, and calls that wait for
//!   another process poll.
//!
//! # Processes
//!
//! - A process that ends without [`Cache::close`](crate::Cache::close) may leave values unwritten, and
//!   leases held that calls in other processes wait for until they expire (2 s by default). An invalidation
//!   that was not delivered is lost with its process.
//! - A tokio runtime of several threads that was built without timers or I/O panics when a connection is
//!   tried on it. The panic is caught, and a thread of this crate drives the connection.
//! - What a function spawns onto other tasks is outside its [scope](crate::Cache::scope).
