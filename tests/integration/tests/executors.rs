//! The cache asks nothing of the executor that polls it.

// Many functions answer with the number of their run, whatever they are called with.
#![allow(unused_variables)]

use std::time::Duration;

use cache_runtime::{Cache, cache_result, observe};
use futures::future::join_all;
use support::{block_on, both_stores};

#[cache_result(ttl = 60)]
async fn number(of: u32) -> u32 {
    of * 2
}

async fn hit_after_miss(cache: &Cache, of: u32) {
    cache
        .scope(async {
            let (value, outcome) = observe(number(of)).await;
            assert_eq!(value, of * 2);
            assert!(outcome.is_computed(), "{outcome:?}");
            let (value, outcome) = observe(number(of)).await;
            assert_eq!(value, of * 2);
            assert!(outcome.is_hit(), "{outcome:?}");
            let herd = join_all((0..50).map(|_| number(of + 1))).await;
            assert!(herd.iter().all(|value| *value == (of + 1) * 2));
        })
        .await;
}

#[test]
fn an_executor_that_is_not_tokio_gets_hits() {
    let (_server, caches) = block_on(both_stores());
    for cache in &caches {
        futures::executor::block_on(hit_after_miss(cache, 10));
    }
}

#[test]
fn a_runtime_without_timers_or_io_gets_hits() {
    let (_server, caches) = block_on(both_stores());
    for cache in &caches {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(hit_after_miss(cache, 20));
    }
}

#[test]
fn a_runtime_that_ends_takes_nothing_with_it() {
    let (_server, caches) = block_on(both_stores());
    for cache in &caches {
        for round in 0..5 {
            // Ends right after the call: the write goes on without it.
            block_on(cache.scope(async {
                assert!(observe(number(100 + round)).await.1.is_computed());
            }));
            block_on(cache.scope(async {
                cache.flush().await;
                assert!(observe(number(100 + round)).await.1.is_hit());
            }));
        }
    }
}

#[test]
fn a_runtime_that_is_busy_holds_up_no_other() {
    let (_server, caches) = block_on(both_stores());
    for cache in &caches {
        let (started, begun) = std::sync::mpsc::channel();
        let (finish, finished) = std::sync::mpsc::channel::<()>();
        let busy = cache.clone();
        let thread = std::thread::spawn(move || {
            block_on(busy.scope(async {
                number(200).await;
                started.send(()).unwrap();
                // Blocks its runtime, as nobody should.
                finished.recv_timeout(Duration::from_secs(30)).unwrap();
            }));
        });
        begun.recv().unwrap();
        block_on(hit_after_miss(cache, 300));
        finish.send(()).unwrap();
        thread.join().unwrap();
    }
}
