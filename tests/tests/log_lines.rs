//! What an operator sees: one line for a change of state, none for its repetition, never a secret.
//!
//! One test, since a process has one log.

use cache_runtime::{Cache, Config, cache_result, invalidate, observe};
use integration_tests::{Log, Server, eventually, key_of};
use tracing::Level;

#[cache_result(ttl = 60, prefix = "logged")]
async fn secret(argument: &str) -> usize {
    argument.len()
}

#[tokio::test]
async fn states_are_told_once_and_arguments_never() {
    let log = Log::install();
    let mut server = Server::start_with(&["--requirepass", "hunter2"]).await;
    let url = format!("{}?pass=hunter2", server.url());
    let cache = Cache::connect(Config::redis(&url).unwrap()).await.unwrap();
    let told = |text: &str| log.lines(Level::INFO, text).len();

    cache
        .scope(async {
            secret("sesame").await;
            cache.flush().await;
            secret("sesame").await;
            invalidate(secret("sesame")).await.unwrap();
        })
        .await;
    assert_eq!(told("redis connected"), 1);
    for event in ["cache miss", "cache set", "cache hit", "cache invalidate"] {
        assert_eq!(log.lines(Level::DEBUG, event).len(), 1, "{event}");
        assert_eq!(told(event), 0, "{event} is for debugging");
    }

    server.kill();
    cache
        .scope(async {
            for _ in 0..100 {
                secret("sesame").await;
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        })
        .await;
    assert_eq!(told("redis lost"), 1, "{:?}", log.lines(Level::INFO, ""));
    server.restart().await;
    cache.scope(eventually("it hits", || async { observe(secret("x")).await.1.is_hit() })).await;
    assert_eq!(told("redis recovered"), 1);
    assert_eq!(told("redis connected"), 1);

    let _: i64 = server_command(&url, &["DEL", &key(&cache).await]).await;
    let _: i64 = server_command(&url, &["LPUSH", &key(&cache).await, "list"]).await;
    cache
        .scope(async {
            for _ in 0..5 {
                assert!(observe(secret("x")).await.1.is_bypassed());
            }
        })
        .await;
    assert_eq!(told("another Redis type"), 1);

    for told in ["hunter2", "sesame"] {
        assert_eq!(log.lines(Level::TRACE, told), Vec::<String>::new());
    }
    let wrong = Cache::from_lookup(|name| {
        (name == "REDIS_URL").then(|| "redis://:hunter2@host:port".to_owned())
    });
    assert!(!wrong.is_enabled());
    assert_eq!(log.lines(Level::ERROR, "REDIS_URL").len(), 1);
    assert_eq!(log.lines(Level::TRACE, "hunter2"), Vec::<String>::new());
}

async fn key(cache: &Cache) -> String {
    cache.scope(key_of(secret("x"))).await
}

async fn server_command(url: &str, words: &[&str]) -> i64 {
    let client = redis::Client::open(url).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    redis::cmd(words[0]).arg(&words[1..]).query_async(&mut connection).await.unwrap()
}
