//! Invalidations. Each is one command that removes entries and tokens together; over a cluster, rounds of them.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::background;
use crate::deadline;
use crate::key::Key;
use crate::store::{Fault, Store};
use crate::undelivered::{Cause, Undelivered};

/// Removes `names` from the store within `limit`, in a task that goes on if the caller is dropped. A removal
/// that fails, or whose outcome is unknown, is enqueued as undelivered. The log names the prefix of `group`.
pub(crate) async fn invalidate(
    undelivered: &Arc<Undelivered>,
    names: Vec<String>,
    group: Option<usize>,
    limit: Duration,
) -> Result<(), Fault> {
    let log = InvalidationLog::of(&names, group);
    let (answer, answered) = oneshot::channel();
    let ours = undelivered.clone();
    let in_flight = InFlight::begin(undelivered);
    background::spawn_begun(async move {
        let sent = send(ours.store(), &names, limit).await;
        if sent.is_err() {
            ours.enqueue(names, Cause::Failed);
        }
        drop(in_flight);
        let _ = answer.send(sent);
    });
    let sent = answered.await.unwrap_or(Err(Fault::Down));
    log.write(&sent);
    sent
}

/// The fields of an invalidation's log line; `None` where debug lines are off.
struct InvalidationLog(Option<(Option<String>, String, usize, Instant)>);

impl InvalidationLog {
    fn of(names: &[String], group: Option<usize>) -> Self {
        let fields = || {
            let first = names.first().cloned().unwrap_or_default();
            (group.map(crate::stats::group_name), first, names.len(), Instant::now())
        };
        Self(tracing::enabled!(tracing::Level::DEBUG).then(fields))
    }

    fn write(self, sent: &Result<(), Fault>) {
        let Some((prefix, key, names, began)) = self.0 else { return };
        let took = began.elapsed();
        match sent {
            Ok(()) => tracing::debug!(prefix, key, names, ?took, "cache invalidate"),
            Err(fault) => tracing::debug!(prefix, key, names, ?took, ?fault, "cache error"),
        }
    }
}

/// Counts an invalidation that is being sent and is not enqueued yet: its caller may be gone, and
/// `Cache::close` waits for it.
struct InFlight(Arc<Undelivered>);

impl InFlight {
    fn begin(undelivered: &Arc<Undelivered>) -> Self {
        undelivered.in_flight.fetch_add(1, Ordering::SeqCst);
        Self(undelivered.clone())
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn send(store: &Store, names: &[String], limit: Duration) -> Result<(), Fault> {
    let limit = store.patience_for(names.len(), limit);
    let (any, began) = (Key::any(), Instant::now());
    let left = || limit.saturating_sub(began.elapsed());
    loop {
        if !store.is_ready(&any) {
            let _ = deadline::timeout(left(), pin!(store.ready(&any))).await;
        }
        let sent = store.unlink(names, left()).await;
        // Down and not ready: the runtime that drove the connection has just ended. `store.ready` redials, and
        // the loop repeats because other lanes may have ended with it.
        if sent != Err(Fault::Down) || store.is_ready(&any) || left().is_zero() {
            return sent;
        }
    }
}
