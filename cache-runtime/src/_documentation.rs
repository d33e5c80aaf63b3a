//! The longer pages: what to set, what to rely on, and where the cache ends.
//!
//! - [`configuration`]: every variable, every form of the URL, and the defaults.
//! - [`guarantees`]: what a caller may rely on, how old a value may be, and what is counted.
//! - [`limits`]: what the cache does not do.
//!
//! The modules hold documentation and no items.

pub mod configuration;
pub mod guarantees;
pub mod limits;
