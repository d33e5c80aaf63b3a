//! The refresh of a value in the background, after its call has been served.

use std::future::Future;
use std::pin::Pin;

use tokio::runtime::Handle;
use tokio::sync::OwnedSemaphorePermit;
use tracing::Instrument as _;

use super::Run;
use crate::cache;
use crate::lookup::{Hit, Lead, Lookup};
use crate::returns::{Codec, Rule, Shape};

/// A refresh whose claim has been requested.
pub(super) struct BackgroundRefresh<S: Shape, R> {
    codec: Codec<S, R>,
    lookup: Lookup,
    lead: Lead,
    permit: OwnedSemaphorePermit,
}

impl<S: Shape, R: Rule<S>> BackgroundRefresh<S, R> {
    /// Requests the claim. `None` where a run of the call is under way in this process, nothing may be written, or
    /// the process already has as many refreshes under way as it may.
    pub(super) fn begin(codec: Codec<S, R>, mut lookup: Lookup, hit: &Hit) -> Option<Box<Self>> {
        let permit = lookup.inner().refreshes.clone().try_acquire_owned().ok()?;
        lookup.detach();
        let lead = lookup.begin_claim(hit)?;
        Some(Box::new(Self { codec, lookup, lead, permit }))
    }

    /// Spawns the refresh on the caller's runtime, in the caller's scope.
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
        let Self { codec, mut lookup, lead, permit } = *self;
        if let Some(role) = lookup.granted(lead).await {
            Run::new(codec, lookup, role).run(body.as_mut()).await;
        }
        drop(permit);
    }
}
