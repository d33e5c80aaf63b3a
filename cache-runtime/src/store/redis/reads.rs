//! Reads that go out together.
//!
//! Where a lane is waiting for an answer already, what is to be read next is gathered and sent as
//! one `MGET`: of each entry, and once of each token that several of them depend on. A token is
//! thereby read in the same moment as the entry, and what a command costs is shared. A lane that
//! waits for nothing sends at once.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use deadpool_redis::redis::{self, Cmd, Pipeline, RedisResult, Value};
use slab::Slab;
use smallvec::SmallVec;
use tokio::sync::Notify;

use super::odd;
use crate::contained;
use crate::entry::Token;
use crate::store::connection::{Lane, Lanes, Sent};
use crate::store::{Found, Key};

/// Reads that go out in one command at most: the answer to all of them has to come at once.
const MOST: usize = 64;

/// Reads for which a queue keeps room while it is empty.
const ROOM: usize = 1024;

/// Reads with less time than this have a timer each, so that whoever looks after the others may sleep
/// for as long.
pub(super) const EXACT: Duration = Duration::from_millis(60);

/// A lane on which nothing is waited for so long is not looked after until something is.
const IDLE: Duration = Duration::from_secs(1);

/// One read that waits for an answer.
struct Ask {
    key: Key,
    /// With the time that the entry has left.
    timed: bool,
    until: Instant,
    answer: Arc<Answer>,
}

/// What a read comes to: told once, by whoever is first.
struct Answer(Mutex<Stage>);

enum Stage {
    Awaited(Option<Waker>),
    Told(Result<Found, Sent>),
    Over,
}

impl Answer {
    fn tell(&self, told: Result<Found, Sent>) {
        let mut stage = lock(&self.0);
        let Stage::Awaited(waker) = &mut *stage else { return };
        let waker = waker.take();
        *stage = Stage::Told(told);
        drop(stage);
        if let Some(waker) = waker {
            // It is the executor's, and may do anything.
            let _ = contained(|| waker.wake());
        }
    }

    fn is_awaited(&self) -> bool {
        matches!(&*lock(&self.0), Stage::Awaited(_))
    }
}

/// Waits for the answer to a read.
pub(super) struct Answered(Option<Arc<Answer>>);

impl Future for Answered {
    type Output = Result<Found, Sent>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(answer) = &self.0 else { return Poll::Pending };
        let mut stage = lock(&answer.0);
        let mut fresh = None;
        while let Stage::Awaited(waker) = &mut *stage {
            if waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
                return Poll::Pending;
            }
            if let Some(fresh) = fresh.take() {
                let before = waker.replace(fresh);
                drop(stage);
                drop(before);
                return Poll::Pending;
            }
            // Not under the lock: it is the executor's.
            drop(stage);
            fresh = Some(cx.waker().clone());
            stage = lock(&answer.0);
        }
        let told = std::mem::replace(&mut *stage, Stage::Over);
        drop(stage);
        self.0 = None;
        match told {
            Stage::Told(told) => Poll::Ready(told),
            Stage::Awaited(_) | Stage::Over => Poll::Pending,
        }
    }
}

impl Drop for Answered {
    fn drop(&mut self) {
        if let Some(answer) = &self.0 {
            let before = std::mem::replace(&mut *lock(&answer.0), Stage::Over);
            drop(before);
        }
    }
}

/// The reads of one lane that wait to be sent or answered.
pub(crate) struct Asks {
    queue: Mutex<Queue>,
    /// There is something to be sent, or never will be again.
    some: Notify,
    /// There is something to be looked after, or never will be again.
    watched: Notify,
}

#[derive(Default)]
struct Queue {
    asks: VecDeque<Ask>,
    sent: Slab<Arc<Vec<Ask>>>,
    /// Nobody looks after them.
    idle: bool,
    closed: bool,
}

impl Asks {
    pub(crate) fn new() -> Arc<Self> {
        let queue = Mutex::new(Queue { idle: true, ..Queue::default() });
        Arc::new(Self { queue, some: Notify::new(), watched: Notify::new() })
    }

