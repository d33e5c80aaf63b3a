//! The statistics in the shape that hand-written caches report them in.

use serde::Serialize;

/// A cache in a few figures, for a status endpoint or a dashboard; from
/// [`Cache::summary`](crate::Cache::summary).
///
/// Serialized, it has the shape that hand-written Redis decorators report:
///
/// ```json
/// {
///   "cache_enabled": true,
///   "statistics": {
///     "redis_enabled": true, "status": "up",
///     "total_requests": 1000, "hits": 930, "misses": 60, "bypassed": 10, "hit_rate": 93.94,
///     "errors": 0, "invalidations": 4, "seconds_saved": 41.5
///   }
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Summary {
    /// Whether calls read and populate now.
    pub cache_enabled: bool,
    /// The figures.
    pub statistics: SummaryStatistics,
}

/// The figures of a [`Summary`], of this process since the cache was made.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct SummaryStatistics {
    /// Whether values are kept in Redis, up or not.
    pub redis_enabled: bool,
    /// [`Status::as_str`](crate::Status::as_str).
    pub status: &'static str,
    /// Calls of cached functions: [`PrefixStats::calls`](crate::PrefixStats::calls).
    pub total_requests: u64,
    /// Calls that cost no run of the function: [`PrefixStats::served`](crate::PrefixStats::served).
    pub hits: u64,
    /// Calls that wanted the cache and had to run the function, also because Redis was away:
    /// [`PrefixStats::misses`](crate::PrefixStats::misses).
    pub misses: u64,
    /// Calls that the cache had no part in.
    pub bypassed: u64,
    /// The share of `hits` in `hits` and `misses`, in percent with two decimals; 0 before the first call.
    pub hit_rate: f64,
    /// Commands that failed or timed out.
    pub errors: u64,
    /// Invalidations that Redis has confirmed.
    pub invalidations: u64,
    /// The work that hits have saved: [`PrefixStats::saved`](crate::PrefixStats::saved), in seconds.
    pub seconds_saved: f64,
}
