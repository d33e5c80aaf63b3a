//! `multi-tier-cache` with Redis as its only tier, and its default serialiser.

use std::sync::Arc;
use std::time::Duration;

use multi_tier_cache::{CacheStrategy, CacheSystem, CacheSystemBuilder, RedisCache, TierConfig};

use crate::values::{Got, Large, Peer, Reads, Small, body};

pub struct Tiers(CacheSystem);

pub const HOUR: CacheStrategy = CacheStrategy::Custom(Duration::from_secs(3600));

impl Reads for Tiers {
    const NAME: &'static str = "multi-tier-cache";

    async fn start(url: &str) -> Self {
        let redis = RedisCache::with_url(url).await.expect("the server answers");
        let tiers = CacheSystemBuilder::new().with_tier(Arc::new(redis), TierConfig::as_l1());
        Self(tiers.build().await.expect("settings that fit"))
    }

    async fn small(&self, id: u64) -> Got<Small> {
        let run = || async move { Ok(body::small(id).await) };
        let key = format!("small:{id}");
        self.0.cache_manager().get_or_compute_typed(&key, HOUR, run).await.into()
    }

    async fn large(&self, id: u64) -> Got<Large> {
        let run = || async move { Ok(body::large(id).await) };
        let key = format!("large:{id}");
        self.0.cache_manager().get_or_compute_typed(&key, HOUR, run).await.into()
    }
}

impl Peer for Tiers {
    async fn slow(&self, id: u64) -> Got<Small> {
        let run = || async move { Ok(body::slow(id).await) };
        let key = format!("slow:{id}");
        self.0.cache_manager().get_or_compute_typed(&key, HOUR, run).await.into()
    }

    async fn brief(&self, id: u64) -> Got<Small> {
        let run = || async move { Ok(body::brief(id).await) };
        let key = format!("brief:{id}");
        self.0.cache_manager().get_or_compute_typed(&key, HOUR, run).await.into()
    }
}
