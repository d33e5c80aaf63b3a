//! `explain`: dry runs of a call.

use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use serde::Serialize;

use super::ticket::{Driver, Verb};
use crate::entry::EntryKind;
use crate::error::{Error, Result};
use crate::outcome::Reason;
use crate::stats::{optional_seconds, seconds};

/// Says what a call would do and what is stored for it, without running its function or changing the store.
///
/// The verdict is that of this moment, by one read of the store: a call made next may find another state. Near
/// copies (`local`) are not looked at. The statistics count no call.
///
/// # Errors
///
/// [`Error::is_not_cached`] where the future reached no cached function; it has then run, with its effects. A
/// store that cannot be read is no error: the verdict is [`Verdict::Bypass`] with its reason.
///
/// # Examples
///
/// ```
/// # use cache_runtime::{Cache, cache_result};
/// use cache_runtime::{StoredKind, Verdict, explain};
///
/// #[cache_result(ttl = 60)]
/// async fn square(of: u32) -> u32 {
///     of * of
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), cache_runtime::Error> {
/// # Cache::in_memory().scope(async {
/// assert_eq!(explain(square(3)).await?.verdict, Verdict::Compute);
/// square(3).await;
///
/// let explanation = explain(square(3)).await?;
/// assert_eq!(explanation.verdict, Verdict::Hit);
/// assert_eq!(explanation.stored.as_ref().unwrap().kind, StoredKind::Value);
/// println!("{explanation}"); // one line, with the key, the size and the time left
/// # Ok(())
/// # }).await
/// # }
/// ```
pub async fn explain<F: Future>(call: F) -> Result<Explanation> {
    let answer = Driver::new(Verb::Explain).answer(pin!(call)).await;
    answer.ok_or_else(Error::not_cached)
}

/// The result of a dry run of a call; from [`explain`], which has an example.
///
/// `Display` writes one line for a log or a terminal:
///
/// ```
/// # use cache_runtime::{Cache, cache_result, explain};
/// #[cache_result(ttl = 60)]
/// async fn square(of: u32) -> u32 {
///     of * of
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), cache_runtime::Error> {
/// # Cache::in_memory().scope(async {
/// let explanation = explain(square(3)).await?;
/// assert!(explanation.to_string().ends_with("]: would run and store")); // function, key, verdict
/// # Ok(())
/// # }).await
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Explanation {
    /// The function's path.
    pub function: String,
    /// The function's prefix.
    pub prefix: String,
    /// The key in Redis; `None` where the cache is off, the function is not cached any more, or the arguments make
    /// no key.
    pub key: Option<String>,
    /// The entry under the key, live or not; `None` where the key is absent, cannot be read, or holds no entry of
    /// this cache.
    pub stored: Option<Stored>,
    /// What a call would do.
    pub verdict: Verdict,
}

/// An entry as [`explain`] has read it; [`Explanation::stored`].
///
/// ```
/// # use cache_runtime::{Cache, cache_result, explain};
/// use std::time::Duration;
///
/// #[cache_result(ttl = 60)]
/// async fn square(of: u32) -> u32 {
///     of * of
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), cache_runtime::Error> {
/// let cache = Cache::in_memory();
/// cache.scope(square(3)).await;
/// cache.advance(Duration::from_secs(20));
/// let stored = cache.scope(explain(square(3))).await?.stored.unwrap();
/// assert!(stored.age.unwrap() > Duration::from_secs(19));
/// assert!(stored.ttl_left.unwrap() < Duration::from_secs(41));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Stored {
    /// What the entry holds.
    pub kind: StoredKind,
    /// The time since the entry was written, by the store's clock; `None` where the store did not say.
    #[serde(rename = "age_seconds", serialize_with = "optional_seconds")]
    pub age: Option<Duration>,
    /// The time until the entry expires, with its stale windows; `None` where the store did not say.
    #[serde(rename = "ttl_left_seconds", serialize_with = "optional_seconds")]
    pub ttl_left: Option<Duration>,
    /// The time that the run of the function took; zero where there is no value, and for one of [`put`](crate::put).
    #[serde(rename = "cost_seconds", serialize_with = "seconds")]
    pub cost: Duration,
    /// The size of the whole entry in the store, with its header, in bytes.
    pub size: usize,
    /// The `version` of the function that wrote it.
    pub version: u32,
}

/// What an entry holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum StoredKind {
    /// No value yet: a process runs the function under this lease, or has died and the lease will expire.
    Lease,
    /// A value, fresh or stale.
    Value,
    /// The `None` that the function returned, kept for its `none_ttl`.
    None,
    /// No value: the function has run, and its result was not stored. For half a second after that, calls run the
    /// function at once instead of waiting for one another.
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

/// What a call would do; [`Explanation::verdict`].
///
/// ```
/// # use cache_runtime::{Cache, Verdict, cache_result, explain};
/// # use std::time::Duration;
/// #[cache_result(ttl = 60, stale_while_revalidate = 30)]
/// async fn square(of: u32) -> u32 {
///     of * of
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), cache_runtime::Error> {
/// let cache = Cache::in_memory();
/// assert_eq!(cache.scope(explain(square(3))).await?.verdict, Verdict::Compute);
/// cache.scope(square(3)).await;
/// assert_eq!(cache.scope(explain(square(3))).await?.verdict, Verdict::Hit);
/// cache.advance(Duration::from_secs(61));
/// assert_eq!(cache.scope(explain(square(3))).await?.verdict, Verdict::Stale);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Verdict {
    /// Return the stored value, which is fresh.
    Hit,
    /// Run the function and store its output.
    Compute,
    /// Return the stored value, which is past its TTL and within `stale_while_revalidate`, and have it refreshed.
    Stale,
    /// Share the run that is under way in this process.
    Join,
    /// Wait for the run that is under way in another process.
    Wait,
    /// Run the function without storing anything.
    Bypass(Reason),
}

impl From<EntryKind> for StoredKind {
    fn from(kind: EntryKind) -> Self {
        match kind {
            EntryKind::Lease => Self::Lease,
            EntryKind::Value => Self::Value,
            EntryKind::None => Self::None,
            EntryKind::Unstored => Self::Unstored,
        }
    }
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
