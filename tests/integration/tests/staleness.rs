//! Values past their ttl: who is served them, who refreshes, and what a failure does.

// Many functions answer with the number of their run, whatever they are called with.
#![allow(unused_variables)]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use cache_runtime::{
    Cache, Outcome, OutcomeKind, Verdict, cache_result, explain, invalidate, observe, peek,
};
use futures::future::{join, join_all};
use support::{Runs, Server, block_on, computed, eventually, fresh, hit, landed, over_both, run};
use tokio::time::sleep;

const TTL: Duration = Duration::from_secs(1);

/// Past the ttl of what has just been stored.
async fn age() {
    sleep(TTL + Duration::from_millis(50)).await;
}

static RUNS: Runs = Runs::new();

#[cache_result(ttl = 1, jitter = 0, stale_while_revalidate = 60, prefix = "feeds")]
async fn feed(key: u32) -> u32 {
    sleep(Duration::from_millis(100)).await;
    RUNS.run(key)
}

#[tokio::test]
async fn a_stale_value_is_served_at_once_and_refreshed_behind_the_call() {
    over_both(|cache: Cache| async move {
        let key = fresh();
        assert_eq!(computed!(cache, feed(key)), 1);
        assert_eq!(hit!(feed(key)), 1);
        age().await;
        assert_eq!(explain(feed(key)).await.unwrap().verdict, Verdict::Stale);
        let served = join_all((0..50).map(|_| observe(feed(key)))).await;
        for (value, outcome) in served {
            assert_eq!((value, outcome.kind), (1, OutcomeKind::Stale));
            assert!(outcome.age.unwrap() >= TTL, "{outcome:?}");
        }
        eventually("it is refreshed", || async { peek(feed(key)).await == Some(2) }).await;
        assert_eq!(hit!(feed(key)), 2);
        landed(&cache).await;
        assert_eq!(RUNS.of(key), 2, "one refresh for all");
        let stats = cache.stats().prefix("feeds");
        assert_eq!((stats.stale, stats.refreshes), (50, 1));
    })
    .await;
}

#[tokio::test]
async fn two_processes_refresh_once() {
    let server = Server::start().await;
    let caches = [server.cache().await, server.cache().await];
    let key = fresh();
    caches[0].scope(async { computed!(caches[0], feed(key)) }).await;
    age().await;
    for _ in 0..20 {
        for cache in &caches {
            let (value, outcome) = cache.scope(observe(feed(key))).await;
            assert!(outcome.is_stale() && value == 1 || outcome.is_hit() && value == 2);
        }
        sleep(Duration::from_millis(10)).await;
    }
    eventually("it is refreshed", || async { RUNS.of(key) == 2 }).await;
    for cache in &caches {
        landed(cache).await;
        assert_eq!(cache.scope(async { hit!(feed(key)) }).await, 2);
    }
    assert_eq!(RUNS.of(key), 2);
}

#[tokio::test]
async fn an_invalidation_leaves_nothing_stale_behind() {
    over_both(|cache: Cache| async move {
        for by_prefix in [false, true] {
            let key = fresh();
            computed!(cache, feed(key));
            age().await;
            if by_prefix {
                cache.invalidate_prefix("feeds").await.unwrap();
            } else {
                invalidate(feed(key)).await.unwrap();
            }
            assert_eq!(computed!(cache, feed(key)), 2);
        }
        // Nor does a refresh that it overtakes.
        let key = fresh();
        computed!(cache, feed(key));
        age().await;
        assert_eq!(feed(key).await, 1);
        invalidate(feed(key)).await.unwrap();
        let after = feed(key).await;
        landed(&cache).await;
        assert!(after > 1);
        assert_eq!(peek(feed(key)).await, Some(after));
    })
    .await;
}

#[test]
fn without_a_runtime_whoever_wins_the_claim_refreshes_on_its_own_path() {
    let server = block_on(Server::start());
    for cache in [support::in_memory(), Cache::new(server.config())] {
        let key = fresh();
        let call = || futures::executor::block_on(cache.scope(observe(quick(key))));
        assert!(call().1.is_computed());
        futures::executor::block_on(cache.flush());
        std::thread::sleep(TTL + Duration::from_millis(50));
        let (value, outcome) = call();
        assert_eq!((value, outcome.kind), (2, OutcomeKind::Computed));
        futures::executor::block_on(cache.flush());
        assert!(call().1.is_hit());
    }
}

static QUICK: Runs = Runs::new();

