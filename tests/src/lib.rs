//! What the tests share: redis-servers of their own, caches over both stores, and calls with what
//! must become of them.
//!
//! Every test starts its own server on a socket in a temporary folder, and ends it by its handle.
//! So do tests over several processes with the members of their deployment.

mod calls;
mod dice;
mod entries;
mod log;
mod member;
mod monotonic;
mod operations;
mod program;
mod runs;
mod server;
mod stores;
mod waiting;

pub use dice::Dice;
pub use entries::{HEADER, key_of};
pub use log::Log;
pub use member::{Answers, Member, Patience};
pub use monotonic::now;
pub use operations::{
    Bound, Calls, Function, Invalidation, Made, Operation, Read, State, Unit, Value,
};
pub use runs::{Runs, fresh, run};
pub use server::Server;
pub use stores::{both_stores, in_memory, over_both, over_both_on_short_lived_runtimes, patient};
pub use waiting::{block_on, eventually, landed, on_short_lived_runtimes};
