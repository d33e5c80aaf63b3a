//! From the bytes under the key to the state of a call: the table of states in `docs/coherence.md`, column
//! "a call that reads it".

use std::time::Duration;

use bytes::Bytes;

use super::{Hit, Lookup, ReadState, Want};
use crate::entry::{Entry, EntryId, EntryKind, Seen};
use crate::lease;
use crate::near::ReadStart;
use crate::outcome::Reason;
use crate::recursion;
use crate::site::Warning;
use crate::store::Found;
use crate::verb::Verb;

impl Lookup {
    /// Classifies what was read: whose entry it is, whether it is live, and its age.
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
        let replaceable = |entry: &Entry| ReadState::Free(Want::Lease(entry.seen()));
        if entry.owner.function != owner.function {
            self.other_function(&entry);
            return replaceable(&entry);
        }
        if entry.owner.arguments != owner.arguments {
            self.dead(Warning::OtherFunction, "calls with different arguments share a `key`");
            return replaceable(&entry);
        }
        if entry.owner.version > owner.version {
            self.warn(Warning::NewerVersion, "the entry is from a newer `version`: left alone");
            return ReadState::Alone(Reason::NewerVersion);
        }
        if entry.owner.version < owner.version || !entry.depends_on(&self.tokens) {
            return replaceable(&entry);
        }
        match entry.kind {
            EntryKind::Lease if self.inner().leases.is_releasing(entry.id) => replaceable(&entry),
            EntryKind::Lease => ReadState::Held(entry.id),
            EntryKind::Value | EntryKind::None => self.classify_value(entry),
            EntryKind::Unstored => self.classify_unstored(entry),
        }
    }

    /// A call that reads an unstored mark early enough runs at once. The mark outlives that time only so that
    /// those runs can still populate over it.
    fn classify_unstored(&mut self, mark: Entry) -> ReadState {
        if !self.timed {
            return ReadState::Untimed;
        }
        let in_time = self.ttl_left.is_none_or(|ttl_left| ttl_left > mark.window);
        // `refresh` promises a run that began after it: it must not join one that runs under the mark.
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
        // The stale window is the end of the entry's life; an entry without a window expires when fresh ends.
        let Some(past) = entry.window.checked_sub(ttl_left).filter(|_| !entry.window.is_zero())
        else {
            let early = !claimed && self.is_early(&entry, ttl_left.saturating_sub(entry.window));
            return hit(entry, false, early);
        };
        // A stale value must not become part of another entry, which would be fresh for its whole TTL.
        let tolerated = !recursion::is_stored();
        if tolerated && past < self.call.identity.stale_while_revalidate() {
            return hit(entry, true, !claimed);
        }
        if tolerated && past < self.call.identity.stale_if_error() {
            self.keep_fallback(entry.clone(), ttl_left);
        }
        if lease::is_released(&entry, ttl_left) {
            return ReadState::Joint(entry);
        }
        free_unless(claimed, entry, ttl_left)
    }

    /// Decides on an early refresh, which is the likelier the less time the value is still `fresh` and the
    /// longer its run took: `XFetch`, from Vattani, Chierichetti and Lowenstein, "Optimal Probabilistic Cache
    /// Stampede Prevention" (VLDB 2015).
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
    /// What a near copy of `hit` takes: the start of its read, how long the copy may be served, and the
    /// entry's age. `None` where the read was not tracked, or the entry is stale or due for a refresh.
    pub(crate) fn take_for_copy(&mut self, hit: &Hit) -> Option<(ReadStart, Duration, Duration)> {
        let read_start = self.read_start.take()?;
        if hit.stale || hit.refresh.is_some() {
            return None;
        }
        let entry = &hit.entry;
        let ttl_left = self.ttl_left.unwrap_or(entry.life).min(entry.life);
        // A copy ends where one read in a thousand would begin an early refresh (7 is about ln 1000): copies
        // begin none.
        let early = entry.cost.as_secs_f64() * self.call.identity.refresh_ahead() * 7.0;
        let early = Duration::try_from_secs_f64(early).unwrap_or(Duration::MAX);
        let fresh = ttl_left.saturating_sub(entry.window).saturating_sub(early);
        Some((read_start, fresh.min(self.call.local_for()?), entry.life.saturating_sub(ttl_left)))
    }
}

fn free_unless(claimed: bool, entry: Entry, ttl_left: Duration) -> ReadState {
    if claimed { ReadState::Held(entry.id) } else { ReadState::Free(Want::Claim(entry, ttl_left)) }
}
