//! Spans of `tracing` around the lookup of a call and the run of its function: with the feature `spans`.
//! Without it nothing is done here.

#[cfg(feature = "spans")]
use tracing::Instrument as _;

use crate::call::Call;
use crate::lookup::{Lookup, Step};

/// The next step of a lookup, in a span around all that a call does before it has a value or runs its
/// function: the read, the request for a lease, and the wait for another run. A copy in this process is
/// found before it, and has no span. The claim of a stale value for a refresh follows it, outside the span.
// Boxed: the futures of calls keep their size.
#[cfg(feature = "spans")]
pub(crate) fn next(lookup: &mut Lookup) -> impl Future<Output = Step> {
    Box::pin(async {
        let identity = lookup.call.identity;
        let is_redis = lookup.call.cache.is_over_redis();
        let span = tracing::info_span!(
            "cache.lookup",
            otel.kind = is_redis.then_some("client"),
            db.system.name = is_redis.then_some("redis"),
            cache.function = identity.path(),
            cache.prefix = identity.prefix,
            cache.result = tracing::field::Empty,
        );
        let step = lookup.next().instrument(span.clone()).await;
        let result = match &step {
            Step::Found(hit) if hit.stale => "stale",
            Step::Found(_) => "found",
            Step::Joined(_) => "joined",
            Step::Run(_) => "run",
        };
        span.record("cache.result", result);
        step
    })
}

#[cfg(not(feature = "spans"))]
pub(crate) fn next(lookup: &mut Lookup) -> impl Future<Output = Step> {
    lookup.next()
}

/// The span of a run of the function, whose own spans are its children.
pub(crate) struct RunSpan(#[cfg(feature = "spans")] tracing::Span);

#[cfg(feature = "spans")]
impl RunSpan {
    pub(crate) fn new(call: &Call) -> Self {
        let identity = call.identity;
        let (function, prefix) = (identity.path(), &identity.prefix);
        Self(tracing::info_span!("cache.run", cache.function = function, cache.prefix = prefix))
    }

    pub(crate) fn enter(&self) -> impl Drop + '_ {
        self.0.enter()
    }

    /// Before the output is encoded: that is not part of the run.
    pub(crate) fn end(self) {
        drop(self.0);
    }
}

#[cfg(not(feature = "spans"))]
#[expect(clippy::unused_self, reason = "the methods are those with the feature")]
impl RunSpan {
    pub(crate) fn new(_: &Call) -> Self {
        Self()
    }

    pub(crate) fn enter(&self) -> Self {
        Self()
    }

    pub(crate) fn end(self) {}
}
