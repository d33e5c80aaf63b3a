//! The cached functions. How long a run takes is no part of the key.

use std::time::Duration;

use cache_runtime::{Outcome, Reason, cache_result, observe};
use serde::Serialize;
use support::{Function, Made, Value, now};

use crate::database;

type Result = std::result::Result<Value, String>;

/// Half of all items have a tag in common.
#[derive(Clone, Copy, Serialize)]
pub(crate) struct Item {
    pub(crate) number: u32,
    pub(crate) half: u32,
}

impl Item {
    pub(crate) fn new(number: u32) -> Self {
        Self { number, half: number % 2 }
    }
}

/// The prefix of `plain`, `stale` and `local`.
pub(crate) const SHARED: &str = "shared";
/// The prefix of `nested`.
pub(crate) const OUTER: &str = "outer";

#[cache_result(
    ttl = "2s",
    prefix = "shared",
    lease = "300ms",
    skip(ms),
    tags = ["half:{item.half}"]
)]
pub(crate) async fn plain(item: Item, ms: u64) -> Result {
    Ok(read(item, ms).await)
}

#[cache_result(
    ttl = "150ms",
    prefix = "shared",
    lease = "300ms",
    stale_while_revalidate = "2s",
    skip(ms),
    tags = ["half:{item.half}"]
)]
pub(crate) async fn stale(item: Item, ms: u64) -> Result {
    Ok(read(item, ms).await)
}

#[cache_result(
    ttl = "4s",
    prefix = "shared",
    lease = "300ms",
    stale_while_revalidate = "1s",
    local,
    skip(ms),
    tags = ["half:{item.half}"]
)]
pub(crate) async fn local(item: Item, ms: u64) -> Result {
    Ok(read(item, ms).await)
}

#[cache_result(ttl = "1s", prefix = "outer", lease = "300ms", skip(ms), tags = ["half:{item.half}"])]
pub(crate) async fn nested(item: Item, ms: u64) -> Result {
    let began = now();
    let (inner, outcome) = match inner_of(item.number) {
        Function::Stale => observe(stale(item, ms / 2)).await,
        Function::Local => observe(local(item, ms / 2)).await,
        _ => observe(plain(item, ms / 2)).await,
    };
    tokio::time::sleep(Duration::from_millis(ms / 2)).await;
    let made = made(&outcome);
    inner.map(|inner| Value { began, process: std::process::id(), made, ..inner })
}

/// What `nested` calls.
pub(crate) fn inner_of(item: u32) -> Function {
    match item % 3 {
        0 => Function::Stale,
        1 => Function::Plain,
        _ => Function::Local,
    }
}

#[cache_result(ttl = 60, prefix = "counted", skip(ms))]
pub(crate) async fn counted(item: u32, ms: u64) -> Result {
    Ok(run(item, ms).await)
}

#[cache_result(
    ttl = 3,
    jitter = 0,
    prefix = "refreshed",
    stale_while_revalidate = 60,
    lease = "2s",
    skip(ms)
)]
pub(crate) async fn refreshed(item: u32, ms: u64) -> Result {
    Ok(run(item, ms).await)
}

#[cache_result(ttl = 1, prefix = "forgiving", stale_if_error = 60, skip(ms, fails))]
pub(crate) async fn forgiving(item: u32, ms: u64, fails: bool) -> Result {
    let value = run(item, ms).await;
    if fails { Err("asked to fail".to_owned()) } else { Ok(value) }
}

#[cache_result(ttl = 60, prefix = "failing", skip(ms))]
pub(crate) async fn failing(item: u32, ms: u64) -> Result {
    Err(format!("run {} fails", run(item, ms).await.version))
}

#[cache_result(ttl = 60, prefix = "finding", skip(ms))]
pub(crate) async fn finding(item: u32, ms: u64) -> std::result::Result<Option<Value>, String> {
    run(item, ms).await;
    Ok(None)
}

#[cache_result(ttl = 60, prefix = "picky", cache_if = |_| false, skip(ms))]
pub(crate) async fn picky(item: u32, ms: u64) -> Result {
    Ok(run(item, ms).await)
}

#[cache_result(ttl = |_| Duration::ZERO, prefix = "fleeting", skip(ms))]
pub(crate) async fn fleeting(item: u32, ms: u64) -> Result {
    Ok(run(item, ms).await)
}

#[cache_result(ttl = 60, prefix = "huge", skip(ms))]
pub(crate) async fn huge(item: u32, ms: u64) -> std::result::Result<(Value, String), String> {
    Ok((run(item, ms).await, "x".repeat(2 << 20)))
}

async fn read(item: Item, ms: u64) -> Value {
    let began = now();
    let version = database::version(item.number).await;
    // Reads first, then dawdles: what it returns is old by then.
    tokio::time::sleep(Duration::from_millis(ms)).await;
    value(item.number, version, began)
}

async fn run(item: u32, ms: u64) -> Value {
    let began = now();
    let number = database::run(item, ms).await;
    value(item, number, began)
}

fn value(item: u32, version: u64, began: u64) -> Value {
    Value { item, version, began, process: std::process::id(), made: Made::Of }
}

fn made(inner: &Outcome) -> Made {
    if inner.is_stale() {
        Made::OfStale
    } else if inner.is_local_hit() {
        Made::OfCopy
    } else if inner.reason().is_some_and(has_no_store) {
        Made::WithoutStore
    } else {
        Made::Of
    }
}

/// Whether a call could not ask the store, and may have shared a run that was going on.
fn has_no_store(reason: Reason) -> bool {
    use Reason::{Busy, Failed, Timeout, Unavailable, WritesRefused};
    matches!(reason, Unavailable | Timeout | Busy | WritesRefused | Failed)
}
