//! Redis as a cluster: entries and what they depend on lie on several masters, which die, hang and hand
//! their slots on.

// Many functions answer with the number of their run, whatever they are called with.
#![allow(unused_variables)]

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use cache_runtime::{Cache, Config, Status, cache_result, invalidate, observe, peek};
use futures::future::{join_all, select};
use support::{
    ClusterServers, Runs, configured, eventually, fresh, hit, key_of, patient, run, slot_of, stored,
};
use tokio::time::{sleep, timeout};

/// From the moment when the cluster serves every slot again to the first hit there.
const DEADLINE: Duration = Duration::from_secs(5);

/// Any single call, whatever becomes of the servers: the budget, and what a busy machine adds.
const CALL: Duration = Duration::from_secs(5);

/// A copy of another process counts no longer than that once its entry is gone.
const COPY: Duration = Duration::from_secs(1);

/// Its argument, and which run it is.
type Run = (u32, u64);

#[cache_result(ttl = 60, prefix = "areas", tags = ["agent:{agent}", "all"])]
async fn area(agent: u32, key: u32) -> Run {
    (key, run())
}

/// Depends on its prefix alone.
#[cache_result(ttl = 60, prefix = "plain")]
async fn plain(key: u32) -> Run {
    (key, run())
}

#[cache_result(ttl = 60, prefix = "copies", local)]
async fn copied(key: u32) -> Run {
    (key, run())
}

#[cache_result(ttl = 60, prefix = "inner", tags = ["inner:{key}", "town:{key}"])]
async fn inner(key: u32) -> u64 {
    run()
}

#[cache_result(ttl = 60, prefix = "outer", tags = ["outer:{key}", "town:{key}"])]
async fn outer(key: u32) -> (u64, u64) {
    (run(), inner(key).await)
}

static RUNS: Runs = Runs::new();

#[cache_result(ttl = 60, prefix = "slow", lease = "60s")]
async fn slow(key: u32) -> Run {
    RUNS.run(key);
    sleep(Duration::from_secs(1)).await;
    (key, run())
}

/// Default settings, as a service has.
fn config(cluster: &ClusterServers) -> Config {
    configured(&[("REDIS_URL", &cluster.url())]).unwrap()
}

async fn two(config: Config) -> [Cache; 2] {
    let other = Cache::connect(config.clone()).await.unwrap();
    [Cache::connect(config).await.unwrap(), other]
}

/// An argument whose call has its entry on a master.
macro_rules! key_on {
    ($cluster:expr, $node:expr, |$key:ident| $call:expr) => {
        loop {
            let $key = fresh();
            if $cluster.master_of(slot_of(&key_of($call).await)).await == $node {
                break $key;
            }
        }
    };
}

/// The masters that have keys.
async fn homes(cluster: &ClusterServers) -> BTreeSet<usize> {
    let mut homes = BTreeSet::new();
    for key in cluster.keys().await {
        homes.insert(cluster.master_of(slot_of(&key)).await);
    }
    homes
}

