//! Redis behind sentinels: the master is found, and found again, and a master that was deposed gets
//! nothing of ours.

// Many functions answer with the number of their run, whatever they are called with.
#![allow(unused_variables)]

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use cache_runtime::{Cache, Config, Status, cache_result, invalidate, observe};
use futures::future::{join, join_all};
use support::{
    Node, Passwords, Sentinels, configured, eventually, fresh, hit, patient, run, stored,
};
use tokio::time::{sleep, timeout};

/// From the announcement of a new master to the first hit there.
const DEADLINE: Duration = Duration::from_secs(5);

/// By then whoever listens to the sentinels has moved.
const MARGIN: Duration = Duration::from_secs(1);

/// Any single call, whatever becomes of the servers: the budget, and what a busy machine adds.
const CALL: Duration = Duration::from_secs(5);

/// Everything by which the cache changes something.
const WRITES: [&str; 6] = ["eval", "evalsha", "set", "setrange", "pexpire", "unlink"];

/// Its argument, and which run it is.
#[cache_result(ttl = 60, prefix = "areas", tags = ["agent:{key}"])]
async fn area(key: u32) -> (u32, u64) {
    (key, run())
}

#[cache_result(ttl = 60, prefix = "copies", local)]
async fn copied(key: u32) -> (u32, u64) {
    (key, run())
}

/// Default settings, as a service has.
fn config(servers: &Sentinels) -> Config {
    configured(&[("REDIS_URL", &servers.url())]).unwrap()
}

async fn connected<const N: usize>(config: Config) -> [Cache; N] {
    let mut caches = Vec::new();
    for _ in 0..N {
        caches.push(Cache::connect(config.clone()).await.unwrap());
    }
    caches.try_into().unwrap()
}

/// One call: in time, and with a value of its own function.
async fn call(cache: &Cache, key: u32) -> bool {
    let ((of, _), outcome) = timeout(CALL, cache.scope(observe(area(key)))).await.unwrap();
    assert_eq!(of, key);
    outcome.is_hit()
}

async fn hits(cache: &Cache, key: u32) {
    eventually("a call hits", || call(cache, key)).await;
}

/// As [`hits`], in time for one that begins once the new master has been announced.
async fn hits_again(cache: &Cache, key: u32) {
    let begun = Instant::now();
    hits(cache, key).await;
    assert!(begun.elapsed() < DEADLINE, "it took {:?}", begun.elapsed());
}

/// Calls and invalidates until told to stop; returns how many calls were made.
async fn load(cache: &Cache, stop: &AtomicBool) -> u32 {
    let mut calls = 0;
    while !stop.load(Ordering::SeqCst) {
        call(cache, calls % 16).await;
        calls += 1;
        if calls % 8 == 0 {
            // It may fail while there is no master.
            let _ = timeout(CALL, cache.scope(invalidate(area(calls % 16)))).await.unwrap();
        }
        sleep(Duration::from_millis(2)).await;
    }
    calls
}

/// Has sixteen callers at work during a scenario.
async fn under_load(cache: &Cache, scenario: impl Future<Output = ()>) {
    let stop = AtomicBool::new(false);
    let callers = join_all((0..16).map(|_| load(cache, &stop)));
    let scenario = async {
        scenario.await;
        stop.store(true, Ordering::SeqCst);
    };
    let (calls, ()) = join(callers, scenario).await;
    assert!(calls.iter().all(|calls| *calls > 0));
}

#[tokio::test]
async fn a_value_is_stored_on_the_master_that_the_sentinels_name() {
    let servers = Sentinels::start().await;
    let [cache] = connected(patient(config(&servers))).await;
    let key = fresh();
    cache.scope(async { stored!(cache, area(key)) }).await;
    let master = &servers.nodes()[servers.master().await];
    assert!(master.calls(&WRITES).await > 0);
    assert!(!master.command::<Vec<String>>(&["KEYS", "cache:areas:*"]).await.is_empty());
    assert_eq!(cache.health().status, Status::Up);
    // What a replica has done it was told by its master, where no client has asked.
    for replica in &servers.nodes()[1..] {
        assert_eq!(replica.calls(&["mget", "evalsha", "eval"]).await, 0);
    }
}

