//! Which cache a call uses: that of the innermost scope, or the global one.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::ops::Deref;
use std::pin::pin;
use std::sync::OnceLock;

use tokio::task::JoinHandle;

use super::Cache;
use crate::error::{Error, ErrorKind, Result};

impl Cache {
    /// The cache that calls use outside a scope: the one given to [`init`], or one made from the
    /// environment now.
    pub fn global() -> Self {
        global().clone()
    }

    /// The cache that calls use here: that of the innermost [`Cache::scope`], or the global one.
    ///
    /// A function with `cache = ..` uses the cache named there all the same.
    pub fn current() -> Self {
        (*current()).clone()
    }

    /// Uses this cache for all cached calls that `future` makes on its own task. For parallel tests,
    /// and for programs with several caches.
    ///
    /// Tasks that `future` spawns are not covered: spawn them with [`Cache::spawn`].
    ///
    /// ```
    /// # use cache_runtime::{Cache, cache_result};
    /// #[cache_result]
    /// async fn double(number: u32) -> u32 { number * 2 }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let cache = Cache::in_memory();
    /// cache.scope(double(1)).await;
    /// assert_eq!(cache.stats().total().computed, 1);
    /// # }
    /// ```
    pub async fn scope<F: Future>(&self, future: F) -> F::Output {
        let mut future = pin!(future);
        poll_fn(|cx| {
            let _entered = Scope::enter(self);
            future.as_mut().poll(cx)
        })
        .await
    }

    /// Spawns `future` on the caller's tokio runtime, as `tokio::spawn` does, within the
    /// [`scope`](Cache::scope) of this cache. `Cache::current().spawn(..)` carries a scope on into a
    /// task; where tasks are made otherwise (`JoinSet`, another runtime), give them
    /// `async move { cache.scope(future).await }`.
    ///
    /// ```
    /// # use cache_runtime::{Cache, cache_result, observe};
    /// #[cache_result]
    /// async fn double(number: u32) -> u32 { number * 2 }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let cache = Cache::in_memory();
    /// cache.scope(async {
    ///     double(1).await;
    ///     let task = Cache::current().spawn(observe(double(1)));
    ///     assert!(task.await.unwrap().1.is_hit());
    /// }).await;
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime, as `tokio::spawn` does.
    #[track_caller]
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let cache = self.clone();
        tokio::spawn(async move { cache.scope(future).await })
    }
}

static GLOBAL: OnceLock<Cache> = OnceLock::new();

/// Makes `cache` the one that calls use. Once, at start-up.
///
/// # Errors
///
/// [`Error::is_already_initialized`] where it was called before, or after the first cached call.
pub fn init(cache: Cache) -> Result<()> {
    GLOBAL.set(cache).map_err(|_| {
        Error::new(
            ErrorKind::AlreadyInitialized,
            "the global cache is already there: call `init` once, before the first cached call",
        )
    })
}

thread_local! {
    /// Whether there is a scope: all that an ordinary call looks at.
    static SCOPED: Cell<bool> = const { Cell::new(false) };
    static SCOPE: RefCell<Option<Cache>> = const { RefCell::new(None) };
}

/// The cache that a call uses. The global one is not counted as a handle: a hit has no time for it.
#[derive(Debug, Clone)]
pub(crate) enum Chosen {
    Global(&'static Cache),
    Given(Cache),
}

impl Deref for Chosen {
    type Target = Cache;

    fn deref(&self) -> &Cache {
        match self {
            Self::Global(cache) => cache,
            Self::Given(cache) => cache,
        }
    }
}

fn global() -> &'static Cache {
    GLOBAL.get_or_init(Cache::from_env)
}

/// The cache of the innermost scope, or the global one.
#[inline]
pub(crate) fn current() -> Chosen {
    scoped().map_or_else(|| Chosen::Global(global()), Chosen::Given)
}

/// The cache of the innermost scope, for what is spawned out of it.
pub(crate) fn scoped() -> Option<Cache> {
    if SCOPED.get() { SCOPE.with_borrow(Clone::clone) } else { None }
}

/// Restores the scope further out, also where a poll panics.
pub(crate) struct Scope(Option<Cache>);

impl Scope {
    pub(crate) fn enter(cache: &Cache) -> Self {
        SCOPED.set(true);
        Self(SCOPE.replace(Some(cache.clone())))
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        let outer = self.0.take();
        SCOPED.set(outer.is_some());
        SCOPE.replace(outer);
    }
}
