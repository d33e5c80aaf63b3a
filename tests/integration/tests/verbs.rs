//! What can be done with a call besides calling it: on functions, methods and trait objects, in
//! wrappers and bodies, with the cache on and off.

// Many functions answer with the number of their run, whatever they are called with.
#![allow(unused_variables)]

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cache_runtime::{
    Cache, PrefixStats, Progress, Reason, StoredKind, Verdict, Warmed, bypass, cache_result,
    explain, invalidate, observe, peek, put, refresh,
};
use futures::FutureExt;
use serde::{Deserialize, Serialize};
use support::{Server, both_stores, computed, hit, in_memory, over_both, run};

#[cache_result(prefix = "numbers")]
async fn number(key: u32) -> u64 {
    tokio::task::yield_now().await;
    run()
}

struct Service {
    id: u32,
}

impl Service {
    #[cache_result(key = "{self.id}:{key}")]
    async fn method(&self, key: &str) -> u64 {
        run()
    }
}

#[async_trait::async_trait]
trait Remote: Sync {
    async fn remote(&self, key: &str) -> u64;
}

#[async_trait::async_trait]
impl Remote for Service {
    #[cache_result(key = (self.id, key))]
    async fn remote(&self, key: &str) -> u64 {
        run()
    }
}

/// Every verb once, on a call that nothing is stored for.
macro_rules! every_verb {
    ($cache:ident, $call:expr, $path:literal) => {{
        assert_eq!(peek($call).await, None);
        let explained = explain($call).await.unwrap();
        assert_eq!((explained.verdict, explained.stored), (Verdict::Compute, None));
        assert_eq!(explained.function, $path);

        let (first, outcome) = observe($call).await;
        assert!(outcome.is_computed() && outcome.cost.is_some() && outcome.age.is_none());
        assert_eq!(outcome.key, explained.key);
        $cache.flush().await;
        assert_eq!(peek($call).await, Some(first));
        let (again, outcome) = observe($call).await;
        assert!(outcome.is_hit() && outcome.age.is_some(), "{outcome:?}");
        assert_eq!((again, outcome.key), (first, explained.key));
        let explained = explain($call).await.unwrap();
        assert_eq!(explained.verdict, Verdict::Hit);
        let stored = explained.stored.unwrap();
        assert_eq!((stored.kind, stored.version), (StoredKind::Value, 1));
        assert!(stored.size > 64 && stored.ttl_left.is_some() && stored.age.is_some());

        let beside = bypass($call).await;
        assert_ne!(beside, first);
        $cache.flush().await;
        assert_eq!(hit!($call), first);

        let refreshed = refresh($call).await;
        assert!(refreshed != first && refreshed != beside);
        $cache.flush().await;
        assert_eq!(hit!($call), refreshed);

        put($call, 7).await.unwrap();
        assert_eq!(hit!($call), 7);
        invalidate($call).await.unwrap();
        assert_eq!(peek($call).await, None);
        invalidate($call).await.unwrap();
        put($call, 8).await.unwrap();
        assert_eq!(peek($call).await, Some(8));
        invalidate($call).await.unwrap();
        let last = refresh($call).await;
        $cache.flush().await;
        assert_eq!($call.await, last);
    }};
}

#[tokio::test]
async fn every_verb_works_on_functions_methods_and_trait_objects() {
    over_both(|cache| async move {
        every_verb!(cache, number(1), "verbs::number");
        let (service, other) = (Service { id: 1 }, Service { id: 2 });
        computed!(cache, other.method("a"));
        let kept = other.method("a").await;
        every_verb!(cache, service.method("a"), "verbs::Service::method");
        let object: &dyn Remote = &service;
        every_verb!(cache, object.remote("a"), "verbs::Service::remote");
        let boxed: Arc<dyn Remote + Send> = Arc::new(Service { id: 3 });
        every_verb!(cache, boxed.remote("a"), "verbs::Service::remote");
        assert_eq!(other.method("a").await, kept, "nobody else's entry was touched");
    })
    .await;
}