#[tokio::test]
async fn a_master_that_is_killed_is_replaced_and_delays_nobody() {
    let mut servers = Sentinels::start().await;
    let [cache] = connected(config(&servers)).await;
    hits(&cache, 1).await;
    let killed = servers.kill_master().await;
    let calls = async {
        let mut hits = 0;
        while servers.try_master().await.is_none_or(|master| master == killed) {
            hits += u32::from(call(&cache, 1).await);
            sleep(Duration::from_millis(20)).await;
        }
        hits
    };
    timeout(Duration::from_secs(60), calls).await.expect("the sentinels elect another master");
    hits_again(&cache, 1).await;
    assert_eq!(cache.health().status, Status::Up);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_master_that_is_killed_is_down_whichever_lane_was_the_first() {
    let mut servers = Sentinels::start().await;
    let cache = Cache::new(config(&servers).lanes(8));
    cache.invalidate_prefix("areas").await.unwrap();
    for _ in 0..2 {
        call(&cache, 1).await;
    }
    let killed = servers.kill_master().await;
    let mut down = false;
    while servers.try_master().await.is_none_or(|master| master == killed) {
        call(&cache, 1).await;
        down |= cache.health().status == Status::Down;
        sleep(Duration::from_millis(10)).await;
    }
    assert!(down, "{:?}", cache.health());
    hits_again(&cache, 1).await;
    assert_eq!(cache.health().status, Status::Up);
}

#[tokio::test]
async fn a_master_that_is_frozen_is_replaced_and_delays_nobody() {
    let servers = Sentinels::start().await;
    let [cache] = connected(config(&servers)).await;
    hits(&cache, 1).await;
    let frozen = servers.freeze_master().await;
    under_load(&cache, async {
        servers.wait_for_another_master(frozen).await;
        hits_again(&cache, 1).await;
        // It still takes itself for the master, until a sentinel tells it.
        servers.thaw(frozen);
        sleep(MARGIN).await;
        hits_again(&cache, 1).await;
    })
    .await;
}

#[tokio::test]
async fn a_master_that_was_deposed_gets_no_more_writes() {
    let servers = Sentinels::start().await;
    let [cache] = connected(config(&servers)).await;
    hits(&cache, 1).await;
    under_load(&cache, async {
        let old = servers.master().await;
        servers.failover_by_command().await;
        let new = servers.wait_for_another_master(old).await;
        hits_again(&cache, 1).await;
        sleep(MARGIN).await;
        // So that nobody tells it that it has been deposed.
        servers.sentinels().iter().for_each(Node::freeze);
        let role: Vec<redis::Value> = servers.nodes()[old].command(&["ROLE"]).await;
        assert_eq!(role[0], redis::Value::BulkString(b"master".to_vec()), "told too early");
        let before = [old, new].map(async |node| servers.commands_of(node, &WRITES).await);
        let before = join_all(before).await;
        sleep(Duration::from_secs(2)).await;
        let after = [old, new].map(async |node| servers.commands_of(node, &WRITES).await);
        let after = join_all(after).await;
        assert_eq!(after[0], before[0], "the old master was written to");
        assert!(after[1] > before[1], "the new master was not");
        servers.sentinels().iter().for_each(Node::thaw);
    })
    .await;
}

#[tokio::test]
async fn one_sentinel_of_three_may_be_absent() {
    let mut servers = Sentinels::start().await;
    // The first of the URL: whoever asks meets it.
    servers.kill_sentinel(0);
    let [cache] = connected(config(&servers)).await;
    hits(&cache, 1).await;
    let killed = servers.kill_master().await;
    servers.wait_for_another_master(killed).await;
    hits_again(&cache, 1).await;
}

#[tokio::test]
async fn one_sentinel_of_three_may_hang() {
    let servers = Sentinels::start().await;
    servers.sentinels()[0].freeze();
    let begun = Instant::now();
    let [cache] = connected(config(&servers)).await;
    hits(&cache, 1).await;
    assert!(begun.elapsed() < DEADLINE, "it took {:?}", begun.elapsed());
    servers.failover_by_command().await;
    let new = servers.wait_for_another_master(0).await;
    sleep(MARGIN).await;
    hits_again(&cache, 1).await;
    assert!(servers.commands_of(new, &["mget"]).await > 0, "it was the old master that was asked");
}

#[tokio::test]
async fn sentinels_that_all_die_take_nothing_along_while_the_master_lives() {
    let mut servers = Sentinels::start().await;
    let [cache] = connected(patient(config(&servers))).await;
    let key = fresh();
    cache.scope(async { stored!(cache, area(key)) }).await;
    for sentinel in 0..3 {
        servers.kill_sentinel(sentinel);
    }
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(4) {
        let key = fresh();
        cache.scope(async { stored!(cache, area(key)) }).await;
        sleep(Duration::from_millis(20)).await;
    }
    cache.scope(async { hit!(area(key)) }).await;
    cache.scope(invalidate(area(key))).await.unwrap();
    assert_eq!(cache.health().status, Status::Up);
}

#[tokio::test]
async fn sentinels_have_a_password_of_their_own() {
    let [data, sentinels] = ["data", "watch"].map(|password| Some(password.to_owned()));
    let mut servers = Sentinels::start_with(Passwords { data, sentinels }).await;
    let url = servers.url();
    let by_url = format!("{url}?sentinel_password=watch");
    let named = format!("{url}?sentinel_username=default&sentinel_password=watch");
    let settings = [
        vec![("REDIS_URL", url.as_str()), ("REDIS_SENTINEL_PASSWORD", "watch")],
        vec![
            ("REDIS_URL", url.as_str()),
            ("REDIS_SENTINEL_USERNAME", "default"),
            ("REDIS_SENTINEL_PASSWORD", "watch"),
        ],
        vec![("REDIS_URL", by_url.as_str())],
        vec![("REDIS_URL", named.as_str())],
    ];
    for variables in settings {
        let [cache] = connected(patient(configured(&variables).unwrap())).await;
        let key = fresh();
        cache.scope(async { stored!(cache, area(key)) }).await;
    }
    let wrong = [
        vec![("REDIS_URL", url.as_str())],
        vec![("REDIS_URL", url.as_str()), ("REDIS_SENTINEL_PASSWORD", "hunter2")],
    ];
    for variables in wrong {
        let config = configured(&variables).unwrap();
        let error = Cache::connect(config.clone()).await.unwrap_err();
        assert!(error.is_unavailable() && !error.to_string().contains("hunter2"), "{error}");
        assert!(!format!("{config:?}").contains("hunter2"));
        assert!(!call(&Cache::new(config), 1).await);
    }
    let [cache] = connected(configured(&[("REDIS_URL", &by_url)]).unwrap()).await;
    hits(&cache, 1).await;
    let killed = servers.kill_master().await;
    servers.wait_for_another_master(killed).await;
    hits_again(&cache, 1).await;
}

#[tokio::test]
async fn a_name_that_no_sentinel_knows_is_an_error_that_says_so() {
    let servers = Sentinels::start().await;
    let url = servers.url().replace("mymaster", "nobody");
    let config = configured(&[("REDIS_URL", &url)]).unwrap();
    let error = Cache::connect(config.clone()).await.unwrap_err();
    assert!(error.is_unavailable() && error.to_string().contains("nobody"), "{error}");
    let cache = Cache::new(config);
    assert!(!call(&cache, 1).await);
    assert_eq!(cache.health().status, Status::Down);
}

#[tokio::test]
async fn sentinels_that_are_absent_at_start_are_found_when_they_come() {
    let mut servers = Sentinels::start().await;
    servers.sentinels().iter().for_each(Node::freeze);
    let config = config(&servers);
    let begun = Instant::now();
    assert!(Cache::connect(config.clone()).await.unwrap_err().is_unavailable());
    assert!(begun.elapsed() < Duration::from_secs(15), "it took {:?}", begun.elapsed());
    let cache = Cache::new(config);
    assert!(!call(&cache, 1).await);
    servers.kill_sentinel(2);
    servers.sentinels()[..2].iter().for_each(Node::thaw);
    hits(&cache, 1).await;
}

#[tokio::test]
async fn an_invalidation_after_a_failover_is_seen_by_other_caches_and_their_copies() {
    let servers = Sentinels::start().await;
    let [one, other] = connected(config(&servers)).await;
    let key = fresh();
    let copy = || async { other.scope(observe(copied(key))).await.1.is_local_hit() };
    for round in 0..2 {
        for cache in [&one, &other] {
            hits(cache, key).await;
        }
        eventually("a copy is made", copy).await;
        if round == 0 {
            servers.failover_by_command().await;
            servers.wait_for_another_master(0).await;
            sleep(MARGIN).await;
        }
    }
    // From here on no call may be bypassed because the machine is busy.
    let [one, patient] = connected(patient(config(&servers))).await;
    let value = patient.scope(async { hit!(area(key)) }).await;
    eventually("a copy is made", copy).await;
    let copy = other.scope(copied(key)).await;
    one.scope(async {
        invalidate(area(key)).await.unwrap();
        invalidate(copied(key)).await.unwrap();
    })
    .await;
    assert_ne!(patient.scope(area(key)).await, value);
    sleep(MARGIN).await;
    assert_ne!(other.scope(copied(key)).await, copy);
}

#[tokio::test]
async fn sentinels_that_begin_anew_are_believed_in_the_end_though_one_is_gone_for_good() {
    let mut servers = Sentinels::start().await;
    let [cache] = connected(config(&servers)).await;
    servers.failover_by_command().await;
    let old = servers.wait_for_another_master(0).await;
    hits(&cache, 1).await;
    servers.kill_sentinel(0);
    // What is deployed in their place knows of no failover, and of another master.
    let new = 3 - old;
    servers.nodes()[new].command::<()>(&["REPLICAOF", "NO", "ONE"]).await;
    servers.begin_anew(new).await;
    // As a replica it was written to.
    let before = servers.commands_of(new, &WRITES).await;
    let begun = Instant::now();
    while servers.commands_of(new, &WRITES).await == before {
        call(&cache, fresh()).await;
        assert!(begun.elapsed() < 6 * DEADLINE, "the sentinels are not believed");
        sleep(Duration::from_millis(100)).await;
    }
    assert!(begun.elapsed() > DEADLINE, "an earlier epoch was believed at once");
    hits_again(&cache, 1).await;
}
