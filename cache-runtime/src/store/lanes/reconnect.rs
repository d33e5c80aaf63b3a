//! Background tasks: redialling lanes, and probing while the breaker is open.

use std::pin::pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::future::{Either, FutureExt, select};

use super::dial::{Connection, DialError, Dialled};
use super::{Lane, Lanes};
use crate::entry::EntryId;

const BACKOFF_MIN: Duration = Duration::from_millis(25);
const BACKOFF_MAX: Duration = Duration::from_secs(1);

/// How often the lane that listens is asked whether it still does: whoever waits for a push asks
/// nothing.
const HEARTBEAT: Duration = Duration::from_millis(250);

/// For how long a lane whose runtime has ended is not dialled, unless somebody calls.
const REDIAL_AFTER: Duration = Duration::from_millis(250);

/// How often a server that does not announce changes is asked to.
const TRACKING_RETRY: Duration = Duration::from_secs(60);

/// How often a lane that does not subscribe is asked whether it is there: nobody may use it for long.
const IDLE_CHECK: Duration = Duration::from_secs(2);

/// For how long a dial may take, after which calls have lost the server if they have no other lane.
const SLOW_DIAL: Duration = Duration::from_millis(250);

/// Dials a slot's lane, for ever anew, until the cache is gone.
pub(super) async fn keep_dialled(lanes: Weak<Lanes>, index: usize) {
    let mut backoff = Backoff::new();
    loop {
        let Some(here) = in_use(&lanes) else { return };
        let pause = match dial_or_report(&here, index).await {
            Ok((object, lane)) => {
                here.slots[index].lane.store(Some(lane.clone()));
                if here.is_retired() {
                    here.retire();
                    return;
                }
                here.lane_answered();
                here.slots[index].dialled.send_replace(true);
                here.note_tracking(index, Ok(()));
                drop(here);
                monitor(&lanes, &lane).await;
                // A dead connection must not go back to the pool.
                drop(Connection::take(object));
                after_eviction(&lanes, lane, &mut backoff).await
            }
            Err(error) => {
                let pause = here.failed_to_dial(index, &error, &mut backoff).await;
                here.slots[index].dialled.send_replace(true);
                drop(here);
                pause
            }
        };
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
    }
}

/// Dials, and says in time where calls have nothing else meanwhile.
async fn dial_or_report(here: &Arc<Lanes>, index: usize) -> Dialled {
    let mut dial = pin!(here.dial(index));
    if let Ok(dialled) = tokio::time::timeout(SLOW_DIAL, dial.as_mut()).await {
        return dialled;
    }
    if here.health.is_up() && here.any().is_none() {
        here.mark_lost("no connection is left, and another is not made at once");
    }
    dial.await
}

impl Lanes {
    /// How long to wait before the next dial of a slot.
    async fn failed_to_dial(
        &self,
        index: usize,
        error: &DialError,
        backoff: &mut Backoff,
    ) -> Duration {
        if self.any().is_none() {
            // A proxy may refuse only what the lane that listens needs: those being dialled find out.
            if index != self.tracking_slot() || !self.is_dialling() {
                self.mark_lost(&error.why);
            }
        } else if error.tracking_refused && backoff.is_at_max() && self.any_answers().await {
            // The server answers others: it is not down, it does not do this.
            self.note_tracking(index, Err(&error.why));
            return TRACKING_RETRY;
        } else {
            // The others may be dead as well, and not know it.
            self.check_requested.notify_waiters();
        }
        backoff.next()
    }

    /// Whether a lane that does not subscribe answers, and is not only thought to be up.
    async fn any_answers(&self) -> bool {
        let Some(lane) = self.any() else { return false };
        self.check(&lane).await
    }

    /// Whether the first dial of a lane that does not subscribe is still under way.
    fn is_dialling(&self) -> bool {
        self.slots[..self.tracking_slot()]
            .iter()
            .any(|slot| slot.started.load(Ordering::Acquire) && !*slot.dialled.borrow())
    }
}