#[cache_result(ttl = 1, jitter = 0, stale_while_revalidate = 60)]
async fn quick(key: u32) -> u32 {
    QUICK.run(key)
}

/// What the functions below return for a key: its last commit, or an error.
static DATABASE: Mutex<BTreeMap<u32, Result<u32, Failure>>> = Mutex::new(BTreeMap::new());

#[derive(Clone, Debug, PartialEq)]
enum Failure {
    Down,
    NotFound,
}

fn commit(key: u32, value: Result<u32, Failure>) {
    DATABASE.lock().unwrap().insert(key, value);
}

fn read(key: u32) -> Result<u32, Failure> {
    DATABASE.lock().unwrap()[&key].clone()
}

#[cache_result(
    ttl = 1,
    jitter = 0,
    stale_if_error = 60,
    stale_if = |error| *error != Failure::NotFound,
    prefix = "rows"
)]
async fn row(key: u32) -> Result<u32, Failure> {
    sleep(Duration::from_millis(100)).await;
    read(key)
}

fn kind<T>((value, outcome): (T, Outcome)) -> (T, OutcomeKind) {
    (value, outcome.kind)
}

#[tokio::test]
async fn a_failure_is_answered_with_the_stale_value_and_a_forbidden_one_is_not() {
    over_both(|cache: Cache| async move {
        let key = fresh();
        commit(key, Ok(1));
        assert_eq!(computed!(cache, row(key)), Ok(1));
        commit(key, Err(Failure::Down));
        assert_eq!(hit!(row(key)), Ok(1));
        age().await;
        // All who are there, those who join included; and again, for the value stays.
        for _ in 0..2 {
            for served in join_all((0..20).map(|_| observe(row(key)))).await {
                assert_eq!(kind(served), (Ok(1), OutcomeKind::StaleIfError));
            }
            landed(&cache).await;
        }
        assert_eq!(cache.stats().prefix("rows").stale_if_error, 40);
        // A deleted row does not come back.
        commit(key, Err(Failure::NotFound));
        for (value, outcome) in join_all((0..20).map(|_| observe(row(key)))).await {
            assert_eq!(value, Err(Failure::NotFound), "{outcome:?}");
        }
        landed(&cache).await;
        commit(key, Ok(2));
        assert_eq!(computed!(cache, row(key)), Ok(2));
        assert_eq!(hit!(row(key)), Ok(2));
    })
    .await;
}

#[tokio::test]
async fn past_its_ttl_a_value_that_may_only_stand_in_for_errors_is_computed_once() {
    let server = Server::start().await;
    let caches = [server.cache().await, server.cache().await];
    let key = fresh();
    commit(key, Ok(1));
    caches[0].scope(async { computed!(caches[0], row(key)).unwrap() }).await;
    commit(key, Ok(2));
    age().await;
    let calls = (0..40).map(|call| caches[call % 2].scope(observe(row(key))));
    let mut kinds: BTreeMap<String, u32> = BTreeMap::new();
    for (value, outcome) in join_all(calls).await {
        assert_eq!(value, Ok(2));
        *kinds.entry(outcome.to_string()).or_default() += 1;
    }
    assert_eq!(kinds["computed"], 1, "{kinds:?}");
    assert!(!kinds.keys().any(|kind| kind.starts_with("bypassed")), "{kinds:?}");
}

/// Not `Clone`: those who join cannot be handed it.
#[derive(Debug, PartialEq)]
struct Opaque;

static OPAQUE: AtomicU32 = AtomicU32::new(0);

#[cache_result(ttl = 1, jitter = 0, stale_if_error = 60)]
async fn opaque(key: u32, fails: bool) -> Result<u32, Opaque> {
    sleep(Duration::from_millis(200)).await;
    if OPAQUE.fetch_add(1, Ordering::SeqCst) > 0 { Err(Opaque) } else { Ok(key) }
}

#[tokio::test]
async fn an_error_that_cannot_be_shared_does_not_send_everybody_to_the_database() {
    let cache = support::in_memory();
    cache
        .scope(async {
            assert_eq!(computed!(cache, opaque(1, true)), Ok(1));
            age().await;
            for (value, outcome) in join_all((0..20).map(|_| observe(opaque(1, true)))).await {
                assert_eq!((value, outcome.kind), (Ok(1), OutcomeKind::StaleIfError));
            }
        })
        .await;
    assert_eq!(OPAQUE.load(Ordering::SeqCst), 2);
}

