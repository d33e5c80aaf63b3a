//! What is being written behind the reply: bounded, and waited for by `flush`.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::background;

/// Bytes that may wait to be written; past them values are given up, and counted.
const MAX_BYTES: usize = 64 << 20;

/// What every write counts on top of its bytes, so that small ones are bounded in number too.
const OVERHEAD: usize = 16 << 10;

#[derive(Default)]
pub(crate) struct Queue {
    state: Mutex<State>,
    released: Notify,
}

#[derive(Default)]
struct State {
    next: u64,
    writing: BTreeSet<u64>,
    bytes: usize,
}

impl Queue {
    /// A slot for a value that has still to be encoded, which [`QueueSlot::resize`] then makes as large as
    /// the bytes are: a full queue refuses it before that work is done. The queue is full where `most`
    /// bytes would not fit, or half of all, if they are more. They are not reserved: what is being
    /// encoded elsewhere is small, as a rule, and must not keep anything out.
    pub(crate) fn enter_for(self: &Arc<Self>, most: usize) -> Option<QueueSlot> {
        if self.state().bytes + most.min(MAX_BYTES / 2) > MAX_BYTES {
            return None;
        }
        self.enter(0)
    }

    /// A slot for a write of `bytes`; `None` where the queue is full.
    pub(crate) fn enter(self: &Arc<Self>, bytes: usize) -> Option<QueueSlot> {
        let bytes = bytes + OVERHEAD;
        let mut state = self.state();
        if state.bytes + bytes > MAX_BYTES {
            return None;
        }
        state.bytes += bytes;
        state.next += 1;
        let number = state.next;
        state.writing.insert(number);
        Some(QueueSlot { queue: self.clone(), number, bytes })
    }

    /// Waits until every write that has a slot now has left it.
    pub(crate) async fn flush(&self) {
        let last = self.state().next;
        loop {
            let mut released = std::pin::pin!(self.released.notified());
            // Listens before it looks, so that no departure falls in between.
            released.as_mut().enable();
            if self.state().writing.first().is_none_or(|first| *first > last) {
                return;
            }
            background::guarded(released).await;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Left when it is dropped.
pub(crate) struct QueueSlot {
    queue: Arc<Queue>,
    number: u64,
    bytes: usize,
}

impl QueueSlot {
    /// Keeps room for `bytes` instead; false where there is less.
    pub(crate) fn resize(&mut self, bytes: usize) -> bool {
        let bytes = bytes + OVERHEAD;
        let mut state = self.queue.state();
        let others = state.bytes - self.bytes;
        if others + bytes > MAX_BYTES {
            return false;
        }
        state.bytes = others + bytes;
        self.bytes = bytes;
        true
    }
}

impl Drop for QueueSlot {
    fn drop(&mut self) {
        let mut state = self.queue.state();
        state.writing.remove(&self.number);
        state.bytes -= self.bytes;
        drop(state);
        self.queue.released.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Context, Wake, Waker};

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

    /// Panics when it is used, or counts.
    struct Uses(Option<AtomicUsize>);

    impl Wake for Uses {
        fn wake(self: Arc<Self>) {
            self.0.as_ref().expect("as asked").fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn a_waker_that_panics_fails_no_writer_and_keeps_no_other_flush_waiting() {
        let queue = Arc::new(Queue::default());
        let slot = queue.enter(1).unwrap();
        let counts = Arc::new(Uses(Some(AtomicUsize::new(0))));
        let wakers: Vec<Waker> = (0..9)
            .map(|n| if n % 2 == 0 { Arc::new(Uses(None)) } else { counts.clone() }.into())
            .collect();
        let mut flushes: Vec<_> = (0..9).map(|_| Box::pin(queue.flush())).collect();
        for (flush, waker) in flushes.iter_mut().zip(&wakers) {
            assert!(flush.as_mut().poll(&mut Context::from_waker(waker)).is_pending());
        }
        drop(slot);
        assert_eq!(counts.0.as_ref().unwrap().load(Ordering::SeqCst), 4);
    }

    #[test]
    fn a_full_queue_refuses_and_has_room_again() {
        let queue = Arc::new(Queue::default());
        let places: Vec<_> = std::iter::from_fn(|| queue.enter(1 << 20)).collect();
        assert!((60..64).contains(&places.len()));
        drop(places);
        assert!(queue.enter(1 << 20).is_some());
    }

    #[test]
    fn a_place_is_cut_to_what_it_is_for() {
        let queue = Arc::new(Queue::default());
        let mut first = queue.enter_for(usize::MAX).unwrap();
        let others: Vec<_> = (0..100).filter_map(|_| queue.enter_for(usize::MAX)).collect();
        assert_eq!(others.len(), 100, "what is still to be encoded keeps nothing out");
        let half = queue.enter(MAX_BYTES / 2).unwrap();
        assert!(queue.enter_for(usize::MAX).is_none() && queue.enter_for(1 << 20).is_some());
        assert!(
            first.resize(MAX_BYTES / 4) && !first.resize(MAX_BYTES),
            "others are there, or the overhead"
        );
        drop((first, others, half));
        assert_eq!(queue.state().bytes, 0);
    }
}
