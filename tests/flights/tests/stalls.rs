//! A leader that was woken and is not polled.

use flights::{End, Leader, Server, World, check, pause};

fn count(ends: &[End], wanted: End) -> usize {
    ends.iter().filter(|end| **end == wanted).count()
}

/// Comes back when it has been overtaken.
fn sleeps(mut leader: Leader) -> End {
    while leader.led() == 1 {
        pause();
    }
    leader.is_woken();
    leader.goes_on()
}

/// Leads after one that was overtaken or has left.
fn leads_next(leader: Leader) -> End {
    assert_eq!(leader.led(), 2, "one is enough");
    leader.goes_on()
}

/// Comes back when it likes.
fn dozes(leader: Leader) -> End {
    pause();
    leader.goes_on()
}

#[test]
fn a_leader_that_is_woken_and_never_polled_is_overtaken_by_one() {
    check(|| {
        let world = World::new();
        let mut leader = world.lead();
        let (first, second) = (world.follow(), world.follow());
        leader.ask(Server::Grants);
        leader.is_woken();
        world.time_passes();
        world.spawn(|| sleeps(leader));
        world.spawn(|| first.waits_or(leads_next));
        world.spawn(|| second.waits_or(leads_next));
        let ends = world.close();
        assert_eq!(count(&ends, End::Populated), 1, "the first to finish ends the flight");
        assert_eq!(count(&ends, End::Shared) + count(&ends, End::Ran), 2);
    });
}

#[test]
fn the_first_to_finish_ends_the_flight_whoever_it_is() {
    for server in [Server::Grants, Server::Refuses, Server::IsAway] {
        for comes_back in [dozes, Leader::is_impatient, Leader::goes_on_alone] {
            check(move || {
                let world = World::new();
                let mut leader = world.lead();
                let (first, second) = (world.follow(), world.follow());
                leader.ask(server);
                leader.is_woken();
                world.spawn(move || comes_back(leader));
                world.spawn(|| first.looks_again(Leader::goes_on));
                world.spawn(|| second.looks_again(Leader::goes_on));
                let ends = world.close();
                assert!(count(&ends, End::Populated) <= usize::from(server == Server::Grants));
            });
        }
    }
}

#[test]
fn a_leader_that_is_polled_is_not_overtaken_however_long_it_takes() {
    check(|| {
        let world = World::new();
        let mut leader = world.lead();
        let (first, second) = (world.follow(), world.follow());
        leader.ask(Server::Grants);
        leader.is_woken();
        leader.is_polled();
        world.time_passes();
        world.spawn(|| leader.goes_on());
        world.spawn(|| first.waits());
        world.spawn(|| second.waits());
        assert_eq!(count(&world.close(), End::Shared), 2);
    });
}

#[test]
fn an_overtaken_leader_that_is_dropped_or_panics_disturbs_nobody() {
    for goes in [Leader::leaves, Leader::panics] {
        check(move || {
            let world = World::new();
            let mut leader = world.lead();
            let (first, second) = (world.follow(), world.follow());
            leader.ask(Server::Grants);
            leader.is_woken();
            world.time_passes();
            world.spawn(move || {
                while leader.led() == 1 {
                    pause();
                }
                goes(leader)
            });
            world.spawn(|| first.waits_or(leads_next));
            world.spawn(|| second.waits_or(leads_next));
            let ends = world.close();
            assert_eq!(count(&ends, End::Populated), 1);
            assert_eq!(count(&ends, End::Shared), 1);
        });
    }
}

#[test]
fn a_leader_that_is_overtaken_while_it_goes_is_followed_all_the_same() {
    for goes in [Leader::leaves, Leader::panics] {
        check(move || {
            let world = World::new();
            let mut leader = world.lead();
            let (first, second) = (world.follow(), world.follow());
            leader.ask(Server::Grants);
            leader.is_woken();
            world.spawn(move || {
                pause();
                goes(leader)
            });
            world.spawn(|| first.looks_again(Leader::goes_on));
            world.spawn(|| second.waits());
            let ends = world.close();
            assert_eq!(count(&ends, End::Alone), 0);
            assert!(count(&ends, End::Populated) > 0);
        });
    }
}

#[test]
fn an_heir_that_leaves_is_followed_even_while_the_overtaken_leader_is_still_there() {
    for goes in [Leader::leaves, Leader::panics] {
        check(move || {
            let world = World::new();
            let mut leader = world.lead();
            let (first, second) = (world.follow(), world.follow());
            leader.ask(Server::Grants);
            leader.is_woken();
            world.spawn(|| sleeps(leader));
            world.spawn(move || first.looks_again(goes));
            world.spawn(|| second.waits());
            world.close();
        });
    }
}
