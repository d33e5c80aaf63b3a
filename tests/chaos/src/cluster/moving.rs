//! Slots that move while they are used.

use support::slot_of;

use super::Cluster;

/// The token of a prefix, on which all entries under it depend.
const TOKEN: &str = "cache:~plain";

/// What those entries are called.
const DEPENDENT: &str = "cache:plain:";

/// How often a slot goes there and back.
const TIMES: usize = 3;

impl Cluster {
    /// Chooses what is to be moved: the slot of one of the entries, and that of what many depend on.
    /// Both have to serve again.
    pub(super) fn choose_slots(&mut self, entries: &[String]) -> Vec<Option<usize>> {
        let [entry, token] = [slot_of(&entries[0]), slot_of(TOKEN)];
        self.slots = vec![entry, token];
        let part = |name: &String| match name {
            name if slot_of(name) == entry => Some(0),
            name => name.starts_with(DEPENDENT).then_some(1),
        };
        entries.iter().map(part).collect()
    }

    /// Moves the slots there and back, and leaves them half there.
    pub(super) async fn move_about(&mut self) {
        for slot in &self.slots {
            let from = self.servers.master_of(*slot).await;
            let to = (from + 1) % 3;
            for _ in 0..TIMES {
                self.servers.migrate_slot(*slot, to).await;
                self.servers.migrate_slot(*slot, from).await;
            }
            let migration = self.servers.begin_to_migrate(*slot, to).await;
            self.servers.move_keys(&migration).await;
            self.moving.push(migration);
        }
    }

    /// Brings what is half there to where it goes.
    pub(super) async fn arrive(&mut self) {
        for migration in self.moving.drain(..) {
            self.servers.move_keys(&migration).await;
            self.servers.finish(&migration).await;
        }
    }
}
