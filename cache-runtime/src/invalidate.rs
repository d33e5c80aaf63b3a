//! Invalidations: every one of them is a single command that removes entries and tokens.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::cache::Inner;
use crate::store::{Fault, Key};
use crate::tombstones::Cause;
use crate::{background, site, tombstones};

/// Removes what `names` name, within `limit`; dropped or failed, it is made up for.
pub(crate) async fn invalidate(
    inner: &Arc<Inner>,
    names: Vec<String>,
    limit: Duration,
) -> Result<(), Fault> {
    let (tell, told) = oneshot::channel();
    let ours = inner.clone();
    let going_on = Removing::begin(inner);
    // A task of its own: a caller that goes away must not take the invalidation with it.
    background::spawn_begun(async move {
        let sent = send(&ours, &names, limit).await;
        if sent.is_err() {
            tombstones::bury(&ours, names, Cause::Failed);
        }
        drop(going_on);
        let _ = tell.send(sent);
    });
    told.await.unwrap_or(Err(Fault::Down))
}

/// What is logged of an invalidation, made only where it is.
pub(crate) struct Told(Option<(Option<String>, String, usize, Instant)>);

impl Told {
    pub(crate) fn of(names: &[String], group: Option<usize>) -> Self {
        let told = || {
            let first = names.first().cloned().unwrap_or_default();
            (group.map(site::group_name), first, names.len(), Instant::now())
        };
        Self(tracing::enabled!(tracing::Level::DEBUG).then(told))
    }

    pub(crate) fn tell(self, sent: &Result<(), Fault>) {
        let Some((prefix, key, names, began)) = self.0 else { return };
        let took = began.elapsed();
        match sent {
            Ok(()) => tracing::debug!(prefix, key, names, ?took, "cache invalidate"),
            Err(fault) => tracing::debug!(prefix, key, names, ?took, ?fault, "cache error"),
        }
    }
}

/// An invalidation on its way, of which nobody else may know.
struct Removing(Arc<Inner>);

impl Removing {
    fn begin(inner: &Arc<Inner>) -> Self {
        inner.removing.fetch_add(1, Ordering::SeqCst);
        Self(inner.clone())
    }
}

impl Drop for Removing {
    fn drop(&mut self) {
        self.0.removing.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn send(inner: &Inner, names: &[String], limit: Duration) -> Result<(), Fault> {
    let store = &inner.store;
    let limit = store.patience_for(names.len(), limit);
    let (any, began) = (Key::any(), Instant::now());
    let left = || limit.saturating_sub(began.elapsed());
    loop {
        if !store.is_ready(&any) {
            let _ = background::timeout(left(), pin!(store.ready(&any))).await;
        }
        let sent = store.unlink(names, left()).await;
        // Down and not ready: the runtime that drove the connection has just ended, and there will be
        // another connection; that of another lane may have ended with it.
        if sent != Err(Fault::Down) || store.is_ready(&any) || left().is_zero() {
            return sent;
        }
    }
}
