//! Checks that use the cache as an application does: an entry, an invalidation, the push of tracking.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use cache_runtime::{Cache, Config, OutcomeKind, cache_result, invalidate, observe};

use super::super::terminal;
use super::check::{Finding, Running};
use super::facts::Facts;

/// Long enough that a server that is slow is not taken for one that is wrong: `latency` judges the time.
const PATIENCE: Duration = Duration::from_secs(3);

static RUNS: AtomicU64 = AtomicU64::new(1);

/// The function that is cached: a number that no run before has returned.
#[cache_result(ttl = 60, prefix = "cachectl-doctor")]
async fn stored(nonce: u64) -> u64 {
    run(nonce)
}

/// The same with copies in this process.
#[cache_result(ttl = 60, prefix = "cachectl-doctor-local", local)]
async fn copied(nonce: u64) -> u64 {
    run(nonce)
}

fn run(_: u64) -> u64 {
    RUNS.fetch_add(1, Ordering::Relaxed)
}

/// A number that no other run of this program has.
fn nonce() -> u64 {
    RandomState::new().build_hasher().finish()
}

fn patient(config: &Config) -> Config {
    config.clone().budget(PATIENCE).timeout(PATIENCE)
}

async fn connect(config: &Config) -> Result<Cache, Finding> {
    let connected = Cache::connect(patient(config)).await;
    connected.map_err(|error| {
        Finding::stop(error.to_string()).fix("mend the errors above, and try again")
    })
}

/// Populates, hits and invalidates.
pub(super) fn entry(facts: &Facts) -> Running<'_> {
    Box::pin(async move {
        match connect(&facts.target.config).await {
            Ok(cache) => {
                let finding = cache.scope(Box::pin(round_trip(&cache))).await;
                let _ = cache.close(Duration::from_secs(1)).await;
                finding
            }
            Err(finding) => finding,
        }
    })
}

async fn round_trip(cache: &Cache) -> Finding {
    let nonce = nonce();
    let mut took = Vec::new();
    let began = Instant::now();
    let (first, outcome) = observe(stored(nonce)).await;
    cache.flush().await;
    took.push(("populated", began.elapsed()));
    if outcome.kind != OutcomeKind::Computed {
        return failed(cache, "a call was not cached", outcome.kind);
    }
    let began = Instant::now();
    let (second, outcome) = observe(stored(nonce)).await;
    took.push(("hit", began.elapsed()));
    if outcome.kind != OutcomeKind::Hit || first != second {
        return failed(cache, "a value that was stored is not there", outcome.kind);
    }
    let began = Instant::now();
    if let Err(error) = invalidate(stored(nonce)).await {
        return Finding::stop(format!("an invalidation has failed: {error}"))
            .fix(fix(&error.to_string()));
    }
    took.push(("invalidated", began.elapsed()));
    let (third, outcome) = observe(stored(nonce)).await;
    cache.flush().await;
    // What is left expires within a minute.
    let _ = invalidate(stored(nonce)).await;
    if outcome.kind != OutcomeKind::Computed || third == first {
        return failed(cache, "an invalidated value was served", outcome.kind);
    }
    let told =
        took.iter().map(|(what, time)| format!("{what} in {}", terminal::time(time.as_secs_f64())));
    Finding::ok(told.collect::<Vec<_>>().join(", "))
}

fn failed(cache: &Cache, what: &str, kind: OutcomeKind) -> Finding {
    let why = cache.health().last_error.unwrap_or_default();
    let outcome = match kind {
        OutcomeKind::Bypassed(reason) => format!("bypassed: {}", reason.as_str()),
        other => other.as_str().to_owned(),
    };
    let told = if why.is_empty() { String::new() } else { format!("; {why}") };
    Finding::stop(format!("{what} ({outcome}{told})")).fix(fix(&why))
}

fn fix(why: &str) -> &'static str {
    match why {
        why if why.contains("OOM") => "CONFIG SET maxmemory-policy volatile-lru, or more memory",
        why if why.contains("NOPERM") => "grant the rights that the check `acl-min` names",
        why if why.contains("READONLY") => "REDIS_URL=redis://the address of the master",
        why if why.contains("MISCONF") => "CONFIG SET save ''",
        _ => "mend the errors above, and try again",
    }
}

/// Whether a copy in one process goes when another process invalidates it.
pub(super) fn tracking(facts: &Facts) -> Running<'_> {
    Box::pin(async move {
        if facts.servers.iter().any(|server| !server.application.resp3()) {
            return without_effect("the server does not speak RESP3");
        }
        let config = facts.target.config.clone().local(true);
        match (connect(&config).await, connect(&config).await) {
            (Ok(one), Ok(two)) => {
                let finding = pushed(&one, &two).await;
                for cache in [one, two] {
                    let _ = cache.close(Duration::from_secs(1)).await;
                }
                finding
            }
            (Err(finding), _) | (_, Err(finding)) => finding,
        }
    })
}

fn without_effect(why: &str) -> Finding {
    Finding::warn(format!("{why}: `local` is without effect"))
        .fix("use a server with CLIENT TRACKING and RESP3, or leave `local` out")
}

async fn pushed(one: &Cache, two: &Cache) -> Finding {
    let nonce = nonce();
    one.scope(copied(nonce)).await;
    one.flush().await;
    if becomes_local(two, nonce, true, Duration::from_secs(2)).await.is_none() {
        let why = two.health().last_error.unwrap_or_else(|| "no copy is kept".to_owned());
        return without_effect(&why);
    }
    if let Err(error) = one.scope(invalidate(copied(nonce))).await {
        return Finding::error(format!("an invalidation has failed: {error}"))
            .fix(fix(&error.to_string()));
    }
    let gone = becomes_local(two, nonce, false, Duration::from_millis(1500)).await;
    let _ = one.scope(invalidate(copied(nonce))).await;
    let Some(took) = gone else {
        return Finding::error("a copy was served 1.5 s after its invalidation")
            .fix("leave `local` out, and report it");
    };
    let observed = format!(
        "the copy of another process was gone {} after the invalidation",
        terminal::time(took.as_secs_f64())
    );
    Finding::ok(observed)
}

/// How long it took until a call was served from a copy, or until it was not.
async fn becomes_local(
    cache: &Cache,
    nonce: u64,
    wanted: bool,
    limit: Duration,
) -> Option<Duration> {
    let began = Instant::now();
    while began.elapsed() < limit {
        if cache.scope(observe(copied(nonce))).await.1.is_local_hit() == wanted {
            return Some(began.elapsed());
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    None
}
