//! What operators of [`cache_runtime`] look at: metrics, and a header that says what the cache did.

pub mod metrics;
pub mod server_timing;
