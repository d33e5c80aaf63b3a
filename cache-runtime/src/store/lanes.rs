//! Lanes: a few connections that every call shares, and their redialling.
//!
//! A lane is one object of a `deadpool` pool of our own, held for as long as it works; all calls share
//! its multiplexed connection. Checking an object out for each call would cost a second round trip
//! and forbid pipelining. A key always uses the same lane, so what is sent for it arrives in order;
//! where that lane is missing another stands in for it, and the order across the two is no more relied
//! on than that across a redial. A lane that fails, or times out three times in a row, is taken out and
//! redialled by its keeper.
//! One more lane listens: whatever must hear of changes reads through it, and nothing else does.

mod affinity;
mod connect;
mod dial;
pub(crate) mod epoch;
mod handshake;
mod health;
mod heartbeat;
mod reads;
mod reconnect;
#[cfg(feature = "tls-no-provider")]
mod tls;
mod tracking;
mod write_pause;

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::{ArcSwapOption, Guard};
use deadpool_redis::redis::aio::MultiplexedConnection;
use deadpool_redis::redis::{self, ProtocolVersion, RedisResult, Value};
use tokio::sync::{Notify, watch};

use super::breaker::Breaker;
use crate::background;
use crate::clock::{self, Coarse};
use crate::config::{Config, Part, Server};
use crate::deadline;
use crate::key::Key;
use crate::versions::Versions;
use affinity::{Affinity, Anchor};
#[cfg(any(feature = "cluster", feature = "sentinel"))]
pub(crate) use connect::Connector;
#[cfg(feature = "cluster")]
pub(crate) use connect::Link;
pub(crate) use connect::check;
use dial::Pool;
#[cfg(any(feature = "cluster", feature = "sentinel"))]
pub(crate) use dial::connect_aside;
pub(crate) use epoch::Epoch;
use handshake::SkippedSteps;
use health::Health;
pub(crate) use health::State;
use reads::ReadQueue;
pub(crate) use reads::{Batch, PendingRead, SHORTEST_WATCHED};
use reconnect::Backoff;
pub(crate) use tracking::{Subscription, Tracking};
use write_pause::WritePause;

/// Timeouts in a row after which a lane is taken out: it may be a black hole.
const MAX_TIMEOUTS: u32 = 3;

/// For how long calls wait for a lane whose runtime has ended, within their budgets.
const GRACE: Duration = Duration::from_millis(250);

/// Reads of a lane that wait for an answer, past which calls run plainly. They go out many in a
/// command, and a queue that is longer is an outage.
const MAX_READS: usize = 1 << 16;

/// The script behind every conditional write; a dial makes sure that the server runs it.
pub(crate) const COMPARE_AND_SET: &str = include_str!("compare_and_set.lua");

const TIMED_OUT: &str = "commands time out";

pub(crate) const WRONG_TYPE: &str = "WRONGTYPE";
const READ_ONLY: &str = "READONLY";

/// The server cannot serve anybody at the moment.
const OUTAGE: [&str; 6] = ["LOADING", "MASTERDOWN", CLUSTER_DOWN, "NOAUTH", "BUSY", "TRYAGAIN"];
const CLUSTER_DOWN: &str = "CLUSTERDOWN";

/// One shared connection.
pub(crate) struct Lane {
    index: usize,
    /// Of all lanes that there have been.
    number: u64,
    born: Instant,
    connection: MultiplexedConnection,
    /// Keeps the connection driven for as long as somebody uses the lane.
    _link: connect::Link,
    timeouts: AtomicU32,
    gone: Arc<Notify>,
    /// Why its connection came to an end, where it did.
    close_reason: OnceLock<String>,
    /// The server says whether it is a master.
    reports_role: bool,
    /// What is to be read together.
    pub(crate) reads: Arc<ReadQueue>,
    /// Reads that wait for an answer.
    reads_in_flight: AtomicUsize,
    /// The caller's runtime, where that drives it.
    anchor: Option<Anchor>,
}

impl Lane {
    pub(crate) fn connection(&self) -> MultiplexedConnection {
        self.connection.clone()
    }

    /// Whether the private runtime drives it.
    fn is_private(&self) -> bool {
        self.anchor.is_none()
    }

    /// Whether whatever drives it is there.
    fn is_driven(&self) -> bool {
        self.anchor.as_ref().is_none_or(Anchor::is_alive)
    }

