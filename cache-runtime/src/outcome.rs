//! What the cache did for one call.

use std::fmt;
use std::time::Duration;

/// What the cache did for one call; from [`observe`](crate::observe).
///
/// `Display` writes one short word for a response header: `hit`, `local-hit`, `stale`, `stale-if-error`,
/// `joined`, `waited`, `computed`, or `bypassed` with its reason.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Outcome {
    /// Where the value came from.
    pub kind: OutcomeKind,
    /// The key in Redis; `None` where no key was built.
    pub key: Option<String>,
    /// How long ago the value was stored, by the store's clock; only for one that was stored.
    pub age: Option<Duration>,
    /// How long the function took when the value was computed; `None` where that is not known.
    pub cost: Option<Duration>,
}

/// Where the value of a call came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OutcomeKind {
    /// From the store.
    Hit,
    /// From a copy in this process (`local`).
    LocalHit,
    /// From the store, past its ttl, while it is refreshed.
    Stale,
    /// From the store, past its ttl, because the function has failed.
    StaleIfError,
    /// From a run of the function that another call of this process had under way.
    Joined,
    /// From the store, after waiting for another process's run of the function.
    Waited,
    /// From this call's own run, under the cache's eyes: a value went to the store, unless
    /// `cache_if`, its size or its type forbade it, or it was invalidated meanwhile; an error went to
    /// the caller alone.
    Computed,
    /// From a run that the cache had no part in, or could not store.
    Bypassed(Reason),
}

/// Why the function ran without the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// Switched off, by configuration or at run time.
    Off,
    /// The `when` expression was false.
    When,
    /// The caller used [`bypass`](crate::bypass).
    Bypass,
    /// The future reached no cached function.
    NotCached,
    /// No connection, or the breaker is open.
    Unavailable,
    /// Redis did not answer in time, or the budget was spent.
    Timeout,
    /// Too many commands in flight.
    Busy,
    /// The key holds another Redis type.
    WrongType,
    /// Redis refuses writes, for example because it is out of memory.
    WritesRefused,
    /// Redis answered with an error.
    Failed,
    /// An invalidation of it has not been delivered yet.
    Invalidated,
    /// The wait for another run was over.
    WaitOver,
    /// The run that was waited for panicked, or its result cannot be shared.
    Unshared,
    /// The function ran for longer than [`Config::max_run`](crate::Config::max_run) allows.
    RunTooLong,
    /// A run that began later ended first, while this one was not being polled.
    Overtaken,
    /// The call is part of its own computation, or waits for one that waits for it.
    Recursion,
    /// Others took the key three times in a row.
    Contended,
    /// The arguments could not be made into a key.
    Key,
    /// The entry under the key was stored by a newer `version` of the function; it is left alone.
    NewerVersion,
    /// This function is not cached any more; one warning in the log has said why.
    FunctionDisabled,
}

impl Reason {
    pub(crate) const ALL: [Self; 20] = [
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

    /// The reason as one word, for headers and metric labels.
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
    /// The kind as one word, for headers and metric labels.
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
    /// The value came from the store, or from a copy of it in this process, fresh.
    pub fn is_hit(&self) -> bool {
        matches!(self.kind, OutcomeKind::Hit | OutcomeKind::LocalHit)
    }

    /// The value came from a copy in this process.
    pub fn is_local_hit(&self) -> bool {
        self.kind == OutcomeKind::LocalHit
    }

    /// The value came from the store, past its ttl.
    pub fn is_stale(&self) -> bool {
        matches!(self.kind, OutcomeKind::Stale | OutcomeKind::StaleIfError)
    }

    /// This call ran the function with the cache at hand.
    pub fn is_computed(&self) -> bool {
        self.kind == OutcomeKind::Computed
    }

    /// The cache had no part in the call.
    pub fn is_bypassed(&self) -> bool {
        matches!(self.kind, OutcomeKind::Bypassed(_))
    }

    /// Why the cache had no part in the call.
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
