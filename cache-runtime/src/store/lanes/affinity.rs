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
    useless: AtomicBool,
}

impl Affinity {
    /// Notes the runtime of whoever calls this.
    pub(super) fn note(&self) {
        // A runtime without timers or I/O panics when it is asked for some, which must not end the
        // process.
        if cfg!(panic = "abort") || self.useless.load(Ordering::Relaxed) {
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
    pub(super) fn forget(&self, useless: bool) {
        self.handle().take();
        self.useless.fetch_or(useless, Ordering::Relaxed);
    }

    fn handle(&self) -> MutexGuard<'_, Option<Handle>> {
        self.handle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A task that ends when its runtime does, and not before.
pub(super) struct Anchor {
    task: JoinHandle<()>,
    holds: Weak<()>,
}

impl Anchor {
    /// `gone` is told when it ends.
    pub(super) fn at(home: &Handle, gone: Arc<Notify>) -> Self {
        let held = Arc::new(());
        let holds = Arc::downgrade(&held);
        let held = Held { held: Some(held), gone };
        let task = home.spawn(async move {
            let _held = held;
            pending::<()>().await;
        });
        Self { task, holds }
    }

    /// Whether the runtime is there.
    pub(super) fn holds(&self) -> bool {
        self.holds.strong_count() > 0
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
