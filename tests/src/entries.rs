//! Entries as they lie in Redis.

use cache_runtime::explain;

use crate::Server;

/// How many bytes of an entry that depends on its prefix alone come before its body.
pub const HEADER: usize = 88;

/// The key of a call.
///
/// # Panics
///
/// Where the call has none.
pub async fn key_of(call: impl Future) -> String {
    explain(call).await.expect("a cached function").key.expect("a key")
}

impl Server {
    /// What lies under a key.
    ///
    /// # Panics
    ///
    /// Where nothing does, or the server does not answer.
    pub async fn entry(&self, key: &str) -> Vec<u8> {
        let mut client = self.client().await;
        let entry: Option<_> =
            redis::cmd("GET").arg(key).query_async(&mut client).await.expect("it answers");
        entry.expect("an entry")
    }

    /// Replaces what lies under a key, for a minute.
    ///
    /// # Panics
    ///
    /// Where the server does not answer.
    pub async fn set_entry(&self, key: &str, entry: &[u8]) {
        let set = redis::cmd("SET").arg(key).arg(entry).arg("PX").arg(60_000).to_owned();
        set.query_async::<()>(&mut self.client().await).await.expect("the server answers");
    }
}
