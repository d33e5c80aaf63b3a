//! The protocol keeps its promise, whatever happens and in whatever order: the small cases.

use model::Target::{Key, Token};
use model::{Case, Faults, Start};

const NONE: Faults = Faults::NONE;

fn holds(case: Case) {
    let found = case.search();
    println!("{found}");
    assert!(found.exhausted && found.broken.is_none(), "{case:?}: {found}");
}

#[test]
fn calls_of_two_processes_see_an_invalidation() {
    holds(Case { calls: &[0, 0, 1], invalidations: &[(1, Key)], ..Case::default() });
    holds(Case { calls: &[0, 1], invalidations: &[(1, Token)], ..Case::default() });
}

#[test]
fn calls_see_invalidations_of_the_key_and_of_its_prefix() {
    let invalidations = &[(1, Key), (0, Token)];
    holds(Case { calls: &[0, 1], invalidations, ..Case::default() });
    let invalidations = &[(1, Key), (0, Token), (1, Token)];
    let start = Start::Value;
    holds(Case { calls: &[0, 0], invalidations, start, ..Case::default() });
}

#[test]
fn four_calls_of_one_process_share_flights() {
    let start = Start::Value;
    holds(Case { calls: &[0, 0, 0, 0], invalidations: &[(1, Key)], start, ..Case::default() });
}

#[test]
fn a_token_that_is_missing_or_evicted_is_seeded() {
    let (start, faults) = (Start::Nothing, Faults { evictions: 1, ..NONE });
    holds(Case { calls: &[0, 1], invalidations: &[(1, Token)], start, faults, ..Case::default() });
    let invalidations = &[(1, Token), (0, Token)];
    holds(Case { calls: &[0, 0], invalidations, start, ..Case::default() });
}

#[test]
fn a_dead_owner_keeps_nobody_waiting() {
    let faults = Faults { crashes: 1, failures: 1, ..NONE };
    holds(Case { calls: &[0, 1, 2], faults, ..Case::default() });
    let faults = Faults { crashes: 1, waits_over: 1, failures: 1, expiries: 1, ..NONE };
    holds(Case { calls: &[0, 1], invalidations: &[(0, Key)], faults, ..Case::default() });
}

#[test]
fn a_dropped_leader_hands_over_or_gives_up() {
    let faults = Faults { drops: 2, failures: 1, ..NONE };
    holds(Case { calls: &[0, 0, 0], invalidations: &[(1, Key)], faults, ..Case::default() });
    let start = Start::Old;
    holds(Case { calls: &[0, 0], invalidations: &[(1, Token)], start, faults, ..Case::default() });
}

#[test]
fn a_lost_lane_keeps_nobody_waiting() {
    let faults = Faults { cuts: 2, crashes: 1, ..NONE };
    holds(Case { calls: &[0, 1], invalidations: &[(1, Key)], faults, ..Case::default() });
}

#[test]
fn a_lease_that_arrives_late_stores_nothing() {
    let faults = Faults { timeouts: 1, ..NONE };
    holds(Case { calls: &[0, 0, 1], invalidations: &[(1, Key)], faults, ..Case::default() });
    let faults = Faults { timeouts: 1, extensions: 1, expiries: 1, ..NONE };
    holds(Case { calls: &[0, 1], invalidations: &[(1, Key)], faults, ..Case::default() });
}

#[test]
fn a_stale_value_is_refreshed_once() {
    let (start, faults) = (Start::Value, Faults { agings: 2, expiries: 1, crashes: 1, ..NONE });
    holds(Case { calls: &[0, 1], invalidations: &[(1, Key)], start, faults, ..Case::default() });
    let faults = Faults { agings: 1, failures: 1, claims_run_out: 1, extensions: 1, ..NONE };
    let start = Start::Stale;
    holds(Case { calls: &[0, 1], invalidations: &[(1, Token)], start, faults, ..Case::default() });
}

#[test]
fn a_fresh_value_is_refreshed_ahead_once() {
    let (start, faults) = (Start::Value, Faults { refreshes_ahead: 2, agings: 1, ..NONE });
    holds(Case { calls: &[0, 1], invalidations: &[(1, Key)], start, faults, ..Case::default() });
}

