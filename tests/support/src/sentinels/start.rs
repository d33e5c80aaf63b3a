//! Starting a master, its replicas and its sentinels.

use std::time::{Duration, Instant};

use futures::future::{join, join_all};

use super::{DEADLINE, NAME, Passwords, Sentinels};
use crate::node::{Access, Kind};
use crate::{Node, eventually};

pub(super) async fn with(passwords: Passwords) -> Sentinels {
    let access = Access { password: passwords.data.clone(), ..Access::default() };
    let mut options = vec!["--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1"];
    if let Some(password) = &passwords.data {
        options.extend(["--masterauth", password]);
    }
    let kind = Kind::Server(options.into_iter().map(str::to_owned).collect());
    let nodes = (0..3).map(|_| Node::start(kind.clone(), access.clone()));
    let nodes = join_all(nodes).await;
    for replica in &nodes[1..] {
        let master = nodes[0].port().to_string();
        replica.command::<()>(&["REPLICAOF", "127.0.0.1", &master]).await;
    }
    let access = Access { password: passwords.sentinels.clone(), ..Access::default() };
    let kind = Kind::Sentinel(settings(nodes[0].port(), &passwords));
    let watchers = (0..3).map(|_| Node::start(kind.clone(), access.clone()));
    let (watchers, ()) = join(join_all(watchers), in_step(&nodes[0])).await;
    let started = Sentinels { nodes, watchers, passwords };
    started.wait_until_complete().await;
    started
}

impl Sentinels {
    /// Waits until every sentinel knows all replicas and all other sentinels. They say hello faster
    /// meanwhile, where their version knows how to; afterwards as ever, since that is how often they
    /// look after a master that has been deposed, too.
    async fn wait_until_complete(&self) {
        self.pace("200").await;
        let begun = Instant::now();
        while !join_all(self.watchers.iter().map(is_complete)).await.into_iter().all(|yes| yes) {
            assert!(begun.elapsed() < DEADLINE, "the sentinels do not find each other");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        self.pace("2000").await;
    }

    async fn pace(&self, hello: &str) {
        for sentinel in &self.watchers {
            // A sentinel that was held up trusts nobody for 30 seconds otherwise.
            let order = ["SENTINEL", "DEBUG", "PUBLISH-PERIOD", hello, "TILT-PERIOD", "1000"];
            let _ = sentinel.try_command::<()>(&order).await;
        }
    }
}

/// The lines of a sentinel.
fn settings(master: u16, passwords: &Passwords) -> String {
    let mut lines = format!(
        "sentinel monitor {NAME} 127.0.0.1 {master} 2\n\
         sentinel down-after-milliseconds {NAME} 1000\n\
         sentinel failover-timeout {NAME} 5000\n\
         sentinel parallel-syncs {NAME} 2\n"
    );
    if let Some(password) = &passwords.data {
        lines.extend(["sentinel auth-pass ", NAME, " ", password, "\n"]);
    }
    if let Some(password) = &passwords.sentinels {
        lines.extend(["sentinel sentinel-pass ", password, "\n"]);
    }
    lines
}

/// Waits until both replicas of a master follow it.
async fn in_step(master: &Node) {
    eventually("the replicas are online", || async {
        let [one, other] = master.fields(&["INFO", "replication"], ["slave0", "slave1"]).await;
        [one, other].iter().all(|replica| replica.contains("state=online"))
    })
    .await;
}

async fn is_complete(sentinel: &Node) -> bool {
    let ask = ["SENTINEL", "MASTER", NAME];
    let Ok(state) = sentinel.try_command::<Vec<String>>(&ask).await else { return false };
    let is = |name: &str, value: &str| state.chunks(2).any(|pair| pair == [name, value]);
    is("flags", "master") && is("num-slaves", "2") && is("num-other-sentinels", "2")
}
