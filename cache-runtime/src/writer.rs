//! `#[cache_invalidate]`: functions that write, and invalidate however they end.

use std::future::Future;
use std::pin::Pin;
use std::time::Instant;

use futures_util::future::join_all;

use crate::cache::{self, Cache, InvalidationBatch};
use crate::call::KeyPart;
use crate::contain::contained;
use crate::returns::{Opened, Shape, Shaped};
use crate::stats::{Count, Named, group_of};
use crate::store::Fault;
use crate::undelivered::Cause;
use crate::{invalidate, key, verb};

/// What a call of a writing function invalidates. The macro's expansion fills it in.
#[derive(Debug)]
#[doc(hidden)]
pub struct Invalidation {
    /// The cache whose prefixes and tags are meant.
    cache: Cache,
    batches: Vec<InvalidationBatch>,
    /// The tag that the expansion is building.
    tag: Option<String>,
}

impl Invalidation {
    #[allow(clippy::new_without_default)]
    pub fn new() -> Self {
        Self::new_in(&cache::current())
    }

    pub fn new_in(cache: &Cache) -> Self {
        Self { cache: cache.clone(), batches: Vec::new(), tag: None }
    }

    /// Adds the entry of a call, which is not run.
    pub fn call<F: Future>(&mut self, call: F) {
        // A function without a cache of its own uses the scope's: here the writer's.
        let cache = self.cache.clone();
        let Some(target) = verb::target(cache.scope(call)) else {
            tracing::error!(
                "`#[cache_invalidate]` names a call that is not of a cached function: nothing is \
                 invalidated for it"
            );
            return;
        };
        // A call whose arguments make no key is never stored.
        if let Some(key) = target.key {
            let (name, group) = (key.entry().to_owned(), target.identity.group);
            InvalidationBatch::add(
                &mut self.batches,
                &target.cache,
                name,
                Some(group),
                Named::Calls,
            );
        }
    }

    pub fn prefix(&mut self, prefix: &str) {
        let (token, group) = (self.cache.prefix_token(prefix), group_of(prefix));
        InvalidationBatch::add(&mut self.batches, &self.cache, token, group, Named::Prefix);
    }

    /// Begins a tag; the calls of `tag_text` and `tag_part` that follow append to it.
    pub fn tag(&mut self) {
        self.end_tag();
        self.tag = Some(String::new());
    }

    pub fn tag_text(&mut self, literal: &str) {
        if let Some(tag) = &mut self.tag {
            tag.push_str(literal);
        }
    }

    pub fn tag_part<T: KeyPart + ?Sized>(&mut self, part: &T) {
        let Some(tag) = &mut self.tag else { return };
        if !matches!(contained(|| key::spell(part, tag)), Some(Ok(()))) {
            tracing::error!("a tag cannot be made of an argument: nothing is invalidated for it");
            self.tag = None;
        }
    }

    fn end_tag(&mut self) {
        if let Some(tag) = self.tag.take() {
            let token = self.cache.tag_token(&tag);
            InvalidationBatch::add(&mut self.batches, &self.cache, token, None, Named::Tag);
        }
    }

    /// Sends everything in the background, without waiting.
    fn enqueue(mut self) {
        self.end_tag();
        self.batches.drain(..).for_each(InvalidationBatch::enqueue);
    }

    /// Sends everything, and waits within the budget. An invalidation that fails is delivered later.
    async fn send(mut self) {
        self.end_tag();
        join_all(self.batches.drain(..).map(InvalidationBatch::send)).await;
    }
}

impl InvalidationBatch {
    /// Binds this process at once, and sends in the background.
    fn enqueue(self) {
        let Self { cache, names, groups, named } = self;
        cache.inner().timings.invalidated(named, false);
        for group in groups {
            cache.counters(group).count(Count::Invalidated);
        }
        cache.inner().undelivered.enqueue(names, Cause::Dropped);
    }

    async fn send(self) {
        let Self { cache, names, mut groups, named } = self;
        let (budget, first) = (cache.inner().config.budget, groups.first().copied());
        let began = Instant::now();
        let sent = invalidate::invalidate(&cache.inner().undelivered, names, first, budget).await;
        let timings = &cache.inner().timings;
        timings.invalidations.record(began.elapsed());
        timings.invalidated(named, sent.is_ok());
        let count = sent.as_ref().map_or_else(Fault::count, |()| Count::Invalidated);
        if sent.is_err() {
            // One command has failed: one error for each prefix, however many of its names were in it.
            groups.sort_unstable();
            groups.dedup();
        }
        for group in groups {
            cache.counters(group).count(count);
        }
    }
}

/// Invalidates when it is dropped: a writer that is dropped or panics may have committed before.
struct InvalidateOnDrop(Option<Invalidation>);

impl Drop for InvalidateOnDrop {
    fn drop(&mut self) {
        if let Some(writes) = self.0.take() {
            writes.enqueue();
        }
    }
}

/// The body of a writing function: runs it, then invalidates, then returns its output. `after` adds what is to
/// be invalidated according to the returned value, and runs only for a value.
#[doc(hidden)]
pub async fn invalidating<S, F, C>(
    _shape: Shaped<S>,
    writes: Invalidation,
    body: Pin<&mut F>,
    after: C,
) -> S::Return
where
    S: Shape,
    F: Future<Output = S::Return>,
    C: FnOnce(&S::Value, &mut Invalidation),
{
    let mut armed = InvalidateOnDrop(Some(writes));
    let output = body.await;
    if let (Opened::Value(value), Some(writes)) = (S::open(&output), &mut armed.0)
        && contained(|| after(value, writes)).is_none()
    {
        tracing::error!("a closure of `#[cache_invalidate]` panicked: it invalidates nothing");
    }
    if let Some(writes) = armed.0.take() {
        writes.send().await;
    }
    output
}
