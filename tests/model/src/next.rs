//! A moment that is being changed: commands of Redis, the results that calls get, and whether the
//! promise was kept.

use std::ops::{Deref, DerefMut};

use crate::case::Case;
use crate::check::{self, Source, Violation};
use crate::entry::{Claim, Entry, Id, NOBODY};
use crate::flaw::Flaw;
use crate::inbox::Message;
use crate::state::{Call, Lane, Late, MISSING, Marks, Phase, Reply, Result, State, Token, Version};

/// What becomes of a flight.
#[derive(Clone, Copy)]
pub(crate) enum Ending {
    Value(Version),
    /// The function failed; its error cannot be cloned, so that members are on their own.
    Failed,
    /// Others took the key first: every member reads again for itself.
    Dissolved,
}

#[derive(Clone)]
pub(crate) struct Next<'a> {
    pub(crate) case: &'a Case,
    pub(crate) state: State,
    pub(crate) violation: Option<Violation>,
}

impl Deref for Next<'_> {
    type Target = State;

    fn deref(&self) -> &State {
        &self.state
    }
}

impl DerefMut for Next<'_> {
    fn deref_mut(&mut self) -> &mut State {
        &mut self.state
    }
}

/// Commands, each one atomic step. `by` is the process that sends it.
impl Next<'_> {
    /// Any command that finds the key expired removes it; only then is its expiry pushed.
    pub(crate) fn touch(&mut self) {
        if self.redis.expired {
            self.redis.expired = false;
            self.push(Message::KeyChanged, None);
        }
    }

    pub(crate) fn set_entry(&mut self, entry: Entry, by: usize) {
        self.touch();
        if self.redis.entry != Entry::Absent || entry != Entry::Absent {
            self.redis.entry = entry;
            self.push(Message::KeyChanged, Some(by));
        }
    }

    pub(crate) fn set_token(&mut self, token: Token, by: Option<usize>) {
        if self.redis.token != MISSING || token != MISSING {
            self.redis.token = token;
            self.push(Message::TokenChanged, by);
        }
    }

    /// Takes the lease, or claims a value that is live: `GETRANGE` of the header, then `SET`.
    pub(crate) fn take(&mut self, seen: Entry, token: Token, id: Id, by: usize) -> bool {
        self.touch();
        let current = self.redis.entry;
        let by_id = self.case.has(Flaw::TakeOverIgnoresMark) && current.id() == seen.id();
        if !current.is_same_bytes(seen) && !by_id {
            return false;
        }
        if current.is_owned(self.redis.token) && self.is_computing(current.id()) {
            self.violation = Some(Violation::TwoComputations);
        }
        let claims = matches!(seen, Entry::Value { .. }) && seen.token() == token;
        let lease = Entry::Lease { id, token };
        let new = if claims { current.with_claim(id, Some(Claim::NEW)) } else { lease };
        self.set_entry(new, by);
        true
    }

    /// Gives up a lease, or clears the mark of a claim, if it is still there.
    pub(crate) fn give_up(&mut self, id: Id, by: usize) -> bool {
        self.touch();
        if id == NOBODY || self.redis.entry.id() != id {
            return false;
        }
        let new = match self.redis.entry {
            value @ Entry::Value { .. } => value.with_claim(self.fresh_id(), None),
            Entry::Absent | Entry::Lease { .. } | Entry::Unstored { .. } => Entry::Absent,
        };
        self.set_entry(new, by);
        true
    }

    /// As [`Next::give_up`], after a run: nobody who waits for it has to wait for the next.
    pub(crate) fn release(&mut self, id: Id, by: usize) -> bool {
        self.touch();
        if id == NOBODY || self.redis.entry.id() != id {
            return false;
        }
        let fresh = self.fresh_id();
        let new = match self.redis.entry {
            value @ Entry::Value { .. } => value.with_claim(fresh, Some(Claim::RELEASED)),
            other => Entry::Unstored { id: fresh, token: other.token(), aged: false },
        };
        self.set_entry(new, by);
        true
    }

    /// One change, one push, to whoever has read since the last one.
    fn push(&mut self, change: Message, by: Option<usize>) {
        let no_loop = self.case.has(Flaw::NoLoop);
        for (at, process) in self.processes.iter_mut().enumerate() {
            let tracked = match change {
                Message::KeyChanged => &mut process.key_tracked,
                _ => &mut process.token_tracked,
            };
            let told = std::mem::take(tracked) && process.lane == Lane::Up;
            if told && !(no_loop && by == Some(at)) {
                process.inbox.push(change);
            }
        }
    }
}

