//! The slots of a cluster: the slot of a name, and the slot map as one node reports it.

use crc::{CRC_16_XMODEM, Crc};
use deadpool_redis::redis::{self, Value};

use crate::config::Address;
use crate::store::lanes::epoch;

pub(super) const SLOTS: usize = 16384;

/// The checksum of the Redis Cluster specification.
const CRC: Crc<u16> = Crc::<u16>::new(&CRC_16_XMODEM);

/// The slot of a name. A hash tag, the text between its first `{` and the next `}`, decides if it is not empty.
pub(super) fn slot_of(name: &[u8]) -> u16 {
    let tagged = name.iter().position(|byte| *byte == b'{').and_then(|open| {
        let rest = &name[open + 1..];
        let close = rest.iter().position(|byte| *byte == b'}')?;
        (close > 0).then(|| &rest[..close])
    });
    CRC.checksum(tagged.unwrap_or(name)) % SLOTS as u16
}

/// The cluster as one node reports it.
#[derive(Debug, PartialEq)]
pub(super) struct View {
    /// Whether the node reports `cluster_state:ok`.
    pub(super) state_ok: bool,
    /// Whether the node reports a state at all; some proxies do not.
    pub(super) reports_state: bool,
    /// The current epoch, which grows with every failover, even a failed one, and with most moves of slots.
    pub(super) epoch: u64,
    /// First and last slot, and the master that serves them.
    pub(super) ranges: Vec<(u16, u16, Address)>,
    pub(super) replicas: Vec<Address>,
}

impl View {
    /// Parses the answers of the node at `queried` to `CLUSTER SLOTS` and `CLUSTER INFO`.
    pub(super) fn read(slots: &Value, info: &Value, queried: &Address) -> Result<Self, String> {
        let Value::Array(rows) = slots else { return Err("no slots in the reply".to_owned()) };
        // Empty where `CLUSTER INFO` fails, as behind some proxies.
        let info: String = redis::from_redis_value_ref(info).unwrap_or_default();
        let (state_ok, epoch) = (epoch::is_state_ok(&info), epoch::number(&info));
        let reports_state = info.contains("cluster_state:");
        let mut view =
            Self { state_ok, reports_state, epoch, ranges: Vec::new(), replicas: Vec::new() };
        for row in rows {
            let Value::Array(row) = row else { continue };
            let [Value::Int(first), Value::Int(last), master, replicas @ ..] = &row[..] else {
                continue;
            };
            let (Ok(first), Ok(last)) = (u16::try_from(*first), u16::try_from(*last)) else {
                continue;
            };
            let Some(master) = address(master, queried) else { continue };
            if first <= last && usize::from(last) < SLOTS {
                view.ranges.push((first, last, master));
                view.replicas.extend(replicas.iter().filter_map(|node| address(node, queried)));
            }
        }
        if view.ranges.is_empty() {
            return Err(format!("{queried} is a node of a cluster in which nobody has any slots"));
        }
        Ok(view)
    }

    /// Why the cluster does not serve all names, though its nodes may answer.
    pub(super) fn flaw(&self) -> Option<String> {
        let free = SLOTS.saturating_sub(self.covered());
        if free > 0 {
            return Some(format!("{free} of the {SLOTS} slots of the cluster belong to no node"));
        }
        (self.reports_state && !self.state_ok)
            .then(|| "the nodes call the cluster down (`cluster_state:fail`)".to_owned())
    }

    /// How many slots are assigned to a node.
    pub(super) fn covered(&self) -> usize {
        self.ranges.iter().map(|(first, last, _)| usize::from(last - first) + 1).sum()
    }
}

/// The address of a node. One that reports no host has the host of the node that was queried.
fn address(node: &Value, queried: &Address) -> Option<Address> {
    let Value::Array(node) = node else { return None };
    let [host, Value::Int(port), ..] = &node[..] else { return None };
    let host = match host {
        Value::BulkString(host) if host == b"?" => return None,
        Value::BulkString(host) if !host.is_empty() => String::from_utf8(host.clone()).ok()?,
        Value::BulkString(_) | Value::Nil => host_of(queried)?,
        _ => return None,
    };
    Some(Address::Tcp(host, u16::try_from(*port).ok()?))
}

