//! A cached function's future is `Send` exactly when the plain one's is, and hardly larger.

// Many functions answer with the number of their run, whatever they are called with.
#![allow(unused_variables)]
// The shapes are the point, not whether these functions could do with less.
#![allow(clippy::large_futures, clippy::unnecessary_wraps)]

use std::cell::Cell;
use std::error::Error;
use std::future::Future;
use std::mem::size_of_val;
use std::rc::Rc;
use std::sync::{Arc, Mutex};

use cache_runtime::{
    Cache, bypass, cache_result, explain, invalidate, observe, peek, put, refresh,
};
use serde::{Deserialize, Serialize};
use support::in_memory;
use tokio::task::yield_now;

fn is_send<T: Send>(value: T) {
    drop(value);
}

/// Compiles only where exactly one of the two impls below applies: where `T` is not `Send`.
trait NotSend<Marker> {
    fn not_send(&self) {}
}

struct Sendable;

impl<T> NotSend<()> for T {}
impl<T: Send> NotSend<Sendable> for T {}

fn is_not_send<T: NotSend<Marker>, Marker>(value: &T) {
    value.not_send();
}

/// The same function, plain and cached.
macro_rules! twins {
    ($($plain:ident $cached:ident [$($options:tt)*]
        $([$($generics:tt)*])? ($($arg:ident: $ty:ty),*) -> $output:ty { $($body:tt)* })*) => {$(
        #[allow(clippy::unused_async, clippy::await_holding_lock)]
        async fn $plain $(<$($generics)*>)? ($($arg: $ty),*) -> $output { $($body)* }

        #[allow(clippy::await_holding_lock)]
        #[cache_result($($options)*)]
        async fn $cached $(<$($generics)*>)? ($($arg: $ty),*) -> $output { $($body)* }
    )*};
}

type Failure = Box<dyn Error>;

#[derive(Debug, Serialize, Deserialize)]
struct NotSync(Cell<u32>);

twins! {
    tiny cached_tiny [] (key: u32) -> u32 {
        key
    }

    boxed_error cached_boxed_error [] (key: u32) -> Result<u32, Failure> {
        yield_now().await;
        if key == 0 {
            return Err(Box::new(std::fmt::Error));
        }
        Err("no")?;
        yield_now().await;
        Ok(key)
    }

    optional_boxed_error cached_optional_boxed_error
    [none_ttl = 5, ttl = |value| u64::from(*value), cache_if = |value| *value > 0]
    (key: u32) -> Result<Option<u32>, Failure> {
        yield_now().await;
        Ok(Some(key))
    }

    returns_rc cached_returns_rc [] (key: u32) -> Rc<u32> {
        yield_now().await;
        Rc::new(key)
    }

    returns_cell cached_returns_cell [] (key: u32) -> NotSync {
        yield_now().await;
        NotSync(Cell::new(key))
    }

    generic cached_generic [] [T: Serialize + Send + Sync] (item: &T, second: &str) -> usize {
        yield_now().await;
        size_of_val(item) + second.len()
    }

    skipping cached_skipping [skip(db)] (db: &Mutex<u32>, key: u32) -> u32 {
        yield_now().await;
        *db.lock().unwrap() + key
    }

    holds_rc cached_holds_rc [] (key: u32) -> u32 {
        let held = Rc::new(key);
        yield_now().await;
        *held
    }

    holds_guard cached_holds_guard [skip(lock)] (lock: &Mutex<u32>, key: u32) -> u32 {
        let held = lock.lock().unwrap();
        yield_now().await;
        *held + key
    }

    takes_rc cached_takes_rc [] (key: Rc<u32>) -> u32 {
        yield_now().await;
        *key
    }

    takes_cell cached_takes_cell [skip(cell)] (cell: &Cell<u32>, key: u32) -> u32 {
        yield_now().await;
        cell.get() + key
    }

    large_body cached_large_body [] (key: u32) -> u32 {
        let large = [key; 1024];
        yield_now().await;
        large.iter().sum()
    }

    large_body_with_rules cached_large_body_with_rules
    [ttl = |value| u64::from(*value) + u64::from(key), cache_if = |value| *value > key, none_ttl = 4, jitter = 0,
     version = 3, prefix = "large", when = key > 0]
    (key: u32) -> Result<Option<u32>, Failure> {
        let large = [key; 1024];
        yield_now().await;
        Ok(Some(large.iter().sum()))
    }

    many_arguments cached_many_arguments [] (
        kind: &str, name: String, prices: [u64; 32], rooms: Vec<u8>, at: (u128, u128), note: Option<String>
    ) -> Result<String, String> {
        yield_now().await;
        Ok(format!("{kind}{name}{prices:?}{rooms:?}{at:?}{note:?}"))
    }

    template cached_template [key = "{a}:{b}:{c}:{d}", prefix = "t"] (
        a: String, b: String, c: u32, d: u32
    ) -> String {
        yield_now().await;
        format!("{a}{b}{c}{d}")
    }

    stale cached_stale
    [stale_while_revalidate = 60, stale_if_error = 600, stale_if = |error| error.to_string() != "no", tags = ["{key}"]]
    (key: u32) -> Result<u32, Failure> {
        let large = [key; 1024];
        yield_now().await;
        Ok(large.iter().sum())
    }

    refreshed cached_refreshed [refresh_ahead = 1, lease = 1, wait = 0] (key: &str) -> Rc<u32> {
        yield_now().await;
        Rc::new(key.len() as u32)
    }

    large_output cached_large_output [] (key: u32) -> Result<[[u64; 16]; 16], String> {
        yield_now().await;
        Ok([[u64::from(key); 16]; 16])
    }
}

