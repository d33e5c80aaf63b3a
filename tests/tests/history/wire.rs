//! The way from one process to the server, which can be held up or cut.

use std::path::PathBuf;
use std::time::Duration;

use integration_tests::Dice;
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
    RepliesHeld,
}

/// A socket in front of a server's.
pub(crate) struct Wire {
    folder: TempDir,
    flow: watch::Sender<Flow>,
    cuts: watch::Sender<u32>,
}

impl Wire {
    pub(crate) fn new(server: PathBuf) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let listener = UnixListener::bind(folder.path().join("wire.sock")).expect("a socket");
        let (flow, _) = watch::channel(Flow::Free);
        let (cuts, _) = watch::channel(0);
        tokio::spawn(accept(listener, server, flow.clone(), cuts.clone()));
        Self { folder, flow, cuts }
    }

    pub(crate) fn url(&self) -> String {
        format!("unix://{}", self.folder.path().join("wire.sock").display())
    }

    /// Holds something up for a while.
    pub(crate) async fn hold(&self, flow: Flow, pause: Duration) {
        self.flow.send_replace(flow);
        tokio::time::sleep(pause).await;
        self.flow.send_replace(Flow::Free);
    }

    /// Now and then holds writes up for a little longer than a command may take, `timeout`: they
    /// are given up, and arrive.
    pub(crate) fn hiccups(
        &self,
        timeout: Duration,
        mut dice: Dice,
    ) -> impl Future<Output = ()> + use<> {
        let flow = self.flow.clone();
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
        self.cuts.send_modify(|cuts| *cuts += 1);
    }
}

async fn accept(
    listener: UnixListener,
    server: PathBuf,
    flow: watch::Sender<Flow>,
    cuts: watch::Sender<u32>,
) {
    while let Ok((client, _)) = listener.accept().await {
        let Ok(server) = UnixStream::connect(&server).await else { continue };
        let (flow, mut cut) = (flow.clone(), cuts.subscribe());
        tokio::spawn(async move {
            let (requests, to_client) = client.into_split();
            let (replies, to_server) = server.into_split();
            tokio::select! {
                () = pump(requests, to_server, flow.subscribe(), holds_requests) => {}
                () = pump(replies, to_client, flow.subscribe(), holds_replies) => {}
                _ = cut.changed() => {}
            }
        });
    }
}

async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut flow: watch::Receiver<Flow>,
    holds: fn(Flow, &[u8]) -> bool,
) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        let sent = &buffer[..read];
        if flow.wait_for(|flow| !holds(*flow, sent)).await.is_err() {
            return;
        }
        if to.write_all(sent).await.is_err() {
            return;
        }
    }
}

fn holds_requests(flow: Flow, sent: &[u8]) -> bool {
    match flow {
        Flow::RequestsHeld => true,
        // All that writes but an invalidation is a script.
        Flow::WritesHeld => sent.windows(7).any(|word| word == b"EVALSHA"),
        Flow::Free | Flow::RepliesHeld => false,
    }
}

fn holds_replies(flow: Flow, _: &[u8]) -> bool {
    flow == Flow::RepliesHeld
}