    /// Has `key` read with whatever else is waiting. It is told in time whatever becomes of the lane,
    /// and of what drives it.
    pub(super) fn ask(&self, key: &Key, timed: bool, until: Instant) -> Answered {
        let answer = Arc::new(Answer(Mutex::new(Stage::Awaited(None))));
        let ask = Ask { key: key.clone(), timed, until, answer: answer.clone() };
        let answered = Answered(Some(answer));
        let mut queue = lock(&self.queue);
        if queue.closed {
            drop(queue);
            ask.answer.tell(Err(Sent::Down));
            return answered;
        }
        let first = queue.asks.is_empty();
        let idle = std::mem::replace(&mut queue.idle, false);
        queue.asks.push_back(ask);
        drop(queue);
        if first {
            self.some.notify_one();
        }
        if idle {
            self.watched.notify_one();
        }
        answered
    }

    /// Nothing is sent any more: its connection, or what drives that, has gone.
    pub(crate) fn close(&self) {
        let mut queue = lock(&self.queue);
        queue.closed = true;
        let asks = std::mem::take(&mut queue.asks);
        drop(queue);
        self.some.notify_one();
        self.watched.notify_one();
        tell_all(&asks, &Sent::Down);
    }

    /// What is to be sent together, and is looked after from now on as sent; `None` where nothing
    /// waits. Whoever went away is left out.
    fn take(&self) -> Option<Taken> {
        let mut queue = lock(&self.queue);
        let all = queue.asks.len().min(MOST);
        if all == 0 {
            return None;
        }
        let awaited = |ask: &Ask| ask.answer.is_awaited();
        let asks: Arc<Vec<Ask>> = Arc::new(queue.asks.drain(..all).filter(awaited).collect());
        if queue.asks.is_empty() && queue.asks.capacity() > ROOM {
            queue.asks = VecDeque::new();
        }
        let place = queue.sent.insert(asks.clone());
        Some(Taken { asks, place, reading: all })
    }

    /// Tells those whose time is over; whether there is anybody to look after, and until when the next
    /// of them waits.
    fn expire(&self, now: Instant) -> (bool, Option<Instant>) {
        let (mut late, mut next) = (Vec::new(), None::<Instant>);
        let queue = lock(&self.queue);
        // Of those that were sent too: their lane may never answer.
        let sent = queue.sent.iter().flat_map(|(_, asks)| asks.iter());
        for ask in queue.asks.iter().chain(sent) {
            if ask.until > now {
                next = Some(next.map_or(ask.until, |next| next.min(ask.until)));
            } else if ask.answer.is_awaited() {
                late.push(ask.answer.clone());
            }
        }
        let some = !queue.asks.is_empty() || !queue.sent.is_empty();
        drop(queue);
        for answer in late {
            answer.tell(Err(Sent::Timeout));
        }
        (some, next)
    }
}

fn tell_all<'a>(asks: impl IntoIterator<Item = &'a Ask>, sent: &Sent) {
    for ask in asks {
        ask.answer.tell(Err(sent.clone()));
    }
}

/// Tells the reads of a lane when their time is over. On the private runtime: what drives the lane may
/// be busy with something else.
pub(crate) async fn watch(asks: Arc<Asks>) {
    let mut busy = Instant::now();
    loop {
        let now = Instant::now();
        let (some, next) = asks.expire(now);
        if some {
            busy = now;
        }
        let rests = {
            let mut queue = lock(&asks.queue);
            if queue.closed && queue.sent.is_empty() {
                return;
            }
            let empty = queue.asks.is_empty() && queue.sent.is_empty();
            queue.idle = empty && now.duration_since(busy) >= IDLE;
            queue.idle
        };
        if rests {
            asks.watched.notified().await;
            busy = Instant::now();
            continue;
        }
        // What is asked for meanwhile has as much time at least.
        let later = now + EXACT;
        let until = next.map_or(later, |next| next.min(later));
        tokio::time::sleep_until(until.into()).await;
    }
}

