//! Stale in place of an error: the value that a call could still serve when its function fails.
//!
//! The lookup keeps the value before the function runs (`keep_fallback`). After the run, `fetch/serve.rs`
//! asks whether it may be served (`fallback`), before the flight is ended, so that members learn of it;
//! decodes it; and reports it (`served_fallback`).

use std::time::{Duration, Instant};

use super::{Hit, Lookup};
use crate::entry::Entry;
use crate::outcome::OutcomeKind;
use crate::recursion;

/// A value that was read before the function ran.
pub(super) struct Fallback {
    entry: Entry,
    /// The entry's `PTTL` when it was read: its stale window included.
    ttl_left: Duration,
    /// When it was read, by the store's clock.
    read_at: Instant,
}

impl Lookup {
    /// Keeps a value for the case that the function fails.
    pub(super) fn keep_fallback(&mut self, entry: Entry, ttl_left: Duration) {
        let read_at = self.inner().store.now();
        self.fallback = Some(Box::new(Fallback { entry, ttl_left, read_at }));
    }

    /// The kept value, if it may be served now that the function has failed: fresh, or within
    /// `stale_while_revalidate`, or within `stale_if_error` and `stale_if` allows it for this error. The
    /// windows are compared with the value's present age: it has aged while the function ran.
    pub(crate) fn fallback(&self, stale_if: impl FnOnce() -> bool) -> Option<Hit> {
        let Fallback { entry, ttl_left, read_at } = self.fallback.as_deref()?;
        let (identity, elapsed) = (self.call.identity, self.since(*read_at));
        // How long past its TTL the value is; `None` while it is fresh.
        let past = entry.window.saturating_add(elapsed).checked_sub(*ttl_left);
        let allowed = past.is_none_or(|past| {
            // As in `classify_value`: a value that was fresh when it was kept may be stale by now.
            !recursion::is_stored()
                && (past < identity.stale_while_revalidate()
                    || (past < identity.stale_if_error() && stale_if()))
        });
        allowed.then(|| Hit { entry: entry.clone(), stale: past.is_some(), refresh: None })
    }

    /// The value was stored before, and is served because the function has failed.
    pub(crate) fn served_fallback(&mut self, hit: &Hit) {
        let kind = if hit.stale { OutcomeKind::StaleIfError } else { OutcomeKind::Hit };
        let fallback = self.fallback.as_deref();
        let ttl_left = fallback.map(|it| it.ttl_left.saturating_sub(self.since(it.read_at)));
        self.report(kind, Some(hit.entry.cost), Some(hit.entry.life), ttl_left);
    }

    fn since(&self, read_at: Instant) -> Duration {
        self.inner().store.now().saturating_duration_since(read_at)
    }
}
