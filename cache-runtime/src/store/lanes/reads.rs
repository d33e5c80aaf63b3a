//! Reads that go out together.
//!
//! Where a lane is waiting for an answer already, what is to be read next is gathered and sent as
//! one `MGET`: of each entry, and once of each token that several of them depend on. A token is
//! thereby read in the same moment as the entry, and what a command costs is shared. A lane that
//! waits for nothing sends at once.

mod batch;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use slab::Slab;
use tokio::sync::Notify;

use super::{CommandError, Lane, Lanes};
use crate::contain::contained;
use crate::key::Key;
use crate::store::contract::Found;
pub(crate) use batch::Batch;

/// Reads that go out in one command at most: the answer to all of them has to come at once.
const MAX_BATCH: usize = 64;

/// Reads for which a queue keeps room while it is empty.
const KEPT_CAPACITY: usize = 1024;

/// Reads with less time than this have a timer each, so that whoever looks after the others may sleep
/// for as long.
pub(crate) const SHORTEST_WATCHED: Duration = Duration::from_millis(60);

/// A lane on which nothing is waited for so long is not looked after until something is.
const IDLE: Duration = Duration::from_secs(1);

/// One read that waits for an answer.
struct QueuedRead {
    key: Key,
    /// With the time that the entry has left.
    timed: bool,
    until: Instant,
    answer: Arc<Answer>,
}

/// What a read comes to: told once, by whoever is first.
struct Answer(Mutex<AnswerState>);

enum AnswerState {
    Pending(Option<Waker>),
    Ready(Result<Found, CommandError>),
    Taken,
}

impl Answer {
    fn set(&self, result: Result<Found, CommandError>) {
        let mut state = lock(&self.0);
        let AnswerState::Pending(waker) = &mut *state else { return };
        let waker = waker.take();
        *state = AnswerState::Ready(result);
        drop(state);
        if let Some(waker) = waker {
            // It is the executor's, and may do anything.
            let _ = contained(|| waker.wake());
        }
    }

    fn is_pending(&self) -> bool {
        matches!(&*lock(&self.0), AnswerState::Pending(_))
    }
}

/// Waits for the answer to a read.
pub(crate) struct PendingRead(Option<Arc<Answer>>);

impl Future for PendingRead {
    type Output = Result<Found, CommandError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(answer) = &self.0 else { return Poll::Pending };
        let mut state = lock(&answer.0);
        let mut fresh = None;
        while let AnswerState::Pending(waker) = &mut *state {
            if waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
                return Poll::Pending;
            }
            if let Some(fresh) = fresh.take() {
                let before = waker.replace(fresh);
                drop(state);
                drop(before);
                return Poll::Pending;
            }
            // Not under the lock: it is the executor's.
            drop(state);
            fresh = Some(cx.waker().clone());
            state = lock(&answer.0);
        }
        let result = std::mem::replace(&mut *state, AnswerState::Taken);
        drop(state);
        self.0 = None;
        match result {
            AnswerState::Ready(result) => Poll::Ready(result),
            AnswerState::Pending(_) | AnswerState::Taken => Poll::Pending,
        }
    }
}

impl Drop for PendingRead {
    fn drop(&mut self) {
        if let Some(answer) = &self.0 {
            let before = std::mem::replace(&mut *lock(&answer.0), AnswerState::Taken);
            drop(before);
        }
    }
}

/// The reads of one lane that wait to be sent or answered.
pub(crate) struct ReadQueue {
    queue: Mutex<Queue>,
    /// There is something to be sent, or never will be again.
    to_send: Notify,
    /// There is something to be looked after, or never will be again.
    to_watch: Notify,
}

#[derive(Default)]
struct Queue {
    reads: VecDeque<QueuedRead>,
    sent: Slab<Arc<Vec<QueuedRead>>>,
    /// Nobody looks after them.
    idle: bool,
    closed: bool,
}

impl ReadQueue {
    pub(crate) fn new() -> Arc<Self> {
        let queue = Mutex::new(Queue { idle: true, ..Queue::default() });
        Arc::new(Self { queue, to_send: Notify::new(), to_watch: Notify::new() })
    }

