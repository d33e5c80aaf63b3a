//! Commands about one name, sent to the server that has it.

use std::time::Duration;

use deadpool_redis::redis::{self, Pipeline, Value};

use super::Redis;
use crate::key::Key;
use crate::store::lanes::{CommandError, Lanes};
#[cfg(feature = "cluster")]
use crate::store::servers::Servers;

/// Commands about one name, sent in one round trip.
pub(super) struct KeyedCommands<'a> {
    pub(super) name: &'a str,
    pub(super) commands: Pipeline,
    hash: u64,
    bulk: bool,
    /// For commands that only read: whether they go over the tracking lane. `None` for others.
    tracked: Option<bool>,
}

impl<'a> KeyedCommands<'a> {
    /// Commands about an entry, over the lane of its key.
    pub(super) fn of_entry(key: &'a Key) -> Self {
        Self { name: key.entry(), ..Self::of_token(key, "") }
    }

    /// Commands about a token of an entry, over the lane of the entry's key.
    pub(super) fn of_token(key: &Key, name: &'a str) -> Self {
        let (hash, bulk) = (key.hash, key.bulk);
        Self { name, commands: redis::pipe(), hash, bulk, tracked: None }
    }

    /// Commands about a name without a key, over the first lane.
    pub(super) fn of(name: &'a str) -> Self {
        Self { name, commands: redis::pipe(), hash: 0, bulk: false, tracked: None }
    }

    /// Marks the commands as reads; with `tracked`, over the tracking lane.
    #[cfg(feature = "cluster")]
    pub(super) fn read_only(self, tracked: bool) -> Self {
        Self { tracked: Some(tracked), ..self }
    }

    #[cfg(feature = "cluster")]
    pub(super) fn is_read_only(&self) -> bool {
        self.tracked.is_some()
    }

    pub(super) fn slot(&self, lanes: &Lanes) -> usize {
        if self.tracked == Some(true) {
            lanes.tracking_slot()
        } else {
            lanes.slot_of(self.hash, self.bulk)
        }
    }
}

impl Redis {
    pub(super) async fn run(
        &self,
        keyed: KeyedCommands<'_>,
        limit: Duration,
    ) -> Result<Vec<Value>, CommandError> {
        self.run_all(vec![keyed], limit).await.pop().unwrap_or(Err(CommandError::Down))
    }

    /// Runs commands: in one round trip on a single server, or concurrently on the nodes of a cluster. On a single
    /// server one error fails all of them.
    pub(super) async fn run_all(
        &self,
        commands: Vec<KeyedCommands<'_>>,
        limit: Duration,
    ) -> Vec<Result<Vec<Value>, CommandError>> {
        #[cfg(feature = "cluster")]
        if let Servers::Cluster(cluster) = &self.servers {
            return self.run_each(cluster, &commands, limit).await;
        }
        let failed = |error: CommandError| commands.iter().map(|_| Err(error.clone())).collect();
        let Some(lanes) = self.servers.one() else { return failed(CommandError::Down) };
        let Some(first) = commands.first() else { return Vec::new() };
        let lane = lanes.lane(first.slot(&lanes));
        let replies = match &commands[..] {
            [only] => self.pipeline(&lanes, lane, limit, &only.commands).await,
            all => {
                let mut together = redis::pipe();
                for command in all.iter().flat_map(|keyed| keyed.commands.cmd_iter()) {
                    together.add_command(command.clone());
                }
                self.pipeline(&lanes, lane, limit, &together).await
            }
        };
        match replies {
            Ok(mut replies) => {
                let each = commands.iter().map(|keyed| {
                    let length = keyed.commands.len().min(replies.len());
                    Ok(replies.drain(..length).collect())
                });
                each.collect()
            }
            Err(error) => failed(error),
        }
    }
}
