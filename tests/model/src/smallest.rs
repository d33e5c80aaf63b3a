//! The smallest case in which each mistake shows.

use crate::case::Target::{Key, Token};
use crate::case::{Case, Faults, Start};
use crate::flaw::Flaw;

const NONE: Faults = Faults::NONE;

impl Flaw {
    /// A case that is small, and in which this mistake breaks the promise.
    #[must_use]
    pub fn case(self) -> Case {
        Case { flaw: Some(self), ..self.smallest() }
    }

    fn smallest(self) -> Case {
        let nothing = Case::default();
        let near = Case { near: true, start: Start::Value, ..nothing };
        match self {
            Self::TokensHeldLocally => Case {
                calls: &[1, 1],
                invalidations: &[(0, Token)],
                start: Start::Value,
                ..nothing
            },
            Self::WriterInstallsToken => {
                Case { calls: &[0], invalidations: &[(0, Token), (1, Token)], ..near }
            }
            Self::SeederInstallsToken => {
                Case { calls: &[0, 1], invalidations: &[(1, Token)], start: Start::Nothing, ..near }
            }
            Self::PopulateFillsNear => {
                Case { calls: &[0], invalidations: &[(1, Key)], start: Start::Token, ..near }
            }
            Self::NoLoop => {
                let faults = Faults { expiries: 1, ..NONE };
                Case { calls: &[0, 0], invalidations: &[(1, Key)], faults, ..near }
            }
            Self::JoinsRunningFlight | Self::LeaseWithoutToken => {
                Case { calls: &[0, 0], invalidations: &[(1, Token)], ..nothing }
            }
            Self::JoinsReadingFlight => {
                Case { calls: &[0, 0], invalidations: &[(1, Key)], start: Start::Value, ..nothing }
            }
            Self::WaitsAfterRefusal => Case { calls: &[0, 1], ..nothing },
            Self::WaitIgnoresLane => {
                Case { calls: &[0, 1], faults: Faults { cuts: 1, ..NONE }, ..nothing }
            }
            Self::WaitWithoutTimer => {
                Case { calls: &[0, 1], faults: Faults { crashes: 1, ..NONE }, ..nothing }
            }
            Self::RefreshWithoutClaim => Case { calls: &[0, 1], start: Start::Stale, ..nothing },
            Self::TakeOverIgnoresMark => {
                let faults = Faults { claims_run_out: 1, extensions: 1, ..NONE };
                Case { calls: &[0, 1], start: Start::Old, faults, ..nothing }
            }
            Self::UnknownLeaseCounts => {
                let faults = Faults { timeouts: 1, ..NONE };
                Case { calls: &[0, 1], invalidations: &[(1, Key)], faults, ..nothing }
            }
            Self::ExtensionRetakes => {
                let faults = Faults { extensions: 1, ..NONE };
                Case { calls: &[0, 1], invalidations: &[(1, Key)], faults, ..nothing }
            }
            Self::EmptiedBeforeUnlink => {
                Case { calls: &[0, 0], invalidations: &[(0, Key)], ..near }
            }
            Self::MissingTokenMatches => {
                let start = Start::Nothing;
                Case { calls: &[0, 1], invalidations: &[(1, Token)], start, ..nothing }
            }
            Self::PlainRunStores => {
                let faults = Faults { waits_over: 1, ..NONE };
                Case { calls: &[0, 1, 1], invalidations: &[(1, Key)], faults, ..nothing }
            }
            Self::FillIgnoresMarks => Case { calls: &[0, 0], invalidations: &[(1, Key)], ..near },
            Self::TombstoneIgnored | Self::TombstoneLiftedEarly => {
                let faults = Faults { unreachable: 1, ..NONE };
                Case { calls: &[0, 0], invalidations: &[(0, Key)], faults, ..near }
            }
            Self::TokenReadAfterRun => {
                Case { calls: &[0, 1], invalidations: &[(1, Token)], ..nothing }
            }
            Self::LeadersStaleShared => {
                let faults = Faults { failures: 1, ..NONE };
                let start = Start::Old;
                Case { calls: &[0, 0], invalidations: &[(1, Token)], faults, start, ..nothing }
            }
            Self::DeadByAnEarlierToken => {
                Case { calls: &[0, 1], invalidations: &[(0, Token)], cluster: true, ..nothing }
            }
            Self::JoinsUnderUnreadMark => {
                let start = Start::Unstored;
                Case { calls: &[0, 0], invalidations: &[(1, Key)], start, ..nothing }
            }
            Self::MarkMayBeGone => {
                let start = Start::Unstored;
                Case { calls: &[0, 1], invalidations: &[(1, Key)], start, ..nothing }
            }
            Self::MarkWithoutToken => {
                let start = Start::Unstored;
                Case { calls: &[0, 0], invalidations: &[(1, Token)], start, ..nothing }
            }
        }
    }
}
