//! The main job in one file: a slow function, annotated.
//!
//! `cargo run -p quickstart` keeps values in this process; with `REDIS_URL=redis://127.0.0.1:6379`
//! in the environment they are kept in that Redis.

use std::future::Future;
use std::time::{Duration, Instant};

use cache_runtime::{Cache, cache_result, invalidate, observe};

#[cache_result(ttl = 3600, prefix = "areas")]
async fn areas(kind: &str) -> Vec<String> {
    // Stands for a slow query.
    tokio::time::sleep(Duration::from_millis(300)).await;
    ["Mitte", "Wedding", "Pankow"].map(|area| format!("{area} ({kind})")).to_vec()
}

#[tokio::main]
async fn main() -> Result<(), cache_runtime::Error> {
    println!("{:<22} {:>10}   outcome", "call", "time");
    row("first call", areas("buy")).await;
    row("second call", areas("buy")).await;
    row("another argument", areas("rent")).await;

    invalidate(areas("buy")).await?;
    row("after `invalidate`", areas("buy")).await;

    Cache::global().disable();
    row("with caching off", areas("buy")).await;

    println!("\nareas: {}", Cache::global().stats().prefix("areas"));
    // What is still being written is written, and no lease is left for the next process to wait for.
    Cache::global().close(Duration::from_secs(5)).await
}

async fn row(name: &str, call: impl Future) {
    let begun = Instant::now();
    let (_, outcome) = observe(call).await;
    println!("{name:<22} {:>7.2} ms   {outcome}", begun.elapsed().as_secs_f64() * 1e3);
}
