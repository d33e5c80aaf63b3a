//! The way from one process to the server, which can be held up or cut.

use std::path::PathBuf;

use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;

/// What gets through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    Free,
    /// What the process sends arrives late, in its order.
    RequestsHeld,
    RepliesHeld,
}

/// A socket in front of a server's.
pub struct Wire {
    folder: TempDir,
    flow: watch::Sender<Flow>,
    cuts: watch::Sender<u32>,
}

impl Wire {
    pub fn new(server: PathBuf) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let listener = UnixListener::bind(folder.path().join("wire.sock")).expect("a socket");
        let (flow, _) = watch::channel(Flow::Free);
        let (cuts, _) = watch::channel(0);
        tokio::spawn(accept(listener, server, flow.clone(), cuts.clone()));
        Self { folder, flow, cuts }
    }

    pub fn url(&self) -> String {
        format!("unix://{}", self.folder.path().join("wire.sock").display())
    }

    pub fn set(&self, flow: Flow) {
        self.flow.send_replace(flow);
    }

    /// Ends all connections that there are.
    pub fn cut(&self) {
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
                () = pump(requests, to_server, flow.subscribe(), Flow::RequestsHeld) => {}
                () = pump(replies, to_client, flow.subscribe(), Flow::RepliesHeld) => {}
                _ = cut.changed() => {}
            }
        });
    }
}

async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut flow: watch::Receiver<Flow>,
    held: Flow,
) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        if flow.wait_for(|flow| *flow != held).await.is_err() {
            return;
        }
        if to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}
