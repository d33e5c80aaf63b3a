//! The private runtime: one thread, named `cache-runtime`, that drives timers, background tasks, the tracking
//! lane, and every lane that the caller's runtime cannot drive.
//!
//! On the caller's runtime they would end with it (every `#[tokio::test]` has its own), would not be polled
//! while it is busy, and could not exist where it has no timers or is not tokio's. A call itself awaits only
//! futures that any executor can poll.

use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio::task::JoinHandle;

use crate::contain::contained;

/// The handle of the private runtime, started at the first use; `None` where the system refuses a thread.
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

/// Spawns `work` on the private runtime; `None`, and `work` is dropped, where there is none.
pub(crate) fn spawn<F>(work: F) -> Option<JoinHandle<F::Output>>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    handle().map(|handle| handle.spawn(work))
}

/// Polls `work` once on the current thread, and spawns the rest on the private runtime.
///
/// Commands that `work` sends in its first poll thereby precede those that the caller sends next.
pub(crate) fn spawn_begun(work: impl Future<Output = ()> + Send + 'static) {
    let mut work = Box::pin(work);
    let mut poll = || work.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    // A panic ends `work` alone, as it would on the private runtime, and never the caller's call.
    if contained(|| poll().is_pending()) == Some(true) {
        spawn(work);
    }
}

/// Runs blocking `work` on the private runtime's pool of blocking threads; `None` where there is no runtime.
pub(crate) fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<JoinHandle<T>> {
    handle().map(|handle| handle.spawn_blocking(work))
}

/// Drops a value of the application on a blocking thread: its `Drop` may be slow, and must not delay the private
/// runtime.
pub(crate) fn drop_elsewhere(value: impl Send + 'static) {
    blocking(move || drop(value));
}

/// Polls `work` with a waker that never panics.
///
/// For futures that register the caller's waker with a tokio primitive: a waker is the executor's code, and when
/// one panics, tokio does not wake the others that it was to wake after it. Allocates a waker at each poll, so it
/// is kept off the path of a hit.
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

/// A timer of the private runtime, which any executor can poll; `None` where there is no runtime.
pub(crate) fn sleep(duration: Duration) -> Option<tokio::time::Sleep> {
    let _entered = handle()?.enter();
    Some(tokio::time::sleep(duration))
}
