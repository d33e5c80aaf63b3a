//! The kit in `deploy/`, tried as an operator uses it: one file per risk.

mod alerts;
mod documents;
mod figures;
mod operator;
mod servers;