    /// Whether others are reading already; `None` where they are too many.
    pub(crate) fn begin_to_read(&self) -> Option<bool> {
        let others = self.reads_in_flight.fetch_add(1, Ordering::Relaxed);
        if others >= MAX_READS {
            self.end_reading(1);
            return None;
        }
        Some(others > 0)
    }

    pub(crate) fn end_reading(&self, reads: usize) {
        self.reads_in_flight.fetch_sub(reads, Ordering::Relaxed);
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.reads.close();
    }
}

/// Tells a lane from the one that took its place, without keeping it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct LaneId {
    index: usize,
    number: u64,
    private: bool,
}

impl LaneId {
    pub(crate) fn of(lane: &Lane) -> Self {
        Self { index: lane.index, number: lane.number, private: lane.is_private() }
    }
}

/// One read that waits for an answer, and is sent alone.
pub(crate) struct SingleRead(pub(crate) Arc<Lane>);

impl Drop for SingleRead {
    fn drop(&mut self) {
        self.0.end_reading(1);
    }
}

/// All lanes of a cache; the last but one is for bulk work, the last one listens.
pub(crate) struct Lanes {
    server: Server,
    slots: Box<[Slot]>,
    /// Pools that speak RESP3 and RESP2; the second serves proxies that refuse `HELLO`.
    pools: [Pool; 2],
    tracking_pool: Pool,
    /// What dials do without.
    skipped: SkippedSteps,
    /// A key of ours on which scripts are tried.
    probe_key: String,
    /// It has been a master: as a replica it is not what its address is meant for.
    was_master: AtomicBool,
    affinity: Affinity,
    tracking: Arc<Tracking>,
    /// When it was last asked what the lane that listens has answered, in milliseconds of [`Coarse`].
    last_heartbeat: AtomicU64,
    cluster: Arc<Epoch>,
    /// The server does not announce changes: listeners ask again and again instead.
    tracking_unsupported: AtomicBool,
    connect_timeout: Duration,
    pub(crate) timeout: Duration,
    /// What a call gives to a command at most: its own timeout, or the budget.
    call_limit: Duration,
    pub(crate) breaker: Breaker,
    /// Between probes; it grows until a call is served.
    probe_backoff: Mutex<Backoff>,
    health: Health,
    pub(crate) writes: WritePause,
    /// A lane was taken out: the others may be dead as well, and not know it while nobody calls.
    check_requested: Arc<Notify>,
    /// Nobody is to use it any more.
    retired: AtomicBool,
}

struct Slot {
    lane: ArcSwapOption<Lane>,
    started: AtomicBool,
    /// Whether a dial has ended, well or badly, since the lane was last needed.
    dialled: watch::Sender<bool>,
    /// Until when calls wait for the dial after the end of a runtime, in milliseconds of
    /// [`clock::millis`].
    grace_until: AtomicU64,
    /// Somebody waits for a lane whose runtime has ended.
    needed: Arc<Notify>,
    /// Dialled on the private runtime next time: where it was driven before, it did not get on.
    dial_privately: AtomicBool,
}

impl Lanes {
    pub(crate) fn new(
        server: &Server,
        config: &Config,
        versions: Arc<Versions>,
    ) -> Result<Self, String> {
        Self::with(server, config, Arc::new(Tracking::new(versions)), Arc::default())
    }

    /// The lanes of a node, which shares its tracking with the others.
    pub(crate) fn with(
        server: &Server,
        config: &Config,
        tracking: Arc<Tracking>,
        cluster: Arc<Epoch>,
    ) -> Result<Self, String> {
        let connector = connect::Connector::new(server, config);
        let pool = |protocol| dial::pool(&connector, config, protocol, None);
        let slot = || Slot {
            lane: ArcSwapOption::empty(),
            started: AtomicBool::new(false),
            dialled: watch::Sender::new(false),
            grace_until: AtomicU64::new(u64::MAX),
            needed: Arc::default(),
            dial_privately: AtomicBool::new(false),
        };
        Ok(Self {
            server: server.clone(),
            slots: (0..config.pool_size + 2).map(|_| slot()).collect(),
            tracking_pool: dial::pool(
                &connector,
                config,
                ProtocolVersion::RESP3,
                Some(tracking.clone()),
            )?,
            affinity: Affinity::default(),
            tracking,
            last_heartbeat: AtomicU64::new(0),
            cluster,
            tracking_unsupported: AtomicBool::new(server.access.resp2),
            pools: [pool(ProtocolVersion::RESP3)?, pool(ProtocolVersion::RESP2)?],
            skipped: SkippedSteps::default(),
            probe_key: format!("{}:~", config.namespace),
            was_master: AtomicBool::new(server.part == Part::Master),
            connect_timeout: config.connect_timeout,
            timeout: config.timeout,
            call_limit: config.timeout.min(config.budget),
            breaker: Breaker::default(),
            probe_backoff: Mutex::new(Backoff::new()),
            health: Health::default(),
            writes: WritePause::default(),
            check_requested: Arc::default(),
            retired: AtomicBool::new(false),
        })
    }

