//! Lanes: the few multiplexed connections to one server that all calls share.
//!
//! A lane holds one object of a `deadpool` pool for as long as its connection works. Checking a connection
//! out for each call would forbid pipelining across calls. A key hashes to one lane, so Redis receives the
//! commands about that key in order; while that lane is down another lane serves the key, and no rule of
//! coherence relies on the order across the two, or across a redial. A lane whose connection fails, or that
//! times out three times in a row, is evicted, and its slot's task ([`reconnect`]) redials it.
//!
//! One more lane has client tracking on (`CLIENT TRACKING`). Reads whose invalidation pushes are needed go
//! through that lane, and no other command does.

mod affinity;
mod connect;
mod dial;
pub(crate) mod epoch;
mod handshake;
mod health;
mod heartbeat;
mod probe;
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
pub(crate) use health::{ServerState, State};
pub use probe::{Probe, ProbeError, ProbeStep};
use reads::ReadQueue;
pub(crate) use reads::{Batch, PendingRead, SHORTEST_WATCHED};
use reconnect::Backoff;
pub(crate) use tracking::{Subscription, Tracking};
use write_pause::WritePause;

/// Timeouts in a row after which a lane is evicted: the network may drop its packets without a reset.
const MAX_TIMEOUTS: u32 = 3;

/// For how long after the end of a lane's runtime calls wait for the redial, each within its budget.
const GRACE: Duration = Duration::from_millis(250);

/// Reads in flight on one lane past which further calls run uncached. Up to 64 reads share a command, so a
/// longer queue means that the server does not keep up.
const MAX_READS: usize = 1 << 16;

/// The script behind every conditional write; the handshake of a lane checks that the server runs it.
pub(crate) const COMPARE_AND_SET: &str = include_str!("compare_and_set.lua");

const TIMED_OUT: &str = "commands time out";

pub(crate) const WRONG_TYPE: &str = "WRONGTYPE";
const READ_ONLY: &str = "READONLY";

/// Error codes of a server that serves no client at the moment.
const OUTAGE: [&str; 6] = ["LOADING", "MASTERDOWN", CLUSTER_DOWN, "NOAUTH", "BUSY", "TRYAGAIN"];
const CLUSTER_DOWN: &str = "CLUSTERDOWN";

/// One shared connection to the server.
pub(crate) struct Lane {
    index: usize,
    /// Unique in the process, so that [`LaneId`] tells this lane from its successor in the slot.
    number: u64,
    born: Instant,
    connection: MultiplexedConnection,
    /// The connection's driver task is aborted when the last `Link` is dropped.
    _link: connect::Link,
    timeouts: AtomicU32,
    /// Notified when the lane is evicted or its runtime ends; its slot's task waits for it.
    ended: Arc<Notify>,
    /// Why the connection ended; unset where the lane was taken out for another reason.
    close_reason: OnceLock<String>,
    /// Whether the server answers `ROLE`.
    reports_role: bool,
    /// Reads that wait to be sent in one batch.
    pub(crate) reads: Arc<ReadQueue>,
    /// Reads that are queued or sent, and not answered.
    reads_in_flight: AtomicUsize,
    /// Lives as long as the caller's runtime that drives the connection; `None` on the private runtime.
    anchor: Option<Anchor>,
}

impl Lane {
    pub(crate) fn connection(&self) -> MultiplexedConnection {
        self.connection.clone()
    }

    /// Whether the private runtime drives the connection.
    fn is_private(&self) -> bool {
        self.anchor.is_none()
    }

    /// Whether the runtime that drives the connection still exists.
    fn is_driven(&self) -> bool {
        self.anchor.as_ref().is_none_or(Anchor::is_alive)
    }

