//! What is written by hand: a connection from a deadpool for each call, and JSON.

use deadpool_redis::redis::AsyncCommands;
use deadpool_redis::{Config, Pool, PoolConfig, Runtime};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::values::{Got, Large, Peer, Reads, Small, body};

pub struct ByHand(Pool);

/// A hit, or the function; errors of Redis are misses.
async fn through<T>(pool: &Pool, key: String, run: impl Future<Output = T> + Send) -> Got<T>
where
    T: Serialize + DeserializeOwned + Send + Sync,
{
    if let Ok(mut connection) = pool.get().await
        && let Ok(Some(text)) = connection.get::<_, Option<Vec<u8>>>(&key).await
        && let Ok(value) = serde_json::from_slice(&text)
    {
        return Got::Value(value);
    }
    let value = run.await;
    if let Ok(text) = serde_json::to_vec(&value)
        && let Ok(mut connection) = pool.get().await
    {
        let _: Result<(), _> = connection.set_ex(&key, text, 3600).await;
    }
    Got::Value(value)
}

impl Reads for ByHand {
    const NAME: &'static str = "by hand: deadpool, JSON";

    async fn start(url: &str) -> Self {
        let mut config = Config::from_url(url);
        config.pool = Some(PoolConfig::new(16));
        Self(config.create_pool(Some(Runtime::Tokio1)).expect("a well-formed URL"))
    }

    async fn small(&self, id: u64) -> Got<Small> {
        through(&self.0, format!("hand:small:{id}"), body::small(id)).await
    }

    async fn large(&self, id: u64) -> Got<Large> {
        through(&self.0, format!("hand:large:{id}"), body::large(id)).await
    }
}

impl Peer for ByHand {
    async fn slow(&self, id: u64) -> Got<Small> {
        through(&self.0, format!("hand:slow:{id}"), body::slow(id)).await
    }

    async fn brief(&self, id: u64) -> Got<Small> {
        through(&self.0, format!("hand:brief:{id}"), body::brief(id)).await
    }
}
