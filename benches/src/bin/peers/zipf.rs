//! 100,000 keys asked for by their rank (Zipf, 0.99), with room in this process for a tenth.

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use cache_runtime::{Cache, Config, cache_result};

use crate::adapter::{hitbox_redis, near};
use crate::contest::{Lane, Pace, median, ratio, rounds};
use crate::report::{count, table, title};
use crate::spin::Holds;
use crate::values::{Small, body};

const KEYS: u64 = 100_000;
const ROOM: u64 = KEYS / 10;
const TASKS: u64 = 64;
const KIND: &str = "apartments";

#[cache_result(ttl = 3600, prefix = "zipf", local)]
async fn ours(kind: &str, page: u64) -> Small {
    let _ = kind;
    body::small(page).await
}

/// The share of all calls that goes to a rank or one before it.
static SHARES: LazyLock<Vec<f64>> = LazyLock::new(|| {
    let mut sum = 0.0;
    let weights = (1..=KEYS).map(|rank| (rank as f64).powf(-0.99));
    let sums: Vec<f64> = weights
        .map(|weight| {
            sum += weight;
            sum
        })
        .collect();
    sums.iter().map(|part| part / sum).collect()
});

struct Dice(u64);

impl Dice {
    /// Another one each time.
    fn new() -> Self {
        static MADE: AtomicU64 = AtomicU64::new(1);
        Self(MADE.fetch_add(1, Relaxed).wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    fn key(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        let share = (self.0 >> 11) as f64 / (1_u64 << 53) as f64;
        SHARES.partition_point(|upto| *upto < share) as u64
    }
}

/// Calls per second of all tasks in one turn.
async fn turn<F, Fut>(span: Duration, call: F) -> f64
where
    F: Fn(u64) -> Fut + Clone + Send + 'static,
    Fut: Future + Send,
{
    let begun = Instant::now();
    let tasks = (0..TASKS).map(|_| {
        let (call, mut dice) = (call.clone(), Dice::new());
        tokio::spawn(async move {
            let mut calls = 0_u64;
            while begun.elapsed() < span {
                std::hint::black_box(call(dice.key()).await);
                calls += 1;
            }
            calls
        })
    });
    let mut calls = 0;
    for task in tasks.collect::<Vec<_>>() {
        calls += task.await.expect("no caller panics");
    }
    calls as f64 / begun.elapsed().as_secs_f64()
}

/// Stores every key, and sees that the values are right.
async fn fill<F, Fut>(call: &F)
where
    F: Fn(u64) -> Fut + Clone + Send + 'static,
    Fut: Future<Output: Holds> + Send,
{
    let tasks = (0..TASKS).map(|task| {
        let call = call.clone();
        tokio::spawn(async move {
            for key in (task..KEYS).step_by(TASKS as usize) {
                assert!(call(key).await.small() == Some(&Small::of(key)), "{key} is not right");
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.expect("the values are right");
    }
}

async fn lane<F, Fut>(name: &'static str, pace: Pace, call: F) -> Lane<f64>
where
    F: Fn(u64) -> Fut + Clone + Send + 'static,
    Fut: Future<Output: Holds> + Send + 'static,
{
    fill(&call).await;
    Lane::new(name, move || turn(pace.turn, call.clone()))
}

async fn cache(url: &str, local: bool) -> Arc<Cache> {
    let config = Config::redis(url).expect("a well-formed URL");
    // A copy of these values is counted as about 300 bytes.
    let config = if local { config.local_bytes(ROOM as usize * 300) } else { config.local(false) };
    Arc::new(Cache::connect(config).await.expect("the server answers"))
}

pub async fn zipf(url: &str, pace: Pace) {
    let (with, without) = (cache(url, true).await, cache(url, false).await);
    let hitbox = Arc::new(hitbox_redis::tiered(url, ROOM));
    let kit = Arc::new(near::kit(url, ROOM as usize).await);
    let tiers = Arc::new(near::tiers(url, ROOM).await);
    let scoped = |cache: &Arc<Cache>| {
        let cache = cache.clone();
        move |page| {
            let cache = cache.clone();
            async move { cache.scope(ours(KIND, page)).await }
        }
    };
    let lanes = [
        lane("ours, `local`", pace, scoped(&with)).await,
        lane("ours, Redis alone", pace, scoped(&without)).await,
        lane("hitbox, moka before Redis", pace, move |page| {
            let hitbox = hitbox.clone();
            async move { near::hitbox(KIND.to_owned(), page).cache(&*hitbox).await }
        })
        .await,
        lane("cachekit-rs", pace, move |page| {
            let kit = kit.clone();
            async move { near::cachekit(&kit, KIND, page).await }
        })
        .await,
        lane("multi-tier-cache", pace, move |page| {
            let tiers = tiers.clone();
            async move { near::multi_tier(&tiers, KIND, page).await }
        })
        .await,
    ];
    let before = with.stats().prefix("zipf");
    let done = rounds(&lanes, pace.rounds).await;
    let after = with.stats().prefix("zipf");
    let hits = after.since(&before).calls();
    let share = (after.local_hits - before.local_hits) as f64 / hits as f64 * 100.0;
    title(
        "Zipf (0.99) over 100,000 keys, 64 tasks",
        &format!(
            "200 bytes by value; in process there is room for about {ROOM} of them. {share:.0} % of \
             ours were answered from copies in this process, and {} copies were kept at the end.",
            count(with.stats().local_entries as f64)
        ),
    );
    let rows: Vec<_> = lanes
        .iter()
        .zip(&done)
        .map(|(lane, calls)| {
            let to = format!("{:.2}", ratio(&done[0], calls, |&calls| calls));
            vec![lane.name.clone(), count(median(calls.clone())), to]
        })
        .collect();
    table(&["contestant", "calls/s", "ours to it"], &rows);
}