async fn works(config: Config) {
    let [one, other] = two(patient(config)).await;
    for _ in 0..10 {
        let key = fresh();
        let value = one.scope(async { stored!(one, plain(key)) }).await;
        assert_eq!(other.scope(async { hit!(plain(key)) }).await, value);
        other.scope(invalidate(plain(key))).await.unwrap();
        assert_eq!(one.scope(peek(plain(key))).await, None);
    }
    assert_eq!(one.health().status, Status::Up);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_is_degraded_while_one_of_its_masters_is_dead() {
    let mut cluster = ClusterServers::start().await;
    let cache = Cache::new(config(&cluster).lanes(8));
    cache.invalidate_tag("nobody").await.unwrap();
    let keys: Vec<u32> = (0..30).map(|_| fresh()).collect();
    let call_all = || async {
        for key in &keys {
            cache.scope(plain(*key)).await;
        }
    };
    call_all().await;
    assert_eq!(cache.health().status, Status::Up);
    cluster.kill(0);
    let degraded = || async {
        call_all().await;
        cache.health().status == Status::Degraded
    };
    eventually("one is dead", degraded).await;
    assert!(cache.health().last_error.is_some());
    cluster.wait_until_ok(0).await;
    let up = || async {
        call_all().await;
        cache.health().status == Status::Up
    };
    eventually("its replica has taken over", up).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_with_a_slot_that_no_node_owns_is_degraded_though_all_its_masters_answer() {
    let cluster = ClusterServers::start().await;
    let [cache, other] = two(patient(config(&cluster))).await;
    let key = other.scope(async { key_on!(cluster, 0, |key| plain(key)) }).await;
    let slot = other.scope(async { slot_of(&key_of(plain(key)).await) }).await.to_string();
    assert_eq!(cache.health().status, Status::Up);
    for node in cluster.nodes() {
        // A replica may not know of it any more, or not yet.
        let _: redis::Value = node.command(&["CLUSTER", "DELSLOTS", &slot]).await;
    }
    let degraded = || async {
        cache.scope(plain(key)).await;
        other.scope(plain(key)).await;
        cache.health().status == Status::Degraded
    };
    eventually("a slot is served by nobody", degraded).await;
    let why = cache.health().last_error.unwrap();
    assert!(why.contains("slots of the cluster") || why.contains("CLUSTERDOWN"), "{why}");
    let late = Cache::connect(patient(config(&cluster))).await.unwrap();
    let why = late.health().last_error.unwrap();
    assert_eq!(late.health().status, Status::Degraded, "{why}");
    assert!(why.contains("1 of the 16384 slots"), "{why}");
    cluster.nodes()[0].command::<()>(&["CLUSTER", "ADDSLOTS", &slot]).await;
    let up = || async {
        cache.scope(plain(key)).await;
        cache.health().status == Status::Up
    };
    eventually("all slots are served again", up).await;
    assert_eq!(cache.health().last_error, None);
}

#[tokio::test]
async fn what_one_cache_invalidates_on_any_master_is_gone_for_another_at_once() {
    let cluster = ClusterServers::start().await;
    let [one, other] = two(patient(config(&cluster))).await;
    let mut keys = Vec::new();
    for node in 0..3 {
        keys.push(one.scope(async { key_on!(cluster, node, |key| area(1, key)) }).await);
    }
    for way in 0..4 {
        for key in &keys {
            one.scope(async { stored!(one, area(1, *key)) }).await;
            other.scope(async { hit!(area(1, *key)) }).await;
        }
        assert!(homes(&cluster).await.is_superset(&BTreeSet::from([0, 1, 2])));
        match way {
            0 => {
                for key in &keys {
                    one.scope(invalidate(area(1, *key))).await.unwrap();
                }
            }
            1 => one.invalidate_prefix("areas").await.unwrap(),
            2 => one.invalidate_tag("agent:1").await.unwrap(),
            _ => one.invalidate_tag("all").await.unwrap(),
        }
        for key in &keys {
            assert_eq!(other.scope(peek(area(1, *key))).await, None, "in way {way}");
        }
    }
}

#[tokio::test]
async fn what_has_other_tags_or_another_prefix_stays() {
    let cluster = ClusterServers::start().await;
    let [one, other] = two(patient(config(&cluster))).await;
    let keys: Vec<u32> = (0..12).map(|_| fresh()).collect();
    let mut kept = Vec::new();
    for key in &keys {
        one.scope(async { stored!(one, area(1, *key)) }).await;
        kept.push(
            one.scope(async { (stored!(one, area(2, *key)), stored!(one, plain(*key))) }).await,
        );
    }
    one.invalidate_tag("agent:1").await.unwrap();
    for (key, kept) in keys.iter().zip(kept) {
        assert_eq!(other.scope(peek(area(1, *key))).await, None);
        assert_eq!(other.scope(async { (hit!(area(2, *key)), hit!(plain(*key))) }).await, kept);
    }
}

#[tokio::test]
async fn tags_of_functions_within_functions_take_what_has_them() {
    let cluster = ClusterServers::start().await;
    let [one, other] = two(patient(config(&cluster))).await;
    for _ in 0..4 {
        let key = fresh();
        let (whole, part) = one.scope(async { stored!(one, outer(key)) }).await;
        assert_eq!(other.scope(async { hit!(inner(key)) }).await, part);
        one.invalidate_tag(&format!("inner:{key}")).await.unwrap();
        assert_eq!(other.scope(async { hit!(outer(key)) }).await, (whole, part));
        let again = other.scope(async { stored!(other, inner(key)) }).await;
        one.invalidate_tag(&format!("town:{key}")).await.unwrap();
        let (new, inner) = other.scope(async { stored!(other, outer(key)) }).await;
        assert!(new != whole && ![part, again].contains(&inner));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cold_key_is_computed_once_for_3_000_callers_of_two_caches() {
    let cluster = ClusterServers::start().await;
    let caches = two(patient(config(&cluster))).await;
    for node in 0..3 {
        let key = caches[0].scope(async { key_on!(cluster, node, |key| slow(key)) }).await;
        let calls = (0..3_000).map(|caller| {
            let cache = caches[caller % 2].clone();
            tokio::spawn(async move { cache.scope(slow(key)).await })
        });
        let values: BTreeSet<Run> =
            join_all(calls).await.into_iter().map(|value| value.unwrap()).collect();
        assert_eq!((values.len(), RUNS.of(key)), (1, 1), "on master {node}");
    }
}

/// One call: in time, and with a value of its own function. Whether it was a hit.
async fn call(cache: &Cache, key: u32) -> bool {
    let ((of, _), outcome) = timeout(CALL, cache.scope(observe(plain(key)))).await.unwrap();
    assert_eq!(of, key);
    outcome.is_hit()
}

async fn hits(cache: &Cache, key: u32) {
    eventually("a call hits", || call(cache, key)).await;
}

async fn hits_again(cache: &Cache, key: u32) {
    let begun = Instant::now();
    hits(cache, key).await;
    assert!(begun.elapsed() < DEADLINE, "it took {:?}", begun.elapsed());
}

/// Calls a key while something happens; how many calls hit, and how many did not.
async fn calls_during(cache: &Cache, key: u32, event: impl Future<Output = ()>) -> (u32, u32) {
    let (mut hit, mut missed) = (0, 0);
    let calls = async {
        loop {
            *if call(cache, key).await { &mut hit } else { &mut missed } += 1;
            sleep(Duration::from_millis(10)).await;
        }
    };
    // The loop has no end: what ends is the event.
    select(std::pin::pin!(event), std::pin::pin!(calls)).await;
    (hit, missed)
}

/// A key that does not depend on one of the masters, and one with its entry there.
struct Scene {
    cache: Cache,
    victim: usize,
    elsewhere: u32,
    there: u32,
}

async fn scene(cluster: &ClusterServers) -> Scene {
    let cache = Cache::connect(config(cluster)).await.unwrap();
    let elsewhere = cache.scope(async { key_on!(cluster, 0, |key| plain(key)) }).await;
    hits(&cache, elsewhere).await;
    // At most two: that of the entry and that of the prefix.
    let homes = homes(cluster).await;
    let victim = (0..3).find(|node| !homes.contains(node)).expect("one that has neither");
    let there = cache.scope(async { key_on!(cluster, victim, |key| plain(key)) }).await;
    hits(&cache, there).await;
    Scene { cache, victim, elsewhere, there }
}

/// The master is lost already: the keys of others hit while it is replaced, and its own afterwards.
async fn is_replaced(cluster: &ClusterServers, scene: &Scene) {
    let Scene { cache, victim, elsewhere, there } = scene;
    let (elsewhere, own) = futures::future::join(
        calls_during(cache, *elsewhere, cluster.wait_until_ok(*victim)),
        calls_during(cache, *there, cluster.wait_until_ok(*victim)),
    )
    .await;
    // A busy machine may have a few run out of their budget.
    assert!(elsewhere.0 > 3 * elsewhere.1, "hits and others: {elsewhere:?}");
    assert!(own.1 > 0, "it was never missed: {own:?}");
    hits_again(cache, *there).await;
}

#[tokio::test]
async fn a_killed_master_costs_its_own_keys_alone_until_its_replica_takes_over() {
    let mut cluster = ClusterServers::start().await;
    let scene = scene(&cluster).await;
    cluster.kill(scene.victim);
    is_replaced(&cluster, &scene).await;
    cluster.restart(scene.victim).await;
    let (hit, missed) =
        calls_during(&scene.cache, scene.there, sleep(Duration::from_secs(2))).await;
    assert!(hit > 3 * missed, "its return as a replica is no event: {hit} and {missed}");
}

#[tokio::test]
async fn a_frozen_master_costs_its_own_keys_alone_until_its_replica_takes_over() {
    let cluster = ClusterServers::start().await;
    let scene = scene(&cluster).await;
    cluster.freeze(scene.victim);
    is_replaced(&cluster, &scene).await;
    cluster.thaw(scene.victim);
    sleep(COPY).await;
    hits_again(&scene.cache, scene.there).await;
}

#[tokio::test]
async fn every_master_in_turn_may_die_and_come_back_as_a_replica() {
    let mut cluster = ClusterServers::start().await;
    let cache = Cache::connect(config(&cluster)).await.unwrap();
    let keys: Vec<u32> = (0..12).map(|_| fresh()).collect();
    for victim in 0..3 {
        for key in &keys {
            hits(&cache, *key).await;
        }
        cluster.kill(victim);
        calls_during(&cache, keys[0], cluster.wait_until_ok(victim)).await;
        let begun = Instant::now();
        for key in &keys {
            hits(&cache, *key).await;
        }
        assert!(begun.elapsed() < 2 * DEADLINE, "it took {:?}", begun.elapsed());
        cluster.restart(victim).await;
    }
}

#[tokio::test]
async fn a_replica_that_takes_over_by_command_changes_no_answer() {
    let cluster = ClusterServers::start().await;
    let [one, other] = two(patient(config(&cluster))).await;
    let key = one.scope(async { key_on!(cluster, 1, |key| plain(key)) }).await;
    let slot = slot_of(&one.scope(async { key_of(plain(key)).await }).await);
    one.scope(async { stored!(one, plain(key)) }).await;
    let take_over = async {
        cluster.nodes()[4].command::<()>(&["CLUSTER", "FAILOVER"]).await;
        eventually("it takes over", || async { cluster.master_of(slot).await == 4 }).await;
        let before = run();
        other.scope(invalidate(plain(key))).await.unwrap();
        assert!(one.scope(plain(key)).await.1 > before);
    };
    calls_during(&one, key, take_over).await;
    hits(&other, key).await;
}

/// Everything that invalidates `area(1, key)` is believed by another cache, whatever else is going on.
async fn invalidations_hold(one: &Cache, other: &Cache, key: u32) {
    for way in 0..4 {
        let before = run();
        match way {
            0 => one.scope(invalidate(area(1, key))).await.unwrap(),
            1 => one.invalidate_prefix("areas").await.unwrap(),
            2 => one.invalidate_tag("agent:1").await.unwrap(),
            _ => one.invalidate_tag("all").await.unwrap(),
        }
        let (of, value) = timeout(CALL, other.scope(area(1, key))).await.unwrap();
        assert!(of == key && value > before, "way {way}: {value} began before {before}");
    }
}

/// Calls of both caches, for as long as something happens.
async fn under_load(caches: &[Cache; 2], key: u32, event: impl Future<Output = ()>) {
    let load = caches.iter().cycle().take(8).map(async |cache| {
        loop {
            let (of, _) = timeout(CALL, cache.scope(area(1, key))).await.expect("in time");
            assert_eq!(of, key);
            sleep(Duration::from_millis(2)).await;
        }
    });
    // It has no end: what ends is the event.
    let load = join_all(load);
    select(std::pin::pin!(event), std::pin::pin!(load)).await;
}

#[tokio::test]
async fn a_slot_that_moves_under_load_takes_no_value_and_no_invalidation_along() {
    let cluster = ClusterServers::start().await;
    let caches = two(patient(config(&cluster))).await;
    let [one, other] = &caches;
    let key = fresh();
    one.scope(async { stored!(one, area(1, key)) }).await;
    // The entry, and what it depends on.
    let names = cluster.keys().await;
    assert!(names.len() > 1, "{names:?}");
    for name in names {
        let slot = slot_of(&name);
        let to = (cluster.master_of(slot).await + 1) % 3;
        under_load(&caches, key, async {
            let migration = cluster.begin_to_migrate(slot, to).await;
            invalidations_hold(one, other, key).await;
            cluster.move_keys(&migration).await;
            invalidations_hold(other, one, key).await;
            // What was made anew meanwhile may be on either side.
            cluster.move_keys(&migration).await;
            cluster.finish(&migration).await;
            invalidations_hold(one, other, key).await;
        })
        .await;
        let there = || async {
            other.scope(area(1, key)).await;
            let node = &cluster.nodes()[to];
            node.try_command::<i64>(&["EXISTS", &name]).await.is_ok_and(|there| there == 1)
        };
        eventually("it is on its new master", there).await;
        for cache in &caches {
            let hits = || async { cache.scope(observe(area(1, key))).await.1.is_hit() };
            eventually("it hits there", hits).await;
        }
    }
}

#[tokio::test]
async fn copies_follow_their_entries_on_every_master() {
    let cluster = ClusterServers::start().await;
    let [one, other] = two(patient(config(&cluster))).await;
    for node in 0..3 {
        let key = one.scope(async { key_on!(cluster, node, |key| copied(key)) }).await;
        for prefix in [false, true] {
            let copy = || async { other.scope(observe(copied(key))).await.1.is_local_hit() };
            eventually("a copy is made", copy).await;
            let value = other.scope(copied(key)).await;
            if prefix {
                one.invalidate_prefix("copies").await.unwrap();
            } else {
                one.scope(invalidate(copied(key))).await.unwrap();
            }
            assert_ne!(one.scope(copied(key)).await, value);
            sleep(COPY).await;
            assert_ne!(other.scope(copied(key)).await, value);
        }
    }
}

#[tokio::test]
async fn clearing_empties_every_master_of_the_namespace() {
    let cluster = ClusterServers::start().await;
    let [one, other] = two(patient(config(&cluster))).await;
    for key in 0..30 {
        one.scope(async { stored!(one, area(key, key)) }).await;
    }
    assert_eq!(homes(&cluster).await.len(), 3);
    let mut kept: Vec<String> = (0..10).map(|key| format!("elsewhere:{key}")).collect();
    for key in &kept {
        let master = cluster.master_of(slot_of(key)).await;
        cluster.nodes()[master].command::<()>(&["SET", key, "kept"]).await;
    }
    kept.sort();
    assert!(one.clear().await.unwrap().removed >= 30);
    assert_eq!(cluster.keys().await, kept);
    for key in 0..30 {
        assert_eq!(other.scope(peek(area(key, key))).await, None);
    }
}

#[tokio::test]
async fn a_list_of_hosts_with_a_parameter_means_the_same() {
    let cluster = ClusterServers::start().await;
    let hosts = cluster.hosts();
    let urls = [
        cluster.url(),
        format!("{}/0", cluster.url()),
        format!("redis://{hosts}?cluster=true"),
        format!("redis://{hosts}/0?cluster=true"),
        format!("redis://{}?cluster=true", cluster.nodes()[4].address()),
    ];
    for url in urls {
        works(configured(&[("REDIS_URL", &url)]).unwrap()).await;
    }
}

#[tokio::test]
async fn a_database_other_than_the_first_is_refused_in_the_settings() {
    let urls = ["redis+cluster://127.0.0.1:1,127.0.0.1:2/1", "redis://127.0.0.1:1/1?cluster=true"];
    for url in urls {
        let error = configured(&[("REDIS_URL", url)]).unwrap_err();
        assert!(error.is_config(), "{error}");
        let error = error.to_string();
        assert!(error.contains("REDIS_URL") && error.contains("database"), "{error}");
    }
}

#[tokio::test]
async fn a_cluster_may_ask_for_a_password() {
    let cluster = ClusterServers::start_with_password("data").await;
    works(config(&cluster)).await;
    let url = cluster.url().replace(":data@", ":hunter2@");
    let config = configured(&[("REDIS_URL", &url)]).unwrap();
    let error = Cache::connect(config.clone()).await.unwrap_err();
    assert!(error.is_unavailable() && !error.to_string().contains("hunter2"), "{error}");
    assert!(!call(&Cache::new(config), fresh()).await);
}

#[tokio::test]
async fn a_cluster_may_speak_tls() {
    let cluster = ClusterServers::start_with_tls().await;
    let ca = cluster.authority().expect("it has one").ca();
    let url = cluster.url();
    let variables = [("REDIS_URL", url.as_str()), ("REDIS_TLS_CA", ca.to_str().unwrap())];
    works(configured(&variables).unwrap()).await;
}

#[tokio::test]
async fn hosts_of_the_list_may_be_absent_or_hang() {
    let mut cluster = ClusterServers::start().await;
    cluster.kill(0);
    cluster.wait_until_ok(0).await;
    cluster.freeze(1);
    cluster.wait_until_ok_without(&[0, 1]).await;
    let cache = Cache::connect(config(&cluster)).await.unwrap();
    for _ in 0..10 {
        hits(&cache, fresh()).await;
    }
}

#[tokio::test]
async fn a_cluster_that_is_absent_is_an_outage() {
    let url = "redis+cluster://127.0.0.1:1,127.0.0.1:2";
    let config = configured(&[("REDIS_URL", url)]).unwrap();
    let begun = Instant::now();
    assert!(Cache::connect(config.clone()).await.unwrap_err().is_unavailable());
    let cache = Cache::new(config);
    assert!(!call(&cache, fresh()).await);
    assert!(begun.elapsed() < 2 * DEADLINE, "it took {:?}", begun.elapsed());
    assert_eq!(cache.health().status, Status::Down);
}

/// How many connections all nodes have taken so far.
async fn connections(cluster: &ClusterServers) -> u64 {
    let counts = cluster.nodes().iter().map(async |node| {
        let stats: String = node.command(&["INFO", "stats"]).await;
        let count = stats.lines().find_map(|line| line.strip_prefix("total_connections_received:"));
        count.unwrap().trim().parse::<u64>().unwrap()
    });
    join_all(counts).await.into_iter().sum()
}

#[tokio::test]
async fn a_sound_cluster_is_not_dialled_again_and_again() {
    let cluster = ClusterServers::start().await;
    let cache = Cache::connect(patient(config(&cluster))).await.unwrap();
    // Copies are kept from here on, and the map is asked for every second.
    for node in 0..3 {
        let key = cache.scope(async { key_on!(cluster, node, |key| copied(key)) }).await;
        let copy = || async { cache.scope(observe(copied(key))).await.1.is_local_hit() };
        eventually("a copy is made", copy).await;
    }
    sleep(Duration::from_secs(2)).await;
    let asked = async || cluster.commands_of(0, &["cluster|slots"]).await;
    let (before, asked_before) = (connections(&cluster).await, asked().await);
    sleep(Duration::from_secs(5)).await;
    let (after, asked_after) = (connections(&cluster).await, asked().await);
    // The second count makes one to each node, and so do those of the commands to the first.
    assert!(after - before <= 8, "{} connections in 5 s", after - before);
    assert!(asked_after > asked_before, "the map is not asked for any more");
}
