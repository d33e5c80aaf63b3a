//! Callers, caches and runtimes that come and go: nothing of them stays.
//!
//! `CI_LONG=1` has callers come and go for five minutes instead of ten seconds.

// Many functions answer with the number of their run, whatever they are called with.
#![allow(unused_variables)]

use std::time::{Duration, Instant};

use cache_runtime::{Cache, Config, cache_result, invalidate, observe, refresh};
use futures::future::join_all;
use support::{Dice, Server, block_on, eventually, landed};
use tokio::runtime::{Builder, Handle};
use tokio::sync::Mutex;

/// Threads, files and memory are the process's: one test at a time.
static ALONE: Mutex<()> = Mutex::const_new(());

/// How much more memory may be in use than when half of the time was over, in bytes.
const GROWTH: u64 = 8 << 20;

/// Few, so that many callers have one key.
const KEYS: u64 = 50;

fn is_long() -> bool {
    std::env::var_os("CI_LONG").is_some_and(|long| long == "1")
}

#[cache_result(ttl = 1, tags = ["of:{of}"])]
async fn slow(of: u64) -> u64 {
    tokio::time::sleep(Duration::from_millis(of % 8)).await;
    of * 2
}

#[cache_result(ttl = 1, local, stale_while_revalidate = 5, refresh_ahead = 1.0)]
async fn kept(of: u64) -> String {
    tokio::task::yield_now().await;
    "x".repeat(of as usize * 100)
}

#[cache_result(ttl = 1, lease = "100ms", wait = "50ms")]
async fn failing(of: u64) -> Result<u64, u64> {
    tokio::time::sleep(Duration::from_millis(of % 3)).await;
    if of.is_multiple_of(2) { Ok(of) } else { Err(of) }
}

/// One of the things that callers do.
async fn something(cache: &Cache, kind: u64, of: u64) {
    match kind {
        0..5 => assert_eq!(slow(of).await, of * 2),
        5..8 => assert_eq!(kept(of).await.len() as u64, of * 100),
        8..10 => assert_eq!(failing(of).await.is_ok(), of.is_multiple_of(2)),
        10 => assert_eq!(refresh(slow(of)).await, of * 2),
        11 => drop(invalidate(slow(of)).await),
        12 => drop(cache.invalidate_tag(&format!("of:{of}")).await),
        _ => drop(cache.invalidate_prefix("churn::kept").await),
    }
}

/// A caller that loses its patience somewhere, as a request whose client has gone.
async fn impatient(cache: Cache, mut dice: Dice) {
    let patience = Duration::from_micros(dice.below(12_000));
    let (kind, of) = (dice.below(14), dice.below(KEYS));
    let call = cache.scope(something(&cache, kind, of));
    let _ = tokio::time::timeout(patience, call).await;
}

/// A thousand callers a second, over a server that cuts their connections and stands still now and then.
async fn come_and_go(cache: &Cache, server: &Server, dice: &mut Dice, span: Duration) {
    let begun = Instant::now();
    let mut ticks = tokio::time::interval(Duration::from_millis(10));
    let mut callers = tokio::task::JoinSet::new();
    let mut tick = 0_u64;
    while begun.elapsed() < span {
        ticks.tick().await;
        for _ in 0..10 {
            callers.spawn(impatient(cache.clone(), dice.split()));
        }
        while let Some(ended) = callers.try_join_next() {
            ended.expect("no panic");
        }
        tick += 1;
        match tick % 150 {
            40 => {
                let _: i64 = server.command(&["CLIENT", "KILL", "TYPE", "normal"]).await;
            }
            90 => server.freeze(),
            110 => server.thaw(),
            _ => {}
        }
    }
    server.thaw();
    callers.join_all().await;
}

/// Every key is computed, and a hit, as when nothing had happened.
async fn all_is_well(cache: &Cache) {
    let hits = || async {
        let calls = (0..KEYS).map(|of| cache.scope(observe(kept(of))));
        join_all(calls).await.iter().all(|(_, outcome)| outcome.is_hit())
    };
    eventually("every call hits", hits).await;
    landed(cache).await;
}

async fn connections(server: &Server) -> u64 {
    let clients: String = server.command(&["INFO", "clients"]).await;
    let count = clients.lines().find_map(|line| line.strip_prefix("connected_clients:"));
    count.and_then(|count| count.trim().parse().ok()).expect("a number")
}