    /// Counts one more read in flight. Returns whether there were others; `None`, and nothing is counted, past
    /// [`MAX_READS`].
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

/// Identifies a lane without keeping it alive, and tells it from its successor in the slot.
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

/// A read that is sent on its own, counted among the lane's reads until this guard is dropped.
pub(crate) struct SingleRead(pub(crate) Arc<Lane>);

impl Drop for SingleRead {
    fn drop(&mut self) {
        self.0.end_reading(1);
    }
}

/// All lanes to one server. The last slot but one is for bulk work (large values, `SCAN`), the last one for
/// the lane with client tracking.
pub(crate) struct Lanes {
    server: Server,
    slots: Box<[Slot]>,
    /// RESP3 and RESP2 pools; the second one is for proxies that refuse `HELLO`.
    pools: [Pool; 2],
    tracking_pool: Pool,
    /// Optional handshake steps at which the server has failed a dial lately.
    skipped: SkippedSteps,
    /// A key in the cache's namespace on which a handshake tries the script.
    probe_key: String,
    /// Whether the server was a master once, or is meant to be one. Then it counts as down while it is a replica.
    was_master: AtomicBool,
    affinity: Affinity,
    tracking: Arc<Tracking>,
    /// When the last answered heartbeat of the tracking lane was sent, in milliseconds of [`Coarse`].
    last_heartbeat: AtomicU64,
    cluster: Arc<Epoch>,
    /// The server sends no invalidation pushes: subscribers poll instead.
    tracking_unsupported: AtomicBool,
    connect_timeout: Duration,
    pub(crate) timeout: Duration,
    /// The most time that a call gives a command: the shorter one of `Config::timeout` and `Config::budget`.
    call_limit: Duration,
    pub(crate) breaker: Breaker,
    /// The pause between probes; it grows until a call is served.
    probe_backoff: Mutex<Backoff>,
    health: Health,
    pub(crate) writes: WritePause,
    /// Notified when a lane is evicted: every other lane then sends a heartbeat, since an unused connection
    /// does not notice its own end.
    check_requested: Arc<Notify>,
    /// Set once the cache is closed or the server is no longer part of the deployment.
    retired: AtomicBool,
}

struct Slot {
    lane: ArcSwapOption<Lane>,
    started: AtomicBool,
    /// Whether a dial has succeeded or failed since a call last needed one.
    dialled: watch::Sender<bool>,
    /// Until when calls wait for the redial after a runtime has ended, in milliseconds of [`clock::millis`].
    grace_until: AtomicU64,
    /// Notified when a call needs the lane, for a redial that was put off after its runtime had ended.
    needed: Arc<Notify>,
    /// Whether the next dial is made on the private runtime: commands kept timing out on the caller's.
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

    /// The lanes of one server; the nodes of a cluster share `tracking` and `cluster`.
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

    /// The slot of a key: always the same one, so that Redis receives the key's commands in order.
    pub(crate) fn slot_of(&self, hash: u64, bulk: bool) -> usize {
        let shared = self.slots.len() - 2;
        if bulk { shared } else { (hash % shared as u64) as usize }
    }

    /// The lane of a slot, or any other one while that lane is down (the server may allow no more
    /// connections). No other lane replaces the tracking lane.
    pub(crate) fn lane(&self, slot: usize) -> Option<Arc<Lane>> {
        Guard::into_inner(self.peek(slot))
    }

    /// As [`Lanes::lane`], without a count on the `Arc`: the guard is to be dropped before the next `await`.
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
        // A lane whose runtime has ended answers no command; its own slot's next call takes it out.
        lanes.find(|lane| lane.is_driven())
    }

    /// The slot of the lane with client tracking.
    pub(crate) fn tracking_slot(&self) -> usize {
        self.slots.len() - 1
    }

    /// Subscribes to invalidations of a key; `None` while the tracking lane is down or unsupported.
    pub(crate) fn subscribe(self: &Arc<Self>, key: &Key) -> Option<Subscription> {
        self.tracks_changes().then(|| self.tracking.subscribe(key))
    }

    /// Whether the tracking lane is up. The first call starts its dial.
    pub(crate) fn tracks_changes(self: &Arc<Self>) -> bool {
        if self.tracking_unsupported.load(Ordering::Relaxed) {
            return false;
        }
        self.start(self.tracking_slot());
        self.peek(self.tracking_slot()).is_some()
    }

    /// Spawns the task that dials a slot, at the slot's first use.
    pub(crate) fn start(self: &Arc<Self>, slot: usize) {
        if !self.slots[slot].started.swap(true, Ordering::AcqRel)
            && background::spawn(reconnect::keep_dialled(Arc::downgrade(self), slot)).is_none()
        {
            self.mark_lost("the system has refused the thread that drives connections");
            self.slots[slot].dialled.send_replace(true);
        }
    }

