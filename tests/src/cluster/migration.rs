//! A slot that goes from one master to another, step by step.

use super::ClusterServers;

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
        let from = self.master_of(slot).await;
        self.set_slot(to, slot, &["IMPORTING", &self.id(from).await]).await;
        self.set_slot(from, slot, &["MIGRATING", &self.id(to).await]).await;
        Migration { slot, from, to }
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
        let slot = slot.to_string();
        let words = [&["CLUSTER", "SETSLOT", &slot], to].concat();
        self.nodes[node].command::<()>(&words).await;
    }

    async fn id(&self, node: usize) -> String {
        self.nodes[node].command(&["CLUSTER", "MYID"]).await
    }
}