    /// The slot of a key: always the same one, so that its commands stay in order.
    pub(crate) fn slot_of(&self, hash: u64, bulk: bool) -> usize {
        let shared = self.slots.len() - 2;
        if bulk { shared } else { (hash % shared as u64) as usize }
    }

    /// The lane of a slot if it is up, or one that stands in for it: the server may allow no more
    /// connections. For the one that listens there is no other.
    pub(crate) fn lane(&self, slot: usize) -> Option<Arc<Lane>> {
        Guard::into_inner(self.peek(slot))
    }

    /// As [`Lanes::lane`], for a moment only.
    pub(crate) fn peek(&self, slot: usize) -> Guard<Option<Arc<Lane>>> {
        if self.breaker.is_open() {
            return Guard::from_inner(None);
        }
        let lane = self.slots[slot].lane.load();
        if lane.is_none() && slot != self.tracking_slot() {
            Guard::from_inner(self.any())
        } else {
            lane
        }
    }

    /// Any lane that is up.
    pub(crate) fn any_lane(&self) -> Option<Arc<Lane>> {
        if self.breaker.is_open() { None } else { self.any() }
    }

    fn any(&self) -> Option<Arc<Lane>> {
        let mut lanes =
            self.slots[..self.tracking_slot()].iter().filter_map(|slot| slot.lane.load_full());
        // One whose runtime has ended is taken out by the next who uses it, and serves nobody.
        lanes.find(|lane| lane.is_driven())
    }

    /// The slot of the lane that listens.
    pub(crate) fn tracking_slot(&self) -> usize {
        self.slots.len() - 1
    }

    /// Begins to subscribe for changes; `None` where the lane is not up, or never will be.
    pub(crate) fn subscribe(self: &Arc<Self>, key: &Key) -> Option<Subscription> {
        self.tracks_changes().then(|| self.tracking.subscribe(key))
    }

    /// Whether the lane that listens is up; it is dialled when this is first asked.
    pub(crate) fn tracks_changes(self: &Arc<Self>) -> bool {
        if self.tracking_unsupported.load(Ordering::Relaxed) {
            return false;
        }
        self.start(self.tracking_slot());
        self.peek(self.tracking_slot()).is_some()
    }

    /// Starts a slot's keeper, the first time that it is used.
    pub(crate) fn start(self: &Arc<Self>, slot: usize) {
        if !self.slots[slot].started.swap(true, Ordering::AcqRel)
            && background::spawn(reconnect::keep_dialled(Arc::downgrade(self), slot)).is_none()
        {
            self.mark_lost("the system has refused the thread that drives connections");
            self.slots[slot].dialled.send_replace(true);
        }
    }

    /// Waits for the end of a slot's first dial, or of the first after its runtime has ended.
    pub(crate) async fn dialled(self: &Arc<Self>, slot: usize) {
        self.affinity.note();
        self.start(slot);
        if let Some(lane) = self.slots[slot].lane.load_full().filter(|lane| !lane.is_driven()) {
            self.take_out_undriven(&lane);
        }
        self.slots[slot].needed.notify_one();
        let mut dialled = self.slots[slot].dialled.subscribe();
        // The sender lives as long as `self`.
        let _ = dialled.wait_for(|dialled| *dialled).await;
    }

    pub(crate) fn is_dialled(&self, slot: usize) -> bool {
        let slot = &self.slots[slot];
        match slot.lane.load().as_ref() {
            Some(lane) => lane.is_driven(),
            None => {
                *slot.dialled.borrow() || clock::millis() > slot.grace_until.load(Ordering::Relaxed)
            }
        }
    }

