//! Commands in a cluster: each goes to the node that serves the slot of its name, and follows redirections
//! (`MOVED`, `ASK`).

use std::sync::Arc;
use std::time::{Duration, Instant};

use deadpool_redis::redis::{self, Pipeline, Value};
use futures_util::future::{join, join_all};

use super::keyed_commands::KeyedCommands;
use super::{Redis, fault};
use crate::config::Address;
use crate::deadline;
use crate::entry::{Entry, Token};
use crate::key::Key;
use crate::store::contract::{Fault, Found, Read};
use crate::store::lanes::{CommandError, Lanes, bulk_string, pttl, unexpected_reply};
use crate::store::servers::Cluster;

/// How many redirections a command follows.
const MAX_REDIRECTS: usize = 3;

/// The most rounds in which names that are invalidated together are removed: it bounds how deep cached calls
/// within cached calls may be nested for an invalidation to reach all of them.
const MAX_ROUNDS: usize = 4;

/// Names that are removed in one round trip, at most.
const UNLINK_CHUNK: usize = 512;

impl Redis {
    /// Reads an entry and its tokens from the nodes that have them, concurrently.
    ///
    /// An invalidation and a new populate may come between the reads of a token and of the entry, and a live
    /// entry would look dead. So the tokens are read once more where they do not match the entry's.
    pub(super) async fn read_parts(
        &self,
        cluster: &Arc<Cluster>,
        key: &Key,
        mode: Read,
        limit: Duration,
    ) -> Result<Found, Fault> {
        let began = Instant::now();
        let entry = self.read_entry(cluster, key, mode, limit);
        let (entry, tokens) = join(entry, self.read_tokens(cluster, key, mode, limit)).await;
        let (bytes, ttl_left) = entry.map_err(fault)?;
        let mut found = Found { bytes, tokens: tokens.map_err(fault)?.into(), ttl_left };
        let parsed = found.bytes.clone().and_then(|bytes| Entry::parse(bytes).ok());
        if parsed.is_some_and(|entry| !entry.depends_on(&found.tokens)) {
            let left = limit.saturating_sub(began.elapsed());
            found.tokens = self.read_tokens(cluster, key, mode, left).await.map_err(fault)?.into();
        }
        Ok(found)
    }

    async fn read_entry(
        &self,
        cluster: &Arc<Cluster>,
        key: &Key,
        mode: Read,
        limit: Duration,
    ) -> Result<(Option<bytes::Bytes>, Option<Duration>), CommandError> {
        let mut read = KeyedCommands::of_entry(key).read_only(mode == Read::Tracked);
        if mode != Read::Plain {
            // `PTTL` first, so that an entry that is stored in between cannot look younger than it is.
            read.commands.cmd("PTTL").arg(key.entry());
        }
        read.commands.cmd("GET").arg(key.entry());
        let mut replies = self.run_at(cluster, &read, limit).await?;
        let value = replies.pop().ok_or_else(|| unexpected_reply(&Value::Nil))?;
        let bytes = bulk_string(value)?.map(bytes::Bytes::from);
        let ttl_left = replies.pop().map_or(Ok(None), |reply| pttl(&reply))?;
        Ok((bytes, ttl_left))
    }

    async fn read_tokens(
        &self,
        cluster: &Arc<Cluster>,
        key: &Key,
        mode: Read,
        limit: Duration,
    ) -> Result<Vec<Option<Token>>, CommandError> {
        let reads: Vec<_> = key
            .tokens()
            .map(|name| {
                let mut read = KeyedCommands::of_token(key, name).read_only(mode == Read::Tracked);
                read.commands.cmd("GET").arg(name);
                read
            })
            .collect();
        let replies = self.run_each(cluster, &reads, limit).await;
        let token = |replies: Result<Vec<Value>, CommandError>| {
            let reply = replies?.pop().ok_or_else(|| unexpected_reply(&Value::Nil))?;
            Ok(bulk_string(reply)?.map(|bytes| Token::of(&bytes)))
        };
        replies.into_iter().map(token).collect()
    }

    /// Removes names in as many rounds as there are names, up to [`MAX_ROUNDS`]; each round removes all of them,
    /// on all nodes concurrently. After the removal of an entry, and before that of another from which it is
    /// computed, a call may compute the first anew from the old value of the second; the next round removes it.
    pub(super) async fn unlink_in_rounds(
        &self,
        cluster: &Arc<Cluster>,
        names: &[String],
        limit: Duration,
    ) -> Result<(), CommandError> {
        let began = Instant::now();
        for _ in 0..names.len().min(MAX_ROUNDS) {
            let left = limit.saturating_sub(began.elapsed());
            let nodes = by_node(cluster, names);
            let round = nodes.iter().map(|names| self.unlink_at(cluster, names, left));
            for removed in join_all(round).await {
                removed?;
            }
        }
        Ok(())
    }

