//! The writes behind the reply: bounded in bytes, and awaited by `Cache::flush`.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::background;

/// Bytes of values that may wait to be written. Beyond that a value is not stored, which is counted.
const MAX_BYTES: usize = 64 << 20;

/// Bytes that each write counts beyond its value: so at most 4096 writes wait.
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
    /// A slot for a value that is not encoded yet, for [`QueueSlot::resize`] to set its size afterwards; so a full
    /// queue refuses a value before it is encoded. `None` where `max_bytes`, or half of [`MAX_BYTES`] if that is
    /// less, would not fit. These bytes are not reserved: most values are much smaller than `max_bytes`, and values
    /// that are being encoded must not keep others out.
    pub(crate) fn enter_for(self: &Arc<Self>, max_bytes: usize) -> Option<QueueSlot> {
        if self.state().bytes + max_bytes.min(MAX_BYTES / 2) > MAX_BYTES {
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
            // Registers before it looks, so that it misses no release in between.
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

/// The place of one write in the queue, released when it is dropped.
pub(crate) struct QueueSlot {
    queue: Arc<Queue>,
    number: u64,
    bytes: usize,
}

impl QueueSlot {
    /// Sets the size of the write; `false`, and nothing changes, where that does not fit.
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
    fn flush_waits_for_earlier_writes_and_for_no_later_one() {
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

    /// A waker that counts, or panics where it has no counter.
    struct Uses(Option<AtomicUsize>);

    impl Wake for Uses {
        fn wake(self: Arc<Self>) {
            self.0.as_ref().expect("a waker that counts").fetch_add(1, Ordering::SeqCst);
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
    fn a_slot_is_resized_to_its_value() {
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
