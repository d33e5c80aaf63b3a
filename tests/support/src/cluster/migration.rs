//! A slot that goes from one master to another, step by step.

use std::time::{Duration, Instant};

use super::ClusterServers;
use super::slots::serves;

/// The nodes tell each other within so long, also on a busy machine.
const DEADLINE: Duration = Duration::from_secs(20);

/// A slot on its way.
#[derive(Clone, Copy, Debug)]
pub struct Migration {
    /// Which slot.
    pub slot: u16,
    /// The node that serves it until it is finished.
    pub from: usize,
    /// The node that serves it then.
    pub to: usize,
}

impl ClusterServers {
    /// Announces that a slot goes to another master: from now on its new keys are made there.
    ///
    /// # Panics
    ///
    /// Where a node refuses.
    pub async fn begin_to_migrate(&self, slot: u16, to: usize) -> Migration {
        let begun = Instant::now();
        loop {
            let from = self.master_of(slot).await;
            let (here, there) = (self.id(from).await, self.id(to).await);
            // What the nodes say of each other may be late, after the slot has moved before.
            if self.try_set_slot(to, slot, &["IMPORTING", &here]).await.is_ok()
                && self.try_set_slot(from, slot, &["MIGRATING", &there]).await.is_ok()
            {
                return Migration { slot, from, to };
            }
            assert!(begun.elapsed() < DEADLINE, "nobody has the slot {slot}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Moves what keys the slot has now.
    ///
    /// # Panics
    ///
    /// Where a node refuses.
    pub async fn move_keys(&self, migration: &Migration) {
        let Migration { slot, from, to } = migration;
        let slot = slot.to_string();
        loop {
            let list = ["CLUSTER", "GETKEYSINSLOT", &slot, "1000"];
            let keys: Vec<String> = self.nodes[*from].command(&list).await;
            if keys.is_empty() {
                return;
            }
            let port = self.nodes[*to].port().to_string();
            let mut words = vec!["MIGRATE", "127.0.0.1", &port, "", "0", "5000"];
            if let Some(password) = &self.access.password {
                words.extend(["AUTH", password]);
            }
            words.push("KEYS");
            words.extend(keys.iter().map(String::as_str));
            self.nodes[*from].command::<()>(&words).await;
        }
    }

    /// Gives the slot to its new master, and tells all masters.
    ///
    /// # Panics
    ///
    /// Where a node refuses, or keys are left behind.
    pub async fn finish(&self, migration: &Migration) {
        let Migration { slot, from, to } = *migration;
        let id = self.id(to).await;
        // First the one that takes it: in between both would send clients to each other.
        self.set_slot(to, slot, &["NODE", &id]).await;
        self.set_slot(from, slot, &["NODE", &id]).await;
        for other in (0..self.nodes.len()).filter(|other| ![from, to].contains(other)) {
            let [role] = self.nodes[other].fields(&["INFO", "replication"], ["role"]).await;
            if role == "master" {
                self.set_slot(other, slot, &["NODE", &id]).await;
            }
        }
        self.agree(slot, &id).await;
    }

    /// Tells the nodes again until all say it: what one of them has heard last may have been said before.
    async fn agree(&self, slot: u16, id: &str) {
        let begun = Instant::now();
        loop {
            let mut agreed = true;
            for node in (0..self.nodes.len()).filter(|node| self.nodes[*node].runs()) {
                let nodes: String = self.nodes[node].command(&["CLUSTER", "NODES"]).await;
                if !nodes.lines().any(|line| line.starts_with(id) && serves(line, slot)) {
                    agreed = false;
                    // A replica refuses it, and hears of it.
                    let _ = self.try_set_slot(node, slot, &["NODE", id]).await;
                }
            }
            if agreed {
                return;
            }
            assert!(begun.elapsed() < DEADLINE, "the nodes differ about the slot {slot}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// All three steps.
    ///
    /// # Panics
    ///
    /// As they do.
    pub async fn migrate_slot(&self, slot: u16, to: usize) {
        let migration = self.begin_to_migrate(slot, to).await;
        self.move_keys(&migration).await;
        self.finish(&migration).await;
    }

    async fn set_slot(&self, node: usize, slot: u16, to: &[&str]) {
        self.try_set_slot(node, slot, to).await.expect("the node agrees");
    }

    async fn try_set_slot(&self, node: usize, slot: u16, to: &[&str]) -> redis::RedisResult<()> {
        let slot = slot.to_string();
        let words = [&["CLUSTER", "SETSLOT", &slot], to].concat();
        self.nodes[node].try_command(&words).await
    }

    async fn id(&self, node: usize) -> String {
        self.nodes[node].command(&["CLUSTER", "MYID"]).await
    }
}
