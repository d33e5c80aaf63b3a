//! The code of `docs/recipes.md`, compiled and tested. A test compares the two.

pub mod actix_service;
pub mod axum_service;
pub mod health;
pub mod local;
pub mod logging;
pub mod market;
pub mod testing;
pub mod tonic_service;
pub mod worker;
