//! The proxy does what it is told, to a real server behind it.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use chaos::{Garble, Manner, Proxy, Side, Upstream, Whom};
use support::{Server, eventually};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

const PONG: &[u8] = b"+PONG\r\n";

/// Longer than an answer takes, as a rule: nothing that is asserted fails where it takes longer.
const SILENCE: Duration = Duration::from_millis(200);

async fn started() -> (Server, Proxy) {
    let server = Server::start().await;
    let proxy = Proxy::start(Upstream::Unix(server.socket()), 1);
    (server, proxy)
}

async fn connect(proxy: &Proxy) -> TcpStream {
    TcpStream::connect(proxy.address()).await.expect("it listens")
}

async fn ask(stream: &mut TcpStream) {
    stream.write_all(b"PING\r\n").await.expect("it is open");
}

/// So many bytes that come in within seconds.
async fn read(stream: &mut TcpStream, size: usize) -> Vec<u8> {
    let mut bytes = vec![0; size];
    let read = timeout(Duration::from_secs(20), stream.read_exact(&mut bytes)).await;
    read.expect("an answer").expect("it is open");
    bytes
}

/// All that comes in until the other end is closed.
async fn read_all(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    let read = timeout(Duration::from_secs(20), stream.read_to_end(&mut bytes)).await;
    read.expect("it is closed").expect("it is not reset");
    bytes
}

async fn answers(stream: &mut TcpStream) {
    ask(stream).await;
    assert_eq!(read(stream, PONG.len()).await, PONG);
}

async fn is_silent(stream: &mut TcpStream) {
    assert!(timeout(SILENCE, stream.read_u8()).await.is_err(), "it says something, or is closed");
}

async fn clients(server: &Server) -> usize {
    let list: String = server.command(&["CLIENT", "LIST"]).await;
    list.lines().count() - 1
}

#[tokio::test]
async fn a_faithful_proxy_hands_over_what_comes_also_over_tcp() {
    let (server, proxy) = started().await;
    answers(&mut connect(&proxy).await).await;
    let second = Proxy::start(Upstream::Tcp(proxy.address()), 1);
    answers(&mut connect(&second).await).await;
    drop((server, proxy));
}

#[tokio::test]
async fn what_is_delayed_arrives_late_and_in_order() {
    let (_server, proxy) = started().await;
    let each_way = Duration::from_millis(50);
    proxy.behave(Manner::Delay { each_way, jitter: Duration::from_millis(20) });
    let (mut stream, begun) = (connect(&proxy).await, Instant::now());
    for number in 0..20 {
        stream.write_all(format!("ECHO {number}\r\n").as_bytes()).await.unwrap();
    }
    for number in 0..20 {
        let echo = format!("${}\r\n{number}\r\n", number.to_string().len());
        assert_eq!(read(&mut stream, echo.len()).await, echo.as_bytes());
    }
    assert!(begun.elapsed() >= 2 * each_way);
}

#[tokio::test]
async fn what_is_lost_never_comes_and_the_connection_stays() {
    let (_server, proxy) = started().await;
    let mut stream = connect(&proxy).await;
    answers(&mut stream).await;
    proxy.behave(Manner::Lose);
    ask(&mut stream).await;
    is_silent(&mut stream).await;
    proxy.behave(Manner::Faithful);
    answers(&mut stream).await;
}

#[tokio::test]
async fn a_black_hole_for_the_old_serves_the_new_and_gives_back_what_it_holds() {
    let (_server, proxy) = started().await;
    let mut old = connect(&proxy).await;
    answers(&mut old).await;
    proxy.behave(Manner::Swallow(Whom::Old));
    ask(&mut old).await;
    is_silent(&mut old).await;
    answers(&mut connect(&proxy).await).await;
    proxy.behave(Manner::Swallow(Whom::All));
    let mut new = connect(&proxy).await;
    ask(&mut new).await;
    is_silent(&mut new).await;
    proxy.behave(Manner::Faithful);
    for stream in [&mut old, &mut new] {
        assert_eq!(read(stream, PONG.len()).await, PONG);
    }
}

