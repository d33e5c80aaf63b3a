//! One cached call, from top to bottom.

use std::future::{Future, pending, poll_fn};
use std::pin::Pin;
use std::time::Instant;

use crate::call::Call;
use crate::contained;
use crate::entry::{Entry, Kind};
use crate::error::{self, Error};
use crate::outcome::{Outcome, OutcomeKind, Reason};
use crate::recursion;
use crate::returns::{Codec, KeepRule, Shape, TtlRule};
use crate::search::{Role, Search, Step};
use crate::settle;
use crate::stats::Count;
use crate::verb::{self, Target, Verb, Verdict};

pub(crate) use crate::search::Lease;

/// What an annotated function does: return what is stored, or run `body` and store what it returns.
#[doc(hidden)]
pub async fn get_or_compute<S, T, K, F>(
    codec: Codec<S, T, K>,
    call: Call,
    body: Pin<&mut F>,
) -> S::Return
where
    S: Shape,
    S::Return: 'static,
    T: TtlRule<S::Value>,
    K: KeepRule<S::Value>,
    F: Future<Output = S::Return>,
{
    match (call.verb, call.skip) {
        // Boxed: only verbs come here, and every call would carry its size.
        (Some(verb), _) if verb.names_a_key() => Box::pin(answer(verb, codec, call)).await,
        (verb, Some(reason)) => plain(verb, &call, reason, body).await,
        (_, None) => fetch(codec, call, body).await,
    }
}

/// Off, asked to bypass, or `when` was false.
async fn plain<F: Future>(
    verb: Option<Verb>,
    call: &Call,
    reason: Reason,
    body: Pin<&mut F>,
) -> F::Output {
    if !call.cache.is_off() {
        call.cache.counters(call.identity.group).bypassed(reason);
    }
    let output = body.await;
    if verb == Some(Verb::Observe) {
        verb::observed(Outcome::bypassed(reason));
    }
    output
}

/// The call proper. No output is alive across an await: the plain function decides what is `Send`.
async fn fetch<S, T, K, F>(codec: Codec<S, T, K>, call: Call, mut body: Pin<&mut F>) -> S::Return
where
    S: Shape,
    T: TtlRule<S::Value>,
    K: KeepRule<S::Value>,
    F: Future<Output = S::Return>,
{
    let mut search = Search::new(call);
    let mut role = loop {
        match search.next().await {
            Step::Found(entry) => {
                if let Some(output) = serve(&codec, &mut search, &entry) {
                    return output;
                }
            }
            Step::Joined(payload) => match contained(|| codec.receive(&payload)).flatten() {
                Some(output) => {
                    search.joined();
                    return output;
                }
                None => break Role::alone(Reason::Unshared),
            },
            Step::Run(role) => break role,
        }
    };
    // The function runs, as the leader of a flight or alone.
    let started = Instant::now();
    let output = poll_fn(|cx| {
        let _computing = recursion::enter(search.id());
        match &mut role.lead {
            Some(lead) => lead.poll_stamped(cx, |_, cx| body.as_mut().poll(cx)),
            None => body.as_mut().poll(cx),
        }
    })
    .await;
    settle::settle(&codec, &search, role, &output, started.elapsed());
    output
}

/// Decodes an entry, or notes that it is dead.
fn serve<S: Shape, T, K>(
    codec: &Codec<S, T, K>,
    search: &mut Search,
    entry: &Entry,
) -> Option<S::Return> {
    let output = decode(codec, search.max_value(), entry);
    if output.is_some() {
        search.hit(entry);
    } else {
        search.undecodable(entry);
    }
    output
}

fn decode<S: Shape, T, K>(
    codec: &Codec<S, T, K>,
    limit: usize,
    entry: &Entry,
) -> Option<S::Return> {
    match entry.kind {
        Kind::None if codec.none_ttl.is_some() => S::nothing(),
        Kind::Value => {
            let body = entry.body(limit)?;
            contained(|| codec.decode(&body).ok()).flatten().map(S::value)
        }
        Kind::None | Kind::Lease => None,
    }
}

/// Answers a verb that only names an entry, and never returns: the verb drops the call.
async fn answer<S, T, K>(verb: Verb, codec: Codec<S, T, K>, call: Call) -> S::Return
where
    S: Shape,
    S::Return: 'static,
    T: TtlRule<S::Value>,
    K: KeepRule<S::Value>,
{
    match verb {
        Verb::Peek => {
            let limit = call.cache.inner().config.max_value;
            let found = Search::new(call).peek().await;
            let output = found.and_then(|entry| decode(&codec, limit, &entry));
            verb::answer(output);
        }
        Verb::Put => {
            // Encoded at once: the output is lent for this poll only.
            let entry = match verb::lent::<S::Return>() {
                Some(output) => settle::encode_for_put(&codec, &call, &output),
                None => Err(Error::new(
                    error::Kind::Value,
                    "the output is not of the cached function's type: hand over the call itself",
                )),
            };
            let stored = match entry {
                Ok(entry) => Search::new(call).put(entry).await,
                Err(error) => Err(error),
            };
            verb::answer(stored);
        }
        Verb::Explain => {
            let limit = call.cache.inner().config.max_value;
            let (mut explanation, entry) = Search::new(call).explain().await;
            if entry.is_some_and(|entry| decode(&codec, limit, &entry).is_none()) {
                explanation.verdict = Verdict::Compute;
            }
            verb::answer(explanation);
        }
        _ => {
            let key = call.wants_key().then(|| call.key(call.id()));
            let group = call.identity.group;
            verb::answer(Target { cache: call.cache, key, group });
        }
    }
    pending().await
}

impl Search {
    /// The value came from the store.
    fn hit(&self, entry: &Entry) {
        self.count_hit();
        self.observe(OutcomeKind::Hit, Some(entry.cost), Some(entry.life));
    }

    /// The value came from another run, or from one that was shared because there was no store.
    fn joined(&self) {
        if let Some(reason) = self.without_store() {
            self.counters().bypassed(reason);
            self.observe(OutcomeKind::Bypassed(reason), None, None);
        } else {
            self.counters().count(Count::Joined);
            self.observe(OutcomeKind::Joined, None, None);
        }
    }
}
