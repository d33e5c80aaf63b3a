//! The processes of the application, seen from outside: by what they write for each other.

use std::sync::Arc;
use std::time::Duration;

use cache_runtime::Cache;
use serde_json::{Value, json};

use super::args::Common;
use super::failure::Failure;
use super::http::Api;
use super::target::Target;
use crate::fleet::{InForce, Member};
use crate::view;

/// Where figures come from.
#[derive(Debug)]
pub(super) enum Source {
    /// The admin API of a process.
    Api(Api),
    /// The heartbeats in Redis.
    Fleet(Box<Fleet>),
}

/// A member of the fleet that does not beat, so that the processes do not count this program.
#[derive(Debug)]
pub(super) struct Fleet {
    pub(super) member: Arc<Member>,
    pub(super) cache: Cache,
    pub(super) namespace: String,
}

impl Fleet {
    /// # Errors
    ///
    /// Where no Redis is configured, or it cannot be reached.
    pub(super) async fn of(common: &Common) -> Result<Self, Failure> {
        let target = Target::over_redis(common)?;
        // A command of an operator may take longer than one of a call.
        let patience = Duration::from_secs(2);
        let config = target.config.clone().timeout(patience.max(target.shape.timeout));
        let cache = Cache::connect(config).await;
        let cache = cache.map_err(|error| Failure::failed(error.to_string()))?;
        let member = Member::new(cache.clone());
        Ok(Self { member, cache, namespace: target.shape.namespace })
    }

    /// How many processes beat.
    pub(super) async fn processes(&self) -> Result<usize, Failure> {
        Ok(self.member.others().await.map_err(Failure::failed)?.len())
    }
}

impl Source {
    /// # Errors
    ///
    /// As [`Fleet::of`].
    pub(super) async fn of(common: &Common) -> Result<Self, Failure> {
        Ok(match &common.admin {
            Some(url) => Self::Api(Api::at(url)?),
            None => Self::Fleet(Box::new(Fleet::of(common).await?)),
        })
    }

    /// The figures of all processes.
    ///
    /// # Errors
    ///
    /// Where the source does not answer.
    pub(super) async fn stats(&self) -> Result<Value, Failure> {
        match self {
            Self::Api(api) => {
                let mut all = api.get("stats?scope=fleet").await?;
                let mut stats = json!({ "source": "admin" });
                for name in NAMES {
                    stats[name] = all[name].take();
                }
                Ok(stats)
            }
            Self::Fleet(fleet) => {
                let reports = fleet.member.others().await.map_err(Failure::failed)?;
                let switches = fleet.member.switches_in_force().await;
                let switches = switches.map_err(|error| Failure::failed(error.to_string()))?;
                let mut stats = view::fleet_stats(&reports);
                stats["source"] = json!("heartbeats");
                stats["scope"] = json!("fleet");
                stats["namespace"] = json!(fleet.namespace);
                stats["switches"] = switches.iter().map(InForce::view).collect();
                Ok(stats)
            }
        }
    }
}

/// What both sources have.
const NAMES: [&str; 8] =
    ["scope", "namespace", "processes", "total", "unnamed", "prefixes", "gauges", "switches"];
