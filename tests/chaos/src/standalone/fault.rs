//! What goes wrong with one server, or on the way to it.

use std::time::Duration;

use crate::{Garble, Manner, Side, Whom};

/// What goes wrong with one server, or on the way to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is killed, and started again when that is over, empty.
    Killed,
    /// It is killed and started again at once, empty.
    Restarted,
    /// It is stopped (SIGSTOP) and goes on.
    Frozen,
    /// It has no memory and refuses what takes any.
    Full,
    /// It has little memory, others fill it, and it removes what was not used for long.
    Evicting,
    /// It answers nobody for one and a half seconds.
    Paused,
    /// It closes all connections, again and again.
    Cut,
    /// It is a replica of a server that is not there: it takes no writes.
    ReadOnly,
    /// It is killed, and takes seconds to load what it had saved when it is started again.
    Loading,
    /// It wants another password, and then none again.
    OtherPassword,
    /// It is emptied again and again.
    Flushed,
    /// It forgets its scripts again and again.
    ScriptsFlushed,
    /// The network is at fault.
    Wire(Manner),
}

const MILLISECOND: Duration = Duration::from_millis(1);

impl Fault {
    /// All of them, by the names of their rows.
    pub const ALL: [(&'static str, Self); 30] = [
        ("killed", Self::Killed),
        ("restarted", Self::Restarted),
        ("frozen", Self::Frozen),
        ("full", Self::Full),
        ("evicting", Self::Evicting),
        ("paused", Self::Paused),
        ("connections-cut", Self::Cut),
        ("read-only", Self::ReadOnly),
        ("loading", Self::Loading),
        ("other-password", Self::OtherPassword),
        ("flushed", Self::Flushed),
        ("scripts-flushed", Self::ScriptsFlushed),
        ("none", Self::Wire(Manner::Faithful)),
        ("delayed", Self::Wire(delay(20, 20))),
        ("delayed-past-budget", Self::Wire(delay(80, 40))),
        ("lost", Self::Wire(Manner::Lose)),
        ("swallowed-old", Self::Wire(Manner::Swallow(Whom::Old))),
        ("swallowed-all", Self::Wire(Manner::Swallow(Whom::All))),
        ("half-open-to-server", Self::Wire(Manner::HalfOpen(Side::Server))),
        ("half-open-to-client", Self::Wire(Manner::HalfOpen(Side::Client))),
        ("reset", Self::Wire(Manner::Reset)),
        ("refused", Self::Wire(Manner::Refuse)),
        ("dripping", Self::Wire(Manner::Drip(20))),
        ("replies-cut", Self::Wire(Manner::CutReply(100))),
        ("garbage", Self::Wire(Manner::Garble(Garble::Protocol, 100))),
        ("garbage-dense", Self::Wire(Manner::Garble(Garble::Protocol, 3))),
        ("replies-truncated", Self::Wire(Manner::Garble(Garble::Truncate, 100))),
        ("replies-doubled", Self::Wire(Manner::Garble(Garble::Duplicate, 100))),
        ("replies-doubled-dense", Self::Wire(Manner::Garble(Garble::Duplicate, 3))),
        ("payload-flipped", Self::Wire(Manner::Garble(Garble::Payload, 20))),
    ];
}

const fn delay(each_way: u32, jitter: u32) -> Manner {
    Manner::Delay {
        each_way: MILLISECOND.saturating_mul(each_way),
        jitter: MILLISECOND.saturating_mul(jitter),
    }
}
