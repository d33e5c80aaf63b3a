//! The private runtime: one thread that drives timers, background work, the connection that listens,
//! and every other connection that the caller's runtime cannot.
//!
//! On the caller's runtime they would die with it (every `#[tokio::test]` has its own), would not
//! be polled while it is busy, and could not exist where it has no timers or is not tokio at all.
//! A call only waits on channels, so any executor will do.

use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio::task::JoinHandle;

use crate::contain::contained;

/// The handle of the private runtime; `None` where the system refuses a thread.
pub(crate) fn handle() -> Option<&'static Handle> {
    static HANDLE: OnceLock<Option<Handle>> = OnceLock::new();
    HANDLE.get_or_init(start).as_ref()
}

fn start() -> Option<Handle> {
    let runtime = Builder::new_current_thread().enable_all().build().ok()?;
    let handle = runtime.handle().clone();
    let run = move || runtime.block_on(std::future::pending::<()>());
    std::thread::Builder::new().name("cache-runtime".to_owned()).spawn(run).ok()?;
    Some(handle)
}

/// Runs `work` on the private runtime; `None` where there is none.
pub(crate) fn spawn<F>(work: F) -> Option<JoinHandle<F::Output>>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    handle().map(|handle| handle.spawn(work))
}

/// Polls `work` once here, then leaves the rest to the private runtime.
///
/// What `work` sends in its first poll is thereby sent before the caller goes on.
pub(crate) fn spawn_begun(work: impl Future<Output = ()> + Send + 'static) {
    let mut work = Box::pin(work);
    let mut poll = || work.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    // A panic ends the work, as it would on the private runtime, and never the caller's call.
    if contained(|| poll().is_pending()) == Some(true) {
        spawn(work);
    }
}

/// Runs what blocks on a thread of its own; `None` where there is none.
pub(crate) fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<JoinHandle<T>> {
    handle().map(|handle| handle.spawn_blocking(work))
}

/// Drops what may take its time away from the thread that drives everything.
pub(crate) fn drop_elsewhere(value: impl Send + 'static) {
    blocking(move || drop(value));
}

/// Polls `work` with a waker that never panics.
///
/// For what registers the caller's waker with tokio, off the path of a hit: a waker is an executor's and
/// may do anything, and tokio forgets the wakers that it was to use after one that panics.
pub(crate) async fn guarded<F: Future>(work: F) -> F::Output {
    let mut work = pin!(work);
    std::future::poll_fn(|cx| work.as_mut().poll(&mut Context::from_waker(&guard(cx)))).await
}

/// A waker around the caller's that never panics.
pub(crate) fn guard(cx: &Context<'_>) -> Waker {
    Waker::from(Arc::new(Guarded(cx.waker().clone())))
}

struct Guarded(Waker);

impl Wake for Guarded {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let _ = contained(|| self.0.wake_by_ref());
    }
}

/// Waits on the private runtime's clock, from any executor.
pub(crate) fn sleep(duration: Duration) -> Option<tokio::time::Sleep> {
    let _entered = handle()?.enter();
    Some(tokio::time::sleep(duration))
}
