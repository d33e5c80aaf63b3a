//! Heartbeats: whether a lane's connection works, and whether its server is still a master.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use deadpool_redis::redis::{self, Pipeline, Value};

use super::{Lane, Lanes, MAX_TIMEOUTS, is_answer, server_message};
use crate::clock::Coarse;
use crate::config::Part;

/// The longest wait for the heartbeat of an idle lane.
const MAX_SILENCE: Duration = Duration::from_secs(5);

/// The outcome of a heartbeat.
enum Beat {
    Answered,
    Silent,
    /// The heartbeat has failed or shown a demotion, and the lane was evicted.
    Evicted,
}

impl Lanes {
    /// Sends a heartbeat within the timeout of a command; evicts the lane at the third timeout in a row.
    /// Returns whether the lane has answered.
    pub(super) async fn check(&self, lane: &Arc<Lane>) -> bool {
        match self.send_heartbeat(lane, self.timeout).await {
            Beat::Answered => return true,
            Beat::Evicted => {}
            Beat::Silent => {
                if lane.timeouts.fetch_add(1, Ordering::Relaxed) + 1 >= MAX_TIMEOUTS {
                    self.evict_after_timeouts(lane);
                }
            }
        }
        false
    }

    /// Sends a heartbeat on a lane that may be idle, and evicts it at the first timeout: a NAT may have dropped
    /// the connection without a reset. It may take as long as a dial, since the caller's runtime may be busy.
    pub(super) async fn check_idle(&self, lane: &Arc<Lane>) {
        if let Beat::Silent = self.send_heartbeat(lane, self.connect_timeout.min(MAX_SILENCE)).await
        {
            if lane.is_private() {
                self.evict_because(lane, "the connection is silent");
            } else {
                // The caller's runtime may be busy, which is no failure of the server.
                self.evict_after_timeouts(lane);
            }
        }
    }

    async fn send_heartbeat(&self, lane: &Arc<Lane>, limit: Duration) -> Beat {
        let mut connection = lane.connection();
        let (commands, sent) = (self.heartbeat_commands(lane), Coarse::now());
        let replies = connection.send_packed_commands(&commands, 0, commands.len());
        let Ok(replies) = tokio::time::timeout(limit, replies).await else { return Beat::Silent };
        let (answer, role) = match replies.map(Vec::into_iter) {
            Ok(mut replies) => {
                (replies.next().unwrap_or(Value::Nil).extract_error(), replies.next())
            }
            Err(error) => (Err(error), None),
        };
        match answer {
            Ok(answer) => {
                lane.timeouts.store(0, Ordering::Relaxed);
                self.note_tracking(lane.index, Ok(()));
                self.heartbeat_answered(lane.index, sent, &answer);
            }
            // An ACL or a proxy refuses `CLUSTER INFO`: only copies need it, so the lane stays.
            Err(error) if self.sends_cluster_info(lane.index) && is_answer(&error) => {
                self.note_tracking(lane.index, Err(&server_message(&error)));
            }
            Err(error) => {
                self.evict_because(lane, &server_message(&error));
                return Beat::Evicted;
            }
        }
        if role.is_some_and(|role| self.is_demoted(&role)) {
            // The redials resolve the address anew, and report a server that still is a replica.
            self.evict_all();
            return Beat::Evicted;
        }
        self.lane_answered();
        Beat::Answered
    }

    /// The commands of a heartbeat. On the tracking lane of a cluster's node, `CLUSTER INFO`: it has the epoch
    /// in which the node serves its slots. On any other lane, `PING`, and `ROLE` where the server answers it: a
    /// demoted master serves reads too, of values that may be out of date.
    fn heartbeat_commands(&self, lane: &Lane) -> Pipeline {
        let mut commands = redis::pipe();
        if self.sends_cluster_info(lane.index) {
            commands.cmd("CLUSTER").arg("INFO");
            return commands;
        }
        // A server that loads its data set answers `ROLE`, but refuses `PING`.
        commands.cmd("PING");
        if lane.reports_role {
            commands.cmd("ROLE");
        }
        commands
    }

    fn sends_cluster_info(&self, slot: usize) -> bool {
        slot == self.tracking_slot() && self.server.part == Part::Node
    }

    /// Records a server's role; whether it is a replica although it was a master or sentinels named it as one.
    pub(super) fn is_demoted(&self, role: &Value) -> bool {
        match is_master(role) {
            Some(true) => {
                self.was_master.store(true, Ordering::Relaxed);
                false
            }
            Some(false) => self.was_master.load(Ordering::Relaxed),
            None => false,
        }
    }
}

/// Whether an answer to `ROLE` is that of a master; `None` for an error or another reply.
pub(super) fn is_master(role: &Value) -> Option<bool> {
    let Value::Array(role) = role else { return None };
    match role.first()? {
        Value::BulkString(role) => Some(role == b"master"),
        _ => None,
    }
}
