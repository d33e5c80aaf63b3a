//! Shutting down.

use std::pin::pin;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::Cache;
use crate::background;
use crate::deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::outcome::Reason;

/// How often it is seen whether everything has landed.
const LOOK: Duration = Duration::from_millis(5);

/// A server that cannot be reached for so long on end is not waited for. It is redialled once a second
/// at least, so that one which restarts is found.
const AWAY: Duration = Duration::from_secs(2);

impl Cache {
    /// Ends the use of the cache: waits until what was computed is written and what was invalidated is
    /// removed, for at most `deadline`, then closes all connections.
    ///
    /// From its first poll on, calls run their functions plainly; those that are running now are
    /// waited for. The leases of runs that are still going on near the deadline are given up, within its
    /// last eighth, so that no other process waits for this one. Where Redis cannot be reached for two
    /// seconds on end nothing more can land, and the rest of the deadline is not waited for. Afterwards
    /// no invalidation can be delivered any more.
    ///
    /// A process that ends without it may leave values unwritten and leases held; calls in other
    /// processes wait for such a lease until it expires (2 s unless set). For the end of a service,
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
    /// [`Error::is_timeout`] where something was left when the deadline came, or when Redis was not
    /// waited for any longer; the text says what.
    pub async fn close(&self, deadline: Duration) -> Result<()> {
        self.0.closed.store(true, Ordering::Release);
        let last = (deadline / 8).min(self.0.store.patience());
        let landed = deadline::timeout(deadline.saturating_sub(last), pin!(self.landed())).await;
        // What is left, before the connections are gone.
        let removals =
            self.0.undelivered.len() + self.0.undelivered.in_flight.load(Ordering::SeqCst);
        let runs = self.0.flights.len();
        let landed = landed == Ok(true);
        if !landed {
            self.0.flights.release_all(Reason::Off);
            let _ = deadline::timeout(last, pin!(self.given_up())).await;
        }
        self.0.near.clear();
        self.0.store.close();
        if landed {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Timeout,
            format!(
                "the cache was closed before everything had landed: {runs} runs or their writes were going \
                 on, and {removals} invalidations were still to be delivered"
            ),
        ))
    }

    /// Waits until the leases that were held or asked for have been given up.
    async fn given_up(&self) {
        while self.0.acquiring.load(Ordering::SeqCst) > 0 {
            match background::sleep(LOOK) {
                Some(sleep) => sleep.await,
                None => return,
            }
        }
        self.flush().await;
    }

    /// False where the store is away, so that nothing more can land.
    async fn landed(&self) -> bool {
        let mut away = None;
        loop {
            self.flush().await;
            let removing = self.0.undelivered.in_flight.load(Ordering::SeqCst);
            if self.0.flights.len() == 0 && removing == 0 && self.0.undelivered.len() == 0 {
                return true;
            }
            away = self.0.store.is_down().then(|| away.unwrap_or_else(Instant::now));
            if away.is_some_and(|since| since.elapsed() >= AWAY) {
                return false;
            }
            match background::sleep(LOOK) {
                Some(sleep) => sleep.await,
                // Without a clock there would be no end to it.
                None => return true,
            }
        }
    }
}