    /// Has `key` read with whatever else is waiting. It is told in time whatever becomes of the lane,
    /// and of what drives it.
    pub(crate) fn enqueue(&self, key: &Key, timed: bool, until: Instant) -> PendingRead {
        let answer = Arc::new(Answer(Mutex::new(AnswerState::Pending(None))));
        let read = QueuedRead { key: key.clone(), timed, until, answer: answer.clone() };
        let pending = PendingRead(Some(answer));
        let mut queue = lock(&self.queue);
        if queue.closed {
            drop(queue);
            read.answer.set(Err(CommandError::Down));
            return pending;
        }
        let first = queue.reads.is_empty();
        let idle = std::mem::replace(&mut queue.idle, false);
        queue.reads.push_back(read);
        drop(queue);
        if first {
            self.to_send.notify_one();
        }
        if idle {
            self.to_watch.notify_one();
        }
        pending
    }

    /// Nothing is sent any more: its connection, or what drives that, has gone.
    pub(crate) fn close(&self) {
        let mut queue = lock(&self.queue);
        queue.closed = true;
        let reads = std::mem::take(&mut queue.reads);
        drop(queue);
        self.to_send.notify_one();
        self.to_watch.notify_one();
        fail_all(&reads, &CommandError::Down);
    }

    /// What is to be sent together, and is looked after from now on as sent; `None` where nothing
    /// waits. Whoever went away is left out.
    fn take(&self) -> Option<TakenReads> {
        let mut queue = lock(&self.queue);
        let all = queue.reads.len().min(MAX_BATCH);
        if all == 0 {
            return None;
        }
        let is_pending = |read: &QueuedRead| read.answer.is_pending();
        let reads: Arc<Vec<QueuedRead>> =
            Arc::new(queue.reads.drain(..all).filter(is_pending).collect());
        if queue.reads.is_empty() && queue.reads.capacity() > KEPT_CAPACITY {
            queue.reads = VecDeque::new();
        }
        let slot = queue.sent.insert(reads.clone());
        Some(TakenReads { reads, slot, counted: all })
    }

    /// Tells those whose time is over; whether there is anybody to look after, and until when the next
    /// of them waits.
    fn expire(&self, now: Instant) -> (bool, Option<Instant>) {
        let (mut late, mut next) = (Vec::new(), None::<Instant>);
        let queue = lock(&self.queue);
        // Of those that were sent too: their lane may never answer.
        let sent = queue.sent.iter().flat_map(|(_, reads)| reads.iter());
        for read in queue.reads.iter().chain(sent) {
            if read.until > now {
                next = Some(next.map_or(read.until, |next| next.min(read.until)));
            } else if read.answer.is_pending() {
                late.push(read.answer.clone());
            }
        }
        let any = !queue.reads.is_empty() || !queue.sent.is_empty();
        drop(queue);
        for answer in late {
            answer.set(Err(CommandError::Timeout));
        }
        (any, next)
    }
}

fn fail_all<'a>(reads: impl IntoIterator<Item = &'a QueuedRead>, error: &CommandError) {
    for read in reads {
        read.answer.set(Err(error.clone()));
    }
}

/// Tells the reads of a lane when their time is over. On the private runtime: what drives the lane may
/// be busy with something else.
pub(crate) async fn watch(reads: Arc<ReadQueue>) {
    let mut busy = Instant::now();
    loop {
        let now = Instant::now();
        let (any, next) = reads.expire(now);
        if any {
            busy = now;
        }
        let idle = {
            let mut queue = lock(&reads.queue);
            if queue.closed && queue.sent.is_empty() {
                return;
            }
            let empty = queue.reads.is_empty() && queue.sent.is_empty();
            queue.idle = empty && now.duration_since(busy) >= IDLE;
            queue.idle
        };
        if idle {
            reads.to_watch.notified().await;
            busy = Instant::now();
            continue;
        }
        // What is asked for meanwhile has as much time at least.
        let later = now + SHORTEST_WATCHED;
        let until = next.map_or(later, |next| next.min(later));
        tokio::time::sleep_until(until.into()).await;
    }
}

