//! The counters, log lines and `observe` outcome of a call.

use std::time::Duration;

use super::Lookup;
use crate::entry::Entry;
use crate::lease::Lease;
use crate::outcome::{Outcome, OutcomeKind, Reason};
use crate::site::{Warning, known};
use crate::stats::Count;
use crate::store::Fault;
use crate::verb::{self, Fate, Verb};

impl Lookup {
    /// The value came from the store; `stale` where it is past its TTL.
    pub(crate) fn served(&mut self, entry: &Entry, stale: bool) {
        let kind = if stale {
            OutcomeKind::Stale
        } else if self.waited.is_zero() {
            OutcomeKind::Hit
        } else {
            OutcomeKind::Waited
        };
        self.report_outcome(kind, Some(entry.cost), Some(entry.life));
    }

    /// The value came from the run of another call, which may have been shared for want of a store.
    pub(crate) fn joined(&mut self) {
        let kind = self.without_store.map_or(OutcomeKind::Joined, OutcomeKind::Bypassed);
        self.report_outcome(kind, None, None);
    }

    /// Reports to `observe` whether the output of a run is stored.
    pub(crate) fn report_fate(&self, fate: impl FnOnce() -> Fate) {
        if self.call.verb == Some(Verb::Observe) {
            verb::report_fate(fate());
        }
    }

    /// Logs the miss, once a call.
    pub(super) fn log_miss(&mut self) {
        if !std::mem::replace(&mut self.miss_logged, true) {
            let (prefix, key) = (&self.call.identity.prefix, self.key.entry());
            tracing::debug!(prefix, key, spent = ?self.spent, "cache miss");
        }
    }

    /// The entry is of this very call and does not decode: the next step overwrites it.
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
        self.log_miss();
        self.undecodable = Some(Box::new(entry.seen()));
    }

    /// The entry is not of this call, and counts as absent.
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

    pub(super) fn read_failed(&self, fault: &Fault) -> Reason {
        if let Fault::Refused(error) = fault {
            self.warn(Warning::Refused, &format!("redis refuses to be read: {error}"));
        }
        self.counters().count(fault.count());
        let (prefix, key) = (&self.call.identity.prefix, self.key.entry());
        tracing::debug!(prefix, key, spent = ?self.spent, ?fault, "cache error");
        fault.reason()
    }

    /// Counts the outcome, reports it to `observe`, and counts the call as slow where it was.
    pub(crate) fn report_outcome(
        &mut self,
        kind: OutcomeKind,
        cost: Option<Duration>,
        life: Option<Duration>,
    ) {
        self.report(kind, cost, life, self.ttl_left);
    }

    pub(super) fn report(
        &mut self,
        kind: OutcomeKind,
        cost: Option<Duration>,
        life: Option<Duration>,
        ttl_left: Option<Duration>,
    ) {
        let age = life.zip(ttl_left).map(|(life, ttl_left)| life.saturating_sub(ttl_left));
        // A background refresh goes on with the lookup of a call that was counted when it was served.
        if !std::mem::replace(&mut self.counted, true) {
            self.counters().outcome(kind);
            let from_store =
                matches!(kind, OutcomeKind::Hit | OutcomeKind::Stale | OutcomeKind::Waited);
            if let Some(cost) = cost.filter(|_| from_store) {
                self.counters().saved(cost);
            }
            self.log(kind, age);
        }
        if self.spent > self.inner().config.slow {
            self.counters().count(Count::Slow);
            let (prefix, key) = (&self.call.identity.prefix, self.key.entry());
            tracing::debug!(prefix, key, spent = ?self.spent, "cache slow");
        }
        if self.call.verb == Some(Verb::Observe) {
            let key = Some(self.key.entry().to_owned());
            verb::report_outcome(Outcome { kind, key, age, cost });
        }
    }

    /// A computed value has lines of its own: `cache miss` and `cache set`.
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

    /// The lease lapsed before the function ended.
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

    /// The entry is of another function, and is overwritten.
    pub(super) fn other_function(&self, entry: &Entry) {
        self.counters().count(Count::Dead);
        if self.call.identity.once(Warning::OtherFunction) {
            let (function, fingerprint) = (self.call.identity.path(), entry.owner.function);
            if let Some(other) = known(fingerprint) {
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

/// Counts a call that its caller drops before it has a value, or whose function panics.
impl Drop for Lookup {
    fn drop(&mut self) {
        if !self.counted {
            self.counters().count(Count::Abandoned);
        }
    }
}
