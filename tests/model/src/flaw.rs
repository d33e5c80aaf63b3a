//! Mistakes that the protocol could make. Each stands for a fact of which the protocol is careful,
//! and the search has to find what happens without it.

use std::fmt;

/// One mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// Tokens are remembered and compared with entries read from Redis. They have to be read
    /// together with the key: a push that would change them may still be on its way.
    TokensHeldLocally,
    /// An invalidation sets the token and remembers what it has set. Its own push came before the
    /// answer and ended the tracking, so nothing will ever correct it.
    WriterInstallsToken,
    /// The call that seeds a missing token remembers it: as above.
    SeederInstallsToken,
    /// A populate offers its value to the near cache. Its own write ended the tracking: only the
    /// reply of a later tracked read may fill it.
    PopulateFillsNear,
    /// Tracking with NOLOOP: one's own writes are not pushed, and untrack the key all the same.
    NoLoop,
    /// A call joins whatever flight of its process is going on. It may join only a flight whose
    /// function has not begun, or one whose live lease it has itself read.
    JoinsRunningFlight,
    /// A call joins a flight that is still reading: the reply on its way to it may be old.
    JoinsReadingFlight,
    /// After a refused compare-and-set a call waits, relying on the read before it, which was not
    /// tracked: nobody will wake it.
    WaitsAfterRefusal,
    /// A call waits on a read that was made while the lane was down, and so was not tracked.
    WaitIgnoresLane,
    /// A waiter has no timer. Redis may not push the expiry of a dead owner's lease for minutes.
    WaitWithoutTimer,
    /// A stale value is refreshed without a claim: the compare-and-set guards only the store.
    RefreshWithoutClaim,
    /// A claim that has run out is taken over by its id alone, whatever its mark says by now.
    TakeOverIgnoresMark,
    /// A lease counts although its OK did not come before the function began: it may be taken
    /// after an invalidation, for a value from before it.
    UnknownLeaseCounts,
    /// An extension takes a lost lease again. Refused has to mean lost for good.
    ExtensionRetakes,
    /// The near cache is emptied before the `UNLINK` and not after its answer.
    EmptiedBeforeUnlink,
    /// No token is as good as a token: entries stored while there was none match again.
    MissingTokenMatches,
    /// A run without a lease stores its value where the key is absent.
    PlainRunStores,
    /// The near cache is filled although a push came after the read had been sent.
    FillIgnoresMarks,
    /// The near cache, flights and Redis are asked before the tombstone.
    TombstoneIgnored,
    /// A tombstone is lifted when Redis has unlinked, before the answer is there: what was filled
    /// into the near cache meanwhile has not been dropped yet.
    TombstoneLiftedEarly,
    /// The token that a value is stored under is read after the function has read the database.
    TokenReadAfterRun,
    /// A lease carries no token, and so cannot be dead: calls join what an invalidation overtook.
    LeaseWithoutToken,
    /// A failed flight serves its members the stale value that its leader has read. They may have
    /// begun after an invalidation that the leader's read was before.
    LeadersStaleShared,
    /// In a cluster: a lease counts as dead because of a token that was read before the lease was.
    /// The token may be newer by now, and the lease live: it has to be read again.
    DeadByAnEarlierToken,
    /// A call joins a run under a mark that it has not itself read: an invalidation may have
    /// removed the mark since the run began.
    JoinsUnderUnreadMark,
    /// A run under a mark stores its value where the mark is gone. Only while the mark is there is
    /// it certain that nothing has been invalidated.
    MarkMayBeGone,
    /// A mark carries no token, and so cannot be dead: calls join what an invalidation overtook.
    MarkWithoutToken,
}

impl Flaw {
    /// All of them.
    pub const ALL: [Self; 27] = [
        Self::TokensHeldLocally,
        Self::WriterInstallsToken,
        Self::SeederInstallsToken,
        Self::PopulateFillsNear,
        Self::NoLoop,
        Self::JoinsRunningFlight,
        Self::JoinsReadingFlight,
        Self::WaitsAfterRefusal,
        Self::WaitIgnoresLane,
        Self::WaitWithoutTimer,
        Self::RefreshWithoutClaim,
        Self::TakeOverIgnoresMark,
        Self::UnknownLeaseCounts,
        Self::ExtensionRetakes,
        Self::EmptiedBeforeUnlink,
        Self::MissingTokenMatches,
        Self::PlainRunStores,
        Self::FillIgnoresMarks,
        Self::TombstoneIgnored,
        Self::TombstoneLiftedEarly,
        Self::TokenReadAfterRun,
        Self::LeaseWithoutToken,
        Self::LeadersStaleShared,
        Self::DeadByAnEarlierToken,
        Self::JoinsUnderUnreadMark,
        Self::MarkMayBeGone,
        Self::MarkWithoutToken,
    ];
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}
