//! The cache under another name.
//!
//! Where the attribute is not told the name, it asks for it:
//!
//! ```compile_fail
//! #[cache::cache_result(ttl = "1h")]
//! async fn areas(kind: String) -> Vec<String> {
//!     vec![kind]
//! }
//! ```

/// What a company's own crate gives to its services, as `house::cache`.
pub mod house {
    pub use ::cache;
}

use crate::house::cache::cache_result;

/// In a service that has `house` and nothing else.
#[cache_result(ttl = "1h", crate = "crate::house::cache")]
pub async fn areas(kind: String) -> Vec<String> {
    vec![kind]
}

/// In a crate whose `Cargo.toml` has `cache = { package = "cache-runtime", .. }`.
#[cache::cache_result(ttl = "1h", crate = "::cache")]
pub async fn listings(kind: String) -> Vec<String> {
    vec![kind]
}

#[cfg(test)]
mod tests {
    use crate::house::cache::{Cache, observe};

    #[tokio::test]
    async fn they_are_cached() {
        let cache = Cache::in_memory();
        cache
            .scope(async {
                super::areas("buy".into()).await;
                super::listings("buy".into()).await;
                cache.flush().await;
                assert!(observe(super::areas("buy".into())).await.1.is_hit());
                assert!(observe(super::listings("buy".into())).await.1.is_hit());
            })
            .await;
    }
}
