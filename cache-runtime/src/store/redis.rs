//! Entries in Redis: a few commands over the lanes.

mod clear;
mod reads;
mod script;

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use deadpool_redis::redis::{self, Cmd, Pipeline, Value};

use super::connection::{Lane, LaneMark, Lanes, Listening, ReadingAlone, Sent, State, WRONG_TYPE};
use super::{Fault, Found, Key, Read, Reading};
use crate::config::{Config, Server};
use crate::entry::{EntryId, Token, Tokens};
use crate::near::Marks;
use crate::{background, clock};
use reads::{Answered, Batch};
pub(super) use reads::{Asks, gather, watch};

pub(super) const COMPARE_AND_SET: &str = include_str!("compare_and_set.lua");

/// Commands in flight past which calls run plainly: a queue that long is an outage.
const IN_FLIGHT: usize = 4096;

/// Nobody waits longer for an answer, whatever the settings say: a moment has to have a name.
const LONGEST: Duration = Duration::from_secs(60 * 60 * 24);

/// For how long a refused write keeps others from trying.
const WRITES_PAUSED: Duration = Duration::from_secs(1);

/// The longest lifetime that is asked for: Redis refuses dates that overflow.
const MAX_LIFE: Duration = Duration::from_secs(60 * 60 * 24 * 365 * 10);

pub(crate) struct Redis {
    lanes: Arc<Lanes>,
    /// Touched by this process's own writes at once, rather than when they are announced.
    marks: Arc<Marks>,
    in_flight: AtomicUsize,
    /// Until when writes are not tried, in milliseconds of [`clock::millis`].
    writes_paused: AtomicU64,
    writes_refused: AtomicBool,
}