#[cache_result(ttl = 1, jitter = 0, stale_while_revalidate = 1, stale_if_error = 3)]
async fn both(key: u32) -> Result<u32, Failure> {
    read(key)
}

#[tokio::test]
async fn each_window_ends_when_it_says() {
    over_both(|cache: Cache| async move {
        let key = fresh();
        commit(key, Ok(1));
        assert_eq!(computed!(cache, both(key)), Ok(1));
        commit(key, Err(Failure::Down));
        age().await;
        assert_eq!(kind(observe(both(key)).await), (Ok(1), OutcomeKind::Stale));
        landed(&cache).await;
        age().await;
        // Past the first window: the function runs on the path, and fails.
        let failures = cache.stats().prefixes.values().map(|p| p.load_failures).sum::<u64>();
        assert_eq!(kind(observe(both(key)).await), (Ok(1), OutcomeKind::StaleIfError));
        let after = cache.stats().prefixes.values().map(|p| p.load_failures).sum::<u64>();
        assert_eq!(after, failures + 1);
        sleep(TTL * 2).await;
        assert_eq!(both(key).await, Err(Failure::Down));
    })
    .await;
}

#[cache_result(ttl = 1, jitter = 0, stale_if_error = 1)]
async fn slow_to_fail(key: u32) -> Result<u32, Failure> {
    let value = read(key);
    if value.is_err() {
        sleep(TTL * 2).await;
    }
    value
}

#[cache_result(ttl = 1, jitter = 0, refresh_ahead = 1_000_000_000)]
async fn eager_and_slow_to_fail(key: &u32) -> Result<u32, Failure> {
    sleep(Duration::from_millis(10)).await;
    slow_to_fail_plainly(*key).await
}

async fn slow_to_fail_plainly(key: u32) -> Result<u32, Failure> {
    let value = read(key);
    if value.is_err() {
        sleep(TTL * 2).await;
    }
    value
}

#[tokio::test]
async fn what_stands_in_for_an_error_has_aged_while_the_function_ran() {
    over_both(|cache: Cache| async move {
        let key = fresh();
        commit(key, Ok(1));
        assert_eq!(computed!(cache, slow_to_fail(key)), Ok(1));
        assert_eq!(computed!(cache, eager_and_slow_to_fail(&key)), Ok(1));
        commit(key, Err(Failure::Down));
        // Within its ttl when it is read, and past it when the refresh has failed.
        assert_eq!(eager_and_slow_to_fail(&key).await, Err(Failure::Down));
        commit(key, Ok(1));
        assert_eq!(slow_to_fail(key).await, Ok(1));
        landed(&cache).await;
        commit(key, Err(Failure::Down));
        age().await;
        // Within its window when it is read, and past it when the function has failed.
        assert_eq!(slow_to_fail(key).await, Err(Failure::Down));
    })
    .await;
}

mod without_windows {
    use super::*;

    // As an instance of an older deployment would see the entries of `feed`.
    #[cache_result(ttl = 1, jitter = 0, prefix = "old")]
    pub async fn value() -> u64 {
        run()
    }
}

#[tokio::test]
async fn who_tolerates_nothing_stale_is_served_nothing_stale() {
    let server = Server::start().await;
    let cache = server.cache().await;
    cache
        .scope(async {
            let value = computed!(cache, without_windows::value());
            // The entry of a deployment with a window of a minute: fresh for the first second.
            let key = support::key_of(without_windows::value()).await;
            let mut entry = server.entry(&key).await;
            entry[64..72].copy_from_slice(&60_000_u64.to_le_bytes());
            let entry = support::sealed(&entry);
            let set = async |left: &str| {
                let mut client = server.client().await;
                let mut set = redis::cmd("SET");
                set.arg(&key).arg(&entry).arg("PX").arg(left);
                set.query_async::<()>(&mut client).await.unwrap();
            };
            // Plain calls: a verb would ask for the age in any case.
            set("60900").await;
            assert_eq!(without_windows::value().await, value);
            set("59900").await;
            assert_ne!(without_windows::value().await, value);
        })
        .await;
}

static DEAR: Runs = Runs::new();

#[cache_result(ttl = 2, jitter = 0, refresh_ahead = 1.0)]
async fn dear(key: u32) -> u32 {
    sleep(Duration::from_millis(300)).await;
    DEAR.run(key)
}

static CHEAP: Runs = Runs::new();

