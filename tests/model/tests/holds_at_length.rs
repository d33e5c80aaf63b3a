//! The protocol keeps its promise: the large cases, searched with `CI_LONG=1` only.
//!
//! One at a time, since each may take some gigabytes and minutes. A case that is larger than the
//! bound is searched up to it, which covers all that happens in few steps, and then by random
//! walks, which go deep.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use model::Target::{Key, Token};
use model::{Case, Faults, Start};

/// In states.
const BOUND: usize = 40_000_000;
const WALKS: Duration = Duration::from_secs(20);
const NONE: Faults = Faults::NONE;

fn holds(name: &str, case: Case) {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

    if std::env::var_os("CI_LONG").is_none() {
        println!("{name}: skipped, it is searched with CI_LONG=1");
        return;
    }
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let found = case.search_up_to(BOUND);
    println!("{name}: {found}");
    assert!(found.broken.is_none(), "{name}: {found}");
    if !found.exhausted {
        let walked = case.walk(WALKS);
        println!("{name}, at random: {walked}");
        assert!(walked.broken.is_none(), "{name}: {walked}");
    }
}

macro_rules! cases {
    ($($name:ident: $case:expr;)*) => {
        $(
            #[test]
            fn $name() {
                holds(stringify!($name), $case);
            }
        )*
    };
}

cases! {
    three_processes_crash_fail_and_lose_the_token: Case {
        calls: &[0, 1, 2],
        invalidations: &[(2, Token)],
        faults: Faults { crashes: 1, failures: 1, evictions: 1, ..NONE },
        ..Case::default()
    };
    three_processes_share_a_stale_value: Case {
        calls: &[0, 1, 2],
        invalidations: &[(2, Key)],
        faults: Faults { agings: 1, failures: 1, crashes: 1, claims_run_out: 1, ..NONE },
        start: Start::Stale,
        ..Case::default()
    };
    four_calls_of_two_processes: Case {
        calls: &[0, 0, 1, 1],
        invalidations: &[(1, Key)],
        ..Case::default()
    };
    three_calls_and_a_prefix: Case {
        calls: &[0, 0, 1],
        invalidations: &[(1, Token)],
        ..Case::default()
    };
    three_calls_and_two_invalidations: Case {
        calls: &[0, 0, 1],
        invalidations: &[(1, Key), (0, Token)],
        ..Case::default()
    };
    two_calls_and_three_invalidations: Case {
        calls: &[0, 1],
        invalidations: &[(1, Key), (0, Token), (1, Token)],
        faults: Faults { expiries: 1, evictions: 1, ..NONE },
        ..Case::default()
    };
    three_calls_seed_expire_and_lose_the_token: Case {
        calls: &[0, 0, 1],
        invalidations: &[(1, Key), (1, Token)],
        faults: Faults { expiries: 1, evictions: 1, ..NONE },
        start: Start::Nothing,
        ..Case::default()
    };
    waiters_outlive_crash_failure_and_expiry: Case {
        calls: &[0, 1, 1],
        invalidations: &[(0, Key)],
        faults: Faults { crashes: 1, failures: 1, expiries: 1, waits_over: 1, ..NONE },
        ..Case::default()
    };
    a_late_lease_an_extension_and_an_expiry: Case {
        calls: &[0, 1, 1],
        invalidations: &[(1, Key)],
        faults: Faults { timeouts: 1, extensions: 1, expiries: 1, ..NONE },
        ..Case::default()
    };
    refreshes_and_a_crash: Case {
        calls: &[0, 0, 1],
        invalidations: &[(1, Key)],
        faults: Faults { agings: 2, crashes: 1, expiries: 1, ..NONE },
        start: Start::Value,
        ..Case::default()
    };
    a_stale_value_stands_in_for_failures: Case {
        calls: &[0, 0, 1],
        invalidations: &[(1, Token)],
        faults: Faults { failures: 1, ..NONE },
        start: Start::Old,
        ..Case::default()
    };
    runs_that_are_not_stored_are_marked: Case {
        calls: &[0, 0, 1],
        invalidations: &[(1, Key)],
        faults: Faults { failures: 2, ..NONE },
        ..Case::default()
    };
    runs_under_a_mark_and_two_invalidations: Case {
        calls: &[0, 0, 1],
        invalidations: &[(1, Key), (0, Token)],
        faults: Faults { failures: 1, drops: 1, ..NONE },
        start: Start::Unstored,
        ..Case::default()
    };
    a_tombstone_and_another_invalidation: Case {
        calls: &[0, 0, 1],
        invalidations: &[(0, Key), (1, Key)],
        faults: Faults { unreachable: 1, ..NONE },
        ..Case::default()
    };
    a_near_cache_hears_of_the_key: Case {
        calls: &[0, 0, 1],
        invalidations: &[(1, Key)],
        faults: Faults { cuts: 1, expiries: 1, ..NONE },
        start: Start::Value,
        near: true,
        ..Case::default()
    };
    a_near_cache_hears_of_key_and_token: Case {
        calls: &[0, 0],
        invalidations: &[(1, Key), (0, Token)],
        faults: Faults { cuts: 1, expiries: 1, evictions: 1, ..NONE },
        start: Start::Value,
        near: true,
        ..Case::default()
    };
    a_near_cache_behind_a_tombstone_of_its_prefix: Case {
        calls: &[0, 0, 0],
        invalidations: &[(0, Token)],
        faults: Faults { unreachable: 1, ..NONE },
        start: Start::Value,
        near: true,
        ..Case::default()
    };
    three_calls_in_a_cluster: Case {
        calls: &[0, 0, 1],
        invalidations: &[(1, Token)],
        cluster: true,
        ..Case::default()
    };
    every_fault_once: Case {
        calls: &[0, 1],
        invalidations: &[(1, Key), (0, Token)],
        faults: Faults::EACH_ONCE,
        start: Start::Value,
        ..Case::default()
    };
    every_fault_once_beside_a_near_cache: Case {
        calls: &[0, 0, 1],
        invalidations: &[(1, Key), (0, Token)],
        faults: Faults::EACH_ONCE,
        start: Start::Value,
        near: true,
        ..Case::default()
    };
}