    /// Takes a lane out whose runtime has ended: whoever needs it next waits for another, but not
    /// for long.
    fn take_out_undriven(&self, lane: &Arc<Lane>) {
        if self.take_out(lane) {
            self.expect_dial(lane.index);
        }
    }

    fn expect_dial(&self, slot: usize) {
        let until = clock::millis() + GRACE.as_millis() as u64;
        self.slots[slot].grace_until.store(until, Ordering::Relaxed);
        self.slots[slot].dialled.send_replace(false);
        if self.is_retired() {
            self.slots[slot].dialled.send_replace(true);
        }
    }

    pub(crate) fn is_down(&self) -> bool {
        self.breaker.is_open()
            || self.is_retired()
            || (self.health.is_lost() && self.any().is_none())
    }

    /// Notes whether the lane that listens can do so.
    fn note_tracking(&self, slot: usize, outcome: Result<(), &str>) {
        if slot != self.tracking_slot() {
            return;
        }
        let was_unsupported = self.tracking_unsupported.swap(outcome.is_err(), Ordering::Relaxed);
        if let (Err(error), false) = (outcome, was_unsupported) {
            tracing::warn!(
                error,
                "redis does not announce changes (no RESP3 or no CLIENT TRACKING, perhaps a proxy): \
                 `local` has no effect, and calls that wait for another process ask again and again"
            );
        }
    }

    /// Whether a command with so much time says something about the server when it has run out.
    pub(crate) fn is_ample(&self, limit: Duration) -> bool {
        limit.saturating_mul(2) >= self.call_limit
    }

    /// Sends to a lane what `calls` calls wait for, and learns from what comes back.
    pub(crate) async fn send<F>(
        self: &Arc<Self>,
        lane: &Arc<Lane>,
        limit: Duration,
        calls: u32,
        reply: Pin<&mut F>,
    ) -> Result<Value, CommandError>
    where
        F: Future<Output = RedisResult<Value>>,
    {
        let limit = limit.min(self.timeout);
        match deadline::timeout(limit, reply).await {
            Err(deadline::Elapsed) => {
                if self.is_ample(limit) {
                    self.timed_out(lane, calls);
                }
                Err(CommandError::Timeout)
            }
            Ok(reply) => match reply.and_then(Value::extract_error) {
                Ok(value) => {
                    if lane.timeouts.load(Ordering::Relaxed) != 0 {
                        lane.timeouts.store(0, Ordering::Relaxed);
                    }
                    self.call_served();
                    Ok(value)
                }
                Err(error) => Err(self.classify_error(lane, calls, &error)),
            },
        }
    }

    /// A call has had no answer in time from a lane, which may be gone by now.
    pub(crate) fn read_timed_out(self: &Arc<Self>, id: LaneId) {
        if let Some(lane) = self.current(id) {
            self.count_timeouts(&lane, 1);
        }
        if id.private {
            self.count_failures(1, TIMED_OUT);
        }
    }

    /// Whatever was to answer went away: with the caller's runtime that drove the lane, if one did.
    pub(crate) fn driver_dropped(&self, lane: &Arc<Lane>) {
        if !lane.is_private() {
            self.take_out_undriven(lane);
        }
    }

    /// The lane, unless there is another in its place by now.
    fn current(&self, id: LaneId) -> Option<Arc<Lane>> {
        self.slots[id.index].lane.load_full().filter(|lane| LaneId::of(lane) == id)
    }

    /// So many calls have had no answer in time.
    fn timed_out(self: &Arc<Self>, lane: &Arc<Lane>, calls: u32) {
        self.count_timeouts(lane, calls);
        // The caller's runtime may be busy: that says nothing about the server.
        if lane.is_private() {
            self.count_failures(calls, TIMED_OUT);
        }
    }

    fn count_timeouts(&self, lane: &Arc<Lane>, calls: u32) {
        if lane.timeouts.fetch_add(calls, Ordering::Relaxed) + calls >= MAX_TIMEOUTS {
            self.evict_after_timeouts(lane);
        }
    }

