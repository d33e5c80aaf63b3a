//! Each mistake that the protocol could make is found: otherwise the search would prove nothing.
//! The case of each is small, and holds without the mistake.

use model::{Case, Flaw, Source, Violation};

fn breaks(flaw: Flaw, expected: Violation) {
    let case = flaw.case();
    let found = case.search();
    println!("{flaw}: {found}");
    let broken = found.broken.map(|(violation, _)| violation);
    assert_eq!(broken, Some(expected), "{flaw}");

    let sound = Case { flaw: None, ..case }.search();
    println!("without it: {sound}");
    assert!(sound.exhausted && sound.broken.is_none(), "without {flaw}: {sound}");
}

#[test]
fn what_the_search_leaves_out_hides_nothing() {
    for flaw in Flaw::ALL {
        let case = Case { every_order: true, ..flaw.case() };
        let (flawed, sound) = (case.search(), Case { flaw: None, ..case }.search());
        println!("{flaw}, in every order: {} states; without it: {sound}", flawed.states);
        let expected = flaw.case().search().broken.map(|(violation, _)| violation);
        assert_eq!(flawed.broken.map(|(violation, _)| violation), expected, "{flaw}");
        assert!(sound.broken.is_none(), "without {flaw}: {sound}");
    }
}

macro_rules! holes {
    ($($fact:ident: $flaw:ident => $violation:expr;)*) => {
        $(
            #[test]
            fn $fact() {
                use Violation::*;
                breaks(Flaw::$flaw, $violation);
            }
        )*

        #[test]
        fn no_mistake_goes_without_a_test() {
            assert_eq!(Flaw::ALL, [$(Flaw::$flaw),*]);
        }
    };
}

holes! {
    tokens_held_locally_serve_an_old_value:
        TokensHeldLocally => OldElsewhere(Source::Redis);
    a_token_that_its_writer_remembers_is_never_corrected:
        WriterInstallsToken => OldForGood;
    a_token_that_its_seeder_remembers_is_never_corrected:
        SeederInstallsToken => OldForGood;
    a_near_cache_that_populates_fill_is_never_corrected:
        PopulateFillsNear => OldForGood;
    without_the_echo_of_its_own_writes_a_process_waits_for_ever:
        NoLoop => WaitsForEver;
    a_running_flight_hands_an_old_value_to_those_who_join_it:
        JoinsRunningFlight => OldElsewhere(Source::Flight);
    a_reading_flight_hands_an_old_value_to_those_who_join_it:
        JoinsReadingFlight => OldElsewhere(Source::Flight);
    a_refused_call_that_does_not_read_again_waits_for_ever:
        WaitsAfterRefusal => WaitsForEver;
    a_call_that_was_not_tracked_waits_for_ever:
        WaitIgnoresLane => WaitsForEver;
    without_a_timer_a_dead_owner_is_waited_for_for_ever:
        WaitWithoutTimer => WaitsForEver;
    without_a_claim_two_processes_refresh:
        RefreshWithoutClaim => TwoComputations;
    a_claim_that_was_extended_is_taken_away_if_its_mark_is_not_compared:
        TakeOverIgnoresMark => TwoComputations;
    a_lease_that_arrives_late_stores_an_old_value:
        UnknownLeaseCounts => OldInOwnProcess(Source::Redis);
    a_lost_lease_that_is_taken_again_stores_an_old_value:
        ExtensionRetakes => OldInOwnProcess(Source::Redis);
    a_near_cache_that_is_emptied_too_soon_is_filled_again:
        EmptiedBeforeUnlink => OldInNearCache;
    a_missing_token_brings_back_what_was_stored_without_one:
        MissingTokenMatches => OldInOwnProcess(Source::Redis);
    a_run_without_a_lease_stores_an_old_value:
        PlainRunStores => OldElsewhere(Source::Redis);
    a_near_cache_that_is_filled_after_a_push_is_never_corrected:
        FillIgnoresMarks => OldForGood;
    without_its_tombstone_a_failed_invalidation_is_not_seen_at_home:
        TombstoneIgnored => OldInOwnProcess(Source::Redis);
    a_tombstone_that_is_lifted_too_soon_uncovers_an_old_near_cache:
        TombstoneLiftedEarly => OldInNearCache;
    a_token_read_after_the_run_covers_an_old_value:
        TokenReadAfterRun => OldInOwnProcess(Source::Redis);
    a_lease_without_a_token_is_joined_after_its_prefix_was_invalidated:
        LeaseWithoutToken => OldElsewhere(Source::Flight);
    a_stale_value_shared_by_its_reader_is_too_old_for_those_who_joined:
        LeadersStaleShared => OldElsewhere(Source::Fallback);
    a_live_lease_is_taken_away_by_whoever_read_the_token_before_it:
        DeadByAnEarlierToken => TwoComputations;
    a_run_under_a_mark_hands_an_old_value_to_those_who_have_not_read_the_mark:
        JoinsUnderUnreadMark => OldElsewhere(Source::Flight);
    a_run_under_a_mark_that_is_gone_stores_an_old_value:
        MarkMayBeGone => OldInOwnProcess(Source::Redis);
    a_mark_without_a_token_is_joined_after_its_prefix_was_invalidated:
        MarkWithoutToken => OldElsewhere(Source::Flight);
}
