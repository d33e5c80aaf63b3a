//! Ports of the loopback interface for servers that need them.

use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};

/// Below those that systems give to outgoing connections, which would take the port of a server
/// while it is down.
const PORTS: Range<u16> = 12_000..22_000;

/// How far above its port a node of a cluster has another, for the other nodes.
const BUS: u16 = 10_000;

/// A port that nobody has, and that no other server of this process will be given.
///
/// Another process may take it first: whoever starts a server has to ask whether it is the one that
/// answers.
///
/// # Panics
///
/// Where all are taken.
pub fn free_port() -> u16 {
    static HANDED_OUT: AtomicU32 = AtomicU32::new(0);
    let count = u32::from(PORTS.end - PORTS.start);
    // Where processes begin in different places they seldom meet.
    let begin = std::process::id().wrapping_mul(7919);
    for _ in 0..count {
        let next = begin.wrapping_add(HANDED_OUT.fetch_add(1, Ordering::SeqCst)) % count;
        let port = PORTS.start + u16::try_from(next).expect("less than there are ports");
        if is_free(port) && is_free(port + BUS) {
            return port;
        }
    }
    panic!("no port is free")
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}
