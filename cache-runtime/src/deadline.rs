//! Deadlines of commands, nearly all of which are never reached.
//!
//! A deadline of a usual length is a slot in one of a few tables, so that to register and to drop it takes no
//! timer of the private runtime and does not wake its thread. A task scans the tables every [`TICK`] while they
//! have entries, so such a deadline may fire late by that much. A shorter or a longer one is a tokio timer.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use slab::Slab;
use tokio::time::Sleep;

use crate::background;
use crate::contain::contained;

/// Between two scans of the tables.
const TICK: Duration = Duration::from_millis(2);

/// The limits that go into a table; the lower bound keeps a late tick within 1/30 of the limit.
const TABLE_LIMITS: std::ops::Range<Duration> = Duration::from_millis(60)..Duration::from_secs(1);

/// Tables, each with its own lock; threads are spread over them to avoid contention.
const TABLES: usize = 8;

type Table = Slab<(Instant, Option<Waker>)>;

static DEADLINES: [Mutex<Table>; TABLES] = [const { Mutex::new(Slab::new()) }; TABLES];

/// Whether the task that scans the tables is running.
static WATCHING: AtomicBool = AtomicBool::new(false);

/// The limit has passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Elapsed;

/// Bounds `work`. Registers a deadline only if the first poll of `work` is pending.
///
/// Takes a pinned reference, since an async function's future would store an owned `work` twice.
pub(crate) async fn timeout<F: Future>(
    limit: Duration,
    mut work: Pin<&mut F>,
) -> Result<F::Output, Elapsed> {
    let mut deadline = None;
    std::future::poll_fn(|cx| {
        if let Poll::Ready(output) = work.as_mut().poll(cx) {
            return Poll::Ready(Ok(output));
        }
        if deadline.is_none() {
            deadline = Deadline::after(Instant::now(), limit);
        }
        match &mut deadline {
            Some(deadline) => deadline.poll(cx).map(|()| Err(Elapsed)),
            // Without the private runtime there is no timer, and `work` must not wait without bound.
            None => Poll::Ready(Err(Elapsed)),
        }
    })
    .await
}

/// A point in time that wakes its task, unless it is dropped before.
pub(crate) enum Deadline {
    Table(TableEntry),
    Timer(Pin<Box<Sleep>>),
}

impl Deadline {
    /// The deadline at `now + limit`; `None` where there is no private runtime.
    pub(crate) fn after(now: Instant, limit: Duration) -> Option<Self> {
        if !TABLE_LIMITS.contains(&limit) {
            return background::sleep(limit).map(|timer| Self::Timer(Box::pin(timer)));
        }
        background::handle()?;
        Some(Self::Table(TableEntry { until: now + limit, slot: None }))
    }

    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            Self::Table(entry) => entry.poll(cx),
            Self::Timer(timer) => {
                timer.as_mut().poll(&mut Context::from_waker(&background::guard(cx)))
            }
        }
    }
}

/// A deadline in a table; it takes its slot at the first poll.
pub(crate) struct TableEntry {
    until: Instant,
    slot: Option<(usize, usize)>,
}

impl TableEntry {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some((table, at)) = self.slot else {
            self.slot = Some(register(self.until, cx.waker().clone()));
            return Poll::Pending;
        };
        if Instant::now() >= self.until {
            return Poll::Ready(());
        }
        let wakes = |waker: &Waker| waker.will_wake(cx.waker());
        let same = lock(table)[at].1.as_ref().is_some_and(wakes);
        if !same {
            // Cloned and dropped without the lock, since a waker is the executor's code.
            let fresh = cx.waker().clone();
            let before = lock(table)[at].1.replace(fresh);
            drop(before);
            ensure_watched();
        }
        Poll::Pending
    }
}

impl Drop for TableEntry {
    fn drop(&mut self) {
        if let Some((table, at)) = self.slot {
            let removed = lock(table).try_remove(at);
            // Dropped without the lock: the last clone of a waker may drop a task.
            drop(removed);
        }
    }
}

