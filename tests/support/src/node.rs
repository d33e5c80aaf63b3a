//! A server on a loopback port, alone or one of several.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, FromRedisValue, RedisResult};
use tempfile::TempDir;

use crate::process::Process;
use crate::{Authority, free_port, program};

/// Of the tests' own commands: a busy machine has to meet it, and a frozen server must not hold a
/// test up.
const ANSWER: Duration = Duration::from_secs(5);

/// How a server is reached.
#[derive(Clone, Debug, Default)]
pub(crate) struct Access {
    pub(crate) authority: Option<Arc<Authority>>,
    pub(crate) password: Option<String>,
    /// Of the password, where users are set up otherwise; without one it is the password of `default`.
    pub(crate) user: Option<String>,
}

impl Access {
    fn of(user: &str, password: &str) -> Self {
        Self { user: Some(user.to_owned()), password: Some(password.to_owned()), ..Self::default() }
    }
}

/// A server on a port of the loopback interface.
#[derive(Debug)]
pub struct Node {
    folder: TempDir,
    port: u16,
    kind: Kind,
    access: Access,
    process: Process,
}

#[derive(Clone, Debug)]
pub(crate) enum Kind {
    /// With further options.
    Server(Vec<String>),
    /// With these lines of settings.
    Sentinel(String),
    /// By a file of settings, with further options.
    File(PathBuf, Vec<String>),
}

impl Node {
    /// Starts a server that is none of several.
    ///
    /// # Panics
    ///
    /// Where it does not come up.
    pub async fn alone() -> Self {
        Self::start(Kind::Server(Vec::new()), Access::default()).await
    }

    /// Starts a server by a file of settings, in the folder of that file and with further options. What
    /// the file has it keep on disk is in [`Node::folder`], and is there after a restart. The tests' own
    /// commands are sent as `user`.
    ///
    /// # Panics
    ///
    /// Where it does not come up.
    pub async fn from_file(file: &Path, options: &[&str], [user, password]: [&str; 2]) -> Self {
        let options = options.iter().map(|&option| option.to_owned()).collect();
        Self::start(Kind::File(file.to_owned(), options), Access::of(user, password)).await
    }

    pub(crate) async fn start(kind: Kind, access: Access) -> Self {
        let begun = Instant::now();
        loop {
            let folder = tempfile::tempdir().expect("a temporary folder");
            let port = free_port();
            if let Kind::Sentinel(settings) = &kind {
                let file = folder.path().join("sentinel.conf");
                std::fs::write(file, settings).expect("a file can be written");
            }
            let process = Process::spawn(command(&kind, folder.path(), port, &access));
            let (kind, access) = (kind.clone(), access.clone());
            let mut node = Self { folder, port, kind, access, process };
            if node.comes_up().await {
                return node;
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "redis-server does not come up");
        }
    }

    /// The folder in which it keeps its files.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its host and port.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Whether it is neither killed nor frozen.
    pub fn runs(&self) -> bool {
        self.process.runs()
    }

    /// A connection of the test's own.
    ///
    /// # Panics
    ///
    /// Where the server does not answer.
    pub async fn client(&self) -> MultiplexedConnection {
        self.try_client().await.expect("the server answers")
    }

    /// One command, by its words.
    ///
    /// # Panics
    ///
    /// Where the server answers with an error, or not at all.
    pub async fn command<T: FromRedisValue>(&self, words: &[&str]) -> T {
        self.try_command(words).await.unwrap_or_else(|error| panic!("{words:?}: {error}"))
    }

    /// One command, by its words, which may fail.
    pub async fn try_command<T: FromRedisValue>(&self, words: &[&str]) -> RedisResult<T> {
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]);
        command.query_async(&mut self.try_client().await?).await
    }

    /// How often the server has carried out any of some commands, for clients or as a replica.
    pub async fn calls(&self, commands: &[&str]) -> u64 {
        let stats: String = self.command(&["INFO", "commandstats"]).await;
        let calls = stats.lines().filter_map(|line| {
            let (command, calls) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
            let asked = commands.contains(&command);
            asked.then(|| calls.split(',').next()?.parse::<u64>().ok()).flatten()
        });
        calls.sum()
    }

    /// The values of fields of a reply such as that to `INFO`, empty where the server does not
    /// answer.
    pub(crate) async fn fields<const N: usize>(
        &self,
        ask: &[&str],
        names: [&str; N],
    ) -> [String; N] {
        let reply: String = self.try_command(ask).await.unwrap_or_default();
        let field = |name: &str| {
            let value = reply.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            value.unwrap_or_default().trim().to_owned()
        };
        names.map(field)
    }

    /// Ends it as a crash would.
    ///
    /// # Panics
    ///
    /// Where the process cannot be ended.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it anew on its port, with its settings, and without its data unless the settings keep them.
    ///
    /// # Panics
    ///
    /// Where it does not come up.
    pub async fn restart(&mut self) {
        self.process.kill();
        let begun = Instant::now();
        loop {
            let command = command(&self.kind, self.folder.path(), self.port, &self.access);
            self.process = Process::spawn(command);
            if self.comes_up().await {
                return;
            }
            assert!(begun.elapsed() < Duration::from_secs(30), "somebody has taken its port");
        }
    }

    /// Stops it as a debugger would: connections stay open and nothing is answered.
    ///
    /// # Panics
    ///
    /// Where it has ended.
    pub fn freeze(&self) {
        self.process.freeze();
    }

    /// Lets it go on.
    ///
    /// # Panics
    ///
    /// Where it has ended.
    pub fn thaw(&self) {
        self.process.thaw();
    }

    async fn try_client(&self) -> RedisResult<MultiplexedConnection> {
        let login = match &self.access.password {
            Some(password) => {
                format!("{}:{password}@", self.access.user.as_deref().unwrap_or_default())
            }
            None => String::new(),
        };
        let scheme = if self.access.authority.is_some() { "rediss" } else { "redis" };
        let url = format!("{scheme}://{login}{}", self.address());
        let client = match &self.access.authority {
            Some(authority) => redis::Client::build_with_tls(url, authority.certificates())?,
            None => redis::Client::open(url)?,
        };
        let patience = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(ANSWER))
            .set_response_timeout(Some(ANSWER));
        client.get_multiplexed_async_connection_with_config(&patience).await
    }

    /// Whether it answers in the end; false where its process has ended, as where the port is taken.
    async fn comes_up(&mut self) -> bool {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(30) {
            // Another server may answer in its place.
            let [id] = self.fields(&["INFO", "server"], ["process_id"]).await;
            if id == self.process.id().to_string() {
                return true;
            }
            if self.process.has_ended() {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        false
    }
}

fn command(kind: &Kind, folder: &Path, port: u16, access: &Access) -> Command {
    let mut command = match kind {
        Kind::Server(_) => program::server(folder),
        Kind::Sentinel(_) => program::sentinel(&folder.join("sentinel.conf")),
        Kind::File(file, _) => program::from_file(file, folder),
    };
    match &access.authority {
        Some(authority) => command.args(authority.options(port)),
        None => command.args(["--port", &port.to_string()]),
    };
    command.args(["--bind", "127.0.0.1"]);
    if let Access { password: Some(password), user: None, .. } = access {
        command.args(["--requirepass", password]);
    }
    if let Kind::Server(options) | Kind::File(_, options) = kind {
        command.args(options);
    }
    command
}
