//! The way from one process to the server, which can be held up or cut.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use support::Dice;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;

/// What gets through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    Free,
    /// What the process sends arrives late, in its order.
    RequestsHeld,
    /// The same, from a write on: what was read before it is known by then.
    WritesHeld,
    /// The same, from an invalidation on.
    RemovalsHeld,
    RepliesHeld,
}

/// A socket in front of a server's.
pub(crate) struct Wire {
    folder: TempDir,
    all: Tap,
    listening: Tap,
}

/// What happens to some of its connections.
#[derive(Clone)]
struct Tap {
    flow: watch::Sender<Flow>,
    cuts: watch::Sender<u32>,
}

impl Wire {
    pub(crate) fn new(server: PathBuf) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let listener = UnixListener::bind(folder.path().join("wire.sock")).expect("a socket");
        let (all, listening) = (Tap::open(), Tap::open());
        tokio::spawn(accept(listener, server, all.clone(), listening.clone()));
        Self { folder, all, listening }
    }

    pub(crate) fn url(&self) -> String {
        format!("unix://{}", self.folder.path().join("wire.sock").display())
    }

    /// Holds something up for a while.
    pub(crate) fn hold(&self, flow: Flow, pause: Duration) -> impl Future<Output = ()> + use<> {
        self.all.clone().hold(flow, pause)
    }

    /// Holds something up on the connection that hears of changes, and on no other.
    pub(crate) fn deafen(&self, flow: Flow, pause: Duration) -> impl Future<Output = ()> + use<> {
        self.listening.clone().hold(flow, pause)
    }

    /// Now and then holds writes up for a little longer than a command may take, `timeout`: they
    /// are given up, and arrive.
    pub(crate) fn hiccups(
        &self,
        timeout: Duration,
        mut dice: Dice,
    ) -> impl Future<Output = ()> + use<> {
        let flow = self.all.flow.clone();
        let mut millis = move |range| Duration::from_millis(dice.within(range));
        async move {
            loop {
                tokio::time::sleep(millis(400..2000)).await;
                flow.send_replace(Flow::WritesHeld);
                tokio::time::sleep(timeout + millis(10..120)).await;
                flow.send_replace(Flow::Free);
            }
        }
    }

    /// Ends all connections that there are.
    pub(crate) fn cut(&self) {
        self.all.cut();
    }

    /// Ends the connection that hears of changes.
    pub(crate) fn cut_listening(&self) {
        self.listening.cut();
    }
}

impl Tap {
    fn open() -> Self {
        Self { flow: watch::Sender::new(Flow::Free), cuts: watch::Sender::new(0) }
    }

    async fn hold(self, flow: Flow, pause: Duration) {
        self.flow.send_replace(flow);
        tokio::time::sleep(pause).await;
        self.flow.send_replace(Flow::Free);
    }

    fn cut(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }
}

async fn accept(listener: UnixListener, server: PathBuf, all: Tap, listening: Tap) {
    while let Ok((client, _)) = listener.accept().await {
        let Ok(server) = UnixStream::connect(&server).await else { continue };
        tokio::spawn(connect(client, server, all.clone(), listening.clone()));
    }
}

/// One connection, until either side ends it or it is cut.
async fn connect(client: UnixStream, server: UnixStream, all: Tap, listening: Tap) {
    let listens = Arc::new(AtomicBool::new(false));
    let gate = |holds| Gate {
        all: all.flow.subscribe(),
        listening: listening.flow.subscribe(),
        listens: listens.clone(),
        holds,
    };
    let (mut cut, mut deafened) = (all.cuts.subscribe(), listening.cuts.subscribe());
    let deafened =
        async { while deafened.changed().await.is_ok() && !listens.load(Ordering::Relaxed) {} };
    let (requests, to_client) = client.into_split();
    let (replies, to_server) = server.into_split();
    tokio::select! {
        () = pump(requests, to_server, gate(holds_requests)) => {}
        () = pump(replies, to_client, gate(holds_replies)) => {}
        _ = cut.changed() => {}
        () = deafened => {}
    }
}

/// What one direction of a connection has to pass.
struct Gate {
    all: watch::Receiver<Flow>,
    listening: watch::Receiver<Flow>,
    listens: Arc<AtomicBool>,
    holds: fn(Flow, &[u8]) -> bool,
}

impl Gate {
    /// False once there is nobody left to open it.
    async fn pass(&mut self, sent: &[u8]) -> bool {
        if sent.windows(8).any(|word| word == b"TRACKING") {
            self.listens.store(true, Ordering::Relaxed);
        }
        let holds = self.holds;
        let passes = |flow: &Flow| !holds(*flow, sent);
        let deaf = self.listens.load(Ordering::Relaxed);
        self.all.wait_for(passes).await.is_ok()
            && (!deaf || self.listening.wait_for(passes).await.is_ok())
    }
}

async fn pump(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, mut gate: Gate) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        let sent = &buffer[..read];
        if !gate.pass(sent).await || to.write_all(sent).await.is_err() {
            return;
        }
    }
}

fn holds_requests(flow: Flow, sent: &[u8]) -> bool {
    match flow {
        Flow::RequestsHeld => true,
        // All that writes but an invalidation is a script.
        Flow::WritesHeld => sent.windows(7).any(|word| word == b"EVALSHA"),
        Flow::RemovalsHeld => sent.windows(6).any(|word| word == b"UNLINK"),
        Flow::Free | Flow::RepliesHeld => false,
    }
}

fn holds_replies(flow: Flow, _: &[u8]) -> bool {
    flow == Flow::RepliesHeld
}
