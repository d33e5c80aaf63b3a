//! Asking a lane whether it is there, and whether its server is what it was.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use deadpool_redis::redis::{self, Pipeline, Value};

use super::{Lane, Lanes, MAX_TIMEOUTS, is_answer, server_message};
use crate::clock::Coarse;
use crate::config::Part;

/// For how long a lane that nobody waits for may be silent, at most.
const MAX_SILENCE: Duration = Duration::from_secs(5);

/// What came of asking.
enum Beat {
    Answered,
    Silent,
    /// The lane has been taken out.
    Evicted,
}

impl Lanes {
    /// Asks a lane, and takes it out where it does not answer three times in a row.
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

    /// Asks a lane that perhaps nobody uses, as patiently as a dial, since what drives it may be busy.
    /// A NAT may have forgotten the connection without a word.
    pub(super) async fn check_idle(&self, lane: &Arc<Lane>) {
        if let Beat::Silent = self.send_heartbeat(lane, self.connect_timeout.min(MAX_SILENCE)).await
        {
            if lane.is_private() {
                self.evict_because(lane, "the connection is silent");
            } else {
                // Perhaps its runtime is busy, which is no failure of the server.
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
            // An ACL or a proxy that tells nobody of the cluster: all but the copies can do without.
            Err(error) if self.sends_cluster_info(lane.index) && is_answer(&error) => {
                self.note_tracking(lane.index, Err(&server_message(&error)));
            }
            Err(error) => {
                self.evict_because(lane, &server_message(&error));
                return Beat::Evicted;
            }
        }
        if role.is_some_and(|role| self.is_demoted(&role)) {
            // The dials that follow find where its address leads to, and say what is wrong.
            self.evict_all();
            return Beat::Evicted;
        }
        self.lane_answered();
        Beat::Answered
    }

    /// What a lane is asked to see whether it is there. A node that listens also says whether it still
    /// has what it is thought to have; a server without others, whether it is still the master: a
    /// replica answers all the same, with what may be out of date.
    fn heartbeat_commands(&self, lane: &Lane) -> Pipeline {
        let mut commands = redis::pipe();
        if self.sends_cluster_info(lane.index) {
            commands.cmd("CLUSTER").arg("INFO");
            return commands;
        }
        // A server that loads its data tells its role, and answers nothing else.
        commands.cmd("PING");
        if lane.reports_role {
            commands.cmd("ROLE");
        }
        commands
    }

    fn sends_cluster_info(&self, slot: usize) -> bool {
        slot == self.tracking_slot() && self.server.part == Part::Node
    }

    /// Learns the server's role; whether it is a replica although it has been a master, or is called one.
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

/// What a server says to `ROLE`; `None` where it does not say it.
pub(super) fn is_master(role: &Value) -> Option<bool> {
    let Value::Array(role) = role else { return None };
    match role.first()? {
        Value::BulkString(role) => Some(role == b"master"),
        _ => None,
    }
}
