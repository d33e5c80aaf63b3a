//! What is being written behind the reply: bounded, and waited for by `flush`.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::contained;

/// Bytes that may wait to be written; past them values are given up, and counted.
const MOST: usize = 64 << 20;

/// What every write counts on top of its bytes, so that small ones are bounded in number too.
const OVERHEAD: usize = 16 << 10;

#[derive(Default)]
pub(crate) struct Queue {
    state: Mutex<State>,
    left: Notify,
}

#[derive(Default)]
struct State {
    next: u64,
    writing: BTreeSet<u64>,
    bytes: usize,
}

impl Queue {
    /// A place for a write of `bytes`; `None` where the queue is full.
    pub(crate) fn enter(self: &Arc<Self>, bytes: usize) -> Option<Place> {
        let bytes = bytes + OVERHEAD;
        let mut state = self.state();
        if state.bytes + bytes > MOST {
            return None;
        }
        state.bytes += bytes;
        state.next += 1;
        let number = state.next;
        state.writing.insert(number);
        Some(Place { queue: self.clone(), number, bytes })
    }

    /// Waits until every write that has a place now has left it.
    pub(crate) async fn flush(&self) {
        let last = self.state().next;
        loop {
            let mut left = std::pin::pin!(self.left.notified());
            // Listens before it looks, so that no departure falls in between.
            left.as_mut().enable();
            if self.state().writing.first().is_none_or(|first| *first > last) {
                return;
            }
            left.await;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(crate) struct Place {
    queue: Arc<Queue>,
    number: u64,
    bytes: usize,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.queue.state();
        state.writing.remove(&self.number);
        state.bytes -= self.bytes;
        drop(state);
        // Wakes executors of callers that flush: a panic in one is not for the caller that has written.
        let _ = contained(|| self.queue.left.notify_waiters());
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Waker};

    use super::*;

    #[test]
    fn flush_waits_for_what_was_there_and_for_nothing_later() {
        let queue = Arc::new(Queue::default());
        let before = queue.enter(1).unwrap();
        let mut flush = std::pin::pin!(queue.flush());
        let mut cx = Context::from_waker(Waker::noop());
        assert!(flush.as_mut().poll(&mut cx).is_pending());
        let later = queue.enter(1).unwrap();
        assert!(flush.as_mut().poll(&mut cx).is_pending());
        drop(before);
        assert!(flush.as_mut().poll(&mut cx).is_ready());
        drop(later);
    }

    #[test]
    fn a_full_queue_refuses_and_has_room_again() {
        let queue = Arc::new(Queue::default());
        let places: Vec<_> = std::iter::from_fn(|| queue.enter(1 << 20)).collect();
        assert!((60..64).contains(&places.len()));
        drop(places);
        assert!(queue.enter(1 << 20).is_some());
    }
}
