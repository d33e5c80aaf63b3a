//! The routes, and what stands in front of them: headers, access, roles, origin and limits.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{DefaultBodyLimit, Query, Request, State};
use axum::http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, WWW_AUTHENTICATE,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::{Next, from_fn, from_fn_with_state, map_response};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use axum::{Extension, Json, Router};
use serde::Deserialize;
use tower_http::csrf::{CsrfLayer, ProtectionError};

use crate::access::{Caller, Role};
use crate::actions;
use crate::page::{NOTHING, PAGE, POLICY};
use crate::refusal::Refusal;
use crate::shared::Shared;
use crate::view::{self, Scope};

/// The largest body, in bytes.
const LARGEST_BODY: usize = 16 * 1024;

/// One route of the router; all are in [`ENDPOINTS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Endpoint {
    /// `GET` or `POST`.
    pub method: &'static str,
    /// Below where the router is mounted.
    pub path: &'static str,
    /// The least role that may use it.
    pub role: Role,
    /// What it does.
    pub about: &'static str,
}

const fn endpoint(
    method: &'static str,
    path: &'static str,
    role: Role,
    about: &'static str,
) -> Endpoint {
    Endpoint { method, path, role, about }
}

/// Every route that the router answers. The router is made from this list.
pub const ENDPOINTS: &[Endpoint] = &[
    endpoint("GET", "/", Role::View, "the page"),
    endpoint("GET", "/stats", Role::View, "all figures; `?scope=process` or `?scope=fleet`"),
    endpoint(
        "GET",
        "/functions",
        Role::View,
        "the annotated functions that the process has called",
    ),
    endpoint("GET", "/health", Role::View, "whether the cache serves calls; always 200"),
    endpoint("GET", "/metrics", Role::View, "the figures of the process for Prometheus"),
    endpoint("POST", "/entry", Role::View, "the state of one entry; its value for `reveal` alone"),
    endpoint(
        "POST",
        "/invalidate",
        Role::Operate,
        "invalidates a prefix, a tag, a key or everything",
    ),
    endpoint(
        "POST",
        "/switch",
        Role::Operate,
        "switches the cache or a prefix off for a while, or on",
    ),
    endpoint("POST", "/warm", Role::Operate, "starts a warmer"),
];

/// Makes the router from [`ENDPOINTS`].
pub(crate) fn routes(shared: &Arc<Shared>) -> Router {
    let mut router = Router::new();
    for endpoint in ENDPOINTS {
        let Some(handler) = handler(endpoint.path) else { continue };
        let guard = from_fn(move |request, next| check_role(*endpoint, request, next));
        router = router.route(endpoint.path, handler.layer(guard));
    }
    let csrf = CsrfLayer::new().with_rejection_response(|_: ProtectionError| {
        let problem = "the request comes from a page of another origin".to_owned();
        Refusal(StatusCode::FORBIDDEN, problem).into_response()
    });
    router
        .fallback(fallback)
        .method_not_allowed_fallback(wrong_method)
        .layer(from_fn_with_state(shared.clone(), limit_changes))
        .layer(csrf)
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .layer(from_fn_with_state(shared.clone(), check_access))
        .layer(map_response(set_headers))
        .with_state(shared.clone())
}

fn handler(path: &str) -> Option<MethodRouter<Arc<Shared>>> {
    Some(match path {
        "/" => get(page),
        "/stats" => get(stats),
        "/functions" => get(functions),
        "/health" => get(health),
        "/metrics" => get(metrics),
        "/entry" => post(actions::entry),
        "/invalidate" => post(actions::invalidate),
        "/switch" => post(actions::switch),
        "/warm" => post(actions::warm),
        _ => return None,
    })
}

/// Finds out who asks, and refuses those who may do nothing: before anything else is looked at.
async fn check_access(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let caller = shared.access.caller(&parts);
    if caller.role > Role::None {
        let mut request = Request::from_parts(parts, body);
        request.extensions_mut().insert(caller);
        return next.run(request).await;
    }
    if !shared.access.asks() {
        let problem = "you may not see this".to_owned();
        return Refusal(StatusCode::FORBIDDEN, problem).into_response();
    }
    let problem = "a token is required, as `Authorization: Bearer` or as the password of Basic";
    let mut response = Refusal(StatusCode::UNAUTHORIZED, problem.to_owned()).into_response();
    let challenge = HeaderValue::from_static("Basic realm=\"cache\", charset=\"UTF-8\"");
    response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
    response
}

/// Refuses callers whose role is too low for a route.
async fn check_role(endpoint: Endpoint, request: Request, next: Next) -> Response {
    let role = request.extensions().get::<Caller>().map_or(Role::None, |caller| caller.role);
    if role >= endpoint.role || request.method().as_str() != endpoint.method {
        return next.run(request).await;
    }
    let problem = format!("the role `{role}` may not do this: it takes `{}`", endpoint.role);
    let mut response = Refusal(StatusCode::METHOD_NOT_ALLOWED, problem).into_response();
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(""));
    response
}

/// Bounds the requests that change something, or that ask Redis for one entry. Callers who may only view have
/// a bound of their own, so that they cannot use up that of operators.
async fn limit_changes(
    State(shared): State<Arc<Shared>>,
    request: Request,
    next: Next,
) -> Response {
    let caller = request.extensions().get::<Caller>();
    let operates = caller.is_some_and(|caller| caller.role >= Role::Operate);
    let limit = if operates { &shared.changes } else { &shared.views };
    if request.method() == Method::POST && !limit.allows() {
        return Refusal::busy("at most ten such requests a second").into_response();
    }
    next.run(request).await
}

async fn set_headers(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let is_page = is_html(headers);
    let policy = is_page.then(|| HeaderValue::from_str(&POLICY).ok()).flatten();
    let policy = policy.unwrap_or_else(|| HeaderValue::from_static(NOTHING));
    headers.insert(CONTENT_SECURITY_POLICY, policy);
    response
}

fn is_html(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"))
}

async fn page() -> Html<&'static str> {
    Html(PAGE)
}

async fn fallback() -> Refusal {
    Refusal(StatusCode::NOT_FOUND, "there is nothing at this path".to_owned())
}

async fn wrong_method() -> Refusal {
    Refusal(StatusCode::METHOD_NOT_ALLOWED, "this path has another method".to_owned())
}

#[derive(Debug, Deserialize)]
struct Scoped {
    scope: Option<String>,
}

async fn stats(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    query: Result<Query<Scoped>, QueryRejection>,
) -> Result<Response, Refusal> {
    let Query(Scoped { scope }) = query.map_err(|error| Refusal::bad(&error.body_text()))?;
    let scope = match scope.as_deref() {
        None | Some("fleet") => Scope::Fleet,
        Some("process") => Scope::Process,
        Some(_) => return Err(Refusal::bad("`scope` is `process` or `fleet`")),
    };
    Ok(Json(view::stats(&shared, caller.role, scope).await).into_response())
}

async fn functions() -> Response {
    Json(view::functions_json()).into_response()
}

async fn metrics(State(shared): State<Arc<Shared>>) -> Response {
    let text = crate::metrics::render(&shared.cache);
    ([(CONTENT_TYPE, crate::metrics::CONTENT_TYPE)], text).into_response()
}

async fn health(State(shared): State<Arc<Shared>>) -> Response {
    Json(view::health(&shared)).into_response()
}
