//! What lies in Redis may have been put there by anybody: it must not take the process down.

use cache_runtime::{cache_result, explain, observe};
use integration_tests::Server;
use serde_json::Value;

const HEADER: usize = 64;

#[cache_result(ttl = 60)]
async fn document(id: u32) -> Value {
    Value::from(id)
}

/// Replaces the value of a real entry.
async fn forge(server: &Server, key: &str, body: &[u8]) {
    let mut client = server.client().await;
    let entry: Vec<u8> = redis::cmd("GET").arg(key).query_async(&mut client).await.unwrap();
    let forged = [&entry[..HEADER], body].concat();
    let mut set = redis::cmd("SET");
    set.arg(key).arg(forged).arg("KEEPTTL");
    set.query_async::<()>(&mut client).await.unwrap();
}

#[tokio::test]
async fn a_value_nested_as_deeply_as_it_fits_does_not_exhaust_the_stack() {
    let server = Server::start().await;
    let cache = server.cache().await;
    cache
        .scope(async {
            for depth in [10, 100, 500, 1000, 1500, 100_000] {
                document(depth).await;
                cache.flush().await;
                let key = explain(document(depth)).await.unwrap().key.unwrap();
                // Arrays of one array each, then a one.
                let mut body = vec![0x91; depth as usize];
                body.push(1);
                forge(&server, &key, &body).await;
                let (_, outcome) = observe(document(depth)).await;
                assert!(outcome.is_hit() || outcome.is_computed(), "{outcome:?}");
            }
        })
        .await;
}

#[tokio::test]
async fn a_length_that_is_a_lie_reserves_nothing() {
    let server = Server::start().await;
    let cache = server.cache().await;
    cache
        .scope(async {
            document(1).await;
            cache.flush().await;
            let key = explain(document(1)).await.unwrap().key.unwrap();
            for lie in [
                // An array, a map, a string and bytes of four thousand million each.
                [0xdd, 0xff, 0xff, 0xff, 0xff],
                [0xdf, 0xff, 0xff, 0xff, 0xff],
                [0xdb, 0xff, 0xff, 0xff, 0xff],
                [0xc6, 0xff, 0xff, 0xff, 0xff],
            ] {
                forge(&server, &key, &lie).await;
                let (value, outcome) = observe(document(1)).await;
                assert_eq!(value, Value::from(1));
                assert!(outcome.is_computed(), "{outcome:?}");
                cache.flush().await;
            }
        })
        .await;
}
