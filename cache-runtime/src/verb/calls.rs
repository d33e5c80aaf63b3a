//! `invalidate`: calls that name their entries and are not made.

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Waker};

use super::ticket::{Driver, Verb};
use crate::cache::{Cache, InvalidationBatch};
use crate::error::{Error, Result};
use crate::key::Key;
use crate::site::Identity;
use crate::stats::{Count, Named};

/// The entry that a call would use.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) cache: Cache,
    pub(crate) key: Option<Key>,
    pub(crate) identity: &'static Identity,
}

/// Finds the entry of a call in a single poll; `None` where that poll reaches no cached function.
pub(crate) fn target<F: Future>(call: F) -> Option<Target> {
    // Unconstrained: in a task that has used up its cooperative budget the poll would be pending, and there is no
    // second one.
    let mut call = pin!(tokio::task::coop::unconstrained(call));
    let mut cx = Context::from_waker(Waker::noop());
    let (_, answer) = Driver::new(Verb::Invalidate).poll(call.as_mut(), &mut cx, &mut None);
    answer?.downcast().ok().map(|target| *target)
}

/// One call of a cached function, or several: a tuple of up to eight, an array or a `Vec` of calls. What
/// [`invalidate`] takes; implemented for nothing else.
///
/// `Form` only tells the implementations apart, and is always inferred:
///
/// ```
/// # use cache_runtime::{Cache, cache_result};
/// use cache_runtime::{Calls, invalidate};
///
/// /// Invalidates, and logs a failure: the process delivers the invalidation later.
/// async fn forget<Form>(calls: impl Calls<Form>) {
///     if let Err(error) = invalidate(calls).await {
///         eprintln!("{error}");
///     }
/// }
///
/// # #[cache_result(ttl = 60)]
/// # async fn square(of: u32) -> u32 { of * of }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// # Cache::in_memory().scope(async {
/// forget(square(3)).await;
/// forget([3, 4].map(square)).await;
/// # }).await
/// # }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a call of a cached function",
    label = "not a call",
    note = "name the call, as in `invalidate(areas(kind))`; a prefix is named to `invalidate_prefix(\"areas\")` \
            and a tag to `invalidate_tag(\"agent:7\")`"
)]
pub trait Calls<Form> {
    #[doc(hidden)]
    fn targets(self) -> impl Future<Output = Targets>;
}

/// The entries of several calls.
#[derive(Default)]
#[doc(hidden)]
#[allow(missing_debug_implementations)]
pub struct Targets {
    found: Vec<Target>,
    /// A future reached no cached function, and has run.
    not_cached: bool,
}

impl Targets {
    // Boxed by the caller: each async function on the way would have room for the call in its future.
    async fn add<F: Future>(&mut self, mut call: Pin<Box<F>>) {
        match Driver::new(Verb::Invalidate).answer(call.as_mut()).await {
            Some(target) => self.found.push(target),
            None => self.not_cached = true,
        }
    }
}

#[diagnostic::do_not_recommend]
impl<F: Future> Calls<()> for F {
    async fn targets(self) -> Targets {
        let mut targets = Targets::default();
        targets.add(Box::pin(self)).await;
        targets
    }
}

#[diagnostic::do_not_recommend]
impl<F: Future> Calls<Vec<()>> for Vec<F> {
    async fn targets(self) -> Targets {
        let mut targets = Targets::default();
        for call in self {
            targets.add(Box::pin(call)).await;
        }
        targets
    }
}

#[diagnostic::do_not_recommend]
impl<F: Future, const N: usize> Calls<[(); N]> for [F; N] {
    async fn targets(self) -> Targets {
        let mut targets = Targets::default();
        for call in self {
            targets.add(Box::pin(call)).await;
        }
        targets
    }
}

macro_rules! tuples {
    ($($($call:ident)+;)+) => {$(
        #[diagnostic::do_not_recommend]
        impl<$($call: Future),+> Calls<($($call,)+)> for ($($call,)+) {
            #[allow(non_snake_case)]
            async fn targets(self) -> Targets {
                let ($($call,)+) = self;
                let mut targets = Targets::default();
                $(targets.add(Box::pin($call)).await;)+
                targets
            }
        }
    )+};
}
tuples! { A; A B; A B C; A B C D; A B C D E; A B C D E F; A B C D E F G; A B C D E F G H; }

/// Removes the stored entry of a call, or of several. The functions do not run.
///
/// A call that begins after this has returned `Ok` gets a value from a run of the function that began after the
/// entry was removed, in any process. There are two exceptions: a near cache of another process (`local`) may
/// serve its copy for up to one second; and a call that gets no answer from Redis in time, or cannot write to it,
/// may share a run that is already under way in its process.
///
/// The entry is named by the call: its function and arguments. Several entries go out as one command, so that
/// none is populated again from another that is still to be removed. An entry that does not exist is no error.
/// A removal that has begun goes on where this future is dropped. It waits for Redis for at most
/// [`Config::connect_timeout`](crate::Config::connect_timeout) or [`Config::timeout`](crate::Config::timeout),
/// whichever is longer; over a cluster, as long for every 64 entries.
///
/// # Errors
///
/// - [`Error::is_unavailable`] or [`Error::is_refused`] where Redis did not confirm the removal. The process
///   sends it again until Redis does or the cache is closed, and runs the function without the cache until then.
/// - [`Error::is_not_cached`] where a future reached no cached function; it has then run, with its effects.
/// - [`Error::is_value`] where the arguments make no key; such a call is never stored.
///
/// With several calls, the others are removed all the same.
///
/// # Examples
///
/// ```
/// # use cache_runtime::{Cache, cache_result};
/// use cache_runtime::{invalidate, peek};
///
/// #[cache_result(ttl = 60)]
/// async fn square(of: u32) -> u32 {
///     of * of
/// }
///
/// #[cache_result(ttl = 60)]
/// async fn text(of: u32) -> String {
///     of.to_string()
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), cache_runtime::Error> {
/// # Cache::in_memory().scope(async {
/// square(3).await;
/// invalidate(square(3)).await?;
/// assert_eq!(peek(square(3)).await, None);
///
/// invalidate((square(3), text(3))).await?; // of several functions: a tuple
/// invalidate([3, 4, 5].map(square)).await?; // of one function: an array, or a `Vec`
/// # Ok(())
/// # }).await
/// # }
/// ```
pub async fn invalidate<Form, C: Calls<Form>>(calls: C) -> Result<()> {
    let Targets { found, not_cached } = Box::pin(calls.targets()).await;
    let mut result = if not_cached { Err(Error::not_cached()) } else { Ok(()) };
    let mut batches = Vec::new();
    for Target { cache, key, identity } in found {
        if let Some(key) = key {
            let name = key.entry().to_owned();
            InvalidationBatch::add(&mut batches, &cache, name, Some(identity.group), Named::Calls);
        } else if !cache.is_off() {
            result = Err(Error::no_key(&identity.path()));
        }
    }
    for InvalidationBatch { cache, names, groups, .. } in batches {
        let first = groups.first().copied();
        if let Err(error) = cache.invalidate(names, first, Named::Calls).await {
            result = Err(error);
        } else {
            let others = groups.iter().skip(1);
            others.for_each(|group| cache.counters(*group).count(Count::Invalidated));
        }
    }
    result
}