#[tokio::test]
async fn only_the_verbs_that_run_the_function_run_it() {
    static RUNS: AtomicU32 = AtomicU32::new(0);
    #[cache_result]
    async fn counted(key: u32) -> u32 {
        RUNS.fetch_add(1, Ordering::SeqCst)
    }
    let so_far = || RUNS.load(Ordering::SeqCst);
    over_both(|cache| async move {
        let before = so_far();
        peek(counted(1)).await;
        explain(counted(1)).await.unwrap();
        invalidate(counted(1)).await.unwrap();
        put(counted(1), 5).await.unwrap();
        counted(1).await;
        assert_eq!(so_far(), before);
        refresh(counted(1)).await;
        bypass(counted(1)).await;
        invalidate(counted(1)).await.unwrap();
        observe(counted(1)).await;
        assert_eq!(so_far(), before + 3);
        cache.flush().await;
    })
    .await;
}

#[cache_result]
async fn fallible(key: i32) -> Result<u64, String> {
    if key < 0 { Err("negative".into()) } else { Ok(run()) }
}

#[tokio::test]
async fn a_verb_reaches_through_wrappers() {
    over_both(|cache| async move {
        let wrapped = || async { fallible(1).await.map(|number| number + 1) };
        let value = computed!(cache, wrapped());
        assert_eq!(hit!(wrapped()), value);
        let bare = fallible(1).await.unwrap();
        assert_eq!(value, Ok(bare + 1));
        assert_eq!(refresh(wrapped()).await.map(|number| number > bare + 1), Ok(true));
        cache.flush().await;
        assert!(bypass(wrapped().map(|value| value.is_ok())).await);
        invalidate(wrapped()).await.unwrap();
        assert_eq!(peek(fallible(1)).await, None);
        computed!(cache, fallible(1)).unwrap();
        invalidate(Box::pin(async { Box::pin(wrapped()).await.is_ok() })).await.unwrap();
        assert_eq!(peek(fallible(1)).await, None);
        invalidate(tokio::time::timeout(Duration::from_secs(9), fallible(1))).await.unwrap();
        // It may wait before it reaches one.
        computed!(cache, fallible(1)).unwrap();
        invalidate(async {
            tokio::time::sleep(Duration::from_millis(5)).await;
            fallible(1).await
        })
        .await
        .unwrap();
        assert_eq!(peek(fallible(1)).await, None);
    })
    .await;
}

#[tokio::test]
async fn a_wrapper_of_another_type_is_not_mistaken_for_the_call() {
    over_both(|cache| async move {
        let wrapped = || async { fallible(2).await.is_ok() };
        let value = computed!(cache, fallible(2));
        assert_eq!(peek(wrapped()).await, None);
        put(wrapped(), true).await.unwrap_err();
        assert_eq!(hit!(fallible(2)), value);
    })
    .await;
}

#[tokio::test]
async fn a_future_that_reaches_no_cached_function_has_run_and_says_so() {
    over_both(|_| async {
        let runs = AtomicU32::new(0);
        let plain = || async { runs.fetch_add(1, Ordering::SeqCst) };
        assert!(invalidate(plain()).await.unwrap_err().is_not_cached());
        assert!(explain(plain()).await.unwrap_err().is_not_cached());
        assert!(put(plain(), 1).await.unwrap_err().is_not_cached());
        assert_eq!(peek(plain()).await, None);
        assert_eq!(runs.load(Ordering::SeqCst), 4);
        let (value, outcome) = observe(plain()).await;
        assert_eq!((value, outcome.reason(), outcome.key), (4, Some(Reason::NotCached), None));
        assert_eq!(refresh(plain()).await, 5);
        assert_eq!(bypass(plain()).await, 6);
        // A task of its own is not reached either.
        let spawned = || async { tokio::spawn(number(77)).await.unwrap() };
        assert!(invalidate(spawned()).await.unwrap_err().is_not_cached());
    })
    .await;
}