impl Redis {
    pub(crate) fn new(server: &Server, config: &Config, marks: Arc<Marks>) -> Result<Self, String> {
        Ok(Self {
            lanes: Arc::new(Lanes::new(server, config, marks.clone())?),
            marks,
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

    /// Whether changes of what a tracked read shows are heard; asks for it where not.
    pub(crate) fn hears(&self) -> bool {
        self.lanes.hears()
    }

    /// Listens for changes of what a tracked read shows; `None` where that cannot be had now.
    pub(crate) fn listen(&self, key: &Key) -> Option<Listening> {
        self.lanes.listen(key)
    }

    fn slot(&self, key: &Key) -> usize {
        self.lanes.slot_of(key.hash, key.bulk)
    }

    /// Reads an entry and its tokens: at once where the lane waits for nothing, and otherwise together
    /// with whatever else is to be read.
    pub(crate) fn read<'a>(&'a self, key: &'a Key, how: Read, limit: Duration) -> Reading<'a> {
        let timed = how != Read::Plain;
        let slot = if how == Read::Tracked { self.lanes.listener() } else { self.slot(key) };
        match self.ask(slot, key, timed, limit) {
            Ok(Asked::Together(together)) if limit >= reads::EXACT => Reading::Together(together),
            Ok(Asked::Together(mut together)) => Reading::Other(Box::pin(async move {
                let found = background::timeout(limit, Pin::new(&mut together)).await;
                found.unwrap_or_else(|_| Err(fault(together.missed())))
            })),
            Ok(Asked::Alone(lane)) => Reading::Other(Box::pin(async move {
                self.read_alone(lane, key, timed, limit).await.map_err(fault)
            })),
            Err(sent) => Reading::Known(Some(Err(fault(sent)))),
        }
    }

    fn ask(&self, slot: usize, key: &Key, timed: bool, limit: Duration) -> Result<Asked<'_>, Sent> {
        let lane = self.lanes.peek(slot);
        let lane = lane.as_ref().ok_or(Sent::Down)?;
        let others = lane.begin_to_read().ok_or(Sent::Busy)?;
        // What is large would hold the others up, and what has little time left is no measure of the
        // lane.
        Ok(if others && !key.bulk && self.lanes.is_ample(limit) {
            let answered = lane.asks.ask(key, timed, Instant::now() + limit.min(LONGEST));
            let (lanes, mark) = (&self.lanes, LaneMark::of(lane));
            Asked::Together(Together { lanes, slot, mark, answered })
        } else {
            Asked::Alone(ReadingAlone(lane.clone()))
        })
    }

    async fn read_alone(
        &self,
        reading: ReadingAlone,
        key: &Key,
        timed: bool,
        limit: Duration,
    ) -> Result<Found, Sent> {
        let mut batch = Batch::with_room(1);
        batch.add(key, timed);
        let lane = &reading.0;
        let mut connection = lane.connection();
        let reply = pin!(batch.send(&mut connection));
        let found = batch.answers(self.lanes.send(lane, limit, 1, reply).await?)?;
        Ok(found.into_iter().next().unwrap_or_default())
    }

    /// Whether something is under the key that no command of ours takes for an entry: `MGET` shows
    /// nothing there.
    pub(crate) async fn is_of_another_type(&self, key: &Key, limit: Duration) -> bool {
        let mut ask = redis::cmd("TYPE");
        let reply = self.command(key, limit, ask.arg(key.entry())).await;
        matches!(reply, Ok(Value::SimpleString(kind)) if kind != "none" && kind != "string")
    }

    /// `SET NX` and `GET` of each missing token: whoever was first made it.
    pub(crate) async fn seed(
        &self,
        key: &Key,
        known: &[Option<Token>],
        life: Duration,
        limit: Duration,
    ) -> Result<Tokens, Fault> {
        if self.is_write_paused() {
            return Err(Fault::ReadOnly);
        }
        let mut seed = redis::pipe();
        for (name, token) in key.tokens().zip(known) {
            if token.is_none() {
                let fresh = EntryId::fresh().ok_or(Fault::Down)?;
                seed.cmd("SET").arg(name).arg(&fresh.0[..]).arg("NX").arg("PX").arg(in_redis(life));
                seed.cmd("GET").arg(name);
            }
        }
        let lane = self.lanes.lane(self.slot(key));
        let replies = match self.pipeline(lane, limit, &seed).await {
            Ok(replies) => replies,
            Err(Sent::Error { code, text }) if code != WRONG_TYPE => {
                self.pause_writes(&text);
                return Err(Fault::ReadOnly);
            }
            Err(sent) => return Err(fault(sent)),
        };
        let mut made = replies.into_iter().skip(1).step_by(2);
        let tokens = known.iter().map(|token| match token {
            Some(token) => Ok(*token),
            None => match made.next() {
                Some(Value::BulkString(bytes)) => Ok(Token::of(&bytes)),
                // Invalidated in between: whoever comes next makes another.
                Some(Value::Nil) => Err(Fault::Refused("a token went away".to_owned())),
                other => Err(unexpected(&other.unwrap_or(Value::Nil))),
            },
        });
        tokens.collect()
    }

    /// Removes entries and tokens in one command. Tried even while writes are refused: it frees
    /// memory.
    pub(crate) async fn unlink(&self, names: &[String], limit: Duration) -> Result<(), Fault> {
        let mut unlink = redis::cmd("UNLINK");
        unlink.arg(names);
        let reply = self.send(self.lanes.any_lane(), limit, &unlink).await;
        // After the reply: before, what is about to go could still be copied.
        for name in names {
            self.marks.touch(name.as_bytes());
        }
        reply.map(drop).map_err(fault)
    }

    async fn command(&self, key: &Key, limit: Duration, command: &Cmd) -> Result<Value, Fault> {
        self.send(self.lanes.lane(self.slot(key)), limit, command).await.map_err(fault)
    }

    async fn send(
        &self,
        lane: Option<Arc<Lane>>,
        limit: Duration,
        command: &Cmd,
    ) -> Result<Value, Sent> {
        let (lane, _place) = self.enter(lane)?;
        let mut connection = lane.connection();
        let reply = pin!(connection.send_packed_command(command));
        self.lanes.send(&lane, limit, 1, reply).await
    }

    /// One round trip for several commands; the first error among the replies is the whole's.
    async fn pipeline(
        &self,
        lane: Option<Arc<Lane>>,
        limit: Duration,
        commands: &Pipeline,
    ) -> Result<Vec<Value>, Sent> {
        let (lane, _place) = self.enter(lane)?;
        let mut connection = lane.connection();
        let replies = pin!(async {
            let replies = connection.send_packed_commands(commands, 0, commands.len()).await?;
            Ok(Value::Array(replies))
        });
        match self.lanes.send(&lane, limit, 1, replies).await? {
            Value::Array(replies) => Ok(replies),
            _ => Ok(Vec::new()),
        }
    }

    fn enter(&self, lane: Option<Arc<Lane>>) -> Result<(Arc<Lane>, InFlight<'_>), Sent> {
        let lane = lane.ok_or(Sent::Down)?;
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

/// A read on its way.
enum Asked<'a> {
    Together(Together<'a>),
    Alone(ReadingAlone),
}

/// A read that goes out with others.
pub(crate) struct Together<'a> {
    lanes: &'a Arc<Lanes>,
    slot: usize,
    mark: LaneMark,
    answered: Answered,
}

impl Together<'_> {
    /// No answer in time.
    fn missed(&self) -> Sent {
        self.lanes.missed(self.slot, self.mark);
        Sent::Timeout
    }
}

impl Future for Together<'_> {
    type Output = Result<Found, Fault>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.answered).poll(cx).map(|found| {
            if matches!(found, Err(Sent::Timeout)) {
                self.missed();
            }
            found.map_err(fault)
        })
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

/// Milliseconds that Redis takes for a lifetime.
fn in_redis(life: Duration) -> u64 {
    life.min(MAX_LIFE).as_millis().max(1) as u64
}

fn unexpected(reply: &Value) -> Fault {
    fault(odd(reply))
}

/// Tells the kind of a reply, never its content.
fn odd(reply: &Value) -> Sent {
    let kind = match reply {
        Value::Int(_) => "an integer",
        Value::Array(_) => "an array",
        _ => "another type",
    };
    Sent::Error { code: "", text: format!("unexpected reply: {kind}") }
}
