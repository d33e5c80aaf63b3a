//! A master with replicas, and the sentinels that watch them.

use support::Sentinels;

use crate::Deployment;

/// What goes wrong with a master, or with those who watch it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SentinelFault {
    /// Nothing.
    None,
    /// The master is killed and replaced, and started again later.
    MasterKilled,
    /// The master is stopped (SIGSTOP) and replaced, and goes on later.
    MasterFrozen,
    /// The sentinels are told to make another one master.
    Failover,
    /// One sentinel of three is killed.
    SentinelKilled,
}

impl SentinelFault {
    /// All of them, by the names of their rows.
    pub const ALL: [(&'static str, Self); 5] = [
        ("none", Self::None),
        ("master-killed", Self::MasterKilled),
        ("master-frozen", Self::MasterFrozen),
        ("failover", Self::Failover),
        ("sentinel-killed", Self::SentinelKilled),
    ];
}

/// A master, two replicas and three sentinels.
#[derive(Debug)]
pub struct Sentinel {
    servers: Sentinels,
    fault: SentinelFault,
    /// The first master.
    master: usize,
}

impl Sentinel {
    /// Starts them.
    ///
    /// # Panics
    ///
    /// Where they do not come up.
    pub async fn start(fault: SentinelFault) -> Self {
        let servers = Sentinels::start().await;
        let master = servers.master().await;
        Self { servers, fault, master }
    }
}

impl Deployment for Sentinel {
    fn url(&self) -> String {
        self.servers.url()
    }

    async fn inflict(&mut self) {
        match self.fault {
            SentinelFault::None => {}
            SentinelFault::MasterKilled => self.servers.kill(self.master),
            SentinelFault::MasterFrozen => self.servers.nodes()[self.master].freeze(),
            SentinelFault::Failover => self.servers.failover_by_command().await,
            // The first of the URL: whoever asks meets it.
            SentinelFault::SentinelKilled => self.servers.kill_sentinel(0),
        }
    }

    async fn heal(&mut self) {
        if self.heals_by_itself() {
            self.servers.wait_for_another_master(self.master).await;
        } else {
            self.servers.master().await;
        }
    }

    async fn aftermath(&mut self) {
        match self.fault {
            // Both take themselves for masters until a sentinel tells them.
            SentinelFault::MasterKilled => self.servers.restart(self.master).await,
            SentinelFault::MasterFrozen => self.servers.thaw(self.master),
            _ => {}
        }
    }

    fn heals_by_itself(&self) -> bool {
        self.loses_writes()
    }

    /// Replicas lag, and a master that was deposed takes writes until it is told.
    fn loses_writes(&self) -> bool {
        !matches!(self.fault, SentinelFault::None | SentinelFault::SentinelKilled)
    }
}
