//! Background tasks of the lanes: one for each slot, which dials and monitors its lane, and the probe, which runs
//! while the breaker is open.

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

/// Between heartbeats on the tracking lane: copies count for a second after the last answered one, and
/// subscribers send nothing that would show the lane's end.
const HEARTBEAT: Duration = Duration::from_millis(250);

/// Pause before the redial of a lane whose runtime has ended, unless a call needs the lane sooner: the dial is
/// then made on that call's runtime.
const REDIAL_AFTER: Duration = Duration::from_millis(250);

/// Between attempts to turn on client tracking at a server that does not support it.
const TRACKING_RETRY: Duration = Duration::from_secs(60);

/// Between heartbeats on the other lanes, which may be idle.
const IDLE_CHECK: Duration = Duration::from_secs(2);

/// Time after which a dial counts as slow: with no other lane up, the server is then recorded as lost.
const SLOW_DIAL: Duration = Duration::from_millis(250);

/// Dials a slot's lane again and again, until the lanes are retired or dropped.
pub(super) async fn keep_dialled(lanes: Weak<Lanes>, index: usize) {
    let mut backoff = Backoff::new();
    loop {
        let Some(here) = in_use(&lanes) else { return };
        let pause = match dial_or_report(&here, index).await {
            Ok((object, lane)) => {
                here.slots[index].lane.store(Some(lane.clone()));
                // `retire` may have emptied the slots just before.
                if here.is_retired() {
                    here.retire();
                    return;
                }
                here.lane_answered();
                here.slots[index].dialled.send_replace(true);
                here.note_tracking(index, Ok(()));
                drop(here);
                monitor(&lanes, &lane).await;
                // Out of the pool, which must not hand the dead connection to the next dial.
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

/// Dials; if that is slow and no other lane is up, records the server as lost meanwhile.
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
            // A proxy may refuse client tracking alone. While other lanes are being dialled for the first time,
            // their dials decide.
            if index != self.tracking_slot() || !self.is_dialling() {
                self.mark_lost(&error.why);
            }
        } else if error.tracking_refused && backoff.is_at_max() && self.any_answers().await {
            // The server answers on another lane: it is up, and refuses client tracking.
            self.note_tracking(index, Err(&error.why));
            return TRACKING_RETRY;
        } else {
            // The other lanes may be dead too: an unused connection does not notice its end.
            self.check_requested.notify_waiters();
        }
        backoff.next()
    }

    /// Whether any lane but the tracking one answers a heartbeat.
    async fn any_answers(&self) -> bool {
        let Some(lane) = self.any() else { return false };
        self.check(&lane).await
    }

    /// Whether a dial is under way for which calls wait, the tracking lane's apart.
    fn is_dialling(&self) -> bool {
        self.slots[..self.tracking_slot()]
            .iter()
            .any(|slot| slot.started.load(Ordering::Acquire) && !*slot.dialled.borrow())
    }
}

/// How long to wait before the redial of a lane that was taken out. A lane that ended within
/// [`BACKOFF_MAX`] counts as a failed dial.
async fn after_eviction(lanes: &Weak<Lanes>, lane: Arc<Lane>, backoff: &mut Backoff) -> Duration {
    if !lane.is_driven() {
        wait_until_needed(lanes, lane).await;
        return Duration::ZERO;
    }
    let (Some(here), Some(reason)) = (in_use(lanes), lane.close_reason.get()) else {
        return Duration::ZERO;
    };
    if !lane.is_private() {
        // The runtime still exists, so the connection has failed.
        here.count_failures(1, reason);
    }
    if lane.born.elapsed() >= BACKOFF_MAX {
        backoff.restart();
        return Duration::ZERO;
    }
    if here.any().is_none() {
        here.mark_lost(reason);
    }
    // Calls must not wait for the back-off.
    here.slots[lane.index].dialled.send_replace(true);
    backoff.next()
}

/// Waits until a call needs the lane, so that the caller's runtime drives it; for [`REDIAL_AFTER`] at most,
/// since writes behind the reply use the lane without asking for a dial.
async fn wait_until_needed(lanes: &Weak<Lanes>, lane: Arc<Lane>) {
    let Some(here) = in_use(lanes) else { return };
    here.take_out_undriven(&lane);
    here.expect_dial(lane.index);
    let needed = here.slots[lane.index].needed.clone();
    drop((here, lane));
    // Discards the permit of an earlier call, which the ended lane has served.
    let _ = needed.notified().now_or_never();
    let _ = tokio::time::timeout(REDIAL_AFTER, needed.notified()).await;
}

/// The lanes, unless they are retired or dropped.
fn in_use(lanes: &Weak<Lanes>) -> Option<Arc<Lanes>> {
    lanes.upgrade().filter(|lanes| !lanes.is_retired())
}

/// Sends heartbeats on a lane: at intervals, when another lane is evicted, and again at once after one that was
/// not answered. Returns once the lane was taken out, or its runtime has ended.
async fn monitor(lanes: &Weak<Lanes>, lane: &Arc<Lane>) {
    let mut ended = pin!(lane.ended.notified());
    let mut unanswered = false;
    loop {
        let Some(here) = in_use(lanes) else { return };
        let check_requested = here.check_requested.clone().notified_owned();
        let is_tracking = lane.index == here.tracking_slot();
        drop(here);
        let recheck = unanswered;
        let heartbeat = async {
            // No pause after a missed answer: calls may use other lanes, and this one is to be evicted or
            // cleared soon.
            if !recheck {
                tokio::time::sleep(if is_tracking { HEARTBEAT } else { IDLE_CHECK }).await;
            }
        };
        let (check_requested, heartbeat) = (pin!(check_requested), pin!(heartbeat));
        let requested = match select(ended.as_mut(), select(check_requested, heartbeat)).await {
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

/// Sends heartbeats while the breaker is open, and closes it at the first answer.
pub(super) async fn probe(lanes: Weak<Lanes>) {
    loop {
        let Some(here) = in_use(&lanes) else { return };
        // The back-off continues where the last probe left it, unless the server has recovered since.
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

/// Exponential back-off from 25 ms to 1 s, each pause shortened at random by up to half, so that processes do not
/// redial at the same time.
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
