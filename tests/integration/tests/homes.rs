//! Connections are driven by the runtime of those who call: what its end, or its being busy, does to
//! the calls of others.

// Many functions answer with the number of their run, whatever they are called with.
#![allow(unused_variables)]

use std::sync::Arc;
use std::task::{Context, Wake, Waker};
use std::time::{Duration, Instant};

use cache_runtime::{Cache, Config, cache_result, observe};
use futures::future::join_all;
use support::{Server, block_on};
use tokio::runtime::{Builder, Runtime};

#[cache_result(ttl = 600)]
async fn number(of: u32) -> u32 {
    of
}

fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

/// A cache whose connections are driven by `home`.
fn at(home: &Runtime, config: Config) -> Cache {
    let cache = Cache::new(config);
    let scoped = cache.clone();
    let calls = async move {
        for of in 0..50 {
            scoped.scope(number(of)).await;
        }
        scoped.flush().await;
    };
    home.block_on(home.spawn(calls)).expect("no panic");
    cache
}

async fn hits(cache: &Cache) -> bool {
    let calls = (0..20).map(|of| cache.scope(observe(number(of))));
    join_all(calls).await.iter().all(|(_, outcome)| outcome.is_hit())
}

#[test]
fn the_end_of_a_runtime_is_nothing_to_the_calls_of_another() {
    let server = block_on(Server::start());
    for _ in 0..5 {
        let home = runtime();
        let cache = at(&home, server.config());
        let calling = std::thread::spawn(move || {
            runtime().block_on(async {
                let (began, mut bypassed) = (Instant::now(), 0);
                while began.elapsed() < Duration::from_millis(700) {
                    // What was on its way at that moment may run plainly, or be unconfirmed, and nothing after it.
                    bypassed += u32::from(!hits(&cache).await);
                    bypassed += u32::from(cache.invalidate_tag("nobody").await.is_err());
                    assert!(bypassed <= 3);
                }
            });
        });
        std::thread::sleep(Duration::from_millis(300));
        drop(home);
        calling.join().expect("hardly a call was bypassed, and hardly an invalidation failed");
    }
}

#[test]
fn a_runtime_that_is_busy_with_something_else_is_left() {
    let server = block_on(Server::start());
    let home = runtime();
    let cache = at(&home, Config::redis(&server.url()).expect("a well-formed URL"));
    for _ in 0..2 {
        home.spawn(async { std::thread::sleep(Duration::from_secs(8)) });
    }
    std::thread::sleep(Duration::from_millis(50));
    block_on(async {
        let began = Instant::now();
        while !hits(&cache).await {
            assert!(began.elapsed() < Duration::from_secs(5), "its connections are still used");
        }
    });
    home.shutdown_background();
}

struct Panicking;

impl Wake for Panicking {
    fn wake(self: Arc<Self>) {
        panic!("a full queue, say");
    }
}

#[test]
fn a_waker_that_panics_takes_nobody_elses_deadline_along() {
    let server = block_on(Server::start());
    let cache = Cache::new(Config::redis(&server.url()).expect("a well-formed URL"));
    block_on(cache.scope(number(1)));
    server.freeze();
    let waker = Waker::from(Arc::new(Panicking));
    let mut call = Box::pin(cache.scope(number(1)));
    assert!(call.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    std::thread::sleep(Duration::from_millis(300));
    let (tell, told) = std::sync::mpsc::channel();
    let other = cache.clone();
    std::thread::spawn(move || {
        block_on(other.scope(number(2)));
        let _ = tell.send(());
    });
    told.recv_timeout(Duration::from_secs(20)).expect("the budget ends the call");
    server.thaw();
}
