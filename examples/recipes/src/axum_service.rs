//! axum.

use axum::extract::{Path, Request, State};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use cache_runtime::{cache_result, observe};

use crate::market::{Area, Database, Unknown};

#[cache_result(ttl = "1h", prefix = "axum-areas", skip(db))]
async fn areas(db: &Database, kind: &str) -> Result<Vec<Area>, Unknown> {
    db.areas(kind).await
}

async fn list(
    State(db): State<Database>,
    Path(kind): Path<String>,
) -> Result<Json<Vec<Area>>, Unknown> {
    Ok(Json(areas(&db, &kind).await?))
}

impl IntoResponse for Unknown {
    fn into_response(self) -> Response {
        (StatusCode::NOT_FOUND, self.to_string()).into_response()
    }
}

/// Says in a header what the cache did for the request, where a cached function was called.
async fn x_cache(request: Request, next: Next) -> Response {
    let (mut response, outcome) = observe(next.run(request)).await;
    if outcome.key.is_some()
        && let Ok(value) = HeaderValue::from_str(&outcome.to_string())
    {
        response.headers_mut().insert("x-cache", value);
    }
    response
}

/// The service.
pub fn router(db: Database) -> Router {
    Router::new().route("/areas/{kind}", get(list)).layer(from_fn(x_cache)).with_state(db)
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use cache_runtime::Cache;
    use tower::ServiceExt as _;

    use super::*;

    #[tokio::test]
    async fn the_second_request_asks_no_database() {
        let (db, cache) = (Database::default(), Cache::in_memory());
        let ask = async |path: &str| {
            let request = Request::get(path).body(Body::empty()).unwrap();
            let response = router(db.clone()).oneshot(request).await.unwrap();
            let header = response.headers().get("x-cache").cloned();
            (response.status(), header.map(|value| value.to_str().unwrap().to_owned()))
        };
        cache
            .scope(async {
                let said = |word: &str| (StatusCode::OK, Some(word.to_owned()));
                assert_eq!(ask("/areas/buy").await, said("computed"));
                cache.flush().await;
                assert_eq!(ask("/areas/buy").await, said("hit"));
                assert_eq!(db.queries(), 1);
                assert_eq!(ask("/areas/swap").await.0, StatusCode::NOT_FOUND);
            })
            .await;
    }
}
