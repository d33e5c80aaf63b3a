//! The coherence protocol as a model that is searched exhaustively.
mod case;
pub mod cases;
mod check;
mod entry;
mod explore;
mod flaw;
mod inbox;
mod next;
mod state;
mod step;

pub use case::{Case, Faults, Start, Target};
pub use check::{Source, Violation};
pub use explore::Found;
pub use flaw::Flaw;
