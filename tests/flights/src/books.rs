//! What has happened, and whether it may.
//!
//! Its lock is std's, and is never held across anything that the scheduler can interrupt.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::call::Key;
use crate::entry::EntryId;
use crate::outcome::Reason;
use crate::runtime::flight::{Owner, PANICS, Terms};

/// The books of a world.
#[derive(Clone, Default)]
pub(crate) struct Books(Arc<Mutex<State>>);

#[derive(Default)]
pub(crate) struct State {
    /// Counts what has happened.
    tick: u64,
    flights: Vec<Record>,
    /// Somebody may have found a leader stalled.
    stalls: bool,
    /// Somebody may have returned what cannot be shared, or have panicked too often.
    unshared: bool,
    /// Leases may have been given up for the runs.
    forsaken: bool,
    pub(crate) key: Key,
    /// Runs of the function.
    runs: usize,
}

/// Of one flight.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "facts that come true in any order")]
struct Record {
    answered: bool,
    granted: bool,
    settled: bool,
    /// Its lease may be read.
    stored: bool,
    landing: bool,
    leaders: usize,
    led: usize,
    panics: u8,
}

/// One run of the function: what members get.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ran {
    pub(crate) lease: Option<EntryId>,
    pub(crate) began: u64,
    /// It began after another had ended the flight: for whoever ran it alone.
    pub(crate) overtaken: bool,
}

impl Books {
    pub(crate) fn open(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn of(&self, flight: usize, change: impl FnOnce(&mut Record)) {
        change(&mut self.open().flights[flight]);
    }

    pub(crate) fn tick(&self) -> u64 {
        let mut state = self.open();
        state.tick += 1;
        state.tick
    }

    /// What a new flight belongs to.
    pub(crate) fn holding(&self) -> Holding {
        let mut state = self.open();
        state.flights.push(Record::default());
        Holding { flight: state.flights.len() - 1, books: self.clone() }
    }

    pub(crate) fn stored(&self, flight: usize) {
        self.of(flight, |record| record.stored = true);
    }

    /// The leases that may have been read by somebody.
    pub(crate) fn readable(&self) -> Vec<EntryId> {
        let state = self.open();
        let stored = state.flights.iter().enumerate().filter(|(_, record)| record.stored);
        stored.map(|(flight, _)| lease_of(flight)).collect()
    }

    pub(crate) fn answered(&self, flight: usize, granted: bool) {
        self.of(flight, |record| {
            record.answered = true;
            record.granted |= granted;
        });
    }

    pub(crate) fn settled(&self, flight: usize, lease: EntryId) {
        assert_eq!(lease, lease_of(flight), "a flight settles another's lease");
        self.of(flight, |record| {
            assert!(record.granted, "a lease is settled that was not granted");
            assert!(!record.settled, "a lease is settled twice");
            record.settled = true;
        });
    }

    pub(crate) fn landing(&self, flight: usize) {
        self.of(flight, |record| record.landing = true);
    }

    pub(crate) fn is_landing(&self, lease: EntryId) -> bool {
        let state = self.open();
        let mut flights = state.flights.iter().enumerate();
        flights.any(|(flight, record)| lease_of(flight) == lease && record.landing)
    }

    /// The flights that are led, and have not been refused their lease.
    pub(crate) fn going_on(&self) -> Vec<usize> {
        self.led_where(|record| !record.answered || record.granted)
    }

    /// The flights that are led, and whose lease is being asked for.
    pub(crate) fn asking(&self) -> Vec<usize> {
        self.led_where(|record| !record.answered)
    }

    fn led_where(&self, which: impl Fn(&Record) -> bool) -> Vec<usize> {
        let state = self.open();
        let flights = state.flights.iter().enumerate();
        let led = flights.filter(|(_, record)| record.leaders > 0 && which(record));
        led.map(|(flight, _)| flight).collect()
    }

    /// A flight has begun that none of some others may be beside, as they were before and after.
    pub(crate) fn begun_beside(&self, before: &[usize], after: &[usize]) {
        let still = before.iter().any(|flight| after.contains(flight));
        let state = self.open();
        let excused = state.stalls || state.forsaken;
        assert!(!still || excused, "a flight begins beside one to be joined");
    }

    /// From now on members may be sent off.
    pub(crate) fn cannot_share(&self) {
        self.open().unshared = true;
    }

    /// To be called before the panic.
    pub(crate) fn panics(&self, flight: usize) {
        let mut state = self.open();
        let record = &mut state.flights[flight];
        record.panics += 1;
        state.unshared |= state.flights[flight].panics >= PANICS;
    }

    pub(crate) fn is_sent_off(&self) {
        assert!(self.open().unshared, "a member is sent off though all could be shared with it");
    }

    pub(crate) fn runs(&self) -> usize {
        self.open().runs
    }

    pub(crate) fn leads(&self, flight: usize) {
        let mut state = self.open();
        let stalls = state.stalls;
        let record = &mut state.flights[flight];
        record.leaders += 1;
        record.led += 1;
        assert!(record.leaders == 1 || stalls, "a second leader without a stall");
    }

    /// To be called before the leader is gone: the next may come any time after.
    pub(crate) fn leads_no_more(&self, flight: usize) {
        self.of(flight, |record| record.leaders -= 1);
    }

    /// How many have led the flight so far.
    pub(crate) fn led(&self, flight: usize) -> usize {
        self.open().flights[flight].led
    }

    pub(crate) fn begins(&self, flight: usize, terms: Terms) -> Ran {
        let lease = match terms {
            Terms::Leased(lease) => Some(lease),
            Terms::Plain(_) | Terms::Dissolved => None,
        };
        let overtaken = terms == Terms::Plain(Reason::Overtaken);
        let excused = overtaken || (self.open().forsaken && terms == Terms::Plain(Reason::Off));
        self.of(flight, |record| {
            assert!(record.answered || excused, "the function begins before its lease is answered");
            assert!(lease.is_none_or(|lease| record.granted && lease == lease_of(flight)));
        });
        self.open().runs += 1;
        Ran { lease, began: self.tick(), overtaken }
    }

    /// From now on runs may be without their leases.
    pub(crate) fn forsaken(&self) {
        self.open().forsaken = true;
    }

    /// From now on a leader may be found stalled.
    pub(crate) fn time_passes(&self) {
        self.open().stalls = true;
    }

    pub(crate) fn close(&self) {
        for (flight, record) in self.open().flights.iter().enumerate() {
            assert_eq!(record.granted, record.settled, "the lease of flight {flight} is left");
            assert_eq!(record.leaders, 0, "flight {flight} is still led");
        }
    }
}

/// The lease that a flight asks for.
pub(crate) fn lease_of(flight: usize) -> EntryId {
    EntryId((flight as u128).to_le_bytes())
}

/// What a flight belongs to.
pub(crate) struct Holding {
    pub(crate) flight: usize,
    books: Books,
}

impl Owner for Holding {
    fn abandoned(&self, lease: EntryId) {
        self.books.settled(self.flight, lease);
        self.books.replace_key(lease, Key::Free);
    }
}
