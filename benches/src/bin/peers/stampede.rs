//! Ten thousand callers of one cold key, whose function takes 100 ms.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::contest::{Lane, Pace, median, quantile, rounds};
use crate::hit::Field;
use crate::miss::fresh;
use crate::report::{Target, table, time, title};
use crate::values::{Got, Peer, body, runs};

const CALLERS: usize = 10_000;

struct Wave {
    runs: u64,
    failed: usize,
    /// What callers waited, sorted.
    took: Vec<Duration>,
}

async fn wave<P: Peer>(peer: Arc<P>) -> Wave {
    let (id, before) = (fresh(), runs());
    let calls = (0..CALLERS).map(|_| {
        let peer = peer.clone();
        tokio::spawn(async move {
            let begun = Instant::now();
            let failed = matches!(peer.slow(id).await, Got::Failed(_));
            (begun.elapsed(), failed)
        })
    });
    let (mut took, mut failed) = (Vec::with_capacity(CALLERS), 0);
    for call in calls.collect::<Vec<_>>() {
        let (its, failure) = call.await.expect("no caller panics");
        took.push(its);
        failed += usize::from(failure);
    }
    peer.settle().await;
    took.sort_unstable();
    Wave { runs: runs() - before, failed, took }
}

fn lane<P: Peer>(peer: &Arc<P>) -> Lane<Wave> {
    let peer = peer.clone();
    Lane::new(P::NAME, move || wave(peer.clone()))
}

pub async fn stampede(field: &Field, pace: Pace) -> Vec<Target> {
    let lanes = [
        lane(&field.ours),
        lane(&field.cached),
        lane(&field.hitbox),
        lane(&field.kit),
        lane(&field.tiers),
        lane(&field.by_hand),
    ];
    let done = rounds(&lanes, pace.rounds.div_ceil(2)).await;
    title("Stampede", "10,000 callers of one cold key whose function takes 100 ms; runs at worst.");
    let at = |waves: &[Wave], share| median(waves.iter().map(|wave| quantile(&wave.took, share)));
    let most = |waves: &[Wave]| waves.iter().map(|wave| wave.runs).max().unwrap_or_default();
    let rows: Vec<_> = lanes
        .iter()
        .zip(&done)
        .map(|(lane, waves)| {
            let failed: usize = waves.iter().map(|wave| wave.failed).sum();
            let worst = waves.iter().map(|wave| quantile(&wave.took, 1.0)).fold(0.0, f64::max);
            vec![
                lane.name.clone(),
                most(waves).to_string(),
                time(at(waves, 0.5)),
                time(at(waves, 0.99)),
                time(worst),
                failed.to_string(),
            ]
        })
        .collect();
    table(&["contestant", "runs", "p50", "p99", "worst", "errors"], &rows);
    let beyond = (at(&done[0], 0.99) - body::SLOW.as_secs_f64()) * 1e3;
    vec![
        Target::at_most("cold stampede, 10,000 callers", 1.0, "run", most(&done[0]) as f64),
        Target::at_most("cold stampede, p99 beyond the function", 50.0, "ms", beyond),
    ]
}
