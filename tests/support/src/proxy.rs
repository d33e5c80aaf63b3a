//! A proxy on loopback that passes a client's commands on to a server, refuses them, or hangs up.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, split};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What a proxy does with a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The server answers it.
    Pass,
    /// It is answered with this error.
    Refuse(&'static str),
    /// The connection is closed.
    HangUp,
}

type Rule = Box<dyn Fn(&[String]) -> Verdict + Send + Sync>;

/// A proxy; it ends with its handle.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

struct Shared {
    rule: Rule,
    target: Mutex<String>,
    /// Connections that were accepted before this many had been are silent.
    silenced: watch::Sender<usize>,
    accepted: AtomicUsize,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("accepted", &self.accepted).finish_non_exhaustive()
    }
}

impl Proxy {
    /// Listens on a free port, in front of a server on a socket (a path) or on a port
    /// (`host:port`). The rule is asked about each command, by its words.
    ///
    /// # Panics
    ///
    /// Where there is no free port.
    pub async fn start(
        target: impl Into<String>,
        rule: impl Fn(&[String]) -> Verdict + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let shared = Arc::new(Shared {
            rule: Box::new(rule),
            target: Mutex::new(target.into()),
            silenced: watch::Sender::new(0),
            accepted: AtomicUsize::new(0),
        });
        let accepting = tokio::spawn(accept(listener, shared.clone()));
        Self { address, shared, accepting }
    }

    /// The URL, for `REDIS_URL`.
    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// How many connections there have been.
    pub fn dials(&self) -> usize {
        self.shared.accepted.load(Ordering::SeqCst)
    }

    /// Connections that come from now on lead to another server; those that are there stay.
    pub fn lead_to(&self, target: impl Into<String>) {
        *self.shared.target.lock().unwrap_or_else(PoisonError::into_inner) = target.into();
    }

    /// Connections that are there stay open and carry nothing any more, as behind a NAT that has
    /// forgotten them.
    pub fn forget(&self) {
        self.shared.silenced.send_replace(self.dials());
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            Ok((client, _)) = listener.accept() => {
                let number = shared.accepted.fetch_add(1, Ordering::SeqCst);
                connections.spawn(serve(client, number, shared.clone()));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve(client: TcpStream, number: usize, shared: Arc<Shared>) -> io::Result<()> {
    client.set_nodelay(true)?;
    let target = shared.target.lock().unwrap_or_else(PoisonError::into_inner).clone();
    if target.starts_with('/') {
        exchange(client, UnixStream::connect(target).await?, number, &shared).await
    } else {
        exchange(client, TcpStream::connect(target).await?, number, &shared).await
    }
}

async fn exchange(
    client: TcpStream,
    server: impl AsyncRead + AsyncWrite,
    number: usize,
    shared: &Shared,
) -> io::Result<()> {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = split(server);
    let mut silenced = shared.silenced.subscribe();
    tokio::select! {
        ended = requests(&mut from_client, &mut to_server, &shared.rule) => return ended,
        ended = tokio::io::copy(&mut from_server, &mut to_client) => return ended.map(drop),
        _ = silenced.wait_for(|before| number < *before) => {}
    }
    std::future::pending().await
}

async fn requests(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    rule: &Rule,
) -> io::Result<()> {
    let mut bytes = Vec::new();
    while from.read_buf(&mut bytes).await? > 0 {
        while let Some((words, length)) = command(&bytes) {
            match rule(&words) {
                Verdict::Pass => to.write_all(&bytes[..length]).await?,
                // The server says it, in its turn.
                Verdict::Refuse(error) => to.write_all(&error_of(error)).await?,
                Verdict::HangUp => return Ok(()),
            }
            bytes.drain(..length);
        }
    }
    Ok(())
}

/// The words of the first command, and how many bytes it takes; `None` where it is not complete.
fn command(bytes: &[u8]) -> Option<(Vec<String>, usize)> {
    let (count, mut at) = number(bytes, 0)?;
    let mut words = Vec::new();
    for _ in 0..count {
        let (length, from) = number(bytes, at)?;
        let word = bytes.get(from..from + length)?;
        words.push(String::from_utf8_lossy(word).into_owned());
        at = from + length + 2;
    }
    (at <= bytes.len()).then_some((words, at))
}

/// The number in the line at `at`, behind its kind, and where the line ends.
fn number(bytes: &[u8], at: usize) -> Option<(usize, usize)> {
    let rest = bytes.get(at + 1..)?;
    let end = rest.windows(2).position(|pair| pair == b"\r\n")?;
    let digits = std::str::from_utf8(&rest[..end]).ok()?;
    Some((digits.parse().ok()?, at + 1 + end + 2))
}

/// A command that a server answers with an error.
fn error_of(text: &str) -> Vec<u8> {
    let words = ["EVAL", "return redis.error_reply(ARGV[1])", "0", text];
    let each = words.map(|word| format!("${}\r\n{word}\r\n", word.len()));
    format!("*{}\r\n{}", words.len(), each.concat()).into_bytes()
}