/// Sends what is asked for, until nobody can read any more.
// Not an `async fn`: what is told at its end is told also where it has not begun.
pub(crate) fn gather(
    lanes: Weak<Lanes>,
    lane: Weak<Lane>,
    reads: Arc<ReadQueue>,
) -> impl Future<Output = ()> + Send {
    drive(GatherTask { lanes, lane, reads })
}

async fn drive(task: GatherTask) {
    loop {
        task.reads.to_send.notified().await;
        // Whoever is about to run may read as well.
        tokio::task::yield_now().await;
        let (Some(lanes), Some(lane)) = (task.lanes.upgrade(), task.lane.upgrade()) else {
            return;
        };
        while let Some(taken) = task.reads.take() {
            let (lanes, lane) = (lanes.clone(), lane.clone());
            tokio::spawn(send(SentReads { lanes, lane, taken, answered: false }));
        }
    }
}

/// What drives a lane: with it ends what waits to be sent.
struct GatherTask {
    lanes: Weak<Lanes>,
    lane: Weak<Lane>,
    reads: Arc<ReadQueue>,
}

impl Drop for GatherTask {
    fn drop(&mut self) {
        if let (Some(lanes), Some(lane)) = (self.lanes.upgrade(), self.lane.upgrade()) {
            lanes.driver_dropped(&lane);
        }
        self.reads.close();
    }
}

/// Reads that are sent together.
struct TakenReads {
    reads: Arc<Vec<QueuedRead>>,
    /// Among what has been sent.
    slot: usize,
    /// For how many they count among those that the lane reads.
    counted: usize,
}

/// Told even if whatever drives the lane ends.
struct SentReads {
    lanes: Arc<Lanes>,
    lane: Arc<Lane>,
    taken: TakenReads,
    answered: bool,
}

impl SentReads {
    fn end_reading(&mut self) {
        self.lane.end_reading(std::mem::take(&mut self.taken.counted));
    }
}

impl Drop for SentReads {
    fn drop(&mut self) {
        let sent = lock(&self.lane.reads.queue).sent.try_remove(self.taken.slot);
        drop(sent);
        self.end_reading();
        if !self.answered {
            self.lanes.driver_dropped(&self.lane);
            fail_all(&*self.taken.reads, &CommandError::Down);
        }
    }
}

async fn send(mut sent: SentReads) {
    let reads = sent.taken.reads.clone();
    if reads.is_empty() {
        sent.answered = true;
        return;
    }
    let answers = read_all(&sent.lanes, &sent.lane, &reads).await;
    // Before anybody is told, who may be about to read again.
    sent.end_reading();
    match answers {
        // One of the keys may be refused to us, and the others not.
        Err(CommandError::Error { .. }) if reads.len() > 1 => {
            for read in reads.iter() {
                let answer = read_all(&sent.lanes, &sent.lane, std::slice::from_ref(read)).await;
                read.answer.set(answer.map(|mut found| found.pop().unwrap_or_default()));
            }
        }
        Ok(found) => {
            for (read, found) in reads.iter().zip(found) {
                read.answer.set(Ok(found));
            }
        }
        Err(error) => fail_all(&*reads, &error),
    }
    sent.answered = true;
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn read_all(
    lanes: &Arc<Lanes>,
    lane: &Arc<Lane>,
    reads: &[QueuedRead],
) -> Result<Vec<Found>, CommandError> {
    let mut batch = Batch::with_room(reads.len());
    for read in reads {
        batch.add(&read.key, read.timed);
    }
    let now = Instant::now();
    let limits = reads.iter().map(|read| read.until.saturating_duration_since(now));
    // Each has a deadline of its own, and counts it where it is missed.
    let limit = limits.max().unwrap_or_default();
    let mut connection = lane.connection();
    let reply = lanes.send(lane, limit, 0, pin!(batch.send(&mut connection))).await;
    // Of several that are refused together each is asked for again.
    let reply = if reads.len() == 1 || reply.is_ok() { lanes.record_read(reply)? } else { reply? };
    batch.answers(reply)
}