/// How long to wait before the next dial of a lane that has been taken out. One that has not lived for
/// long counts as a dial that has failed.
async fn after_eviction(lanes: &Weak<Lanes>, lane: Arc<Lane>, backoff: &mut Backoff) -> Duration {
    if !lane.is_driven() {
        wait_until_needed(lanes, lane).await;
        return Duration::ZERO;
    }
    let (Some(here), Some(reason)) = (in_use(lanes), lane.close_reason.get()) else {
        return Duration::ZERO;
    };
    if !lane.is_private() {
        // Its runtime is there, so it was the server's doing.
        here.count_failures(1, reason);
    }
    if lane.born.elapsed() >= BACKOFF_MAX {
        backoff.restart();
        return Duration::ZERO;
    }
    if here.any().is_none() {
        here.mark_lost(reason);
    }
    // Nobody is to wait for the pause.
    here.slots[lane.index].dialled.send_replace(true);
    backoff.next()
}

/// Waits until somebody needs the lane, whose runtime is to drive it then; but not for long: what
/// is done behind the calls needs it too.
async fn wait_until_needed(lanes: &Weak<Lanes>, lane: Arc<Lane>) {
    let Some(here) = in_use(lanes) else { return };
    here.take_out_undriven(&lane);
    here.expect_dial(lane.index);
    let needed = here.slots[lane.index].needed.clone();
    drop((here, lane));
    // What was wanted before that has been had.
    let _ = needed.notified().now_or_never();
    let _ = tokio::time::timeout(REDIAL_AFTER, needed.notified()).await;
}

/// The lanes, unless they are of no use any more.
fn in_use(lanes: &Weak<Lanes>) -> Option<Arc<Lanes>> {
    lanes.upgrade().filter(|lanes| !lanes.is_retired())
}

/// Returns once the lane has been taken out.
async fn monitor(lanes: &Weak<Lanes>, lane: &Arc<Lane>) {
    let mut gone = pin!(lane.gone.notified());
    let mut unanswered = false;
    loop {
        let Some(here) = in_use(lanes) else { return };
        let check_requested = here.check_requested.clone().notified_owned();
        let is_tracking = lane.index == here.tracking_slot();
        drop(here);
        let recheck = unanswered;
        let heartbeat = async {
            // Whoever calls may use another lane: one in doubt is taken out or cleared now.
            if !recheck {
                tokio::time::sleep(if is_tracking { HEARTBEAT } else { IDLE_CHECK }).await;
            }
        };
        let (check_requested, heartbeat) = (pin!(check_requested), pin!(heartbeat));
        let requested = match select(gone.as_mut(), select(check_requested, heartbeat)).await {
            Either::Left(_) => return,
            Either::Right((Either::Left(_), _)) => true,
            Either::Right(_) => false,
        };
        let Some(here) = in_use(lanes) else { return };
        if requested || is_tracking || recheck {
            unanswered = !here.check(lane).await;
        } else {
            here.check_idle(lane).await;
        }
    }
}

/// Pings while the breaker is open, and closes it at the first answer.
pub(super) async fn probe(lanes: Weak<Lanes>) {
    loop {
        let Some(here) = in_use(&lanes) else { return };
        // It goes on where the last one ended, unless a call has been served since.
        let pause = here.probe_backoff().next();
        drop(here);
        tokio::time::sleep(pause).await;
        let Some(here) = in_use(&lanes) else { return };
        let Some(lane) = here.any() else { continue };
        if here.check(&lane).await {
            here.breaker.close();
            here.lane_answered();
            return;
        }
    }
}

/// Doubles from 25 ms to 1 s, each time shortened by up to half so that processes spread out.
pub(super) struct Backoff(Duration);

impl Backoff {
    pub(super) fn new() -> Self {
        Self(BACKOFF_MIN)
    }

    pub(super) fn restart(&mut self) {
        *self = Self::new();
    }

    fn is_at_max(&self) -> bool {
        self.0 == BACKOFF_MAX
    }

    fn next(&mut self) -> Duration {
        let full = self.0;
        self.0 = (full * 2).min(BACKOFF_MAX);
        let fraction = EntryId::fresh().map_or(0.5, EntryId::fraction);
        full.mul_f64(0.5 + fraction / 2.0)
    }
}
