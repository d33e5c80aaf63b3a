//! What members of a deployment do, and what they tell about it.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The cached functions of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Function {
    /// Reads an item's version. Shares its prefix with [`Function::Stale`].
    Plain,
    /// Reads an item's version, with a long stale window behind a short ttl.
    Stale,
    /// The same, and keeps copies in the process by its attribute. Shares their prefix.
    Local,
    /// Calls one of the above.
    Nested,
    /// Counts its runs.
    Counted,
    /// Counts its runs, with a ttl of 3 s that nothing shortens and a long stale window.
    Refreshed,
    /// Counts its runs, and fails where it is told to; then a value of the last minute will do.
    Forgiving,
    /// Counts its runs, and fails.
    Failing,
    /// Counts its runs, and finds nothing.
    Finding,
    /// Counts its runs, and is told not to keep what it returns.
    Picky,
    /// Counts its runs, and keeps what it returns for no time at all.
    Fleeting,
    /// Counts its runs, and returns more than is stored.
    Huge,
}

/// An entry: one call of one function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Unit {
    /// Which function.
    pub function: Function,
    /// Its argument.
    pub item: u32,
}

/// What a cached function returns: an item as its run saw it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Value {
    /// The argument of the run.
    pub item: u32,
    /// The version that the run read, or the number of the run.
    pub version: u64,
    /// When the run began, by the clock of all processes.
    pub began: u64,
    /// Where it ran.
    pub process: u32,
    /// What the run itself got from the cache.
    pub made: Made,
}

/// What a run got from the cached function that it called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Made {
    /// Nothing, or a value with a promise.
    Of,
    /// A value past its ttl.
    OfStale,
    /// A copy in the process.
    OfCopy,
    /// A value of a call that had no store to ask.
    WithoutStore,
}

/// Something that a member has done.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Operation {
    /// A call of a cached function.
    Read(Read),
    /// A write with what it invalidated.
    Invalidation(Invalidation),
}

/// A call of a cached function, with its times.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Read {
    /// What was called.
    pub unit: Unit,
    /// Before the call.
    pub begin: u64,
    /// After it.
    pub end: u64,
    /// What the cache did, as an outcome spells it.
    pub outcome: String,
    /// What the call returned.
    pub value: Result<Value, String>,
}

/// An invalidation, with its times: it was sent after `begin` and had returned by `end`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Invalidation {
    /// After everything that it stands for had been committed.
    pub begin: u64,
    /// When it had returned.
    pub end: u64,
    /// Whom it binds.
    pub bound: Bound,
    /// What it named, in words.
    pub names: String,
    /// The entries that it removes, each with the version that had been committed before.
    pub units: Vec<(Unit, u64)>,
}

/// Which processes an invalidation binds once it has returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Bound {
    /// Confirmed: it binds all.
    All,
    /// Failed, or its result is not shown: it binds the process that it was made in.
    Own,
}

/// What became of several calls.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Calls {
    /// How many there were of each outcome.
    pub outcomes: BTreeMap<String, u32>,
    /// How many there were of each version.
    pub versions: BTreeMap<u64, u32>,
    /// How many there were of each error.
    pub errors: BTreeMap<String, u32>,
}

/// What a member's cache holds at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Flights that are going on.
    pub flights: usize,
    /// Names whose invalidation has not been delivered.
    pub undelivered: usize,
}

impl Function {
    /// The part of a deployment's functions that reads items.
    pub const OF_ITEMS: [Self; 4] = [Self::Plain, Self::Stale, Self::Local, Self::Nested];

    /// Those whose results are not stored, each for a reason of its own.
    pub const UNSTORED: [Self; 5] =
        [Self::Failing, Self::Finding, Self::Picky, Self::Fleeting, Self::Huge];
}

impl Unit {
    /// The entry of a call.
    pub const fn new(function: Function, item: u32) -> Self {
        Self { function, item }
    }
}

impl Calls {
    /// How many calls had one of these outcomes.
    pub fn of(&self, outcomes: &[&str]) -> u32 {
        outcomes.iter().filter_map(|outcome| self.outcomes.get(*outcome)).sum()
    }

    /// How many calls there were.
    pub fn all(&self) -> u32 {
        self.outcomes.values().sum()
    }
}

impl fmt::Display for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({})", self.function, self.item)
    }
}

impl FromStr for Function {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let others = [Self::Counted, Self::Refreshed, Self::Forgiving];
        let mut all = Self::OF_ITEMS.into_iter().chain(others).chain(Self::UNSTORED);
        all.find(|function| function.to_string() == word).ok_or_else(|| format!("no {word}"))
    }
}
