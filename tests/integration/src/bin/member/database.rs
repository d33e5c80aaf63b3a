//! What the cached functions read: a version for each item, and counts of runs.

use std::sync::OnceLock;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, FromRedisValue};
use support::now;

static DATABASE: OnceLock<MultiplexedConnection> = OnceLock::new();

/// Connects, once.
pub(crate) async fn connect(url: &str) {
    // A process that was frozen finds its answers late.
    let config = AsyncConnectionConfig::new().set_response_timeout(None);
    let client = redis::Client::open(url).expect("a well-formed URL");
    let database = client.get_multiplexed_async_connection_with_config(&config).await;
    let known = DATABASE.set(database.expect("the database answers"));
    assert!(known.is_ok(), "connected twice");
}

async fn ask<T: FromRedisValue>(command: &str, key: &str, rest: &[u64]) -> T {
    let mut database = DATABASE.get().expect("connected").clone();
    let answer = redis::cmd(command).arg(key).arg(rest).query_async(&mut database).await;
    answer.expect("the database answers")
}

/// Writes an item; its new version.
pub(crate) async fn commit(item: u32) -> u64 {
    ask("INCR", &format!("version:{item}"), &[]).await
}

/// An item's version.
pub(crate) async fn version(item: u32) -> u64 {
    let version: Option<u64> = ask("GET", &format!("version:{item}"), &[]).await;
    version.unwrap_or(0)
}

/// A run that takes its time, counted and timed: its number.
pub(crate) async fn run(item: u32, ms: u64) -> u64 {
    let number = ask("INCR", &format!("runs:{item}"), &[]).await;
    let () = ask("RPUSH", &format!("began:{item}"), &[now()]).await;
    tokio::time::sleep(Duration::from_millis(ms)).await;
    let () = ask("RPUSH", &format!("ended:{item}"), &[now()]).await;
    number
}
