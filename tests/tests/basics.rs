//! Hits, misses and lifetimes over both stores.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use cache_runtime::{Cache, cache_result, invalidate, observe, peek, put, refresh};
use integration_tests::{Server, in_memory};

static RUNS: AtomicU32 = AtomicU32::new(0);

#[cache_result(ttl = 60, prefix = "numbers")]
async fn number(of: u32) -> u32 {
    RUNS.fetch_add(1, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_millis(50)).await;
    of * 2
}

#[tokio::test]
async fn smoke() {
    let server = Server::start().await;
    for cache in [in_memory(), server.cache().await] {
        cache
            .scope(async {
                let (v, o) = observe(number(1)).await;
                assert_eq!(v, 2);
                println!("{o:?}");
                let (v, o) = observe(number(1)).await;
                println!("{o:?}");
                assert_eq!(v, 2);
                assert!(o.is_hit());
                assert_eq!(peek(number(1)).await, Some(2));
                println!("{}", cache_runtime::explain(number(1)).await.unwrap());
                invalidate(number(1)).await.unwrap();
                assert_eq!(peek(number(1)).await, None);
                put(number(1), 99).await.unwrap();
                assert_eq!(number(1).await, 99);
                assert_eq!(refresh(number(1)).await, 2);
                assert_eq!(number(1).await, 2);
                println!("{:#?}", cache.stats());
                println!("{:?}", Cache::global());
            })
            .await;
    }
    println!("{:?}", server.keys().await);
}