#[tokio::test]
async fn only_the_first_function_reached_takes_the_verb() {
    over_both(|cache| async move {
        let (one, two) = (computed!(cache, number(10)), computed!(cache, number(11)));
        let joined = || async { tokio::join!(number(10), number(11)) };
        let ((_, other), outcome) = observe(joined()).await;
        assert!(outcome.is_hit());
        assert_eq!(outcome.key, explain(number(10)).await.unwrap().key);
        assert_eq!(other, two);
        let (refreshed, kept) = refresh(joined()).await;
        cache.flush().await;
        assert!(refreshed != one && kept == two);
        let (beside, kept) = bypass(joined()).await;
        assert!(beside != refreshed && kept == two);
        assert_eq!(hit!(number(10)), refreshed);
        invalidate(joined()).await.unwrap();
        assert_eq!((peek(number(10)).await, peek(number(11)).await), (None, Some(two)));

        let in_a_row = || async { (number(10).await, number(11).await) };
        let (_, outcome) = observe(in_a_row()).await;
        assert!(outcome.is_computed(), "{outcome:?}");
        cache.flush().await;
        invalidate(in_a_row()).await.unwrap();
        assert_eq!((peek(number(10)).await, peek(number(11)).await), (None, Some(two)));
    })
    .await;
}

#[cache_result(prefix = "sometimes", when = key < 10)]
async fn sometimes(key: u32) -> u64 {
    run()
}

#[tokio::test]
async fn a_verb_names_the_key_also_where_when_is_false() {
    over_both(|cache| async move {
        let explained = explain(sometimes(20)).await.unwrap();
        assert_eq!(explained.verdict, Verdict::Bypass(Reason::When));
        assert!(explained.key.unwrap().starts_with("cache:sometimes:"));
        put(sometimes(20), 5).await.unwrap();
        assert_eq!(peek(sometimes(20)).await, Some(5));
        let (value, outcome) = observe(sometimes(20)).await;
        assert!(value != 5 && outcome.reason() == Some(Reason::When));
        assert_ne!(refresh(sometimes(20)).await, 5);
        cache.flush().await;
        assert_eq!(peek(sometimes(20)).await, Some(5));
        invalidate(sometimes(20)).await.unwrap();
        assert_eq!(peek(sometimes(20)).await, None);
        assert_eq!(cache.stats().prefix("sometimes").invalidations, 1);
    })
    .await;
}

#[cache_result(none_ttl = 30)]
async fn optional(key: u32) -> Option<u64> {
    (key > 0).then(run)
}

#[cache_result(cache_if = |number| *number > 5, ttl = |number| *number)]
async fn ruled(key: u32) -> Result<Option<u64>, String> {
    Ok(Some(run()))
}

/// Neither `Clone` nor `Send`.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Alone(std::rc::Rc<u32>);

#[cache_result]
async fn alone(key: u32) -> Alone {
    Alone(key.into())
}

#[tokio::test]
async fn put_takes_what_a_run_could_have_stored_and_nothing_else() {
    over_both(|_| async {
        assert!(put(fallible(5), Err("no".into())).await.unwrap_err().is_value());
        assert_eq!(peek(fallible(5)).await, None);
        put(fallible(5), Ok(5)).await.unwrap();
        assert_eq!(hit!(fallible(5)), Ok(5));
        put(optional(1), None).await.unwrap();
        assert_eq!(peek(optional(1)).await, Some(None));
        assert_eq!(hit!(optional(1)), None);
        assert!(put(ruled(1), Ok(None)).await.unwrap_err().is_value());
        assert!(put(ruled(1), Err(String::new())).await.unwrap_err().is_value());
        assert!(put(ruled(1), Ok(Some(5))).await.unwrap_err().is_value());
        assert_eq!(explain(ruled(1)).await.unwrap().stored, None);
        put(ruled(1), Ok(Some(600))).await.unwrap();
        let left = explain(ruled(1)).await.unwrap().stored.unwrap().ttl_left.unwrap();
        assert!(left <= Duration::from_secs(600));
        put(alone(1), Alone(7.into())).await.unwrap();
        assert_eq!(hit!(alone(1)), Alone(7.into()));
    })
    .await;
}

