//! A health endpoint.

use axum::{Json, Router, routing::get};
use cache_runtime::{Cache, Summary};
use serde_json::{Value, json};

/// 200 whatever Redis does: without it the service is slower, not ill. An instance that is taken out
/// because Redis is down makes an outage of a slow minute.
async fn health() -> Json<Value> {
    let cache = Cache::current();
    let (health, stats) = (cache.health(), cache.stats());
    let all = stats.total();
    Json(json!({
        "cache_enabled": cache.is_enabled(),
        "store": health.status.as_str(),
        "last_error": health.last_error,
        "undelivered_invalidations": stats.undelivered,
        "statistics": {
            "hit_rate": all.hit_rate().map(|rate| (rate * 100.0).round()),
            "total_requests": all.calls(),
        },
    }))
}

/// The figures in the shape in which hand-written decorators report them.
async fn cache_stats() -> Json<Summary> {
    Json(Cache::current().summary())
}

/// The service.
pub fn router() -> Router {
    Router::new().route("/health", get(health)).route("/cache/stats", get(cache_stats))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::market::Database;
    use crate::testing::areas;

    #[tokio::test]
    async fn it_says_how_many_calls_were_hits() {
        let (db, cache) = (Database::default(), Cache::in_memory());
        cache
            .scope(async {
                areas(db.clone(), "buy".into()).await.unwrap();
                cache.flush().await;
                for _ in 0..3 {
                    areas(db.clone(), "buy".into()).await.unwrap();
                }
                let Json(body) = health().await;
                assert_eq!(body["statistics"], json!({ "hit_rate": 75.0, "total_requests": 4 }));
                assert_eq!(
                    (&body["cache_enabled"], &body["store"]),
                    (&json!(true), &json!("memory"))
                );
                let summary = serde_json::to_value(cache_stats().await.0).unwrap();
                assert_eq!(summary["statistics"]["hit_rate"], json!(75.0));
                cache.disable();
                assert_eq!(health().await.0["cache_enabled"], json!(false));
            })
            .await;
    }
}
