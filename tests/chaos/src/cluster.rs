//! A cluster of three masters and three replicas.

mod moving;

use support::{ClusterServers, Migration, eventually, slot_of};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::Deployment;
use crate::standalone::AGAIN;

/// The master that things happen to. It has a third of the entries, and some of what others depend on.
const VICTIM: usize = 1;

/// Its replica.
const HEIR: usize = VICTIM + 3;

/// What goes wrong with one of the nodes, with a slot, or on the way to all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClusterFault {
    /// Nothing.
    None,
    /// A master is killed and replaced, and started again later.
    MasterKilled,
    /// A master is stopped (SIGSTOP) and replaced, and goes on later.
    MasterFrozen,
    /// A replica is told to take over from its master, which hands everything on.
    Failover,
    /// Slots with keys go to another master and back, again and again, and stay half there.
    SlotsMoved,
    /// All nodes close all connections, again and again.
    Cut,
}

impl ClusterFault {
    /// All of them, by the names of their rows.
    pub const ALL: [(&'static str, Self); 6] = [
        ("none", Self::None),
        ("master-killed", Self::MasterKilled),
        ("master-frozen", Self::MasterFrozen),
        ("failover", Self::Failover),
        ("slots-moved", Self::SlotsMoved),
        ("connections-cut", Self::Cut),
    ];
}

/// A cluster.
#[derive(Debug)]
pub struct Cluster {
    servers: ClusterServers,
    fault: ClusterFault,
    /// What is to be moved.
    slots: Vec<u16>,
    moving: Vec<Migration>,
    storms: Vec<JoinHandle<()>>,
}

impl Cluster {
    /// Starts it.
    ///
    /// # Panics
    ///
    /// Where it does not come up.
    pub async fn start(fault: ClusterFault) -> Self {
        let servers = ClusterServers::start().await;
        Self { servers, fault, slots: Vec::new(), moving: Vec::new(), storms: Vec::new() }
    }

    async fn cut(&mut self) {
        for node in self.servers.nodes() {
            let mut client = node.client().await;
            self.storms.push(tokio::spawn(async move {
                loop {
                    let cut = redis::cmd("CLIENT").arg(&["KILL", "TYPE", "normal"]).to_owned();
                    cut.query_async::<()>(&mut client).await.expect("the node answers");
                    sleep(AGAIN).await;
                }
            }));
        }
    }

    async fn answers(&self) -> bool {
        for node in self.servers.nodes() {
            if node.try_command::<()>(&["PING"]).await.is_err() {
                return false;
            }
        }
        true
    }
}

impl Deployment for Cluster {
    fn url(&self) -> String {
        self.servers.url()
    }

    async fn inflict(&mut self) {
        match self.fault {
            ClusterFault::None => {}
            ClusterFault::MasterKilled => self.servers.kill(VICTIM),
            ClusterFault::MasterFrozen => self.servers.freeze(VICTIM),
            ClusterFault::Failover => {
                let take_over = ["CLUSTER", "FAILOVER"];
                self.servers.nodes()[HEIR].command::<()>(&take_over).await;
            }
            ClusterFault::SlotsMoved => self.move_about().await,
            ClusterFault::Cut => self.cut().await,
        }
    }

    async fn heal(&mut self) {
        self.storms.drain(..).for_each(|storm| storm.abort());
        self.arrive().await;
        if self.heals_by_itself() {
            self.servers.wait_until_ok(VICTIM).await;
        } else {
            eventually("the nodes answer", || self.answers()).await;
        }
    }

    async fn aftermath(&mut self) {
        match self.fault {
            ClusterFault::MasterKilled => self.servers.restart(VICTIM).await,
            // It takes itself for a master until others tell it.
            ClusterFault::MasterFrozen => self.servers.thaw(VICTIM),
            _ => {}
        }
    }

    fn heals_by_itself(&self) -> bool {
        self.loses_writes() || self.fault == ClusterFault::Failover
    }

    /// Replicas lag, unless their master hands everything on.
    fn loses_writes(&self) -> bool {
        matches!(self.fault, ClusterFault::MasterKilled | ClusterFault::MasterFrozen)
    }

    async fn parts(&mut self, entries: &[String]) -> Vec<Option<usize>> {
        if self.fault == ClusterFault::SlotsMoved {
            return self.choose_slots(entries);
        }
        let mut parts = Vec::new();
        for entry in entries {
            let master = self.servers.master_of(slot_of(entry)).await;
            parts.push(match self.fault {
                ClusterFault::None | ClusterFault::Cut => Some(master),
                _ => (master == VICTIM).then_some(0),
            });
        }
        parts
    }
}