/// Sends what is asked for, until nobody can ask any more.
// Not an `async fn`: what is told at its end is told also where it has not begun.
pub(crate) fn gather(
    lanes: Weak<Lanes>,
    lane: Weak<Lane>,
    asks: Arc<Asks>,
) -> impl Future<Output = ()> + Send {
    drive(Driven { lanes, lane, asks })
}

async fn drive(driven: Driven) {
    loop {
        driven.asks.some.notified().await;
        // Whoever is about to run may ask as well.
        tokio::task::yield_now().await;
        let (Some(lanes), Some(lane)) = (driven.lanes.upgrade(), driven.lane.upgrade()) else {
            return;
        };
        while let Some(taken) = driven.asks.take() {
            let (lanes, lane) = (lanes.clone(), lane.clone());
            tokio::spawn(send(OnItsWay { lanes, lane, taken, answered: false }));
        }
    }
}

/// What drives a lane: with it ends what waits to be sent.
struct Driven {
    lanes: Weak<Lanes>,
    lane: Weak<Lane>,
    asks: Arc<Asks>,
}

impl Drop for Driven {
    fn drop(&mut self) {
        if let (Some(lanes), Some(lane)) = (self.lanes.upgrade(), self.lane.upgrade()) {
            lanes.dropped(&lane);
        }
        self.asks.close();
    }
}

/// Reads that are sent together.
struct Taken {
    asks: Arc<Vec<Ask>>,
    /// Among what has been sent.
    place: usize,
    /// For how many they count among those that the lane reads.
    reading: usize,
}

/// Told even if whatever drives the lane ends.
struct OnItsWay {
    lanes: Arc<Lanes>,
    lane: Arc<Lane>,
    taken: Taken,
    answered: bool,
}

impl OnItsWay {
    fn end_reading(&mut self) {
        self.lane.end_reading(std::mem::take(&mut self.taken.reading));
    }
}

impl Drop for OnItsWay {
    fn drop(&mut self) {
        let sent = lock(&self.lane.asks.queue).sent.try_remove(self.taken.place);
        drop(sent);
        self.end_reading();
        if !self.answered {
            self.lanes.dropped(&self.lane);
            tell_all(&*self.taken.asks, &Sent::Down);
        }
    }
}

