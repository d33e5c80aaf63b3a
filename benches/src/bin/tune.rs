//! The tables of "Tune" in docs/operations.md: `cargo run --release --bin tune`, half a minute.
//!
//! Connections to a server, the ttl for functions that are polled, and the memory of entries in Redis.

use std::time::{Duration, Instant};

use cache_runtime::{Cache, Config, cache_result};
use redis::Commands as _;
use support::Server;

/// Text that a compressor makes about half as long, as it does with JSON of numbers and names.
fn text(number: u32, bytes: usize) -> String {
    let mut state = u64::from(number) + 1;
    let digits = (0..bytes).map(|_| {
        // Of Knuth's generator for 64 bits, the high part.
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        char::from_digit((state >> 60) as u32, 16).unwrap_or('0')
    });
    digits.collect()
}

#[cache_result(ttl = 3600, prefix = "sized")]
async fn sized(number: u32, bytes: usize) -> String {
    text(number, bytes)
}

#[cache_result(ttl = Duration::from_secs(ttl), prefix = "job")]
async fn job(id: u32, ttl: u64) -> u32 {
    id + u32::from(ttl > 0)
}

/// Hits a second of 64 tasks over `connections` connections.
async fn hits(server: &Server, connections: usize) -> f64 {
    const TASKS: u32 = 64;
    const TIME: Duration = Duration::from_secs(2);
    let config = Config::redis(&server.url()).expect("a well-formed URL").lanes(connections);
    let cache = Cache::connect(config).await.expect("a server that answers");
    for number in 0..TASKS {
        cache.scope(sized(number, 200)).await;
    }
    cache.flush().await;
    let begun = Instant::now();
    let tasks = (0..TASKS).map(|number| {
        let cache = cache.clone();
        tokio::spawn(async move {
            let mut calls = 0_u32;
            while begun.elapsed() < TIME {
                cache.scope(sized(number, 200)).await;
                calls += 1;
            }
            calls
        })
    });
    let mut calls = 0;
    for task in tasks.collect::<Vec<_>>() {
        calls += task.await.expect("no panic");
    }
    let total = cache.stats().total();
    let misses = total.calls() - total.served();
    assert!(misses <= u64::from(TASKS), "{misses} calls were no hits");
    f64::from(calls) / begun.elapsed().as_secs_f64()
}

/// The share of polls that are hits: one job, polled every `interval` seconds by each of `pollers`, for an hour of
/// the cache's own clock.
async fn ratio(ttl: u64, interval: u64, pollers: u32) -> f64 {
    let cache = Cache::in_memory();
    for _ in 0..3600 / interval {
        for _ in 0..pollers {
            cache.scope(job(7, ttl)).await;
            cache.flush().await;
        }
        cache.advance(Duration::from_secs(interval));
    }
    cache.stats().total().hit_rate().expect("there were calls")
}

/// Bytes of Redis' memory for each entry: of this cache, and of `SETEX` of the same text as JSON.
async fn memory(server: &Server, bytes: usize) -> (u64, u64) {
    const ENTRIES: u32 = 10_000;
    let client = redis::Client::open(server.url()).expect("a well-formed URL");
    let mut connection = client.get_connection().expect("a server that answers");
    let used = |connection: &mut redis::Connection| -> u64 {
        let info: String = redis::cmd("INFO").arg("memory").query(connection).expect("INFO");
        let line = info.lines().find_map(|line| line.strip_prefix("used_memory:"));
        line.and_then(|value| value.trim().parse().ok()).expect("a number")
    };
    let _: () = redis::cmd("FLUSHALL").query(&mut connection).expect("a flush");
    let before = used(&mut connection);
    let config = Config::redis(&server.url()).expect("a well-formed URL");
    let cache = Cache::connect(config).await.expect("a server that answers");
    for number in 0..ENTRIES {
        cache.scope(sized(number, bytes)).await;
    }
    cache.flush().await;
    let ours = used(&mut connection).saturating_sub(before);
    cache.close(Duration::from_secs(5)).await.expect("everything is written");
    let _: () = redis::cmd("FLUSHALL").query(&mut connection).expect("a flush");
    let before = used(&mut connection);
    for number in 0..ENTRIES {
        let (key, value) =
            (format!("cache:sized:{number}"), format!("\"{}\"", text(number, bytes)));
        let _: () = connection.set_ex(key, value, 3600).expect("a write");
    }
    let theirs = used(&mut connection).saturating_sub(before);
    (ours / u64::from(ENTRIES), theirs / u64::from(ENTRIES))
}

#[tokio::main(worker_threads = 2)]
async fn main() {
    let server = Server::start().await;
    println!("| connections to a server | hits a second, 64 tasks, 200 bytes |\n|--:|--:|");
    for connections in [1, 2, 4, 8] {
        println!("| {connections} | {:.0} |", hits(&server, connections).await);
    }
    println!("\n| ttl | one poller every 1 s | every 3 s | every 10 s | ten pollers every 3 s |");
    println!("|--:|--:|--:|--:|--:|");
    for ttl in [5, 10, 30, 60, 300] {
        let mut row = format!("| {ttl} s |");
        for (interval, pollers) in [(1, 1), (3, 1), (10, 1), (3, 10)] {
            row += &format!(" {:.0} % |", 100.0 * ratio(ttl, interval, pollers).await);
        }
        println!("{row}");
    }
    println!("\n| value | bytes in Redis for each entry | `SETEX` of the same text as JSON |");
    println!("|--:|--:|--:|");
    for bytes in [20, 200, 2000, 20_000] {
        let (ours, theirs) = memory(&server, bytes).await;
        println!("| {bytes} bytes | {ours} | {theirs} |");
    }
}
