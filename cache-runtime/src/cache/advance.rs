//! Moving the clock of a cache in memory, for tests.

use std::time::Duration;

use super::Cache;
use crate::store::Store;

impl Cache {
    /// Moves the clock of a cache in memory ([`Cache::in_memory`]) forward, so that a test sees values
    /// expire, go stale and be refreshed without sleeping: all entries, and all copies of `local`
    /// functions, are older by `by` afterwards.
    ///
    /// Real time passes as well. The value of a run that is under way is still stored, unless the clock
    /// is moved by more than [`Config::max_run`](crate::Config::max_run) meanwhile (or by more than its
    /// `lease`, if that is longer). The value of a refresh is stored, unless the value that it renews
    /// expires.
    ///
    /// On a cache over Redis, whose server has the clock, this has no effect but a warning. On a cache
    /// that is off it has none.
    ///
    /// # Examples
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
                // Copies first: a copy must never be younger than the entry that it was made from.
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
