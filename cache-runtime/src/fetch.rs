//! One cached call, from top to bottom.

mod answer;
mod behind;
mod near;
mod serve;

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::time::Instant;

use tokio::runtime::Handle;

use crate::call::Call;
use crate::outcome::{Outcome, Reason};
use crate::returns::{Codec, Rule, Shape};
use crate::search::{Role, Search, Step};
use crate::verb::{self, Verb};
use crate::{recursion, settle};
use answer::answer;
use behind::Behind;
pub use near::{near, pace};
use serve::{forgive, in_place_of, receive, serve};

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
        call.counters().bypassed(reason);
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
    // A function with `local` has looked already, before it made a future of its body.
    if !call.identity.is_local() && call.is_local() {
        pace().await;
        if let Some(output) = near(&codec, &call) {
            return Next::Return(output, None);
        }
    }
    let mut search = Search::new(call);
    let role = loop {
        match search.next().await {
            Step::Found(hit) => {
                let behind = may_outlive && Handle::try_current().is_ok();
                if let (Some(left), false) = (hit.refresh, behind) {
                    search.keep(hit.entry.clone(), left);
                    // Boxed: rare, and every call would carry its size.
                    if let Some(role) = Box::pin(search.claim(&hit)).await {
                        break role;
                    }
                }
                if let Some(output) = serve(&codec, &mut search, &hit) {
                    near::keep(&codec, &mut search, &hit, &output);
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
        let kept = in_place_of(&codec, &search, &output);
        settle::settle(&codec, &search, role, &output, started.elapsed(), kept.is_some());
        kept.and_then(|kept| forgive(&codec, &search, &kept)).unwrap_or(output)
    }
}
