//! The builder of the router.

use std::future::Future;
use std::sync::{Arc, Mutex};

use axum::Router;
use cache_runtime::Cache;

use crate::access::Access;
use crate::audit::Audit;
use crate::fleet::Member;
use crate::router::routes;
use crate::shared::{Environment, Limit, Shared};
use crate::warmers::Warmer;

/// Makes the router of a cache: the page and its API. The short form of [`Admin`].
///
/// ```
/// use cache_admin::{Access, Role};
/// use cache_runtime::Cache;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), cache_admin::WeakToken> {
/// let access = Access::token(Role::View, "b0a2c5d7e9f1a3b4")?;
/// let admin = cache_admin::router(&Cache::in_memory(), access);
/// let app: axum::Router = axum::Router::new().nest_service("/cache", admin);
/// # let _ = app;
/// # Ok(())
/// # }
/// ```
pub fn router(cache: &Cache, access: Access) -> Router {
    Admin::new(cache, access).router()
}

/// The builder of the router.
///
/// ```
/// use cache_admin::{Access, Admin, Role};
/// use cache_runtime::{Cache, cache_result};
///
/// #[cache_result(ttl = "1h", prefix = "areas")]
/// async fn areas(kind: &'static str) -> Vec<String> {
///     vec![kind.to_owned()]
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), cache_admin::WeakToken> {
/// let access = Access::token(Role::Operate, "4f1c9a0b7d2e8836")?;
/// let admin = Admin::new(&Cache::in_memory(), access)
///     .environment("staging:amber")
///     .warmer("areas", || async { ["buy", "rent"].map(areas) })
///     .router();
/// # let _: axum::Router = admin;
/// # Ok(())
/// # }
/// ```
#[must_use = "the router is made by `router`"]
#[derive(Debug)]
pub struct Admin {
    cache: Cache,
    access: Access,
    environment: Option<Environment>,
    warmers: Vec<Warmer>,
}

impl Admin {
    /// Begins with the badge that the variable `CACHE_ENVIRONMENT` names, if it is set, and without warmers.
    pub fn new(cache: &Cache, access: Access) -> Self {
        let environment = std::env::var("CACHE_ENVIRONMENT").ok();
        let environment = environment.as_deref().and_then(Environment::parse);
        Self { cache: cache.clone(), access, environment, warmers: Vec::new() }
    }

    /// Sets the badge of the page: `label`, or `label:color` with one of `red`, `amber`, `green`, `blue`. An
    /// empty text removes it.
    pub fn environment(mut self, label: &str) -> Self {
        self.environment = Environment::parse(label);
        self
    }

    /// Adds a button that makes the listed calls, eight at a time, so that values that are absent are computed
    /// and stored. `calls` lists them anew at each run. A second warmer of one name replaces the first.
    ///
    /// One run of a warmer goes on at a time in each process. [`Cache::warm`] says what is counted.
    pub fn warmer<F, Calls, I>(mut self, name: impl Into<String>, calls: F) -> Self
    where
        F: Fn() -> Calls + Send + Sync + 'static,
        Calls: Future<Output = I> + Send + 'static,
        I: IntoIterator,
        I::IntoIter: Send + 'static,
        I::Item: Future + Send + 'static,
    {
        let name = name.into();
        self.warmers.retain(|warmer| warmer.name != name);
        self.warmers.push(Warmer::new(name, calls));
        self
    }

    /// Makes the router, to be mounted with `nest_service` where the page should be.
    ///
    /// Within a tokio runtime, the process becomes a member of its fleet now; otherwise with the first request.
    pub fn router(self) -> Router {
        let Self { cache, access, environment, warmers } = self;
        let member = Member::new(cache.clone());
        member.start();
        let shared = Shared {
            cache,
            access,
            environment,
            warmers,
            audit: Audit::default(),
            member,
            changes: Limit::per_second(10),
            views: Limit::per_second(10),
            clears: Limit::per_second(1),
            redis: Mutex::default(),
        };
        routes(&Arc::new(shared))
    }
}
