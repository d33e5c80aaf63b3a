//! What the tests share: redis-servers of their own, caches over both stores, and calls with what
//! must become of them.
//!
//! Every test starts its own server on a socket in a temporary folder, and ends it by its handle.

mod calls;
mod entries;
mod log;
mod program;
mod runs;
mod server;
mod stores;
mod waiting;

pub use entries::{HEADER, key_of};
pub use log::Log;
pub use runs::{Runs, fresh, run};
pub use server::Server;
pub use stores::{both_stores, in_memory, over_both, over_both_on_short_lived_runtimes, patient};
pub use waiting::{block_on, eventually, landed, on_short_lived_runtimes};
