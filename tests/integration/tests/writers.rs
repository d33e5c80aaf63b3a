//! Functions that write, and what they invalidate whatever becomes of them.

// Many functions answer with the number of their run, whatever they are called with.
#![allow(unused_variables)]

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cache_runtime::{Cache, cache_invalidate, cache_result, observe, peek};
use futures::FutureExt as _;
use serde::{Deserialize, Serialize};
use support::{
    Server, computed, eventually, hit, over_both, over_both_on_short_lived_runtimes, run, stored,
};
use tokio::time::{sleep, timeout};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Listing {
    id: u32,
    kind: String,
    agent: u32,
}

fn listing(id: u32) -> Listing {
    Listing { id, kind: "buy".to_owned(), agent: id + 100 }
}

#[cache_result(ttl = 60, prefix = "areas")]
async fn areas(kind: String) -> u64 {
    run()
}

#[cache_result(ttl = 60, prefix = "profiles")]
async fn profile(id: u32) -> u64 {
    run()
}

#[cache_result(ttl = 60, prefix = "search")]
async fn search(text: &str) -> u64 {
    run()
}

#[cache_result(ttl = 60, prefix = "agents", tags = ["agent:{agent}"])]
async fn of_agent(agent: u32) -> u64 {
    run()
}

#[cache_invalidate(
    areas(listing.kind.clone()),
    |created| profile(created.id),
    prefix = "search",
    tag = "agent:{listing.agent}"
)]
async fn create(listing: Listing, fails: bool) -> Result<Listing, String> {
    tokio::task::yield_now().await;
    if fails { Err("the database refuses it".to_owned()) } else { Ok(listing) }
}

#[cache_result(ttl = 60, prefix = "local-profiles", local)]
async fn local_profile(id: u32) -> u64 {
    run()
}

/// Leaves nothing of the task's cooperative budget.
async fn exhaust() {
    while tokio::task::coop::has_budget_remaining() {
        tokio::task::coop::consume_budget().await;
    }
}

#[cache_invalidate(local_profile(id), |id| local_profile(*id + 1))]
async fn publish(id: u32) -> u32 {
    exhaust().await;
    id
}

/// Names its calls when the budget has been used up already.
#[cache_invalidate(local_profile(id))]
async fn publish_at_once(id: u32) {}

/// What is there of all that `create` invalidates: by call, by prefix, by tag, and by its result.
async fn left(id: u32) -> [bool; 4] {
    [
        peek(areas("buy".to_owned())).await.is_some(),
        peek(search("x")).await.is_some(),
        peek(of_agent(id + 100)).await.is_some(),
        peek(profile(id)).await.is_some(),
    ]
}

async fn fill(cache: &Cache, id: u32) {
    areas("buy".to_owned()).await;
    search("x").await;
    of_agent(id + 100).await;
    profile(id).await;
    cache.flush().await;
    assert_eq!(left(id).await, [true; 4]);
}

/// Stores a copy and an entry for each of `ids`.
async fn fill_profiles(cache: &Cache, ids: &[u32]) {
    for id in ids {
        local_profile(*id).await;
        cache.flush().await;
        // Twice: a task gives way at every eighth look for a copy, and it is to be any of them.
        local_profile(*id).await;
        local_profile(*id).await;
    }
}

const NONE: [u32; 0] = [];

async fn left_of_profiles(ids: impl Iterator<Item = u32>) -> Vec<u32> {
    let mut left = Vec::new();
    for id in ids {
        if peek(local_profile(id)).await.is_some() {
            left.push(id);
        }
    }
    left
}

#[tokio::test]
async fn a_busy_task_invalidates_copies_as_an_idle_one_does() {
    over_both(|cache: Cache| async move {
        for id in (1000..1400).step_by(2) {
            fill_profiles(&cache, &[id, id + 1]).await;
            publish(id).await;
            assert_eq!(left_of_profiles(id..id + 2).await, NONE, "by call, by closure");
        }
        for id in 2000..2050 {
            fill_profiles(&cache, &[id]).await;
            exhaust().await;
            publish_at_once(id).await;
            assert_eq!(left_of_profiles(id..=id).await, NONE);
        }
    })
    .await;
}

#[tokio::test]
async fn many_writers_joined_in_one_task_invalidate_all_that_they_name() {
    over_both(|cache: Cache| async move {
        for round in 0..20 {
            let first = 3000 + round * 100;
            let ids: Vec<u32> = (first..first + 60).step_by(2).collect();
            fill_profiles(&cache, &ids).await;
            futures::future::join_all(ids.iter().map(|id| publish(*id))).await;
            assert_eq!(left_of_profiles(ids.into_iter()).await, NONE);
        }
    })
    .await;
}

