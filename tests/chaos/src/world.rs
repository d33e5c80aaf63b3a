//! What the functions read: a version for each of their arguments, which writers change.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::watch;

/// Arguments of each function.
pub(crate) const KEYS: u32 = 48;

/// Tags.
pub(crate) const GROUPS: u32 = 6;

/// The cached functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Function {
    Plain,
    Local,
    Tagged,
    Fallible,
    Stale,
}

impl Function {
    pub(crate) const ALL: [Self; 5] =
        [Self::Plain, Self::Local, Self::Tagged, Self::Fallible, Self::Stale];

    pub(crate) fn prefix(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Local => "local",
            Self::Tagged => "tagged",
            Self::Fallible => "fallible",
            Self::Stale => "stale",
        }
    }
}

/// What a function returns: where it is from, and what can be told to be wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Answer {
    pub(crate) function: Function,
    pub(crate) key: u32,
    pub(crate) version: u64,
    filler: String,
}

impl Answer {
    fn new(function: Function, key: u32, version: u64) -> Self {
        let filler = filler(function, key, version);
        Self { function, key, version, filler }
    }

    /// Whether it is one that its own function makes.
    pub(crate) fn is_whole(&self) -> bool {
        self.filler == filler(self.function, self.key, self.version)
    }
}

/// Long enough to be compressed for some arguments.
fn filler(function: Function, key: u32, version: u64) -> String {
    let piece = format!("{}/{key}/{version};", function.prefix());
    piece.repeat(if key.is_multiple_of(16) { 600 } else { 6 })
}

/// An error of [`Function::Fallible`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failed(pub(crate) Answer);

/// Whether [`Function::Fallible`] fails at a version.
pub(crate) fn fails(key: u32, version: u64) -> bool {
    (u64::from(key) + version).is_multiple_of(5)
}

/// Every call that can be made.
pub(crate) fn calls() -> impl Iterator<Item = (Function, u32)> {
    Function::ALL.into_iter().flat_map(|function| (0..KEYS).map(move |key| (function, key)))
}

/// Where a call comes among [`calls`].
pub(crate) fn index(function: Function, key: u32) -> usize {
    function as usize * KEYS as usize + key as usize
}

/// The group of an argument, for its tag.
pub(crate) fn group(key: u32) -> u32 {
    key % GROUPS
}

/// What has been committed, and how old a value may be.
#[derive(Debug)]
pub(crate) struct World(Vec<Version>);

#[derive(Debug, Default)]
struct Version {
    committed: AtomicU64,
    floor: AtomicU64,
    firm: AtomicU64,
}

impl World {
    pub(crate) fn new() -> Self {
        Self(calls().map(|_| Version::default()).collect())
    }

    fn at(&self, function: Function, key: u32) -> &Version {
        &self.0[index(function, key)]
    }

    /// The version that is committed now.
    pub(crate) fn committed(&self, function: Function, key: u32) -> u64 {
        self.at(function, key).committed.load(Ordering::SeqCst)
    }

    /// Commits another version.
    pub(crate) fn commit(&self, function: Function, key: u32) -> u64 {
        self.at(function, key).committed.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// An invalidation that began when `version` was committed has returned: this process is bound,
    /// whether or not it could be delivered. It is firm where nothing can bring back what is gone.
    pub(crate) fn bind(&self, function: Function, key: u32, version: u64, firm: bool) {
        let at = self.at(function, key);
        if firm {
            at.firm.fetch_max(version, Ordering::SeqCst);
        }
        at.floor.fetch_max(version, Ordering::SeqCst);
    }

    /// The oldest version that a call which begins now may get.
    pub(crate) fn floor(&self, function: Function, key: u32) -> u64 {
        self.at(function, key).floor.load(Ordering::SeqCst)
    }

    /// As [`World::floor`], where what Redis has lost may come back.
    pub(crate) fn firm(&self, function: Function, key: u32) -> u64 {
        self.at(function, key).firm.load(Ordering::SeqCst)
    }

    /// A run of a function, which is quick and not always ready at once.
    pub(crate) async fn run(&self, function: Function, key: u32) -> Answer {
        let _body = watch::Body::begin();
        let version = self.committed(function, key);
        if key.is_multiple_of(2) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        } else {
            tokio::task::yield_now().await;
        }
        Answer::new(function, key, version)
    }
}
