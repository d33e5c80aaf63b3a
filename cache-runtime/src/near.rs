//! Copies of values in this process, decoded, for functions with `local`.
//!
//! A copy is made of what a tracked read has shown, never of what this process writes. It counts
//! while nothing has touched what it depends on ([`Versions`]), the server has been heard, and the
//! entry is fresh. So nothing has to be looked for when an entry or a whole prefix goes: a copy that
//! does not count is overwritten by the next one, or evicted.

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
use crate::versions::{Version, Versions};

/// What a copy costs at most beyond its key and its value; `peers memory` in `benches/` measures it.
const OVERHEAD: usize = 120;

/// The copies of one cache, bounded in bytes.
pub(crate) struct Near {
    /// Made with the first copy: most caches have none.
    copies: OnceLock<Copies>,
    versions: Arc<Versions>,
    /// From when time is counted, in ticks of the coarse clock: earlier where the cache was advanced.
    start: AtomicU64,
    bytes: usize,
    /// The largest value that is stored.
    largest: usize,
}

type Copies = Cache<Name, LocalCopy, BySize, DefaultHashBuilder, DropUnlocked>;

/// A call: its function's fingerprint, then its arguments. In place where they are few, which saves
/// the look elsewhere.
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

/// The same, where it is only looked up.
struct NameRef<'a>(&'a [u8]);

/// Few bytes are hashed faster than a few more: the fingerprint goes apart.
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

/// A decoded value, or none where the function returned `None`.
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

/// What a user's `Drop` does must not fail the call that lets the last of a value go.
impl Drop for Value {
    #[inline]
    fn drop(&mut self) {
        if let Some(value) = self.0.take() {
            let _ = contained(|| drop(value));
        }
    }
}

/// What is to be copied, as it was read.
pub(crate) struct NewCopy {
    pub(crate) value: Value,
    /// Bytes of the value as it is stored.
    pub(crate) size: usize,
    /// How long ago it was stored.
    pub(crate) age: Duration,
    /// How much longer the copy may be used, from the moment of the [`Version`].
    pub(crate) life: Duration,
}

/// When a read was sent, and what had been touched by then.
pub(crate) struct ReadStart {
    version: Version,
    at: Coarse,
}

/// When an entry was stored, in ticks of the coarse clock: perhaps before its first.
#[derive(Clone, Copy)]
pub(crate) struct StoredAt(i32);

impl StoredAt {
    pub(crate) fn age(self, now: Coarse) -> Duration {
        let age = i64::from(now.ticks()) - i64::from(self.0);
        Coarse::duration(age.max(0) as u64)
    }
}

/// Small, since there are many: times in ticks of the coarse clock, sizes in 32 bits.
#[derive(Clone)]
struct LocalCopy {
    value: Value,
    version: Version,
    ends: u32,
    stored: StoredAt,
    size: u32,
}

#[derive(Clone)]
struct BySize;

impl Weighter<Name, LocalCopy> for BySize {
    fn weight(&self, name: &Name, copy: &LocalCopy) -> u64 {
        (name.bytes().len() + copy.size as usize + OVERHEAD) as u64
    }
}

/// Lets go of what was evicted outside the lock.
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
        Self { copies: OnceLock::new(), versions, start, bytes, largest }
    }

    /// The clock of the copies.
    #[inline]
    pub(crate) fn now(&self) -> Coarse {
        Coarse::since(self.start.load(Ordering::Relaxed))
    }

    /// Moves the clock of the copies.
    pub(crate) fn advance(&self, by: Duration) {
        let earlier = |start| Some(Coarse::earlier(start, by));
        let _ = self.start.fetch_update(Ordering::Relaxed, Ordering::Relaxed, earlier);
    }

    /// To be taken before what is copied is asked for.
    pub(crate) fn sent(&self, key: &Key) -> ReadStart {
        ReadStart { at: self.now(), version: self.versions.version(key) }
    }

    /// The value that counts, when it was stored, and its size in bytes.
    #[inline]
    pub(crate) fn get(&self, call: &[u8]) -> Option<(Value, StoredAt, u32)> {
        let now = self.now();
        // Before the versions are looked at: what had been announced by then has touched them.
        if !self.versions.is_trusted(now) {
            return None;
        }
        let copy = self.copies.get()?.get(&NameRef(call))?;
        let counts = now.ticks() < copy.ends && self.versions.is_current(&copy.version);
        counts.then_some((copy.value, copy.stored, copy.size))
    }

    /// Keeps a copy, unless what was read has been touched since.
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
        };
        let mut evicted = Vec::new();
        self.copies().insert_with_lifecycle(Name::new(call), copy, &mut evicted);
    }

    /// Nothing that was copied before counts any more.
    pub(crate) fn clear(&self) {
        self.versions.bump_all();
        // One by one: each is dropped outside the lock of its shard, and may ask for copies itself.
        self.copies.get().into_iter().flat_map(Copies::drain).for_each(drop);
    }

    /// How many copies there are, and their bytes.
    pub(crate) fn size(&self) -> (u64, u64) {
        self.copies.get().map_or((0, 0), |copies| (copies.len() as u64, copies.weight()))
    }

    fn copies(&self) -> &Copies {
        self.copies.get_or_init(|| {
            let cores = std::thread::available_parallelism().map_or(1, usize::from);
            // A shard has to hold a few of the largest values.
            let shards = (self.bytes / self.largest.saturating_mul(4).max(1)).clamp(1, cores * 4);
            let options = OptionsBuilder::new()
                .shards(shards)
                // Only sizes tables at the start.
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

    /// Has another thread look into the near cache while it is dropped.
    struct Curious(Arc<Near>);

    impl Drop for Curious {
        fn drop(&mut self) {
            let (near, (tell, told)) = (self.0.clone(), mpsc::channel());
            std::thread::spawn(move || {
                let _ = near.get(&[1; 9]);
                let _ = near.size();
                let _ = tell.send(());
            });
            told.recv_timeout(Duration::from_secs(5)).expect("no shard is locked");
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
            near.keep(&[call; 9], sent, NewCopy { value, size, age, life });
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
