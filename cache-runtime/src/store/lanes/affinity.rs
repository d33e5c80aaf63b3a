//! Which runtime drives a lane's connection: the caller's, if it has several worker threads.
//!
//! There the tasks that write a command, read its reply and await it share a scheduler, so that none has to
//! wake another thread (`benches/benches/hop.rs`). A `current_thread` runtime drives no lane: it polls its
//! tasks only inside `block_on`. Timers, the tasks that redial, and the tracking lane are always on the
//! private runtime.

use std::future::pending;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// The runtime of the caller that last waited for a dial.
#[derive(Default)]
pub(super) struct Affinity {
    handle: Mutex<Option<Handle>>,
    /// A dial on a caller's runtime has panicked: that runtime was built without timers or I/O.
    unusable: AtomicBool,
}

impl Affinity {
    /// Remembers the caller's runtime for the next dials.
    pub(super) fn note(&self) {
        // tokio panics where a runtime was built without timers or I/O, and nothing tells beforehand. With
        // `panic = "abort"` a dial there would end the process.
        if cfg!(panic = "abort") || self.unusable.load(Ordering::Relaxed) {
            return;
        }
        if let Ok(handle) = Handle::try_current()
            && handle.runtime_flavor() == RuntimeFlavor::MultiThread
            && handle.metrics().num_workers() > 1
        {
            *self.handle() = Some(handle);
        }
    }

    pub(super) fn get(&self) -> Option<Handle> {
        self.handle().clone()
    }

    /// Forgets the runtime, which has ended or is too busy; with `unusable`, no other is remembered either.
    pub(super) fn forget(&self, unusable: bool) {
        self.handle().take();
        self.unusable.fetch_or(unusable, Ordering::Relaxed);
    }

    fn handle(&self) -> MutexGuard<'_, Option<Handle>> {
        self.handle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Shows when a runtime ends: a task on it that never completes, so that only the runtime's end, or the
/// drop of the anchor, drops its future.
pub(super) struct Anchor {
    task: JoinHandle<()>,
    alive: Weak<()>,
}

impl Anchor {
    /// Spawns the task on `handle`; notifies `ended` when it ends.
    pub(super) fn at(handle: &Handle, ended: Arc<Notify>) -> Self {
        let running = Arc::new(());
        let alive = Arc::downgrade(&running);
        let running = EndGuard { running: Some(running), ended };
        let task = handle.spawn(async move {
            let _guard = running;
            pending::<()>().await;
        });
        Self { task, alive }
    }

    /// Whether the runtime still exists.
    pub(super) fn is_alive(&self) -> bool {
        self.alive.strong_count() > 0
    }
}

/// What the anchor's task owns.
struct EndGuard {
    running: Option<Arc<()>>,
    ended: Arc<Notify>,
}

impl Drop for EndGuard {
    fn drop(&mut self) {
        // Before the notification: the task that it wakes looks at [`Anchor::is_alive`].
        self.running = None;
        self.ended.notify_one();
    }
}

impl Drop for Anchor {
    fn drop(&mut self) {
        self.task.abort();
    }
}
