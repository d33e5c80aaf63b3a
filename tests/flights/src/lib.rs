//! The runtime's single-flight state machine under a scheduler that tries its interleavings.
//!
//! `flight.rs` is compiled here from the runtime's own source, with what it stands on replaced:
//! locks and atomics are the scheduler's, and time passes when a test says so. A [`World`] has the
//! flights of one call; what every party does is written down in its books, and each lie is found
//! where it is told: a lease settled twice, a function begun before its lease was answered, a second
//! leader without a stall, a payload of a run that was not to be joined.

// The runtime's own tests of its source are for the runtime.
#![cfg(not(test))]

mod books;
mod call;
mod follower;
mod kinds;
mod leader;
mod schedule;
mod stand_ins;
mod world;

use stand_ins::{clock, contain, entry, key, sync};

#[allow(dead_code, unreachable_pub)]
#[path = "../../../cache-runtime/src"]
mod runtime {
    pub(crate) mod flight;
    pub(crate) mod outcome;
}
use runtime::outcome;

pub use follower::Follower;
pub use kinds::{End, Party, Server};
pub use leader::Leader;
pub use schedule::{check, check_longer, pause};
pub use world::World;
