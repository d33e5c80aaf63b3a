//! Which cache a call uses: the one of the innermost scope, or the global one.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::ops::Deref;
use std::pin::pin;
use std::sync::OnceLock;

use tokio::task::JoinHandle;

use super::Cache;
use crate::error::{Error, ErrorKind, Result};

impl Cache {
    /// The cache that calls use outside every scope: the one given to [`init`], or else one that is made
    /// from the environment now, as [`Cache::from_env`].
    ///
    /// After this, [`init`] is an error.
    pub fn global() -> Self {
        global().clone()
    }

    /// The cache that calls use here: the one of the innermost [`Cache::scope`], or the global one.
    ///
    /// A function whose attribute has `cache = ..` uses the cache that is named there, also here.
    pub fn current() -> Self {
        (*current()).clone()
    }

    /// Runs `future` with this cache: every cached call that it makes on its own task uses it. For tests
    /// that run side by side, and for programs with several caches.
    ///
    /// Scopes nest, and the innermost counts. A task that `future` spawns is outside the scope, unless it
    /// is spawned with [`Cache::spawn`]. A function whose attribute has `cache = ..` uses that cache.
    ///
    /// # Examples
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
    /// [`scope`](Cache::scope) of this cache.
    ///
    /// `Cache::current().spawn(..)` carries a scope on into a task. Where tasks are made otherwise (a
    /// `JoinSet`, another runtime), hand over `async move { cache.scope(future).await }`.
    ///
    /// # Examples
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

/// Makes `cache` the global one, which calls use outside every [`Cache::scope`]. To be called once, when the
/// program starts.
///
/// A program that does not call it gets a cache from the environment ([`Cache::from_env`]) with its first
/// cached call.
///
/// # Errors
///
/// [`Error::is_already_initialized`] where there is a global cache already: from an earlier `init`, from
/// [`Cache::global`], or from a call or a verb outside every scope. That cache stays.
///
/// # Examples
///
/// ```
/// use cache_runtime::{Cache, Config, init};
///
/// init(Cache::new(Config::in_memory().namespace("shop")))?;
/// assert!(init(Cache::in_memory()).unwrap_err().is_already_initialized());
/// # Ok::<(), cache_runtime::Error>(())
/// ```
pub fn init(cache: Cache) -> Result<()> {
    GLOBAL.set(cache).map_err(|_| {
        Error::new(
            ErrorKind::AlreadyInitialized,
            "the global cache is already there: call `init` once, before the first cached call",
        )
    })
}

thread_local! {
    /// Whether this thread polls within a scope. A call outside every scope reads this flag alone.
    static SCOPED: Cell<bool> = const { Cell::new(false) };
    static SCOPE: RefCell<Option<Cache>> = const { RefCell::new(None) };
}

/// The cache that a call uses. The global one is borrowed, which spares each call two changes of a
/// reference count that all threads share.
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

/// The cache of the innermost scope, for work that is spawned out of it; `None` outside every scope.
pub(crate) fn scoped() -> Option<Cache> {
    if SCOPED.get() { SCOPE.with_borrow(Clone::clone) } else { None }
}

/// A scope for the length of one poll. Its drop restores the outer scope, also where the poll panics.
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
