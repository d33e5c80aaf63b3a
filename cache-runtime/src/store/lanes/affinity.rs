//! Where a lane's connection is driven: on the runtime of those who call, if it has several threads.
//!
//! There the tasks that write a command, read its reply and go on with it are neighbours, and none
//! has to wake another thread (`benches/benches/hop.rs`). A runtime of one thread is no home: it
//! does nothing while nobody waits on it. Timers, keepers and the lane that listens are always on
//! the private runtime.

use std::future::pending;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// The runtime of whoever last waited for a lane.
#[derive(Default)]
pub(super) struct Affinity {
    handle: Mutex<Option<Handle>>,
    /// Something there has panicked: it has no timers or no I/O.
    unusable: AtomicBool,
}

impl Affinity {
    /// Notes the runtime of whoever calls this.
    pub(super) fn note(&self) {
        // A runtime without timers or I/O panics when it is asked for some, which must not end the
        // process.
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

    /// The runtime has ended, or is too busy; `useless` where it cannot do it.
    pub(super) fn forget(&self, unusable: bool) {
        self.handle().take();
        self.unusable.fetch_or(unusable, Ordering::Relaxed);
    }

    fn handle(&self) -> MutexGuard<'_, Option<Handle>> {
        self.handle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A task that ends when its runtime does, and not before.
pub(super) struct Anchor {
    task: JoinHandle<()>,
    alive: Weak<()>,
}

impl Anchor {
    /// `gone` is told when it ends.
    pub(super) fn at(handle: &Handle, gone: Arc<Notify>) -> Self {
        let held = Arc::new(());
        let alive = Arc::downgrade(&held);
        let held = Held { held: Some(held), gone };
        let task = handle.spawn(async move {
            let _held = held;
            pending::<()>().await;
        });
        Self { task, alive }
    }

    /// Whether the runtime is there.
    pub(super) fn is_alive(&self) -> bool {
        self.alive.strong_count() > 0
    }
}

struct Held {
    held: Option<Arc<()>>,
    gone: Arc<Notify>,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.held = None;
        self.gone.notify_one();
    }
}

impl Drop for Anchor {
    fn drop(&mut self) {
        self.task.abort();
    }
}
