//! Making one cluster of nodes.

use std::time::{Duration, Instant};

use futures::future::join_all;

use super::slots::SLOTS;
use super::{ClusterServers, DEADLINE, MASTERS, serves_all, until};
use crate::Node;

/// How long an introduction may take before it is made again.
const INTRODUCTION: Duration = Duration::from_secs(3);

impl ClusterServers {
    pub(super) async fn join(&self) {
        self.hand_out().await;
        self.introduce().await;
        for (replica, master) in self.nodes[MASTERS..].iter().zip(&self.nodes) {
            let master: String = master.command(&["CLUSTER", "MYID"]).await;
            let follow = ["CLUSTER", "REPLICATE", &master];
            until("a replica knows its master", || async {
                replica.try_command::<()>(&follow).await.is_ok()
            })
            .await;
        }
        until("the cluster is complete", || async {
            let nodes = self.nodes.iter().enumerate();
            let complete = nodes.map(async |(index, node)| {
                serves_all(node).await
                    && knows_roles(node).await
                    && (index >= MASTERS || has_replica(node).await)
            });
            join_all(complete).await.into_iter().all(|yes| yes)
        })
        .await;
    }

    /// To each master a third of the slots, and an epoch of its own.
    async fn hand_out(&self) {
        for (index, node) in self.nodes.iter().enumerate() {
            let epoch = (index + 1).to_string();
            node.command::<()>(&["CLUSTER", "SET-CONFIG-EPOCH", &epoch]).await;
        }
        for (index, master) in self.nodes[..MASTERS].iter().enumerate() {
            let slots = SLOTS * index / MASTERS..SLOTS * (index + 1) / MASTERS;
            let slots: Vec<String> = slots.map(|slot| slot.to_string()).collect();
            let mut words = vec!["CLUSTER", "ADDSLOTS"];
            words.extend(slots.iter().map(String::as_str));
            master.command::<()>(&words).await;
        }
    }

    /// Again where nodes were too busy to answer each other in time.
    async fn introduce(&self) {
        let begun = Instant::now();
        loop {
            for node in &self.nodes[1..] {
                let port = node.port().to_string();
                self.nodes[0].command::<()>(&["CLUSTER", "MEET", "127.0.0.1", &port]).await;
            }
            let introduced = Instant::now();
            while introduced.elapsed() < INTRODUCTION {
                if join_all(self.nodes.iter().map(knows_all)).await.into_iter().all(|yes| yes) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            assert!(begun.elapsed() < DEADLINE, "the nodes do not find each other");
        }
    }
}

async fn knows_all(node: &Node) -> bool {
    let nodes: String = node.command(&["CLUSTER", "NODES"]).await;
    nodes.lines().filter(|line| !line.contains("handshake")).count() == 2 * MASTERS
}

async fn knows_roles(node: &Node) -> bool {
    let nodes: String = node.command(&["CLUSTER", "NODES"]).await;
    let flags = nodes.lines().filter_map(|line| line.split(' ').nth(2));
    let flags: Vec<&str> = flags.map(|flags| flags.trim_start_matches("myself,")).collect();
    ["master", "slave"].map(|role| flags.iter().filter(|flag| **flag == role).count())
        == [MASTERS; 2]
}

async fn has_replica(master: &Node) -> bool {
    let [replica] = master.fields(&["INFO", "replication"], ["slave0"]).await;
    replica.contains("state=online")
}
