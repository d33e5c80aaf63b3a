//! Warmers: calls that an operator may have made, so that their values are stored before they are needed.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use cache_runtime::{Cache, Warmed};
use serde_json::{Value, json};
use tokio::sync::oneshot;

type Run = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Makes the future of one run, which sends how many calls it has listed.
type Start = dyn Fn(Cache, Arc<Progress>, oneshot::Sender<usize>) -> Run + Send + Sync;

/// One warmer and how far it is.
pub(crate) struct Warmer {
    pub(crate) name: String,
    run: Box<Start>,
    progress: Arc<Progress>,
}

#[derive(Debug, Default)]
struct Progress(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    running: bool,
    done: usize,
    /// `None` before the first run has listed its calls.
    total: Option<usize>,
    last: Option<(Instant, Warmed)>,
}

impl Progress {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a warmer was not started.
#[derive(Debug)]
pub(crate) enum WarmError {
    Running,
    /// The closure that lists the calls has panicked.
    Panicked,
}

/// Ends the state `running`, also where a call panics.
struct Running(Arc<Progress>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.known().running = false;
    }
}

impl Warmer {
    pub(crate) fn new<F, Calls, I>(name: String, calls: F) -> Self
    where
        F: Fn() -> Calls + Send + Sync + 'static,
        Calls: Future<Output = I> + Send + 'static,
        I: IntoIterator,
        I::IntoIter: Send + 'static,
        I::Item: Future + Send + 'static,
    {
        let run = move |cache: Cache, progress: Arc<Progress>, listed: oneshot::Sender<usize>| {
            let calls = calls();
            let run: Run = Box::pin(async move {
                let calls = calls.await.into_iter();
                let calls: Vec<I::Item> = calls.collect();
                progress.known().total = Some(calls.len());
                let _ = listed.send(calls.len());
                let warm = cache.warm(calls).progress(|at| progress.known().done = at.done);
                let warmed = warm.await;
                progress.known().last = Some((Instant::now(), warmed));
            });
            run
        };
        Self { name, run: Box::new(run), progress: Arc::default() }
    }

    /// Starts a run in a task of its own, and returns how many calls it makes.
    pub(crate) async fn start(&self, cache: &Cache) -> Result<usize, WarmError> {
        {
            let mut known = self.progress.known();
            if known.running {
                return Err(WarmError::Running);
            }
            (known.running, known.done) = (true, 0);
        }
        let running = Running(self.progress.clone());
        let (send, listed) = oneshot::channel();
        let run = (self.run)(cache.clone(), self.progress.clone(), send);
        tokio::spawn(async move {
            let _running = running;
            run.await;
        });
        listed.await.map_err(|_| WarmError::Panicked)
    }

    pub(crate) fn view(&self) -> Value {
        let known = self.progress.known();
        let last = known.last.map(|(at, warmed)| {
            json!({
                "seconds_ago": at.elapsed().as_secs_f64(),
                "stored": warmed.stored,
                "present": warmed.present,
                "failed": warmed.failed,
                "refused": warmed.refused,
                "unwritten": warmed.unwritten,
                "bypassed": warmed.bypassed,
            })
        });
        json!({
            "name": self.name,
            "running": known.running,
            "done": known.done,
            "total": known.total,
            "last": last,
        })
    }
}

impl fmt::Debug for Warmer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Warmer").field("name", &self.name).finish_non_exhaustive()
    }
}