    /// Waits until a slot's first dial has succeeded or failed, or the first one after its runtime has ended.
    pub(crate) async fn dialled(self: &Arc<Self>, slot: usize) {
        self.affinity.note();
        self.start(slot);
        if let Some(lane) = self.slots[slot].lane.load_full().filter(|lane| !lane.is_driven()) {
            self.take_out_undriven(&lane);
        }
        self.slots[slot].needed.notify_one();
        let mut dialled = self.slots[slot].dialled.subscribe();
        // `wait_for` fails only once the sender is dropped, and the sender lives in `self`.
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

    /// Takes out a lane whose runtime has ended. Calls that need it within [`GRACE`] wait for the redial.
    fn take_out_undriven(&self, lane: &Arc<Lane>) {
        if self.take_out(lane) {
            self.expect_dial(lane.index);
        }
    }

    fn expect_dial(&self, slot: usize) {
        let until = clock::millis() + GRACE.as_millis() as u64;
        self.slots[slot].grace_until.store(until, Ordering::Relaxed);
        self.slots[slot].dialled.send_replace(false);
        // `retire` may have run just before: nothing is dialled after it, so no call may wait for it.
        if self.is_retired() {
            self.slots[slot].dialled.send_replace(true);
        }
    }

    pub(crate) fn is_down(&self) -> bool {
        self.breaker.is_open()
            || self.is_retired()
            || (self.health.is_lost() && self.any().is_none())
    }

    /// Records whether the server supports client tracking, and warns when it turns out not to.
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

    /// Whether a timeout after `limit` counts against the server: a call that had little of its budget left is
    /// no measure of it.
    pub(crate) fn is_ample(&self, limit: Duration) -> bool {
        limit.saturating_mul(2) >= self.call_limit
    }

    /// Awaits `reply` from a lane within `limit`, on behalf of `calls` calls, and feeds the outcome to the
    /// breaker, the health of the server and the lane's count of timeouts.
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

    /// Counts a timeout of a batched read against its lane, which may have been replaced since.
    pub(crate) fn read_timed_out(self: &Arc<Self>, id: LaneId) {
        if let Some(lane) = self.current(id) {
            self.count_timeouts(&lane, 1);
        }
        if id.private {
            self.count_failures(1, TIMED_OUT);
        }
    }

    /// A task that served the lane was dropped. On a caller's runtime that is the end of the runtime, and the
    /// lane is taken out.
    pub(crate) fn driver_dropped(&self, lane: &Arc<Lane>) {
        if !lane.is_private() {
            self.take_out_undriven(lane);
        }
    }

    /// The lane of that id, unless its slot holds another one by now.
    fn current(&self, id: LaneId) -> Option<Arc<Lane>> {
        self.slots[id.index].lane.load_full().filter(|lane| LaneId::of(lane) == id)
    }

    /// Counts a command's timeout against the lane and the server, once for each of its `calls`.
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

    /// Evicts a lane that keeps timing out. The network may drop its packets, or the runtime that drives it may
    /// be too busy: the slot's next dial is made on the other one, the private runtime or the caller's.
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
            // The runtime may have ended, and not the server's connection: the slot's task finds out which.
            let _ = lane.close_reason.set(text);
            self.take_out_undriven(lane);
            return CommandError::Down;
        }
        // The server was demoted, and its host name may resolve to the new master already: redial all
        // lanes. Where the address is that of a replica every write ends here: one redial for each pause
        // bounds that, also for deletions, which are sent during a pause too.
        if code == READ_ONLY && !self.writes.are_paused() {
            self.writes.pause(&text);
            // A reply through a replaced lane says nothing about where the current ones lead.
            if self.current(LaneId::of(lane)).is_some() {
                self.evict_all();
            }
        }
        if lost {
            self.evict_because(lane, &text);
        }
        if code == CLUSTER_DOWN && self.server.part == Part::Node {
            // A probe's `PING` would succeed and close the breaker, so this counts as a refused read, unless
            // the node refuses writes alone (`cluster-allow-reads-when-down yes`).
            if !text.contains("only accepts read") {
                self.read_refused(&text);
            }
            return CommandError::Down;
        }
        if lost || OUTAGE.contains(&code) {
            self.count_failures(calls, &text);
            return CommandError::Down;
        }
        // The server answered, though with an error: for the breaker that is a success.
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
        // A command of several calls has failed each of them.
        if (0..calls).any(|_| self.breaker.failure()) {
            self.tracking.wake_all();
            self.mark_lost(why);
            background::spawn(reconnect::probe(Arc::downgrade(self)));
        }
    }

    /// Evicts a lane whose connection has ended, and records why.
    fn evict_because(&self, lane: &Arc<Lane>, why: &str) {
        let _ = lane.close_reason.set(why.to_owned());
        self.evict(lane);
    }

    /// Evicts every lane: the server answers, but it is no longer the one that the address is meant for. Its
    /// invalidation pushes would miss what the new master changes.
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

    /// Empties the lane's slot; `false` where another task has done so already.
    fn take_out(&self, lane: &Arc<Lane>) -> bool {
        let slot = &self.slots[lane.index].lane;
        let expected = Some(lane.clone());
        let before = slot.compare_and_swap(&expected, None);
        let taken = before.as_ref().is_some_and(|before| Arc::ptr_eq(before, lane));
        if taken {
            lane.ended.notify_one();
        }
        taken
    }

    /// A lane has answered the heartbeat of `sent`. Redis sends invalidation pushes ahead of later replies, so
    /// on the tracking lane every change before `sent` has arrived.
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

