//! Asking for the right to populate.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use super::{Hit, Lead, Role, Search, Want};
use crate::background;
use crate::cache::Inner;
use crate::entry::{Entry, EntryId, LONGEST_TTL, Owner, Token, Tokens};
use crate::flight::{Answer, Terms};
use crate::outcome::Reason;
use crate::right::{self, AHEAD, Holding, Leaving, Right};
use crate::stats::Count;
use crate::store::{Fault, Key};

/// What is needed to ask.
struct Request {
    inner: Arc<Inner>,
    group: usize,
    key: Key,
    owner: Owner,
    known: smallvec::SmallVec<[Option<Token>; 2]>,
    token_life: Duration,
    life: Duration,
}

/// A right that is being asked for: until the answer has been dealt with, it may yet be left behind.
struct Asking(Arc<Inner>);

impl Asking {
    fn begin(inner: &Arc<Inner>) -> Self {
        inner.asking.fetch_add(1, Ordering::SeqCst);
        Self(inner.clone())
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        self.0.asking.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Search {
    /// Asks for the right. The answer goes to the flight, so that it outlives this call.
    pub(super) fn ask(&mut self, lead: &Lead, want: Want) {
        let inner = self.inner().clone();
        let flight = lead.flight().clone();
        let Some(id) = EntryId::fresh() else {
            inner.flights.settle(&flight, Answer::Unknown(Reason::Failed));
            return;
        };
        flight.asks(id);
        let request = Request {
            inner,
            group: self.call.identity.group,
            key: self.key.clone(),
            owner: self.owner(),
            known: self.tokens.clone(),
            token_life: self.token_life(),
            life: self.right_life(),
        };
        let limit = self.limit();
        let asking = Asking::begin(&request.inner);
        background::spawn_begun(async move {
            let Request { inner, key, .. } = &request;
            let taken = request.send(want, id, flight.owner(), limit).await;
            let answer = match &taken {
                Ok(true) => Answer::Granted(id),
                Ok(false) => Answer::Refused,
                Err(fault) => {
                    if *fault != Fault::WrongType {
                        inner.counters(request.group).count(Count::Error);
                    }
                    Answer::Unknown(fault.reason())
                }
            };
            inner.flights.settle(&flight, answer);
            let right = flight.owner().right.get().cloned();
            let weak = Arc::downgrade(&flight);
            // With it goes the output, which the last to hold it drops: not here.
            drop(flight);
            match (taken, right) {
                (Ok(true), Some(right)) => {
                    drop(asking);
                    let held = || weak.upgrade().is_some_and(|flight| flight.holds(id));
                    right.extend(&inner.store, key, inner.config.max_run, held).await;
                }
                // It may have been taken all the same: on the same lane this comes after it.
                (Err(Fault::Timeout | Fault::Down | Fault::Refused(_)), Some(right)) => {
                    right.give_up(inner, key, Leaving::AsItWas, None).await;
                    drop(asking);
                }
                _ => drop(asking),
            }
        });
    }

    /// Claims a value that could be served, and keeps it for the case that the function fails; gives
    /// it back where somebody else refreshes it, or nobody knows.
    pub(crate) async fn claim(&mut self, hit: Hit) -> Result<Role, Hit> {
        if let Some(left) = hit.refresh {
            self.keep(hit.entry.clone(), left);
        }
        let Some(lead) = self.begin_claim(&hit) else { return Err(hit) };
        self.granted(lead).await.ok_or(hit)
    }

    /// Asks for the claim, unless a run is going on in this process.
    pub(crate) fn begin_claim(&mut self, hit: &Hit) -> Option<Lead> {
        let left = hit.refresh?;
        let inner = self.inner().clone();
        if inner.store.is_write_paused(&self.key) || inner.is_closed() {
            return None;
        }
        let lead = inner.flights.lead_if_idle(self.id, || self.holding())?;
        self.ask(&lead, Want::Claim(hit.entry.clone(), left));
        Some(lead)
    }

    /// The role of whoever got the claim.
    pub(crate) async fn granted(&mut self, mut lead: Lead) -> Option<Role> {
        let limit = self.limit();
        let terms = pin!(poll_fn(|cx| lead.poll_stamped(cx, |lead, cx| lead.poll_terms(cx))));
        let began = Instant::now();
        let terms = background::timeout(limit, terms).await;
        self.spent += began.elapsed();
        match terms {
            Ok(Terms::Leased(_)) => {
                self.counters().count(Count::Refresh);
                return Some(Role { lead: Some(lead), reason: None });
            }
            Ok(Terms::Dissolved) => lead.leave(),
            // Whoever has joined it goes on without this call.
            Ok(Terms::Plain(_)) => drop(lead),
            Err(_) => {
                let late = Answer::Unknown(Reason::Timeout);
                self.inner().flights.settle(lead.flight(), late);
            }
        }
        None
    }

    /// The call goes on without its caller: nobody is told, and there is a budget of its own.
    pub(crate) fn detach(&mut self) {
        self.call.verb = None;
        self.spent = Duration::ZERO;
    }

    pub(super) fn holding(&self) -> Holding {
        let inner = Arc::downgrade(self.inner());
        Holding { inner, key: self.key.clone(), right: OnceLock::new() }
    }

    /// As [`Search::holding`], for a run under what the call has itself read.
    pub(super) fn holding_jointly(&self, entry: &Entry) -> Holding {
        let holding = self.holding();
        let _ = holding.right.set(Arc::new(Right::joint(entry)));
        holding
    }

    pub(super) fn right_life(&self) -> Duration {
        let inner = self.inner();
        right::life(&inner.store, self.call.identity.lease(), inner.config.max_run)
    }

    /// How long a token is made for: twice the life of a right and that of an entry, so that it is
    /// seldom renewed.
    pub(super) fn token_life(&self) -> Duration {
        let ttl = self.call.ttl.unwrap_or(self.inner().config.default_ttl).min(LONGEST_TTL);
        let entry = ttl.saturating_add(self.call.identity.window());
        entry.saturating_add(self.right_life()).saturating_add(AHEAD).saturating_mul(2)
    }
}

impl Request {
    async fn send(
        &self,
        want: Want,
        id: EntryId,
        holding: &Holding,
        limit: Duration,
    ) -> Result<bool, Fault> {
        let began = Instant::now();
        let (right, seen) = match want {
            Want::Lease(seen) => {
                let tokens = self.tokens(limit).await?;
                (Right::lease(id, self.owner, tokens, self.life), seen)
            }
            Want::Claim(entry, left) => {
                let seen = entry.seen();
                (Right::claim(id, entry, left, self.life), seen)
            }
        };
        let taking = right.taking();
        let _ = holding.right.set(Arc::new(right));
        let left = limit.saturating_sub(began.elapsed());
        self.inner.store.compare_and_set(&self.key, &seen, taking, left).await
    }

    /// The tokens as they were read, and those that were missing.
    async fn tokens(&self, limit: Duration) -> Result<Tokens, Fault> {
        match self.known.iter().copied().collect() {
            Some(tokens) => Ok(tokens),
            None => self.inner.store.seed(&self.key, &self.known, self.token_life, limit).await,
        }
    }
}
