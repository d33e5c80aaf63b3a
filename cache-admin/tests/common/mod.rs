//! Requests to a router without a socket.
#![allow(dead_code, reason = "each test program uses a part of it")]

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use cache_admin::{Access, Role};
use http_body_util::BodyExt as _;
use serde_json::Value;
use tower::ServiceExt as _;

pub(crate) const VIEWER: &str = "view-view-view-view";
pub(crate) const OPERATOR: &str = "operate-operate-operate";
pub(crate) const REVEALER: &str = "reveal-reveal-reveal";

/// An access with a token for each role.
pub(crate) fn access() -> Access {
    let access = Access::token(Role::View, VIEWER).and_then(|access| {
        access.or_token(Role::Operate, OPERATOR)?.or_token(Role::Reveal, REVEALER)
    });
    access.expect("strong tokens")
}

/// An answer: status, headers, and the body as text.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    /// The sentence of a refusal.
    pub(crate) fn error(&self) -> String {
        self.json()["error"].as_str().expect("an error is a sentence").to_owned()
    }
}

pub(crate) async fn send(router: &Router, request: Request<Body>) -> Answer {
    let response = router.clone().oneshot(request).await.expect("a router is infallible");
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.expect("the whole body").to_bytes();
    let text = String::from_utf8(bytes.to_vec()).expect("text");
    Answer { status: parts.status, headers: parts.headers, text }
}

pub(crate) async fn get(router: &Router, token: &str, path: &str) -> Answer {
    let request = Request::get(path).header("authorization", format!("Bearer {token}"));
    send(router, request.body(Body::empty()).expect("a request")).await
}

pub(crate) async fn post(router: &Router, token: &str, path: &str, body: &Value) -> Answer {
    let request = Request::post(path)
        .header("authorization", format!("Bearer {token}"))
        .header("content-type", "application/json");
    send(router, request.body(Body::from(body.to_string())).expect("a request")).await
}