#[tokio::test]
async fn verbs_on_a_cache_that_is_off_run_or_say_so() {
    let cache = Cache::disabled();
    cache
        .scope(async {
            let (value, outcome) = observe(number(30)).await;
            assert_eq!(outcome.reason(), Some(Reason::Off));
            assert_ne!(number(30).await, value);
            assert_eq!(peek(number(30)).await, None);
            invalidate(number(30)).await.unwrap();
            let explained = explain(number(30)).await.unwrap();
            assert_eq!((explained.key, explained.verdict), (None, Verdict::Bypass(Reason::Off)));
            let error = put(number(30), 1).await.unwrap_err();
            assert!(!error.is_not_cached(), "{error}");
            assert_ne!(refresh(number(30)).await, bypass(number(30)).await);
            assert!(!cache.is_enabled());
            cache.enable();
            assert!(!cache.is_enabled(), "nothing to enable");
        })
        .await;
    assert_eq!(cache.stats().prefix("numbers"), PrefixStats::default());
}

#[tokio::test]
async fn while_disabled_only_invalidations_go_out() {
    over_both(|cache| async move {
        let (one, two) = (computed!(cache, number(40)), computed!(cache, number(41)));
        cache.disable();
        let (value, outcome) = observe(number(40)).await;
        assert_eq!(outcome.reason(), Some(Reason::Off));
        assert_ne!(value, one);
        assert_eq!(peek(number(40)).await, None);
        assert!(put(number(40), 1).await.is_err());
        refresh(number(40)).await;
        cache.flush().await;
        let explained = explain(number(40)).await.unwrap();
        assert_eq!(explained.verdict, Verdict::Bypass(Reason::Off));
        assert!(explained.key.is_some());
        invalidate(number(41)).await.unwrap();
        cache.enable();
        assert_eq!(hit!(number(40)), one);
        assert_eq!(peek(number(41)).await, None);
        assert_ne!(computed!(cache, number(41)), two);
    })
    .await;
}

#[tokio::test]
async fn an_invalidation_while_disabled_reaches_redis() {
    let server = Server::start().await;
    let cache = server.cache().await;
    cache
        .scope(async {
            computed!(cache, number(45));
            assert_eq!(server.entries().await.len(), 1);
            cache.disable();
            invalidate(number(45)).await.unwrap();
            assert_eq!(server.entries().await.len(), 0);
        })
        .await;
}

#[cache_result]
async fn inner(key: u32) -> u64 {
    run()
}

#[cache_result]
async fn outer(key: u32) -> (u64, u64) {
    (inner(key).await, run())
}

/// Uses every kind of verb in its body.
#[cache_result]
async fn busy(key: u32) -> (u64, bool, bool) {
    invalidate(inner(key)).await.unwrap();
    let (value, outcome) = observe(inner(key)).await;
    let known = peek(inner(key)).await;
    put(inner(key), value + 1).await.unwrap();
    (value, outcome.is_computed(), known.is_none_or(|known| known == value))
}

#[tokio::test]
async fn a_body_runs_without_the_verb_of_its_call() {
    over_both(|cache| async move {
        let (of_inner, of_outer) = computed!(cache, outer(1));
        let (kept, refreshed) = refresh(outer(1)).await;
        cache.flush().await;
        assert!(kept == of_inner && refreshed != of_outer);
        let (kept, beside) = bypass(outer(1)).await;
        assert!(kept == of_inner && beside != refreshed);
        invalidate(outer(1)).await.unwrap();
        assert_eq!(peek(inner(1)).await, Some(of_inner));
        let ((kept, _), outcome) = observe(outer(1)).await;
        assert!(outcome.is_computed() && kept == of_inner);
        assert!(outcome.key.unwrap().contains("outer"));
    })
    .await;
}

#[tokio::test]
async fn a_body_may_use_verbs_of_its_own_under_any_verb() {
    over_both(|cache| async move {
        let (value, outcome) = observe(busy(50)).await;
        assert!(outcome.is_computed() && outcome.key.as_deref().unwrap().contains("busy"));
        assert!(value.1 && value.2);
        cache.flush().await;
        assert_eq!(hit!(busy(50)), value);
        assert!(refresh(busy(50)).await.1);
        assert!(bypass(busy(50)).await.1);
        cache.flush().await;
    })
    .await;
}

#[cache_result]
async fn panicking(key: u32) -> u64 {
    assert!(key == 0, "as asked");
    run()
}

