//! Those who run the function.

use std::fmt;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::task::{Context, Waker};

use shuttle::future::block_on;

use crate::books::{Holding, Ran, lease_of};
use crate::kinds::{End, Server};
use crate::outcome::Reason;
use crate::runtime::flight::{Answer, Ending, Lead, Terms};
use crate::schedule::pause;
use crate::world::World;

/// The leader of a flight. Dropped, it hands over.
pub struct Leader {
    world: World,
    lead: Option<Lead<Ran, Holding>>,
    flight: usize,
}

impl Leader {
    pub(crate) fn new(world: &World, lead: Lead<Ran, Holding>) -> Self {
        let flight = lead.flight().owner().flight;
        world.books.leads(flight);
        Self { world: world.clone(), lead: Some(lead), flight }
    }

    fn lead(&mut self) -> &mut Lead<Ran, Holding> {
        self.lead.as_mut().expect("it is taken only at the end")
    }

    /// Asks for the lease; the answer comes beside the parties.
    pub fn ask(&mut self, server: Server) {
        let (world, number) = (self.world.clone(), self.flight);
        let flight = self.lead().flight().clone();
        let lease = lease_of(number);
        flight.requests(lease);
        self.world.beside(move || {
            pause();
            let answer = match server {
                Server::Decides if !world.books.take_key(lease) => Answer::Refused,
                Server::Grants | Server::Decides => Answer::Granted(lease),
                Server::Refuses => Answer::Refused,
                Server::GrantsUnheard | Server::IsAway => Answer::Unknown(Reason::Failed),
            };
            let granted = answer == Answer::Granted(lease);
            if granted || server == Server::GrantsUnheard {
                world.books.stored(number);
            }
            pause();
            world.books.answered(number, granted);
            world.flights.resolve(&flight, answer);
        });
    }

    fn terms(&mut self) -> Terms {
        let lead = self.lead();
        block_on(poll_fn(|cx| lead.poll_stamped(cx, |lead, cx| lead.poll_terms(cx))))
    }

    /// Waits for the answer, runs the function and shares what it returns.
    pub fn goes_on(mut self) -> End {
        let terms = self.terms();
        self.runs(terms, true)
    }

    /// As [`Leader::goes_on`], with a result that cannot be shared.
    pub fn goes_on_alone(mut self) -> End {
        self.world.books.cannot_share();
        let terms = self.terms();
        self.runs(terms, false)
    }

    /// Does not wait for the answer: closes the flight, and runs.
    pub fn is_impatient(mut self) -> End {
        self.world.books.answered(self.flight, false);
        let flight = self.lead().flight().clone();
        self.world.flights.resolve(&flight, Answer::Unknown(Reason::Timeout));
        let terms = self.terms();
        self.runs(terms, true)
    }

    /// Waits for the answer, and is dropped while the function runs.
    pub fn leaves_at_work(mut self) -> End {
        match self.terms() {
            Terms::Dissolved => self.runs(Terms::Dissolved, true),
            terms => {
                self.world.books.begins(self.flight, terms);
                pause();
                self.leaves()
            }
        }
    }

    /// Waits for the answer, and panics while the function runs.
    pub fn panics_at_work(mut self) -> End {
        match self.terms() {
            Terms::Dissolved => self.runs(Terms::Dissolved, true),
            terms => {
                self.world.books.begins(self.flight, terms);
                pause();
                self.panics()
            }
        }
    }

    /// Is dropped.
    pub fn leaves(self) -> End {
        drop(self);
        End::Gone
    }

    /// Panics while it is polled.
    pub fn panics(mut self) -> End {
        self.world.books.panics(self.flight);
        // Caught before anything is dropped: all tasks share a thread, and one that gave way to others
        // while it unwinds would have all of them unwinding.
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            let cx = Context::from_waker(Waker::noop());
            self.lead().poll_stamped(&cx, |_, _| resume_unwind(Box::new("as asked")))
        }));
        let Err(_) = panicked;
        self.leaves()
    }

    /// Is woken, and not polled before it does something else.
    pub fn is_woken(&mut self) {
        let outer = Context::from_waker(Waker::noop());
        self.lead().poll_stamped(&outer, |_, cx| cx.waker().wake_by_ref());
    }

    /// Is polled, and has nothing to do yet.
    pub fn is_polled(&mut self) {
        self.lead().poll_stamped(&Context::from_waker(Waker::noop()), |_, _| ());
    }

    /// How many have led its flight so far.
    pub fn led(&self) -> usize {
        self.world.books.led(self.flight)
    }

    fn runs(mut self, terms: Terms, shares: bool) -> End {
        let Some(lead) = self.lead.take() else { return End::Gone };
        let books = &self.world.books;
        if terms == Terms::Dissolved {
            books.leads_no_more(self.flight);
            lead.leave();
            return End::Again;
        }
        let ran = books.begins(self.flight, terms);
        pause();
        let flight = lead.flight().clone();
        books.leads_no_more(self.flight);
        let ending = if shares { Ending::Shared(ran) } else { Ending::Alone };
        let Some(lease) = lead.finish(ending) else { return End::Ran };
        assert!(!ran.overtaken, "a flight that had ended is ended again");
        books.settled(self.flight, lease);
        // The write is on its way; those who read the lease still find the flight.
        pause();
        books.populate_key(lease);
        books.landing(self.flight);
        self.world.flights.remove(&flight);
        End::Populated
    }
}

impl Drop for Leader {
    fn drop(&mut self) {
        if let Some(lead) = self.lead.take() {
            self.world.books.leads_no_more(self.flight);
            drop(lead);
        }
    }
}

impl fmt::Debug for Leader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leader").finish_non_exhaustive()
    }
}
