//! The verbs that read or write an entry and never run the function: `peek`, `put`, `explain`.

use std::future::Future;
use std::pin::pin;
use std::time::{Duration, Instant};

use super::{ATTEMPTS, Lookup, ReadState};
use crate::deadline;
use crate::encode::Ready;
use crate::entry::{Entry, Seen};
use crate::error::{self, Error};
use crate::outcome::Reason;
use crate::stats::Count;
use crate::store::{Fault, Found, Read};
use crate::verb::{Explanation, Stored, StoredKind, Verdict};

impl Lookup {
    /// The entry that a call would be served, whatever its `when` says. It may not decode.
    pub(crate) fn peek(self) -> impl Future<Output = Option<Entry>> + Send {
        self.live()
    }

    async fn live(mut self) -> Option<Entry> {
        let off = !self.call.wants_key() || !self.call.cache.is_enabled();
        if off || self.inner().undelivered.binds(&self.key) {
            return None;
        }
        let mut state = self.read_state().await;
        if matches!(state, ReadState::Untimed) {
            self.timed = true;
            state = self.read_state().await;
        }
        match state {
            ReadState::Serve(hit) => Some(hit.entry),
            _ => None,
        }
    }

    /// Replaces whatever is under the key. Compare-and-set needs the bytes that are there, so each attempt
    /// reads them first.
    pub(crate) fn put(self, ready: Ready) -> impl Future<Output = Result<(), Error>> + Send {
        self.overwrite(ready)
    }

    async fn overwrite(self, ready: Ready) -> Result<(), Error> {
        if !self.call.cache.is_enabled() {
            return Err(Error::new(error::ErrorKind::Unavailable, "the cache is off"));
        }
        if !self.call.wants_key() {
            return Err(Error::no_key(&self.call.identity.path()));
        }
        let store = &self.inner().store;
        let patience = store.patience();
        if !store.is_ready(&self.key) {
            let dial = self.inner().config.connect_timeout;
            let _ = deadline::timeout(dial, pin!(store.ready(&self.key))).await;
        }
        let began = Instant::now();
        for _ in 0..ATTEMPTS {
            let found = store.read(&self.key, Read::Plain, patience).await?;
            let seen = match found.bytes {
                None => Seen::absent(),
                Some(bytes) => match Entry::parse(bytes) {
                    Ok(entry) => entry.seen(),
                    Err(bytes) => Seen::foreign(&bytes),
                },
            };
            let tokens = match found.tokens.iter().copied().collect() {
                Some(tokens) => tokens,
                None => store.seed(&self.key, &found.tokens, self.token_life(), patience).await?,
            };
            let (bytes, ttl) = ready.size_and_ttl();
            let write = ready.entry(&self.call, Duration::ZERO, &tokens).ok_or(Fault::Down)?;
            let tokens_for = ready.tokens_for(self.call.identity);
            if store.populate(&self.key, &seen, write, tokens_for, patience).await? {
                self.counters().count(Count::Populated);
                let (prefix, key) = (&self.call.identity.prefix, self.key.entry());
                tracing::debug!(prefix, key, bytes, ?ttl, took = ?began.elapsed(), "cache set");
                return Ok(());
            }
        }
        Err(Error::from(Fault::Refused("others kept writing the key".to_owned())))
    }

    /// Explains the call; also returns the entry that it would be served, which may not decode.
    pub(crate) fn explain(self) -> impl Future<Output = (Explanation, Option<Entry>)> + Send {
        self.dry_run()
    }

    async fn dry_run(mut self) -> (Explanation, Option<Entry>) {
        let identity = self.call.identity;
        let mut explanation = Explanation {
            function: identity.path(),
            prefix: identity.prefix.clone(),
            key: None,
            stored: None,
            verdict: Verdict::Bypass(self.call.skip.unwrap_or(Reason::Off)),
        };
        if !self.call.wants_key() {
            return (explanation, None);
        }
        explanation.key = Some(self.key.entry().to_owned());
        let mut found = self.read().await;
        let empty = matches!(&found, Ok(Found { bytes: None, .. }));
        if empty && self.inner().store.is_of_another_type(&self.key, self.budget_left()).await {
            found = Err(Fault::WrongType);
        }
        if let Ok(Found { bytes: Some(bytes), ttl_left, .. }) = &found {
            explanation.stored =
                Entry::parse(bytes.clone()).ok().map(|entry| stored(&entry, *ttl_left));
        }
        let mut entry = None;
        if self.call.skip.is_none() {
            (explanation.verdict, entry) = match found {
                _ if self.inner().undelivered.binds(&self.key) => {
                    (Verdict::Bypass(Reason::Invalidated), None)
                }
                Err(fault) => (Verdict::Bypass(fault.reason()), None),
                Ok(found) => self.verdict(found),
            };
        }
        (explanation, entry)
    }

    fn verdict(&mut self, found: Found) -> (Verdict, Option<Entry>) {
        let verdict = match self.classify(found) {
            ReadState::Serve(hit) if hit.stale => return (Verdict::Stale, Some(hit.entry)),
            ReadState::Serve(hit) => return (Verdict::Hit, Some(hit.entry)),
            ReadState::Held(lease) => match self.inner().flights.with_lease(self.id, lease) {
                Some(_) => Verdict::Join,
                None => Verdict::Wait,
            },
            ReadState::Joint(entry) => match self.inner().flights.with_lease(self.id, entry.id) {
                Some(_) => Verdict::Join,
                None => Verdict::Compute,
            },
            ReadState::Without(reason) | ReadState::Alone(reason) => Verdict::Bypass(reason),
            ReadState::Free(_) | ReadState::Untimed => Verdict::Compute,
        };
        (verdict, None)
    }
}

fn stored(entry: &Entry, ttl_left: Option<Duration>) -> Stored {
    Stored {
        kind: StoredKind::from(entry.kind),
        age: ttl_left.map(|ttl_left| entry.life.saturating_sub(ttl_left)),
        ttl_left,
        cost: entry.cost,
        size: entry.size(),
        version: entry.owner.version,
    }
}