#[tokio::test]
async fn a_verb_whose_call_panics_or_is_dropped_leaves_no_verb_behind() {
    over_both(|cache| async move {
        let observed = std::panic::AssertUnwindSafe(observe(panicking(1))).catch_unwind().await;
        observed.expect_err("it panics");
        computed!(cache, number(60));
        let mut refreshed = Box::pin(refresh(number(60)));
        assert!((&mut refreshed).now_or_never().is_none());
        drop(refreshed);
        cache.flush().await;
        let (_, outcome) = observe(async {
            tokio::task::yield_now().await;
            number(60).await
        })
        .await;
        assert!(!outcome.is_bypassed(), "{outcome:?}");
    })
    .await;
}

#[tokio::test]
async fn two_verbs_may_be_under_way_on_one_task() {
    over_both(|cache| async move {
        let one = computed!(cache, number(70));
        let (refreshed, (seen, outcome), peeked) =
            tokio::join!(refresh(number(71)), observe(number(70)), peek(number(70)));
        assert_eq!((seen, peeked), (one, Some(one)));
        assert!(outcome.is_hit());
        cache.flush().await;
        assert_eq!(hit!(number(71)), refreshed);
    })
    .await;
}

#[tokio::test]
async fn the_innermost_scope_decides_and_spawned_tasks_have_none() {
    let (server, [memory, redis]) = both_stores().await;
    memory
        .scope(async {
            let of_memory = computed!(memory, number(80));
            redis
                .scope(async {
                    let of_redis = computed!(redis, number(80));
                    assert_ne!(of_memory, of_redis);
                    assert_eq!(memory.scope(number(80)).await, of_memory);
                    assert_eq!(hit!(number(80)), of_redis);
                    // On one task, turn by turn.
                    let of_each = |cache: Cache| async move {
                        cache
                            .scope(async {
                                let first = number(80).await;
                                tokio::task::yield_now().await;
                                assert_eq!(number(80).await, first);
                                first
                            })
                            .await
                    };
                    let both = tokio::join!(of_each(memory.clone()), of_each(redis.clone()));
                    assert_eq!(both, (of_memory, of_redis));
                })
                .await;
            assert_eq!(hit!(number(80)), of_memory);
            let (_, outcome) = tokio::spawn(observe(number(80))).await.unwrap();
            assert!(!outcome.is_hit(), "{outcome:?}");
        })
        .await;
    drop(server);
}

#[tokio::test]
async fn a_scope_ends_with_a_panic_in_it() {
    let cache = in_memory();
    let scoped = cache.scope(async {
        computed!(cache, number(90));
        panicking(1).await
    });
    std::panic::AssertUnwindSafe(scoped).catch_unwind().await.expect_err("it panics");
    let (_, outcome) = observe(number(90)).await;
    assert!(!outcome.is_hit(), "{outcome:?}");
}

#[tokio::test]
async fn warming_computes_what_is_absent_once_with_bounded_concurrency() {
    static AT_ONCE: AtomicU32 = AtomicU32::new(0);
    static MOST: AtomicU32 = AtomicU32::new(0);
    static RUNS: AtomicU32 = AtomicU32::new(0);
    #[cache_result]
    async fn slow(key: u32) -> Result<u32, String> {
        RUNS.fetch_add(1, Ordering::SeqCst);
        MOST.fetch_max(AT_ONCE.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(20)).await;
        AT_ONCE.fetch_sub(1, Ordering::SeqCst);
        if key == 3 { Err("three".into()) } else { Ok(key) }
    }
    over_both(|cache| async move {
        RUNS.store(0, Ordering::SeqCst);
        MOST.store(0, Ordering::SeqCst);
        computed!(cache, slow(0)).unwrap();
        let seen = Mutex::new(Vec::new());
        // Outside its own scope: the warmed cache is the one that is asked.
        let warm = cache.warm((0..20).map(slow)).concurrency(4);
        let far = Cache::disabled()
            .scope(warm.progress(|far: Progress| seen.lock().unwrap().push(far)).into_future())
            .await;
        // One was there, and one is an error.
        assert_eq!((far.total, far.stored, far.present, far.failed), (20, 18, 1, 1), "{far:?}");
        let seen = seen.into_inner().unwrap();
        assert_eq!(
            seen.iter().map(|far| far.done).collect::<Vec<_>>(),
            (1..=20).collect::<Vec<_>>()
        );
        assert!(seen.iter().all(|far| far.total == 20));
        assert_eq!(RUNS.load(Ordering::SeqCst), 20, "what was there is not computed again");
        let most = MOST.load(Ordering::SeqCst);
        assert!((2..=4).contains(&most), "{most} at once");
        for key in (0..20).filter(|key| *key != 3) {
            assert_eq!(hit!(slow(key)), Ok(key));
        }
        // Again: only the error is.
        let again = cache.warm((0..20).map(slow)).await;
        assert_eq!((again.stored, again.present, again.failed), (0, 19, 1), "{again:?}");
        assert_eq!(RUNS.load(Ordering::SeqCst), 21);
        let nothing = cache.warm(Vec::<std::future::Ready<()>>::new()).await;
        assert_eq!(nothing, Warmed::default());
    })
    .await;
}

