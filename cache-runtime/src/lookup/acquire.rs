//! Acquiring a lease or a claim: the request, and the task that waits for its answer.

use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use super::{Hit, Lead, Lookup, Role, Want};
use crate::background;
use crate::cache::Inner;
use crate::entry::{Entry, EntryId, LONGEST_TTL, Owner, Token, Tokens};
use crate::flight::{Answer, Terms};
use crate::key::Key;
use crate::lease::{self, AHEAD, Lease, LeaseOwner, OnRelease};
use crate::outcome::Reason;
use crate::stats::Count;
use crate::store::Fault;

/// What a request for a lease or a claim takes from its call, which may be dropped before the answer.
struct Request {
    inner: Arc<Inner>,
    group: usize,
    key: Key,
    owner: Owner,
    /// The tokens as the call has read them; a lease needs those that are missing to be made first.
    known: smallvec::SmallVec<[Option<Token>; 2]>,
    token_life: Duration,
    /// The life of the lease.
    life: Duration,
}

/// Counts a request until its answer has been handled: `Cache::close` waits for it, since the lease that
/// it may have acquired is still to be released.
struct Acquiring(Arc<Inner>);

impl Acquiring {
    fn begin(inner: &Arc<Inner>) -> Self {
        inner.acquiring.fetch_add(1, Ordering::SeqCst);
        Self(inner.clone())
    }
}