async fn nested(key: u32) -> u32 {
    let large = [key; 1024];
    cached_large_body(key).await + large_body(key).await + large[3]
}

#[cache_result]
async fn cached_nested(key: u32) -> u32 {
    let large = [key; 1024];
    cached_large_body(key).await + large_body(key).await + large[3]
}

struct Service;

impl Service {
    async fn plain(&self, name: &str) -> Result<u32, Failure> {
        yield_now().await;
        Ok(name.parse()?)
    }

    #[cache_result(skip(self))]
    async fn cached(&self, name: &str) -> Result<u32, Failure> {
        yield_now().await;
        Ok(name.parse()?)
    }
}

/// Asks for futures that are `Send`.
#[async_trait::async_trait]
trait Remote: Send + Sync {
    #[cache_result(skip(self))]
    async fn remote(&self, name: &str) -> Result<u32, Failure> {
        yield_now().await;
        Ok(name.parse()?)
    }
}

impl Remote for Service {}

#[test]
fn a_cached_future_is_send_where_the_plain_one_is() {
    is_send(tiny(1));
    is_send(cached_tiny(1));
    is_send(boxed_error(1));
    is_send(cached_boxed_error(1));
    is_send(optional_boxed_error(1));
    is_send(cached_optional_boxed_error(1));
    is_send(returns_rc(1));
    is_send(cached_returns_rc(1));
    is_send(returns_cell(1));
    is_send(cached_returns_cell(1));
    is_send(generic(&1, ""));
    is_send(cached_generic(&1, ""));
    let lock = Mutex::new(1);
    is_send(skipping(&lock, 1));
    is_send(cached_skipping(&lock, 1));
    is_send(large_body_with_rules(1));
    is_send(cached_large_body_with_rules(1));
    is_send(cached_stale(1));
    is_send(cached_refreshed(""));
    is_send(nested(1));
    is_send(cached_nested(1));
    is_send(Service.plain("1"));
    is_send(Service.cached("1"));
    is_send(Service.remote("1"));
}

