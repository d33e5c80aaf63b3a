//! Errors as the service answers them.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// An answer that is no success: a status, and a text for the `error` of its JSON body.
///
/// `Clone` lets the cache hand it to everybody who waited for the same run. It is never stored.
#[derive(Debug, Clone)]
pub(crate) struct ApiError {
    status: StatusCode,
    text: String,
}

impl ApiError {
    /// 404: there is no such thing as the request names.
    pub(crate) fn unknown(what: &str, name: &str) -> Self {
        Self { status: StatusCode::NOT_FOUND, text: format!("unknown {what} `{name}`") }
    }

    /// 422: the request is understood, and makes no sense.
    pub(crate) fn unprocessable(text: &str) -> Self {
        Self { status: StatusCode::UNPROCESSABLE_ENTITY, text: text.to_owned() }
    }
}

impl From<sqlx::Error> for ApiError {
    /// 500: what went wrong is for the log, not for the client.
    fn from(error: sqlx::Error) -> Self {
        tracing::error!(%error, "the database failed");
        let text = "the database failed".to_owned();
        Self { status: StatusCode::INTERNAL_SERVER_ERROR, text }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        (self.status, Json(json!({ "error": self.text }))).into_response()
    }
}