#[tokio::test]
async fn once_a_writer_has_ended_what_it_names_is_gone() {
    over_both(|cache: Cache| async move {
        fill(&cache, 1).await;
        let untouched = stored!(cache, areas("rent".to_owned()));
        let others = (stored!(cache, profile(2)), stored!(cache, of_agent(1)));
        assert_eq!(create(listing(1), false).await, Ok(listing(1)));
        assert_eq!(left(1).await, [false; 4]);
        assert_eq!(hit!(areas("rent".to_owned())), untouched);
        assert_eq!((hit!(profile(2)), hit!(of_agent(1))), others);
        assert_eq!(cache.stats().prefix("areas").invalidations, 1);
    })
    .await;
}

#[tokio::test]
async fn a_writer_that_fails_invalidates_all_but_what_follows_from_its_value() {
    over_both(|cache: Cache| async move {
        fill(&cache, 1).await;
        assert!(create(listing(1), true).await.is_err());
        assert_eq!(left(1).await, [false, false, false, true]);
    })
    .await;
}

#[cache_invalidate(profile(id))]
async fn stuck(id: u32, began: Arc<AtomicBool>, panics: bool) {
    began.store(true, Ordering::SeqCst);
    sleep(Duration::from_millis(50)).await;
    assert!(!panics, "as asked");
    std::future::pending::<()>().await;
}

#[test]
fn a_writer_that_is_dropped_or_panics_invalidates_too() {
    over_both_on_short_lived_runtimes(&async |cache: &Cache| {
        for panics in [false, true] {
            let id = support::fresh();
            cache.scope(async { stored!(cache, profile(id)) }).await;
            let began = Arc::new(AtomicBool::new(false));
            let ours = (cache.clone(), began.clone());
            let writer = tokio::spawn(async move { ours.0.scope(stuck(id, ours.1, panics)).await });
            eventually("it writes", || async { began.load(Ordering::SeqCst) }).await;
            cache.scope(async { hit!(profile(id)) }).await;
            if !panics {
                writer.abort();
            }
            assert_eq!(writer.await.unwrap_err().is_panic(), panics);
            let gone = || async { cache.scope(peek(profile(id))).await.is_none() };
            eventually("it is gone", gone).await;
        }
        // One that was never polled has not begun to write.
        let id = support::fresh();
        cache
            .scope(async {
                stored!(cache, profile(id));
                drop(stuck(id, Arc::default(), false));
                tokio::task::yield_now().await;
                hit!(profile(id));
            })
            .await;
    });
}

#[cache_result(ttl = 60)]
async fn at(place: usize) -> u64 {
    run()
}

#[cache_invalidate(|ids| at(ids[0]), profile(id))]
async fn write_none(id: u32) -> Vec<usize> {
    Vec::new()
}

#[tokio::test]
async fn a_closure_that_panics_does_not_undo_what_was_written() {
    over_both(|cache: Cache| async move {
        stored!(cache, profile(1));
        assert_eq!(write_none(1).await, Vec::<usize>::new());
        assert_eq!(peek(profile(1)).await, None);
    })
    .await;
}

#[tokio::test]
async fn a_writer_that_is_dropped_binds_its_process_at_once() {
    let server = Server::start().await;
    let cache = server.cache().await;
    cache
        .scope(async {
            stored!(cache, profile(1));
            let began = Arc::new(AtomicBool::new(false));
            let mut writer = Box::pin(stuck(1, began.clone(), false));
            assert!((&mut writer).now_or_never().is_none());
            assert!(began.load(Ordering::SeqCst));
            server.freeze();
            drop(writer);
            let (_, outcome) = observe(profile(1)).await;
            assert_eq!(outcome.reason(), Some(cache_runtime::Reason::Invalidated));
            server.thaw();
            eventually("it is delivered", || async { cache.stats().undelivered == 0 }).await;
            computed!(cache, profile(1));
        })
        .await;
}

#[tokio::test]
async fn all_of_a_writer_goes_out_as_one_command() {
    let server = Server::start().await;
    let cache = server.cache().await;
    cache
        .scope(async {
            fill(&cache, 1).await;
            let before = server.calls("unlink").await;
            create(listing(1), false).await.unwrap();
            assert_eq!(server.calls("unlink").await, before + 1);
        })
        .await;
}

#[tokio::test]
async fn an_invalidation_that_fails_changes_nothing_for_the_writer_and_is_made_up_for() {
    let server = Server::start().await;
    let (here, there) = (server.cache().await, server.cache().await);
    here.scope(fill(&here, 1)).await;
    server.command::<()>(&["ACL", "SETUSER", "default", "-unlink"]).await;
    let written = here.scope(create(listing(1), false)).await;
    assert_eq!(written, Ok(listing(1)));
    assert_eq!(here.stats().undelivered, 4);
    assert!(here.scope(observe(profile(1))).await.1.is_bypassed());
    assert_eq!(there.scope(left(1)).await, [true; 4]);
    server.command::<()>(&["ACL", "SETUSER", "default", "+unlink"]).await;
    eventually("it is delivered", || async { here.stats().undelivered == 0 }).await;
    assert_eq!(there.scope(left(1)).await, [false; 4]);
}

