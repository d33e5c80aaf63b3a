//! What goes wrong while the members work.

mod linger;

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::join_all;
use redis::aio::MultiplexedConnection;
use support::{Bound, Dice, Function, Invalidation, Operation, Server, Unit, now};

use crate::check::Event;
use crate::seats::Seats;
use crate::wire::Flow;

/// Items that the members' own tasks leave alone.
const QUIET: std::ops::Range<u64> = 6..12;

/// Faults with how often they are chosen, in parts of all.
const FAULTS: [(Fault, u64); 17] = [
    (Fault::Kill, 3),
    (Fault::Freeze, 3),
    (Fault::HoldRequests, 4),
    (Fault::HoldReplies, 4),
    (Fault::Overtake, 14),
    (Fault::Cut, 2),
    (Fault::HoldPushes, 4),
    (Fault::HoldHeartbeats, 2),
    (Fault::CutListening, 4),
    (Fault::Linger, 8),
    (Fault::KillClients, 1),
    (Fault::Pause, 3),
    (Fault::FlushAll, 2),
    (Fault::Delete, 6),
    (Fault::Evict, 2),
    (Fault::ForgetScripts, 1),
    (Fault::Peace, 6),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    /// `kill -9` of a member, and another is started.
    Kill,
    /// A member stops for longer than a lease, or than copies may be served.
    Freeze,
    /// What a member sends arrives late.
    HoldRequests,
    /// A member hears of its answers late.
    HoldReplies,
    /// Another member writes while a member is asking for its lease.
    Overtake,
    /// A member loses all connections.
    Cut,
    /// Members hear of changes late, and all else in time.
    HoldPushes,
    /// What members send on the connection that hears of changes arrives late.
    HoldHeartbeats,
    /// A member loses the connection that hears of changes.
    CutListening,
    /// A member has copies of what is written, and goes on to call.
    Linger,
    /// All lose theirs.
    KillClients,
    /// The server answers nobody for a while.
    Pause,
    FlushAll,
    /// Somebody else removes an entry or a token.
    Delete,
    /// The server runs short of memory.
    Evict,
    ForgetScripts,
    /// Nothing goes wrong for a while.
    Peace,
}

pub(crate) struct Faults {
    dice: Dice,
    client: MultiplexedConnection,
    /// The next way to [`Fault::Linger`].
    way: usize,
    counts: BTreeMap<Fault, u32>,
}

impl Faults {
    pub(crate) async fn new(mut dice: Dice, cache: &Server) -> Self {
        let client = cache.client().await;
        Self { way: dice.below(100) as usize, dice, client, counts: BTreeMap::new() }
    }

    /// Lets something go wrong, and waits until it is over.
    pub(crate) async fn inject(&mut self, seats: &mut Seats) {
        let fault = self.choose();
        *self.counts.entry(fault).or_default() += 1;
        let number = self.dice.below(seats.all.len() as u64) as usize;
        let wire = &seats.all[number].wire;
        match fault {
            Fault::Kill => seats.replace(number).await,
            Fault::Freeze => seats.freeze(number, self.millis(400..1400)).await,
            Fault::HoldRequests => self.hold(Flow::RequestsHeld, seats).await,
            Fault::HoldReplies => self.hold(Flow::RepliesHeld, seats).await,
            Fault::Overtake => self.overtake(seats, number).await,
            Fault::Cut => wire.cut(),
            Fault::HoldPushes => self.deafen(Flow::RepliesHeld, seats),
            Fault::HoldHeartbeats => self.deafen(Flow::RequestsHeld, seats),
            Fault::CutListening => wire.cut_listening(),
            Fault::Linger => self.linger(seats, number).await,
            Fault::KillClients => self.send(&["CLIENT", "KILL", "TYPE", "normal"]).await,
            Fault::Pause => {
                let pause = self.millis(30..250);
                self.send(&["CLIENT", "PAUSE", &pause.as_millis().to_string()]).await;
                tokio::time::sleep(pause).await;
            }
            Fault::FlushAll => flush_all(self.client.clone(), seats).await,
            Fault::Delete => self.delete().await,
            Fault::Evict => self.evict().await,
            Fault::ForgetScripts => self.send(&["SCRIPT", "FLUSH"]).await,
            Fault::Peace => tokio::time::sleep(Duration::from_secs(1)).await,
        }
        tokio::time::sleep(self.millis(20..180)).await;
    }

