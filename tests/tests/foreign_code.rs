//! Code of the user's types runs at its caller, in bounds, and not where it would hold up others.

// Many functions answer with the number of their run, whatever they are called with.
#![allow(unused_variables)]

use std::pin::Pin;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cache_runtime::{Cache, Reason, cache_result, observe};
use futures::future::join_all;
use integration_tests::{both_stores, eventually, in_memory, landed};
use serde::ser::{SerializeSeq, Serializer};
use serde::{Deserialize, Serialize};

static DROPPED_ON: Mutex<Vec<String>> = Mutex::new(Vec::new());

#[derive(Clone, Serialize, Deserialize)]
struct SlowToDrop(u32);

impl Drop for SlowToDrop {
    fn drop(&mut self) {
        let thread = std::thread::current();
        DROPPED_ON.lock().unwrap().push(thread.name().unwrap_or_default().to_owned());
    }
}

#[cache_result(ttl = 60)]
async fn slow_to_drop(key: u32) -> SlowToDrop {
    tokio::time::sleep(Duration::from_millis(200)).await;
    SlowToDrop(key)
}

#[cache_result(ttl = 60)]
async fn failing_slowly(key: u32) -> Result<u32, SlowError> {
    tokio::time::sleep(Duration::from_millis(200)).await;
    Err(SlowError(SlowToDrop(key)))
}

#[derive(Clone)]
struct SlowError(#[allow(dead_code)] SlowToDrop);

#[tokio::test]
async fn a_shared_value_is_not_dropped_on_the_thread_that_drives_all_connections() {
    let (_server, caches) = both_stores().await;
    for cache in &caches {
        for key in 0..5 {
            cache.scope(join_all((0..8).map(|_| slow_to_drop(key)))).await;
            cache.scope(join_all((0..8).map(|_| failing_slowly(key)))).await;
        }
        landed(cache).await;
    }
    // Each of eighty calls a store has dropped its own, and each of ten flights its copy.
    let all = || async { DROPPED_ON.lock().unwrap().len() >= 180 };
    eventually("all are dropped", all).await;
    let dropped_on = DROPPED_ON.lock().unwrap();
    assert!(!dropped_on.iter().any(|thread| thread == "cache-runtime"), "{dropped_on:?}");
}

static ELEMENTS: AtomicU64 = AtomicU64::new(0);

/// Ten million numbers, without their memory.
struct Huge;

impl Serialize for Huge {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut numbers = serializer.serialize_seq(Some(10_000_000))?;
        for number in 0..10_000_000_u64 {
            ELEMENTS.fetch_add(1, Ordering::Relaxed);
            numbers.serialize_element(&number)?;
        }
        numbers.end()
    }
}

impl<'de> Deserialize<'de> for Huge {
    fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Ok(Self)
    }
}

#[cache_result(ttl = 60)]
async fn huge(key: u32) -> Huge {
    let _ = key;
    Huge
}

#[tokio::test]
async fn a_value_that_is_too_large_is_encoded_no_further_than_its_bound() {
    let cache = in_memory();
    cache.scope(huge(1)).await;
    assert!(ELEMENTS.load(Ordering::Relaxed) < 1_000_000);
}

#[cache_result(ttl = 60, skip(with))]
async fn apply<F: Fn(u64) -> u64>(to: u64, with: F) -> u64 {
    with(to)
}

#[cache_result(ttl = 60)]
async fn named<T: Named>(key: u32) -> String {
    format!("{} {key}", T::NAME)
}

trait Named {
    const NAME: &'static str;
}

async fn first(cache: &Cache) -> String {
    struct Local;
    impl Named for Local {
        const NAME: &'static str = "first";
    }
    cache.scope(named::<Local>(1)).await
}

type Call = fn(u32) -> Pin<Box<dyn Future<Output = String> + Send>>;

fn local_types() -> [Call; 2] {
    let one = {
        struct Local;
        impl Named for Local {
            const NAME: &'static str = "one";
        }
        |key| Box::pin(named::<Local>(key)) as _
    };
    let two = {
        struct Local;
        impl Named for Local {
            const NAME: &'static str = "two";
        }
        |key| Box::pin(named::<Local>(key)) as _
    };
    [one, two]
}

#[tokio::test]
async fn a_type_parameter_without_a_name_of_its_own_never_brings_another_ones_value() {
    let (_server, caches) = both_stores().await;
    for cache in &caches {
        cache
            .scope(async {
                for _ in 0..2 {
                    let (value, outcome) = observe(apply(1, |x| x + 1)).await;
                    assert_eq!((value, outcome.reason()), (2, Some(Reason::Site)));
                    let (value, outcome) = observe(apply(1, |x| x * 100)).await;
                    assert_eq!((value, outcome.reason()), (100, Some(Reason::Site)));
                }
                let [one, two] = local_types();
                for _ in 0..2 {
                    assert_eq!(one(1).await, "one 1");
                    assert_eq!(two(1).await, "two 1");
                }
                assert!(observe(one(1)).await.1.is_hit());
                assert_eq!(observe(two(1)).await.1.reason(), Some(Reason::Site));
            })
            .await;
        assert_eq!(first(cache).await, "first 1");
    }
}
