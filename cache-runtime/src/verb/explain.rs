//! Dry runs.

use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use super::ticket::{Driver, Verb};
use crate::error::{Error, Result};
use crate::outcome::Reason;

/// What a call would do, and what is stored for it, without running anything.
///
/// # Errors
///
/// [`Error::is_not_cached`] where the future reached no cached function; it has then run.
pub async fn explain<F: Future>(call: F) -> Result<Explanation> {
    let answer = Driver::new(Verb::Explain).answer(pin!(call)).await;
    answer.ok_or_else(Error::not_cached)
}

/// A dry run of a call; from [`explain`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Explanation {
    /// The function's path.
    pub function: String,
    /// Its prefix.
    pub prefix: String,
    /// The key in Redis; `None` where the cache is off or the arguments make no key.
    pub key: Option<String>,
    /// The entry under the key, if there is one of ours.
    pub stored: Option<Stored>,
    /// What a call would do.
    pub verdict: Verdict,
}

/// An entry as [`explain`] sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stored {
    /// What the entry holds.
    pub kind: StoredKind,
    /// Since the write, by the store's clock.
    pub age: Option<Duration>,
    /// Until it expires.
    pub ttl_left: Option<Duration>,
    /// How long the function took.
    pub cost: Duration,
    /// Bytes in the store, header and all.
    pub size: usize,
    /// The `version` of the function that wrote it.
    pub version: u32,
}

/// What an entry holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StoredKind {
    /// No value yet: a process computes it, and has the right to store it.
    Lease,
    /// A value.
    Value,
    /// The `None` that the function returned, kept for its `none_ttl`.
    None,
    /// No value: the function has run, and its result is not stored. For half a second all who call
    /// run the function at once.
    Unstored,
}

impl StoredKind {
    /// The kind as one word, for logs and metric labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Lease => "lease",
            Self::Value => "value",
            Self::None => "none",
            Self::Unstored => "unstored",
        }
    }
}

impl fmt::Display for StoredKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a call would do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Verdict {
    /// Return the stored value.
    Hit,
    /// Run the function and store its value.
    Compute,
    /// Return the stored value, which is past its ttl, and have it refreshed.
    Stale,
    /// Share the run that this process has under way.
    Join,
    /// Wait for the run that another process has under way.
    Wait,
    /// Run the function without storing anything.
    Bypass(Reason),
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = self.key.as_deref().unwrap_or("no key");
        write!(f, "{} [{key}]: ", self.function)?;
        if let Verdict::Bypass(reason) = self.verdict {
            write!(f, "would run without the cache ({reason})")?;
        } else {
            f.write_str(match self.verdict {
                Verdict::Hit => "would return the stored value",
                Verdict::Stale => "would return the stored value, stale, and have it refreshed",
                Verdict::Join => "would share a run that is under way",
                Verdict::Wait => "would wait for another process's run",
                Verdict::Compute | Verdict::Bypass(_) => "would run and store",
            })?;
        }
        if let Some(stored) = &self.stored {
            write!(f, "; stored: {}, {} bytes", stored.kind, stored.size)?;
            if let (Some(age), Some(ttl_left)) = (stored.age, stored.ttl_left) {
                write!(f, ", {age:.0?} old, {ttl_left:.0?} left")?;
            }
            write!(f, ", computed in {:.1?}", stored.cost)?;
        }
        Ok(())
    }
}