impl State {
    /// Whether somebody runs the function, or has run it and is about to populate, under this id.
    pub(crate) fn is_computing(&self, id: Id) -> bool {
        let under = |call: &&Call| call.right == id && id != NOBODY;
        let computing = |call: &Call| {
            matches!(call.phase, Phase::Answered(true) | Phase::Settling(Result::Value(_)))
        };
        self.calls.iter().filter(under).any(computing)
    }

    /// An id that occurs nowhere, which is as good as a random one.
    pub(crate) fn fresh_id(&self) -> Id {
        let mut used = 1u64 | 1 << self.redis.entry.id();
        for call in &self.calls {
            let seen = call.read.entry.here().unwrap_or_default();
            used |= 1 << call.right | 1 << seen.id();
        }
        for reply in self.processes.iter().flat_map(|process| process.inbox.as_slice()) {
            if let Message::Reply { entry: Some(entry), .. } = reply {
                used |= 1 << entry.id();
            }
        }
        used |= match self.late {
            Some(Late::OnItsWay { seen, new, .. }) => 1 << seen.id() | 1 << new.id(),
            Some(Late::GiveUp { id, .. }) => 1 << id,
            None => 0,
        };
        used.trailing_ones() as Id
    }

    /// A token that occurs nowhere, as above.
    pub(crate) fn fresh_token(&self) -> Token {
        let mut used = 1u64 | 1 << self.redis.token | 1 << self.redis.entry.token();
        for call in &self.calls {
            let seen = call.read.entry.here().unwrap_or_default();
            used |= 1 << seen.token() | 1 << call.read.token.here().unwrap_or(MISSING);
            used |= 1 << call.token;
        }
        for process in &self.processes {
            used |= 1 << process.known_token | 1 << process.near.map_or(MISSING, |near| near.1);
            for message in process.inbox.as_slice() {
                if let Message::Reply { entry, token, .. } = message {
                    used |= 1 << entry.unwrap_or_default().token() | 1 << token.unwrap_or(MISSING);
                }
            }
        }
        if let Some(Late::OnItsWay { seen, new, .. }) = self.late {
            used |= 1 << seen.token() | 1 << new.token();
        }
        used.trailing_ones() as Token
    }
}

/// What calls get.
impl Next<'_> {
    /// Hands a value to a call, and notes whether it may have it.
    pub(crate) fn serve(&mut self, call: usize, version: Version, source: Source) {
        let process = &self.processes[self.case.calls[call]];
        let violation = check::served(&self.calls[call], process, version, source);
        self.violation = self.violation.or(violation);
    }

    /// The function has failed: a stale value that the call has itself read live stands in.
    pub(crate) fn fail(&mut self, call: usize) {
        if let Some(version) = self.calls[call].fallback() {
            self.serve(call, version, Source::Fallback);
        }
    }

    /// Tells the members of a flight what became of it.
    pub(crate) fn end_flight(&mut self, leader: usize, ending: Ending) {
        let shared = self.case.has(Flaw::LeadersStaleShared);
        let leaders = self.calls[leader].fallback().filter(|_| shared);
        for member in 0..self.case.calls.len() {
            if self.calls[member].phase == Phase::Joined(leader as u8) {
                self.end_membership(member, ending, leaders);
            }
        }
    }

    pub(crate) fn end_membership(
        &mut self,
        member: usize,
        ending: Ending,
        leaders: Option<Version>,
    ) {
        let fallback = self.calls[member].fallback().or(leaders);
        match (ending, fallback) {
            (Ending::Value(version), _) => {
                self.serve(member, version, Source::Flight);
                self.calls[member] = Call::ended(Phase::Done);
            }
            (Ending::Failed, Some(version)) => {
                self.serve(member, version, Source::Fallback);
                self.calls[member] = Call::ended(Phase::Done);
            }
            (Ending::Failed, None) => self.run_plainly(member),
            (Ending::Dissolved, _) => {
                self.calls[member].attempts += 1;
                self.calls[member].read_again(true);
            }
        }
    }

    pub(crate) fn run_plainly(&mut self, call: usize) {
        self.calls[call].phase = Phase::Plain;
        self.calls[call].right = NOBODY;
        self.calls[call].joint = false;
    }

    /// Drops what the process remembers, and touches the marks of all reads on their way.
    pub(crate) fn drop_local(&mut self, process: usize) {
        self.processes[process].near = None;
        self.processes[process].known_token = MISSING;
        for call in self.case.calls_of(process) {
            self.touch_marks(call, Marks { key: true, token: true });
        }
    }

    pub(crate) fn touch_marks(&mut self, call: usize, changed: Marks) {
        let Call { phase, read, .. } = &mut self.calls[call];
        let sent = read.entry != Reply::Unsent || read.token != Reply::Unsent;
        if *phase == Phase::Reading && read.tracked && sent {
            read.touched.key |= changed.key;
            read.touched.token |= changed.token;
        }
    }
}
