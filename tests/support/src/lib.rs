//! The library that the tests, the benchmarks and the examples share: Redis servers (alone, behind
//! sentinels, in a cluster), processes of a deployment, proxies, caches over both stores, and calls
//! with the outcome that each must have.
//!
//! Every test starts its own server on a socket in a temporary folder, or servers on free ports of the
//! loopback interface where a socket will not do, and ends them by their handles. Tests over several
//! processes do the same with the members of their deployment.

mod authority;
mod calls;
mod cluster;
mod dice;
mod entries;
mod log;
mod member;
mod monotonic;
mod node;
mod operations;
mod ports;
mod process;
mod program;
mod proxy;
mod runs;
mod sentinels;
mod server;
mod stores;
mod tls;
mod waiting;

pub use authority::Authority;
pub use cluster::{ClusterServers, Migration, slot_of};
pub use dice::Dice;
pub use entries::{HEADER, key_of, readable, sealed};
pub use log::Log;
pub use member::{Answers, Member, Patience};
pub use monotonic::now;
pub use node::Node;
pub use operations::{
    Bound, Calls, Function, Invalidation, Made, Operation, Read, State, Unit, Value,
};
pub use ports::free_port;
pub use program::program;
pub use proxy::{Proxy, Verdict};
pub use runs::{Runs, fresh, run};
pub use sentinels::{Passwords, Sentinels};
pub use server::Server;
pub use stores::{
    both_stores, configured, in_memory, over_both, over_both_on_short_lived_runtimes, patient,
};
pub use tls::TlsServer;
pub use waiting::{block_on, eventually, landed, on_short_lived_runtimes};
