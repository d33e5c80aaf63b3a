//! The endpoints: ordinary axum handlers, three of them cached.

use axum::extract::{Path, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use cache_admin::server_timing::ServerTiming;
use cache_runtime::{Cache, cache_result};
use serde_json::{Value, json};
use sqlx::SqlitePool;

use crate::error::ApiError;
use crate::listings;
use crate::market::{self, Area, PropertyType, Subject, Valuation};

/// The whole service.
pub(crate) fn router(db: SqlitePool) -> Router {
    Router::new()
        .route("/api/areas/{type}", get(areas))
        .route("/api/property-types/{type}", get(property_types))
        .route("/api/property/valuation", post(valuation))
        .route("/health", get(health))
        // Says in `x-cache` and `server-timing` what the cache did for the request.
        .layer(ServerTiming)
        .with_state(db)
}

#[cache_result(ttl = "1h", prefix = "areas", skip(db))]
async fn areas(
    State(db): State<SqlitePool>,
    Path(kind): Path<String>,
) -> Result<Json<Vec<Area>>, ApiError> {
    check_kind(&kind)?;
    Ok(Json(market::areas(&db, &kind).await?))
}

/// A call of `areas` for each type, for warming.
pub(crate) fn all_areas(
    db: &SqlitePool,
) -> Vec<impl Future<Output = Result<Json<Vec<Area>>, ApiError>> + Send + use<>> {
    let calls = listings::KINDS.iter();
    calls.map(|(kind, _)| areas(State(db.clone()), Path((*kind).to_owned()))).collect()
}

#[cache_result(ttl = "1h", prefix = "property-types", skip(db))]
async fn property_types(
    State(db): State<SqlitePool>,
    Path(kind): Path<String>,
) -> Result<Json<Vec<PropertyType>>, ApiError> {
    check_kind(&kind)?;
    Ok(Json(market::property_types(&db, &kind).await?))
}

/// The body is the key as it was understood: blanks and the order of its fields do not matter.
#[cache_result(ttl = "5m", prefix = "valuation", skip(db))]
async fn valuation(
    State(db): State<SqlitePool>,
    Json(subject): Json<Subject>,
) -> Result<Json<Valuation>, ApiError> {
    check_kind(&subject.kind)?;
    if !listings::is_property_type(&subject.property_type) {
        return Err(ApiError::unknown("property type", &subject.property_type));
    }
    if !(1..=20).contains(&subject.bedrooms) || !(10..=2000).contains(&subject.floor_area) {
        return Err(ApiError::unprocessable("expected 1 to 20 bedrooms and 10 to 2000 m²"));
    }
    let place = listings::find_place(&subject.area);
    let place = place.ok_or_else(|| ApiError::unknown("area", &subject.area))?;
    Ok(Json(market::valuation(&db, &subject, place).await?))
}

fn check_kind(kind: &str) -> Result<(), ApiError> {
    if listings::is_kind(kind) { Ok(()) } else { Err(ApiError::unknown("type", kind)) }
}

/// Always 200: without Redis the service is slower, not ill.
async fn health() -> Json<Value> {
    let health = Cache::global().health();
    Json(json!({
        "cache": health.status.as_str(),
        "lanes": health.lanes,
        "last_error": health.last_error,
    }))
}
