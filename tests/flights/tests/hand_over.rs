//! The leader's place, when it falls free.

use flights::{End, Follower, Leader, Server, World, check};

const LEAVE: [fn(Leader) -> End; 4] =
    [Leader::leaves, Leader::leaves_at_work, Leader::panics, Leader::panics_at_work];

fn count(ends: &[End], wanted: End) -> usize {
    ends.iter().filter(|end| **end == wanted).count()
}

#[test]
fn a_leader_that_goes_on_shares_with_all() {
    check(|| {
        let world = World::new();
        let mut leader = world.lead();
        let (first, second) = (world.follow(), world.follow());
        leader.ask(Server::Grants);
        world.spawn(|| first.waits());
        world.spawn(|| second.waits());
        world.spawn(|| leader.goes_on());
        let ends = world.close();
        assert_eq!(count(&ends, End::Populated), 1);
        assert_eq!(count(&ends, End::Shared), 2);
    });
}

#[test]
fn a_leader_that_is_dropped_or_panics_always_hands_over() {
    for leave in LEAVE {
        check(move || {
            let world = World::new();
            let mut leader = world.lead();
            let (first, second) = (world.follow(), world.follow());
            leader.ask(Server::Grants);
            world.spawn(move || leave(leader));
            world.spawn(|| first.waits());
            world.spawn(|| second.waits());
            let ends = world.close();
            assert_eq!(count(&ends, End::Populated), 1, "one follows, under the same lease");
            assert_eq!(count(&ends, End::Shared), 1);
        });
    }
}

#[test]
fn an_heir_that_is_dropped_or_panics_hands_over_too() {
    for leave in LEAVE {
        check(move || {
            let world = World::new();
            let mut leader = world.lead();
            let (first, second) = (world.follow(), world.follow());
            leader.ask(Server::Grants);
            world.spawn(move || leave(leader));
            world.spawn(move || first.waits_or(leave));
            world.spawn(|| second.waits());
            let ends = world.close();
            assert_eq!(count(&ends, End::Populated), 1);
            assert_eq!(count(&ends, End::Gone) + count(&ends, End::Shared), 2);
        });
    }
}

#[test]
fn a_follower_that_leaves_while_it_is_woken_keeps_nobody_waiting() {
    for leave in [Follower::leaves, Follower::looks_and_leaves] {
        check(move || {
            let world = World::new();
            let mut leader = world.lead();
            let (first, second) = (world.follow(), world.follow());
            leader.ask(Server::Grants);
            world.spawn(|| leader.leaves());
            world.spawn(move || leave(first));
            world.spawn(|| second.waits());
            let ends = world.close();
            assert_eq!(count(&ends, End::Populated), 1);
        });
    }
}

#[test]
fn a_lease_that_everybody_leaves_is_given_up_once() {
    for leave in LEAVE {
        check(move || {
            let world = World::new();
            let mut leader = world.lead();
            let (first, second) = (world.follow(), world.follow());
            leader.ask(Server::Grants);
            world.spawn(move || leave(leader));
            world.spawn(|| first.leaves());
            world.spawn(|| second.looks_and_leaves());
            assert_eq!(count(&world.close(), End::Gone), 3);
        });
    }
}

#[test]
fn a_reader_that_joins_a_flight_while_it_is_left_is_served_or_reads_again() {
    for server in [Server::Grants, Server::GrantsUnheard, Server::IsAway] {
        check(move || {
            let world = World::new();
            let mut leader = world.lead();
            leader.ask(server);
            world.spawn(|| leader.leaves());
            for _ in 0..2 {
                let reading = world.clone();
                world.spawn(move || {
                    let readers = reading.read();
                    readers.into_iter().map(Follower::waits).next().unwrap_or(End::Gone)
                });
            }
            world.close();
        });
    }
}

#[test]
fn the_last_panic_of_three_sends_all_followers_off_and_gives_the_lease_up() {
    for panic in [Leader::panics, Leader::panics_at_work] {
        for server in [Server::Grants, Server::IsAway] {
            check(move || {
                let world = World::new();
                let mut leader = world.lead();
                let followers = [(); 3].map(|()| world.follow());
                leader.ask(server);
                world.spawn(move || panic(leader));
                for follower in followers {
                    world.spawn(move || follower.waits_or(panic));
                }
                let ends = world.close();
                assert_eq!((count(&ends, End::Gone), count(&ends, End::Alone)), (3, 1));
            });
        }
    }
}

#[test]
fn a_waker_may_enter_the_flights_when_it_is_woken_or_dropped() {
    for fate in [Leader::goes_on, Leader::leaves, Leader::leaves_at_work, Leader::panics] {
        check(move || {
            let world = World::new();
            let mut leader = world.lead();
            let (first, second) = (world.follow(), world.follow());
            leader.ask(Server::Grants);
            world.spawn(move || fate(leader));
            world.spawn(|| first.looks_with_nosy_wakers());
            world.spawn(|| second.looks_with_a_nosy_waker_and_leaves());
            world.close();
        });
    }
}
