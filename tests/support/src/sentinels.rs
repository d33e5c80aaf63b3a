//! A master with replicas, and the sentinels that watch them.

mod start;

use std::time::{Duration, Instant};

use futures::future::join_all;

use crate::{Node, eventually};

/// What the sentinels call the master.
const NAME: &str = "mymaster";

/// Sentinels find each other and elect in so long at most, also on a busy machine.
const DEADLINE: Duration = Duration::from_secs(60);

/// Passwords of a [`Sentinels`]; none unless set.
#[derive(Clone, Debug, Default)]
pub struct Passwords {
    /// Of the master and its replicas.
    pub data: Option<String>,
    /// Of the sentinels.
    pub sentinels: Option<String>,
}

/// A master, two replicas and three sentinels of this test's own.
#[derive(Debug)]
pub struct Sentinels {
    nodes: Vec<Node>,
    watchers: Vec<Node>,
    passwords: Passwords,
}

impl Sentinels {
    /// Starts them without passwords, and waits until the sentinels know all of them.
    ///
    /// # Panics
    ///
    /// Where they do not come up.
    pub async fn start() -> Self {
        Self::start_with(Passwords::default()).await
    }

    /// Starts them with passwords.
    ///
    /// # Panics
    ///
    /// As [`Sentinels::start`].
    pub async fn start_with(passwords: Passwords) -> Self {
        start::with(passwords).await
    }

    /// The URL, for `REDIS_URL`, with the password of the data and not that of the sentinels.
    pub fn url(&self) -> String {
        let hosts: Vec<String> = self.watchers.iter().map(Node::address).collect();
        let login = self.passwords.data.as_ref().map(|password| format!(":{password}@"));
        format!("redis+sentinel://{}{}/{NAME}/0", login.unwrap_or_default(), hosts.join(","))
    }

    /// The master and its replicas, in the order in which they were started: the first was the
    /// master then.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The sentinels.
    pub fn sentinels(&self) -> &[Node] {
        &self.watchers
    }

    /// Which node is the master, as all sentinels that answer say; `None` while they differ or none
    /// does.
    pub async fn try_master(&self) -> Option<usize> {
        let ask = ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME];
        let running = self.watchers.iter().filter(|sentinel| sentinel.runs());
        let answers = running.map(async |sentinel| {
            let (_, port): (String, u16) = sentinel.try_command(&ask).await.ok()?;
            self.nodes.iter().position(|node| node.port() == port)
        });
        let answers = join_all(answers).await;
        let first = *answers.first()?;
        answers.iter().all(|answer| *answer == first).then_some(first)?
    }

    /// Which node is the master.
    ///
    /// # Panics
    ///
    /// Where the sentinels do not come to agree.
    pub async fn master(&self) -> usize {
        self.master_where("the sentinels agree on a master", |_| true).await
    }

    /// Waits until all sentinels have announced another master than that.
    ///
    /// # Panics
    ///
    /// Where it takes too long.
    pub async fn wait_for_another_master(&self, than: usize) -> usize {
        self.master_where("there is another master", |master| master != than).await
    }

    async fn master_where(&self, what: &str, fits: impl Fn(usize) -> bool) -> usize {
        let begun = Instant::now();
        loop {
            if let Some(master) = self.try_master().await.filter(|master| fits(*master)) {
                return master;
            }
            assert!(begun.elapsed() < DEADLINE, "it never came to hold: {what}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Ends a node as a crash would.
    ///
    /// # Panics
    ///
    /// Where the process cannot be ended.
    pub fn kill(&mut self, node: usize) {
        self.nodes[node].kill();
    }

    /// Starts a killed node anew, without its data: it takes itself for a master until a sentinel tells
    /// it otherwise.
    ///
    /// # Panics
    ///
    /// Where it does not come up.
    pub async fn restart(&mut self, node: usize) {
        self.nodes[node].restart().await;
    }

    /// Ends the master as a crash would, and returns which it was.
    ///
    /// # Panics
    ///
    /// As [`Sentinels::master`].
    pub async fn kill_master(&mut self) -> usize {
        let master = self.master().await;
        self.kill(master);
        master
    }

    /// Stops the master as a debugger would, and returns which it was.
    ///
    /// # Panics
    ///
    /// As [`Sentinels::master`].
    pub async fn freeze_master(&self) -> usize {
        let master = self.master().await;
        self.nodes[master].freeze();
        master
    }

    /// Lets a frozen node go on.
    ///
    /// # Panics
    ///
    /// Where it has ended.
    pub fn thaw(&self, node: usize) {
        self.nodes[node].thaw();
    }

    /// Ends a sentinel as a crash would.
    ///
    /// # Panics
    ///
    /// Where the process cannot be ended.
    pub fn kill_sentinel(&mut self, sentinel: usize) {
        self.watchers[sentinel].kill();
    }

    /// Has the sentinels that run forget everything, as new ones would that were told of this master.
    ///
    /// # Panics
    ///
    /// Where one of them does not answer.
    pub async fn begin_anew(&self, master: usize) {
        let port = self.nodes[master].port().to_string();
        let orders: [&[&str]; 2] =
            [&["REMOVE", NAME], &["MONITOR", NAME, "127.0.0.1", port.as_str(), "2"]];
        for order in orders {
            for sentinel in self.watchers.iter().filter(|sentinel| sentinel.runs()) {
                sentinel.command::<()>(&[&["SENTINEL"], order].concat()).await;
            }
        }
    }

    /// Orders a failover; the old master lives on, and calls itself one until it is told otherwise.
    ///
    /// # Panics
    ///
    /// Where no sentinel takes the order.
    pub async fn failover_by_command(&self) {
        let order = ["SENTINEL", "FAILOVER", NAME];
        eventually("a sentinel takes the order", || async {
            let mut running = self.watchers.iter().filter(|sentinel| sentinel.runs());
            let sentinel = running.next().expect("a sentinel runs");
            sentinel.try_command::<()>(&order).await.is_ok()
        })
        .await;
    }

    /// How often a node has carried out any of some commands.
    ///
    /// # Panics
    ///
    /// Where it does not answer.
    pub async fn commands_of(&self, node: usize, names: &[&str]) -> u64 {
        self.nodes[node].calls(names).await
    }
}
