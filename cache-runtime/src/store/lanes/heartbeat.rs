//! Asking a lane whether it is there, and whether its server is what it was.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use deadpool_redis::redis::{self, Pipeline, Value};

use super::{Lane, Lanes, STRIKES, is_answer, server_message};
use crate::clock::Coarse;
use crate::config::Part;

/// For how long a lane that nobody waits for may be silent, at most.
const PATIENCE: Duration = Duration::from_secs(5);

/// What came of asking.
enum Beat {
    Answered,
    Silent,
    /// The lane has been taken out.
    Over,
}

impl Lanes {
    /// Asks a lane, and takes it out where it does not answer three times in a row.
    pub(super) async fn check(&self, lane: &Arc<Lane>) -> bool {
        match self.beat(lane, self.timeout).await {
            Beat::Answered => return true,
            Beat::Over => {}
            Beat::Silent => {
                if lane.strikes.fetch_add(1, Ordering::Relaxed) + 1 >= STRIKES {
                    self.strike_out(lane);
                }
            }
        }
        false
    }

    /// Asks a lane that perhaps nobody uses, as patiently as a dial, since what drives it may be busy.
    /// A NAT may have forgotten the connection without a word.
    pub(super) async fn pulse(&self, lane: &Arc<Lane>) {
        if let Beat::Silent = self.beat(lane, self.connect_timeout.min(PATIENCE)).await {
            if lane.is_private() {
                self.fail(lane, "the connection is silent");
            } else {
                // Perhaps its runtime is busy, which is no failure of the server.
                self.strike_out(lane);
            }
        }
    }

    async fn beat(&self, lane: &Arc<Lane>, limit: Duration) -> Beat {
        let mut connection = lane.connection();
        let (ask, sent) = (self.heartbeat(lane), Coarse::now());
        let replies = connection.send_packed_commands(&ask, 0, ask.len());
        let Ok(replies) = tokio::time::timeout(limit, replies).await else { return Beat::Silent };
        let (answer, role) = match replies.map(Vec::into_iter) {
            Ok(mut replies) => {
                (replies.next().unwrap_or(Value::Nil).extract_error(), replies.next())
            }
            Err(error) => (Err(error), None),
        };
        match answer {
            Ok(answer) => {
                lane.strikes.store(0, Ordering::Relaxed);
                self.can_hear(lane.index, Ok(()));
                self.heard(lane.index, sent, &answer);
            }
            // An ACL or a proxy that tells nobody of the cluster: all but the copies can do without.
            Err(error) if self.asks_for_the_cluster(lane.index) && is_answer(&error) => {
                self.can_hear(lane.index, Err(&server_message(&error)));
            }
            Err(error) => {
                self.fail(lane, &server_message(&error));
                return Beat::Over;
            }
        }
        if role.is_some_and(|role| self.is_demoted(&role)) {
            // The dials that follow find where its address leads to, and say what is wrong.
            self.evict_all();
            return Beat::Over;
        }
        self.answers();
        Beat::Answered
    }

    /// What a lane is asked to see whether it is there. A node that listens also says whether it still
    /// has what it is thought to have; a server without others, whether it is still the master: a
    /// replica answers all the same, with what may be out of date.
    fn heartbeat(&self, lane: &Lane) -> Pipeline {
        let mut ask = redis::pipe();
        if self.asks_for_the_cluster(lane.index) {
            ask.cmd("CLUSTER").arg("INFO");
            return ask;
        }
        // A server that loads its data tells its role, and answers nothing else.
        ask.cmd("PING");
        if lane.tells_role {
            ask.cmd("ROLE");
        }
        ask
    }

    fn asks_for_the_cluster(&self, slot: usize) -> bool {
        slot == self.tracking_slot() && self.server.part == Part::Node
    }

    /// Learns the server's role; whether it is a replica although it has been a master, or is called one.
    pub(super) fn is_demoted(&self, role: &Value) -> bool {
        match is_master(role) {
            Some(true) => {
                self.mastered.store(true, Ordering::Relaxed);
                false
            }
            Some(false) => self.mastered.load(Ordering::Relaxed),
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
