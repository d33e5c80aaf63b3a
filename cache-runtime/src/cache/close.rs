//! Closing a cache: everything is written and delivered, and no lease is left behind.

use std::pin::pin;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::Cache;
use crate::background;
use crate::deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::outcome::Reason;

/// Between two looks at whether everything is written and delivered.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// A server that cannot be reached for this long without a break is not waited for any more. It is
/// redialled at least once a second, so that a server that restarts is found in time.
const GIVE_UP_AFTER: Duration = Duration::from_secs(2);

impl Cache {
    /// Ends the use of the cache: once this has returned `Ok`, every value that was computed has been written
    /// or refused, every invalidation is delivered, and no run of this process is left that others could wait
    /// for. Takes at most `deadline`, and closes all connections at the end, for all clones of the handle.
    ///
    /// From its first poll on, new calls run their functions without the cache; runs that are under way
    /// are waited for. In the last eighth of the deadline (one [`Config::timeout`](crate::Config::timeout)
    /// at most) the leases of runs that have not ended are released. Where Redis cannot be reached for
    /// two seconds without a break, the rest of the deadline is not waited for. Afterwards no
    /// invalidation can be delivered any more.
    ///
    /// A process that ends without it may leave values unwritten, invalidations undelivered and leases
    /// held; calls in other processes wait for such a lease until it expires (`lease`, 2 s by default).
    ///
    /// # Errors
    ///
    /// [`Error::is_timeout`] where something was left when the deadline came, or when Redis was not
    /// waited for any longer; the text counts it.
    ///
    /// # Examples
    ///
    /// At the end of a service, after its last request:
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use cache_runtime::Cache;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// if let Err(error) = Cache::global().close(Duration::from_secs(5)).await {
    ///     eprintln!("{error}");
    /// }
    /// # }
    /// ```
    pub async fn close(&self, deadline: Duration) -> Result<()> {
        self.0.closed.store(true, Ordering::Release);
        let last = (deadline / 8).min(self.0.store.patience());
        let drained = deadline::timeout(deadline.saturating_sub(last), pin!(self.drained())).await;
        // Counted before the connections are closed, which ends what is in flight.
        let removals =
            self.0.undelivered.len() + self.0.undelivered.in_flight.load(Ordering::SeqCst);
        let runs = self.0.flights.len();
        let drained = drained == Ok(true);
        if !drained {
            self.0.flights.release_all(Reason::Off);
            let _ = deadline::timeout(last, pin!(self.leases_released())).await;
        }
        self.0.near.clear();
        self.0.store.close();
        if drained {
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

    /// Waits until the leases that this process holds or has requested are released.
    async fn leases_released(&self) {
        while self.0.acquiring.load(Ordering::SeqCst) > 0 {
            match background::sleep(POLL_INTERVAL) {
                Some(sleep) => sleep.await,
                None => return,
            }
        }
        self.flush().await;
    }

    /// Waits until nothing is left to be written or delivered. False: the store cannot be reached, so that
    /// waiting is of no use.
    async fn drained(&self) -> bool {
        let mut down_since = None;
        loop {
            self.flush().await;
            let removing = self.0.undelivered.in_flight.load(Ordering::SeqCst);
            if self.0.flights.len() == 0 && removing == 0 && self.0.undelivered.len() == 0 {
                return true;
            }
            down_since = self.0.store.is_down().then(|| down_since.unwrap_or_else(Instant::now));
            if down_since.is_some_and(|since| since.elapsed() >= GIVE_UP_AFTER) {
                return false;
            }
            match background::sleep(POLL_INTERVAL) {
                Some(sleep) => sleep.await,
                // The system refused the thread that has the timers: this loop would spin.
                None => return true,
            }
        }
    }
}
