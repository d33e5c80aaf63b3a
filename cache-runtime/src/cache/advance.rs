//! A clock that tests can move.

use std::time::Duration;

use super::Cache;
use crate::store::Store;

impl Cache {
    /// Moves the clock of a cache that keeps its values in this process ([`Cache::in_memory`]), so that
    /// a test sees a value expire, go stale or be refreshed without sleeping: all entries, and all
    /// copies of `local` functions, are older by `by` afterwards.
    ///
    /// Time goes on by itself beside it. What a run that is going on returns is still stored, unless the
    /// clock is moved by more than [`Config::max_run`](crate::Config::max_run) meanwhile (or by more than
    /// its `lease`, if that is longer); what a refresh returns, unless the value expires that it renews.
    ///
    /// A cache over Redis has the clock of its server: there, it has no effect but a warning.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use cache_runtime::{Cache, cache_result, observe};
    ///
    /// #[cache_result(ttl = 60, stale_while_revalidate = 30)]
    /// async fn rate(currency: String) -> f64 { 1.25 }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let cache = Cache::in_memory();
    /// cache.scope(async {
    ///     rate("EUR".into()).await;
    ///     assert!(observe(rate("EUR".into())).await.1.is_hit());
    ///     cache.advance(Duration::from_secs(61));
    ///     assert!(observe(rate("EUR".into())).await.1.is_stale());
    ///     while cache.stats().flights > 0 {
    ///         tokio::task::yield_now().await; // it is refreshed behind the call
    ///     }
    ///     assert!(observe(rate("EUR".into())).await.1.is_hit());
    ///     cache.advance(Duration::from_secs(91));
    ///     assert!(observe(rate("EUR".into())).await.1.is_computed());
    /// }).await;
    /// # }
    /// ```
    pub fn advance(&self, by: Duration) {
        match &*self.0.store {
            Store::Memory(memory) => {
                // First the copies, which must not be younger than what they are made of.
                self.0.near.advance(by);
                memory.advance(by);
            }
            Store::Redis(_) => tracing::warn!(
                "`Cache::advance` has no effect on a cache over Redis, whose server has the clock; \
                 use `Cache::in_memory`"
            ),
            Store::Off => {}
        }
    }
}
