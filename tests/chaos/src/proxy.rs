//! A proxy on loopback between a cache and a server, whose manners change at any time.
//!
//! It knows where a reply of Redis ends, so that it can break one in the middle, or put something
//! between two of them.

mod connection;
mod forward;
mod frames;
mod garble;
mod manner;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use support::Dice;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

pub use garble::Garble;
use manner::Order;
pub use manner::{Manner, Side, Whom};

/// Connections that wait to be accepted.
const BACKLOG: u32 = 1024;

/// The server behind a proxy.
#[derive(Clone, Debug)]
pub enum Upstream {
    /// A socket in the file system.
    Unix(PathBuf),
    /// An address.
    Tcp(SocketAddr),
}

/// What goes in and out at the server's end.
pub(crate) trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

impl Upstream {
    async fn connect(&self) -> io::Result<Box<dyn Wire>> {
        Ok(match self {
            Self::Unix(path) => Box::new(UnixStream::connect(path).await?),
            Self::Tcp(address) => {
                let stream = TcpStream::connect(address).await?;
                stream.set_nodelay(true)?;
                Box::new(stream)
            }
        })
    }
}

/// A proxy; it ends with its handle, and all of its connections do.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    orders: watch::Sender<Order>,
    accepting: JoinHandle<()>,
    /// Keeps the port ours while nobody listens on it.
    _reserved: TcpSocket,
}

impl Proxy {
    /// Listens on a free port, and is faithful for now. What it chooses at random, a seed repeats.
    ///
    /// # Panics
    ///
    /// Where there is no free port, or no runtime.
    pub fn start(upstream: Upstream, seed: u64) -> Self {
        let reserved = socket("127.0.0.1:0".parse().expect("an address")).expect("a free port");
        let address = reserved.local_addr().expect("it is bound");
        let listener = listen(address).expect("the port is ours");
        let (orders, receiver) = watch::channel(Order::default());
        let accepting = accept(address, listener, upstream, receiver, Dice::new(seed));
        Self { address, orders, accepting: tokio::spawn(accepting), _reserved: reserved }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL, for `REDIS_URL`.
    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// How it behaves from now on, to the connections that are there and to those to come.
    pub fn behave(&self, manner: Manner) {
        self.orders.send_modify(|order| *order = order.then(manner));
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

fn socket(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    socket(address)?.listen(BACKLOG)
}

async fn accept(
    address: SocketAddr,
    listener: TcpListener,
    upstream: Upstream,
    mut orders: watch::Receiver<Order>,
    mut dice: Dice,
) {
    let mut listener = Some(listener);
    let mut connections = JoinSet::new();
    loop {
        let refuses = orders.borrow_and_update().manner == Manner::Refuse;
        if refuses {
            listener = None;
        } else if listener.is_none() {
            listener = listen(address).ok();
        }
        tokio::select! {
            changed = orders.changed() => if changed.is_err() { return },
            Some(_) = connections.join_next() => {}
            Ok(client) = next(listener.as_ref()) => {
                let (upstream, orders) = (upstream.clone(), orders.clone());
                connections.spawn(connection::serve(client, upstream, orders, dice.split()));
            }
            // A port that could not be had back is tried again.
            () = tokio::time::sleep(Duration::from_millis(20)), if listener.is_none() => {}
        }
    }
}

async fn next(listener: Option<&TcpListener>) -> io::Result<TcpStream> {
    let Some(listener) = listener else { return std::future::pending().await };
    let (client, _) = listener.accept().await?;
    client.set_nodelay(true)?;
    Ok(client)
}
