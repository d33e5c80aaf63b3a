//! A background worker.

use std::future::Future;
use std::time::Duration;

use cache_runtime::{Cache, Warmed, cache_result};

use crate::market::{Area, Database, Unknown};

#[cache_result(ttl = "1h", prefix = "worker-areas", skip(db))]
async fn areas(db: &Database, kind: &str) -> Result<Vec<Area>, Unknown> {
    db.areas(kind).await
}

/// Warms the cache, works until it is told to stop, and leaves nothing behind.
pub async fn run(db: &Database, work: impl Future, stop: impl Future) -> Warmed {
    let cache = Cache::current();
    let calls = ["buy", "rent"].map(|kind| areas(db, kind));
    let warmed = cache.warm(calls).concurrency(4).await;
    if warmed.stored + warmed.present < warmed.total {
        tracing::warn!(?warmed, "the cache is not warm");
    }
    tokio::select! {
        _ = work => {}
        _ = stop => {}
    }
    // Waits for what is still to be written and to be invalidated; calls run plainly from here on.
    if let Err(error) = cache.close(Duration::from_secs(5)).await {
        tracing::warn!(%error, "something was left");
    }
    warmed
}

/// Until the system asks the process to end.
pub async fn asked_to_stop() {
    let _ = tokio::signal::ctrl_c().await;
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    #[tokio::test]
    async fn it_warms_works_and_closes() {
        let (db, cache) = (Database::default(), Cache::in_memory());
        let warmed = cache.scope(run(&db, pending::<()>(), ready(()))).await;
        assert_eq!((warmed.total, warmed.stored, db.queries()), (2, 2, 2));
        assert!(!cache.is_enabled(), "closed");
    }
}