    /// Holds something up for each second member or so.
    async fn hold(&mut self, flow: Flow, seats: &Seats) {
        let mut held = Vec::new();
        for seat in &seats.all {
            if self.dice.below(2) == 0 {
                held.push(seat.wire.hold(flow, self.millis(40..350)));
            }
        }
        join_all(held).await;
    }

    /// Leases that are asked for arrive only after another member's invalidation, of an item that
    /// is otherwise left alone.
    async fn overtake(&mut self, seats: &Seats, number: usize) {
        let others = seats.all.len() as u64 - 1;
        let other = (number + 1 + self.dice.below(others) as usize) % seats.all.len();
        let (item, runs) = (self.dice.within(QUIET), self.dice.within(0..300));
        let timeout = seats.all[number].patience.timeout;
        let held = seats.all[number].wire.hold(Flow::WritesHeld, timeout + self.millis(40..120));
        let (write, late) = (self.dice.below(1000), timeout + self.millis(5..40));
        let overtaking = async {
            tokio::time::sleep(late).await;
            seats.record(other, format!("write {item} {write}")).await;
        };
        tokio::join!(held, read(seats, number, item, runs), overtaking);
        for number in 0..seats.all.len() {
            read(seats, number, item, 0).await;
        }
    }

    /// Holds the listening connection up for each second member or so, while other things go wrong.
    fn deafen(&mut self, flow: Flow, seats: &Seats) {
        for seat in &seats.all {
            if self.dice.below(2) == 0 {
                // As short as a call may wait, or longer than copies may be served.
                let long = self.dice.below(2) == 0;
                let pause = self.millis(if long { 200..1500 } else { 10..150 });
                tokio::spawn(seat.wire.deafen(flow, pause));
            }
        }
    }

    fn choose(&mut self) -> Fault {
        let all = FAULTS.iter().map(|(_, parts)| parts).sum();
        let mut chosen = self.dice.below(all);
        let fault = FAULTS.iter().find(|(_, parts)| {
            let found = chosen < *parts;
            chosen = chosen.saturating_sub(*parts);
            found
        });
        fault.expect("less than all").0
    }

    fn millis(&mut self, range: std::ops::Range<u64>) -> Duration {
        Duration::from_millis(self.dice.within(range))
    }

    async fn ask<T: redis::FromRedisValue>(&mut self, words: &[&str]) -> Option<T> {
        redis::cmd(words[0]).arg(&words[1..]).query_async(&mut self.client).await.ok()
    }

    async fn send(&mut self, words: &[&str]) {
        let _: Option<redis::Value> = self.ask(words).await;
    }

    async fn delete(&mut self) {
        for _ in 0..4 {
            if let Some(Some(key)) = self.ask::<Option<String>>(&["RANDOMKEY"]).await {
                self.send(&["DEL", &key]).await;
            }
        }
    }

    /// Leaves the server less memory than it needs, and fills it.
    async fn evict(&mut self) {
        let Some(info) = self.ask::<String>(&["INFO", "memory"]).await else { return };
        let used = info.lines().find_map(|line| line.strip_prefix("used_memory:")?.parse().ok());
        let used: u64 = used.expect("it says how much it uses");
        let most = (used + (20 << 10)).to_string();
        self.send(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru", "maxmemory", &most]).await;
        let filler = "x".repeat(1 << 10);
        for number in 0..200 {
            self.send(&["SET", &format!("filler:{number}"), &filler, "PX", "1000"]).await;
        }
        self.send(&["CONFIG", "SET", "maxmemory", "0"]).await;
    }
}

/// An invalidation of everything, by nobody's process.
async fn flush_all(mut client: MultiplexedConnection, seats: &Seats) {
    let begin = now();
    if redis::cmd("FLUSHALL").query_async::<String>(&mut client).await.is_err() {
        return;
    }
    let items = 0..QUIET.end as u32;
    let of_item = |item| Function::OF_ITEMS.map(|function| (Unit::new(function, item), 0));
    let (names, units) = ("everything".to_owned(), items.flat_map(of_item).collect());
    let flushed = Invalidation { begin, end: now(), bound: Bound::All, names, units };
    seats.log.lock().events.push(Event { process: 0, operation: Operation::Invalidation(flushed) });
}

/// Calls all functions of an item.
async fn read(seats: &Seats, number: usize, item: u64, runs: u64) {
    let orders = Function::OF_ITEMS.map(|function| format!("read {function} {item} {runs}"));
    join_all(orders.map(|order| seats.record(number, order))).await;
}

impl std::fmt::Display for Faults {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.counts)
    }
}
