//! Entries in Redis: five commands over the lanes.

use std::pin::pin;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use deadpool_redis::redis::{self, Cmd, Value};

use super::connection::{Lane, Lanes, Sent, State, WRONG_TYPE};
use super::{Fault, Found, Key, Write};
use crate::clock;
use crate::config::{Config, Server};
use crate::entry::Seen;

pub(super) const COMPARE_AND_SET: &str = include_str!("compare_and_set.lua");

/// Commands in flight past which calls run plainly: a queue that long is an outage.
const IN_FLIGHT: usize = 4096;

/// For how long a refused write keeps others from trying.
const WRITES_PAUSED: Duration = Duration::from_secs(1);

/// The longest lifetime that is asked for: Redis refuses dates that overflow.
const MAX_LIFE: Duration = Duration::from_secs(60 * 60 * 24 * 365 * 10);

pub(crate) struct Redis {
    lanes: Arc<Lanes>,
    in_flight: AtomicUsize,
    /// Until when writes are not tried, in milliseconds of [`clock::millis`].
    writes_paused: AtomicU64,
    writes_refused: AtomicBool,
}

impl Redis {
    pub(crate) fn new(server: &Server, config: &Config) -> Result<Self, String> {
        Ok(Self {
            lanes: Arc::new(Lanes::new(server, config)?),
            in_flight: AtomicUsize::new(0),
            writes_paused: AtomicU64::new(0),
            writes_refused: AtomicBool::new(false),
        })
    }

    pub(crate) fn is_down(&self) -> bool {
        self.lanes.is_down()
    }

    pub(crate) fn state(&self) -> State {
        self.lanes.state()
    }

    pub(crate) fn live_lanes(&self) -> usize {
        self.lanes.live()
    }

    pub(crate) fn last_error(&self) -> Option<String> {
        self.lanes.last_error()
    }

    /// How long a command may take.
    pub(crate) fn timeout(&self) -> Duration {
        self.lanes.timeout
    }

    /// Whether the first dial of the key's lane has ended.
    pub(crate) fn is_ready(&self, key: &Key) -> bool {
        self.lanes.is_settled(self.slot(key))
    }

    /// Waits for the end of the first dial of the key's lane.
    pub(crate) async fn ready(&self, key: &Key) {
        self.lanes.settled(self.slot(key)).await;
    }

    fn slot(&self, key: &Key) -> usize {
        self.lanes.slot_of(key.hash, key.bulk)
    }

    pub(crate) async fn read(&self, key: &Key, limit: Duration) -> Result<Option<Bytes>, Fault> {
        let mut get = Cmd::with_capacity(2, 8 + key.text.len());
        get.arg("GET").arg(&*key.text);
        bytes_of(self.command(key, limit, &get).await?)
    }

    /// `PTTL` goes first: then the age can only be overestimated.
    pub(crate) async fn read_with_left(&self, key: &Key, limit: Duration) -> Result<Found, Fault> {
        let mut both = redis::pipe();
        both.cmd("PTTL").arg(&*key.text).cmd("GET").arg(&*key.text);
        let (lane, _place) = self.lane(key).map_err(fault)?;
        let mut connection = lane.connection();
        let replies = async {
            let replies = connection.send_packed_commands(&both, 0, 2).await?;
            Ok(Value::Array(replies))
        };
        match self.lanes.send(&lane, limit, pin!(replies)).await.map_err(fault)? {
            Value::Array(mut replies) if replies.len() == 2 => {
                let bytes = bytes_of(replies.swap_remove(1))?;
                let left = match replies[0] {
                    Value::Int(left) => u64::try_from(left).ok().map(Duration::from_millis),
                    _ => None,
                };
                Ok(Found { bytes, left })
            }
            other => Err(unexpected(&other)),
        }
    }

    pub(crate) async fn compare_and_set(
        &self,
        key: &Key,
        seen: &Seen,
        write: &Write,
        limit: Duration,
    ) -> Result<bool, Fault> {
        // Deleting frees memory, and is not what was refused.
        let frees = matches!(write, Write::Delete);
        if !frees && self.is_write_paused() {
            return Err(Fault::ReadOnly);
        }
        let began = Instant::now();
        let reply = match self.script(key, seen, write, "EVALSHA", script_hash(), limit).await {
            Err(Sent::Error { code: "NOSCRIPT", .. }) => {
                let left = limit.saturating_sub(began.elapsed());
                self.script(key, seen, write, "EVAL", COMPARE_AND_SET, left).await
            }
            reply => reply,
        };
        match reply {
            Ok(reply) => {
                let done = reply == Value::Int(1);
                if done && !frees {
                    self.writes_go_on();
                }
                Ok(done)
            }
            Err(Sent::Error { code, text }) if code != WRONG_TYPE => {
                self.pause_writes(&text);
                Err(Fault::ReadOnly)
            }
            Err(sent) => Err(fault(sent)),
        }
    }

