//! Callers under load while a deployment of Redis is broken in every way we know.
//!
//! A row is a deployment, something that goes wrong in it, and whether the process keeps copies. In
//! each, 64 callers call cached functions before, during and after, writers invalidate, and every
//! value is checked against what its function could have returned.

mod book;
mod cluster;
mod deployment;
mod figures;
mod functions;
mod judge;
mod load;
mod proxy;
mod row;
mod sentinel;
mod standalone;
mod watch;
mod world;

pub use cluster::{Cluster, ClusterFault};
pub use deployment::Deployment;
pub use figures::Figures;
pub use proxy::{Garble, Manner, Proxy, Side, Upstream, Whom};
pub use row::{BUDGET, Row, rows};
pub use sentinel::{Sentinel, SentinelFault};
pub use standalone::{Fault, Standalone};
