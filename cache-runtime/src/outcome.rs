//! The outcome of one call: where its value came from, and why the cache had no part in it.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

/// Where the value of one call came from; from [`observe`](crate::observe).
///
/// `Display` writes it for a response header or a log: `hit`, `local-hit`, `stale`, `stale-if-error`,
/// `joined`, `waited`, `computed`, or `bypassed` with its reason, as in `bypassed (timeout)`. It never
/// shows the key.
///
/// # Examples
///
/// ```
/// use cache_runtime::{Cache, OutcomeKind, Reason, cache_result, observe};
///
/// #[cache_result(ttl = 60, prefix = "areas")]
/// async fn areas(kind: String) -> Vec<String> { vec![kind] }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// # Cache::in_memory().scope(async {
/// let (_, first) = observe(areas("buy".into())).await;
/// assert_eq!(first.kind, OutcomeKind::Computed);
/// assert!(first.cost.is_some()); // how long the function took
///
/// let (_, second) = observe(areas("buy".into())).await;
/// assert!(second.is_hit() && second.age.is_some());
/// assert_eq!(second.to_string(), "hit");
///
/// Cache::current().disable();
/// let (_, third) = observe(areas("buy".into())).await;
/// assert_eq!(third.reason(), Some(Reason::Off));
/// assert_eq!(third.to_string(), "bypassed (off)");
/// # }).await;
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Outcome {
    /// Where the value came from.
    pub kind: OutcomeKind,
    /// The key of the entry in Redis; `None` where the call needed no key (`off`, `when`, `bypass`,
    /// `not-cached`, `function-disabled`) or none could be made.
    pub key: Option<String>,
    /// How long ago the value was stored, by the store's clock; `None` where it came from a run.
    pub age: Option<Duration>,
    /// How long the function took to compute the value, in this call or when the value was stored;
    /// `None` where that is not known, as with a copy or a joined run. Zero for a value of
    /// [`put`](crate::put).
    pub cost: Option<Duration>,
}

/// Where the value of a call came from. Each call that returns has one kind, and is counted under it in
/// [`PrefixStats`](crate::PrefixStats).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OutcomeKind {
    /// A fresh value from the store, without waiting for a run.
    Hit,
    /// A fresh value from a copy in this process (`local`).
    LocalHit,
    /// A value from the store past its ttl, within `stale_while_revalidate`. One process refreshes it
    /// behind such a call.
    Stale,
    /// A value from the store past its ttl, because the function has failed (`stale_if_error`).
    StaleIfError,
    /// A value or an error from a run of the function that another call of this process had begun.
    Joined,
    /// A fresh value from the store, after this call had waited for a run of the function, as a rule one
    /// of another process.
    Waited,
    /// From this call's own run of the function, under a lease. A value was handed to the store, unless
    /// `cache_if`, its size or its type forbids storing it. The store refuses it where the entry was
    /// invalidated meanwhile. An error is not stored.
    Computed,
    /// From a run of the function that stores nothing: this call's own or, where the store did not answer,
    /// one that another call of this process had begun. The reason says why.
    Bypassed(Reason),
}

/// Why the value of a call came from a run that stores nothing.
///
/// [`Reason::as_str`] is the word in `Display`, in metric labels, and in
/// [`PrefixStats::bypassed`](crate::PrefixStats::bypassed).
///
/// | the caller or the configuration | the store | other runs | the function |
/// |---|---|---|---|
/// | `off`, `when`, `bypass`, `not-cached` | `unavailable`, `timeout`, `busy`, `wrong-type`, `writes-refused`, `failed`, `invalidated` | `wait-over`, `unshared`, `overtaken`, `recursion`, `contended` | `run-too-long`, `key`, `newer-version`, `function-disabled` |
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Reason {
    /// The cache is switched off, by its configuration or by [`Cache::disable`](crate::Cache::disable),
    /// or was closed.
    Off,
    /// The `when` expression of the attribute was false.
    When,
    /// The caller used [`bypass`](crate::bypass).
    Bypass,
    /// The future handed to [`observe`](crate::observe) reached no cached function.
    NotCached,
    /// There is no connection to Redis, or the breaker is open: Redis has failed too often, and is not
    /// asked until it answers probes.
    Unavailable,
    /// Redis did not answer within [`Config::timeout`](crate::Config::timeout), or the call's
    /// [`Config::budget`](crate::Config::budget) was spent.
    Timeout,
    /// Too many commands of this process wait for an answer (4096; in a cluster 65,536).
    Busy,
    /// The key holds another Redis type, which is left alone.
    WrongType,
    /// Redis refuses writes, for example because it is out of memory or a replica.
    WritesRefused,
    /// Redis answered with an error; or the system had no randomness for an id.
    Failed,
    /// An invalidation of this call, its prefix or one of its tags has not been delivered yet.
    Invalidated,
    /// The call waited for another run for as long as `wait` allows.
    WaitOver,
    /// The run that the call waited for panicked, or its result cannot be shared: an error that is not
    /// `Clone`, or a value that neither is `Clone` nor can be encoded.
    Unshared,
    /// The function ran for longer than [`Config::max_run`](crate::Config::max_run) allows.
    RunTooLong,
    /// The future of this call was not polled for a while, another call took the run over, and that run
    /// ended first.
    Overtaken,
    /// The call is part of its own computation, or would wait for a call that waits for it.
    Recursion,
    /// Other processes took the key three times in a row.
    Contended,
    /// The arguments could not be made into a key; one warning in the log has said why.
    Key,
    /// A newer `version` of the function has stored the entry, which is left alone.
    NewerVersion,
    /// This function is not cached any more, or has the name of another one; one warning in the log has
    /// said why.
    FunctionDisabled,
}

