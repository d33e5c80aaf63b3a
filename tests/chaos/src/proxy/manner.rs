//! How a proxy behaves.

use std::time::Duration;

use super::Garble;

/// How a proxy behaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Manner {
    /// What comes in goes out.
    #[default]
    Faithful,
    /// Everything arrives late, by a time that varies, and in order.
    Delay {
        /// By so much at least, in each direction.
        each_way: Duration,
        /// By up to so much more.
        jitter: Duration,
    },
    /// What comes in is read and lost; connections stay open.
    Lose,
    /// Connections are accepted and stay open, and nothing is read: a black hole.
    Swallow(Whom),
    /// Connections that are there lose one end, and the other stays open and silent.
    HalfOpen(Side),
    /// Every connection, there or to come, is reset (RST).
    Reset,
    /// Connections that are there are reset, and nobody listens on the port.
    Refuse,
    /// So few bytes a millisecond, in each direction.
    Drip(usize),
    /// One reply in so many goes out in part, and then the connection is closed.
    CutReply(u64),
    /// One reply in so many is broken.
    Garble(Garble, u64),
}

/// Which connections are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whom {
    /// Those that are there.
    Old,
    /// Those too that are to come.
    All,
}

/// An end of a connection through the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The end of whoever connected.
    Client,
    /// The end of the server.
    Server,
}

/// What a proxy has been told last, and which order it was.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Order {
    pub(super) manner: Manner,
    pub(super) number: u64,
}

impl Order {
    pub(super) fn then(self, manner: Manner) -> Self {
        Self { manner, number: self.number + 1 }
    }

    /// The manner towards a connection that was accepted under order `born`.
    pub(super) fn towards(self, born: u64) -> Manner {
        let old = born < self.number;
        match self.manner {
            Manner::Swallow(Whom::Old) | Manner::HalfOpen(_) if !old => Manner::Faithful,
            manner => manner,
        }
    }
}
