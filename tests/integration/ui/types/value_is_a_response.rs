use axum::Json;
use axum::http::StatusCode;
use axum::response::Html;
use cache_runtime::cache_result;

#[cache_result(ttl = 3600)]
async fn page(id: u64) -> Html<String> {
    Html(id.to_string())
}

#[cache_result(ttl = 3600)]
async fn created(id: u64) -> (StatusCode, Json<u64>) {
    (StatusCode::CREATED, Json(id))
}

fn main() {}