impl Reason {
    /// Every reason, in the order of their declaration. Later versions may have more.
    pub const ALL: &[Self] = &[
        Self::Off,
        Self::When,
        Self::Bypass,
        Self::NotCached,
        Self::Unavailable,
        Self::Timeout,
        Self::Busy,
        Self::WrongType,
        Self::WritesRefused,
        Self::Failed,
        Self::Invalidated,
        Self::WaitOver,
        Self::Unshared,
        Self::RunTooLong,
        Self::Overtaken,
        Self::Recursion,
        Self::Contended,
        Self::Key,
        Self::NewerVersion,
        Self::FunctionDisabled,
    ];

    /// The reason as one word in lower case, for headers and metric labels: `off`, `wait-over`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::When => "when",
            Self::Bypass => "bypass",
            Self::NotCached => "not-cached",
            Self::Unavailable => "unavailable",
            Self::Timeout => "timeout",
            Self::Busy => "busy",
            Self::WrongType => "wrong-type",
            Self::WritesRefused => "writes-refused",
            Self::Failed => "failed",
            Self::Invalidated => "invalidated",
            Self::WaitOver => "wait-over",
            Self::Unshared => "unshared",
            Self::RunTooLong => "run-too-long",
            Self::Overtaken => "overtaken",
            Self::Recursion => "recursion",
            Self::Contended => "contended",
            Self::Key => "key",
            Self::NewerVersion => "newer-version",
            Self::FunctionDisabled => "function-disabled",
        }
    }
}

impl OutcomeKind {
    /// The kind as one word in lower case, without the reason of a bypass, for headers and metric labels:
    /// `hit`, `stale-if-error`, `bypassed`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::LocalHit => "local-hit",
            Self::Stale => "stale",
            Self::StaleIfError => "stale-if-error",
            Self::Waited => "waited",
            Self::Joined => "joined",
            Self::Computed => "computed",
            Self::Bypassed(_) => "bypassed",
        }
    }
}

impl Outcome {
    /// Whether the value came fresh from the store or from a copy in this process, without waiting for a
    /// run: [`Hit`](OutcomeKind::Hit) or [`LocalHit`](OutcomeKind::LocalHit).
    pub fn is_hit(&self) -> bool {
        matches!(self.kind, OutcomeKind::Hit | OutcomeKind::LocalHit)
    }

    /// Whether the value came from a copy in this process ([`LocalHit`](OutcomeKind::LocalHit)).
    pub fn is_local_hit(&self) -> bool {
        self.kind == OutcomeKind::LocalHit
    }

    /// Whether the value was past its ttl: [`Stale`](OutcomeKind::Stale) or
    /// [`StaleIfError`](OutcomeKind::StaleIfError).
    pub fn is_stale(&self) -> bool {
        matches!(self.kind, OutcomeKind::Stale | OutcomeKind::StaleIfError)
    }

    /// Whether this call ran the function under a lease ([`Computed`](OutcomeKind::Computed)).
    pub fn is_computed(&self) -> bool {
        self.kind == OutcomeKind::Computed
    }

    /// Whether the value came from a run that stores nothing ([`Bypassed`](OutcomeKind::Bypassed)).
    pub fn is_bypassed(&self) -> bool {
        matches!(self.kind, OutcomeKind::Bypassed(_))
    }

    /// Why the value came from a run that stores nothing; `None` where the call was not bypassed.
    pub fn reason(&self) -> Option<Reason> {
        match self.kind {
            OutcomeKind::Bypassed(reason) => Some(reason),
            _ => None,
        }
    }

    pub(crate) fn bypassed(reason: Reason) -> Self {
        Self { kind: OutcomeKind::Bypassed(reason), key: None, age: None, cost: None }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.as_str())?;
        self.reason().map_or(Ok(()), |reason| write!(f, " ({reason})"))
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