#[cache_result(ttl = 2, jitter = 0, refresh_ahead = 1.0)]
async fn cheap(key: u32) -> u32 {
    CHEAP.run(key)
}

#[cache_result(ttl = 2, jitter = 0, refresh_ahead = 1.0)]
async fn dear_and_borrowing(key: &u32) -> u32 {
    sleep(Duration::from_millis(300)).await;
    DEAR.run(*key)
}

#[tokio::test]
async fn what_is_dear_is_refreshed_before_it_ends_and_nobody_waits() {
    over_both(|cache: Cache| async move {
        let (key, other) = (fresh(), fresh());
        computed!(cache, dear(key));
        computed!(cache, cheap(other));
        let begun = std::time::Instant::now();
        // Called all the time, it is always there.
        while begun.elapsed() < TTL * 5 {
            let (_, outcome) = observe(dear(key)).await;
            assert!(outcome.is_hit(), "{outcome:?} after {:?}", begun.elapsed());
            if begun.elapsed() < TTL {
                cheap(other).await;
            }
            sleep(Duration::from_millis(5)).await;
        }
        assert!((3..12).contains(&DEAR.of(key)), "{} runs", DEAR.of(key));
        assert_eq!(CHEAP.of(other), 1);
        landed(&cache).await;
    })
    .await;
}

#[tokio::test]
async fn with_borrowed_arguments_the_winner_computes_on_its_own_path() {
    over_both(|cache: Cache| async move {
        let key = fresh();
        computed!(cache, dear_and_borrowing(&key));
        let begun = std::time::Instant::now();
        let mut computed = 0;
        while begun.elapsed() < TTL * 4 {
            let (_, outcome) = observe(dear_and_borrowing(&key)).await;
            assert!(!outcome.is_bypassed(), "{outcome:?}");
            computed += u32::from(outcome.is_computed());
            sleep(Duration::from_millis(5)).await;
        }
        assert!(computed >= 1);
        assert_eq!(DEAR.of(key), computed + 1);
    })
    .await;
}

static INNER: Runs = Runs::new();

#[cache_result(ttl = 1, jitter = 0, stale_while_revalidate = 60)]
async fn inner(key: u32) -> u32 {
    INNER.run(key)
}

#[cache_result(ttl = 60)]
async fn outer(key: u32, attempt: u32) -> u32 {
    inner(key).await
}

#[tokio::test]
async fn what_goes_into_an_entry_is_not_stale() {
    over_both(|cache: Cache| async move {
        let key = fresh();
        assert_eq!(computed!(cache, inner(key)), 1);
        age().await;
        // A tolerated second of the inner would be a minute of the outer.
        assert_eq!(computed!(cache, outer(key, 1)), 2);
        age().await;
        // What is not stored may be.
        assert_eq!(cache_runtime::bypass(outer(key, 2)).await, 2);
    })
    .await;
}

#[cache_result(ttl = 1, jitter = 0, refresh_ahead = 1_000_000_000, stale_if_error = 60)]
async fn eager(key: &u32) -> Result<u32, Failure> {
    sleep(Duration::from_millis(10)).await;
    slow_to_fail_plainly(*key).await
}

#[cache_result(ttl = 60)]
async fn outer_of_eager(key: u32) -> Result<u32, Failure> {
    eager(&key).await
}

#[tokio::test]
async fn what_goes_into_an_entry_is_not_stale_where_an_early_refresh_has_failed() {
    over_both(|cache: Cache| async move {
        let key = fresh();
        commit(key, Ok(1));
        assert_eq!(computed!(cache, eager(&key)), Ok(1));
        commit(key, Err(Failure::Down));
        // Fresh when it is read, and refreshed early; past its ttl when that has failed.
        assert_eq!(outer_of_eager(key).await, Err(Failure::Down));
        assert_eq!(eager(&key).await, Ok(1), "what is not stored may be stale");
    })
    .await;
}

static DOWN: OnceLock<Cache> = OnceLock::new();

#[cache_result(ttl = 60, cache = DOWN.get().unwrap())]
async fn inner_without_a_store(key: u32) -> u32 {
    let run = INNER.run(key);
    sleep(Duration::from_millis(500)).await;
    run
}

#[cache_result(ttl = 60)]
async fn outer_with_a_store(key: u32) -> u32 {
    inner_without_a_store(key).await
}

