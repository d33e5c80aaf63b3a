//! Caches over both stores, and scenarios that run over each.

use std::time::Duration;

use cache_runtime::{Cache, Config, Error};

use crate::{Server, block_on, on_short_lived_runtimes};

/// Settings under which a slow machine bypasses nothing.
pub fn patient(config: Config) -> Config {
    let long = Duration::from_secs(30);
    config.budget(long).timeout(long).wait(long).connect_timeout(Duration::from_secs(5))
}

/// The settings that an environment of these variables gives, with their own patience.
///
/// # Errors
///
/// Where one of them is wrong.
pub fn configured(variables: &[(&str, &str)]) -> Result<Config, Error> {
    let value = |name: &str| variables.iter().find(|(variable, _)| *variable == name);
    Config::from_lookup(|name| value(name).map(|(_, value)| (*value).to_owned()))
}

/// A patient cache in this process.
pub fn in_memory() -> Cache {
    Cache::new(patient(Config::in_memory()))
}

/// A cache in this process and one over a server of the test's own.
pub async fn both_stores() -> (Server, [Cache; 2]) {
    let server = Server::start().await;
    let caches = [in_memory(), server.cache().await];
    (server, caches)
}

/// Runs a scenario in the scope of each store's cache, one after the other.
///
/// # Panics
///
/// Where the scenario panics.
pub async fn over_both<F: Future<Output = ()>>(scenario: impl Fn(Cache) -> F) {
    let (server, caches) = both_stores().await;
    for cache in caches {
        cache.scope(scenario(cache.clone())).await;
    }
    drop(server);
}

/// Runs a scenario over both stores, in no scope, on several short-lived runtimes.
///
/// # Panics
///
/// As [`on_short_lived_runtimes`].
pub fn over_both_on_short_lived_runtimes(scenario: &impl AsyncFn(&Cache)) {
    let (server, caches) = block_on(both_stores());
    on_short_lived_runtimes(|| async {
        for cache in &caches {
            scenario(cache).await;
        }
    });
    drop(server);
}
