//! What lies under the key, and whether it counts: the table of states, read by a call.

use std::time::Duration;

use bytes::Bytes;

use super::{Hit, Kept, Look, Search, Want};
use crate::entry::{Entry, EntryId, Kind, Seen};
use crate::near::Sent;
use crate::outcome::Reason;
use crate::recursion;
use crate::right;
use crate::site::Warning;
use crate::store::Found;
use crate::verb::Verb;

impl Search {
    /// Whose the bytes are, and whether they count.
    pub(super) fn judge(&mut self, found: Found) -> Look {
        self.tokens = found.tokens;
        self.left = found.left;
        match found.bytes {
            None => Look::Free(Want::Lease(Seen::absent())),
            Some(bytes) => self.judge_bytes(bytes),
        }
    }

    fn judge_bytes(&mut self, bytes: Bytes) -> Look {
        let entry = match Entry::parse(bytes) {
            Ok(entry) => entry,
            Err(bytes) => {
                self.dead(Warning::Undecodable, "the entry is not one of ours: overwritten");
                return Look::Free(Want::Lease(Seen::foreign(&bytes)));
            }
        };
        let owner = self.owner();
        let dead = |entry: &Entry| Look::Free(Want::Lease(entry.seen()));
        if entry.owner.function != owner.function {
            self.other_function(&entry);
            return dead(&entry);
        }
        if entry.owner.arguments != owner.arguments {
            self.dead(Warning::OtherFunction, "calls with different arguments share a `key`");
            return dead(&entry);
        }
        if entry.owner.version > owner.version {
            self.warn(Warning::Newer, "the entry is from a newer `version`: left alone");
            return Look::Alone(Reason::Newer);
        }
        if entry.owner.version < owner.version || !entry.depends_on(&self.tokens) {
            return dead(&entry);
        }
        match entry.kind {
            Kind::Lease if self.inner().forsaken.has(entry.id) => dead(&entry),
            Kind::Lease => Look::Held(entry.id),
            Kind::Value | Kind::None => self.judge_value(entry),
            Kind::Unstored => self.judge_mark(entry),
        }
    }

    /// The mark lets those run at once who read it in time; after that it only stands for them.
    fn judge_mark(&mut self, mark: Entry) -> Look {
        if !self.timed {
            return Look::Untimed;
        }
        let in_time = self.left.is_none_or(|left| left > mark.window);
        // A refresh began later than whatever runs under it.
        if in_time && self.call.verb != Some(Verb::Refresh) {
            return Look::Joint(mark);
        }
        Look::Free(Want::Lease(mark.seen()))
    }

    fn judge_value(&mut self, entry: Entry) -> Look {
        if !self.timed && !entry.window.is_zero() {
            return Look::Untimed;
        }
        let left = self.left.unwrap_or(entry.life);
        let claimed = right::claimed_for(&entry, left, self.right_life()).is_some()
            && !self.inner().forsaken.has(entry.id);
        let hit = |entry, stale, refresh: bool| {
            Look::Serve(Hit { entry, stale, refresh: refresh.then_some(left) })
        };
        if self.call.verb == Some(Verb::Refresh) {
            return free_unless(claimed, entry, left);
        }
        // Fresh until the window begins; an entry without one is gone by then.
        let Some(age) = entry.window.checked_sub(left).filter(|_| !entry.window.is_zero()) else {
            let early = !claimed && self.is_early(&entry, left.saturating_sub(entry.window));
            return hit(entry, false, early);
        };
        // An old value would stay for as long as what is being computed from it.
        let tolerated = !recursion::is_stored();
        if tolerated && age < self.call.identity.stale_while_revalidate() {
            return hit(entry, true, !claimed);
        }
        if tolerated && age < self.call.identity.stale_if_error() {
            self.keep(entry.clone(), left);
        }
        if right::is_released(&entry, left) {
            return Look::Joint(entry);
        }
        free_unless(claimed, entry, left)
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

impl Search {
    /// When what is being served was asked for, for how long a copy of it may be used, and its age.
    pub(crate) fn take_for_copy(&mut self, hit: &Hit) -> Option<(Sent, Duration, Duration)> {
        let sent = self.sent.take()?;
        if hit.stale || hit.refresh.is_some() {
            return None;
        }
        let entry = &hit.entry;
        let left = self.left.unwrap_or(entry.life).min(entry.life);
        // Where an early refresh becomes likely, at one read in a thousand, it must be looked for.
        let early = entry.cost.as_secs_f64() * self.call.identity.refresh_ahead() * 7.0;
        let early = Duration::try_from_secs_f64(early).unwrap_or(Duration::MAX);
        let fresh = left.saturating_sub(entry.window).saturating_sub(early);
        Some((sent, fresh.min(self.call.local_for()?), entry.life.saturating_sub(left)))
    }

    /// Keeps what could be served, for the case that the function fails.
    pub(crate) fn keep(&mut self, entry: Entry, left: Duration) {
        let since = self.inner().store.now();
        self.kept = Some(Box::new(Kept { entry, left, since }));
    }

    /// What was kept, if it may still be served; `forgives` is asked for leave where it takes some.
    /// The function has had its time, and the value has aged meanwhile.
    pub(crate) fn in_place_of_an_error(&self, forgives: impl FnOnce() -> bool) -> Option<Hit> {
        let Kept { entry, left, since } = self.kept.as_deref()?;
        let now = self.inner().store.now();
        let (identity, since) = (self.call.identity, now.saturating_duration_since(*since));
        // How long past its ttl, if it is.
        let past = entry.window.saturating_add(since).checked_sub(*left);
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
    pub(crate) fn left_of_kept(&self) -> Option<Duration> {
        let Kept { left, since, .. } = self.kept.as_deref()?;
        let now = self.inner().store.now();
        Some(left.saturating_sub(now.saturating_duration_since(*since)))
    }
}

fn free_unless(claimed: bool, entry: Entry, left: Duration) -> Look {
    if claimed { Look::Held(entry.id) } else { Look::Free(Want::Claim(entry, left)) }
}
