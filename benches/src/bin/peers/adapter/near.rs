//! Functions whose values are in this process, with a `&str` and a `u64` as arguments.

use std::sync::Arc;

use cache_runtime::cache_result;
use cached::macros::concurrent_cached;
use cachekit::{CacheKit, CachekitError, cachekit};
use hitbox::concurrency::BroadcastConcurrencyManager;
use hitbox_fn::{Cache, cached};
use hitbox_moka::MokaBackend;
use multi_tier_cache::{
    CacheResult, CacheSystem, CacheSystemBuilder, MokaCache, MokaCacheConfig, RedisCache,
};

use super::hitbox_redis::policy;
use super::tiers_redis::HOUR;
use crate::values::{Small, body};

#[cache_result(ttl = 3600, prefix = "near:arc", local)]
pub async fn ours_arc(kind: &str, page: u64) -> Arc<Small> {
    let _ = kind;
    Arc::new(body::small(page).await)
}

#[cache_result(ttl = 3600, prefix = "near:value", local)]
pub async fn ours(kind: &str, page: u64) -> Small {
    let _ = kind;
    body::small(page).await
}

#[concurrent_cached(key = "(String, u64)", convert = { (kind.to_owned(), page) })]
pub async fn cached_arc(kind: &str, page: u64) -> Arc<Small> {
    let _ = kind;
    Arc::new(body::small(page).await)
}

#[concurrent_cached(
    max_size = 100_000,
    ttl_secs = 3600,
    key = "(String, u64)",
    convert = { (kind.to_owned(), page) }
)]
pub async fn cached_lru_arc(kind: &str, page: u64) -> Arc<Small> {
    let _ = kind;
    Arc::new(body::small(page).await)
}

#[concurrent_cached(key = "(String, u64)", convert = { (kind.to_owned(), page) })]
pub async fn cached(kind: &str, page: u64) -> Small {
    let _ = kind;
    body::small(page).await
}

pub type HitboxMoka = Cache<MokaBackend, BroadcastConcurrencyManager<Small>>;

pub fn hitbox_moka(entries: u64) -> HitboxMoka {
    Cache::builder()
        .backend(MokaBackend::builder().max_entries(entries).build())
        .policy(policy())
        .concurrency_manager(BroadcastConcurrencyManager::new())
        .build()
}

#[cached(prefix = "near")]
pub async fn hitbox(kind: String, page: u64) -> Small {
    let _ = kind;
    body::small(page).await
}

/// The preset for production, whose first level holds so many entries.
pub async fn kit(url: &str, entries: usize) -> CacheKit {
    let kit = CacheKit::production(url).await.expect("the server answers");
    kit.l1_capacity(entries).build().expect("settings that fit")
}

#[cachekit(client = cache, ttl = 3600, interop = "near", namespace = "peers")]
pub async fn cachekit(cache: &CacheKit, kind: &str, page: u64) -> Result<Small, CachekitError> {
    let _ = kind;
    Ok(body::small(page).await)
}

/// Moka before Redis, its default, with so many entries in the first.
pub async fn tiers(url: &str, entries: u64) -> CacheSystem {
    let config = MokaCacheConfig { max_capacity: entries, ..MokaCacheConfig::default() };
    let moka = MokaCache::new(config).expect("settings that fit");
    let redis = RedisCache::with_url(url).await.expect("the server answers");
    let tiers = CacheSystemBuilder::new().with_l1(Arc::new(moka)).with_l2(Arc::new(redis));
    tiers.build().await.expect("settings that fit")
}

pub async fn multi_tier(tiers: &CacheSystem, kind: &str, page: u64) -> CacheResult<Small> {
    let run = || async move { Ok(body::small(page).await) };
    let key = format!("near:{kind}:{page}");
    tiers.cache_manager().get_or_compute_typed(&key, HOUR, run).await
}