impl Drop for Acquiring {
    fn drop(&mut self) {
        self.0.acquiring.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Lookup {
    /// Requests the lease or claim, and has the answer go to the flight: members need it even if this call is
    /// dropped.
    pub(super) fn acquire(&mut self, lead: &Lead, want: Want) {
        let inner = self.inner().clone();
        let flight = lead.flight().clone();
        let Some(id) = EntryId::fresh() else {
            inner.flights.resolve(&flight, Answer::Unknown(Reason::Failed));
            return;
        };
        flight.requests(id);
        let request = Request {
            inner,
            group: self.call.identity.group,
            key: self.key.clone(),
            owner: self.owner(),
            known: self.tokens.clone(),
            token_life: self.token_life(),
            life: self.lease_life(),
        };
        let limit = self.budget_left();
        let acquiring = Acquiring::begin(&request.inner);
        background::spawn_begun(async move {
            let Request { inner, key, .. } = &request;
            let taken = request.send(want, id, flight.owner(), limit).await;
            let answer = match &taken {
                Ok(true) => Answer::Granted(id),
                Ok(false) => Answer::Refused,
                Err(fault) => {
                    if *fault != Fault::WrongType {
                        inner.counters(request.group).count(fault.count());
                    }
                    Answer::Unknown(fault.reason())
                }
            };
            inner.flights.resolve(&flight, answer);
            let lease = flight.owner().lease.get().cloned();
            let weak_flight = Arc::downgrade(&flight);
            // The flight holds the output, whose last owner runs the user's `Drop`: not this task.
            drop(flight);
            match (taken, lease) {
                (Ok(true), Some(lease)) => {
                    drop(acquiring);
                    let held = || weak_flight.upgrade().is_some_and(|flight| flight.holds(id));
                    lease.extend(&inner.store, key, inner.config.max_run, held).await;
                }
                // Redis may have granted it all the same. The release follows on the same lane, so Redis
                // executes it after the request.
                (Err(Fault::Timeout | Fault::Down | Fault::Refused(_)), Some(lease)) => {
                    lease.release(&inner.leases, key, OnRelease::Restore, None).await;
                    drop(acquiring);
                }
                _ => drop(acquiring),
            }
        });
    }

    /// Tries to claim a value for a refresh on the caller's path, and keeps the value for the case that the
    /// function fails. `Err(hit)`: another run holds the claim, or the outcome is unknown; serve the value.
    pub(crate) async fn claim(&mut self, hit: Hit) -> Result<Role, Hit> {
        if let Some(ttl_left) = hit.refresh {
            self.keep_fallback(hit.entry.clone(), ttl_left);
        }
        let Some(lead) = self.begin_claim(&hit) else { return Err(hit) };
        self.granted(lead).await.ok_or(hit)
    }

    /// Requests the claim, unless a run of the call is under way in this process or nothing may be written.
    pub(crate) fn begin_claim(&mut self, hit: &Hit) -> Option<Lead> {
        let ttl_left = hit.refresh?;
        let inner = self.inner().clone();
        if inner.store.is_write_paused(&self.key) || inner.is_closed() {
            return None;
        }
        let lead = inner.flights.lead_if_idle(self.id, || self.lease_owner())?;
        self.acquire(&lead, Want::Claim(hit.entry.clone(), ttl_left));
        Some(lead)
    }

    /// Waits for the answer to the claim; `None` where this call does not hold it.
    pub(crate) async fn granted(&mut self, mut lead: Lead) -> Option<Role> {
        match self.lease_terms(&mut lead).await {
            Ok(Terms::Leased(_)) => {
                self.counters().count(Count::Refresh);
                return Some(Role { lead: Some(lead), reason: None });
            }
            Ok(Terms::Dissolved) => lead.leave(),
            // The drop hands the flight over to a member, if there is one.
            Ok(Terms::Plain(_)) | Err(_) => drop(lead),
        }
        None
    }

    /// Turns the lookup of a call that was served into that of its background refresh: the verb is done, and
    /// the refresh has a budget of its own.
    pub(crate) fn detach(&mut self) {
        self.call.verb = None;
        self.spent = Duration::ZERO;
    }

    pub(super) fn lease_owner(&self) -> LeaseOwner {
        let leases = Arc::downgrade(&self.inner().leases);
        LeaseOwner { leases, key: self.key.clone(), lease: OnceLock::new() }
    }

    /// As [`Lookup::lease_owner`], for a run under the id of `entry`, which the call has itself read.
    pub(super) fn joint_owner(&self, entry: &Entry) -> LeaseOwner {
        let lease_owner = self.lease_owner();
        let _ = lease_owner.lease.set(Arc::new(Lease::joint(entry)));
        lease_owner
    }

    pub(super) fn lease_life(&self) -> Duration {
        let inner = self.inner();
        lease::life(&inner.store, self.call.identity.lease(), inner.config.max_run)
    }

    /// How long a new token lives: twice as long as a lease and the entry that follows it, so that a populate
    /// seldom has to extend it.
    pub(super) fn token_life(&self) -> Duration {
        let ttl = self.call.ttl.unwrap_or(self.inner().config.default_ttl).min(LONGEST_TTL);
        let entry = ttl.saturating_add(self.call.identity.window());
        entry.saturating_add(self.lease_life()).saturating_add(AHEAD).saturating_mul(2)
    }
}

impl Request {
    async fn send(
        &self,
        want: Want,
        id: EntryId,
        lease_owner: &LeaseOwner,
        limit: Duration,
    ) -> Result<bool, Fault> {
        let began = Instant::now();
        let (lease, seen) = match want {
            Want::Lease(seen) => {
                let tokens = self.tokens(limit).await?;
                (Lease::plain(id, self.owner, tokens, self.life), seen)
            }
            Want::Claim(entry, ttl_left) => {
                let seen = entry.seen();
                (Lease::claim(id, entry, ttl_left, self.life), seen)
            }
        };
        let taking = lease.taking();
        let _ = lease_owner.lease.set(Arc::new(lease));
        let left = limit.saturating_sub(began.elapsed());
        self.inner.store.compare_and_set(&self.key, &seen, taking, left).await
    }

    /// The tokens as they were read; makes those that were missing.
    async fn tokens(&self, limit: Duration) -> Result<Tokens, Fault> {
        match self.known.iter().copied().collect() {
            Some(tokens) => Ok(tokens),
            None => self.inner.store.seed(&self.key, &self.known, self.token_life, limit).await,
        }
    }
}
