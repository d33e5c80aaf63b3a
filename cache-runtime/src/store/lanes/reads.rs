//! Batches of reads.
//!
//! While a lane has a read in flight, further reads queue here, and its gathering task sends them as one
//! `MGET` of the entries and of each token that they depend on, once. A token is thereby read at the same
//! moment as the entry, and the reads share the cost of a command (`peers hit` in `benches/`).
//! A read on a lane with none in flight is sent at once, without this queue.

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

/// Reads in one batch, at most: they are all answered by one reply, the smallest with the largest.
const MAX_BATCH: usize = 64;

/// Reads for which an empty queue keeps its allocation.
const KEPT_CAPACITY: usize = 1024;

/// The shortest time limit that a queue's watch enforces, and the longest sleep of the watch; a shorter read
/// has a timer of its own.
pub(crate) const SHORTEST_WATCHED: Duration = Duration::from_millis(60);

/// After so long without a read the watch waits for the next one instead of polling.
const IDLE: Duration = Duration::from_secs(1);

/// A read that is not answered yet.
struct QueuedRead {
    key: Key,
    /// Whether the entry's remaining TTL is read too.
    timed: bool,
    deadline: Instant,
    answer: Arc<Answer>,
}

/// The result of a read, shared by its caller and its batch. The first of reply, timeout and close sets it.
struct Answer(Mutex<AnswerState>);

enum AnswerState {
    Pending(Option<Waker>),
    Ready(Result<Found, CommandError>),
    /// The caller has the result, or has dropped its future.
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
            // The waker is the executor's code, and may panic.
            let _ = contained(|| waker.wake());
        }
    }

    fn is_pending(&self) -> bool {
        matches!(&*lock(&self.0), AnswerState::Pending(_))
    }
}

/// The caller's future of a queued read.
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
            // Cloned and dropped without the lock, since a waker is the executor's code.
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

/// The queued and sent reads of one lane.
pub(crate) struct ReadQueue {
    queue: Mutex<Queue>,
    /// Wakes the gathering task: the queue is no longer empty, or closed.
    to_send: Notify,
    /// Wakes the watch: the queue is no longer idle, or closed.
    to_watch: Notify,
}

#[derive(Default)]
struct Queue {
    reads: VecDeque<QueuedRead>,
    sent: Slab<Arc<Vec<QueuedRead>>>,
    /// The watch waits for [`ReadQueue::to_watch`].
    idle: bool,
    closed: bool,
}

impl ReadQueue {
    pub(crate) fn new() -> Arc<Self> {
        let queue = Mutex::new(Queue { idle: true, ..Queue::default() });
        Arc::new(Self { queue, to_send: Notify::new(), to_watch: Notify::new() })
    }

    /// Queues a read for the next batch. The future has a result by `deadline` even if the lane ends, or the runtime
    /// that drives it is busy: the watch is on the private runtime.
    pub(crate) fn enqueue(&self, key: &Key, timed: bool, deadline: Instant) -> PendingRead {
        let answer = Arc::new(Answer(Mutex::new(AnswerState::Pending(None))));
        let read = QueuedRead { key: key.clone(), timed, deadline, answer: answer.clone() };
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

    /// Fails all queued and future reads: the lane, or the task that sends its batches, has ended.
    pub(crate) fn close(&self) {
        let mut queue = lock(&self.queue);
        queue.closed = true;
        let reads = std::mem::take(&mut queue.reads);
        drop(queue);
        self.to_send.notify_one();
        self.to_watch.notify_one();
        fail_all(&reads, &CommandError::Down);
    }

    /// Moves the next batch from the queue to the sent ones; `None` if the queue is empty. Reads that have their
    /// result, or whose caller has dropped its future, are left out of the batch.
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

    /// Fails the reads whose deadline has passed. Returns whether there are any reads, and the next deadline.
    fn expire(&self, now: Instant) -> (bool, Option<Instant>) {
        let (mut late, mut next) = (Vec::new(), None::<Instant>);
        let queue = lock(&self.queue);
        // Sent reads too, since the server may never answer.
        let sent = queue.sent.iter().flat_map(|(_, reads)| reads.iter());
        for read in queue.reads.iter().chain(sent) {
            if read.deadline > now {
                next = Some(next.map_or(read.deadline, |next| next.min(read.deadline)));
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

/// Times out the reads of one lane. Runs on the private runtime, since the one that drives the lane may be
/// busy. Ends once the queue is closed and nothing sent is unanswered.
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
        // A read that is queued meanwhile has `SHORTEST_WATCHED` at least.
        let later = now + SHORTEST_WATCHED;
        let until = next.map_or(later, |next| next.min(later));
        tokio::time::sleep_until(until.into()).await;
    }
}

/// Sends the batches of one lane, until the lane is dropped.
// Not an `async fn`, whose body would create the task's guard at the first poll: an unpolled task that a
// runtime drops must fail the queued reads too.
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
        // Tasks that are about to run may queue reads for the same batch.
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

/// The gathering task's state, whose drop closes the queue.
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

/// One batch, taken from the queue.
struct TakenReads {
    reads: Arc<Vec<QueuedRead>>,
    /// Its index in [`Queue::sent`].
    slot: usize,
    /// How many of the lane's reads in flight they are; more than `reads` where some were left out.
    counted: usize,
}

/// A batch in flight, whose drop fails its reads if they have no answer: its runtime has ended then.
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
    // Before any caller wakes, so that its next read does not count these as in flight.
    sent.end_reading();
    match answers {
        // An ACL may forbid one of the keys and refuse the whole `MGET`: send each read alone.
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
    let limits = reads.iter().map(|read| read.deadline.saturating_duration_since(now));
    // Zero calls: each caller has a deadline of its own, and counts its own timeout.
    let limit = limits.max().unwrap_or_default();
    let mut connection = lane.connection();
    let reply = lanes.send(lane, limit, 0, pin!(batch.send(&mut connection))).await;
    // A refused batch is not counted: its reads are sent again one by one, and each of those is.
    let reply = if reads.len() == 1 || reply.is_ok() { lanes.record_read(reply)? } else { reply? };
    batch.answers(reply)
}
