//! Random schedules of calls, writes and faults over several processes, whose recorded history is
//! checked: a call that begins after an invalidation has returned never gets an older value.
//!
//! Where processes keep copies, another's may be older by the second in which they hear of changes.
//!
//! `SEED=7` repeats the choices of a run, `HISTORY_OPS=100000` makes it longer, and `CI_LONG=1`
//! makes it several runs.

mod check;
mod faults;
mod report;
mod run;
mod seats;
mod wire;

use std::time::Duration;

use run::Size;
use seats::Copies;
use tokio::sync::Mutex;

/// What ordinary test runs have time for.
const OPERATIONS: usize = 30_000;
const LONGEST: Duration = Duration::from_secs(40);

/// One run at a time: another's load would be a fault of its own.
static TURN: Mutex<()> = Mutex::const_new(());

fn number<T: std::str::FromStr>(variable: &str) -> Option<T> {
    std::env::var(variable).ok()?.parse().ok()
}

fn any_seed() -> u64 {
    u64::from(std::process::id()) ^ support::now()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_call_sees_what_was_invalidated_before_it_began() {
    rounds(Copies::No).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_copy_outlives_an_invalidation_by_more_than_it_may() {
    rounds(Copies::Yes).await;
}

async fn rounds(copies: Copies) {
    let _turn = TURN.lock().await;
    let rounds = if number("CI_LONG") == Some(1) { 8 } else { 1 };
    let operations = number("HISTORY_OPS");
    let longest = operations.map_or(LONGEST, |_| Duration::from_secs(3600));
    let size = Size { operations: operations.unwrap_or(OPERATIONS), longest };
    let seed = number("SEED").unwrap_or_else(any_seed);
    for round in 0..rounds {
        run::run(seed.wrapping_add(round), size, copies).await;
    }
}
