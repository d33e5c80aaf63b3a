//! What has been touched: striped counters, as the versioned locks of Transactional Locking II
//! (Dice, Shalev, Shavit, 2006) are striped.
//!
//! Every name in the store has a stripe, found by its hash; whatever changes a name adds one to its
//! stripe. A version is the sum over what an entry depends on, and as counters only grow, an equal sum
//! says that nothing has been touched. Two names with one stripe cost a needless miss, no more.

use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use quick_cache::DefaultHashBuilder;

use crate::clock::Coarse;
use crate::key::Key;

/// What has been touched in one cache, and until when it is known.
pub(crate) struct Versions {
    /// Made with the first version.
    stripes: OnceLock<Box<[AtomicU32]>>,
    count: usize,
    hashing: DefaultHashBuilder,
    /// Times that everything was touched.
    all: AtomicU32,
    /// Until when copies count, in milliseconds of the coarse clock.
    trusted_until: AtomicU64,
}

/// What was known of an entry and its tokens at one moment.
#[derive(Clone, Debug)]
pub(crate) struct Version {
    stripes: Stripes,
    sum: u32,
}

/// Of the entry and its tokens; most have one token, that of the prefix.
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
    /// For copies of so many bytes together.
    pub(crate) fn new(bytes: usize) -> Self {
        Self {
            stripes: OnceLock::new(),
            count: (bytes / 256).next_power_of_two().clamp(1 << 12, 1 << 20),
            hashing: DefaultHashBuilder::default(),
            all: AtomicU32::new(0),
            trusted_until: AtomicU64::new(0),
        }
    }

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

    /// Something under this name has changed.
    pub(crate) fn bump(&self, name: &[u8]) {
        // Without stripes nothing has been marked yet.
        if let Some(stripes) = self.stripes.get() {
            stripes[self.stripe_of(name)].fetch_add(1, Ordering::Release);
        }
    }

    pub(crate) fn bump_all(&self) {
        self.all.fetch_add(1, Ordering::Release);
    }

    /// All that changed before `at` has touched its versions.
    pub(crate) fn trust(&self, at: Coarse, lasts: Duration) {
        let lasts = u64::try_from(lasts.as_millis()).unwrap_or(u64::MAX);
        let until = at.millis().saturating_add(lasts);
        self.trusted_until.fetch_max(until, Ordering::Release);
    }

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