async fn send(mut sent: OnItsWay) {
    let asks = sent.taken.asks.clone();
    if asks.is_empty() {
        sent.answered = true;
        return;
    }
    let answers = read(&sent.lanes, &sent.lane, &asks).await;
    // Before anybody is told, who may be about to read again.
    sent.end_reading();
    match answers {
        // One of the keys may be refused to us, and the others not.
        Err(Sent::Error { .. }) if asks.len() > 1 => {
            for ask in asks.iter() {
                let answer = read(&sent.lanes, &sent.lane, std::slice::from_ref(ask)).await;
                ask.answer.tell(answer.map(|mut found| found.pop().unwrap_or_default()));
            }
        }
        Ok(found) => {
            for (ask, found) in asks.iter().zip(found) {
                ask.answer.tell(Ok(found));
            }
        }
        Err(failed) => tell_all(&*asks, &failed),
    }
    sent.answered = true;
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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
    names: SmallVec<[&'a [u8]; 4]>,
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
        let mut names = key.bytes();
        let name = names.next().unwrap_or_default();
        let same = |read: &&Places| read.hash == key.hash && self.names[read.entry] == name;
        let same = self.reads.iter().find(same).map(|read| read.entry);
        self.shared |= same.is_some();
        let entry = same.unwrap_or_else(|| {
            self.names.push(name);
            self.names.len() - 1
        });
        let tokens = names.map(|token| self.token(token)).collect();
        let left = timed.then(|| {
            self.timed.push(entry);
            self.timed.len() - 1
        });
        self.reads.push(Places { hash: key.hash, entry, tokens, left });
    }

    /// The place of a token: many depend on few.
    fn token(&mut self, name: &'a [u8]) -> usize {
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
            mget.arg(*name);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::background;

    const LONG: Duration = Duration::from_secs(60);

    fn ask(asks: &Asks, limit: Duration) -> Answered {
        asks.ask(&Key::named("key"), false, Instant::now() + limit)
    }

    async fn told(answered: Answered) -> Result<Found, Sent> {
        background::timeout(LONG, pin!(answered)).await.expect("it is told in time")
    }

    #[tokio::test]
    async fn the_first_to_tell_counts_and_whoever_waits_is_woken() {
        let asks = Asks::new();
        let waiting = tokio::spawn(told(ask(&asks, LONG)));
        let together = loop {
            match asks.take() {
                Some(together) => break together,
                None => tokio::task::yield_now().await,
            }
        };
        tokio::task::yield_now().await;
        together.asks[0].answer.tell(Ok(Found::default()));
        together.asks[0].answer.tell(Err(Sent::Down));
        assert!(matches!(waiting.await, Ok(Ok(_))));
    }

    #[tokio::test]
    async fn who_goes_away_is_not_awaited_any_more() {
        let asks = Asks::new();
        drop(ask(&asks, LONG));
        let taken = asks.take().unwrap();
        assert_eq!((taken.asks.len(), taken.reading), (0, 1));
    }

    #[test]
    fn a_long_queue_is_taken_in_batches_and_leaves_no_room_behind() {
        let asks = Asks::new();
        let waiting: Vec<_> = (0..10_000).map(|_| ask(&asks, LONG)).collect();
        let mut sizes = Vec::new();
        while let Some(taken) = asks.take() {
            assert!(taken.asks.capacity() <= MOST);
            sizes.push(taken.asks.len());
        }
        assert!(sizes.iter().all(|size| *size <= MOST) && sizes.iter().sum::<usize>() == 10_000);
        assert!(lock(&asks.queue).asks.capacity() <= ROOM);
        drop(waiting);
    }

    #[tokio::test]
    async fn a_lane_that_nothing_drives_keeps_nobody_beyond_his_time() {
        let asks = Asks::new();
        background::spawn(watch(asks.clone()));
        for _ in 0..2 {
            // One waits to be sent, and one for an answer.
            let sent = ask(&asks, Duration::from_millis(100));
            let place = asks.take().unwrap().place;
            let queued = ask(&asks, Duration::from_millis(100));
            let patient = ask(&asks, LONG);
            assert!(matches!(told(sent).await, Err(Sent::Timeout)));
            assert!(matches!(told(queued).await, Err(Sent::Timeout)));
            let other = asks.take().unwrap().place;
            drop(patient);
            for place in [place, other] {
                lock(&asks.queue).sent.remove(place);
            }
            let rests = async {
                while !lock(&asks.queue).idle {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            };
            tokio::time::timeout(LONG, rests).await.expect("the watch rests");
        }
    }

    #[tokio::test]
    async fn once_closed_everybody_is_told() {
        let asks = Asks::new();
        let watching = background::spawn(watch(asks.clone())).unwrap();
        let before = ask(&asks, LONG);
        asks.close();
        assert!(matches!(told(before).await, Err(Sent::Down)));
        assert!(matches!(told(ask(&asks, LONG)).await, Err(Sent::Down)));
        watching.await.unwrap();
    }

    #[tokio::test]
    async fn what_drove_a_lane_tells_everybody_at_its_end() {
        for begins in [true, false] {
            let asks = Asks::new();
            let before = ask(&asks, LONG);
            let gathering = tokio::spawn(gather(Weak::new(), Weak::new(), asks.clone()));
            if begins {
                // The lane is gone: it ends by itself.
                gathering.await.unwrap();
            } else {
                gathering.abort();
            }
            assert!(matches!(told(before).await, Err(Sent::Down)));
            assert!(matches!(told(ask(&asks, LONG)).await, Err(Sent::Down)));
        }
    }
}