fn host_of(address: &Address) -> Option<String> {
    match address {
        Address::Tcp(host, _) => Some(host.clone()),
        Address::Unix(_) => None,
    }
}

/// The address in a `MOVED` or `ASK` of the node at `queried`.
pub(super) fn redirect_target(to: &str, queried: &Address) -> Option<Address> {
    let (host, port) = to.rsplit_once(':')?;
    let port = port.parse().ok()?;
    let host = match host.trim_start_matches('[').trim_end_matches(']') {
        "" => host_of(queried)?,
        "?" => return None,
        host => host.to_owned(),
    };
    Some(Address::Tcp(host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    fn node(host: Value, port: i64) -> Value {
        Value::Array(vec![host, Value::Int(port), text("id")])
    }

    fn at(host: &str, port: u16) -> Address {
        Address::Tcp(host.to_owned(), port)
    }

    #[test]
    fn slots_are_those_of_the_specification() {
        assert_eq!(CRC.checksum(b"123456789"), 0x31C3);
        // As `CLUSTER KEYSLOT` answers.
        assert_eq!((slot_of(b"foo"), slot_of(b"somekey"), slot_of(b"")), (12182, 11058, 0));
        assert_eq!(slot_of(b"{user1000}.following"), slot_of(b"user1000"));
        assert_eq!(slot_of(b"foo{{bar}}zap"), slot_of(b"{bar"));
        assert_eq!(slot_of(b"foo{bar}{zap}"), slot_of(b"bar"));
        assert_ne!(slot_of(b"foo{}{bar}"), slot_of(b"bar"));
        assert_ne!(slot_of(b"foo{bar"), slot_of(b"bar"));
    }

    #[test]
    fn a_view_is_parsed_and_a_node_without_a_host_has_the_queried_one() {
        let queried = at("seed", 7000);
        let rows = [
            vec![Value::Int(0), Value::Int(99), node(text("a"), 1), node(text("b"), 2)],
            vec![Value::Int(100), Value::Int(199), node(text(""), 3), node(Value::Nil, 4)],
            vec![Value::Int(200), Value::Int(299), node(text("?"), 5)],
            vec![Value::Int(300), Value::Int(70000), node(text("c"), 6)],
            vec![Value::Int(5), Value::Int(4), node(text("d"), 7)],
            vec![text("nonsense")],
        ];
        let slots = Value::Array(rows.into_iter().map(Value::Array).collect());
        let info = text("cluster_state:ok\r\ncluster_current_epoch:17\r\n");
        let view = View::read(&slots, &info, &queried).unwrap();
        assert_eq!((view.state_ok, view.epoch, view.covered()), (true, 17, 200));
        assert_eq!(view.ranges, [(0, 99, at("a", 1)), (100, 199, at("seed", 3))]);
        assert_eq!(view.replicas, [at("b", 2), at("seed", 4)]);
        assert!(view.flaw().unwrap().starts_with("16184 of the 16384 slots"));
        assert!(View::read(&Value::Array(vec![]), &info, &queried).is_err());
        assert!(View::read(&Value::Nil, &info, &queried).is_err());
    }

    #[test]
    fn a_cluster_that_has_all_slots_is_flawed_only_where_a_node_says_that_it_is_down() {
        let rows = vec![Value::Int(0), Value::Int(16383), node(text("a"), 1)];
        let slots = Value::Array(vec![Value::Array(rows)]);
        let flaw = |info| View::read(&slots, &text(info), &at("a", 1)).unwrap().flaw();
        assert_eq!(flaw("cluster_state:ok\r\n"), None);
        assert!(flaw("cluster_state:fail\r\n").unwrap().contains("cluster_state:fail"));
        assert_eq!(flaw(""), None);
    }

    #[test]
    fn a_redirect_without_a_host_leads_to_the_queried_host() {
        let queried = at("seed", 7000);
        assert_eq!(redirect_target("10.0.0.1:6381", &queried), Some(at("10.0.0.1", 6381)));
        assert_eq!(redirect_target("::1:6381", &queried), Some(at("::1", 6381)));
        assert_eq!(redirect_target(":6381", &queried), Some(at("seed", 6381)));
        assert_eq!(redirect_target("?:6381", &queried), None);
        assert_eq!(redirect_target("6381", &queried), None);
    }
}