#[tokio::test]
async fn what_goes_into_an_entry_does_not_come_from_a_run_that_began_before() {
    let (_folder, url) = Server::absent();
    let down = Cache::new(cache_runtime::Config::redis(&url).unwrap());
    DOWN.get_or_init(|| down);
    let cache = support::in_memory();
    let key = fresh();
    let running = tokio::spawn(inner_without_a_store(key));
    eventually("it runs", || async { INNER.of(key) > 0 }).await;
    // Without a store a run is shared, however old; what is stored must not share it.
    let (shared, stored) =
        tokio::join!(inner_without_a_store(key), cache.scope(outer_with_a_store(key)));
    assert_eq!((running.await.unwrap(), shared, stored), (1, 1, 2));
}

static SLOW_TO_WRITE: OnceLock<Cache> = OnceLock::new();

#[cache_result(ttl = 60, cache = SLOW_TO_WRITE.get().unwrap())]
async fn middle(key: u32) -> u32 {
    inner(key).await
}

#[cache_result(ttl = 60)]
async fn outermost(key: u32) -> u32 {
    middle(key).await
}

#[tokio::test]
async fn what_goes_into_an_entry_is_not_joined_where_it_is_not_stored_itself() {
    let server = Server::start().await;
    let hasty = server.config().budget(Duration::from_millis(400));
    let hasty = Cache::connect(hasty).await.unwrap();
    hasty.scope(feed(fresh())).await;
    SLOW_TO_WRITE.get_or_init(|| hasty);
    let cache = support::in_memory();
    cache
        .scope(async {
            let key = fresh();
            assert_eq!(computed!(cache, inner(key)), 1);
            age().await;
            // The lease of `middle` is not answered in time: it runs plainly, and is content with
            // what is stale. Who has joined it, for an entry, is not.
            server.command::<()>(&["CLIENT", "PAUSE", "1500", "WRITE"]).await;
            // The first leads: it is always asked first.
            let (plain, stored) = join(observe(middle(key)), outermost(key)).await;
            assert_eq!(plain.1.reason(), Some(cache_runtime::Reason::Timeout));
            assert_eq!((plain.0, stored), (1, 2));
        })
        .await;
}

static OUTLASTING: Runs = Runs::new();

/// Every run but the first takes longer than what is stale is kept.
#[cache_result(ttl = 1, jitter = 0, stale_while_revalidate = 1, lease = "300ms")]
async fn outlasting(key: u32) -> u32 {
    let run = OUTLASTING.run(key);
    if run > 1 {
        sleep(TTL * 3).await;
    }
    run
}

#[tokio::test]
async fn a_refresh_that_outlasts_the_stale_value_is_stored_and_runs_once() {
    over_both(|cache: Cache| async move {
        let key = fresh();
        assert_eq!(computed!(cache, outlasting(key)), 1);
        age().await;
        assert_eq!(kind(observe(outlasting(key)).await), (1, OutcomeKind::Stale));
        // The value is gone by then, and its refresh still runs.
        sleep(TTL * 3 / 2).await;
        assert_eq!(kind(observe(outlasting(key)).await), (2, OutcomeKind::Joined));
        landed(&cache).await;
        assert_eq!(hit!(outlasting(key)), 2);
        assert_eq!(OUTLASTING.of(key), 2);
    })
    .await;
}

#[tokio::test]
async fn a_refresh_that_is_abandoned_lets_another_begin() {
    let server = Server::start().await;
    let key = fresh();
    let cache = server.cache().await;
    cache.scope(async { computed!(cache, feed(key)) }).await;
    age().await;
    // A runtime that ends while it refreshes.
    let ours = cache.clone();
    std::thread::spawn(move || {
        block_on(async {
            assert!(ours.scope(observe(feed(key))).await.1.is_stale());
            sleep(Duration::from_millis(30)).await;
        });
    })
    .join()
    .unwrap();
    landed(&cache).await;
    assert_eq!(RUNS.of(key), 1);
    let refreshed = || async { cache.scope(feed(key)).await == 2 };
    eventually("another refreshes", refreshed).await;
}

#[tokio::test]
async fn a_refresh_that_finds_nothing_to_store_removes_what_was_stale() {
    #[cache_result(
        ttl = 1,
        jitter = 0,
        stale_while_revalidate = 60,
        cache_if = |value| *value != 99
    )]
    async fn user(key: u32) -> Result<Option<u32>, Failure> {
        match read(key) {
            Err(Failure::NotFound) => Ok(None),
            found => found.map(Some),
        }
    }
    over_both(|cache: Cache| async move {
        for (changed, found) in [(Err(Failure::NotFound), None), (Ok(99), Some(99))] {
            let key = fresh();
            commit(key, Ok(1));
            assert_eq!(computed!(cache, user(key)), Ok(Some(1)));
            commit(key, changed);
            age().await;
            assert_eq!(kind(observe(user(key)).await), (Ok(Some(1)), OutcomeKind::Stale));
            landed(&cache).await;
            assert_eq!(kind(observe(user(key)).await), (Ok(found), OutcomeKind::Computed));
        }
    })
    .await;
}

