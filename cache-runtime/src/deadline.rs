//! Deadlines, nearly all of which are never reached.
//!
//! A timer of the private runtime costs an allocation, two turns under the lock of its wheel, and a
//! system call where it is sooner than all others. A deadline here is a place in a table, which a
//! task looks through every [`BEAT`] while there is anything in it; so it may be late by as much.
//! One that is too near for that is a timer, and so is one that is far off.

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

const TICK: Duration = Duration::from_millis(2);

/// What a table is for: the deadlines of commands.
const TABLE_LIMITS: std::ops::Range<Duration> = Duration::from_millis(60)..Duration::from_secs(1);

/// Threads that register at the same time seldom want the same table.
const TABLES: usize = 8;

type Table = Slab<(Instant, Option<Waker>)>;

static DEADLINES: [Mutex<Table>; TABLES] = [const { Mutex::new(Slab::new()) }; TABLES];

/// Whether somebody looks through them.
static WATCHING: AtomicBool = AtomicBool::new(false);

/// Time ran out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Elapsed;

/// Bounds `work`, which the caller has pinned: an async function stores what it is given twice.
/// Nothing is made for it where it is ready at once.
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
            // Without a clock nothing can be waited for.
            None => Poll::Ready(Err(Elapsed)),
        }
    })
    .await
}

/// Something that ends at a given time, unless it is dropped before.
pub(crate) enum Deadline {
    Table(TableEntry),
    Timer(Pin<Box<Sleep>>),
}

impl Deadline {
    /// At `now` and `limit`; `None` where there is no clock.
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

/// One place in a table.
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
            // Neither cloned nor dropped under the lock: it is the executor's.
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
            // Outside the lock: the last of a waker may be a task's end.
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

/// Wakes whoever is due; ends once there has been nobody for a second.
async fn watch() {
    let mut guard = WatchGuard(true);
    let mut idle = Duration::ZERO;
    loop {
        tokio::time::sleep(TICK).await;
        let (due, any) = due(Instant::now());
        for waker in due {
            // It is the executor's, and may do anything.
            let _ = contained(|| waker.wake());
        }
        idle = if any { Duration::ZERO } else { idle + TICK };
        if idle >= Duration::from_secs(1) {
            WATCHING.store(false, Ordering::SeqCst);
            // Somebody may have registered before that could be seen.
            if !is_any() || WATCHING.swap(true, Ordering::SeqCst) {
                guard.0 = false;
                return;
            }
            idle = Duration::ZERO;
        }
    }
}

/// However the watcher ends, the next who registers begins another.
struct WatchGuard(bool);

impl Drop for WatchGuard {
    fn drop(&mut self) {
        if self.0 {
            WATCHING.store(false, Ordering::SeqCst);
        }
    }
}

/// Whoever is due, once; and whether there is anybody.
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
        // The watcher has gone to sleep by then.
        std::thread::sleep(Duration::from_millis(1500));
        assert!(wait(Duration::from_millis(100)) < Duration::from_secs(5));
    }

    #[test]
    fn one_that_is_dropped_leaves_nothing_behind() {
        let mut cx = Context::from_waker(Waker::noop());
        let Some(Deadline::Table(mut entry)) =
            Deadline::after(Instant::now(), Duration::from_millis(900))
        else {
            panic!("it has a place in a table");
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