    /// It may be a black hole, or whatever drives it may be: next time that is another.
    fn evict_after_timeouts(&self, lane: &Arc<Lane>) {
        self.slots[lane.index].dial_privately.store(lane.anchor.is_some(), Ordering::Relaxed);
        if lane.is_private() {
            self.evict_because(lane, TIMED_OUT);
        } else {
            self.evict(lane);
        }
    }

    fn classify_error(
        self: &Arc<Self>,
        lane: &Arc<Lane>,
        calls: u32,
        error: &redis::RedisError,
    ) -> CommandError {
        let (calls, text) = (calls.max(1), server_message(error));
        let code = code(error, &text);
        let lost = error.is_unrecoverable_error() || error.is_io_error();
        if lost && !lane.is_private() {
            // Perhaps the end of its runtime and not of the server, which its keeper finds out.
            let _ = lane.close_reason.set(text);
            self.take_out_undriven(lane);
            return CommandError::Down;
        }
        // The master has moved, and its name may already lead to the next one. Where a replica was
        // meant, the pause of all writes bounds the redials: also those of what is tried again and
        // again although writes are paused.
        if code == READ_ONLY && !self.writes.are_paused() {
            self.writes.pause(&text);
            // An answer that comes late says nothing of where the others lead.
            if self.current(LaneId::of(lane)).is_some() {
                self.evict_all();
            }
        }
        if lost {
            self.evict_because(lane, &text);
        }
        if code == CLUSTER_DOWN && self.server.part == Part::Node {
            // The node answers, and a probe would find nothing wrong: it counts as a refusal, except
            // where only writes are refused (`cluster-allow-reads-when-down`).
            if !text.contains("only accepts read") {
                self.read_refused(&text);
            }
            return CommandError::Down;
        }
        if lost || OUTAGE.contains(&code) {
            self.count_failures(calls, &text);
            return CommandError::Down;
        }
        // The server answered; whether it likes the command is another matter.
        self.breaker.success();
        #[cfg(feature = "cluster")]
        if let Some((to, _)) = error.redirect_node().filter(|_| self.server.part == Part::Node) {
            return CommandError::Redirected {
                to: to.to_owned(),
                is_ask: error.code() == Some("ASK"),
            };
        }
        CommandError::Error { code, text }
    }

    fn count_failures(self: &Arc<Self>, calls: u32, why: &str) {
        // Each of the calls has had its failure.
        if (0..calls).any(|_| self.breaker.failure()) {
            self.tracking.wake_all();
            self.mark_lost(why);
            background::spawn(reconnect::probe(Arc::downgrade(self)));
        }
    }

    /// Takes a lane out whose connection has come to an end.
    fn evict_because(&self, lane: &Arc<Lane>, why: &str) {
        let _ = lane.close_reason.set(why.to_owned());
        self.evict(lane);
    }

    /// The server is not the one that its address is meant for, though it answers: none of its
    /// connections is used any more, that which listens least of all.
    fn evict_all(&self) {
        for lane in self.slots.iter().filter_map(|slot| slot.lane.load_full()) {
            self.evict(&lane);
        }
    }

    fn evict(&self, lane: &Arc<Lane>) {
        if self.take_out(lane) {
            if lane.index == self.tracking_slot() {
                self.tracking.invalidate_all();
            }
            self.check_requested.notify_waiters();
        }
    }

    /// False where somebody else has done it.
    fn take_out(&self, lane: &Arc<Lane>) -> bool {
        let slot = &self.slots[lane.index].lane;
        let expected = Some(lane.clone());
        let before = slot.compare_and_swap(&expected, None);
        let taken = before.as_ref().is_some_and(|before| Arc::ptr_eq(before, lane));
        if taken {
            lane.gone.notify_one();
        }
        taken
    }

    /// The lane has answered the heartbeat of `sent`: announcements come before replies.
    fn heartbeat_answered(&self, slot: usize, sent: Coarse, answer: &Value) {
        let counts = self.server.part != Part::Node || self.cluster.matches(answer);
        if slot == self.tracking_slot() && counts {
            self.last_heartbeat.store(sent.millis(), Ordering::Release);
            self.tracking.heartbeat_answered(sent);
        }
    }

    fn last_heartbeat(&self) -> Coarse {
        Coarse::at_millis(self.last_heartbeat.load(Ordering::Acquire))
    }

    pub(crate) fn live(&self) -> usize {
        self.slots[..self.tracking_slot()].iter().filter(|slot| slot.lane.load().is_some()).count()
    }

