//! What lies in Redis may have been put there by anybody: it must not take the process down.

use cache_runtime::{cache_result, observe};
use integration_tests::{HEADER, Server, key_of};
use serde_json::Value;

#[cache_result(ttl = 60)]
async fn document(id: u32) -> Value {
    Value::from(id)
}

/// Replaces the value of a real entry.
async fn forge(server: &Server, key: &str, body: &[u8]) {
    let entry = server.entry(key).await;
    server.set_entry(key, &[&entry[..HEADER], body].concat()).await;
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
                let key = key_of(document(depth)).await;
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
            let key = key_of(document(1)).await;
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
