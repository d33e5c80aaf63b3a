//! This project, with every setting at its default.

use cache_runtime::{Cache, Config, cache_result, init};

use crate::values::{Got, Large, Peer, Reads, Small, body};

/// The global cache for whoever starts first, as in a program; another in a scope.
pub struct Ours(Option<Cache>);

#[cache_result(ttl = 3600, prefix = "small")]
async fn small(id: u64) -> Small {
    body::small(id).await
}

#[cache_result(ttl = 3600, prefix = "large")]
async fn large(id: u64) -> Large {
    body::large(id).await
}

#[cache_result(ttl = 3600, prefix = "slow")]
async fn slow(id: u64) -> Small {
    body::slow(id).await
}

#[cache_result(ttl = 3600, prefix = "brief")]
async fn brief(id: u64) -> Small {
    body::brief(id).await
}

impl Ours {
    async fn within<T>(&self, call: impl Future<Output = T>) -> Got<T> {
        Got::Value(match &self.0 {
            Some(cache) => cache.scope(call).await,
            None => call.await,
        })
    }
}

impl Reads for Ours {
    const NAME: &'static str = "ours";

    async fn start(url: &str) -> Self {
        let config = Config::redis(url).expect("a well-formed URL");
        let cache = Cache::connect(config).await.expect("the server answers");
        Self(init(cache.clone()).is_err().then_some(cache))
    }

    async fn small(&self, id: u64) -> Got<Small> {
        self.within(small(id)).await
    }

    async fn large(&self, id: u64) -> Got<Large> {
        self.within(large(id)).await
    }

    async fn settle(&self) {
        self.0.clone().unwrap_or_else(Cache::global).flush().await;
    }
}

impl Peer for Ours {
    async fn slow(&self, id: u64) -> Got<Small> {
        self.within(slow(id)).await
    }

    async fn brief(&self, id: u64) -> Got<Small> {
        self.within(brief(id)).await
    }
}
