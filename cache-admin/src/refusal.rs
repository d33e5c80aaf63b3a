//! The answer to a request that is refused.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// A request that is refused, with a sentence for a person.
#[derive(Debug)]
pub(crate) struct Refusal(pub(crate) StatusCode, pub(crate) String);

impl Refusal {
    pub(crate) fn bad(problem: &str) -> Self {
        Self(StatusCode::BAD_REQUEST, problem.to_owned())
    }

    pub(crate) fn busy(problem: &str) -> Self {
        Self(StatusCode::TOO_MANY_REQUESTS, problem.to_owned())
    }

    /// A task has panicked.
    pub(crate) fn failed() -> Self {
        Self(StatusCode::SERVICE_UNAVAILABLE, "the action has failed: see the log".to_owned())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let Self(status, problem) = self;
        (status, Json(json!({ "error": problem }))).into_response()
    }
}
