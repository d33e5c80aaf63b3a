//! The near cache: decoded copies of values in this process, for functions with `local`.
//!
//! A copy is made of a tracked read's result, never of a value that this process writes. It is served while
//! its version is current ([`Versions`]), the tracking lane's heartbeat is recent, and the entry is fresh. So
//! an invalidation of an entry or of a whole prefix searches for no copies: one that is no longer served is
//! overwritten by the next copy, or evicted.

use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use quick_cache::sync::Cache;
use quick_cache::{DefaultHashBuilder, Equivalent, Lifecycle, OptionsBuilder, Weighter};

use crate::clock::Coarse;
use crate::contain::contained;
use crate::key::Key;
use crate::returns::Handed;
use crate::stats::LocalRemovals;
use crate::versions::{Version, Versions};

/// What a copy costs at most beyond its key and its value; `peers memory` in `benches/` measures it.
const OVERHEAD: usize = 120;

/// The copies of one cache, bounded in bytes.
pub(crate) struct Near {
    /// Allocated for the first copy: most caches have none.
    copies: OnceLock<Copies>,
    versions: Arc<Versions>,
    /// From when time is counted, in raw ticks of the coarse clock; [`Near::advance`] moves it back.
    start: AtomicU64,
    bytes: usize,
    /// The largest value that may be stored, in bytes.
    largest: usize,
    removals: Removals,
}

type Copies = Cache<Name, LocalCopy, BySize, DefaultHashBuilder, DropUnlocked>;

/// The name of a call: its function's fingerprint, then its encoded arguments. Up to [`INLINE`] bytes of both are
/// kept in the table itself, so that a lookup follows no pointer (`benches/benches/near.rs`).
enum Name {
    Inline(u8, [u8; INLINE]),
    Boxed(Box<[u8]>),
}

const INLINE: usize = 22;

impl Name {
    fn new(bytes: &[u8]) -> Self {
        let mut inline = [0; INLINE];
        match inline.get_mut(..bytes.len()) {
            Some(room) => {
                room.copy_from_slice(bytes);
                Self::Inline(bytes.len() as u8, inline)
            }
            None => Self::Boxed(bytes.into()),
        }
    }

    #[inline]
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Inline(len, inline) => inline.get(..usize::from(*len)).unwrap_or(inline),
            Self::Boxed(bytes) => bytes,
        }
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        self.bytes() == other.bytes()
    }
}

impl Eq for Name {}

/// A borrowed [`Name`], for lookups.
struct NameRef<'a>(&'a [u8]);

/// The fingerprint is one word, apart from the arguments.
impl Hash for NameRef<'_> {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        let (function, arguments) = self.0.split_first_chunk().unwrap_or((&[0; 8], self.0));
        state.write_u64(u64::from_le_bytes(*function));
        state.write(arguments);
    }
}

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        NameRef(self.bytes()).hash(state);
    }
}

impl Equivalent<Name> for NameRef<'_> {
    #[inline]
    fn equivalent(&self, name: &Name) -> bool {
        self.0 == name.bytes()
    }
}

/// A decoded value; `None` where the function has returned `None`.
#[derive(Clone)]
pub(crate) struct Value(Option<Handed>);

impl Value {
    pub(crate) fn new(value: Option<Handed>) -> Self {
        Self(value)
    }

    #[inline]
    pub(crate) fn take(mut self) -> Option<Handed> {
        self.0.take()
    }
}

/// Contains a panic of the value's `Drop`, which must not fail the call that drops the last reference.
impl Drop for Value {
    #[inline]
    fn drop(&mut self) {
        if let Some(value) = self.0.take() {
            let _ = contained(|| drop(value));
        }
    }
}

/// A value to copy, as it was read.
pub(crate) struct NewCopy {
    pub(crate) value: Value,
    /// Bytes of the stored value.
    pub(crate) size: usize,
    /// How long before the [`Version`] was taken the value was stored.
    pub(crate) age: Duration,
    /// How long the copy may be served after the [`Version`] was taken.
    pub(crate) life: Duration,
    /// How long the function took that computed the value.
    pub(crate) cost: Duration,
}

