//! Counting, logging, and telling `observe`.

use std::sync::Arc;
use std::time::Duration;

use super::{Hit, Search};
use crate::cache::Inner;
use crate::entry::{Entry, Owner};
use crate::key::CallId;
use crate::outcome::{Outcome, OutcomeKind, Reason};
use crate::site::{Warning, known};
use crate::stats::{Count, Counters};
use crate::store::{Fault, Key};
use crate::verb::{self, Verb};

impl Search {
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
    pub(crate) fn served(&self, entry: &Entry, stale: bool) {
        self.counters().count(Count::Hit);
        let kind = if stale {
            self.counters().count(Count::Stale);
            OutcomeKind::Stale
        } else if self.waited.is_zero() {
            OutcomeKind::Hit
        } else {
            self.counters().count(Count::Waited);
            OutcomeKind::Waited
        };
        tracing::debug!(prefix = self.call.identity.prefix, "cache hit");
        self.observe(kind, Some(entry.cost), Some(entry.life));
    }

    /// The value came from another run, or from one that was shared because there was no store.
    pub(crate) fn joined(&self) {
        if let Some(reason) = self.without_store {
            self.counters().bypassed(reason);
            self.observe(OutcomeKind::Bypassed(reason), None, None);
        } else {
            self.counters().count(Count::Joined);
            self.observe(OutcomeKind::Joined, None, None);
        }
    }

    /// The value was stored before, and is served because the function has failed.
    pub(crate) fn forgave(&self, hit: &Hit) {
        let kind = if hit.stale {
            self.counters().count(Count::StaleIfError);
            OutcomeKind::Stale
        } else {
            self.counters().count(Count::Hit);
            OutcomeKind::Hit
        };
        self.tell(kind, Some(hit.entry.cost), Some(hit.entry.life), self.left_of_kept());
    }

    pub(super) fn missed(&mut self) {
        if !std::mem::replace(&mut self.missed, true) {
            self.counters().count(Count::Miss);
            tracing::debug!(prefix = self.call.identity.prefix, "cache miss");
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
            tracing::warn!(function = self.call.identity.path(), "{why}");
        }
    }

    pub(super) fn failed(&self, fault: &Fault) -> Reason {
        if let Fault::Refused(error) = fault {
            self.warn(Warning::Refused, &format!("redis refuses to be read: {error}"));
        }
        self.counters().count(Count::Error);
        tracing::debug!(prefix = self.call.identity.prefix, ?fault, "cache error");
        fault.reason()
    }

    /// Tells `observe`, and notes slow traffic.
    pub(crate) fn observe(
        &self,
        kind: OutcomeKind,
        cost: Option<Duration>,
        life: Option<Duration>,
    ) {
        self.tell(kind, cost, life, self.left);
    }

    fn tell(
        &self,
        kind: OutcomeKind,
        cost: Option<Duration>,
        life: Option<Duration>,
        left: Option<Duration>,
    ) {
        if self.spent > self.inner().config.slow {
            self.counters().count(Count::Slow);
            let prefix = &self.call.identity.prefix;
            tracing::debug!(prefix, spent = ?self.spent, "cache slow");
        }
        if self.call.verb == Some(Verb::Observe) {
            let age = life.zip(left).map(|(life, left)| life.saturating_sub(left));
            let key = Some(self.key.entry().to_owned());
            verb::observed(Outcome { kind, key, age, cost });
        }
    }

    pub(super) fn other_function(&self, entry: &Entry) {
        self.counters().count(Count::Dead);
        if self.call.identity.once(Warning::OtherFunction) {
            let other = known(entry.owner.function).unwrap_or_else(|| {
                format!("one this process does not have ({:016x})", entry.owner.function)
            });
            tracing::warn!(
                function = self.call.identity.path(),
                other,
                "two functions share a key: each overwrites the other's entry; give one of them \
                 another `prefix`"
            );
        }
    }
}
