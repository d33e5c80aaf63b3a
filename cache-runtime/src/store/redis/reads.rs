//! Reads that go out together.
//!
//! Where a lane is waiting for an answer already, what is to be read next is gathered and sent as
//! one `MGET`: of each entry, and once of each token that several of them depend on. A token is
//! thereby read in the same moment as the entry, and what a command costs is shared. A lane that
//! waits for nothing sends at once.

use std::pin::pin;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;
use deadpool_redis::redis::{self, Cmd, Pipeline, RedisResult, Value};
use smallvec::SmallVec;
use tokio::sync::{mpsc, oneshot};

use super::odd;
use crate::entry::Token;
use crate::store::connection::{Lane, Lanes, Sent};
use crate::store::{Found, Key};

/// Reads that go out in one command at most: the answer to all of them has to come at once.
const MOST: usize = 64;

/// One read that waits to be sent.
pub(crate) struct Ask {
    key: Key,
    /// With the time that the entry has left.
    timed: bool,
    until: Instant,
    answer: oneshot::Sender<Result<Found, Sent>>,
}

/// The reads of one lane.
pub(crate) type Asks = mpsc::UnboundedSender<Ask>;

/// Has `key` read with whatever else is waiting.
pub(super) fn ask(
    lane: &Lane,
    key: &Key,
    timed: bool,
    until: Instant,
) -> oneshot::Receiver<Result<Found, Sent>> {
    let (answer, answered) = oneshot::channel();
    let ask = Ask { key: key.clone(), timed, until, answer };
    // Where it fails the answer is dropped with it, which says the same.
    let _ = lane.asks.send(ask);
    answered
}

/// Sends what is asked for, until nobody can ask any more.
pub(crate) async fn gather(
    lanes: Weak<Lanes>,
    lane: Weak<Lane>,
    mut asks: mpsc::UnboundedReceiver<Ask>,
) {
    let mut together = Vec::new();
    while asks.recv_many(&mut together, MOST).await > 0 {
        // Whoever is about to run may ask as well.
        tokio::task::yield_now().await;
        while together.len() < MOST
            && let Ok(ask) = asks.try_recv()
        {
            together.push(ask);
        }
        let (Some(lanes), Some(lane)) = (lanes.upgrade(), lane.upgrade()) else { return };
        let asked = together.len();
        together.retain(|ask| !ask.answer.is_closed());
        lane.end_reading(asked - together.len());
        if !together.is_empty() {
            tokio::spawn(send(lanes, lane, std::mem::take(&mut together)));
        }
    }
}

async fn send(lanes: Arc<Lanes>, lane: Arc<Lane>, asks: Vec<Ask>) {
    let answers = read(&lanes, &lane, &asks).await;
    lane.end_reading(asks.len());
    let answers = match answers {
        // One of the keys may be refused to us, and the others not.
        Err(Sent::Error { .. }) if asks.len() > 1 => {
            for ask in asks {
                let answer = read(&lanes, &lane, std::slice::from_ref(&ask)).await;
                let answer = answer.map(|mut found| found.pop().unwrap_or_default());
                let _ = ask.answer.send(answer);
            }
            return;
        }
        answers => answers,
    };
    match answers {
        Ok(found) => {
            for (ask, found) in asks.into_iter().zip(found) {
                let _ = ask.answer.send(Ok(found));
            }
        }
        Err(sent) => {
            for ask in asks {
                let _ = ask.answer.send(Err(sent.clone()));
            }
        }
    }
}

async fn read(lanes: &Arc<Lanes>, lane: &Arc<Lane>, asks: &[Ask]) -> Result<Vec<Found>, Sent> {
    let mut batch = Batch::with_room(asks.len());
    for ask in asks {
        batch.add(&ask.key, ask.timed);
    }
    let now = Instant::now();
    let limits = asks.iter().map(|ask| ask.until.saturating_duration_since(now));
    // Each has a deadline of its own, and counts it where it is missed.
    let limit = limits.max().unwrap_or_default();
    let mut connection = lane.connection();
    let reply = lanes.send(lane, limit, 0, pin!(batch.send(&mut connection))).await?;
    batch.answers(reply)
}

/// Reads of several entries, each name once.
pub(super) struct Batch<'a> {
    reads: SmallVec<[Places; 1]>,
    names: SmallVec<[&'a str; 4]>,
    /// Places of the tokens among them.
    tokens: SmallVec<[usize; 2]>,
    /// Places of the names whose time is asked for.
    timed: SmallVec<[usize; 1]>,
    /// Some read the same entry.
    shared: bool,
}

