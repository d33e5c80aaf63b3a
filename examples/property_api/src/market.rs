//! What the endpoints answer, and the queries behind it.
//!
//! Each query ranks or weighs every listing of a kind, some of them several times over, which no
//! index would save. That is what the cache is for.

use serde::{Deserialize, Serialize};
use sqlx::query::QueryAs;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{FromRow, Sqlite, SqlitePool};

use crate::listings::Place;

/// Statistics of an area; prices in pounds, a month for `rent` and `student`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, FromRow)]
pub(crate) struct Area {
    name: String,
    listings: u32,
    price_low: u32,
    price_median: u32,
    price_high: u32,
    per_m2_median: f64,
    days_listed_median: u32,
    market_position: f64,
}

/// Statistics of a property type.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, FromRow)]
pub(crate) struct PropertyType {
    name: String,
    listings: u32,
    price_low: u32,
    price_median: u32,
    price_high: u32,
    per_m2_median: f64,
    floor_area_median: u32,
    bedrooms_mean: f64,
    dearest_area: String,
}

/// A home to be valued: the body of a request, and as a whole the key of its answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Subject {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) area: String,
    pub(crate) property_type: String,
    pub(crate) bedrooms: u32,
    /// Square metres.
    pub(crate) floor_area: u32,
}

/// What a home is worth, from the listings that are like it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Valuation {
    estimate: u64,
    /// Nine in ten comparable listings ask for more.
    low: u64,
    /// Nine in ten comparable listings ask for less.
    high: u64,
    per_m2: f64,
    /// How many equally like listings would weigh as much.
    evidence: f64,
    comparables: Vec<Comparable>,
}

/// A listing like the home to be valued.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, FromRow)]
pub(crate) struct Comparable {
    id: u32,
    area: String,
    property_type: String,
    bedrooms: u32,
    floor_area: u32,
    price: u32,
    days_listed: u32,
}

/// Pounds for a square metre.
#[derive(FromRow)]
struct PerSquareMetre {
    low: f64,
    median: f64,
    high: f64,
    evidence: f64,
}

pub(crate) async fn areas(db: &SqlitePool, kind: &str) -> sqlx::Result<Vec<Area>> {
    sqlx::query_as(include_str!("areas.sql")).bind(kind).fetch_all(db).await
}

pub(crate) async fn property_types(db: &SqlitePool, kind: &str) -> sqlx::Result<Vec<PropertyType>> {
    sqlx::query_as(include_str!("property_types.sql")).bind(kind).fetch_all(db).await
}

pub(crate) async fn valuation(
    db: &SqlitePool,
    subject: &Subject,
    place: &Place,
) -> sqlx::Result<Valuation> {
    let prices: PerSquareMetre =
        about(include_str!("valuation.sql"), subject, place).fetch_one(db).await?;
    let comparables = about(include_str!("comparables.sql"), subject, place).fetch_all(db).await?;
    let whole = |per_m2: f64| (per_m2 * f64::from(subject.floor_area)).round() as u64;
    Ok(Valuation {
        estimate: whole(prices.median),
        low: whole(prices.low),
        high: whole(prices.high),
        per_m2: (prices.median * 100.0).round() / 100.0,
        evidence: prices.evidence.round(),
        comparables,
    })
}

/// A query with the subject as its parameters.
fn about<T>(
    sql: &'static str,
    subject: &Subject,
    place: &Place,
) -> QueryAs<'static, Sqlite, T, SqliteArguments>
where
    T: for<'r> FromRow<'r, SqliteRow>,
{
    sqlx::query_as(sql)
        .bind(subject.kind.clone())
        .bind(place.east)
        .bind(place.north)
        .bind(subject.bedrooms)
        .bind(subject.floor_area)
        .bind(subject.property_type.clone())
}
