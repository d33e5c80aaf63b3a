//! Whether the nodes of a cluster still serve the slots that our slot map gives them.
//!
//! The epoch of a cluster grows with every failover, and with most moves of slots. A node that reports the
//! epoch of our map is taken to serve the slots that the map gives it, and to push the invalidations of all
//! keys in them. Before a replica takes over from a partitioned master, that master has noticed and reports
//! `cluster_state:fail`. A slot that moves within an epoch leaves no keys behind, and their removal is pushed
//! too; besides, the map is read again every second while copies are kept.

use std::sync::atomic::{AtomicU64, Ordering};

use deadpool_redis::redis::{self, Value};
use tokio::sync::Notify;

/// The epoch of the slot map in use.
#[derive(Default)]
pub(crate) struct Epoch {
    number: AtomicU64,
    /// Notified when a node reports another epoch, or a command shows that the map may be outdated.
    pub(crate) survey_requested: Notify,
}

impl Epoch {
    /// Sets the epoch; whether it was the same before.
    #[cfg(feature = "cluster")]
    pub(crate) fn set(&self, number: u64) -> bool {
        self.number.swap(number, Ordering::AcqRel) == number
    }

    #[cfg(feature = "cluster")]
    pub(crate) fn number(&self) -> u64 {
        self.number.load(Ordering::Acquire)
    }

    /// Whether a node's answer to `CLUSTER INFO` has this epoch and `cluster_state:ok`. Another epoch requests a
    /// survey of the nodes.
    pub(super) fn matches(&self, info: &Value) -> bool {
        let info: String = redis::from_redis_value_ref(info).unwrap_or_default();
        let epoch = number(&info);
        let same = epoch == self.number.load(Ordering::Acquire);
        if !same {
            self.survey_requested.notify_one();
        }
        same && is_state_ok(&info)
    }
}

/// The epoch in an answer to `CLUSTER INFO`; zero where the field is missing, as behind some proxies.
pub(crate) fn number(info: &str) -> u64 {
    let number = |line: &str| line.strip_prefix("cluster_current_epoch:")?.trim().parse().ok();
    info.lines().find_map(number).unwrap_or(0)
}

pub(crate) fn is_state_ok(info: &str) -> bool {
    info.lines().any(|line| line.trim() == "cluster_state:ok")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(state: &str, epoch: u64) -> Value {
        let text = format!("cluster_state:{state}\r\ncluster_current_epoch:{epoch}\r\n");
        Value::BulkString(text.into_bytes())
    }

    #[test]
    fn only_a_sound_node_in_the_same_epoch_is_believed() {
        let epoch = Epoch::default();
        epoch.number.store(7, Ordering::Release);
        assert!(epoch.matches(&info("ok", 7)));
        assert!(!epoch.matches(&info("fail", 7)));
        assert!(!epoch.matches(&info("ok", 6)));
        assert!(!epoch.matches(&info("ok", 8)));
        assert!(!epoch.matches(&Value::Nil));
    }
}
