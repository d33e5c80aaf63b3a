//! The coherence protocol as a model, searched exhaustively.
//!
//! # What is modelled
//!
//! One key and one token, which is the generation of a prefix or of a tag. A database that is a
//! counter. Up to three processes, four calls and three invalidations; a near cache in each
//! process; and [`Faults`], each with a budget. Everything else is left to chance: the search goes
//! through every order in which things can happen.
//!
//! Every command of Redis is one atomic step. The reply of an ordinary lane is used in a later step
//! of the call; replies and pushes of a listening lane come one after the other. An expired key is
//! pushed only when something touches it, which is what Redis does. There is no time: whatever may
//! happen some time may happen now.
//!
//! | the state table | here |
//! |---|---|
//! | what the key holds, live and dead | `entry.rs` |
//! | what a call reads, and what it does then | `step/read.rs` |
//! | leases and claims: asked for | `step/flight.rs` |
//! | extended, populated, given up | `step/run.rs` |
//! | marks of runs whose result is not stored | left in `next.rs`, run under in `step/flight.rs` |
//! | joining | `step/call.rs` before a read, `step/read.rs` after it |
//! | `UNLINK` of key or token, tombstones | `step/invalidation.rs` |
//! | time | `step/environment.rs` |
//! | the near cache: filled in `step/read.rs`, dropped in | `step/process.rs` |
//! | what is promised | `check.rs` |
//!
//! # What is not
//!
//! Several keys, and cached functions that call others. Several tokens of one entry. Replicas, and a
//! Redis that loses what it has acknowledged. Runs that are shared while Redis cannot be reached.
//! Leaders that stall and are overtaken. Real time: the heartbeat's bound, the
//! arithmetic of times to live, and for how long calls wait. A push of a change is not lost while the lane is up.
//!
//! # What it proves
//!
//! That there is no way to break the promise within the bounds of a case, up to collisions of the
//! 128-bit hashes by which states are remembered. That the search would find one, if there was one,
//! is shown by [`Flaw`]: mistakes that it has to find. `cargo run -p model -- NoLoop`
//! prints the shortest way to one. That a call is kept busy for ever would not be noticed, only
//! that it waits for ever.
//!
//! ```
//! use model::{Case, Flaw, Target};
//!
//! let case = Case { calls: &[0, 1], invalidations: &[(1, Target::Key)], ..Case::default() };
//! assert!(case.search().broken.is_none());
//!
//! let flawed = Flaw::JoinsReadingFlight.case().search();
//! let (violation, steps) = flawed.broken.expect("a mistake that is found");
//! println!("{violation}, in {} steps", steps.len());
//! ```

mod case;
mod check;
mod entry;
mod explore;
mod flaw;
mod inbox;
mod next;
mod smallest;
mod state;
mod step;

pub use case::{Case, Faults, Start, Target};
pub use check::{Source, Violation};
pub use explore::Found;
pub use flaw::Flaw;
