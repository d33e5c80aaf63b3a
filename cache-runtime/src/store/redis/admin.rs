//! Commands for `cache-admin`: small values under names of their own, and `INFO`.

use std::time::Duration;

use bytes::Bytes;
use deadpool_redis::redis::{self, Value};
use futures_util::future::join_all;

use super::keyed_commands::KeyedCommands;
use super::{Redis, fault, to_millis, unexpected};
use crate::store::contract::Fault;

impl Redis {
    /// `SET` with an expiry; false where `only_if_absent` and there is a value.
    pub(crate) async fn put_slot(
        &self,
        name: &str,
        bytes: &[u8],
        expires: Duration,
        only_if_absent: bool,
    ) -> Result<bool, Fault> {
        let mut set = KeyedCommands::of(name);
        let command =
            set.commands.cmd("SET").arg(name).arg(bytes).arg("PX").arg(to_millis(expires));
        if only_if_absent {
            command.arg("NX");
        }
        match self.run(set, self.timeout).await.map_err(fault)?.pop() {
            Some(Value::Okay) => Ok(true),
            Some(Value::Nil) => Ok(false),
            other => Err(unexpected(&other.unwrap_or(Value::Nil))),
        }
    }

    /// One `MGET`, so the names have to lie in one slot of a cluster.
    pub(crate) async fn slots(&self, names: &[String]) -> Result<Vec<Option<Bytes>>, Fault> {
        let Some(first) = names.first() else { return Ok(Vec::new()) };
        let mut get = KeyedCommands::of(first);
        get.commands.cmd("MGET").arg(names);
        match self.run(get, self.timeout).await.map_err(fault)?.pop() {
            Some(Value::Array(values)) if values.len() == names.len() => {
                let bytes = values.into_iter().map(|value| match value {
                    Value::BulkString(bytes) => Some(Bytes::from(bytes)),
                    _ => None,
                });
                Ok(bytes.collect())
            }
            other => Err(unexpected(&other.unwrap_or(Value::Nil))),
        }
    }

    /// `INFO` of each server that is connected; without those that refuse it.
    pub(crate) async fn info(&self) -> Vec<String> {
        let servers = self.servers.all();
        let info = redis::cmd("INFO");
        let asked =
            servers.iter().map(|lanes| self.send(lanes, lanes.any_lane(), self.timeout, &info));
        let texts = join_all(asked).await.into_iter().filter_map(|reply| match reply.ok()? {
            Value::BulkString(text) => String::from_utf8(text).ok(),
            Value::VerbatimString { text, .. } => Some(text),
            _ => None,
        });
        texts.collect()
    }

    /// What the servers are, in one word.
    pub(crate) fn topology(&self) -> &'static str {
        self.servers.topology()
    }
}