#[tokio::test]
async fn a_refresh_that_panics_or_fails_leaves_the_value() {
    #[cache_result(ttl = 1, jitter = 0, stale_while_revalidate = 60)]
    async fn fragile(key: u32) -> Result<u32, Failure> {
        let value = read(key);
        assert_ne!(value, Ok(99), "as asked");
        value
    }
    over_both(|cache: Cache| async move {
        let key = fresh();
        commit(key, Ok(1));
        assert_eq!(computed!(cache, fragile(key)), Ok(1));
        age().await;
        for failure in [Err(Failure::Down), Ok(99)] {
            commit(key, failure);
            assert_eq!(fragile(key).await, Ok(1));
            landed(&cache).await;
            assert_eq!(fragile(key).await, Ok(1));
            landed(&cache).await;
        }
        commit(key, Ok(2));
        eventually("it is refreshed", || async { fragile(key).await == Ok(2) }).await;
    })
    .await;
}

#[cache_result(ttl = "1h", jitter = 0, stale_while_revalidate = "1h", stale_if_error = "10h")]
async fn hourly(key: u32) -> Result<u32, Failure> {
    read(key)
}

#[cache_result(ttl = "1h", jitter = 0, local = "30m")]
async fn copied(key: u32) -> u64 {
    run()
}

#[tokio::test]
async fn a_test_moves_the_clock_of_a_cache_in_process() {
    let cache = support::in_memory();
    let minutes = |minutes: u64| cache.advance(Duration::from_secs(minutes * 60));
    cache
        .scope(async {
            let key = fresh();
            commit(key, Ok(1));
            assert_eq!(computed!(cache, hourly(key)), Ok(1));
            commit(key, Ok(2));
            minutes(59);
            let (value, outcome) = observe(hourly(key)).await;
            assert!(value == Ok(1) && outcome.is_hit(), "{outcome:?}");
            assert_eq!(outcome.age.unwrap().as_secs() / 60, 59);
            minutes(2);
            assert_eq!(kind(observe(hourly(key)).await), (Ok(1), OutcomeKind::Stale));
            landed(&cache).await;
            assert_eq!(hit!(hourly(key)), Ok(2));
            commit(key, Err(Failure::Down));
            minutes(60 * 5);
            assert_eq!(kind(observe(hourly(key)).await), (Ok(2), OutcomeKind::StaleIfError));
            landed(&cache).await;
            minutes(60 * 7);
            assert_eq!(hourly(key).await, Err(Failure::Down));

            let copy = computed!(cache, copied(key));
            assert_eq!(kind(observe(copied(key)).await), (copy, OutcomeKind::Hit));
            minutes(29);
            let (value, outcome) = observe(copied(key)).await;
            assert!(value == copy && outcome.is_local_hit(), "{outcome:?}");
            // In ticks of 64 ms.
            assert_eq!((outcome.age.unwrap().as_secs() + 1) / 60, 29);
            minutes(2);
            assert_eq!(kind(observe(copied(key)).await), (copy, OutcomeKind::Hit));
            minutes(40);
            assert_eq!(kind(observe(copied(key)).await).1, OutcomeKind::Computed);
            // However far.
            cache.advance(Duration::MAX);
            cache.advance(Duration::MAX);
            assert_eq!(kind(observe(copied(key)).await).1, OutcomeKind::Computed);
        })
        .await;
    // Another cache has a clock of its own.
    let other = support::in_memory();
    let value = other.scope(async { computed!(other, copied(0)) }).await;
    minutes(60 * 24);
    assert_eq!(other.scope(async { hit!(copied(0)) }).await, value);
}

#[tokio::test]
async fn the_clock_of_a_server_cannot_be_moved() {
    let server = Server::start().await;
    let cache = server.cache().await;
    let key = fresh();
    cache
        .scope(async {
            let value = computed!(cache, copied(key));
            cache.advance(Duration::from_secs(60 * 60 * 2));
            assert_eq!(hit!(copied(key)), value);
        })
        .await;
}
