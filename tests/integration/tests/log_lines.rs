//! What an operator sees: one line for a change of state, none for its repetition, never a secret.
//!
//! One test of lines, since a process has one log.

// Many functions answer with the number of their run, whatever they are called with.
#![allow(unused_variables)]

use std::time::Duration;

use cache_runtime::{Cache, Config, cache_result, invalidate, observe, put};
use support::{Log, Server, configured, eventually, in_memory, key_of};
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
    let begun = log.lines(Level::INFO, "keeps its values in redis");
    assert!(begun.len() == 1 && begun[0].contains("namespace=\"cache\""), "{begun:?}");
    assert!(begun[0].contains("server=unix://"), "{begun:?}");

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

    // Whoever has only the line can find the entry.
    let named = "key=\"cache:logged:";
    for (event, fields) in [
        ("cache miss", ["prefix=\"logged\"", named, "spent="]),
        ("cache set", [named, "bytes=", "took="]),
        ("cache hit", [named, "spent=", "outcome=\"hit\""]),
        ("cache invalidate", [named, "names=1", "took="]),
    ] {
        let line = &log.lines(Level::DEBUG, event)[0];
        assert!(fields.iter().all(|field| line.contains(field)), "{line}");
    }

    server.kill();
    cache
        .scope(async {
            for _ in 0..100 {
                secret("sesame").await;
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
    assert_eq!(told("redis lost"), 1, "{:?}", log.lines(Level::INFO, ""));
    let bypass = log.lines(Level::DEBUG, "cache bypass");
    assert!(bypass.iter().any(|line| line.contains("reason=\"unavailable\"")), "{bypass:?}");
    let failed = cache.invalidate_prefix("logged").await.unwrap_err().to_string();
    assert!(failed.starts_with("the invalidation of `logged` is not confirmed"), "{failed}");
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

    let until = told("until it is");
    cache.close(Duration::from_secs(20)).await.unwrap();
    assert!(cache.scope(invalidate(secret("x"))).await.is_err());
    assert_eq!((told("after the cache was closed"), told("until it is")), (1, until));

    for told in ["hunter2", "sesame"] {
        assert_eq!(log.lines(Level::TRACE, told), Vec::<String>::new());
    }
    let wrong = Cache::from_lookup(|name| {
        (name == "REDIS_URL").then(|| "redis://:hunter2@host:port".to_owned())
    });
    assert!(!wrong.is_enabled());
    assert_eq!(log.lines(Level::ERROR, "REDIS_URL").len(), 1);
    assert_eq!(log.lines(Level::TRACE, "hunter2"), Vec::<String>::new());
    rates(&log).await;
    every_way_to_begin_says_where_values_go(&log).await;
}

#[cache_result(ttl = 60, prefix = "busy")]
async fn busy(number: u32) -> u32 {
    number
}

#[cache_result(prefix = "unkeyed")]
async fn unkeyed(number: Unkeyed) -> u32 {
    number.0
}

/// Has no key.
struct Unkeyed(u32);

impl serde::Serialize for Unkeyed {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("as asked"))
    }
}

#[tokio::test]
async fn errors_and_warnings_name_the_function() {
    let cache = in_memory();
    cache
        .scope(async {
            for error in [
                invalidate(unkeyed(Unkeyed(1))).await.unwrap_err(),
                put(unkeyed(Unkeyed(1)), 1).await.unwrap_err(),
                put(picky(1), 1).await.unwrap_err(),
            ] {
                assert!(error.to_string().contains("`log_lines::"), "{error}");
            }
        })
        .await;
}

#[cache_result(cache_if = |_| false)]
async fn picky(number: u32) -> u32 {
    number
}

/// What an interval of the log says: rates of that time, and nothing of what was idle.
async fn rates(log: &Log) {
    let settings = [("REDIS_URL", "memory://"), ("CACHE_LOG_INTERVAL", "1")];
    let cache = Cache::new(configured(&settings).unwrap());
    let lines = || log.lines(Level::INFO, "cache statistics");
    let has = |field: &str| lines().iter().any(|line| line.contains(field));
    cache
        .scope(async {
            busy(1).await;
            cache.flush().await;
            for _ in 0..3 {
                busy(1).await;
            }
        })
        .await;
    eventually("there is a line", || async { !lines().is_empty() }).await;
    for field in ["prefix=\"busy\"", "calls=4 ", "hit_rate=0.75", "computed=1 ", "mean_load="] {
        assert!(has(field), "{field}: {:#?}", lines());
    }
    tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
    assert_eq!(lines().len(), 1, "idle: {:#?}", lines());
    cache.disable();
    cache.scope(busy(1)).await;
    eventually("there is another", || async { lines().len() == 2 }).await;
    assert!(has("calls=1 ") && has("bypassed_because=\"off 1\""), "{:#?}", lines());
}

/// One line each, of this level and with this text.
async fn every_way_to_begin_says_where_values_go(log: &Log) {
    let config = |variables: &[(&str, &str)]| configured(variables).unwrap();
    let asked = [
        (Level::WARN, "neither REDIS_URL nor REDIS_HOST is set", config(&[])),
        (
            Level::WARN,
            "neither REDIS_URL nor REDIS_HOST is set",
            config(&[("CACHE_NAMESPACE", "x")]),
        ),
        (Level::INFO, "by=\"REDIS_ENABLED\"", config(&[("REDIS_ENABLED", "false")])),
        (Level::INFO, "by=\"ENABLE_REDIS_CACHE\"", config(&[("ENABLE_REDIS_CACHE", "no")])),
        (Level::INFO, "by=\"REDIS_URL\"", config(&[("REDIS_URL", "memory://")])),
        (Level::DEBUG, "values in this process", Config::in_memory()),
    ];
    let lines = |level, text: &str| log.lines(level, text).len();
    // Whatever operators see of where values go.
    let seen = || [Level::WARN, Level::INFO].map(|level| lines(level, "the cache "));
    for (level, text, config) in asked {
        for connects in [true, false] {
            let (told, [warnings, infos]) = (lines(level, text), seen());
            if connects {
                drop(Cache::connect(config.clone()).await.unwrap());
            } else {
                drop(Cache::new(config.clone()));
            }
            assert!(lines(level, text) > told, "{text}");
            let more = |of: Level| usize::from(level <= of);
            let expected = [warnings + more(Level::WARN), infos + more(Level::INFO)];
            assert_eq!(seen(), expected, "{text}");
        }
    }
    let [warnings, infos] = seen();
    drop((Cache::in_memory(), Cache::disabled()));
    assert_eq!(seen(), [warnings, infos], "what the program asks for is no news");
    drop(Cache::from_lookup(|_| None));
    assert_eq!(seen(), [warnings + 1, infos + 1]);
}

async fn key(cache: &Cache) -> String {
    cache.scope(key_of(secret("x"))).await
}

async fn server_command(url: &str, words: &[&str]) -> i64 {
    let client = redis::Client::open(url).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    redis::cmd(words[0]).arg(&words[1..]).query_async(&mut connection).await.unwrap()
}
