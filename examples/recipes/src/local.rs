//! Where `local` may be used.

use std::sync::Arc;

use cache_runtime::cache_result;

use crate::market::{Area, Database, Unknown};

/// Read by every request, changed now and then, and large: an `Arc` is handed out as it is.
///
/// # Errors
///
/// [`Unknown`] where there is no such kind.
#[cache_result(ttl = "1h", prefix = "catalogue", skip(db), local = "10s")]
pub async fn catalogue(db: &Database, kind: &str) -> Result<Arc<Vec<Area>>, Unknown> {
    Ok(Arc::new(db.areas(kind).await?))
}

#[cfg(test)]
mod tests {
    use cache_runtime::{Cache, invalidate, observe};

    use super::*;

    #[tokio::test]
    async fn the_third_call_asks_nobody() {
        let (db, cache) = (Database::default(), Cache::in_memory());
        cache
            .scope(async {
                catalogue(&db, "buy").await.unwrap();
                cache.flush().await;
                catalogue(&db, "buy").await.unwrap();
                assert!(observe(catalogue(&db, "buy")).await.1.is_local_hit());
                invalidate(catalogue(&db, "buy")).await.unwrap();
                assert!(observe(catalogue(&db, "buy")).await.1.is_computed());
            })
            .await;
    }
}
