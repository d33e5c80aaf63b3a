//! What is done behind a call that has been served.

use std::future::Future;
use std::pin::Pin;

use tokio::runtime::Handle;
use tokio::sync::OwnedSemaphorePermit;
use tracing::Instrument as _;

use super::Run;
use crate::cache;
use crate::returns::{Codec, Rule, Shape};
use crate::search::{Hit, Lead, Search};

/// A refresh behind the call, whose claim is on its way.
pub(super) struct Behind<S: Shape, R> {
    codec: Codec<S, R>,
    search: Search,
    lead: Lead,
    permit: OwnedSemaphorePermit,
}

impl<S: Shape, R: Rule<S>> Behind<S, R> {
    /// `None` where somebody in this process is at it, or too many refreshes are going on.
    pub(super) fn begin(codec: Codec<S, R>, mut search: Search, hit: &Hit) -> Option<Box<Self>> {
        let permit = search.inner().refreshes.clone().try_acquire_owned().ok()?;
        search.detach();
        let lead = search.begin_claim(hit)?;
        Some(Box::new(Self { codec, search, lead, permit }))
    }

    pub(super) fn spawn<F>(self: Box<Self>, body: Pin<Box<F>>)
    where
        S: 'static,
        S::Return: 'static,
        R: Send + 'static,
        F: Future<Output = S::Return> + Send + 'static,
    {
        let scope = cache::scoped();
        // What the function logs belongs to the call that began it.
        let refresh = self.refresh(body).in_current_span();
        if let Ok(runtime) = Handle::try_current() {
            match scope {
                Some(cache) => drop(runtime.spawn(async move { cache.scope(refresh).await })),
                None => drop(runtime.spawn(refresh)),
            }
        }
    }

    async fn refresh<F: Future<Output = S::Return>>(self: Box<Self>, mut body: Pin<Box<F>>) {
        let Self { codec, mut search, lead, permit } = *self;
        if let Some(role) = search.granted(lead).await {
            Run::of(codec, search, role).run(body.as_mut()).await;
        }
        drop(permit);
    }
}