#[test]
fn a_stale_value_that_stands_in_for_a_failure_is_never_too_old() {
    let (start, faults) =
        (Start::Old, Faults { failures: 2, claims_run_out: 1, timeouts: 1, ..NONE });
    holds(Case { calls: &[0, 0], invalidations: &[(1, Key)], start, faults, ..Case::default() });
    holds(Case { calls: &[0, 0], invalidations: &[(1, Token)], start, faults, ..Case::default() });
    let faults = Faults { failures: 1, waits_over: 1, ..NONE };
    holds(Case { calls: &[0, 1], invalidations: &[(1, Token)], start, faults, ..Case::default() });
}

#[test]
fn who_reads_the_mark_of_a_run_that_is_not_stored_runs_at_once() {
    let faults = Faults { failures: 1, ..NONE };
    holds(Case { calls: &[0, 0, 1], invalidations: &[(1, Key)], faults, ..Case::default() });
    let faults = Faults { failures: 2, ..NONE };
    holds(Case { calls: &[0, 1], invalidations: &[(1, Token)], faults, ..Case::default() });
    let start = Start::Unstored;
    let marked = Case { start, ..Case::default() };
    holds(Case { calls: &[0, 0, 1], invalidations: &[(1, Key)], ..marked });
    let faults = Faults { failures: 1, drops: 1, ..NONE };
    holds(Case { calls: &[0, 0], invalidations: &[(1, Key)], faults, ..marked });
    let faults = Faults { timeouts: 1, evictions: 1, ..NONE };
    holds(Case { calls: &[0, 1], invalidations: &[(0, Token)], faults, ..marked });
    holds(Case { calls: &[0, 1], invalidations: &[(0, Token)], cluster: true, ..marked });
}

#[test]
fn who_reads_a_value_released_by_a_failed_run_runs_at_once() {
    let faults = Faults { failures: 2, drops: 1, ..NONE };
    for start in [Start::Old, Start::Released] {
        holds(Case {
            calls: &[0, 1],
            invalidations: &[(1, Key)],
            faults,
            start,
            ..Case::default()
        });
        let invalidations = &[(1, Token)];
        holds(Case { calls: &[0, 0], invalidations, faults, start, ..Case::default() });
    }
    let (start, faults) = (Start::Stale, Faults { agings: 1, failures: 1, ..NONE });
    holds(Case { calls: &[0, 1], invalidations: &[(1, Key)], faults, start, ..Case::default() });
}

#[test]
fn a_failed_invalidation_binds_its_own_process_at_once() {
    let faults = Faults { unreachable: 1, ..NONE };
    let invalidations = &[(0, Key), (1, Key)];
    holds(Case { calls: &[0, 1], invalidations, faults, ..Case::default() });
    holds(Case { calls: &[0, 0], invalidations: &[(0, Token)], faults, ..Case::default() });
}

#[test]
fn a_near_cache_is_old_only_while_its_process_has_not_heard() {
    let near = Case { near: true, start: Start::Value, ..Case::default() };
    holds(Case { calls: &[0, 0, 1], invalidations: &[(0, Key)], ..near });
    holds(Case { calls: &[0, 1], invalidations: &[(1, Token)], ..near });
    let faults = Faults { expiries: 1, cuts: 1, ..NONE };
    holds(Case { calls: &[0, 0], invalidations: &[(1, Key)], faults, ..near });
    let faults = Faults { evictions: 1, cuts: 1, ..NONE };
    holds(Case { calls: &[0, 0], invalidations: &[(1, Token)], faults, ..near });
}

#[test]
fn a_near_cache_is_not_used_behind_a_tombstone() {
    let faults = Faults { unreachable: 1, ..NONE };
    let near = Case { near: true, start: Start::Value, faults, ..Case::default() };
    holds(Case { calls: &[0, 0, 0], invalidations: &[(0, Key)], ..near });
    holds(Case { calls: &[0, 0], invalidations: &[(0, Token)], ..near });
}

#[test]
fn a_cluster_reads_key_and_token_in_any_order() {
    let cluster = Case { cluster: true, ..Case::default() };
    let faults = Faults { expiries: 1, ..NONE };
    holds(Case { calls: &[0, 1], invalidations: &[(1, Key)], faults, ..cluster });
    holds(Case { calls: &[0, 1], invalidations: &[(0, Token)], ..cluster });
    let start = Start::Old;
    holds(Case { calls: &[0, 1], invalidations: &[(0, Token)], start, ..cluster });
}
