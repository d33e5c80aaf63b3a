//! `cachekit-rs`: its preset for production, without the level in process.

use cachekit::{CacheKit, CachekitError, cachekit};

use crate::values::{Got, Large, Peer, Reads, Small, body};

pub struct Kit(CacheKit);

#[cachekit(client = cache, ttl = 3600, interop = "small", namespace = "peers")]
pub async fn small(cache: &CacheKit, id: u64) -> Result<Small, CachekitError> {
    Ok(body::small(id).await)
}

#[cachekit(client = cache, ttl = 3600, interop = "large", namespace = "peers")]
async fn large(cache: &CacheKit, id: u64) -> Result<Large, CachekitError> {
    Ok(body::large(id).await)
}

#[cachekit(client = cache, ttl = 3600, interop = "slow", namespace = "peers")]
async fn slow(cache: &CacheKit, id: u64) -> Result<Small, CachekitError> {
    Ok(body::slow(id).await)
}

#[cachekit(client = cache, ttl = 3600, interop = "brief", namespace = "peers")]
async fn brief(cache: &CacheKit, id: u64) -> Result<Small, CachekitError> {
    Ok(body::brief(id).await)
}

impl Reads for Kit {
    const NAME: &'static str = "cachekit-rs";

    async fn start(url: &str) -> Self {
        let kit = CacheKit::production(url).await.expect("the server answers");
        Self(kit.no_l1().build().expect("settings that fit"))
    }

    async fn small(&self, id: u64) -> Got<Small> {
        small(&self.0, id).await.into()
    }

    async fn large(&self, id: u64) -> Got<Large> {
        large(&self.0, id).await.into()
    }
}

impl Peer for Kit {
    async fn slow(&self, id: u64) -> Got<Small> {
        slow(&self.0, id).await.into()
    }

    async fn brief(&self, id: u64) -> Got<Small> {
        brief(&self.0, id).await.into()
    }
}
