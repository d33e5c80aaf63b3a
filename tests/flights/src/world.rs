//! The flights of one call, and all who take part.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use shuttle::thread::JoinHandle;

use crate::books::{Books, Ran};
use crate::entry::EntryId;
use crate::follower::{Follower, Way};
use crate::key::CallId;
use crate::kinds::{End, Party};
use crate::leader::Leader;
use crate::outcome::Reason;
use crate::runtime::flight::{Entered, Flights, STALL};
use crate::{books, clock};

pub(crate) const CALL: CallId = CallId([7; 32]);

/// The flights of one call, with books on them.
#[derive(Clone)]
pub struct World {
    pub(crate) flights: Arc<Flights<Ran, books::Holding>>,
    pub(crate) books: Books,
    tasks: Arc<Mutex<Vec<JoinHandle<Option<End>>>>>,
}

impl World {
    /// A world in which nothing has happened.
    pub fn new() -> Self {
        clock::set(1);
        Self { flights: Flights::new(), books: Books::default(), tasks: Arc::default() }
    }

    /// Joins a flight whose function has not begun, or leads one.
    pub fn enter(&self) -> Party {
        let since = self.books.tick();
        let before = self.books.asking();
        let entered = self.flights.enter(CALL, || self.books.holding());
        if matches!(entered, Entered::Lead(_)) {
            self.books.begun_beside(&before, &self.books.asking());
        }
        self.party(entered, Way::BeforeItBegins { since })
    }

    /// Joins whatever is going on, or leads a flight without a lease.
    pub fn enter_plain(&self) -> Party {
        let mut plain = None;
        let entered = self.flights.enter_plain(CALL, || {
            let holding = self.books.holding();
            plain = Some(holding.flight);
            holding
        });
        if let Some(flight) = plain {
            self.books.answered(flight, false);
        }
        self.party(entered, Way::WhateverGoesOn)
    }

    /// Gives up the leases of all flights.
    pub fn forsakes(&self) -> End {
        self.books.forsaken();
        self.flights.release_all(Reason::Off);
        End::Gone
    }

    /// Leads where nothing is going on.
    pub fn lead_if_idle(&self) -> Option<Leader> {
        let before = self.books.going_on();
        let lead = self.flights.lead_if_idle(CALL, || self.books.holding())?;
        self.books.begun_beside(&before, &self.books.going_on());
        Some(Leader::new(self, lead))
    }

    /// Joins by each lease that can be read; gets one follower of each flight that it finds.
    pub fn read(&self) -> Vec<Follower> {
        let readable = self.books.readable();
        readable.into_iter().filter_map(|lease| self.read_lease(lease)).collect()
    }

    /// As [`World::read`], in a world where every lease that is granted is populated.
    ///
    /// # Panics
    ///
    /// Where the holder of a lease is not found though it has not landed.
    pub fn read_all(&self) -> Vec<Follower> {
        let join = |lease| {
            let joined = self.read_lease(lease);
            assert!(joined.is_some() || self.books.is_landing(lease), "a live lease is not joined");
            joined
        };
        self.books.readable().into_iter().filter_map(join).collect()
    }

    pub(crate) fn read_lease(&self, lease: EntryId) -> Option<Follower> {
        let since = self.books.tick();
        let member = self.flights.with_lease(CALL, lease)?;
        Some(Follower::new(self, member, Way::ByLease { lease, since }))
    }

    fn party(&self, entered: Entered<Ran, books::Holding>, way: Way) -> Party {
        match entered {
            Entered::Lead(lead) => Party::Leader(Leader::new(self, lead)),
            Entered::Member(member) => Party::Follower(Follower::new(self, member, way)),
        }
    }

    /// How often the function has begun to run.
    pub fn runs(&self) -> usize {
        self.books.runs()
    }

    /// Leads the first flight.
    ///
    /// # Panics
    ///
    /// Where there is one to join.
    pub fn lead(&self) -> Leader {
        match self.enter() {
            Party::Leader(leader) => leader,
            Party::Follower(_) => panic!("there is a flight to join"),
        }
    }

    /// Follows the flight that has been begun.
    ///
    /// # Panics
    ///
    /// Where there is none to join.
    pub fn follow(&self) -> Follower {
        match self.enter() {
            Party::Follower(follower) => follower,
            Party::Leader(_) => panic!("there is no flight to join"),
        }
    }

    /// Has a party go its way beside the others.
    pub fn spawn(&self, party: impl FnOnce() -> End + Send + 'static) {
        self.begin(|| Some(party()));
    }

    /// Has something else happen beside the parties.
    pub fn beside(&self, happens: impl FnOnce() + Send + 'static) {
        self.begin(|| {
            happens();
            None
        });
    }

    fn begin(&self, task: impl FnOnce() -> Option<End> + Send + 'static) {
        let task = shuttle::thread::spawn(task);
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).push(task);
    }

    /// As long passes as it takes for a leader that was woken to have stalled.
    pub fn time_passes(&self) -> u64 {
        self.books.time_passes();
        let now = clock::millis() + STALL.as_millis() as u64;
        clock::set(now);
        now
    }

    /// Waits for all, and closes the books. Returns how it ended for the parties, in no
    /// order.
    ///
    /// # Panics
    ///
    /// Where a lease is left, or a flight is still in the table.
    pub fn close(&self) -> Vec<End> {
        let mut ends = Vec::new();
        let next = || self.tasks.lock().unwrap_or_else(PoisonError::into_inner).pop();
        while let Some(task) = next() {
            ends.extend(task.join().expect("a party panicked"));
        }
        assert_eq!(self.flights.len(), 0, "a flight is left in the table");
        self.books.close();
        ends
    }
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World").finish_non_exhaustive()
    }
}
