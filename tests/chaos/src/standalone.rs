//! One server, on its socket or behind a proxy.

mod fault;

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use support::{Server, eventually};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::{Deployment, Manner, Proxy, Upstream};
pub use fault::Fault;

/// How often something is done again while it goes wrong.
pub(crate) const AGAIN: Duration = Duration::from_millis(20);

/// What makes a server slow to load: keys, and how long it stops at each of them, in microseconds.
const FILLED: [&str; 2] = ["30000", "50"];

/// Fills a server with what is of no use.
const FILL: &str =
    "for i = 1, 50 do redis.call('SET', KEYS[1] .. i, string.rep('x', 1024), 'PX', 1000) end";

/// One server.
#[derive(Debug)]
pub struct Standalone {
    server: Server,
    proxy: Option<Proxy>,
    /// A connection from before anything went wrong.
    client: MultiplexedConnection,
    fault: Fault,
    storm: Option<JoinHandle<()>>,
}

impl Standalone {
    /// Starts a server, and a proxy where the fault is one of the network.
    ///
    /// # Panics
    ///
    /// Where there is no redis-server.
    pub async fn start(fault: Fault, seed: u64) -> Self {
        let server = match fault {
            Fault::Loading => loads_slowly().await,
            _ => Server::start().await,
        };
        let proxied = matches!(fault, Fault::Wire(_));
        let proxy = proxied.then(|| Proxy::start(Upstream::Unix(server.socket()), seed));
        let client = server.client().await;
        Self { server, proxy, client, fault, storm: None }
    }

    async fn command(&mut self, words: &[&str]) {
        send(&mut self.client, words).await.expect("the server answers");
    }

    /// Sends a command again and again from now on.
    fn storm(&mut self, words: &'static [&'static str]) {
        let mut client = self.client.clone();
        self.storm = Some(tokio::spawn(async move {
            loop {
                send(&mut client, words).await.expect("the server answers");
                sleep(AGAIN).await;
            }
        }));
    }

    /// Leaves the server less memory than it needs, and fills it all the time.
    async fn evict(&mut self) {
        let info: String = self.server.command(&["INFO", "memory"]).await;
        let used = info.lines().find_map(|line| line.strip_prefix("used_memory:")?.parse().ok());
        let used: u64 = used.expect("it says how much it uses");
        let most = (used + (20 << 10)).to_string();
        let policy = ["CONFIG", "SET", "maxmemory-policy", "allkeys-lru", "maxmemory", &most];
        self.command(&policy).await;
        self.storm(&["EVAL", FILL, "1", "filler:"]);
    }

    fn behave(&self, manner: Manner) {
        if let Some(proxy) = &self.proxy {
            proxy.behave(manner);
        }
    }

    async fn answers(&self) -> bool {
        let Ok(client) = redis::Client::open(self.server.url()) else { return false };
        let Ok(mut client) = client.get_multiplexed_async_connection().await else { return false };
        send(&mut client, &["PING"]).await.is_ok()
    }
}

impl Deployment for Standalone {
    fn url(&self) -> String {
        self.proxy.as_ref().map_or_else(|| self.server.url(), Proxy::url)
    }

    async fn inflict(&mut self) {
        match self.fault {
            Fault::Killed | Fault::Loading => self.server.kill(),
            Fault::Restarted => self.server.restart().await,
            Fault::Frozen => self.server.freeze(),
            Fault::Full => self.command(&["CONFIG", "SET", "maxmemory", "1"]).await,
            Fault::Evicting => self.evict().await,
            Fault::Paused => self.command(&["CLIENT", "PAUSE", "1500", "ALL"]).await,
            Fault::Cut => self.storm(&["CLIENT", "KILL", "TYPE", "normal"]),
            Fault::ReadOnly => self.command(&["REPLICAOF", "127.0.0.1", "1"]).await,
            Fault::OtherPassword => {
                self.command(&["CONFIG", "SET", "requirepass", "another"]).await;
                self.command(&["CLIENT", "KILL", "TYPE", "normal"]).await;
            }
            Fault::Flushed => self.storm(&["FLUSHALL"]),
            Fault::ScriptsFlushed => self.storm(&["SCRIPT", "FLUSH"]),
            Fault::Wire(manner) => self.behave(manner),
        }
    }

    async fn heal(&mut self) {
        if let Some(storm) = self.storm.take() {
            storm.abort();
        }
        match self.fault {
            Fault::Killed | Fault::Loading => self.server.restart().await,
            Fault::Frozen => self.server.thaw(),
            Fault::Full | Fault::Evicting => {
                self.command(&["CONFIG", "SET", "maxmemory", "0"]).await;
            }
            Fault::ReadOnly => self.command(&["REPLICAOF", "NO", "ONE"]).await,
            Fault::OtherPassword => self.command(&["CONFIG", "SET", "requirepass", ""]).await,
            Fault::Wire(_) => self.behave(Manner::Faithful),
            // These are over by themselves, or with their storm.
            Fault::Restarted
            | Fault::Paused
            | Fault::Cut
            | Fault::Flushed
            | Fault::ScriptsFlushed => {}
        }
        eventually("the server answers", || self.answers()).await;
    }
}

/// A server that takes seconds to load what it has saved.
async fn loads_slowly() -> Server {
    let [keys, delay] = FILLED;
    let often = ["--loading-process-events-interval-bytes", "1024"];
    let [leave, delay] = [["--enable-debug-command", "yes"], ["--key-load-delay", delay]];
    let server = Server::start_with(&[often, leave, delay].concat()).await;
    let _: String = server.command(&["DEBUG", "POPULATE", keys, "filler"]).await;
    let _: String = server.command(&["SAVE"]).await;
    server
}

async fn send(client: &mut MultiplexedConnection, words: &[&str]) -> redis::RedisResult<()> {
    let reply: redis::Value = redis::cmd(words[0]).arg(&words[1..]).query_async(client).await?;
    reply.extract_error().map(drop)
}
