//! The annotated functions of a process, as operators see them.

use std::sync::atomic::Ordering;
use std::time::Duration;

use serde::Serialize;

use super::Identity;
use super::registry::all;
use crate::stats::{optional_seconds, seconds};

/// One annotated function that this process has called; from [`functions`].
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Function {
    /// Its path, with the type parameters of a generic function.
    pub function: String,
    /// Its prefix.
    pub prefix: String,
    /// Why it is not cached any more, or cannot be; `None` where it is cached.
    pub disabled: Option<String>,
    /// The ttl of the output that this process has encoded for the store last, before `jitter`; `None` before
    /// the first. A ttl may depend on the value, on the arguments and on the configuration.
    #[serde(serialize_with = "optional_seconds")]
    pub last_ttl: Option<Duration>,
    /// `version`. Default: 1.
    pub version: u32,
    /// `jitter`, as a share of the ttl. Default: 0.1.
    pub jitter: f64,
    /// `lease`. Default: 2 s. Serialized in seconds, as the other times.
    #[serde(serialize_with = "seconds")]
    pub lease: Duration,
    /// `wait`; `None` where [`Config::wait`](crate::Config::wait) counts.
    #[serde(serialize_with = "optional_seconds")]
    pub wait: Option<Duration>,
    /// `stale_while_revalidate`; zero where there is none.
    #[serde(serialize_with = "seconds")]
    pub stale_while_revalidate: Duration,
    /// `stale_if_error`; zero where there is none.
    #[serde(serialize_with = "seconds")]
    pub stale_if_error: Duration,
    /// The beta of `refresh_ahead`; 0 where there is none.
    pub refresh_ahead: f64,
    /// Whether it has `local`.
    pub local: bool,
}

impl Function {
    fn of(identity: &Identity) -> Self {
        let off = identity.off.load(Ordering::Relaxed);
        let why = || identity.why_off.get().cloned().unwrap_or_default();
        Self {
            function: identity.path(),
            prefix: identity.prefix.clone(),
            disabled: off.then(why),
            last_ttl: identity.last_ttl(),
            version: identity.version(),
            jitter: identity.jitter(),
            lease: identity.lease(),
            wait: identity.wait(),
            stale_while_revalidate: identity.stale_while_revalidate(),
            stale_if_error: identity.stale_if_error(),
            refresh_ahead: identity.refresh_ahead(),
            local: identity.is_local(),
        }
    }
}

/// The annotated functions that this process has called at least once, by path.
///
/// ```
/// # use cache_runtime::{cache_result, functions};
/// #[cache_result(prefix = "areas", stale_if_error = "1h")]
/// async fn areas(kind: String) -> Result<usize, String> { Ok(kind.len()) }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// areas("buy".into()).await.unwrap();
/// let all = functions();
/// let areas = all.iter().find(|function| function.prefix == "areas").unwrap();
/// assert_eq!((areas.disabled.as_deref(), areas.stale_if_error.as_secs()), (None, 3600));
/// # }
/// ```
pub fn functions() -> Vec<Function> {
    let mut functions: Vec<_> = all().into_iter().map(Function::of).collect();
    functions.sort_by(|one, other| one.function.cmp(&other.function));
    functions
}
