//! One run: members work, things go wrong, and what was recorded is checked.

use std::time::{Duration, Instant};

use support::{Dice, Server};

use crate::check;
use crate::faults::Faults;
use crate::report;
use crate::seats::{Copies, Seats};

const MEMBERS: usize = 4;

/// The longest wait of a member, its budget, a run longer than a lease, and a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(15);

/// When a run has done enough.
#[derive(Clone, Copy)]
pub(crate) struct Size {
    pub(crate) operations: usize,
    pub(crate) longest: Duration,
}

/// Runs with the choices of a seed.
pub(crate) async fn run(seed: u64, size: Size, copies: Copies) {
    println!("SEED={seed}, copies: {copies:?}");
    let begun = Instant::now();
    let mut dice = Dice::new(seed);
    let (cache, database) = (Server::start().await, Server::start().await);
    let mut seats = Seats::fill(MEMBERS, &cache, &database, copies, dice.split()).await;
    let mut faults = Faults::new(dice, &cache).await;
    while seats.log.lock().events.len() < size.operations && begun.elapsed() < size.longest {
        faults.inject(&mut seats).await;
    }
    let log = seats.end().await;
    let recorded = std::mem::take(&mut *log.lock());
    let verdict = check::check(recorded.events, &recorded.frozen, PATIENCE);
    report::print(&verdict, &faults, begun.elapsed());
    report::assert_kept(&verdict, copies);
    assert_all_expire(&cache).await;
}

/// Nothing stays in the server for ever.
async fn assert_all_expire(cache: &Server) {
    for key in cache.keys().await {
        let left: i64 = cache.command(&["PTTL", &key]).await;
        assert_ne!(left, -1, "{key} has no expiry");
    }
}
