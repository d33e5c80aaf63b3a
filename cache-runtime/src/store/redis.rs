//! Entries in Redis: a few commands over the lanes.

use std::pin::pin;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use deadpool_redis::redis::{self, Cmd, Pipeline, Value};

use super::connection::{Lane, Lanes, Listening, Sent, State, WRONG_TYPE};
use super::{Fault, Found, Key, Read, Write};
use crate::clock;
use crate::config::{Config, Server};
use crate::entry::{EntryId, Seen, Token, Tokens};

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

    /// Listens for changes of what a tracked read shows; `None` where that cannot be had now.
    pub(crate) fn listen(&self, key: &Key) -> Option<Listening> {
        self.lanes.listen(key)
    }

    fn slot(&self, key: &Key) -> usize {
        self.lanes.slot_of(key.hash, key.bulk)
    }

    /// `MGET` of the entry and its tokens. `PTTL`, where it is asked for, goes first: then the age
    /// can only be overestimated.
    pub(crate) async fn read(&self, key: &Key, how: Read, limit: Duration) -> Result<Found, Fault> {
        let size = key.all().map(|name| name.len() + 16).sum();
        let mut mget = Cmd::with_capacity(1 + key.names.tokens.len() + 1, size);
        mget.arg("MGET");
        for name in key.all() {
            mget.arg(name);
        }
        if how == Read::Plain {
            return found(self.command(key, limit, &mget).await?, None);
        }
        let mut both = redis::pipe();
        both.cmd("PTTL").arg(key.entry()).add_command(mget);
        let lane = match how {
            Read::Tracked => self.lanes.listening_lane(),
            _ => self.lanes.lane(self.slot(key)),
        };
        let mut replies = self.pipeline(lane, limit, &both).await.map_err(fault)?;
        match (replies.pop(), replies.pop()) {
            (Some(found_now), Some(Value::Int(left))) => {
                let left = match left {
                    // Absent a moment ago: what has come since is new.
                    -2 => None,
                    left => Some(Duration::from_millis(u64::try_from(left).unwrap_or(0))),
                };
                found(found_now, left)
            }
            (Some(other), _) => Err(unexpected(&other)),
            (None, _) => Err(unexpected(&Value::Nil)),
        }
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
        for (name, token) in key.names.tokens.iter().zip(known) {
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

    pub(crate) async fn compare_and_set(
        &self,
        key: &Key,
        seen: &Seen,
        write: &Write,
        limit: Duration,
    ) -> Result<bool, Fault> {
        let replies = self.script(key, seen, write, limit, &redis::pipe()).await?;
        Ok(replies.last() == Some(&Value::Int(1)))
    }

    /// Asks for the tokens' lifetimes on the way, and doubles those that are too short.
    pub(crate) async fn populate(
        &self,
        key: &Key,
        seen: &Seen,
        write: &Write,
        tokens_for: Duration,
        limit: Duration,
    ) -> Result<bool, Fault> {
        let mut before = redis::pipe();
        for name in &key.names.tokens {
            before.cmd("PTTL").arg(name);
        }
        let replies = self.script(key, seen, write, limit, &before).await?;
        let mut renew = redis::pipe();
        for (name, left) in key.names.tokens.iter().zip(&replies) {
            // Without an expiry is too long.
            if let Value::Int(left @ -1..) = left
                && *left < in_redis(tokens_for).cast_signed()
            {
                renew.cmd("PEXPIRE").arg(name).arg(in_redis(tokens_for.saturating_mul(2)));
            }
        }
        if !renew.is_empty() {
            // Failed, the next populate does it.
            let _ = self.pipeline(self.lanes.lane(self.slot(key)), limit, &renew).await;
        }
        Ok(replies.last() == Some(&Value::Int(1)))
    }

    /// Sends the script behind `before`, in one round trip; a second one where Redis has forgotten
    /// it.
    async fn script(
        &self,
        key: &Key,
        seen: &Seen,
        write: &Write,
        limit: Duration,
        before: &Pipeline,
    ) -> Result<Vec<Value>, Fault> {
        // Deleting frees memory, and is not what was refused.
        let frees = matches!(write, Write::Delete);
        if !frees && self.is_write_paused() {
            return Err(Fault::ReadOnly);
        }
        let began = Instant::now();
        let slot = self.slot(key);
        let by_hash = with_script(before, key, seen, write, ["EVALSHA", script_hash()]);
        let replies = match self.pipeline(self.lanes.lane(slot), limit, &by_hash).await {
            Err(Sent::Error { code: "NOSCRIPT", .. }) => {
                let left = limit.saturating_sub(began.elapsed());
                let by_text = with_script(before, key, seen, write, ["EVAL", COMPARE_AND_SET]);
                self.pipeline(self.lanes.lane(slot), left, &by_text).await
            }
            replies => replies,
        };
        match replies {
            Ok(replies) => {
                if !frees && replies.last() == Some(&Value::Int(1)) {
                    self.writes_go_on();
                }
                Ok(replies)
            }
            Err(Sent::Error { code, text }) if code != WRONG_TYPE => {
                self.pause_writes(&text);
                Err(Fault::ReadOnly)
            }
            Err(sent) => Err(fault(sent)),
        }
    }

    /// Removes entries and tokens in one command. Tried even while writes are refused: it frees
    /// memory.
    pub(crate) async fn unlink(&self, names: &[String], limit: Duration) -> Result<(), Fault> {
        let mut unlink = redis::cmd("UNLINK");
        unlink.arg(names);
        let reply = self.send(self.lanes.any_lane(), limit, &unlink).await;
        reply.map(drop).map_err(fault)
    }

    /// `SCAN` and `UNLINK` on the connection for bulk work.
    pub(crate) async fn clear(
        &self,
        start: &str,
        progress: &mut (dyn FnMut(u64) + Send),
    ) -> Result<u64, Fault> {
        let bulk = Key { bulk: true, ..Key::any() };
        self.ready(&bulk).await;
        let pattern = format!("{}*", literally(start));
        let (mut cursor, mut removed) = (0_u64, 0);
        loop {
            let mut scan = redis::cmd("SCAN");
            scan.arg(cursor).arg("MATCH").arg(&pattern).arg("COUNT").arg(1000);
            let page = self.command(&bulk, self.timeout(), &scan).await?;
            let page = redis::from_redis_value::<(u64, Vec<Vec<u8>>)>(page);
            let (next, names) = page.map_err(|_| unexpected(&Value::Nil))?;
            if !names.is_empty() {
                let mut unlink = redis::cmd("UNLINK");
                let reply = self.command(&bulk, self.timeout(), unlink.arg(names)).await?;
                removed += if let Value::Int(count) = reply { count as u64 } else { 0 };
            }
            progress(removed);
            cursor = next;
            if cursor == 0 {
                return Ok(removed);
            }
        }
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
        self.lanes.send(&lane, limit, reply).await
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
        match self.lanes.send(&lane, limit, replies).await? {
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

fn with_script(
    before: &Pipeline,
    key: &Key,
    seen: &Seen,
    write: &Write,
    [how, script]: [&str; 2],
) -> Pipeline {
    let (what, bytes, life) = match write {
        Write::Whole { bytes, life } => ("whole", &bytes[..], Some(*life)),
        Write::Header { bytes, life } => ("header", &bytes[..], *life),
        Write::Delete => ("delete", &[][..], None),
    };
    let mut all = before.clone();
    all.cmd(how).arg(script).arg(1).arg(key.entry());
    all.arg(&seen.0[..]).arg(what).arg(bytes).arg(life.map_or(0, in_redis));
    all
}

/// Milliseconds that Redis takes for a lifetime.
fn in_redis(life: Duration) -> u64 {
    life.min(MAX_LIFE).as_millis().max(1) as u64
}

/// A text of which no character has a meaning in a pattern.
fn literally(text: &str) -> String {
    let escaped = text.chars().flat_map(|c| {
        let escape = "*?[]^-\\".contains(c).then_some('\\');
        escape.into_iter().chain([c])
    });
    escaped.collect()
}

fn found(reply: Value, left: Option<Duration>) -> Result<Found, Fault> {
    let Value::Array(values) = reply else { return Err(unexpected(&reply)) };
    let mut values = values.into_iter().map(|value| match value {
        Value::Nil => Ok(None),
        Value::BulkString(bytes) => Ok(Some(Bytes::from(bytes))),
        other => Err(unexpected(&other)),
    });
    let bytes = values.next().unwrap_or(Ok(None))?;
    let token = |bytes: Result<Option<Bytes>, _>| Ok(bytes?.map(|bytes| Token::of(&bytes)));
    Ok(Found { bytes, tokens: values.map(token).collect::<Result<_, Fault>>()?, left })
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
