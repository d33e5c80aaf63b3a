//! Random schedules: tasks that call and write, and tell everything with its times.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use support::{Dice, Function, Operation, Read, Unit, now};
use tokio::task::JoinSet;

use crate::Answer;
use crate::calls::Order;
use crate::writes;

/// The items that tasks choose from; the others are left alone.
const BUSY: u32 = 6;

static STOPPED: AtomicBool = AtomicBool::new(false);

/// Until when tasks do nothing, in nanoseconds of the monotonic clock.
static RESTING: AtomicU64 = AtomicU64::new(0);

/// Runs tasks until they are told to stop.
pub(crate) async fn run(mut dice: Dice, tasks: u32, answer: &Answer) {
    let mut running = JoinSet::new();
    for _ in 0..tasks {
        running.spawn(task(dice.split(), answer.clone()));
    }
    while let Some(ended) = running.join_next().await {
        ended.expect("no call panics");
    }
}

/// Lets all tasks end after what they are at.
pub(crate) fn stop() {
    STOPPED.store(true, Ordering::Relaxed);
}

/// Lets all tasks do nothing for a while, after what they are at.
pub(crate) fn rest(pause: Duration) {
    RESTING.store(now() + pause.as_nanos() as u64, Ordering::Relaxed);
}

async fn task(mut dice: Dice, answer: Answer) {
    while !STOPPED.load(Ordering::Relaxed) {
        let resting = RESTING.load(Ordering::Relaxed).saturating_sub(now());
        tokio::time::sleep(Duration::from_nanos(resting)).await;
        let item = dice.below(u64::from(BUSY)) as u32;
        if dice.below(10) == 0 && !is_quiet() {
            let write = writes::write(item, &mut dice).await;
            answer.tell(&Operation::Invalidation(write));
        }
        // Whoever has written looks at once.
        let function = Function::OF_ITEMS[dice.below(4) as usize];
        let ms = dawdling(&mut dice);
        let read = read(Order { function, item, ms, fails: false }).await;
        answer.tell(&Operation::Read(read));
        tokio::time::sleep(Duration::from_millis(dice.below(6))).await;
    }
}

/// A third of the time nobody writes, in whatever process: values come of age.
fn is_quiet() -> bool {
    (now() / 600_000_000).is_multiple_of(3)
}

/// Makes a call, and records it.
pub(crate) async fn read(call: Order) -> Read {
    let unit = Unit::new(call.function, call.item);
    let begin = now();
    let (value, outcome) = call.make().await;
    Read { unit, begin, end: now(), outcome: outcome.to_string(), value }
}

/// How long a run takes: a moment, as long as a hiccup, or longer than a lease.
fn dawdling(dice: &mut Dice) -> u64 {
    match dice.below(40) {
        0 => dice.within(350..600),
        1..12 => dice.within(20..250),
        _ => dice.below(10),
    }
}
