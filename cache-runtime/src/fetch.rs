//! One cached call, from top to bottom.

use std::future::{Future, pending, poll_fn};
use std::pin::Pin;
use std::time::Instant;

use tokio::runtime::Handle;
use tokio::sync::OwnedSemaphorePermit;

use crate::call::Call;
use crate::entry::{Entry, Kind};
use crate::error::{self, Error};
use crate::outcome::{Outcome, Reason};
use crate::returns::{Codec, Opened, Payload, Rule, Shape};
use crate::search::{Hit, Lead, Role, Search, Step};
use crate::stats::Count;
use crate::verb::{self, Target, Verb, Verdict};
use crate::{cache, contained, recursion, settle};

/// What an annotated function does: return what is stored, or run `body` and store what it returns.
#[doc(hidden)]
pub async fn get_or_compute<S, R, F>(codec: Codec<S, R>, call: Call, body: Pin<&mut F>) -> S::Return
where
    S: Shape,
    S::Return: 'static,
    R: Rule<S>,
    F: Future<Output = S::Return>,
{
    match (call.verb, call.skip) {
        // Boxed: only verbs come here, and every call would carry its size.
        (Some(verb), _) if verb.names_a_key() => Box::pin(answer(verb, codec, call)).await,
        (verb, Some(reason)) => plain(verb, &call, reason, body).await,
        (_, None) => {
            let run = match find(codec, call, false).await {
                Next::Return(output, _) => return output,
                Next::Run(run) => run,
            };
            run.run(body).await
        }
    }
}

