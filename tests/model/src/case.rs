//! What is searched: who calls and invalidates where, and what may go wrong how often.

use crate::flaw::Flaw;

/// At most this many calls, processes and invalidations in a case.
pub(crate) const CALLS: usize = 4;
pub(crate) const PROCESSES: usize = 3;
pub(crate) const INVALIDATIONS: usize = 3;

/// One search.
#[derive(Clone, Copy, Debug, Default)]
pub struct Case {
    /// The process of each call.
    pub calls: &'static [usize],
    /// The process of each invalidation, and what it invalidates.
    pub invalidations: &'static [(usize, Target)],
    /// What may go wrong, and how often.
    pub faults: Faults,
    /// What is in Redis at first.
    pub start: Start,
    /// The function has a near cache.
    pub near: bool,
    /// The key and its token live on different nodes: two reads, in any order. Not together with
    /// `near`: each node would need a listening lane of its own.
    pub cluster: bool,
    /// Looks at every order, even where another is known to end in the same.
    pub every_order: bool,
    /// The one mistake that this protocol makes, if any.
    pub flaw: Option<Flaw>,
}

/// What an invalidation unlinks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The key.
    Key,
    /// The token of a prefix or a tag.
    Token,
}

/// What is in Redis at first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// Neither the key nor the token.
    Nothing,
    /// The token alone.
    #[default]
    Token,
    /// A fresh value under the current token.
    Value,
    /// A value that may be served while it is refreshed.
    Stale,
    /// A value that may be served only if the function fails.
    Old,
    /// As `Old`, just released by an owner whose function has failed.
    Released,
    /// The mark of a run whose result is not stored.
    Unstored,
}

/// How often each fault may still happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Faults {
    /// The key expires though its owner lives. Without an owner a lease expires in any case.
    pub expiries: u8,
    /// The token is evicted or expires.
    pub evictions: u8,
    /// A process dies.
    pub crashes: u8,
    /// A listening lane is cut: unnoticed at first.
    pub cuts: u8,
    /// A call has waited for as long as it may.
    pub waits_over: u8,
    /// The value becomes stale, or too old to be served while it is refreshed.
    pub agings: u8,
    /// The function fails.
    pub failures: u8,
    /// A lease or a claim times out: its command arrives late, or its answer is lost.
    pub timeouts: u8,
    /// An invalidation cannot reach Redis, or does not hear whether it has.
    pub unreachable: u8,
    /// An owner extends its lease or claim.
    pub extensions: u8,
    /// A claim is older than a lease may be though its owner lives.
    pub claims_run_out: u8,
    /// A fresh value is refreshed ahead of time.
    pub refreshes_ahead: u8,
    /// The caller of a flight's leader goes away while the function runs.
    pub drops: u8,
}

impl Faults {
    /// Nothing goes wrong.
    pub const NONE: Self = Self {
        expiries: 0,
        evictions: 0,
        crashes: 0,
        cuts: 0,
        waits_over: 0,
        agings: 0,
        failures: 0,
        timeouts: 0,
        unreachable: 0,
        extensions: 0,
        claims_run_out: 0,
        refreshes_ahead: 0,
        drops: 0,
    };

    /// Everything goes wrong once.
    pub const EACH_ONCE: Self = Self {
        expiries: 1,
        evictions: 1,
        crashes: 1,
        cuts: 1,
        waits_over: 1,
        agings: 1,
        failures: 1,
        timeouts: 1,
        unreachable: 1,
        extensions: 1,
        claims_run_out: 1,
        refreshes_ahead: 1,
        drops: 1,
    };
}

impl Case {
    pub(crate) fn has(&self, flaw: Flaw) -> bool {
        self.flaw == Some(flaw)
    }

    /// Whether tokens are remembered in the process: only beside a near cache, if all is well.
    pub(crate) fn keeps_tokens(&self) -> bool {
        self.near || self.has(Flaw::TokensHeldLocally)
    }

    /// How many processes take part.
    pub(crate) fn processes(&self) -> usize {
        let invalidating = self.invalidations.iter().map(|&(at, _)| at);
        self.calls.iter().copied().chain(invalidating).max().map_or(0, |last| last + 1)
    }

    /// Indices of the calls of a process.
    pub(crate) fn calls_of(&self, process: usize) -> impl Iterator<Item = usize> + use<> {
        let calls = self.calls;
        (0..calls.len()).filter(move |&call| calls[call] == process)
    }
}
