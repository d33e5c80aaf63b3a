//! Headers that name another call than the documents say, or none, or disturb those of others.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::HeaderMap;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use cache_admin::server_timing::{Observed, ServerTiming};
use cache_runtime::{Cache, cache_result, observe};
use tower::{Layer, Service, ServiceExt, service_fn};

#[cache_result(ttl = 60, prefix = "timing-first", key = "one")]
async fn first() -> String {
    tokio::time::sleep(Duration::from_millis(20)).await;
    "first".to_owned()
}

#[cache_result(ttl = 60, prefix = "timing-second", key = "one", local)]
async fn second() -> String {
    "second".to_owned()
}

async fn both() -> String {
    first().await + &second().await
}

async fn by_the_second() -> (Extension<Observed>, String) {
    first().await;
    let (second, outcome) = observe(second()).await;
    (Extension(Observed(outcome)), second)
}

async fn by_itself() -> String {
    observe(first()).await.0
}

async fn with_entries_of_its_own() -> Response {
    let headers = [("server-timing", "db;dur=7"), ("x-cache", "somebody else's")];
    (headers, second().await).into_response()
}

async fn uncached() -> impl IntoResponse {
    ([("x-cache", "somebody else's")], "plain")
}

fn service() -> Router {
    Router::new()
        .route("/first", get(first))
        .route("/both", get(both))
        .route("/by-the-second", get(by_the_second))
        .route("/by-itself", get(by_itself))
        .route("/entries", get(with_entries_of_its_own))
        .route("/uncached", get(uncached))
        .layer(ServerTiming)
}

async fn headers(path: &str) -> HeaderMap {
    let request = Request::get(path).body(Body::empty()).expect("a request");
    let response = service().oneshot(request).await.expect("no service fails here");
    assert_eq!(response.status(), 200, "{path}");
    response.headers().clone()
}

/// `x-cache`, and the words of `server-timing` with the milliseconds apart.
fn shown(headers: &HeaderMap) -> (String, String, f64) {
    let text = |name| headers[name].to_str().expect("text").to_owned();
    let timing = text("server-timing");
    let (words, took) = timing.split_once(";dur=").expect("a duration");
    (text("x-cache"), words.to_owned(), took.parse().expect("a number"))
}

#[tokio::test]
async fn both_headers_have_the_outcome_and_the_time_of_the_service() {
    let cache = Cache::in_memory();
    cache
        .scope(async {
            let (cached, words, took) = shown(&headers("/first").await);
            assert_eq!((&*cached, &*words), ("computed", "cache;desc=\"computed\""));
            assert!((20.0..20_000.0).contains(&took), "{took}");
            cache.flush().await;
            let (cached, words, _) = shown(&headers("/first").await);
            assert_eq!((&*cached, &*words), ("hit", "cache;desc=\"hit\""));
            cache.disable();
            let (cached, words, _) = shown(&headers("/first").await);
            let expected = ("bypassed (off)", "cache;desc=\"bypassed (off)\"");
            assert_eq!((&*cached, &*words), expected);
        })
        .await;
}

#[tokio::test]
async fn the_first_call_counts_unless_the_handler_says_otherwise() {
    let cache = Cache::in_memory();
    cache
        .scope(async {
            first().await;
            cache.flush().await;
            assert_eq!(headers("/both").await["x-cache"], "hit");
            cache.flush().await;
            cache.invalidate_prefix("timing-first").await.expect("an invalidation");
            let by_the_second = headers("/by-the-second").await;
            let outcome = by_the_second["x-cache"].to_str().expect("text");
            assert!(["hit", "local-hit"].contains(&outcome), "{outcome}");
        })
        .await;
}

#[tokio::test]
async fn without_an_outcome_there_is_no_header_and_those_of_others_stay() {
    let cache = Cache::in_memory();
    cache
        .scope(async {
            let uncached = headers("/uncached").await;
            assert_eq!(uncached["x-cache"], "somebody else's");
            assert!(!uncached.contains_key("server-timing"));
            assert!(!headers("/by-itself").await.contains_key("x-cache"));
            let entries = headers("/entries").await;
            let timings: Vec<_> = entries.get_all("server-timing").iter().collect();
            assert_eq!(timings.len(), 2, "{timings:?}");
            assert_eq!(timings[0], "db;dur=7");
            let outcomes: Vec<_> = entries.get_all("x-cache").iter().collect();
            assert_eq!(outcomes, ["computed"]);
        })
        .await;
}

#[tokio::test]
async fn an_error_of_the_service_stays_one() {
    let failing = service_fn(|(): ()| async {
        second().await;
        Err::<Response, _>("as asked")
    });
    let outcome = ServerTiming.layer(failing).oneshot(()).await;
    assert_eq!(outcome.err(), Some("as asked"));
}

#[tokio::test]
async fn the_service_is_asked_only_when_it_is_ready() {
    #[derive(Clone)]
    struct Never;
    impl Service<()> for Never {
        type Response = Response;
        type Error = Infallible;
        type Future = std::future::Pending<Result<Response, Infallible>>;
        fn poll_ready(
            &mut self,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Result<(), Infallible>> {
            std::task::Poll::Pending
        }
        fn call(&mut self, (): ()) -> Self::Future {
            unreachable!("it was never ready")
        }
    }
    let call = ServerTiming.layer(Never).oneshot(());
    assert!(tokio::time::timeout(Duration::from_millis(20), call).await.is_err());
}
