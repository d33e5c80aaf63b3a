//! How long a copy in one process outlives an invalidation in another. Two caches with connections
//! of their own stand for the two.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use cache_runtime::{Cache, Config, cache_result, invalidate};

use crate::contest::{Pace, quantile};
use crate::report::{Target, table, time, title};

static NOW: AtomicU64 = AtomicU64::new(0);

#[cache_result(ttl = 3600, prefix = "moved", local)]
async fn moved(id: u64) -> u64 {
    NOW.load(Relaxed).max(id)
}

async fn connected(url: &str) -> Cache {
    let config = Config::redis(url).expect("a well-formed URL");
    Cache::connect(config).await.expect("the server answers")
}

/// Calls until one is answered from a copy in this process.
async fn copied(cache: &Cache) {
    let hits = || cache.stats().prefix("moved").local_hits;
    let before = hits();
    while hits() == before {
        cache.scope(moved(0)).await;
        tokio::task::yield_now().await;
    }
}

pub async fn invalidated(url: &str, pace: Pace) -> Vec<Target> {
    let (here, there) = (connected(url).await, connected(url).await);
    let times = 100 * pace.rounds;
    let (mut delays, mut stale) = (Vec::new(), 0);
    for _ in 0..times {
        copied(&here).await;
        let new = NOW.fetch_add(1, Relaxed) + 1;
        there.scope(invalidate(moved(0))).await.expect("it is delivered");
        let done = Instant::now();
        while here.scope(moved(0)).await != new {
            stale += 1;
            assert!(done.elapsed() < Duration::from_secs(10), "the copy stays");
        }
        delays.push(done.elapsed());
    }
    delays.sort_unstable();
    title(
        "Invalidation of another process's copy",
        "From the return of the invalidation in one process to the first new value in the other, \
         which calls without a pause; the run of the function and the read are in it.",
    );
    let [p50, p99, worst] = [0.5, 0.99, 1.0].map(|share| quantile(&delays, share));
    let row = [times.to_string(), time(p50), time(p99), time(worst), stale.to_string()];
    table(&["invalidations", "p50", "p99", "worst", "old values meanwhile"], &[row.into()]);
    let work = "near cache after an invalidation in another process, p99";
    vec![Target::at_most(work, 5.0, "ms", p99 * 1e3)]
}
