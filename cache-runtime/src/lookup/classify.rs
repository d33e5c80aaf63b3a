//! What lies under the key, and whether it counts: the table of states, read by a call.

use std::time::Duration;

use bytes::Bytes;

use super::{Hit, Kept, Lookup, ReadState, Want};
use crate::entry::{Entry, EntryId, EntryKind, Seen};
use crate::lease;
use crate::near::ReadStart;
use crate::outcome::Reason;
use crate::recursion;
use crate::site::Warning;
use crate::store::Found;
use crate::verb::Verb;

impl Lookup {
    /// Whose the bytes are, and whether they count.
    pub(super) fn classify(&mut self, found: Found) -> ReadState {
        self.tokens = found.tokens;
        self.ttl_left = found.ttl_left;
        match found.bytes {
            None => ReadState::Free(Want::Lease(Seen::absent())),
            Some(bytes) => self.classify_bytes(bytes),
        }
    }

    fn classify_bytes(&mut self, bytes: Bytes) -> ReadState {
        let entry = match Entry::parse(bytes) {
            Ok(entry) => entry,
            Err(bytes) => {
                self.dead(Warning::Undecodable, "the entry is not one of ours: overwritten");
                return ReadState::Free(Want::Lease(Seen::foreign(&bytes)));
            }
        };
        let owner = self.owner();
        let dead = |entry: &Entry| ReadState::Free(Want::Lease(entry.seen()));
        if entry.owner.function != owner.function {
            self.other_function(&entry);
            return dead(&entry);
        }
        if entry.owner.arguments != owner.arguments {
            self.dead(Warning::OtherFunction, "calls with different arguments share a `key`");
            return dead(&entry);
        }
        if entry.owner.version > owner.version {
            self.warn(Warning::NewerVersion, "the entry is from a newer `version`: left alone");
            return ReadState::Alone(Reason::NewerVersion);
        }
        if entry.owner.version < owner.version || !entry.depends_on(&self.tokens) {
            return dead(&entry);
        }
        match entry.kind {
            EntryKind::Lease if self.inner().leases.is_releasing(entry.id) => dead(&entry),
            EntryKind::Lease => ReadState::Held(entry.id),
            EntryKind::Value | EntryKind::None => self.classify_value(entry),
            EntryKind::Unstored => self.classify_mark(entry),
        }
    }

    /// The mark lets those run at once who read it in time; after that it only stands for them.
    fn classify_mark(&mut self, mark: Entry) -> ReadState {
        if !self.timed {
            return ReadState::Untimed;
        }
        let in_time = self.ttl_left.is_none_or(|ttl_left| ttl_left > mark.window);
        // A refresh began later than whatever runs under it.
        if in_time && self.call.verb != Some(Verb::Refresh) {
            return ReadState::Joint(mark);
        }
        ReadState::Free(Want::Lease(mark.seen()))
    }

    fn classify_value(&mut self, entry: Entry) -> ReadState {
        if !self.timed && !entry.window.is_zero() {
            return ReadState::Untimed;
        }
        let ttl_left = self.ttl_left.unwrap_or(entry.life);
        let claimed = lease::claimed_for(&entry, ttl_left, self.lease_life()).is_some()
            && !self.inner().leases.is_releasing(entry.id);
        let hit = |entry, stale, refresh: bool| {
            ReadState::Serve(Hit { entry, stale, refresh: refresh.then_some(ttl_left) })
        };
        if self.call.verb == Some(Verb::Refresh) {
            return free_unless(claimed, entry, ttl_left);
        }
        // Fresh until the window begins; an entry without one is gone by then.
        let Some(age) = entry.window.checked_sub(ttl_left).filter(|_| !entry.window.is_zero())
        else {
            let early = !claimed && self.is_early(&entry, ttl_left.saturating_sub(entry.window));
            return hit(entry, false, early);
        };
        // An old value would stay for as long as what is being computed from it.
        let tolerated = !recursion::is_stored();
        if tolerated && age < self.call.identity.stale_while_revalidate() {
            return hit(entry, true, !claimed);
        }
        if tolerated && age < self.call.identity.stale_if_error() {
            self.keep(entry.clone(), ttl_left);
        }
        if lease::is_released(&entry, ttl_left) {
            return ReadState::Joint(entry);
        }
        free_unless(claimed, entry, ttl_left)
    }

    /// The early refresh of Vattani, Chierichetti and Lowenstein, "Optimal Probabilistic Cache Stampede
    /// Prevention" (VLDB 2015): the nearer the end and the dearer the value, the likelier.
    fn is_early(&self, entry: &Entry, fresh: Duration) -> bool {
        let beta = self.call.identity.refresh_ahead();
        if beta <= 0.0 {
            return false;
        }
        let chance = EntryId::fresh().map_or(1.0, |random| 1.0 - random.fraction());
        entry.cost.as_secs_f64() * beta * -chance.ln() >= fresh.as_secs_f64()
    }
}

impl Lookup {
    /// When what is being served was asked for, for how long a copy of it may be used, and its age.
    pub(crate) fn take_for_copy(&mut self, hit: &Hit) -> Option<(ReadStart, Duration, Duration)> {
        let sent = self.sent.take()?;
        if hit.stale || hit.refresh.is_some() {
            return None;
        }
        let entry = &hit.entry;
        let ttl_left = self.ttl_left.unwrap_or(entry.life).min(entry.life);
        // Where an early refresh becomes likely, at one read in a thousand, it must be looked for.
        let early = entry.cost.as_secs_f64() * self.call.identity.refresh_ahead() * 7.0;
        let early = Duration::try_from_secs_f64(early).unwrap_or(Duration::MAX);
        let fresh = ttl_left.saturating_sub(entry.window).saturating_sub(early);
        Some((sent, fresh.min(self.call.local_for()?), entry.life.saturating_sub(ttl_left)))
    }

    /// Keeps what could be served, for the case that the function fails.
    pub(crate) fn keep(&mut self, entry: Entry, ttl_left: Duration) {
        let since = self.inner().store.now();
        self.kept = Some(Box::new(Kept { entry, ttl_left, since }));
    }

    /// What was kept, if it may still be served; `forgives` is asked for leave where it takes some.
    /// The function has had its time, and the value has aged meanwhile.
    pub(crate) fn stale_for_error(&self, forgives: impl FnOnce() -> bool) -> Option<Hit> {
        let Kept { entry, ttl_left, since } = self.kept.as_deref()?;
        let now = self.inner().store.now();
        let (identity, since) = (self.call.identity, now.saturating_duration_since(*since));
        // How long past its ttl, if it is.
        let past = entry.window.saturating_add(since).checked_sub(*ttl_left);
        let allowed = past.is_none_or(|past| {
            // As where the entry is read: an early refresh may have outlasted what was fresh.
            !recursion::is_stored()
                && (past < identity.stale_while_revalidate()
                    || (past < identity.stale_if_error() && forgives()))
        });
        let hit = || Hit { entry: entry.clone(), stale: past.is_some(), refresh: None };
        allowed.then(hit)
    }

    /// What an entry that was kept has left by now, for its age.
    pub(crate) fn kept_ttl_left(&self) -> Option<Duration> {
        let Kept { ttl_left, since, .. } = self.kept.as_deref()?;
        let now = self.inner().store.now();
        Some(ttl_left.saturating_sub(now.saturating_duration_since(*since)))
    }
}

fn free_unless(claimed: bool, entry: Entry, ttl_left: Duration) -> ReadState {
    if claimed { ReadState::Held(entry.id) } else { ReadState::Free(Want::Claim(entry, ttl_left)) }
}
