//! Calls that the cache has no part in.

use std::future::ready;
use std::hint::black_box;
use std::time::Instant;

use cache_runtime::{Cache, Config, Reason, cache_result, observe};
use support::Server;

use crate::contest::{Pace, median, ratio, rounds};
use crate::report::{Target, table, time, title};
use crate::spin;

async fn plain(of: u64) -> u64 {
    black_box(of)
}

#[cache_result(ttl = 3600, prefix = "off")]
async fn number(of: u64) -> u64 {
    black_box(of)
}

#[cache_result(ttl = 3600, prefix = "when", when = of == u64::MAX)]
async fn never(of: u64) -> u64 {
    black_box(of)
}

pub async fn off(pace: Pace) -> Vec<Target> {
    let (_folder, nowhere) = Server::absent();
    let down = Cache::new(Config::redis(&nowhere).expect("a well-formed URL"));
    while down.scope(observe(number(1))).await.1.reason() != Some(Reason::Unavailable) {
        tokio::time::sleep(pace.turn).await;
    }
    let disabled = Cache::disabled();
    let turn = pace.turn;
    let lanes = [
        spin::lane("`Instant::now()`", 1, turn, None, |_| ready(Instant::now())),
        spin::lane("the plain function", 1, turn, None, plain),
        spin::lane("`Cache::disabled()`", 1, turn, Some(disabled), number),
        spin::lane("`when` is false", 1, turn, None, never),
        spin::lane("breaker open", 1, turn, Some(down), number),
    ];
    let done = rounds(&lanes, pace.rounds).await;
    title("Calls that the cache has no part in", "Time of one call; the function does nothing.");
    let rows: Vec<_> = lanes
        .iter()
        .zip(&done)
        .map(|(lane, nanos)| {
            let to = ratio(nanos, &done[0], |&nanos| nanos);
            vec![lane.name.clone(), time(median(nanos.clone()) / 1e9), format!("{to:.2}")]
        })
        .collect();
    table(&["call", "time", "to `Instant::now()`"], &rows);
    let to_now = |lane: usize| ratio(&done[lane], &done[0], |&nanos| nanos);
    let open = median(done[4].clone()) / 1e3;
    vec![
        Target::at_most("call, switched off", 4.0, "x Instant::now()", to_now(2)),
        Target::at_most("call, `when` is false", 4.0, "x Instant::now()", to_now(3)),
        Target::at_most("call, breaker open", 2.0, "µs", open),
    ]
}
