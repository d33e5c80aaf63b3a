//! Copies in this process: what they save, what takes them away, and how old they may be. Two caches
//! have nothing in common but the server, as two processes have.

// Many functions answer with the number of their run, whatever they are called with.
#![allow(unused_variables)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use cache_runtime::{
    Cache, Config, OutcomeKind, Reason, bypass, cache_result, invalidate, observe, put, refresh,
};
use serde::{Deserialize, Serialize};
use support::{
    Server, computed, eventually, fresh, hit, in_memory, key_of, landed, over_both, run, stored,
};
use tokio::time::sleep;

/// For how long a copy counts after the server was last heard.
const HEARD: Duration = Duration::from_secs(1);

#[cache_result(ttl = 600, prefix = "local", tags = ["tag:{key}"], local)]
async fn number(key: u32) -> u64 {
    run()
}

/// Calls until the answer comes from a copy in this process.
macro_rules! copied {
    ($call:expr) => {{
        let began = Instant::now();
        loop {
            let (value, outcome) = observe($call).await;
            if outcome.is_local_hit() {
                break value;
            }
            assert!(began.elapsed() < Duration::from_secs(20), "no copy is made: {outcome:?}");
            sleep(Duration::from_millis(1)).await;
        }
    }};
}

async fn two(server: &Server) -> [Cache; 2] {
    [server.cache().await, server.cache().await]
}

#[tokio::test]
async fn the_third_call_asks_nobody() {
    over_both(|cache: Cache| async move {
        let key = fresh();
        let value = computed!(cache, number(key));
        assert_eq!(copied!(number(key)), value);
        let before = cache.stats().prefix("local");
        for _ in 0..100 {
            assert_eq!(number(key).await, value);
        }
        let after = cache.stats().prefix("local");
        assert_eq!(after.local_hits, before.local_hits + 100);
        assert_eq!((after.hits, after.calls()), (before.hits, before.calls() + 100));
        assert!(cache.stats().local_entries > 0 && cache.stats().local_bytes > 0);
    })
    .await;
}

#[tokio::test]
async fn a_copy_costs_no_command() {
    let server = Server::start().await;
    let cache = server.cache().await;
    let key = fresh();
    cache
        .scope(async {
            number(key).await;
            copied!(number(key));
            landed(&cache).await;
            let before = server.commands().await;
            for _ in 0..1000 {
                number(key).await;
            }
            assert_eq!(server.commands().await, before);
        })
        .await;
}

#[tokio::test]
async fn what_this_process_invalidates_is_gone_when_it_returns() {
    over_both(|cache: Cache| async move {
        for round in 0..100 {
            let key = fresh();
            let value = computed!(cache, number(key));
            assert_eq!(copied!(number(key)), value);
            match round % 4 {
                0 => invalidate(number(key)).await.unwrap(),
                1 => cache.invalidate_prefix("local").await.unwrap(),
                2 => cache.invalidate_tag(&format!("tag:{key}")).await.unwrap(),
                _ => drop(cache.clear().await.unwrap()),
            }
            assert_ne!(number(key).await, value, "round {round}");
            landed(&cache).await;
        }
    })
    .await;
}

#[tokio::test]
async fn what_this_process_puts_or_refreshes_is_seen_by_its_next_call() {
    over_both(|cache: Cache| async move {
        let key = fresh();
        number(key).await;
        for value in 1..50 {
            copied!(number(key));
            put(number(key), value).await.unwrap();
            assert_eq!(number(key).await, value);
        }
        copied!(number(key));
        let value = refresh(number(key)).await;
        landed(&cache).await;
        assert_eq!(number(key).await, value);
    })
    .await;
}

