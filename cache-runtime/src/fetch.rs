//! One cached call from top to bottom: the generic part, compiled once for each cached function.

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
use crate::lookup::{Hit, Lookup, Role, Step};
use crate::outcome::{Outcome, OutcomeKind, Reason};
use crate::returns::{Codec, Rule, Shape};
use crate::spans::{self, RunSpan};
use crate::verb::{self, Verb};
use crate::{populate, recursion};
use answer::answer;
use background_refresh::BackgroundRefresh;
pub use near::{near, pace};
#[cfg(cache_runtime_fuzzing)]
pub(crate) use serve::decode;
use serve::{fallback, receive, serve, serve_fallback};

/// A call whose arguments are known. Kept small: it is part of the future of every caller of a cached function.
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
    /// By a verb that only names the entry, and drops the call unrun.
    Answer(Verb, Box<Call>),
    /// By the function alone; with the reason where `observe` is to have it.
    Plain(Option<Reason>),
    /// Through the cache.
    Lookup(Box<Lookup>),
}

/// Ends the description of a call, and decides how it is answered.
#[doc(hidden)]
pub fn begin<S: Shape, R>(codec: Codec<S, R>, call: Call) -> Begun<S, R> {
    let plan = match (call.verb, call.skip) {
        (Some(verb), _) if verb.names_a_key() => Plan::Answer(verb, Box::new(call)),
        (_, Some(reason)) => Plan::Plain(skipped(&call, reason)),
        (_, None) => Plan::Lookup(Box::new(Lookup::new(call))),
    };
    Begun { codec, plan }
}

/// The body of an annotated function: returns the stored value, or runs `body` and stores its output.
// Not an `async fn`: the future of one has its arguments twice, as captured and as moved into its locals.
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
        // Boxed: only verbs come here, and unboxed every call's future would have room for it.
        Plan::Answer(verb, call) => Either::Left(Either::Left(Box::pin(answer(verb, codec, call)))),
        Plan::Plain(reason) => Either::Left(Either::Right(plain(reason, body))),
        Plan::Lookup(mut lookup) => Either::Right(async move {
            let (codec, role) = match find(codec, &mut lookup, false).await {
                Next::Return(output, _) => return output,
                Next::Run(codec, role) => (codec, role),
            };
            Run::new(codec, *lookup, role).run(body).await
        }),
    }
}

/// As [`get_or_compute`], for a body that may outlive the call: a value that is due for a refresh is refreshed
/// in the background, on the caller's runtime.
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
        Plan::Plain(reason) => Either::Left(Either::Right(plain(reason, body))),
        Plan::Lookup(mut lookup) => Either::Right(async move {
            let (codec, role) = match find(codec, &mut lookup, true).await {
                Next::Return(output, refresh) => {
                    if let Some((codec, hit)) = refresh
                        && let Some(refresh) = BackgroundRefresh::begin(codec, *lookup, &hit)
                    {
                        refresh.spawn(body);
                    }
                    return output;
                }
                Next::Run(codec, role) => (codec, role),
            };
            Run::new(codec, *lookup, role).run(body.as_mut()).await
        }),
    }
}

/// Counts a call that goes past the cache; returns the reason where `observe` is to have it.
fn skipped(call: &Call, reason: Reason) -> Option<Reason> {
    if !call.cache.is_off() {
        call.counters().outcome(OutcomeKind::Bypassed(reason));
    }
    (call.verb == Some(Verb::Observe)).then_some(reason)
}

async fn plain<F: Future + Unpin>(reason: Option<Reason>, body: F) -> F::Output {
    let output = body.await;
    if let Some(reason) = reason {
        verb::report_outcome(Outcome::bypassed(reason));
    }
    output
}

/// The end of a lookup, with its output decoded.
enum Next<S: Shape, R> {
    /// An output, and the entry that it came from where that is to be refreshed in the background.
    Return(S::Return, Option<(Codec<S, R>, Hit)>),
    Run(Codec<S, R>, Role),
}

/// Looks a value up until it decodes, or the function has to run. `may_outlive`: the body may be run in the
/// background. No output lives across an await, so that the future is `Send` exactly when the body is.
// Not an `async fn`: as `get_or_compute`.
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
        // A function with `local` has looked for a copy before it made its body. Here they are on by configuration.
        if !lookup.call.identity.is_local() && lookup.call.is_local() {
            pace().await;
            if let Some(output) = near(&codec, &lookup.call) {
                return Next::Return(output, None);
            }
        }
        let role = loop {
            let hit = match spans::next(lookup).await {
                Step::Found(hit) => hit,
                Step::Joined(payload) => match receive(&codec, lookup, &payload) {
                    Some(output) => return Next::Return(output, None),
                    None => break Role::alone(Reason::Unshared),
                },
                Step::Run(role) => break role,
            };
            let in_background = may_outlive && Handle::try_current().is_ok();
            let hit = if hit.refresh.is_none() || in_background {
                hit
            } else {
                // Boxed: rare, and unboxed every call's future would have room for it.
                match Box::pin(lookup.claim(hit)).await {
                    Ok(role) => break role,
                    Err(hit) => hit,
                }
            };
            if let Some(output) = serve(&codec, lookup, &hit) {
                near::keep(&codec, lookup, &hit, &output);
                let refreshes = hit.refresh.is_some() && in_background;
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
    span: RunSpan,
}

impl<S: Shape, R: Rule<S>> Run<S, R> {
    fn new(codec: Codec<S, R>, lookup: Lookup, role: Role) -> Box<Self> {
        let span = RunSpan::new(&lookup.call);
        Box::new(Self { codec, lookup, role, span })
    }

    async fn run<F>(mut self: Box<Self>, mut body: Pin<&mut F>) -> S::Return
    where
        F: Future<Output = S::Return>,
    {
        let started = Instant::now();
        let stores = self.role.reason.is_none();
        let output = poll_fn(|cx| {
            let _entered = self.span.enter();
            let _computing = recursion::enter(self.lookup.id(), stores);
            match &mut self.role.lead {
                Some(lead) => lead.poll_stamped(cx, |_, cx| body.as_mut().poll(cx)),
                None => body.as_mut().poll(cx),
            }
        })
        .await;
        let Self { codec, mut lookup, role, span } = *self;
        span.end();
        let cost = started.elapsed();
        // Before the flight ends: its ending tells the members whether they may serve their own stale values.
        let fallback = fallback(&codec, &lookup, &output);
        let outcome = populate::finish(&codec, &lookup, role, &output, cost, fallback.is_some());
        if let Some(stale) = fallback.and_then(|hit| serve_fallback(&codec, &mut lookup, &hit)) {
            return stale;
        }
        lookup.report_outcome(outcome, Some(cost), None);
        output
    }
}