/// A copy that may be served.
pub(crate) struct Served {
    pub(crate) value: Value,
    pub(crate) stored: StoredAt,
    /// Bytes of the stored value.
    pub(crate) size: u32,
    /// How long the function took, in microseconds.
    pub(crate) cost: u32,
}

/// Copies that have gone, by cause.
#[derive(Debug, Default)]
struct Removals {
    evicted: AtomicU64,
    invalidated: AtomicU64,
    expired: AtomicU64,
}

/// When a read was sent, and the version of its names by then.
pub(crate) struct ReadStart {
    version: Version,
    at: Coarse,
}

/// When an entry was stored, in ticks of the coarse clock; negative before its start.
#[derive(Clone, Copy)]
pub(crate) struct StoredAt(i32);

impl StoredAt {
    pub(crate) fn age(self, now: Coarse) -> Duration {
        let age = i64::from(now.ticks()) - i64::from(self.0);
        Coarse::duration(age.max(0) as u64)
    }
}

/// One copy. Kept small, as there are many: times in ticks of the coarse clock, sizes in 32 bits.
#[derive(Clone)]
struct LocalCopy {
    value: Value,
    version: Version,
    ends: u32,
    stored: StoredAt,
    size: u32,
    /// In microseconds: an hour and more at most.
    cost: u32,
}

#[derive(Clone)]
struct BySize;

impl Weighter<Name, LocalCopy> for BySize {
    fn weight(&self, name: &Name, copy: &LocalCopy) -> u64 {
        (name.bytes().len() + copy.size as usize + OVERHEAD) as u64
    }
}

/// Hands evicted copies to the inserting call, which drops them once the shard is unlocked: a value's `Drop` is
/// the application's code, and may use the cache.
#[derive(Clone)]
struct DropUnlocked;

impl Lifecycle<Name, LocalCopy> for DropUnlocked {
    type RequestState = Vec<(Name, LocalCopy)>;

    fn on_evict(&self, state: &mut Self::RequestState, name: Name, copy: LocalCopy) {
        state.push((name, copy));
    }
}

impl Near {
    pub(crate) fn new(bytes: usize, largest: usize, versions: Arc<Versions>) -> Self {
        let start = AtomicU64::new(Coarse::start());
        let removals = Removals::default();
        Self { copies: OnceLock::new(), versions, start, bytes, largest, removals }
    }

    /// The present by the clock of the copies.
    #[inline]
    pub(crate) fn now(&self) -> Coarse {
        Coarse::since(self.start.load(Ordering::Relaxed))
    }

    /// Advances the clock of the copies (`Cache::advance`).
    pub(crate) fn advance(&self, by: Duration) {
        let earlier = |start| Some(Coarse::earlier(start, by));
        let _ = self.start.fetch_update(Ordering::Relaxed, Ordering::Relaxed, earlier);
    }

    /// The start of a read that may be copied. To be taken before the read is sent, so that a change in between
    /// voids the copy.
    pub(crate) fn sent(&self, key: &Key) -> ReadStart {
        ReadStart { at: self.now(), version: self.versions.version(key) }
    }

    /// The copy of a call, where it may be served.
    #[inline]
    pub(crate) fn get(&self, call: &[u8]) -> Option<Served> {
        let now = self.now();
        // Before the versions are compared: changes that were pushed before the last heartbeat are in them.
        if !self.versions.is_trusted(now) {
            return None;
        }
        let copy = self.copies.get()?.get(&NameRef(call))?;
        let counts = now.ticks() < copy.ends && self.versions.is_current(&copy.version);
        let LocalCopy { value, stored, size, cost, .. } = copy;
        counts.then_some(Served { value, stored, size, cost })
    }

    /// Keeps a copy, unless it is too old or one of its names has changed since the read was sent.
    pub(crate) fn keep(&self, call: &[u8], ReadStart { version, at }: ReadStart, new: NewCopy) {
        let ends = at.after(new.life);
        let stored = i64::from(at.ticks()) - i64::from(Coarse::in_ticks(new.age));
        if ends <= self.now().ticks() || !self.versions.is_current(&version) {
            return;
        }
        let copy = LocalCopy {
            value: new.value,
            version,
            ends,
            stored: StoredAt(i32::try_from(stored).unwrap_or(i32::MIN)),
            size: u32::try_from(new.size).unwrap_or(u32::MAX),
            cost: u32::try_from(new.cost.as_micros()).unwrap_or(u32::MAX),
        };
        let mut evicted = Vec::new();
        self.copies().insert_with_lifecycle(Name::new(call), copy, &mut evicted);
        for (name, copy) in &evicted {
            self.count_removal(copy, name.bytes() == call);
        }
    }