/// Where what belongs to one entry is among the names.
struct Places {
    hash: u64,
    entry: usize,
    tokens: SmallVec<[usize; 2]>,
    /// Among the timed.
    left: Option<usize>,
}

impl<'a> Batch<'a> {
    pub(super) fn with_room(reads: usize) -> Self {
        Self {
            reads: SmallVec::with_capacity(reads),
            names: SmallVec::with_capacity(reads * 2),
            tokens: SmallVec::new(),
            timed: SmallVec::new(),
            shared: false,
        }
    }

    pub(super) fn add(&mut self, key: &'a Key, timed: bool) {
        let name = key.entry();
        let same = |read: &&Places| read.hash == key.hash && self.names[read.entry] == name;
        let same = self.reads.iter().find(same).map(|read| read.entry);
        self.shared |= same.is_some();
        let entry = same.unwrap_or_else(|| {
            self.names.push(name);
            self.names.len() - 1
        });
        let tokens = key.tokens().map(|token| self.token(token)).collect();
        let left = timed.then(|| {
            self.timed.push(entry);
            self.timed.len() - 1
        });
        self.reads.push(Places { hash: key.hash, entry, tokens, left });
    }

    /// The place of a token: many depend on few.
    fn token(&mut self, name: &'a str) -> usize {
        let known = self.tokens.iter().copied().find(|at| self.names[*at] == name);
        known.unwrap_or_else(|| {
            self.names.push(name);
            self.tokens.push(self.names.len() - 1);
            self.names.len() - 1
        })
    }

    /// `MGET`, and before it `PTTL` where that is asked for: then the age can only be overestimated.
    pub(super) async fn send(
        &self,
        connection: &mut redis::aio::MultiplexedConnection,
    ) -> RedisResult<Value> {
        if self.timed.is_empty() {
            return connection.send_packed_command(&self.mget()).await;
        }
        let mut all = Pipeline::with_capacity(self.timed.len() + 1);
        for place in &self.timed {
            all.cmd("PTTL").arg(self.names[*place]);
        }
        all.add_command(self.mget());
        let replies = connection.send_packed_commands(&all, 0, all.len()).await?;
        Ok(Value::Array(replies))
    }

    fn mget(&self) -> Cmd {
        let size = self.names.iter().map(|name| name.len() + 16).sum();
        let mut mget = Cmd::with_capacity(1 + self.names.len(), size);
        mget.arg("MGET");
        for name in &self.names {
            mget.arg(name);
        }
        mget
    }

    /// What was found, in the order of the reads.
    pub(super) fn answers(&self, reply: Value) -> Result<Vec<Found>, Sent> {
        let Value::Array(mut values) = reply else { return Err(odd(&reply)) };
        let mut lefts = SmallVec::<[Option<Duration>; 1]>::new();
        if !self.timed.is_empty() {
            let mut replies = values;
            values = match replies.pop() {
                Some(Value::Array(values)) => values,
                other => return Err(odd(&other.unwrap_or(Value::Nil))),
            };
            for left in &replies {
                lefts.push(match left {
                    // Absent a moment ago: what has come since is new.
                    Value::Int(-2) => None,
                    Value::Int(left) => Some(Duration::from_millis((*left).max(0).cast_unsigned())),
                    other => return Err(odd(other)),
                });
            }
        }
        if values.len() != self.names.len() {
            return Err(odd(&Value::Array(values)));
        }
        let mut bytes = SmallVec::<[Option<Bytes>; 4]>::new();
        for value in values {
            bytes.push(match value {
                Value::Nil => None,
                Value::BulkString(bytes) => Some(Bytes::from(bytes)),
                other => return Err(odd(&other)),
            });
        }
        // Of the tokens alone: of anything long it is a digest.
        let mut tokens: SmallVec<[Option<Token>; 4]> = SmallVec::from_elem(None, bytes.len());
        for at in &self.tokens {
            tokens[*at] = bytes[*at].as_ref().map(|bytes| Token::of(bytes));
        }
        let found = self.reads.iter().map(|read| Found {
            bytes: if self.shared { bytes[read.entry].clone() } else { bytes[read.entry].take() },
            tokens: read.tokens.iter().map(|at| tokens[*at]).collect(),
            left: read.left.and_then(|at| lefts[at]),
        });
        Ok(found.collect())
    }
}