/// Calls until the value is another, and never later than a copy may live on.
async fn seen_in_time(cache: &Cache, key: u32, old: u64, since: Instant) {
    loop {
        let began = Instant::now();
        if cache.scope(number(key)).await != old {
            return;
        }
        assert!(began - since < HEARD, "an old copy was served {:?} late", began - since);
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn what_another_process_invalidates_is_heard_of() {
    let server = Server::start().await;
    let [here, there] = two(&server).await;
    for round in 0..40 {
        let key = fresh();
        here.scope(number(key)).await;
        let old = here.scope(async { copied!(number(key)) }).await;
        match round % 4 {
            0 => there.scope(invalidate(number(key))).await.unwrap(),
            1 => there.invalidate_prefix("local").await.unwrap(),
            2 => there.invalidate_tag(&format!("tag:{key}")).await.unwrap(),
            _ => drop(there.clear().await.unwrap()),
        }
        seen_in_time(&here, key, old, Instant::now()).await;
        landed(&here).await;
    }
}

#[tokio::test]
async fn what_others_do_to_the_keys_is_heard_of() {
    let server = Server::start().await;
    let cache = server.cache().await;
    for what in ["DEL", "SET", "FLUSHALL", "EXPIRE"] {
        let key = fresh();
        cache.scope(number(key)).await;
        let old = cache.scope(async { copied!(number(key)) }).await;
        let name = cache.scope(key_of(number(key))).await;
        match what {
            "DEL" => server.command::<()>(&["DEL", &name]).await,
            "SET" => server.command::<()>(&["SET", &name, "garbage"]).await,
            "EXPIRE" => server.command::<()>(&["PEXPIRE", &name, "1"]).await,
            _ => server.command::<()>(&["FLUSHALL"]).await,
        }
        seen_in_time(&cache, key, old, Instant::now()).await;
    }
}

#[tokio::test]
async fn a_server_that_hangs_is_believed_for_a_second_and_no_longer() {
    let server = Server::start().await;
    let config = server.config().timeout(Duration::from_millis(100));
    let cache = Cache::connect(config.budget(Duration::from_millis(100))).await.unwrap();
    let key = fresh();
    cache.scope(number(key)).await;
    let old = cache.scope(async { copied!(number(key)) }).await;
    server.freeze();
    let frozen = Instant::now();
    let late = loop {
        let began = Instant::now();
        let (value, outcome) = cache.scope(observe(number(key))).await;
        if !outcome.is_local_hit() {
            assert!(matches!(outcome.reason(), Some(Reason::Timeout | Reason::Unavailable)));
            assert_ne!(value, old);
            break began - frozen;
        }
        assert_eq!(value, old);
        tokio::task::yield_now().await;
    };
    assert!(late < HEARD, "{late:?}");
    server.thaw();
    // Copies are made again, of what is stored.
    eventually("there is a copy", || async {
        cache.scope(observe(number(key))).await.1.is_local_hit()
    })
    .await;
}

#[tokio::test]
async fn a_lost_connection_takes_all_copies_with_it() {
    let server = Server::start().await;
    let cache = server.cache().await;
    let key = fresh();
    cache.scope(number(key)).await;
    for _ in 0..5 {
        let old = cache.scope(async { copied!(number(key)) }).await;
        let raw = server.client().await;
        let name = cache.scope(key_of(number(key))).await;
        // The cut and the change come together: the change is announced to nobody.
        let mut both = redis::pipe();
        both.cmd("CLIENT").arg("KILL").arg("TYPE").arg("normal").arg("SKIPME").arg("yes").ignore();
        both.cmd("DEL").arg(name).ignore();
        let mut raw = raw;
        both.query_async::<()>(&mut raw).await.unwrap();
        seen_in_time(&cache, key, old, Instant::now()).await;
    }
}

#[tokio::test]
async fn a_copy_ends_with_its_entry_and_with_its_own_time() {
    #[cache_result(ttl = "700ms", jitter = 0.0, local)]
    async fn short(key: u32) -> u64 {
        run()
    }
    #[cache_result(ttl = 600, local = "300ms")]
    async fn capped(key: u32) -> u64 {
        run()
    }
    over_both(|cache: Cache| async move {
        let key = fresh();
        let began = Instant::now();
        let value = short(key).await;
        assert_eq!(copied!(short(key)), value);
        while short(key).await == value {
            assert!(began.elapsed() < Duration::from_secs(20));
            tokio::task::yield_now().await;
        }
        assert!(began.elapsed() > Duration::from_millis(600), "{:?}", began.elapsed());

        let value = capped(key).await;
        copied!(capped(key));
        eventually("the copy ends before the entry", || async {
            let (again, outcome) = observe(capped(key)).await;
            assert_eq!(again, value);
            !outcome.is_local_hit()
        })
        .await;
        drop(cache);
    })
    .await;
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct NotClone(u64);

#[cache_result(ttl = 600, local)]
async fn shared(key: u32) -> Arc<Vec<u64>> {
    Arc::new(vec![run(); 100])
}

#[cache_result(ttl = 600, local)]
async fn not_clone(key: u32) -> Result<NotClone, String> {
    Ok(NotClone(run()))
}

#[cache_result(ttl = 600, none_ttl = 600, local)]
async fn nothing(key: u32) -> Option<u64> {
    run();
    None
}

#[tokio::test]
async fn values_of_every_kind_are_copied() {
    over_both(|cache: Cache| async move {
        let key = fresh();
        computed!(cache, shared(key));
        let one = copied!(shared(key));
        assert!(Arc::ptr_eq(&one, &copied!(shared(key))), "an `Arc` is handed out as it is");
        let value = computed!(cache, not_clone(key));
        assert_eq!(copied!(not_clone(key)), value);
        computed!(cache, nothing(key));
        assert_eq!(copied!(nothing(key)), None);
    })
    .await;
}

#[tokio::test]
async fn what_goes_into_an_entry_is_not_made_of_a_copy() {
    #[cache_result(ttl = 600)]
    async fn outer(key: u32) -> (u64, OutcomeKind2) {
        let (value, outcome) = observe(number(key)).await;
        (value, if outcome.is_local_hit() { OutcomeKind2::Local } else { OutcomeKind2::Stored })
    }
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    enum OutcomeKind2 {
        Local,
        Stored,
    }
    over_both(|cache: Cache| async move {
        let key = fresh();
        let value = computed!(cache, number(key));
        copied!(number(key));
        assert_eq!(computed!(cache, outer(key)), (value, OutcomeKind2::Stored));
        // What is not stored may be.
        assert_eq!(bypass(outer(key)).await, (value, OutcomeKind2::Local));
    })
    .await;
}

#[tokio::test]
async fn an_invalidation_that_is_not_delivered_binds_the_copies_too() {
    let server = Server::start().await;
    let short = Duration::from_millis(100);
    let cache = Cache::connect(server.config().timeout(short).budget(short)).await.unwrap();
    let key = fresh();
    cache
        .scope(async {
            number(key).await;
            let old = copied!(number(key));
            server.command::<()>(&["CLIENT", "PAUSE", "600", "WRITE"]).await;
            invalidate(number(key)).await.unwrap_err();
            // The reads are answered, the copy is untouched, and neither is used.
            let (value, outcome) = observe(number(key)).await;
            assert_ne!(value, old);
            assert_eq!(outcome.reason(), Some(Reason::Invalidated));
            eventually("it is delivered", || async { cache.stats().undelivered == 0 }).await;
            assert_ne!(number(key).await, old);
        })
        .await;
}

/// The team is in the tag alone.
#[cache_result(ttl = 600, local, skip(team), tags = ["team:{team}"])]
async fn of_team(id: u32, team: u32) -> u64 {
    run()
}

#[tokio::test]
async fn a_copy_depends_on_the_tags_of_its_own_call() {
    over_both(|cache: Cache| async move {
        let id = fresh();
        of_team(id, 1).await;
        let old = copied!(of_team(id, 1));
        cache.invalidate_tag("team:2").await.unwrap();
        assert_ne!(of_team(id, 2).await, old);
        assert_eq!(copied!(of_team(id, 1)), old);
    })
    .await;
}

#[tokio::test]
async fn copies_are_bounded_in_bytes() {
    #[cache_result(ttl = 600, local)]
    async fn large(key: u32) -> Arc<Vec<u8>> {
        Arc::new(vec![1; 1000])
    }
    let bytes = 256 << 10;
    let server = Server::start().await;
    let cache = Cache::connect(server.config().local_bytes(bytes)).await.unwrap();
    cache
        .scope(async {
            for key in 0..1000 {
                large(key).await;
                large(key).await;
                large(key).await;
            }
            let stats = cache.stats();
            assert!(stats.local_bytes <= bytes as u64, "{stats:?}");
            assert!(stats.local_entries > 50, "{stats:?}");
        })
        .await;
}

#[tokio::test]
async fn switched_off_and_on_again_there_are_no_copies_left() {
    over_both(|cache: Cache| async move {
        let key = fresh();
        number(key).await;
        let old = copied!(number(key));
        cache.disable();
        assert_ne!(number(key).await, old);
        invalidate(number(key)).await.unwrap();
        cache.enable();
        assert_eq!(cache.stats().local_entries, 0);
        assert_ne!(number(key).await, old);
    })
    .await;
}

#[tokio::test]
async fn the_environment_goes_before_the_attribute() {
    #[cache_result(ttl = 600)]
    async fn plain(key: u32) -> u64 {
        run()
    }
    let server = Server::start().await;
    let off = Cache::connect(server.config().local(false)).await.unwrap();
    let key = fresh();
    let value = off.scope(async { stored!(off, number(key)) }).await;
    for _ in 0..20 {
        assert_eq!(off.scope(observe(number(key))).await.1.kind, OutcomeKind::Hit);
    }
    let on = Cache::connect(server.config().local(true)).await.unwrap();
    assert_eq!(on.scope(async { copied!(number(key)) }).await, value);
    on.scope(async {
        let value = computed!(on, plain(key));
        assert_eq!(copied!(plain(key)), value);
        invalidate(plain(key)).await.unwrap();
        assert_ne!(plain(key).await, value);
    })
    .await;
}

#[tokio::test]
async fn without_announcements_there_are_no_copies() {
    let server = Server::start().await;
    let config = Config::redis(&format!("{}?protocol=resp2", server.url())).unwrap();
    let cache = Cache::connect(support::patient(config)).await.unwrap();
    let key = fresh();
    cache
        .scope(async {
            stored!(cache, number(key));
            for _ in 0..20 {
                assert_eq!(observe(number(key)).await.1.kind, OutcomeKind::Hit);
            }
        })
        .await;
}

#[tokio::test]
async fn a_copy_whose_clone_panics_is_a_miss() {
    #[derive(Debug, Serialize, Deserialize)]
    struct Touchy(u64, #[serde(skip)] std::sync::atomic::AtomicU32);
    impl Clone for Touchy {
        fn clone(&self) -> Self {
            let before = self.1.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            assert!(before == 0, "a copy is cloned");
            Self(self.0, 7.into())
        }
    }
    #[cache_result(ttl = 600, local)]
    async fn touchy(key: u32) -> Touchy {
        Touchy(run(), 0.into())
    }
    over_both(|cache: Cache| async move {
        let key = fresh();
        let value = computed!(cache, touchy(key)).0;
        for _ in 0..20 {
            assert_eq!(hit!(touchy(key)).0, value);
        }
    })
    .await;
}

#[test]
fn hits_let_other_tasks_have_their_turn() {
    let cache = in_memory();
    support::block_on(cache.scope(async {
        let key = fresh();
        computed!(cache, number(key));
        copied!(number(key));
        let other = tokio::spawn(async {});
        let mut hits = 0;
        while !other.is_finished() {
            number(key).await;
            hits += 1;
            assert!(hits < 100_000, "hits never yield");
        }
    }));
}