    fn count_removal(&self, copy: &LocalCopy, replaced: bool) {
        let Removals { evicted, invalidated, expired } = &self.removals;
        let cause = if self.now().ticks() >= copy.ends {
            expired
        } else if !self.versions.is_current(&copy.version) {
            invalidated
        } else if replaced {
            // Two calls have read the entry at the same time: there is still one copy of it.
            return;
        } else {
            evicted
        };
        cause.fetch_add(1, Ordering::Relaxed);
    }

    /// Why copies have gone.
    pub(crate) fn removals(&self) -> LocalRemovals {
        let count = |of: &AtomicU64| of.load(Ordering::Relaxed);
        let Removals { evicted, invalidated, expired } = &self.removals;
        LocalRemovals {
            evicted: count(evicted),
            invalidated: count(invalidated),
            expired: count(expired),
        }
    }

    /// Voids and drops all copies.
    pub(crate) fn clear(&self) {
        self.versions.bump_all();
        // One by one, so that each is dropped once its shard is unlocked: a value's `Drop` may use the cache.
        let copies = self.copies.get().into_iter().flat_map(Copies::drain);
        copies.for_each(|(_, copy)| self.count_removal(&copy, false));
    }

    /// The number of copies, also of those that are no longer served, and their bytes.
    pub(crate) fn size(&self) -> (u64, u64) {
        self.copies.get().map_or((0, 0), |copies| (copies.len() as u64, copies.weight()))
    }

    fn copies(&self) -> &Copies {
        self.copies.get_or_init(|| {
            let cores = std::thread::available_parallelism().map_or(1, usize::from);
            // Each shard must hold at least four of the largest values.
            let shards = (self.bytes / self.largest.saturating_mul(4).max(1)).clamp(1, cores * 4);
            let options = OptionsBuilder::new()
                .shards(shards)
                // Sizes the tables at the start, and is no bound.
                .estimated_items_capacity((self.bytes / 1024).clamp(16, 1 << 16))
                .weight_capacity(self.bytes as u64)
                .build();
            let options = options.expect("both capacities are given");
            Cache::with_options(options, BySize, DefaultHashBuilder::default(), DropUnlocked)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;

    use super::*;

    static DROPPED: AtomicUsize = AtomicUsize::new(0);

    /// A value whose `Drop` waits for another thread to use the near cache.
    struct Curious(Arc<Near>);

    impl Drop for Curious {
        fn drop(&mut self) {
            let (near, (done, is_done)) = (self.0.clone(), mpsc::channel());
            std::thread::spawn(move || {
                let _ = near.get(&[1; 9]);
                let _ = near.size();
                let _ = done.send(());
            });
            is_done.recv_timeout(Duration::from_secs(5)).expect("no shard is locked");
            DROPPED.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn copies_are_dropped_outside_the_locks_of_their_shards() {
        let versions = Arc::new(Versions::new(1 << 20));
        versions.trust(Coarse::now(), Duration::MAX);
        let near = Arc::new(Near::new(1 << 20, 1 << 10, versions));
        let keep = |call: u8, size| {
            let value = Value::new(Some(Arc::new(Curious(near.clone()))));
            let (age, life) = (Duration::ZERO, Duration::from_secs(60));
            let sent = near.sent(&Key::named("k"));
            near.keep(&[call; 9], sent, NewCopy { value, size, age, life, cost: Duration::ZERO });
        };
        for call in [1, 1, 2, 3] {
            keep(call, 100);
        }
        assert_eq!(DROPPED.load(Ordering::SeqCst), 1, "the one that was replaced");
        near.clear();
        assert_eq!((DROPPED.load(Ordering::SeqCst), near.size().0), (4, 0));
        keep(4, 2 << 20);
        assert_eq!(DROPPED.load(Ordering::SeqCst), 5, "the one that has no room");
    }
}