#[test]
fn a_cached_future_is_not_send_where_the_plain_one_is_not() {
    is_not_send(&holds_rc(1));
    is_not_send(&cached_holds_rc(1));
    let lock = Mutex::new(1);
    is_not_send(&holds_guard(&lock, 1));
    is_not_send(&cached_holds_guard(&lock, 1));
    is_not_send(&takes_rc(Rc::new(1)));
    is_not_send(&cached_takes_rc(Rc::new(1)));
    let cell = Cell::new(1);
    is_not_send(&takes_cell(&cell, 1));
    is_not_send(&cached_takes_cell(&cell, 1));
    // One that cannot be moved to another thread can still be polled.
    futures::executor::block_on(in_memory().scope(async {
        assert_eq!(cached_holds_rc(7).await, 7);
        assert_eq!(cached_takes_rc(Rc::new(7)).await, 7);
        assert_eq!(cached_takes_cell(&cell, 7).await, 8);
        assert_eq!(cached_holds_guard(&lock, 7).await, 8);
    }));
}

#[test]
fn the_futures_of_verbs_are_send_where_the_calls_are() {
    is_send(invalidate(cached_boxed_error(1)));
    is_send(peek(cached_boxed_error(1)));
    is_send(refresh(cached_boxed_error(1)));
    is_send(bypass(cached_boxed_error(1)));
    is_send(observe(cached_boxed_error(1)));
    is_send(explain(cached_boxed_error(1)));
    is_send(invalidate((cached_boxed_error(1), cached_tiny(1))));
    is_send(put(cached_tiny(1), 1));
    is_send(put(cached_returns_cell(1), NotSync(Cell::new(1))));
    let cache = in_memory();
    is_send(cache.scope(cached_boxed_error(1)));
    is_send(cache.warm([cached_boxed_error(1)]).into_future());
    is_send(cache.flush());
    is_not_send(&invalidate(cached_holds_rc(1)));
    is_not_send(&put(cached_returns_rc(1), Rc::new(1)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_moves_between_threads() {
    let cache = Arc::new(in_memory());
    let tasks = (0..50u32).map(|key| {
        let cache: Arc<Cache> = cache.clone();
        tokio::spawn(async move {
            let value = cache.scope(cached_boxed_error(key % 5)).await;
            value.map_err(|error| error.to_string())
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.expect("no panic").expect_err("it always fails");
    }
}

/// A cached future is at most so many bytes larger.
const MORE: usize = 500;

#[track_caller]
fn hardly_larger(plain: &impl Future, cached: &impl Future) {
    let (plain, cached) = (size_of_val(plain), size_of_val(cached));
    println!("{plain} bytes, cached {cached}: {} more", cached.saturating_sub(plain));
    assert!(cached <= plain + MORE, "{plain} bytes have become {cached}");
}

#[test]
fn a_cached_future_is_hardly_larger_whatever_the_body() {
    hardly_larger(&tiny(1), &cached_tiny(1));
    hardly_larger(&boxed_error(1), &cached_boxed_error(1));
    hardly_larger(&optional_boxed_error(1), &cached_optional_boxed_error(1));
    hardly_larger(&large_body(1), &cached_large_body(1));
    hardly_larger(&large_body_with_rules(1), &cached_large_body_with_rules(1));
    hardly_larger(&stale(1), &cached_stale(1));
    hardly_larger(&refreshed(""), &cached_refreshed(""));
    hardly_larger(&nested(1), &cached_nested(1));
    hardly_larger(&Service.plain("1"), &Service.cached("1"));
}

#[test]
fn a_cached_future_is_hardly_larger_whatever_the_key() {
    let text = String::new;
    hardly_larger(&template(text(), text(), 1, 1), &cached_template(text(), text(), 1, 1));
    hardly_larger(&generic(&1, ""), &cached_generic(&1, ""));
}

#[test]
fn arguments_are_stored_once_more_and_nothing_else_grows_with_them() {
    let text = String::new;
    let plain = many_arguments("a", text(), [0; 32], Vec::new(), (1, 1), None);
    let cached = cached_many_arguments("a", text(), [0; 32], Vec::new(), (1, 1), None);
    // An async function keeps what it was called with beside what it moved out of it.
    let arguments = size_of_val(&plain) / 2;
    assert!(size_of_val(&cached) <= size_of_val(&plain) + arguments + MORE);
}

#[test]
fn a_cached_future_is_hardly_larger_whatever_it_returns() {
    hardly_larger(&large_output(1), &cached_large_output(1));
    hardly_larger(&returns_cell(1), &cached_returns_cell(1));
}