fn register(until: Instant, waker: Waker) -> (usize, usize) {
    let table = own_table();
    let at = lock(table).insert((until, Some(waker)));
    ensure_watched();
    (table, at)
}

fn ensure_watched() {
    if !WATCHING.load(Ordering::SeqCst) && !WATCHING.swap(true, Ordering::SeqCst) {
        background::spawn(watch());
    }
}

fn own_table() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static OWN: Cell<Option<usize>> = const { Cell::new(None) };
    }
    OWN.get().unwrap_or_else(|| {
        let own = NEXT.fetch_add(1, Ordering::Relaxed) % TABLES;
        OWN.set(Some(own));
        own
    })
}

/// Wakes the tasks whose deadlines have passed. Ends once the tables have been without a waker for a second.
async fn watch() {
    let mut guard = WatchGuard(true);
    let mut idle = Duration::ZERO;
    loop {
        tokio::time::sleep(TICK).await;
        let (due, any) = due(Instant::now());
        for waker in due {
            // A waker is the executor's code, and may panic.
            let _ = contained(|| waker.wake());
        }
        idle = if any { Duration::ZERO } else { idle + TICK };
        if idle >= Duration::from_secs(1) {
            WATCHING.store(false, Ordering::SeqCst);
            // An entry that was registered just before the store has seen `true`, and started no other watch. All
            // accesses are `SeqCst`, so either that thread sees `false` or this one sees its entry.
            if !is_any() || WATCHING.swap(true, Ordering::SeqCst) {
                guard.0 = false;
                return;
            }
            idle = Duration::ZERO;
        }
    }
}

/// Resets [`WATCHING`] if the watch is dropped or panics, so that the next registration starts another one.
struct WatchGuard(bool);

impl Drop for WatchGuard {
    fn drop(&mut self) {
        if self.0 {
            WATCHING.store(false, Ordering::SeqCst);
        }
    }
}

/// Takes the wakers of deadlines that have passed; and whether any waker was in the tables.
fn due(now: Instant) -> (Vec<Waker>, bool) {
    let (mut due, mut any) = (Vec::new(), false);
    for table in 0..TABLES {
        for (_, (until, waker)) in lock(table).iter_mut() {
            any |= waker.is_some();
            if *until <= now {
                due.extend(waker.take());
            }
        }
    }
    (due, any)
}

fn is_any() -> bool {
    (0..TABLES).any(|table| lock(table).iter().any(|(_, (_, waker))| waker.is_some()))
}

fn lock(table: usize) -> MutexGuard<'static, Table> {
    DEADLINES[table].lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(limit: Duration) -> Duration {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let began = Instant::now();
        let never = std::pin::pin!(std::future::pending::<()>());
        runtime.block_on(timeout(limit, never)).unwrap_err();
        began.elapsed()
    }

    #[test]
    fn a_deadline_is_reached_in_time_also_after_a_pause() {
        for limit in [0, 5, 59, 60, 120, 1000] {
            let limit = Duration::from_millis(limit);
            let took = wait(limit);
            assert!(took >= limit && took < limit + Duration::from_secs(5), "{limit:?}: {took:?}");
        }
        // By then the watch has ended.
        std::thread::sleep(Duration::from_millis(1500));
        assert!(wait(Duration::from_millis(100)) < Duration::from_secs(5));
    }

    #[test]
    fn one_that_is_dropped_leaves_nothing_behind() {
        let mut cx = Context::from_waker(Waker::noop());
        let Some(Deadline::Table(mut entry)) =
            Deadline::after(Instant::now(), Duration::from_millis(900))
        else {
            panic!("it has a slot in a table");
        };
        let until = entry.until;
        assert!(entry.poll(&mut cx).is_pending());
        assert!(entry.poll(&mut cx).is_pending());
        let is_there = || {
            let found = |(_, (due, _)): (usize, &(Instant, Option<Waker>))| *due == until;
            (0..TABLES).any(|table| lock(table).iter().any(found))
        };
        assert!(is_there());
        drop(entry);
        assert!(!is_there());
    }
}
