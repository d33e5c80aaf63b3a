//! A cluster of three masters and three replicas.

mod join;
mod migration;
mod slots;

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::join_all;

use crate::node::{Access, Kind};
use crate::{Authority, Node};

pub use migration::Migration;
pub use slots::slot_of;

/// Nodes join and elect in so long at most, also on a busy machine.
const DEADLINE: Duration = Duration::from_secs(60);

const MASTERS: usize = 3;

/// A cluster of this test's own: the first three nodes are masters at first, and each of the other
/// three is the replica of the one three before it.
#[derive(Debug)]
pub struct ClusterServers {
    nodes: Vec<Node>,
    access: Access,
}

impl ClusterServers {
    /// Starts a cluster and waits until it serves every slot and the replicas follow.
    ///
    /// # Panics
    ///
    /// Where it does not come up.
    pub async fn start() -> Self {
        Self::start_with(Access::default()).await
    }

    /// Starts a cluster whose nodes ask for a password.
    ///
    /// # Panics
    ///
    /// As [`ClusterServers::start`].
    pub async fn start_with_password(password: &str) -> Self {
        Self::start_with(Access { password: Some(password.to_owned()), ..Access::default() }).await
    }

    /// Starts a cluster that speaks TLS alone, also among its nodes.
    ///
    /// # Panics
    ///
    /// As [`ClusterServers::start`].
    pub async fn start_with_tls() -> Self {
        let authority = Some(Arc::new(Authority::new()));
        Self::start_with(Access { authority, ..Access::default() }).await
    }

    async fn start_with(access: Access) -> Self {
        let kind = Kind::Server(options(&access));
        let nodes = (0..2 * MASTERS).map(|_| Node::start(kind.clone(), access.clone()));
        let started = Self { nodes: join_all(nodes).await, access };
        started.join().await;
        started
    }

    /// The URL, for `REDIS_URL`: three of the nodes, from whom a client learns of the others.
    pub fn url(&self) -> String {
        let tls = if self.access.authority.is_some() { "?ssl=true" } else { "" };
        format!("redis+cluster://{}{tls}", self.hosts())
    }

    /// The login and three of the nodes, as they stand in a URL.
    pub fn hosts(&self) -> String {
        let hosts: Vec<String> = self.nodes[..MASTERS].iter().map(Node::address).collect();
        let login = self.access.password.as_ref().map(|password| format!(":{password}@"));
        login.unwrap_or_default() + &hosts.join(",")
    }

    /// Who has signed the certificates of the nodes.
    pub fn authority(&self) -> Option<&Authority> {
        self.access.authority.as_deref()
    }

    /// The nodes: masters first, then their replicas in the same order.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Ends a node as a crash would.
    ///
    /// # Panics
    ///
    /// Where the process cannot be ended.
    pub fn kill(&mut self, node: usize) {
        self.nodes[node].kill();
    }

    /// Starts a killed node anew: it remembers the cluster, and none of its data.
    ///
    /// # Panics
    ///
    /// Where it does not come up.
    pub async fn restart(&mut self, node: usize) {
        self.nodes[node].restart().await;
    }

    /// Stops a node as a debugger would.
    ///
    /// # Panics
    ///
    /// Where it has ended.
    pub fn freeze(&self, node: usize) {
        self.nodes[node].freeze();
    }

    /// Lets a frozen node go on.
    ///
    /// # Panics
    ///
    /// Where it has ended.
    pub fn thaw(&self, node: usize) {
        self.nodes[node].thaw();
    }

    /// Waits until all other nodes see every slot served without that node.
    ///
    /// # Panics
    ///
    /// Where it takes too long.
    pub async fn wait_until_ok(&self, without: usize) {
        self.wait_until_ok_without(&[without]).await;
    }

    /// Waits until all other nodes see every slot served without those nodes.
    ///
    /// # Panics
    ///
    /// Where it takes too long.
    pub async fn wait_until_ok_without(&self, lost: &[usize]) {
        let nodes = self.nodes.iter().enumerate();
        let others: Vec<&Node> =
            nodes.filter(|(node, _)| !lost.contains(node)).map(|(_, node)| node).collect();
        let lost: Vec<String> = lost.iter().map(|node| self.nodes[*node].address()).collect();
        until("the others serve every slot", || async {
            let done = others.iter().map(async |node| {
                // Until their failure is agreed on, all slots count as served.
                serves_all(node).await && slots::have_none(node, &lost).await
            });
            join_all(done).await.into_iter().all(|yes| yes)
        })
        .await;
    }

    /// The keys of all masters that run, sorted.
    ///
    /// # Panics
    ///
    /// Where one of them does not answer.
    pub async fn keys(&self) -> Vec<String> {
        let mut keys = Vec::new();
        for node in self.nodes.iter().filter(|node| node.runs()) {
            let [role] = node.fields(&["INFO", "replication"], ["role"]).await;
            if role == "master" {
                keys.extend(node.command::<Vec<String>>(&["KEYS", "*"]).await);
            }
        }
        keys.sort();
        keys
    }

    /// How often a node has carried out any of some commands.
    ///
    /// # Panics
    ///
    /// Where it does not answer.
    pub async fn commands_of(&self, node: usize, names: &[&str]) -> u64 {
        self.nodes[node].calls(names).await
    }
}

fn options(access: &Access) -> Vec<String> {
    let mut options = vec![
        ["--cluster-enabled", "yes"],
        ["--cluster-config-file", "nodes.conf"],
        ["--cluster-node-timeout", "1000"],
        ["--cluster-replica-validity-factor", "0"],
        ["--cluster-require-full-coverage", "no"],
        ["--repl-diskless-sync-delay", "0"],
        ["--repl-ping-replica-period", "1"],
    ];
    if access.authority.is_some() {
        options.extend([
            ["--tls-cluster", "yes"],
            ["--tls-replication", "yes"],
            ["--tls-auth-clients", "no"],
        ]);
    }
    if let Some(password) = &access.password {
        options.push(["--masterauth", password]);
    }
    options.concat().into_iter().map(str::to_owned).collect()
}

/// Whether a node sees every slot served by a living master.
async fn serves_all(node: &Node) -> bool {
    let names = ["cluster_state", "cluster_slots_ok"];
    node.fields(&["CLUSTER", "INFO"], names).await == ["ok", "16384"]
}

async fn until<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let begun = Instant::now();
    while !holds().await {
        assert!(begun.elapsed() < DEADLINE, "it never came to hold: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
