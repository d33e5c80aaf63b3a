//! Tests of what is cached, by those who use the cache.

use cache_runtime::cache_result;

use crate::market::{Area, Database, Unknown};

/// What is to be tested.
///
/// # Errors
///
/// [`Unknown`] where there is no such kind.
#[cache_result(ttl = "1h", prefix = "tested-areas", skip(db), stale_while_revalidate = "10m")]
pub async fn areas(db: Database, kind: String) -> Result<Vec<Area>, Unknown> {
    db.areas(&kind).await
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use cache_runtime::{Cache, bypass, invalidate_prefix, observe};

    use super::*;

    #[tokio::test]
    async fn the_second_call_is_a_hit() {
        let (db, cache) = (Database::default(), Cache::in_memory());
        cache
            .scope(async {
                let computed = areas(db.clone(), "buy".into()).await;
                cache.flush().await; // the write behind the reply has landed
                let (again, outcome) = observe(areas(db.clone(), "buy".into())).await;
                assert!(outcome.is_hit(), "{outcome:?}");
                assert_eq!(again, computed);
                invalidate_prefix("tested-areas").await.unwrap();
                assert!(observe(areas(db.clone(), "buy".into())).await.1.is_computed());
            })
            .await;
        assert_eq!(db.queries(), 2);
    }

    #[tokio::test]
    async fn a_value_goes_stale_and_is_refreshed() {
        let (db, cache) = (Database::default(), Cache::in_memory());
        cache
            .scope(async {
                areas(db.clone(), "buy".into()).await.unwrap();
                cache.advance(Duration::from_secs(60 * 60)); // nobody sleeps
                assert!(observe(areas(db.clone(), "buy".into())).await.1.is_stale());
                while cache.stats().flights > 0 {
                    tokio::task::yield_now().await; // until it is refreshed
                }
                assert!(observe(areas(db.clone(), "buy".into())).await.1.is_hit());
                cache.advance(Duration::from_secs(2 * 60 * 60));
                assert!(observe(areas(db.clone(), "buy".into())).await.1.is_computed());
            })
            .await;
    }

    #[tokio::test]
    async fn the_function_itself() {
        let (db, cache) = (Database::default(), Cache::in_memory());
        let called = cache.scope(bypass(areas(db.clone(), "swap".into()))).await;
        assert_eq!(called, Err(Unknown));
        Cache::disabled().scope(areas(db.clone(), "buy".into())).await.unwrap();
        assert_eq!(db.queries(), 2);
    }
}
