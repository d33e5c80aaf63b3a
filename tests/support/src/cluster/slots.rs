//! Which slot a key is in, and whose that is.

use super::ClusterServers;
use crate::Node;

/// How many there are.
pub(super) const SLOTS: usize = 16_384;

/// The slot of a key.
pub fn slot_of(key: &str) -> u16 {
    let tagged = key.split_once('{').and_then(|(_, rest)| rest.split_once('}'));
    let hashed = tagged.map(|(tag, _)| tag).filter(|tag| !tag.is_empty()).unwrap_or(key);
    crc16(hashed.as_bytes()) % 16_384
}

/// CRC-16/XMODEM.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc: u16, _| {
            let carry = crc & 0x8000 != 0;
            (crc << 1) ^ if carry { 0x1021 } else { 0 }
        })
    })
}

impl ClusterServers {
    /// Which node serves a slot, as the first that runs says.
    ///
    /// # Panics
    ///
    /// Where no node serves it.
    pub async fn master_of(&self, slot: u16) -> usize {
        let node = self.nodes.iter().find(|node| node.runs()).expect("a node runs");
        // While a replica takes over, no node may serve the slot for a moment.
        let mut address = None;
        for _ in 0..200 {
            let nodes: String = node.command(&["CLUSTER", "NODES"]).await;
            let line = nodes.lines().find(|line| serves(line, slot));
            address = line.and_then(|line| line.split(' ').nth(1)).map(str::to_owned);
            if address.is_some() {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(25)).await;
        }
        let address = address.expect("a node serves it");
        let port = address.split('@').next().and_then(|address| address.rsplit(':').next());
        let port: u16 = port.and_then(|port| port.parse().ok()).expect("an address");
        self.nodes.iter().position(|node| node.port() == port).expect("a node of ours")
    }
}

/// Whether a node knows of no slot that the nodes at `addresses` serve.
pub(super) async fn have_none(node: &Node, addresses: &[String]) -> bool {
    let nodes: String = node.try_command(&["CLUSTER", "NODES"]).await.unwrap_or_default();
    addresses.iter().all(|address| {
        let at = format!(" {address}@");
        let line = nodes.lines().find(|line| line.contains(&at));
        line.is_some_and(|line| line.split(' ').nth(8).is_none())
    })
}

/// Whether a line of `CLUSTER NODES` gives a slot to its node.
pub(super) fn serves(line: &str, slot: u16) -> bool {
    line.split(' ').skip(8).any(|range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        // What is in brackets is on its way.
        matches!((first.parse(), last.parse()), (Ok(first), Ok(last)) if (first..=last).contains(&slot))
    })
}
