//! Counting, logging, and telling `observe`.

use std::sync::Arc;
use std::time::Duration;

use super::{Hit, Lookup};
use crate::cache::Inner;
use crate::entry::{Entry, Owner};
use crate::key::CallId;
use crate::key::Key;
use crate::lease::Lease;
use crate::outcome::{Outcome, OutcomeKind, Reason};
use crate::site::{Warning, known};
use crate::stats::{Count, Counters};
use crate::store::Fault;
use crate::verb::{self, Fate, Verb};

impl Lookup {
    pub(crate) fn inner(&self) -> &Arc<Inner> {
        self.call.cache.inner()
    }

    pub(crate) fn id(&self) -> CallId {
        self.id
    }

    pub(crate) fn owner(&self) -> Owner {
        self.call.owner(self.id)
    }

    pub(crate) fn store_key(&self) -> &Key {
        &self.key
    }

    pub(crate) fn counters(&self) -> &Counters {
        self.call.counters()
    }

    pub(crate) fn max_value(&self) -> usize {
        self.inner().config.max_value
    }

    /// The value came from the store; `stale` past its ttl.
    pub(crate) fn served(&mut self, entry: &Entry, stale: bool) {
        let kind = if stale {
            OutcomeKind::Stale
        } else if self.waited.is_zero() {
            OutcomeKind::Hit
        } else {
            OutcomeKind::Waited
        };
        self.observe(kind, Some(entry.cost), Some(entry.life));
    }

    /// The value came from another run, or from one that was shared because there was no store.
    pub(crate) fn joined(&mut self) {
        let kind = self.without_store.map_or(OutcomeKind::Joined, OutcomeKind::Bypassed);
        self.observe(kind, None, None);
    }

    /// The value was stored before, and is served because the function has failed.
    pub(crate) fn served_fallback(&mut self, hit: &Hit) {
        let kind = if hit.stale { OutcomeKind::StaleIfError } else { OutcomeKind::Hit };
        self.report(kind, Some(hit.entry.cost), Some(hit.entry.life), self.kept_ttl_left());
    }

    /// What becomes of the output of a run, for who observes the call.
    pub(crate) fn met(&self, fate: impl FnOnce() -> Fate) {
        if self.call.verb == Some(Verb::Observe) {
            verb::met(fate());
        }
    }

    pub(super) fn missed(&mut self) {
        if !std::mem::replace(&mut self.missed, true) {
            let (prefix, key) = (&self.call.identity.prefix, self.key.entry());
            tracing::debug!(prefix, key, spent = ?self.spent, "cache miss");
        }
    }

    /// An entry of this very call that does not come back as a value.
    pub(crate) fn undecodable(&mut self, entry: &Entry, reason: &str) {
        self.counters().count(Count::Dead);
        if self.call.identity.once(Warning::Undecodable) {
            tracing::warn!(
                function = self.call.identity.path(),
                reason,
                "an entry does not decode and is overwritten: another version of the function has \
                 written it, or it is damaged"
            );
        }
        self.missed();
        self.dead = Some(Box::new(entry.seen()));
    }

    pub(super) fn dead(&self, warning: Warning, why: &str) {
        self.counters().count(Count::Dead);
        self.warn(warning, why);
    }

    pub(super) fn warn(&self, warning: Warning, why: &str) {
        if self.call.identity.once(warning) {
            let identity = self.call.identity;
            tracing::warn!(function = identity.path(), prefix = identity.prefix, "{why}");
        }
    }

    pub(super) fn failed(&self, fault: &Fault) -> Reason {
        if let Fault::Refused(error) = fault {
            self.warn(Warning::Refused, &format!("redis refuses to be read: {error}"));
        }
        self.counters().count(Count::Error);
        let (prefix, key) = (&self.call.identity.prefix, self.key.entry());
        tracing::debug!(prefix, key, spent = ?self.spent, ?fault, "cache error");
        fault.reason()
    }

    /// What came of the call: counts it, tells `observe`, and notes slow traffic.
    pub(crate) fn observe(
        &mut self,
        kind: OutcomeKind,
        cost: Option<Duration>,
        life: Option<Duration>,
    ) {
        self.report(kind, cost, life, self.ttl_left);
    }

    fn report(
        &mut self,
        kind: OutcomeKind,
        cost: Option<Duration>,
        life: Option<Duration>,
        ttl_left: Option<Duration>,
    ) {
        // A refresh behind a call has no outcome of its own.
        let age = life.zip(ttl_left).map(|(life, ttl_left)| life.saturating_sub(ttl_left));
        if !std::mem::replace(&mut self.counted, true) {
            self.counters().outcome(kind);
            self.log(kind, age);
        }
        if self.spent > self.inner().config.slow {
            self.counters().count(Count::Slow);
            let (prefix, key) = (&self.call.identity.prefix, self.key.entry());
            tracing::debug!(prefix, key, spent = ?self.spent, "cache slow");
        }
        if self.call.verb == Some(Verb::Observe) {
            let key = Some(self.key.entry().to_owned());
            verb::observed(Outcome { kind, key, age, cost });
        }
    }

    /// What a run has computed has its own lines: that it was missed, and that it was set.
    fn log(&self, kind: OutcomeKind, age: Option<Duration>) {
        if !tracing::enabled!(tracing::Level::DEBUG) {
            return;
        }
        let (prefix, key, spent) = (&self.call.identity.prefix, self.key.entry(), self.spent);
        let (age, waited) = (age.map(tracing::field::debug), self.waited);
        match kind {
            OutcomeKind::Computed => {}
            OutcomeKind::Joined => tracing::debug!(prefix, key, ?spent, ?waited, "cache joined"),
            OutcomeKind::Bypassed(reason) => {
                tracing::debug!(prefix, key, ?spent, reason = reason.as_str(), "cache bypass");
            }
            _ => {
                let outcome = kind.as_str();
                tracing::debug!(prefix, key, age, ?spent, ?waited, outcome, "cache hit");
            }
        }
    }

    /// The lease to store has lapsed before the function's end.
    pub(crate) fn ran_too_long(&self, lease: &Lease) {
        if self.call.identity.once(Warning::RunTooLong) {
            let identity = self.call.identity;
            tracing::warn!(
                function = identity.path(),
                prefix = identity.prefix,
                took = ?lease.age(),
                limit = ?lease.limit(self.inner().config.max_run),
                "a run took longer than `CACHE_MAX_RUN_MS`, or `Config::max_run`, allows: its value \
                 is not stored"
            );
        }
    }

    pub(super) fn other_function(&self, entry: &Entry) {
        self.counters().count(Count::Dead);
        if self.call.identity.once(Warning::OtherFunction) {
            let other = known(entry.owner.function);
            let (function, fingerprint) = (self.call.identity.path(), entry.owner.function);
            if let Some(other) = other {
                tracing::warn!(
                    function,
                    other,
                    "two functions share a key: each overwrites the other's entry; give one of \
                     them another `id`"
                );
            } else {
                tracing::warn!(
                    function,
                    other = format!("{fingerprint:016x}"),
                    "the entry is of a function that this process does not have: one with the same \
                     `id`, or this one in a deployment that makes its key of other arguments; \
                     overwritten"
                );
            }
        }
    }
}

/// Counts a call that ends without a value: dropped by its caller, or unwinding.
impl Drop for Lookup {
    fn drop(&mut self) {
        if !self.counted {
            self.counters().count(Count::Abandoned);
        }
    }
}
