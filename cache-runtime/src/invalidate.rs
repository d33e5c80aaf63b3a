//! Invalidations: every one of them is a single command that removes entries and tokens.

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

/// Removes `names` from the store within `limit`. A removal that fails, or whose outcome is unknown, is
/// enqueued as undelivered; it goes on where the caller is dropped. `group` is the one that the log names.
pub(crate) async fn invalidate(
    undelivered: &Arc<Undelivered>,
    names: Vec<String>,
    group: Option<usize>,
    limit: Duration,
) -> Result<(), Fault> {
    let log = InvalidationLog::of(&names, group);
    let (tell, told) = oneshot::channel();
    let ours = undelivered.clone();
    let going_on = Removing::begin(undelivered);
    // A task of its own: a caller that goes away must not take the invalidation with it.
    background::spawn_begun(async move {
        let sent = send(ours.store(), &names, limit).await;
        if sent.is_err() {
            ours.enqueue(names, Cause::Failed);
        }
        drop(going_on);
        let _ = tell.send(sent);
    });
    let sent = told.await.unwrap_or(Err(Fault::Down));
    log.write(&sent);
    sent
}

/// What is logged of an invalidation, made only where it is.
struct InvalidationLog(Option<(Option<String>, String, usize, Instant)>);

impl InvalidationLog {
    fn of(names: &[String], group: Option<usize>) -> Self {
        let told = || {
            let first = names.first().cloned().unwrap_or_default();
            (group.map(crate::stats::group_name), first, names.len(), Instant::now())
        };
        Self(tracing::enabled!(tracing::Level::DEBUG).then(told))
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

/// An invalidation on its way, of which nobody else may know.
struct Removing(Arc<Undelivered>);

impl Removing {
    fn begin(undelivered: &Arc<Undelivered>) -> Self {
        undelivered.in_flight.fetch_add(1, Ordering::SeqCst);
        Self(undelivered.clone())
    }
}

impl Drop for Removing {
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
        // Down and not ready: the runtime that drove the connection has just ended, and there will be
        // another connection; that of another lane may have ended with it.
        if sent != Err(Fault::Down) || store.is_ready(&any) || left().is_zero() {
            return sent;
        }
    }
}
