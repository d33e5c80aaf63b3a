//! Background tasks: redialling lanes, and probing while the breaker is open.

use std::future::pending;
use std::pin::pin;
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::future::{Either, FutureExt, select};

use super::dial::Connection;
use super::{Lane, Lanes, State};
use crate::entry::EntryId;

const BACKOFF_MIN: Duration = Duration::from_millis(25);
const BACKOFF_MAX: Duration = Duration::from_secs(1);

/// How often the lane that listens is asked whether it still does: whoever waits for a push asks
/// nothing.
const HEARTBEAT: Duration = Duration::from_millis(250);

/// For how long a lane whose runtime has ended is not dialled, unless somebody calls.
const UNWANTED: Duration = Duration::from_millis(250);

/// How often a server that does not announce changes is asked to.
const DEAF: Duration = Duration::from_secs(60);

/// Dials a slot's lane, for ever anew, until the cache is gone.
pub(super) async fn keep(lanes: Weak<Lanes>, index: usize) {
    let mut backoff = Backoff::new();
    loop {
        let Some(here) = in_use(&lanes) else { return };
        let dialled = here.dial_at_home(index).await;
        match dialled {
            Ok((object, lane)) => {
                backoff = Backoff::new();
                here.slots[index].lane.store(Some(lane.clone()));
                if here.is_retired() {
                    here.retire();
                    return;
                }
                if !here.breaker.is_open() {
                    here.note(State::Up, "");
                }
                here.slots[index].settled.send_replace(true);
                here.can_hear(index, true);
                drop(here);
                watch_over(&lanes, &lane).await;
                // A dead connection must not go back to the pool.
                drop(Connection::take(object));
                if !lane.is_driven() {
                    wanted(&lanes, lane).await;
                }
            }
            Err(error) => {
                let pause = if here.any().is_none() {
                    here.note(State::Lost, &error);
                    backoff.next()
                } else if index == here.listener() && backoff.is_long() {
                    // The server answers others: it is not down, it does not do this.
                    here.can_hear(index, false);
                    DEAF
                } else {
                    backoff.next()
                };
                here.slots[index].settled.send_replace(true);
                drop(here);
                tokio::time::sleep(pause).await;
            }
        }
    }
}

/// Waits until somebody needs the lane, whose runtime is to drive it then; but not for long: what
/// is done behind the calls needs it too.
async fn wanted(lanes: &Weak<Lanes>, lane: Arc<Lane>) {
    let Some(here) = in_use(lanes) else { return };
    here.leave(&lane);
    here.unsettle(lane.index);
    let wanted = here.slots[lane.index].wanted.clone();
    drop((here, lane));
    // What was wanted before that has been had.
    let _ = wanted.notified().now_or_never();
    let _ = tokio::time::timeout(UNWANTED, wanted.notified()).await;
}

/// The lanes, unless they are of no use any more.
fn in_use(lanes: &Weak<Lanes>) -> Option<Arc<Lanes>> {
    lanes.upgrade().filter(|lanes| !lanes.is_retired())
}

/// Returns once the lane has been taken out.
async fn watch_over(lanes: &Weak<Lanes>, lane: &Arc<Lane>) {
    let mut gone = pin!(lane.gone.notified());
    let mut doubtful = false;
    loop {
        let Some(here) = in_use(lanes) else { return };
        let suspicion = here.suspicion.clone().notified_owned();
        let beats = lane.index == here.listener();
        drop(here);
        let again = doubtful;
        let heartbeat = async {
            if again {
                // Whoever calls may use another lane: it is taken out or cleared now.
            } else if beats {
                tokio::time::sleep(HEARTBEAT).await;
            } else {
                pending::<()>().await;
            }
        };
        let (suspicion, heartbeat) = (pin!(suspicion), pin!(heartbeat));
        if let Either::Left(_) = select(gone.as_mut(), select(suspicion, heartbeat)).await {
            return;
        }
        let Some(here) = in_use(lanes) else { return };
        doubtful = !here.check(lane).await;
    }
}

/// Pings while the breaker is open, and closes it at the first answer.
pub(super) async fn probe(lanes: Weak<Lanes>) {
    let mut backoff = Backoff::new();
    loop {
        tokio::time::sleep(backoff.next()).await;
        let Some(here) = in_use(&lanes) else { return };
        let Some(lane) = here.any() else { continue };
        if here.check(&lane).await {
            here.breaker.close();
            here.note(State::Up, "");
            return;
        }
    }
}

/// Doubles from 25 ms to 1 s, each time shortened by up to half so that processes spread out.
struct Backoff(Duration);

impl Backoff {
    fn new() -> Self {
        Self(BACKOFF_MIN)
    }

    fn is_long(&self) -> bool {
        self.0 == BACKOFF_MAX
    }

    fn next(&mut self) -> Duration {
        let full = self.0;
        self.0 = (full * 2).min(BACKOFF_MAX);
        let fraction = EntryId::fresh().map_or(0.5, EntryId::fraction);
        full.mul_f64(0.5 + fraction / 2.0)
    }
}