    fn probe_backoff(&self) -> MutexGuard<'_, Backoff> {
        self.probe_backoff.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How a command fared.
#[derive(Clone, Debug)]
pub(crate) enum CommandError {
    Timeout,
    Down,
    /// The bound on commands in flight was reached; nothing was sent.
    Busy,
    #[cfg(feature = "cluster")]
    /// Another node of the cluster has the key: for good, or, where it is asked so, this time.
    Redirected {
        to: String,
        is_ask: bool,
    },
    Error {
        code: &'static str,
        text: String,
    },
}

impl Drop for Lanes {
    fn drop(&mut self) {
        self.retire();
    }
}

impl Lanes {
    /// A connection that is up, for questions beside the calls: where it only listens, that one.
    #[cfg(feature = "cluster")]
    pub(crate) fn connection(&self) -> Option<MultiplexedConnection> {
        let listener = || self.lane(self.tracking_slot());
        self.any_lane().or_else(listener).map(|lane| lane.connection())
    }

    pub(crate) fn is_retired(&self) -> bool {
        self.retired.load(Ordering::Acquire)
    }

    /// Lets all connections go. Whoever still has some of them in hand ends what it has begun.
    pub(crate) fn retire(&self) {
        self.retired.store(true, Ordering::Release);
        for slot in &self.slots {
            slot.started.store(true, Ordering::Release);
            slot.dialled.send_replace(true);
            slot.needed.notify_one();
            if let Some(lane) = slot.lane.swap(None) {
                // Wakes the keeper, which finds that it is of no use any more.
                lane.gone.notify_one();
            }
        }
        for pool in self.pools.iter().chain([&self.tracking_pool]) {
            pool.close();
        }
        // Whoever waits for a change there looks for it elsewhere.
        self.tracking.invalidate_all();
    }
}

/// Describes a reply by its type, never by its content, which may be a user's.
pub(crate) fn unexpected_reply(reply: &Value) -> CommandError {
    let kind = match reply {
        Value::Int(_) => "an integer",
        Value::Array(_) => "an array",
        _ => "another type",
    };
    CommandError::Error { code: "", text: format!("unexpected reply: {kind}") }
}

/// A reply of `GET` or `MGET` for one name: its bytes, if there are any.
pub(crate) fn bulk_string(reply: Value) -> Result<Option<Vec<u8>>, CommandError> {
    match reply {
        Value::Nil => Ok(None),
        Value::BulkString(bytes) => Ok(Some(bytes)),
        other => Err(unexpected_reply(&other)),
    }
}

/// A reply of `PTTL`: the remaining TTL. `None` where the name was absent when `PTTL` ran: an entry that the
/// following `GET` shows was stored in between, and is new.
pub(crate) fn pttl(reply: &Value) -> Result<Option<Duration>, CommandError> {
    match reply {
        Value::Int(-2) => Ok(None),
        Value::Int(millis) => Ok(Some(Duration::from_millis((*millis).max(0).cast_unsigned()))),
        other => Err(unexpected_reply(other)),
    }
}

/// Whether the server has said so itself.
fn is_answer(error: &redis::RedisError) -> bool {
    !error.is_unrecoverable_error() && !error.is_io_error()
}

/// The code of an error, among those that matter here. Redis 6 wraps what a script ran into.
fn code(error: &redis::RedisError, text: &str) -> &'static str {
    let code = error.code().unwrap_or_default();
    let wrapped = code == "ERR" || code.is_empty();
    let codes = OUTAGE.into_iter().chain([WRONG_TYPE, READ_ONLY, "NOSCRIPT"]);
    let mut matching = codes.filter(|known| code == *known || (wrapped && text.contains(known)));
    matching.next().unwrap_or_default()
}

/// What a server has said, in its own words, for logs and errors.
pub(crate) fn server_message(error: &redis::RedisError) -> String {
    let text = match (error.code(), error.detail()) {
        (Some(code), Some(detail)) => format!("{code} {detail}"),
        _ => error.to_string(),
    };
    without_arguments(text)
}

/// An unknown command is quoted back with its arguments, and those are keys.
fn without_arguments(mut text: String) -> String {
    if let Some(at) = text.find(", with args") {
        text.truncate(at);
    }
    text
}
