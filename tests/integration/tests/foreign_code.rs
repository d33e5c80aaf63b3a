//! Code of the user's types runs at its caller, in bounds, and not where it would hold up others.

// Many functions answer with the number of their run, whatever they are called with.
#![allow(unused_variables)]

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use cache_runtime::{Cache, OutcomeKind, Reason, cache_result, observe};
use futures::future::join_all;
use serde::ser::{SerializeSeq, Serializer};
use serde::{Deserialize, Serialize};
use support::{Server, both_stores, eventually, in_memory, landed};
use tokio::sync::Semaphore;

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

/// The waker of an executor that panics when it is used.
struct Rude;

impl Wake for Rude {
    fn wake(self: Arc<Self>) {
        std::panic::resume_unwind(Box::new("as asked"));
    }
}

#[cache_result(ttl = 60)]
async fn shared(key: u32) -> u32 {
    tokio::time::sleep(Duration::from_millis(300)).await;
    key
}

#[tokio::test]
async fn a_waker_that_panics_does_not_fail_the_call_that_is_shared() {
    let (_server, caches) = both_stores().await;
    for cache in &caches {
        let leading = tokio::spawn({
            let cache = cache.clone();
            async move { cache.scope(shared(1)).await }
        });
        eventually("it runs", || async { cache.stats().flights == 1 }).await;
        let waker = Waker::from(Arc::new(Rude));
        let mut rude = Context::from_waker(&waker);
        let mut joined: Vec<_> = (0..8).map(|_| Box::pin(cache.scope(shared(1)))).collect();
        for _ in 0..20 {
            for call in &mut joined {
                assert!(call.as_mut().poll(&mut rude).is_pending());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(leading.await.unwrap(), 1);
        landed(cache).await;
        for call in joined {
            assert_eq!(call.await, 1);
        }
        assert!(cache.scope(observe(shared(1))).await.1.is_hit());
    }
}

#[cache_result(ttl = 60)]
async fn slowly_shared(key: u32) -> u32 {
    tokio::time::sleep(Duration::from_secs(2)).await;
    key
}

#[tokio::test]
async fn a_waker_that_panics_keeps_nobody_waiting_who_waits_for_the_same_dial_or_process() {
    let server = Server::start().await;
    let config = server.config().wait(Duration::from_secs(8));
    let (owner, waiting) = (server.cache().await, Cache::new(config));
    let leading = tokio::spawn(async move { owner.scope(slowly_shared(2)).await });
    eventually("it runs", || async { server.entries().await.len() == 1 }).await;
    let waker = Waker::from(Arc::new(Rude));
    let mut rude = Context::from_waker(&waker);
    let mut calls: Vec<_> = (0..8).map(|_| Box::pin(waiting.scope(slowly_shared(2)))).collect();
    let polite: Vec<_> = (0..24)
        .map(|_| {
            let waiting = waiting.clone();
            tokio::spawn(async move { waiting.scope(observe(slowly_shared(2))).await })
        })
        .collect();
    while !leading.is_finished()
        && calls.iter_mut().all(|c| c.as_mut().poll(&mut rude).is_pending())
    {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(leading.await.unwrap(), 2);
    for call in polite {
        let (value, outcome) = call.await.unwrap();
        // A rude waker that the connection itself wakes costs that connection, and the reads on it.
        let lost = outcome.reason() == Some(Reason::Unavailable);
        let stored = matches!(outcome.kind, OutcomeKind::Waited | OutcomeKind::Hit);
        assert!(value == 2 && (stored || lost), "{outcome:?}");
    }
}

#[cache_result(ttl = 60)]
async fn endless(key: u32) -> u32 {
    std::future::pending::<()>().await;
    key
}

#[tokio::test]
async fn a_waker_that_panics_does_not_end_the_thread_that_drives_all_timers() {
    let server = Server::start().await;
    let owner = server.cache().await;
    let config = server.config().wait(Duration::from_millis(1100));
    let waiting = Cache::connect(config).await.unwrap();
    let running = tokio::spawn(async move { owner.scope(endless(1)).await });
    eventually("it runs", || async { server.entries().await.len() == 1 }).await;
    let waker = Waker::from(Arc::new(Rude));
    let mut call = Box::pin(waiting.scope(endless(1)));
    for round in 0..300 {
        // By then it waits for the owner, and for nothing else.
        let waker = if round < 60 { Waker::noop() } else { &waker };
        assert!(call.as_mut().poll(&mut Context::from_waker(waker)).is_pending());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    drop(call);
    running.abort();
    // All of this takes timers of that thread.
    let goes_on = async {
        landed(&waiting).await;
        let next = server.cache().await;
        assert_eq!(next.scope(shared(3)).await, 3);
        next.close(Duration::from_secs(20)).await.unwrap();
    };
    tokio::time::timeout(Duration::from_secs(60), goes_on).await.expect("it goes on");
}

/// A megabyte, nearly, which notes that it is serialized.
struct Counted(u32);

static SERIALIZED: Mutex<BTreeSet<u32>> = Mutex::new(BTreeSet::new());

impl Serialize for Counted {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        SERIALIZED.lock().unwrap().insert(self.0);
        serializer.serialize_str(&"x".repeat(1_000_000))
    }
}

impl<'de> Deserialize<'de> for Counted {
    fn deserialize<D: serde::Deserializer<'de>>(value: D) -> Result<Self, D::Error> {
        String::deserialize(value).map(|_| Self(u32::MAX))
    }
}

static GATE: Semaphore = Semaphore::const_new(0);

#[cache_result(ttl = 60)]
async fn counted(key: u32) -> Counted {
    let _ = GATE.acquire().await;
    Counted(key)
}

#[tokio::test]
async fn what_cannot_be_queued_is_not_encoded() {
    const CALLS: u32 = 100;
    let server = Server::start().await;
    let cache = server.cache().await;
    let calls: Vec<_> = (0..CALLS)
        .map(|key| {
            let cache = cache.clone();
            tokio::spawn(async move { cache.scope(counted(key)).await.0 })
        })
        .collect();
    eventually("all have their leases", || async {
        server.entries().await.len() == CALLS as usize
    })
    .await;
    server.freeze();
    GATE.add_permits(CALLS as usize);
    for (key, call) in (0..).zip(calls) {
        assert_eq!(call.await.unwrap(), key);
    }
    // The queue has room for 64 MiB.
    let serialized = SERIALIZED.lock().unwrap().len();
    assert!((50..68).contains(&serialized), "{serialized}");
    server.thaw();
    landed(&cache).await;
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
                    assert_eq!((value, outcome.reason()), (2, Some(Reason::FunctionDisabled)));
                    let (value, outcome) = observe(apply(1, |x| x * 100)).await;
                    assert_eq!((value, outcome.reason()), (100, Some(Reason::FunctionDisabled)));
                }
                let [one, two] = local_types();
                for _ in 0..2 {
                    assert_eq!(one(1).await, "one 1");
                    assert_eq!(two(1).await, "two 1");
                }
                assert!(observe(one(1)).await.1.is_hit());
                assert_eq!(observe(two(1)).await.1.reason(), Some(Reason::FunctionDisabled));
            })
            .await;
        assert_eq!(first(cache).await, "first 1");
    }
}