/// As [`get_or_compute`], for a body that may outlive the call: what is served and ought to be
/// refreshed is refreshed behind the call, on the caller's runtime.
#[doc(hidden)]
pub async fn get_or_refresh<S, R, F>(
    codec: Codec<S, R>,
    call: Call,
    mut body: Pin<Box<F>>,
) -> S::Return
where
    S: Shape + 'static,
    S::Return: 'static,
    R: Rule<S> + Send + 'static,
    F: Future<Output = S::Return> + Send + 'static,
{
    match (call.verb, call.skip) {
        (Some(verb), _) if verb.names_a_key() => Box::pin(answer(verb, codec, call)).await,
        (verb, Some(reason)) => plain(verb, &call, reason, body.as_mut()).await,
        (_, None) => {
            let run = match find(codec, call, true).await {
                Next::Return(output, behind) => {
                    if let Some(behind) = behind {
                        behind.spawn(body);
                    }
                    return output;
                }
                Next::Run(run) => run,
            };
            run.run(body.as_mut()).await
        }
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

/// What a call comes to.
enum Next<S: Shape, R> {
    /// There is an output; and perhaps something to be done behind the call.
    Return(S::Return, Option<Box<Behind<S, R>>>),
    Run(Box<Run<S, R>>),
}

/// The call proper, up to the run of the function. No output is alive across an await: the plain
/// function decides what is `Send`.
async fn find<S, R>(codec: Codec<S, R>, call: Call, may_outlive: bool) -> Next<S, R>
where
    S: Shape,
    R: Rule<S>,
{
    let mut search = Search::new(call);
    let role = loop {
        match search.next().await {
            Step::Found(hit) => {
                let behind = may_outlive && Handle::try_current().is_ok();
                if hit.refresh.is_some() && !behind {
                    // Boxed: rare, and every call would carry its size.
                    if let Some(role) = Box::pin(search.claim(&hit)).await {
                        search.keep(hit);
                        break role;
                    }
                }
                if let Some(output) = serve(&codec, &mut search, &hit) {
                    let behind = hit.refresh.is_some() && behind;
                    let behind = behind.then(|| Behind::begin(codec, search, &hit)).flatten();
                    return Next::Return(output, behind);
                }
            }
            Step::Joined(payload) => match receive(&codec, &search, &payload) {
                Some(output) => return Next::Return(output, None),
                None => break Role::alone(Reason::Unshared),
            },
            Step::Run(role) => break role,
        }
    };
    Next::Run(Box::new(Run { codec, search, role }))
}

/// A run of the function, as the leader of a flight or alone.
struct Run<S: Shape, R> {
    codec: Codec<S, R>,
    search: Search,
    role: Role,
}

impl<S: Shape, R: Rule<S>> Run<S, R> {
    async fn run<F>(mut self: Box<Self>, mut body: Pin<&mut F>) -> S::Return
    where
        F: Future<Output = S::Return>,
    {
        let started = Instant::now();
        let stores = self.role.reason.is_none();
        let output = poll_fn(|cx| {
            let _computing = recursion::enter(self.search.id(), stores);
            match &mut self.role.lead {
                Some(lead) => lead.poll_stamped(cx, |_, cx| body.as_mut().poll(cx)),
                None => body.as_mut().poll(cx),
            }
        })
        .await;
        let Self { codec, search, role } = *self;
        let forgiven = forgives(&codec, &search, &output);
        settle::settle(&codec, &search, role, &output, started.elapsed(), forgiven);
        forgiven.then(|| in_place_of_an_error(&codec, &search)).flatten().unwrap_or(output)
    }
}

/// A refresh behind the call, whose claim is on its way.
struct Behind<S: Shape, R> {
    codec: Codec<S, R>,
    search: Search,
    lead: Lead,
    permit: OwnedSemaphorePermit,
}

impl<S: Shape, R: Rule<S>> Behind<S, R> {
    /// `None` where somebody in this process is at it, or too many refreshes are going on.
    fn begin(codec: Codec<S, R>, mut search: Search, hit: &Hit) -> Option<Box<Self>> {
        let permit = search.inner().refreshes.clone().try_acquire_owned().ok()?;
        search.detach();
        let lead = search.begin_claim(hit)?;
        Some(Box::new(Self { codec, search, lead, permit }))
    }

    fn spawn<F>(self: Box<Self>, body: Pin<Box<F>>)
    where
        S: 'static,
        S::Return: 'static,
        R: Send + 'static,
        F: Future<Output = S::Return> + Send + 'static,
    {
        let scope = cache::scoped();
        let refresh = self.refresh(body);
        if let Ok(runtime) = Handle::try_current() {
            match scope {
                Some(cache) => drop(runtime.spawn(async move { cache.scope(refresh).await })),
                None => drop(runtime.spawn(refresh)),
            }
        }
    }

    async fn refresh<F: Future<Output = S::Return>>(self: Box<Self>, mut body: Pin<Box<F>>) {
        let Self { codec, mut search, lead, permit } = *self;
        if let Some(role) = search.granted(lead).await {
            search.counters().count(Count::Refresh);
            Box::new(Run { codec, search, role }).run(body.as_mut()).await;
        }
        drop(permit);
    }
}

/// What another run of the function returned, or what is served in its place.
fn receive<S: Shape, R: Rule<S>>(
    codec: &Codec<S, R>,
    search: &Search,
    payload: &Payload,
) -> Option<S::Return> {
    if matches!(payload, Payload::Forgiven) {
        return in_place_of_an_error(codec, search);
    }
    let output = contained(|| codec.receive(payload)).flatten()?;
    let old = forgives(codec, search, &output).then(|| in_place_of_an_error(codec, search));
    old.flatten().or_else(|| {
        search.joined();
        Some(output)
    })
}

/// Whether the function has failed and an older value is to be served instead.
fn forgives<S: Shape, R: Rule<S>>(
    codec: &Codec<S, R>,
    search: &Search,
    output: &S::Return,
) -> bool {
    match (S::open(output), search.kept()) {
        (Opened::Error(error), Some(kept)) => {
            // What could have been served without running needs no leave.
            kept.refresh.is_some() || contained(|| codec.forgives(error)) == Some(true)
        }
        _ => false,
    }
}

fn in_place_of_an_error<S: Shape, R>(codec: &Codec<S, R>, search: &Search) -> Option<S::Return> {
    let kept = search.kept()?;
    let old = decode(codec, search.max_value(), &kept.entry)?;
    search.forgave(kept);
    Some(old)
}

/// Decodes an entry, or notes that it is dead.
fn serve<S: Shape, R>(codec: &Codec<S, R>, search: &mut Search, hit: &Hit) -> Option<S::Return> {
    let output = decode(codec, search.max_value(), &hit.entry);
    if output.is_some() {
        search.served(&hit.entry, hit.stale);
    } else {
        search.undecodable(&hit.entry);
    }
    output
}

fn decode<S: Shape, R>(codec: &Codec<S, R>, limit: usize, entry: &Entry) -> Option<S::Return> {
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
async fn answer<S, R>(verb: Verb, codec: Codec<S, R>, call: Call) -> S::Return
where
    S: Shape,
    S::Return: 'static,
    R: Rule<S>,
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
