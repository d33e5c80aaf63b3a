//! Shutting down: what was computed is written, what was invalidated is removed, or it is told; then
//! nothing is left of the cache, and functions still run.

// Many functions answer with the number of their run, whatever they are called with.
#![allow(unused_variables)]

use std::time::{Duration, Instant};

use cache_runtime::{Cache, Config, Status, cache_result, invalidate, observe, peek};
use futures::future::join_all;
use support::{Calls, Member, Patience, Server, eventually, in_memory};

const DEADLINE: Duration = Duration::from_secs(20);

#[cache_result(ttl = 60)]
async fn number(of: u32) -> u32 {
    of * 2
}

#[cache_result(ttl = 60)]
async fn slow(of: u32) -> u32 {
    tokio::time::sleep(Duration::from_millis(500)).await;
    of * 3
}

#[tokio::test]
async fn what_was_computed_is_there_for_the_next_process() {
    let server = Server::start().await;
    let cache = server.cache().await;
    cache.scope(join_all((0..200).map(number))).await;
    cache.close(DEADLINE).await.unwrap();
    let next = server.cache().await;
    for of in 0..200 {
        assert!(next.scope(observe(number(of))).await.1.is_hit());
    }
}

#[tokio::test]
async fn a_run_that_is_going_on_is_waited_for() {
    let server = Server::start().await;
    let cache = server.cache().await;
    let running = tokio::spawn({
        let cache = cache.clone();
        async move { cache.scope(slow(1)).await }
    });
    eventually("it runs", || async { server.entries().await.len() == 1 }).await;
    cache.close(DEADLINE).await.unwrap();
    assert_eq!(running.await.unwrap(), 3);
    let next = server.cache().await;
    assert!(next.scope(observe(slow(1))).await.1.is_hit());
}

#[tokio::test]
async fn a_run_that_takes_too_long_is_told_and_left_alone() {
    let server = Server::start().await;
    let cache = server.cache().await;
    let running = tokio::spawn({
        let cache = cache.clone();
        async move { cache.scope(slow(2)).await }
    });
    eventually("it runs", || async { server.entries().await.len() == 1 }).await;
    let error = cache.close(Duration::from_millis(10)).await.unwrap_err();
    assert!(error.is_timeout() && error.to_string().contains("1 runs"), "{error}");
    assert_eq!(running.await.unwrap(), 6);
}

#[cache_result(ttl = 60)]
async fn endless(of: u32) -> u32 {
    std::future::pending::<()>().await;
    of
}

