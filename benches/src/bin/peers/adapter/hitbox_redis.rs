//! `hitbox` over Redis, with the concurrency manager that it recommends for production.

use std::time::Duration;

use hitbox::concurrency::BroadcastConcurrencyManager;
use hitbox::offload::OffloadManager;
use hitbox::policy::ConcurrencyLimit;
use hitbox_backend::CompositionBackend;
use hitbox_backend::composition::policy::RefillPolicy;
use hitbox_backend::composition::{Compose, CompositionPolicy};
use hitbox_fn::prelude::*;
use hitbox_moka::MokaBackend;
use hitbox_redis::{ConnectionMode, RedisBackend};

use crate::values::{Got, Large, Peer, Reads, Small, body};

type Of<T> = Cache<RedisBackend, BroadcastConcurrencyManager<T>>;

pub struct Hitbox {
    small: Of<Small>,
    large: Of<Large>,
}

#[cached(prefix = "small")]
async fn small(id: u64) -> Small {
    body::small(id).await
}

#[cached(prefix = "large")]
async fn large(id: u64) -> Large {
    body::large(id).await
}

#[cached(prefix = "slow")]
async fn slow(id: u64) -> Small {
    body::slow(id).await
}

#[cached(prefix = "brief")]
async fn brief(id: u64) -> Small {
    body::brief(id).await
}

pub fn policy() -> PolicyConfig {
    let one = ConcurrencyLimit::new(1).expect("in its range");
    PolicyConfig::builder().ttl(Duration::from_secs(3600)).concurrency(one).build()
}

fn backend(url: &str) -> RedisBackend {
    let backend = RedisBackend::builder().connection(ConnectionMode::single(url));
    backend.build().expect("a well-formed URL")
}

impl Reads for Hitbox {
    const NAME: &'static str = "hitbox-redis";

    async fn start(url: &str) -> Self {
        Self {
            small: Cache::builder()
                .backend(backend(url))
                .policy(policy())
                .concurrency_manager(BroadcastConcurrencyManager::new())
                .build(),
            large: Cache::builder()
                .backend(backend(url))
                .policy(policy())
                .concurrency_manager(BroadcastConcurrencyManager::new())
                .build(),
        }
    }

    async fn small(&self, id: u64) -> Got<Small> {
        Got::Value(small(id).cache(&self.small).await)
    }

    async fn large(&self, id: u64) -> Got<Large> {
        Got::Value(large(id).cache(&self.large).await)
    }
}

impl Peer for Hitbox {
    async fn slow(&self, id: u64) -> Got<Small> {
        Got::Value(slow(id).cache(&self.small).await)
    }

    async fn brief(&self, id: u64) -> Got<Small> {
        Got::Value(brief(id).cache(&self.small).await)
    }
}

type Tiered = CompositionBackend<MokaBackend, RedisBackend, OffloadManager>;

/// Moka for so many entries before Redis.
pub fn tiered(url: &str, entries: u64) -> Cache<Tiered, BroadcastConcurrencyManager<Small>> {
    let moka = MokaBackend::builder().max_entries(entries).build();
    let refill = CompositionPolicy::new().refill(RefillPolicy::Always);
    Cache::builder()
        .backend(moka.compose_with(backend(url), OffloadManager::with_defaults(), refill))
        .policy(policy())
        .concurrency_manager(BroadcastConcurrencyManager::new())
        .build()
}