    async fn script(
        &self,
        key: &Key,
        seen: &Seen,
        write: &Write,
        how: &str,
        script: &str,
        limit: Duration,
    ) -> Result<Value, Sent> {
        let (what, bytes, life) = match write {
            Write::Whole { bytes, life } => ("whole", &bytes[..], *life),
            Write::Header { bytes, life } => ("header", &bytes[..], *life),
            Write::Delete => ("delete", &[][..], Duration::ZERO),
        };
        let life = life.min(MAX_LIFE).as_millis().max(1) as u64;
        let size = script.len() + key.text.len() + seen.0.len() + bytes.len() + 64;
        let mut command = Cmd::with_capacity(8, size);
        command.arg(how).arg(script).arg(1).arg(&*key.text);
        command.arg(&seen.0[..]).arg(what).arg(bytes).arg(life);
        self.send(key, limit, &command).await
    }

    /// Removes a key. Tried even while writes are refused: it frees memory.
    pub(crate) async fn unlink(&self, key: &Key, limit: Duration) -> Result<(), Fault> {
        let mut unlink = redis::cmd("UNLINK");
        unlink.arg(&*key.text);
        self.command(key, limit, &unlink).await.map(drop)
    }

    async fn command(&self, key: &Key, limit: Duration, command: &Cmd) -> Result<Value, Fault> {
        self.send(key, limit, command).await.map_err(fault)
    }

    async fn send(&self, key: &Key, limit: Duration, command: &Cmd) -> Result<Value, Sent> {
        let (lane, _place) = self.lane(key)?;
        let mut connection = lane.connection();
        let reply = pin!(connection.send_packed_command(command));
        self.lanes.send(&lane, limit, reply).await
    }

    fn lane(&self, key: &Key) -> Result<(Arc<Lane>, InFlight<'_>), Sent> {
        let lane = self.lanes.lane(self.slot(key)).ok_or(Sent::Down)?;
        Ok((lane, InFlight::enter(&self.in_flight).ok_or(Sent::Busy)?))
    }

    pub(crate) fn is_write_paused(&self) -> bool {
        clock::millis() < self.writes_paused.load(Ordering::Relaxed)
    }

    fn pause_writes(&self, why: &str) {
        let until = clock::millis() + WRITES_PAUSED.as_millis() as u64;
        self.writes_paused.store(until, Ordering::Relaxed);
        if !self.writes_refused.swap(true, Ordering::Relaxed) {
            tracing::warn!(error = why, "redis refuses writes: nothing is populated for now");
        }
    }

    fn writes_go_on(&self) {
        if self.writes_refused.load(Ordering::Relaxed)
            && self.writes_refused.swap(false, Ordering::Relaxed)
        {
            tracing::info!("redis takes writes again");
        }
    }
}

/// One place among the commands in flight.
struct InFlight<'a>(&'a AtomicUsize);

impl<'a> InFlight<'a> {
    fn enter(count: &'a AtomicUsize) -> Option<Self> {
        let place = Self(count);
        (count.fetch_add(1, Ordering::Relaxed) < IN_FLIGHT).then_some(place)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn fault(sent: Sent) -> Fault {
    match sent {
        Sent::Timeout => Fault::Timeout,
        Sent::Down => Fault::Down,
        Sent::Busy => Fault::Busy,
        Sent::Error { code: WRONG_TYPE, .. } => Fault::WrongType,
        Sent::Error { text, .. } => Fault::Refused(text),
    }
}

fn script_hash() -> &'static str {
    static HASH: OnceLock<String> = OnceLock::new();
    HASH.get_or_init(|| redis::Script::new(COMPARE_AND_SET).get_hash().to_owned())
}

fn bytes_of(reply: Value) -> Result<Option<Bytes>, Fault> {
    match reply {
        Value::Nil => Ok(None),
        Value::BulkString(bytes) => Ok(Some(bytes.into())),
        other => Err(unexpected(&other)),
    }
}

/// Tells the kind of a reply, never its content.
fn unexpected(reply: &Value) -> Fault {
    let kind = match reply {
        Value::Int(_) => "an integer",
        Value::Array(_) => "an array",
        _ => "another type",
    };
    Fault::Refused(format!("unexpected reply: {kind}"))
}