/// A number of the process's status, as `VmRSS` in kilobytes or `Threads`.
fn status(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("a Linux");
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.expect("a number")
}

fn memory() -> u64 {
    status("VmRSS") * 1024
}

fn files() -> usize {
    std::fs::read_dir("/proc/self/fd").expect("a Linux").count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_callers_that_go_away_nothing_stays() {
    let _alone = ALONE.lock().await;
    let server = Server::start().await;
    let cache = Cache::connect(Config::redis(&server.url()).unwrap()).await.unwrap();
    all_is_well(&cache).await;
    let (tasks, connected) =
        (Handle::current().metrics().num_alive_tasks(), connections(&server).await);
    let half = Duration::from_secs(if is_long() { 150 } else { 5 });
    let mut dice = Dice::new(7);
    come_and_go(&cache, &server, &mut dice, half).await;
    all_is_well(&cache).await;
    let before = memory();
    come_and_go(&cache, &server, &mut dice, half).await;
    all_is_well(&cache).await;
    let grown = memory().saturating_sub(before);
    assert!(grown < GROWTH, "{grown} bytes more");
    eventually("every invalidation is delivered", || async { cache.stats().undelivered == 0 })
        .await;
    let metrics = Handle::current().metrics();
    eventually("no task is left", || async { metrics.num_alive_tasks() <= tasks }).await;
    eventually("no connection is left", || async { connections(&server).await <= connected }).await;
}

/// A cache that is connected, used and dropped.
async fn short_lived(server: &Server, round: u64) {
    let cache = server.cache().await;
    cache
        .scope(async {
            assert_eq!(slow(round % KEYS).await, round % KEYS * 2);
            kept(round % KEYS).await;
        })
        .await;
    if round.is_multiple_of(2) {
        cache.flush().await;
    }
}

#[tokio::test]
async fn of_caches_that_are_dropped_nothing_stays() {
    let _alone = ALONE.lock().await;
    let server = Server::start().await;
    for round in 0..50 {
        short_lived(&server, round).await;
    }
    eventually("its connections are closed", || async { connections(&server).await <= 1 }).await;
    let (threads, opened, before) = (status("Threads"), files(), memory());
    for round in 0..200 {
        short_lived(&server, round).await;
    }
    let grown = memory().saturating_sub(before);
    assert!(grown < GROWTH, "{grown} bytes more");
    eventually("their connections are closed", || async { connections(&server).await <= 1 }).await;
    // Other tests of this process begin and end meanwhile: one thread, and a runtime's files.
    eventually("their threads are gone", || async { status("Threads") <= threads + 5 }).await;
    eventually("their files are closed", || async { files() <= opened + 20 }).await;
}

#[test]
fn runtimes_that_end_in_the_middle_of_calls_leave_the_global_cache_whole() {
    let _alone = ALONE.blocking_lock();
    let server = block_on(Server::start());
    let config = Config::redis(&server.url()).expect("a well-formed URL");
    cache_runtime::init(Cache::new(config)).expect("nobody else has one");
    let cache = Cache::global();
    let mut dice = Dice::new(7);
    block_on(all_is_well(&cache));
    let (opened, connected) = (files(), block_on(connections(&server)));
    for round in 0..30 {
        let runtime = match round % 3 {
            0 => Builder::new_current_thread().enable_all().build(),
            _ => Builder::new_multi_thread().worker_threads(2).enable_all().build(),
        };
        let runtime = runtime.expect("a runtime");
        for _ in 0..100 {
            let (kind, of, cache) = (dice.below(14), dice.below(KEYS), cache.clone());
            runtime.spawn(async move { something(&cache, kind, of).await });
        }
        // Long enough for some, and for none of them once in a while.
        let span = Duration::from_millis(dice.below(15));
        runtime.block_on(async { tokio::time::sleep(span).await });
        runtime.shutdown_background();
    }
    block_on(async {
        all_is_well(&cache).await;
        eventually("every invalidation is delivered", || async { cache.stats().undelivered == 0 })
            .await;
        let few = || async { connections(&server).await <= connected };
        eventually("no connection of theirs is left", few).await;
        eventually("none of their files is open", || async { files() <= opened + 20 }).await;
    });
}