#[tokio::test]
async fn a_writer_waits_for_a_hung_server_no_longer_than_the_budget() {
    let server = Server::start().await;
    let config = cache_runtime::Config::redis(&server.url()).unwrap();
    let cache = Cache::connect(config).await.unwrap();
    server.freeze();
    let written = timeout(Duration::from_secs(5), cache.scope(create(listing(1), false))).await;
    assert_eq!(written.unwrap(), Ok(listing(1)));
    assert_eq!(cache.stats().undelivered, 4);
    server.thaw();
    eventually("it is delivered", || async { cache.stats().undelivered == 0 }).await;
}

#[tokio::test]
async fn a_writer_whose_cache_is_off_just_writes() {
    let off = Cache::disabled();
    assert_eq!(off.scope(create(listing(1), false)).await, Ok(listing(1)));
    assert_eq!(off.stats().undelivered, 0);
}

struct Users {
    cache: Cache,
    id: u32,
}

impl Users {
    #[cache_result(ttl = 60, key = "{self.id}:{user}", cache = self.cache)]
    async fn find(&self, user: u32) -> u64 {
        run()
    }

    #[cache_invalidate(self.find(user), prefix = "search", cache = self.cache)]
    async fn rename(&mut self, user: u32, name: &str) -> usize {
        name.len()
    }
}

#[async_trait::async_trait]
trait Store: Sync {
    async fn delete(&self, user: u32) -> bool;
}

#[async_trait::async_trait]
impl Store for Users {
    #[cache_invalidate(self.find(user))]
    async fn delete(&self, user: u32) -> bool {
        user > 0
    }
}

#[tokio::test]
async fn methods_and_trait_objects_write_in_the_cache_they_name() {
    over_both(|cache: Cache| async move {
        let mut users = Users { cache: cache.clone(), id: 7 };
        let outside = Cache::disabled();
        let searched = stored!(cache, search("a"));
        stored!(cache, users.find(1));
        // In no scope of its own: the cache is the one that is named.
        assert_eq!(outside.scope(users.rename(1, "abc")).await, 3);
        computed!(cache, users.find(1));
        assert_ne!(computed!(cache, search("a")), searched);
        let store: &dyn Store = &users;
        assert!(store.delete(1).await);
        computed!(cache, users.find(1));
    })
    .await;
}

#[cache_invalidate(profile(id), |name: &&str| search(name))]
async fn borrowing<'a>(id: u32, name: &'a str, log: &mut Vec<u32>) -> &'a str {
    log.push(id);
    name
}

#[cache_invalidate(|found| search(found))]
async fn perhaps(there: bool) -> Result<Option<String>, String> {
    Ok(there.then(|| "found".to_owned()))
}

#[tokio::test]
async fn writers_may_borrow_and_return_what_they_like() {
    over_both(|cache: Cache| async move {
        stored!(cache, profile(1));
        stored!(cache, search("name"));
        let mut log = Vec::new();
        assert_eq!(borrowing(1, "name", &mut log).await, "name");
        assert_eq!(log, [1]);
        assert_eq!((peek(profile(1)).await, peek(search("name")).await), (None, None));
        let found = stored!(cache, search("found"));
        assert_eq!(perhaps(false).await, Ok(None));
        assert_eq!(hit!(search("found")), found);
        perhaps(true).await.unwrap();
        computed!(cache, search("found"));
    })
    .await;
}

fn assert_send<F: Future + Send>(_: &F) {}

#[tokio::test]
async fn a_writer_is_send_as_its_plain_function_is() {
    assert_send(&create(listing(1), true));
    assert_send(&perhaps(true));
    let mut log = Vec::new();
    assert_send(&borrowing(1, "", &mut log));
    assert_send(&cache_runtime::invalidate((profile(1), areas(String::new()))));
    assert_send(&Cache::disabled().invalidate_prefix("a"));
}

/// A service with a cache of its own, to which its functions do not pay attention.
struct Holder {
    cache: Cache,
}

impl Holder {
    #[cache_invalidate(profile(id), |id| areas(id.to_string()), cache = self.cache)]
    async fn rename(&self, id: u32) -> u32 {
        id
    }
}

#[tokio::test]
async fn the_calls_that_a_writer_names_are_those_of_its_cache() {
    let [own, other] = [(), ()].map(|()| Cache::in_memory());
    let holder = Holder { cache: own.clone() };
    for cache in [&own, &other] {
        cache
            .scope(async {
                stored!(cache, profile(7));
                stored!(cache, areas("7".into()));
            })
            .await;
    }
    other.scope(holder.rename(7)).await;
    own.scope(async {
        assert_eq!(peek(profile(7)).await, None);
        assert_eq!(peek(areas("7".into())).await, None);
    })
    .await;
    other
        .scope(async {
            hit!(profile(7));
            hit!(areas("7".into()));
        })
        .await;
}
