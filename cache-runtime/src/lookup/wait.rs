//! Waiting: for the answer about a lease, for a flight of this process, for another process.

use std::future::poll_fn;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use super::{Lead, Lookup, Member, Role, Step};
use crate::entry::EntryId;
use crate::flight::{Answer, Joined, STALL, Terms};
use crate::outcome::Reason;
use crate::site::Warning;
use crate::{background, clock, deadline, recursion};

impl Lookup {
    /// Waits within the budget for the answer to this call's request for a lease. Without an answer in time
    /// the flight is closed to newcomers, so that none joins a run that will not be stored; a lease that is
    /// granted afterwards is released.
    pub(super) async fn lease_terms(
        &mut self,
        lead: &mut Lead,
    ) -> Result<Terms, deadline::Elapsed> {
        let (began, limit) = (Instant::now(), self.budget_left());
        let answered = poll_fn(|cx| lead.poll_stamped(cx, |lead, cx| lead.poll_terms(cx)));
        let terms = deadline::timeout(limit, pin!(answered)).await;
        self.spent += began.elapsed();
        if terms.is_err() {
            let late = Answer::Unknown(Reason::Timeout);
            self.inner().flights.resolve(lead.flight(), late);
        }
        terms
    }

    /// Waits for the answer to this call's request for a lease; `None` where another process took the key
    /// first, so that everything has to be read again.
    pub(super) async fn wait_for_answer(&mut self, mut lead: Lead) -> Option<Step> {
        let terms = self.lease_terms(&mut lead).await.unwrap_or_else(|_| {
            // An answer that came between the timeout and the close of the flight still counts.
            match lead.poll_terms(&Context::from_waker(Waker::noop())) {
                Poll::Ready(terms) => terms,
                Poll::Pending => Terms::Plain(Reason::Timeout),
            }
        });
        let reason = match terms {
            Terms::Leased(_) => None,
            Terms::Plain(reason) => Some(reason),
            Terms::Dissolved => {
                lead.leave();
                return self.read_again();
            }
        };
        if reason == Some(Reason::WrongType) {
            self.warn(Warning::WrongType, "the key holds another Redis type: left alone");
        }
        Some(Step::Run(Role { lead: Some(lead), reason }))
    }

    /// Waits for a flight to end, for as long as `wait` allows.
    pub(super) async fn wait_for_flight(&mut self, mut member: Member) -> Option<Step> {
        if background::handle().is_none() {
            // Without the private runtime there is no timer, and the wait might never end.
            return Some(Step::Run(Role::alone(Reason::WaitOver)));
        }
        let Some(_wait) = self.inner().wait_graph.enter(self.id()) else {
            return Some(Step::Run(Role::alone(Reason::Recursion)));
        };
        let began = Instant::now();
        let limit = self.wait_left();
        let joined = loop {
            let left = limit.saturating_sub(began.elapsed());
            // Polls the member at least so often, since a stalled leader does not wake it.
            let tick = left.min(STALL / 2);
            let ended = poll_fn(|cx| member.poll(cx, clock::millis()));
            match deadline::timeout(tick, pin!(ended)).await {
                Ok(joined) => break Some(joined),
                Err(_) if left <= tick => break None,
                Err(_) => {}
            }
        };
        let waited_for = began.elapsed();
        self.waited += waited_for;
        self.inner().timings.waits.record(waited_for);
        match joined {
            None => Some(Step::Run(Role::alone(Reason::WaitOver))),
            // A run that is not stored may have used stale values, which must not become part of an entry.
            Some(Joined::Shared(_)) if recursion::is_stored() && !member.is_stored() => {
                Some(Step::Run(Role::alone(Reason::Unshared)))
            }
            Some(Joined::Shared(payload)) => Some(Step::Joined(payload)),
            Some(Joined::Alone) => Some(Step::Run(Role::alone(Reason::Unshared))),
            Some(Joined::Again) => self.read_again(),
            Some(Joined::Promoted(lead)) => {
                drop(member);
                self.wait_for_answer(lead).await
            }
        }
    }

    /// Waits until a lease or claim of another process is gone; `None` to read again.
    pub(super) async fn wait_for_lease(&mut self, lease: EntryId) -> Option<Step> {
        let (limit, inner) = (self.wait_left(), self.inner().clone());
        let over = || Some(Step::Run(Role::alone(Reason::WaitOver)));
        if limit.is_zero() || background::handle().is_none() {
            return over();
        }
        let mut gone = inner.lease_watch.join(&self.key, lease, self.lease_life());
        let began = Instant::now();
        let changed = background::guarded(gone.changed());
        let waited = deadline::timeout(limit, pin!(changed)).await;
        let waited_for = began.elapsed();
        self.waited += waited_for;
        self.inner().timings.waits.record(waited_for);
        // `changed` also ends with an error, when the watch is over: either way the key is to be read again.
        if waited.is_ok() { None } else { over() }
    }

    /// The rest of the time that this call may wait for other runs.
    fn wait_left(&self) -> Duration {
        let wait = self.call.identity.wait().unwrap_or(self.inner().config.wait);
        wait.saturating_sub(self.waited)
    }
}
