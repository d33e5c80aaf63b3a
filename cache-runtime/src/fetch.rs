//! One cached call, from top to bottom.

mod answer;
mod background_refresh;
mod near;
mod serve;

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::time::Instant;

use futures_util::future::Either;
use tokio::runtime::Handle;

use crate::call::Call;
use crate::lookup::{Hit, Lookup, PooledLookup, Role, Step};
use crate::outcome::{Outcome, OutcomeKind, Reason};
use crate::returns::{Codec, Rule, Shape};
use crate::verb::{self, Verb};
use crate::{populate, recursion};
use answer::answer;
use background_refresh::BackgroundRefresh;
pub use near::{near, pace};
#[cfg(cache_runtime_fuzzing)]
pub(crate) use serve::decode;
use serve::{fallback, receive, serve, serve_fallback};

/// A call whose arguments are known. Small: whoever calls a cached function carries it while it waits.
#[doc(hidden)]
pub struct Begun<S: Shape, R> {
    codec: Codec<S, R>,
    plan: Plan,
}

impl<S: Shape, R> fmt::Debug for Begun<S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Begun").finish_non_exhaustive()
    }
}

/// How a call is answered.
enum Plan {
    /// A verb that only names an entry.
    Answer(Verb, Box<Call>),
    /// Past the cache, and what is still to be told.
    Plain(Option<Reason>),
    Lookup(PooledLookup),
}

/// Ends the description of a call.
#[doc(hidden)]
pub fn begin<S: Shape, R>(codec: Codec<S, R>, call: Call) -> Begun<S, R> {
    let plan = match (call.verb, call.skip) {
        (Some(verb), _) if verb.names_a_key() => Plan::Answer(verb, Box::new(call)),
        (_, Some(reason)) => Plan::Plain(skipped(&call, reason)),
        (_, None) => Plan::Lookup(PooledLookup::new(Lookup::new(call))),
    };
    Begun { codec, plan }
}

/// What an annotated function does: return what is stored, or run `body` and store what it returns.
// Not an `async fn`: that would keep what it is given twice.
#[doc(hidden)]
pub fn get_or_compute<S, R, F>(
    Begun { codec, plan }: Begun<S, R>,
    body: Pin<&mut F>,
) -> impl Future<Output = S::Return>
where
    S: Shape,
    S::Return: 'static,
    R: Rule<S>,
    F: Future<Output = S::Return>,
{
    match plan {
        // Boxed: only verbs come here, and every call would carry its size.
        Plan::Answer(verb, call) => Either::Left(Either::Left(Box::pin(answer(verb, codec, call)))),
        Plan::Plain(told) => Either::Left(Either::Right(plain(told, body))),
        Plan::Lookup(mut lookup) => Either::Right(async move {
            let (codec, role) = match find(codec, &mut lookup, false).await {
                Next::Return(output, _) => return output,
                Next::Run(codec, role) => (codec, role),
            };
            Run::of(codec, lookup.into_inner(), role).run(body).await
        }),
    }
}

/// As [`get_or_compute`], for a body that may outlive the call: what is served and ought to be
/// refreshed is refreshed behind the call, on the caller's runtime.
#[doc(hidden)]
pub fn get_or_refresh<S, R, F>(
    Begun { codec, plan }: Begun<S, R>,
    mut body: Pin<Box<F>>,
) -> impl Future<Output = S::Return> + use<S, R, F>
where
    S: Shape + 'static,
    S::Return: 'static,
    R: Rule<S> + Send + 'static,
    F: Future<Output = S::Return> + Send + 'static,
{
    match plan {
        Plan::Answer(verb, call) => Either::Left(Either::Left(Box::pin(answer(verb, codec, call)))),
        Plan::Plain(told) => Either::Left(Either::Right(plain(told, body))),
        Plan::Lookup(mut lookup) => Either::Right(async move {
            let (codec, role) = match find(codec, &mut lookup, true).await {
                Next::Return(output, refresh) => {
                    if let Some((codec, hit)) = refresh
                        && let Some(behind) =
                            BackgroundRefresh::begin(codec, lookup.into_inner(), &hit)
                    {
                        behind.spawn(body);
                    }
                    return output;
                }
                Next::Run(codec, role) => (codec, role),
            };
            Run::of(codec, lookup.into_inner(), role).run(body.as_mut()).await
        }),
    }
}

