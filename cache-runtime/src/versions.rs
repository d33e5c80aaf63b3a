//! Versions of names: striped counters, as the versioned locks of Transactional Locking II (Dice, Shalev,
//! Shavit, 2006) are striped.
//!
//! The hash of a name selects its stripe, and each change of the name adds one to the stripe's counter. The
//! version of an entry is the sum over the stripes of the entry and its tokens, and over the counter of changes
//! of everything. Counters only grow, so an equal sum means that none of these names has changed. Two names
//! that share a stripe cost a needless miss, no more. (A counter has 32 bits and wraps: a copy would have to
//! see 2³² changes between two looks.)

use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use quick_cache::DefaultHashBuilder;

use crate::clock::Coarse;
use crate::key::Key;

/// The versions of one cache's names, and until when they may be trusted.
pub(crate) struct Versions {
    /// Allocated for the first version that is taken: a cache without copies has none.
    stripes: OnceLock<Box<[AtomicU32]>>,
    count: usize,
    hashing: DefaultHashBuilder,
    /// Counts changes of everything, such as a flush or the loss of the tracking lane.
    all: AtomicU32,
    /// Until when every change is known to have arrived here, in milliseconds of the coarse clock.
    trusted_until: AtomicU64,
}

/// The version of an entry and its tokens at one moment.
#[derive(Clone, Debug)]
pub(crate) struct Version {
    stripes: Stripes,
    sum: u32,
}

/// The stripes of an entry and its tokens. Most entries have one token, that of the prefix.
#[derive(Clone, Debug)]
enum Stripes {
    Two([u32; 2]),
    More(Arc<Vec<u32>>),
}

impl Stripes {
    fn all(&self) -> &[u32] {
        match self {
            Self::Two(two) => two,
            Self::More(more) => more,
        }
    }
}

impl Versions {
    /// For copies of `bytes` bytes together: one stripe for each 256 of them, from 4096 to 2²⁰.
    pub(crate) fn new(bytes: usize) -> Self {
        Self {
            stripes: OnceLock::new(),
            count: (bytes / 256).next_power_of_two().clamp(1 << 12, 1 << 20),
            hashing: DefaultHashBuilder::default(),
            all: AtomicU32::new(0),
            trusted_until: AtomicU64::new(0),
        }
    }

    /// Takes the version of an entry and its tokens.
    pub(crate) fn version(&self, key: &Key) -> Version {
        let mut names = key.all().map(|name| self.stripe_of(name.as_bytes()) as u32);
        let stripes = match (names.len(), names.next(), names.next()) {
            (2, Some(entry), Some(prefix)) => Stripes::Two([entry, prefix]),
            (_, entry, prefix) => {
                Stripes::More(Arc::new(entry.into_iter().chain(prefix).chain(names).collect()))
            }
        };
        let sum = self.sum(&stripes);
        Version { stripes, sum }
    }

    /// Whether none of the version's names has changed since it was taken.
    #[inline]
    pub(crate) fn is_current(&self, version: &Version) -> bool {
        self.sum(&version.stripes) == version.sum
    }

    #[inline]
    fn sum(&self, stripes: &Stripes) -> u32 {
        let counters = self.stripes();
        let all = self.all.load(Ordering::Acquire);
        let each = stripes.all().iter().map(|at| counters[*at as usize].load(Ordering::Acquire));
        each.fold(all, u32::wrapping_add)
    }

    /// Records a change of a name.
    pub(crate) fn bump(&self, name: &[u8]) {
        // Without stripes no version was taken that the change could void.
        if let Some(stripes) = self.stripes.get() {
            stripes[self.stripe_of(name)].fetch_add(1, Ordering::Release);
        }
    }

    /// Records a change of everything.
    pub(crate) fn bump_all(&self) {
        self.all.fetch_add(1, Ordering::Release);
    }

    /// Records that every change before `at` was bumped; versions are trusted for `lasts` after it.
    pub(crate) fn trust(&self, at: Coarse, lasts: Duration) {
        let lasts = u64::try_from(lasts.as_millis()).unwrap_or(u64::MAX);
        let until = at.millis().saturating_add(lasts);
        self.trusted_until.fetch_max(until, Ordering::Release);
    }

    /// Whether versions may be compared at `now`.
    #[inline]
    pub(crate) fn is_trusted(&self, now: Coarse) -> bool {
        now.millis() < self.trusted_until.load(Ordering::Acquire)
    }

    fn stripe_of(&self, name: &[u8]) -> usize {
        self.hashing.hash_one(name) as usize & (self.count - 1)
    }

    fn stripes(&self) -> &[AtomicU32] {
        self.stripes.get_or_init(|| (0..self.count).map(|_| AtomicU32::new(0)).collect())
    }
}