    /// Removes names that the slot map gives to one node: in one round trip, or, if the node redirects one of
    /// them, each on its own.
    async fn unlink_at(
        &self,
        cluster: &Arc<Cluster>,
        names: &[&str],
        limit: Duration,
    ) -> Result<(), CommandError> {
        let began = Instant::now();
        for chunk in names.chunks(UNLINK_CHUNK) {
            let mut all = KeyedCommands::of(chunk[0]);
            for name in chunk {
                all.commands.cmd("UNLINK").arg(name);
            }
            let left = limit.saturating_sub(began.elapsed());
            let node = cluster.node_of(all.name);
            let together = match &node {
                Some((_, lanes)) if chunk.len() > 1 => {
                    self.run_with(cluster, lanes, &all, &all.commands, left).await
                }
                _ => self.run_at(cluster, &all, left).await,
            };
            if !matches!(together, Err(CommandError::Redirected { .. })) {
                together?;
                continue;
            }
            for name in chunk {
                let mut one = KeyedCommands::of(name);
                one.commands.cmd("UNLINK").arg(name);
                self.run_at(cluster, &one, limit.saturating_sub(began.elapsed())).await?;
            }
        }
        Ok(())
    }

    pub(super) async fn run_each(
        &self,
        cluster: &Arc<Cluster>,
        commands: &[KeyedCommands<'_>],
        limit: Duration,
    ) -> Vec<Result<Vec<Value>, CommandError>> {
        join_all(commands.iter().map(|keyed| self.run_at(cluster, keyed, limit))).await
    }

    /// Runs commands at the node that serves their name, and follows redirections.
    async fn run_at(
        &self,
        cluster: &Arc<Cluster>,
        keyed: &KeyedCommands<'_>,
        limit: Duration,
    ) -> Result<Vec<Value>, CommandError> {
        let began = Instant::now();
        let Some((mut address, mut lanes)) = cluster.node_of(keyed.name) else {
            cluster.request_survey();
            return Err(CommandError::Down);
        };
        let mut replies = self.run_with(cluster, &lanes, keyed, &keyed.commands, limit).await;
        for _ in 0..MAX_REDIRECTS {
            let Err(CommandError::Redirected { to, is_ask }) = &replies else { break };
            // The other node may have no tracking lane: this voids the copy that the read would make.
            self.versions.bump(keyed.name.as_bytes());
            (address, lanes) =
                cluster.redirected(to, &address, *is_ask).ok_or(CommandError::Down)?;
            let left = limit.saturating_sub(began.elapsed());
            replies = if *is_ask {
                let asking = asking(&keyed.commands);
                let replies = self.run_with(cluster, &lanes, keyed, &asking, left).await;
                replies.map(|replies| replies.into_iter().skip(1).step_by(2).collect())
            } else {
                self.run_with(cluster, &lanes, keyed, &keyed.commands, left).await
            };
        }
        replies
    }

    /// Runs commands on a node, after its first dial if that has not ended.
    async fn run_with(
        &self,
        cluster: &Cluster,
        lanes: &Arc<Lanes>,
        keyed: &KeyedCommands<'_>,
        commands: &Pipeline,
        limit: Duration,
    ) -> Result<Vec<Value>, CommandError> {
        let (began, slot) = (Instant::now(), keyed.slot(lanes));
        if !lanes.is_dialled(slot) {
            let dialled = std::pin::pin!(lanes.dialled(slot));
            if deadline::timeout(limit, dialled).await.is_err() {
                cluster.request_survey();
                return Err(CommandError::Timeout);
            }
        }
        let left = limit.saturating_sub(began.elapsed());
        let replies = self.pipeline(lanes, lanes.lane(slot), left, commands).await;
        if let Err(CommandError::Down | CommandError::Timeout) = &replies {
            // A replica may have taken over the node's slots.
            cluster.request_survey();
        }
        if keyed.is_read_only() { lanes.record_read(replies) } else { replies }
    }
}

/// Groups names by the node that the slot map gives them to.
fn by_node<'a>(cluster: &Cluster, names: &'a [String]) -> Vec<Vec<&'a str>> {
    let mut nodes: Vec<(Option<Address>, Vec<&str>)> = Vec::new();
    for name in names {
        let at = cluster.node_of(name).map(|(address, _)| address);
        match nodes.iter_mut().find(|(known, _)| *known == at) {
            Some((_, names)) => names.push(name),
            None => nodes.push((at, vec![name])),
        }
    }
    nodes.into_iter().map(|(_, names)| names).collect()
}

/// Puts an `ASKING` before each command, for a node that a slot is moving to.
fn asking(commands: &Pipeline) -> Pipeline {
    let mut all = redis::pipe();
    for command in commands.cmd_iter() {
        all.cmd("ASKING");
        all.add_command(command.clone());
    }
    all
}
