//! What coherence costs: `cargo run --release --bin coherence`.
//!
//! Invalidations with few and with many entries, side by side; and how long others wait when the
//! process that computes a value is killed.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use benches::median;
use cache_runtime::{Cache, Config, cache_result, observe};
use support::{Server, eventually, key_of};

const ROUNDS: usize = 200;

#[cache_result(ttl = 3600, prefix = "areas", tags = ["agent:{agent}"])]
async fn area(agent: u32, page: u32) -> u32 {
    agent * page
}

/// Copies of one entry under the prefix.
async fn fill(server: &Server, cache: &Cache, entries: usize) {
    let key = cache.scope(key_of(area(1, 1))).await;
    let fill = "local entry = redis.call('GET', KEYS[1]) \
                for i = ARGV[1], ARGV[2] do \
                  redis.call('SET', 'cache:areas:' .. i, entry, 'PX', 3600000) \
                end";
    for from in (0..entries).step_by(20_000) {
        let (from, to) = (from.to_string(), entries.min(from + 20_000).to_string());
        let () = server.command(&["EVAL", fill, "1", &key, &from, &to]).await;
    }
}

/// A server with so many entries, and a cache over it.
async fn filled(entries: usize) -> (Server, Cache) {
    let server = Server::start().await;
    let cache = Cache::connect(config(&server.url())).await.expect("the server answers");
    cache.scope(area(1, 1)).await;
    cache.flush().await;
    fill(&server, &cache, entries).await;
    (server, cache)
}

/// One invalidation of each kind: of a call, a prefix, a tag.
async fn round(cache: &Cache) -> [Duration; 3] {
    let mut took = [Duration::ZERO; 3];
    for (kind, took) in took.iter_mut().enumerate() {
        cache.scope(area(1, 1)).await;
        cache.flush().await;
        let begun = Instant::now();
        let done = match kind {
            0 => cache.scope(cache_runtime::invalidate(area(1, 1))).await,
            1 => cache.invalidate_prefix("areas").await,
            _ => cache.invalidate_tag("agent:1").await,
        };
        *took = begun.elapsed();
        done.expect("it is delivered");
    }
    took
}

fn config(url: &str) -> Config {
    let long = Duration::from_secs(30);
    Config::redis(url).expect("a well-formed URL").budget(long).timeout(long).wait(long)
}

/// This program again, as the process that computes and is killed.
async fn own(url: &str, round: u32) {
    let cache = Cache::connect(config(url)).await.expect("the server answers");
    cache.scope(orphaned(round, true)).await;
}

/// One key for the owner that hangs and for its heirs.
#[cache_result(ttl = 60, prefix = "orphans", key = (round))]
async fn orphaned(round: u32, hangs: bool) -> u64 {
    if hangs {
        std::future::pending::<()>().await;
    }
    u64::from(round)
}

/// From the owner's death to the value, over several of them.
async fn deaths(server: &Server, cache: &Cache) -> Vec<Duration> {
    let mut delays = Vec::new();
    for round in 0..5 {
        let program = std::env::current_exe().expect("a program");
        let mut owner = Command::new(program)
            .args(["own", &server.url(), &round.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("it starts");
        let key = cache.scope(key_of(orphaned(round, false))).await;
        let leased = || async { server.command::<u32>(&["EXISTS", &key]).await == 1 };
        eventually("it has its lease", leased).await;
        let waiting = {
            let cache = cache.clone();
            tokio::spawn(async move {
                let (_, outcome) = cache.scope(observe(orphaned(round, false))).await;
                assert!(outcome.is_computed(), "{outcome:?}");
                Instant::now()
            })
        };
        tokio::time::sleep(Duration::from_millis(300)).await;
        owner.kill().expect("it is ours");
        let died = Instant::now();
        owner.wait().expect("it is ours");
        delays.push(waiting.await.expect("no caller panics") - died);
        cache.flush().await;
    }
    delays
}

#[tokio::main(worker_threads = 2)]
async fn main() {
    let arguments: Vec<_> = std::env::args().collect();
    if let [_, word, url, round] = &arguments[..]
        && word == "own"
    {
        return own(url, round.parse().expect("a number")).await;
    }
    let sizes = [10, 1_000_000];
    let (few, many) = (filled(sizes[0]).await, filled(sizes[1]).await);
    let mut took = [const { [const { Vec::new() }; 3] }; 2];
    // In turns, so that what disturbs one disturbs the other.
    for _ in 0..ROUNDS {
        for ((_, cache), took) in [&few, &many].into_iter().zip(&mut took) {
            let round = round(cache).await;
            took.iter_mut().zip(round).for_each(|(took, one)| took.push(one));
        }
    }
    let took = took.map(|kinds| kinds.map(median));
    println!("| entries under the prefix | invalidate a call | a prefix | a tag |");
    println!("|--:|--:|--:|--:|");
    for (entries, row) in sizes.iter().zip(&took) {
        println!("| {entries} | {:.0?} | {:.0?} | {:.0?} |", row[0], row[1], row[2]);
    }
    let ratio = |kind: usize| took[1][kind].as_secs_f64() / took[0][kind].as_secs_f64();
    println!("| ratio | {:.2} | {:.2} | {:.2} |", ratio(0), ratio(1), ratio(2));
    for (server, _) in [&few, &many] {
        assert_eq!(server.calls("scan").await, 0);
    }
    drop(many);
    let (server, cache) = few;
    cache.clear().await.expect("the server answers");
    let delays = deaths(&server, &cache).await;
    println!("\nFrom the death of an owner (lease 2 s) to the value of its heir: {delays:.1?}");
}