/// Why a command has no usable reply.
#[derive(Clone, Debug)]
pub(crate) enum CommandError {
    Timeout,
    Down,
    /// The bound on commands in flight was reached; nothing was sent.
    Busy,
    /// Another node serves the key: from now on (`MOVED`), or for this command alone (`ASK`).
    #[cfg(feature = "cluster")]
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
    /// A connection that is up, for `CLUSTER SLOTS`; the tracking lane's if there is no other.
    #[cfg(feature = "cluster")]
    pub(crate) fn connection(&self) -> Option<MultiplexedConnection> {
        let listener = || self.lane(self.tracking_slot());
        self.any_lane().or_else(listener).map(|lane| lane.connection())
    }

    pub(crate) fn is_retired(&self) -> bool {
        self.retired.load(Ordering::Acquire)
    }

    /// Closes all connections. Commands in flight may finish.
    pub(crate) fn retire(&self) {
        self.retired.store(true, Ordering::Release);
        for slot in &self.slots {
            slot.started.store(true, Ordering::Release);
            slot.dialled.send_replace(true);
            slot.needed.notify_one();
            if let Some(lane) = slot.lane.swap(None) {
                // Wakes the slot's task, which ends.
                lane.ended.notify_one();
            }
        }
        for pool in self.pools.iter().chain([&self.tracking_pool]) {
            pool.close();
        }
        // Wakes subscribers, which then read from the server that has taken over.
        self.tracking.invalidate_all();
    }
}

/// Describes a reply by its type, never by its content, which may be a user's data.
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

/// Whether the error is a reply of the server, and not of the connection.
fn is_answer(error: &redis::RedisError) -> bool {
    !error.is_unrecoverable_error() && !error.is_io_error()
}

/// The code of an error, among those that change what is done here. Redis 6 wraps the errors of commands in
/// a script in an `ERR`, so the text is searched too.
fn code(error: &redis::RedisError, text: &str) -> &'static str {
    let code = error.code().unwrap_or_default();
    let wrapped = code == "ERR" || code.is_empty();
    let codes = OUTAGE.into_iter().chain([WRONG_TYPE, READ_ONLY, "NOSCRIPT"]);
    let mut matching = codes.filter(|known| code == *known || (wrapped && text.contains(known)));
    matching.next().unwrap_or_default()
}

/// The text of an error, in the server's words, for logs and errors.
pub(crate) fn server_message(error: &redis::RedisError) -> String {
    let text = match (error.code(), error.detail()) {
        (Some(code), Some(detail)) => format!("{code} {detail}"),
        _ => error.to_string(),
    };
    without_arguments(text)
}

/// Cuts the arguments off, which Redis quotes after the name of an unknown command: they are keys.
fn without_arguments(mut text: String) -> String {
    if let Some(at) = text.find(", with args") {
        text.truncate(at);
    }
    text
}
