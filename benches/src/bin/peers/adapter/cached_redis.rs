//! `cached`: its macro over `AsyncRedisCache`. What is measured under outages uses the connection
//! manager, which is its way to reconnect; the rest its default, one multiplexed connection.

use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use cached::AsyncRedisCache;
use cached::macros::concurrent_cached;

use crate::values::{Got, Large, Peer, Reads, Small, body};

pub struct Cached;

/// Where whoever started first is, and whoever started last: a store is made by its first call.
static FIRST: OnceLock<String> = OnceLock::new();
static LAST: Mutex<String> = Mutex::new(String::new());

async fn store<T>(prefix: &str, last: bool) -> AsyncRedisCache<u64, T>
where
    T: serde::Serialize + serde::de::DeserializeOwned + Send,
{
    let first = FIRST.get().expect("it was started").clone();
    let url =
        if last { LAST.lock().unwrap_or_else(PoisonError::into_inner).clone() } else { first };
    let store = AsyncRedisCache::builder(prefix).ttl(Duration::from_secs(3600));
    let store = store.connection_string(&url).connection_manager(last);
    store.build().await.expect("the server answers")
}

#[concurrent_cached(
    map_error = |error| error.to_string(),
    ty = "AsyncRedisCache<u64, Small>",
    create = { store("small", false).await }
)]
async fn small(id: u64) -> Result<Small, String> {
    Ok(body::small(id).await)
}

#[concurrent_cached(
    map_error = |error| error.to_string(),
    ty = "AsyncRedisCache<u64, Large>",
    create = { store("large", false).await }
)]
async fn large(id: u64) -> Result<Large, String> {
    Ok(body::large(id).await)
}

#[concurrent_cached(
    map_error = |error| error.to_string(),
    ty = "AsyncRedisCache<u64, Small>",
    create = { store("slow", false).await }
)]
async fn slow(id: u64) -> Result<Small, String> {
    Ok(body::slow(id).await)
}

#[concurrent_cached(
    map_error = |error| error.to_string(),
    ty = "AsyncRedisCache<u64, Small>",
    create = { store("brief", true).await }
)]
async fn brief(id: u64) -> Result<Small, String> {
    Ok(body::brief(id).await)
}

impl Reads for Cached {
    const NAME: &'static str = "cached";

    async fn start(url: &str) -> Self {
        FIRST.get_or_init(|| url.to_owned());
        url.clone_into(&mut LAST.lock().unwrap_or_else(PoisonError::into_inner));
        Self
    }

    async fn small(&self, id: u64) -> Got<Small> {
        small(id).await.into()
    }

    async fn large(&self, id: u64) -> Got<Large> {
        large(id).await.into()
    }
}

impl Peer for Cached {
    async fn slow(&self, id: u64) -> Got<Small> {
        slow(id).await.into()
    }

    async fn brief(&self, id: u64) -> Got<Small> {
        brief(id).await.into()
    }
}
