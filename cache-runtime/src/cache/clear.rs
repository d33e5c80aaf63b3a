//! Removing everything in a namespace.

use std::fmt;
use std::future::IntoFuture;
use std::pin::Pin;

use super::Cache;
use crate::error::{Error, Result};
use crate::stats::Named;

/// How much [`Cache::clear`] has removed: so far, for [`Clear::progress`], and in all at its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cleared {
    /// Keys removed: entries, leases and tokens.
    pub removed: u64,
}

/// A [`Cache::clear`] that has not begun; `.await` runs it.
#[must_use = "nothing is removed until it is awaited"]
pub struct Clear<'a> {
    cache: &'a Cache,
    progress: Box<dyn FnMut(Cleared) + Send + 'a>,
}

impl Cache {
    /// Removes every key of the namespace from the store: entries, leases and tokens.
    ///
    /// Redis is asked to `SCAN` and `UNLINK`, batch by batch, on the connection for bulk work, which
    /// takes time in proportion to the number of keys on the server. So this is for operators, as after
    /// a restore from a snapshot. To make calls see a change there are [`Cache::invalidate_prefix`] and
    /// [`Cache::invalidate_tag`], which are one command each.
    ///
    /// A namespace that begins with this one and a colon (`shop:test`, for `shop`) is removed too.
    ///
    /// # Errors
    ///
    /// [`Error::is_unavailable`] or [`Error::is_refused`] where Redis did not carry it out to the
    /// end; what has been removed by then stays removed.
    ///
    /// # Examples
    ///
    /// ```
    /// use cache_runtime::{Cache, cache_result};
    ///
    /// #[cache_result]
    /// async fn double(number: u32) -> u32 { number * 2 }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), cache_runtime::Error> {
    /// let cache = Cache::in_memory();
    /// cache.scope(double(1)).await;
    /// let cleared = cache.clear().progress(|so_far| println!("{} keys", so_far.removed)).await?;
    /// assert!(cleared.removed >= 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn clear(&self) -> Clear<'_> {
        Clear { cache: self, progress: Box::new(|_| {}) }
    }
}

impl<'a> Clear<'a> {
    /// Calls `progress` after each batch, with the number of keys removed so far.
    pub fn progress(mut self, progress: impl FnMut(Cleared) + Send + 'a) -> Self {
        self.progress = Box::new(progress);
        self
    }
}

impl<'a> IntoFuture for Clear<'a> {
    type Output = Result<Cleared>;
    type IntoFuture = Pin<Box<dyn Future<Output = Result<Cleared>> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        let Self { cache, mut progress } = self;
        Box::pin(async move {
            let start = format!("{}:", cache.namespace());
            let mut report = |removed| progress(Cleared { removed });
            let cleared = cache.inner().store.clear(&start, &mut report).await;
            cache.inner().timings.invalidated(Named::Everything, cleared.is_ok());
            let removed = cleared.map_err(Error::from)?;
            Ok(Cleared { removed })
        })
    }
}

impl fmt::Debug for Clear<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clear").finish_non_exhaustive()
    }
}
