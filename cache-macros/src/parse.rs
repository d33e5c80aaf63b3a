//! First stage: the text between the parentheses of an attribute.
//!
//! `options` and `targets` are its results, one for each attribute; the other modules read what the
//! two have in common. The stage knows nothing of the function under the attribute.

pub(crate) mod expr;
pub(crate) mod slot;

mod items;
pub(crate) mod key;
mod tags;
pub(crate) mod values;

pub(crate) mod options;
pub(crate) mod targets;