#[tokio::test]
async fn a_connection_without_a_server_stays_open_and_silent() {
    let (server, proxy) = started().await;
    let mut old = connect(&proxy).await;
    answers(&mut old).await;
    proxy.behave(Manner::HalfOpen(Side::Server));
    eventually("the server has lost it", || async { clients(&server).await == 0 }).await;
    ask(&mut old).await;
    is_silent(&mut old).await;
    answers(&mut connect(&proxy).await).await;
}

#[tokio::test]
async fn a_connection_without_a_client_stays_open_at_the_server() {
    let (server, proxy) = started().await;
    let mut old = connect(&proxy).await;
    answers(&mut old).await;
    proxy.behave(Manner::HalfOpen(Side::Client));
    assert_eq!(read_all(&mut old).await, b"");
    assert_eq!(clients(&server).await, 1);
}

#[tokio::test]
async fn connections_are_reset_those_to_come_too() {
    let (_server, proxy) = started().await;
    let mut old = connect(&proxy).await;
    answers(&mut old).await;
    proxy.behave(Manner::Reset);
    let reset = old.read_u8().await.unwrap_err();
    assert_eq!(reset.kind(), ErrorKind::ConnectionReset);
    let next = connect(&proxy).await.read_u8().await;
    assert_eq!(next.unwrap_err().kind(), ErrorKind::ConnectionReset);
    proxy.behave(Manner::Faithful);
    answers(&mut connect(&proxy).await).await;
}

#[tokio::test]
async fn connections_are_refused_and_the_port_is_kept() {
    let (_server, proxy) = started().await;
    proxy.behave(Manner::Refuse);
    let refused = || async {
        let refused = TcpStream::connect(proxy.address()).await;
        refused.is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
    };
    eventually("nobody listens", refused).await;
    proxy.behave(Manner::Faithful);
    eventually("somebody listens", || async { !refused().await }).await;
    answers(&mut connect(&proxy).await).await;
}

#[tokio::test]
async fn what_drips_arrives_whole() {
    let (_server, proxy) = started().await;
    proxy.behave(Manner::Drip(20));
    let mut stream = connect(&proxy).await;
    let (text, begun) = ("x".repeat(1000), Instant::now());
    stream.write_all(format!("ECHO {text}\r\n").as_bytes()).await.unwrap();
    let echo = format!("$1000\r\n{text}\r\n");
    assert_eq!(read(&mut stream, echo.len()).await, echo.as_bytes());
    assert!(begun.elapsed() >= Duration::from_millis(100), "each way takes fifty at least");
}

#[tokio::test]
async fn a_reply_that_is_cut_ends_in_its_middle() {
    let (_server, proxy) = started().await;
    proxy.behave(Manner::CutReply(1));
    let mut stream = connect(&proxy).await;
    ask(&mut stream).await;
    let part = read_all(&mut stream).await;
    assert!(!part.is_empty() && part.len() < PONG.len() && PONG.starts_with(&part));
}

#[tokio::test]
async fn replies_are_broken_as_told() {
    let (_server, proxy) = started().await;
    let mut stream = connect(&proxy).await;
    proxy.behave(Manner::Garble(Garble::Duplicate, 1));
    ask(&mut stream).await;
    assert_eq!(read(&mut stream, 14).await, PONG.repeat(2));
    proxy.behave(Manner::Garble(Garble::Truncate, 1));
    ask(&mut stream).await;
    let first = read(&mut stream, 1).await;
    assert_eq!(first, b"+");
    proxy.behave(Manner::Garble(Garble::WrongType, 1));
    let mut other = connect(&proxy).await;
    ask(&mut other).await;
    let broken = read(&mut other, PONG.len()).await;
    assert!(broken[0] != b'+' && broken[1..] == PONG[1..], "{broken:?}");
}
