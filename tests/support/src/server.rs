//! A redis-server for one test.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cache_runtime::{Cache, Config};
use redis::aio::MultiplexedConnection;
use tempfile::TempDir;

use crate::process::Process;
use crate::{patient, program};

/// Commands that only the script of the cache and the tests' own scripts call.
const SCRIPTED: [&str; 3] = ["getrange", "setrange", "pexpire"];

/// A redis-server of this test's own.
#[derive(Debug)]
pub struct Server {
    folder: TempDir,
    options: Vec<String>,
    process: Process,
}

impl Server {
    /// Starts a server and waits until it answers.
    ///
    /// # Panics
    ///
    /// Where there is no redis-server, with what to do about it.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// Starts a server with further options, as on its command line.
    ///
    /// # Panics
    ///
    /// As [`Server::start`].
    pub async fn start_with(options: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let options: Vec<String> = options.iter().map(|&option| option.to_owned()).collect();
        let process = spawn(folder.path(), &options);
        let server = Self { folder, options, process };
        server.wait_until_up().await;
        server
    }

    /// Starts a server that removes what has expired only when somebody asks for it, as one with very
    /// many keys may.
    ///
    /// # Panics
    ///
    /// As [`Server::start`].
    pub async fn start_without_active_expiry() -> Self {
        // Before version 7 there was no leave to ask for.
        let leave: &[&str] =
            if program::major() < 7 { &[] } else { &["--enable-debug-command", "yes"] };
        let server = Self::start_with(leave).await;
        server.command::<()>(&["DEBUG", "SET-ACTIVE-EXPIRE", "0"]).await;
        server
    }

    /// A socket that nobody listens on: a server that is absent.
    ///
    /// # Panics
    ///
    /// Where no temporary folder can be made.
    pub fn absent() -> (TempDir, String) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let url = format!("unix://{}", folder.path().join("redis.sock").display());
        (folder, url)
    }

    /// The socket.
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("redis.sock")
    }

    /// The URL, for `REDIS_URL`.
    pub fn url(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    /// Settings for this server, patient enough that a busy machine bypasses nothing.
    ///
    /// # Panics
    ///
    /// Never: the URL is well-formed.
    pub fn config(&self) -> Config {
        patient(Config::redis(&self.url()).expect("a well-formed URL"))
    }

    /// A connected cache with patient settings.
    ///
    /// # Panics
    ///
    /// Where the server does not answer.
    pub async fn cache(&self) -> Cache {
        Cache::connect(self.config()).await.expect("the server answers")
    }

    /// A connection of the test's own.
    ///
    /// # Panics
    ///
    /// Where the server does not answer.
    pub async fn client(&self) -> MultiplexedConnection {
        self.try_client().await.expect("the server answers")
    }

    async fn try_client(&self) -> redis::RedisResult<MultiplexedConnection> {
        let client = redis::Client::open(self.url())?;
        client.get_multiplexed_async_connection().await
    }

    /// One command, by its words.
    ///
    /// # Panics
    ///
    /// Where the server answers with an error.
    pub async fn command<T: redis::FromRedisValue>(&self, words: &[&str]) -> T {
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]);
        command.query_async(&mut self.client().await).await.expect("the command succeeds")
    }

    /// All keys, sorted.
    pub async fn keys(&self) -> Vec<String> {
        let mut keys: Vec<String> = self.command(&["KEYS", "*"]).await;
        keys.sort();
        keys
    }

    /// The keys of entries, sorted: all but those of tokens.
    pub async fn entries(&self) -> Vec<String> {
        let mut keys = self.keys().await;
        keys.retain(|key| !key.contains(":~") && !key.contains(":#"));
        keys
    }

    /// How often the server has carried out a command.
    pub async fn calls(&self, command: &str) -> u64 {
        let stats: String = self.command(&["INFO", "commandstats"]).await;
        let line = format!("cmdstat_{command}:calls=");
        let calls = stats.lines().find_map(|stat| stat.strip_prefix(&line));
        calls.and_then(|calls| calls.split(',').next()?.parse().ok()).unwrap_or(0)
    }

    /// How many commands clients have sent, not counting what these questions take.
    pub async fn commands(&self) -> u64 {
        let stats: String = self.command(&["INFO", "commandstats"]).await;
        let asked = ["info", "client|setinfo", "hello", "select", "ping", "role"];
        let calls = stats.lines().filter_map(|line| {
            let (command, calls) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
            let sent = !asked.contains(&command) && !SCRIPTED.contains(&command);
            sent.then(|| calls.split(',').next()?.parse::<u64>().ok()).flatten()
        });
        calls.sum()
    }

    /// Ends the server as a crash would.
    ///
    /// # Panics
    ///
    /// Where the process cannot be ended.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts the server anew on the same socket, empty.
    pub async fn restart(&mut self) {
        self.process.kill();
        let _ = std::fs::remove_file(self.socket());
        self.process = spawn(self.folder.path(), &self.options);
        self.wait_until_up().await;
    }

    /// Stops the process as a debugger would: connections stay open and nothing is answered.
    ///
    /// # Panics
    ///
    /// Where it has ended.
    pub fn freeze(&self) {
        self.process.freeze();
    }

    /// Lets a frozen server go on.
    ///
    /// # Panics
    ///
    /// Where it has ended.
    pub fn thaw(&self) {
        self.process.thaw();
    }

    async fn wait_until_up(&self) {
        let begun = Instant::now();
        while !self.is_up().await {
            assert!(begun.elapsed() < Duration::from_secs(30), "redis-server does not come up");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn is_up(&self) -> bool {
        let Ok(mut client) = self.try_client().await else { return false };
        let pong = redis::cmd("PING").query_async::<String>(&mut client).await;
        // A server that asks for a password is up.
        pong.map_or_else(|error| error.code() == Some("NOAUTH"), |_| true)
    }
}

/// On a socket alone.
fn spawn(folder: &Path, options: &[String]) -> Process {
    let mut command = program::server(folder);
    command
        .args(["--port", "0"])
        .args(["--unixsocket".as_ref(), folder.join("redis.sock").as_os_str()])
        .args(options);
    Process::spawn(command)
}