/// Off, asked to bypass, or `when` was false: what is still to be told.
fn skipped(call: &Call, reason: Reason) -> Option<Reason> {
    if !call.cache.is_off() {
        call.counters().outcome(OutcomeKind::Bypassed(reason));
    }
    (call.verb == Some(Verb::Observe)).then_some(reason)
}

async fn plain<F: Future + Unpin>(told: Option<Reason>, body: F) -> F::Output {
    let output = body.await;
    if let Some(reason) = told {
        verb::report_outcome(Outcome::bypassed(reason));
    }
    output
}

/// What a call comes to.
enum Next<S: Shape, R> {
    /// There is an output; and perhaps something to be refreshed behind the call.
    Return(S::Return, Option<(Codec<S, R>, Hit)>),
    Run(Codec<S, R>, Role),
}

/// The call proper, up to the run of the function. No output is alive across an await: the plain
/// function decides what is `Send`.
// Not an `async fn`: that would keep what it is given twice.
#[allow(clippy::manual_async_fn)]
fn find<S, R>(
    codec: Codec<S, R>,
    lookup: &mut Lookup,
    may_outlive: bool,
) -> impl Future<Output = Next<S, R>>
where
    S: Shape,
    R: Rule<S>,
{
    async move {
        // A function with `local` has looked already, before it made a future of its body.
        if !lookup.call.identity.is_local() && lookup.call.is_local() {
            pace().await;
            if let Some(output) = near(&codec, &lookup.call) {
                return Next::Return(output, None);
            }
        }
        let role = loop {
            let hit = match lookup.next().await {
                Step::Found(hit) => hit,
                Step::Joined(payload) => match receive(&codec, lookup, &payload) {
                    Some(output) => return Next::Return(output, None),
                    None => break Role::alone(Reason::Unshared),
                },
                Step::Run(role) => break role,
            };
            let behind = may_outlive && Handle::try_current().is_ok();
            let hit = if hit.refresh.is_none() || behind {
                hit
            } else {
                // Boxed: rare, and every call would carry its size.
                match Box::pin(lookup.claim(hit)).await {
                    Ok(role) => break role,
                    Err(hit) => hit,
                }
            };
            if let Some(output) = serve(&codec, lookup, &hit) {
                near::keep(&codec, lookup, &hit, &output);
                let refreshes = hit.refresh.is_some() && behind;
                return Next::Return(output, refreshes.then_some((codec, hit)));
            }
        };
        Next::Run(codec, role)
    }
}

/// A run of the function, as the leader of a flight or alone.
struct Run<S: Shape, R> {
    codec: Codec<S, R>,
    lookup: Lookup,
    role: Role,
}

impl<S: Shape, R: Rule<S>> Run<S, R> {
    fn of(codec: Codec<S, R>, lookup: Lookup, role: Role) -> Box<Self> {
        Box::new(Self { codec, lookup, role })
    }

    async fn run<F>(mut self: Box<Self>, mut body: Pin<&mut F>) -> S::Return
    where
        F: Future<Output = S::Return>,
    {
        let started = Instant::now();
        let stores = self.role.reason.is_none();
        let output = poll_fn(|cx| {
            let _computing = recursion::enter(self.lookup.id(), stores);
            match &mut self.role.lead {
                Some(lead) => lead.poll_stamped(cx, |_, cx| body.as_mut().poll(cx)),
                None => body.as_mut().poll(cx),
            }
        })
        .await;
        let Self { codec, mut lookup, role } = *self;
        let cost = started.elapsed();
        // Found before the flight ends, which hands members the permission to serve theirs.
        let fallback = fallback(&codec, &lookup, &output);
        let outcome = populate::finish(&codec, &lookup, role, &output, cost, fallback.is_some());
        if let Some(stale) = fallback.and_then(|hit| serve_fallback(&codec, &mut lookup, &hit)) {
            return stale;
        }
        lookup.observe(outcome, Some(cost), None);
        output
    }
}
