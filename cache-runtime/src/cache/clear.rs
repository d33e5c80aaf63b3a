//! Emptying a cache.

use std::fmt;
use std::future::IntoFuture;
use std::pin::Pin;

use super::Cache;
use crate::error::{Error, Result};

/// How far [`Cache::clear`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cleared {
    /// Keys removed: entries, leases and tokens.
    pub removed: u64,
}

/// A clearing under construction; `.await` starts it.
#[must_use = "nothing is removed until it is awaited"]
pub struct Clear<'a> {
    cache: &'a Cache,
    progress: Box<dyn FnMut(Cleared) + Send + 'a>,
}

impl Cache {
    /// Removes everything in the namespace, by `SCAN` and `UNLINK` on the connection for bulk work.
    ///
    /// For operators: it takes time in proportion to the number of keys on the server, and a
    /// namespace that begins with this one and a colon goes with it. To make calls see a change
    /// there are [`Cache::invalidate_prefix`] and [`Cache::invalidate_tag`].
    ///
    /// `let cleared = cache.clear().await?;`
    ///
    /// # Errors
    ///
    /// [`Error::is_unavailable`] or [`Error::is_refused`] where Redis did not carry it out to the
    /// end; what has been removed by then stays removed.
    pub fn clear(&self) -> Clear<'_> {
        Clear { cache: self, progress: Box::new(|_| {}) }
    }
}

impl<'a> Clear<'a> {
    /// Told after each batch.
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
            let mut told = |removed| progress(Cleared { removed });
            let removed =
                cache.inner().store.clear(&start, &mut told).await.map_err(Error::from)?;
            Ok(Cleared { removed })
        })
    }
}

impl fmt::Debug for Clear<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clear").finish_non_exhaustive()
    }
}
