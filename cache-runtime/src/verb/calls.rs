//! Calls that are named and not made: which entries they would use, and removing those.

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Waker};

use super::ticket::{Driver, Verb};
use crate::cache::{Cache, InvalidationBatch};
use crate::error::{Error, Result};
use crate::key::Key;
use crate::site::Identity;
use crate::stats::Count;

/// The entry that a call would use.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) cache: Cache,
    pub(crate) key: Option<Key>,
    pub(crate) identity: &'static Identity,
}

/// Finds the entry of a call in a single poll; `None` where the future reaches no cached function at
/// once.
pub(crate) fn target<F: Future>(call: F) -> Option<Target> {
    // Unconstrained: a task that has used up its cooperative budget would be told to come back, and
    // there is no second poll.
    let mut call = pin!(tokio::task::coop::unconstrained(call));
    let mut cx = Context::from_waker(Waker::noop());
    let (_, answer) = Driver::new(Verb::Invalidate).poll(call.as_mut(), &mut cx, &mut None);
    answer?.downcast().ok().map(|target| *target)
}

/// One call of a cached function, or several: a tuple, an array or a `Vec` of calls.
///
/// `Form` tells the compiler which; it is always inferred.
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
    /// Whether a future has run instead.
    stranger: bool,
}

impl Targets {
    /// Boxed, as every other step would store the call once more.
    async fn add<F: Future>(&mut self, mut call: Pin<Box<F>>) {
        match Driver::new(Verb::Invalidate).answer(call.as_mut()).await {
            Some(target) => self.found.push(target),
            None => self.stranger = true,
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

/// Removes what is stored for a call: `invalidate(areas("buy".into())).await?`, or for several at
/// once: `invalidate((areas("buy".into()), search("buy".into()))).await?`.
///
/// The function does not run. A call that begins after this has returned `Ok` gets a value from a
/// run of the function that began after the entry was removed, in any process; except one that gets
/// no answer from Redis in time, or cannot write to it: it may share a run that is already going on
/// in its process. Several go out as one command, so that none is refilled from another in between.
///
/// # Errors
///
/// [`Error::is_unavailable`] or [`Error::is_refused`] where Redis did not confirm the removal. It
/// is tried again in the background until it has been delivered, and until then this process runs
/// the function without the cache. [`Error::is_not_cached`] where a future reached no cached
/// function; it has then run, with its effects. [`Error::is_value`] where the arguments make no key.
pub async fn invalidate<Form, C: Calls<Form>>(calls: C) -> Result<()> {
    let Targets { found, stranger } = Box::pin(calls.targets()).await;
    let mut result = if stranger { Err(Error::not_cached()) } else { Ok(()) };
    let mut batches = Vec::new();
    for Target { cache, key, identity } in found {
        if let Some(key) = key {
            let name = key.entry().to_owned();
            InvalidationBatch::add(&mut batches, &cache, name, Some(identity.group));
        } else if !cache.is_off() {
            result = Err(Error::no_key(&identity.path()));
        }
    }
    for InvalidationBatch { cache, names, groups } in batches {
        let first = groups.first().copied();
        if let Err(error) = cache.invalidate(names, first).await {
            result = Err(error);
        } else {
            let others = groups.iter().skip(1);
            others.for_each(|group| cache.counters(*group).count(Count::Invalidated));
        }
    }
    result
}
