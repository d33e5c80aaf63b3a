//! Response headers that say what the cache did for the request.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use cache_runtime::{Outcome, Reason, observe};
use http::{HeaderName, HeaderValue, Response, header::HeaderMap};
use tower_layer::Layer;
use tower_service::Service;

const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");
const X_CACHE: HeaderName = HeaderName::from_static("x-cache");

/// A tower layer that says in two response headers what the cache did for the request, as in
/// `x-cache: hit` and `server-timing: cache;desc="hit";dur=0.412`.
///
/// Both headers have the outcome as [`Outcome`] displays it: `hit`, `local-hit`, `stale`, `stale-if-error`,
/// `joined`, `waited`, `computed`, or `bypassed` with its reason, as in `bypassed (timeout)`. They never show
/// a key. A response for which no cached function was called gets neither header, and keeps those that it
/// has. In a browser, the developer tools show `server-timing` beside the request.
///
/// `dur` is the time in milliseconds that the inner service took to make the response, without its body: in
/// all, not in the cache alone.
///
/// # Which call
///
/// The outcome is that of the first cached function that the inner service calls, as with [`observe`]; the
/// handler may itself be that function. Calls in tasks that the service spawns are not seen. Where another
/// call matters more, or a handler observes its calls itself, the handler puts [`Observed`] into the
/// extensions of its response, which then counts instead.
///
/// The layer costs an allocation a request, and a `PTTL` beside the read of the call's entry.
///
/// The headers tell clients whether a value was cached, and so whether someone has asked for it before. Leave
/// the layer out where that is nobody's business.
///
/// # Examples
///
/// ```
/// use axum::{Router, routing::get};
/// use cache_admin::server_timing::ServerTiming;
/// use cache_runtime::cache_result;
/// # use axum::{body::Body, extract::Request};
/// # use tower::ServiceExt;
///
/// #[cache_result(ttl = "1h", prefix = "areas")]
/// async fn areas() -> String { "Mitte".to_owned() }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let service: Router = Router::new().route("/areas", get(areas)).layer(ServerTiming);
/// # let get = || Request::get("/areas").body(Body::empty()).unwrap();
/// # let first = service.clone().oneshot(get()).await.unwrap();
/// # assert_eq!(first.headers()["x-cache"], "computed");
/// # let second = service.oneshot(get()).await.unwrap();
/// # assert_eq!(second.headers()["x-cache"], "hit");
/// # }
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct ServerTiming;

/// In the extensions of a response: the outcome that [`ServerTiming`] shows, in place of that of the first
/// cached call.
///
/// # Examples
///
/// ```
/// use axum::Extension;
/// use cache_admin::server_timing::Observed;
/// use cache_runtime::{cache_result, observe};
///
/// #[cache_result(ttl = "1h", prefix = "tenant")]
/// async fn tenant(host: String) -> u32 { 7 }
///
/// #[cache_result(ttl = "5m", prefix = "report")]
/// async fn report(tenant: u32) -> String { format!("the report of {tenant}") }
///
/// async fn handler() -> (Extension<Observed>, String) {
///     let tenant = tenant("example.org".into()).await;
///     let (report, outcome) = observe(report(tenant)).await;
///     (Extension(Observed(outcome)), report)
/// }
/// ```
#[derive(Debug, Clone)]
pub struct Observed(
    /// The outcome, from [`observe`].
    pub Outcome,
);

impl<S> Layer<S> for ServerTiming {
    type Service = ServerTimingService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        ServerTimingService { inner }
    }
}

/// The service that [`ServerTiming`] makes.
#[derive(Debug, Clone)]
pub struct ServerTimingService<S> {
    inner: S,
}

impl<S, Request, Body> Service<Request> for ServerTimingService<S>
where
    S: Service<Request, Response = Response<Body>>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let call = self.inner.call(request);
        Box::pin(async move {
            let began = Instant::now();
            let (response, first) = observe(call).await;
            let took = began.elapsed();
            let mut response = response?;
            let chosen = response.extensions_mut().remove::<Observed>();
            let outcome = chosen.map_or(first, |Observed(outcome)| outcome);
            if outcome.reason() != Some(Reason::NotCached) {
                describe(response.headers_mut(), &outcome, took);
            }
            Ok(response)
        })
    }
}

/// Adds the headers; entries of others in `server-timing` stay.
fn describe(headers: &mut HeaderMap, outcome: &Outcome, took: Duration) {
    let took = took.as_secs_f64() * 1000.0;
    if let Ok(timing) = HeaderValue::try_from(format!("cache;desc=\"{outcome}\";dur={took:.3}")) {
        headers.append(SERVER_TIMING, timing);
    }
    if let Ok(cache) = HeaderValue::try_from(outcome.to_string()) {
        headers.insert(X_CACHE, cache);
    }
}
