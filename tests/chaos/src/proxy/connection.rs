//! One connection through the proxy.

use support::Dice;
use tokio::io::{AsyncRead, AsyncReadExt as _, split};
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::forward::{Way, forward};
use super::manner::{Manner, Order, Side};
use super::{Upstream, Wire};

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Both ends are closed.
    Closed,
    /// The client is sent an RST.
    Reset,
    /// This end is closed, the other stays.
    Half(Side),
}

/// Serves a client until the connection ends.
pub(super) async fn serve(
    mut client: TcpStream,
    upstream: Upstream,
    orders: watch::Receiver<Order>,
    mut dice: Dice,
) {
    let born = orders.borrow().number;
    // Resets it at once where that is the manner: there is no need of a server for it.
    let end = if ends(*orders.borrow(), born).is_some() {
        End::Reset
    } else {
        let Ok(mut server) = upstream.connect().await else { return };
        let end = exchange(&mut client, &mut server, &orders, born, &mut dice).await;
        match end {
            End::Half(Side::Server) => {
                drop(server);
                return stay(client).await;
            }
            End::Half(Side::Client) => {
                drop(client);
                return stay(server).await;
            }
            End::Closed | End::Reset => end,
        }
    };
    if end == End::Reset {
        let _ = client.set_zero_linger();
    }
}

async fn exchange(
    client: &mut TcpStream,
    server: &mut Box<dyn Wire>,
    orders: &watch::Receiver<Order>,
    born: u64,
    dice: &mut Dice,
) -> End {
    let (mut from_client, mut to_client) = client.split();
    let (mut from_server, mut to_server) = split(server);
    let requests = Way::requests(orders.clone(), born, dice.split());
    let replies = Way::replies(orders.clone(), born, dice.split());
    tokio::select! {
        () = forward(&mut from_client, &mut to_server, requests) => End::Closed,
        () = forward(&mut from_server, &mut to_client, replies) => End::Closed,
        end = told(orders.clone(), born) => end,
    }
}

/// Waits for an order that ends a connection.
async fn told(mut orders: watch::Receiver<Order>, born: u64) -> End {
    loop {
        if let Some(end) = ends(*orders.borrow_and_update(), born) {
            return end;
        }
        if orders.changed().await.is_err() {
            return End::Closed;
        }
    }
}

fn ends(order: Order, born: u64) -> Option<End> {
    match order.towards(born) {
        Manner::Reset | Manner::Refuse => Some(End::Reset),
        Manner::HalfOpen(side) => Some(End::Half(side)),
        _ => None,
    }
}

/// Keeps an end open, and says nothing, until whoever is there has closed it.
async fn stay(mut stream: impl AsyncRead + Unpin) {
    let mut bytes = [0; 4096];
    while stream.read(&mut bytes).await.is_ok_and(|read| read > 0) {}
}