#[tokio::test]
async fn warming_says_what_has_not_been_stored_and_why() {
    #[cache_result(cache_if = |value| *value < 90, when = key < 95, stale_if_error = 60)]
    async fn picky(key: u32, pause: u64) -> Result<u32, String> {
        tokio::time::sleep(Duration::from_millis(pause)).await;
        if key < 80 {
            Ok(key)
        } else if key < 90 {
            Err("no".into())
        } else {
            Ok(key)
        }
    }
    over_both(|cache| async move {
        let warmed = cache.warm([60, 70, 81, 82, 91, 96].map(|key| picky(key, 0))).await;
        assert_eq!((warmed.total, warmed.stored, warmed.failed), (6, 2, 2), "{warmed:?}");
        assert_eq!((warmed.refused, warmed.bypassed, warmed.present), (1, 1, 0), "{warmed:?}");
        // The same call twice: one joins the other, also in its error.
        let twice = cache.warm([61, 61, 83, 83].map(|key| picky(key, 20))).await;
        assert_eq!((twice.stored, twice.present, twice.failed), (1, 1, 2), "{twice:?}");
        // What is invalidated while it is computed is not stored.
        let (warmed, ()) = tokio::join!(async { cache.warm([picky(62, 200)]).await }, async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            invalidate(picky(62, 200)).await.unwrap();
        });
        assert_eq!((warmed.unwritten, warmed.stored), (1, 0), "{warmed:?}");
        let strangers = cache.warm([(), ()].map(std::future::ready)).await;
        assert_eq!((strangers.total, strangers.bypassed), (2, 2));
        cache.disable();
        let off = cache.warm([60, 63].map(|key| picky(key, 0))).await;
        assert_eq!((off.total, off.bypassed), (2, 2), "{off:?}");
    })
    .await;
}

#[tokio::test]
async fn warming_is_send_when_its_calls_are_and_does_not_ask_for_it() {
    let cache = in_memory();
    // What is held across an await here cannot be sent.
    let of_one_thread = |key: u32| async move {
        let held = std::rc::Rc::new(key);
        tokio::task::yield_now().await;
        number(*held).await
    };
    assert_eq!(cache.warm([1, 2].map(of_one_thread)).await.stored, 2);
    // A closure that borrows, in a task.
    let keys = [3, 4, 5];
    let warmed = tokio::spawn(async move { cache.warm(keys.iter().map(|key| number(*key))).await });
    assert_eq!(warmed.await.unwrap().stored, 3);
}

#[tokio::test]
async fn explain_and_outcome_read_as_a_line() {
    over_both(|cache| async move {
        let text = explain(number(99)).await.unwrap().to_string();
        assert!(text.starts_with("verbs::number [cache:numbers:"), "{text}");
        assert!(text.ends_with("would run and store"), "{text}");
        let (_, outcome) = observe(number(99)).await;
        assert_eq!(outcome.to_string(), "computed");
        cache.flush().await;
        let text = explain(number(99)).await.unwrap().to_string();
        assert!(text.contains("would return the stored value; stored: value"), "{text}");
        assert_eq!(observe(number(99)).await.1.to_string(), "hit");
        assert_eq!(observe(sometimes(99)).await.1.to_string(), "bypassed (when)");
    })
    .await;
}