#[tokio::test]
async fn the_lease_of_a_run_that_takes_too_long_is_given_up_and_keeps_no_other_process_waiting() {
    let server = Server::start().await;
    let cache = server.cache().await;
    let mut calls = Vec::new();
    for of in 0..20 {
        // Some lead, and some have joined.
        calls.push(tokio::spawn({
            let cache = cache.clone();
            async move { cache.scope(endless(of % 10)).await }
        }));
    }
    eventually("they run", || async { server.entries().await.len() == 10 }).await;
    let begun = Instant::now();
    let error = cache.close(Duration::from_secs(2)).await.unwrap_err();
    assert!(error.to_string().contains("10 runs"), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    assert_eq!(server.entries().await, [""; 0]);
    calls.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test]
async fn a_process_that_ends_in_order_leaves_values_and_no_leases() {
    let server = Server::start().await;
    let database = Server::start().await;
    let start = async || {
        let program = tokio::process::Command::new(env!("CARGO_BIN_EXE_member"));
        Member::start(program, &server.url(), &database.url(), Patience::long()).await
    };
    for round in 0..5 {
        let (stored, running) = (2 * round, 2 * round + 1);
        let first = start().await;
        let calls: Calls = first.ask(format!("call Counted {stored} 0 1")).await;
        assert_eq!(calls.outcomes.keys().collect::<Vec<_>>(), ["computed"]);
        assert!(first.ask::<bool>("close 20000").await);
        first.kill().await;
        let second = start().await;
        let calls: Calls = second.ask(format!("call Counted {stored} 0 1")).await;
        assert_eq!(calls.outcomes.keys().collect::<Vec<_>>(), ["hit"]);

        let before = server.entries().await.len();
        let _running = second.order(format!("call Counted {running} 60000 1"));
        eventually("it runs", || async { server.entries().await.len() > before }).await;
        assert!(!second.ask::<bool>("close 1000").await);
        assert_eq!(server.entries().await.len(), before);
        second.kill().await;
    }
}

async fn connections(server: &Server) -> usize {
    let list: String = server.command(&["CLIENT", "LIST"]).await;
    list.lines().count()
}

#[tokio::test]
async fn afterwards_there_are_no_connections_and_functions_still_run() {
    let server = Server::start().await;
    let before = connections(&server).await;
    let cache = server.cache().await;
    cache.scope(number(1)).await;
    assert!(connections(&server).await > before);
    cache.close(DEADLINE).await.unwrap();
    eventually("its connections are gone", || async { connections(&server).await == before }).await;
    cache.enable();
    for of in 0..3 {
        let (value, outcome) = cache.scope(observe(number(of))).await;
        assert!(value == of * 2 && outcome.is_bypassed(), "{outcome:?}");
    }
    assert_eq!(cache.health().status, Status::Off);
    assert!(cache.scope(invalidate(number(1))).await.unwrap_err().is_unavailable());
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(connections(&server).await, before, "nothing is dialled any more");
    cache.close(Duration::from_millis(100)).await.unwrap_err();
}

#[tokio::test]
async fn an_invalidation_that_cannot_be_delivered_is_told() {
    let server = Server::start().await;
    let cache = Cache::connect(Config::redis(&server.url()).unwrap()).await.unwrap();
    cache.scope(number(1)).await;
    server.freeze();
    assert!(cache.scope(invalidate(number(1))).await.is_err());
    let begun = Instant::now();
    let error = cache.close(Duration::from_secs(1)).await.unwrap_err();
    assert!(error.is_timeout() && error.to_string().contains("1 invalidations"), "{error}");
    assert!(begun.elapsed() < DEADLINE);
    server.thaw();
}

#[tokio::test]
async fn a_server_that_stays_away_is_not_waited_for_until_the_deadline() {
    let mut server = Server::start().await;
    let cache = Cache::connect(Config::redis(&server.url()).unwrap()).await.unwrap();
    cache.scope(number(1)).await;
    server.kill();
    assert!(cache.scope(invalidate(number(1))).await.is_err());
    let begun = Instant::now();
    let error = cache.close(DEADLINE).await.unwrap_err();
    assert!(error.is_timeout() && error.to_string().contains("1 invalidations"), "{error}");
    assert!(begun.elapsed() < DEADLINE / 2, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn an_invalidation_that_can_be_delivered_in_time_is() {
    let mut server = Server::start().await;
    let cache = Cache::connect(Config::redis(&server.url()).unwrap()).await.unwrap();
    cache.scope(number(1)).await;
    server.kill();
    assert!(cache.scope(invalidate(number(1))).await.is_err());
    let (closed, ()) = tokio::join!(cache.close(DEADLINE), server.restart());
    closed.unwrap();
}

#[tokio::test]
async fn an_invalidation_whose_caller_has_gone_is_waited_for() {
    let server = Server::start().await;
    let next = server.cache().await;
    next.scope(number(7)).await;
    next.flush().await;
    // It has still to be dialled.
    let cache = Cache::new(server.config());
    server.freeze();
    let invalidation = cache.scope(invalidate(number(7)));
    let polled = tokio::time::timeout(Duration::from_millis(50), invalidation).await;
    assert!(polled.is_err(), "it is on its way");
    let thaw = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        server.thaw();
    };
    let (closed, ()) = tokio::join!(cache.close(DEADLINE), thaw);
    closed.unwrap();
    assert_eq!(next.scope(peek(number(7))).await, None);
}

#[tokio::test]
async fn a_cache_that_never_connected_is_closed_at_once() {
    let (_folder, url) = Server::absent();
    let absent = Cache::new(Config::redis(&url).unwrap());
    for cache in [absent, in_memory(), Cache::disabled()] {
        cache.close(DEADLINE).await.unwrap();
        assert_eq!(cache.scope(number(4)).await, 8);
        assert_eq!(cache.health().status, Status::Off);
    }
}
