//! What callers pay while Redis is frozen or gone: `cargo run --release --bin outage`.
//!
//! 64 tasks call a function whose body is ready at once; every microsecond is the cache's.

use std::time::{Duration, Instant};

use benches::median;
use cache_runtime::{Cache, Config, OutcomeKind, Reason, cache_result, observe};
use support::Server;

const TASKS: u32 = 64;

#[cache_result(ttl = 60)]
async fn number(of: u32) -> u32 {
    of * 2
}

/// One call of each task: how long it took, and why the cache had no part in it.
async fn wave(cache: &Cache, round: u32) -> Vec<(Duration, OutcomeKind)> {
    let calls = (0..TASKS).map(|task| {
        let cache = cache.clone();
        tokio::spawn(async move {
            let begun = Instant::now();
            let (_, outcome) = cache.scope(observe(number(round * TASKS + task))).await;
            (begun.elapsed(), outcome.kind)
        })
    });
    let mut wave = Vec::new();
    for call in calls.collect::<Vec<_>>() {
        wave.push(call.await.expect("no caller panics"));
    }
    wave
}

async fn row(name: &str, cache: &Cache, fault: impl AsyncFnOnce()) {
    wave(cache, 0).await;
    fault().await;
    let first = wave(cache, 1).await;
    let begun = Instant::now();
    let mut open = Vec::new();
    let mut round = 2;
    while begun.elapsed() < Duration::from_secs(2) {
        for (took, kind) in wave(cache, round).await {
            if kind == OutcomeKind::Bypassed(Reason::Unavailable) {
                open.push(took);
            }
        }
        round += 1;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let worst = first.iter().map(|(took, _)| *took).max().unwrap_or_default();
    let late = open.iter().max().copied().unwrap_or_default();
    let (calls, middle) = (open.len(), median(open));
    println!("| {name} | {worst:.1?} | {middle:.1?} | {late:.1?} | {calls} |");
}

/// How long a cache takes to hit again.
async fn recovery(cache: &Cache) -> Duration {
    let begun = Instant::now();
    while !cache.scope(observe(number(0))).await.1.is_hit() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    begun.elapsed()
}

#[tokio::main(worker_threads = 2)]
async fn main() {
    println!(
        "| fault, 64 callers, budget 100 ms | worst of the first wave | median once open | worst once open | calls |"
    );
    println!("|---|--:|--:|--:|--:|");
    let mut server = Server::start().await;
    let cache = Cache::new(Config::redis(&server.url()).expect("a well-formed URL"));
    row("frozen (SIGSTOP)", &cache, async || server.freeze()).await;
    server.thaw();
    let thawed = recovery(&cache).await;
    row("killed", &cache, async || server.kill()).await;
    server.restart().await;
    let restarted = recovery(&cache).await;
    println!("\nFirst hit {thawed:.0?} after SIGCONT, {restarted:.0?} after the restart.");
}
