//! Shutting down.

use std::pin::pin;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Cache;
use crate::background;
use crate::error::{Error, Kind, Result};

/// How often it is seen whether everything has landed.
const LOOK: Duration = Duration::from_millis(5);

impl Cache {
    /// Ends the use of the cache: waits until what was computed is written and what was invalidated is
    /// removed, for at most `deadline`, then closes all connections.
    ///
    /// From its first poll on, calls run their functions plainly; those that are running now are
    /// waited for. Afterwards no invalidation can be delivered any more. For the end of a service,
    /// after its last request:
    ///
    /// ```
    /// # async fn shut_down() {
    /// let cache = cache_runtime::Cache::global();
    /// if let Err(error) = cache.close(std::time::Duration::from_secs(5)).await {
    ///     eprintln!("{error}");
    /// }
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::is_timeout`] where something was left when the deadline came; the text says what.
    pub async fn close(&self, deadline: Duration) -> Result<()> {
        self.0.closed.store(true, Ordering::Release);
        let landed = background::timeout(deadline, pin!(self.landed())).await;
        // What is left, before the connections are gone.
        let (runs, removals) = (self.0.flights.len(), self.0.tombstones.len());
        self.0.near.clear();
        self.0.store.close();
        landed.map_err(|_| {
            Error::new(
                Kind::Timeout,
                format!(
                    "the cache was closed before everything had landed: {runs} runs were going on, \
                     and {removals} names were still to be invalidated"
                ),
            )
        })
    }

    async fn landed(&self) {
        loop {
            self.flush().await;
            let removing = self.0.removing.load(Ordering::SeqCst);
            if self.0.flights.len() == 0 && removing == 0 && self.0.tombstones.len() == 0 {
                return;
            }
            match background::sleep(LOOK) {
                Some(sleep) => sleep.await,
                // Without a clock there would be no end to it.
                None => return,
            }
        }
    }
}
