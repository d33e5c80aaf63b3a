//! What becomes of the lease, and who may join because of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use flights::{End, Follower, Leader, Party, Server, World, check, pause};

const SERVERS: [Server; 4] =
    [Server::Grants, Server::GrantsUnheard, Server::Refuses, Server::IsAway];

fn count(ends: &[End], wanted: End) -> usize {
    ends.iter().filter(|end| **end == wanted).count()
}

#[test]
fn every_answer_reaches_all_who_wait_for_it() {
    for server in SERVERS {
        check(move || {
            let world = World::new();
            let mut leader = world.lead();
            let (first, second) = (world.follow(), world.follow());
            leader.ask(server);
            world.spawn(|| leader.goes_on());
            world.spawn(|| first.waits());
            world.spawn(|| second.waits());
            let ends = world.close();
            let refused = server == Server::Refuses;
            assert_eq!(count(&ends, End::Again), if refused { 3 } else { 0 });
            assert_eq!(count(&ends, End::Shared), if refused { 0 } else { 2 });
            assert_eq!(count(&ends, End::Populated), usize::from(server == Server::Grants));
        });
    }
}

#[test]
fn an_answer_that_comes_while_the_leader_leaves_reaches_the_heir() {
    for server in SERVERS {
        check(move || {
            let world = World::new();
            let mut leader = world.lead();
            let follower = world.follow();
            leader.ask(server);
            world.spawn(|| leader.leaves());
            world.spawn(|| follower.waits());
            let ends = world.close();
            let wanted = match server {
                Server::Grants | Server::Decides => End::Populated,
                Server::Refuses => End::Again,
                Server::GrantsUnheard | Server::IsAway => End::Ran,
            };
            assert_eq!(count(&ends, wanted), 1);
        });
    }
}

#[test]
fn a_leader_that_does_not_wait_for_the_answer_shares_and_keeps_no_lease() {
    for server in SERVERS {
        check(move || {
            let world = World::new();
            let mut leader = world.lead();
            let follower = world.follow();
            leader.ask(server);
            world.spawn(|| leader.is_impatient());
            world.spawn(|| follower.waits());
            let reading = world.clone();
            world.spawn(move || {
                let readers = reading.read();
                readers.into_iter().map(Follower::waits).next().unwrap_or(End::Gone)
            });
            world.close();
        });
    }
}

#[test]
fn a_flight_is_found_by_its_lease_from_the_grant_to_the_landing() {
    check(|| {
        let world = World::new();
        let mut leader = world.lead();
        leader.ask(Server::Grants);
        world.spawn(|| leader.goes_on());
        for _ in 0..2 {
            let reading = world.clone();
            world.spawn(move || {
                for _ in 0..4 {
                    if let Some(reader) = reading.read_all().pop() {
                        return reader.waits();
                    }
                    pause();
                }
                End::Gone
            });
        }
        let ends = world.close();
        assert_eq!(count(&ends, End::Alone) + count(&ends, End::Again), 0);
    });
}

#[test]
fn who_enters_while_the_function_begins_joins_in_time_or_leads() {
    check(|| {
        let world = World::new();
        for _ in 0..3 {
            let entering = world.clone();
            world.spawn(move || match entering.enter() {
                Party::Leader(mut leader) => {
                    leader.ask(Server::Grants);
                    leader.goes_on()
                }
                Party::Follower(follower) => follower.waits(),
            });
        }
        let ends = world.close();
        assert_eq!(count(&ends, End::Populated) + count(&ends, End::Shared), 3);
    });
}

#[test]
fn of_all_who_enter_at_once_one_leads() {
    for enter in [World::enter, World::enter_plain] {
        check(move || {
            let world = World::new();
            let entered = Arc::new(AtomicUsize::new(0));
            for _ in 0..3 {
                let (entering, entered) = (world.clone(), entered.clone());
                world.spawn(move || {
                    let party = enter(&entering);
                    entered.fetch_add(1, Ordering::Relaxed);
                    match party {
                        Party::Leader(mut leader) => {
                            while entered.load(Ordering::Relaxed) < 3 {
                                pause();
                            }
                            leader.ask(Server::IsAway);
                            leader.goes_on()
                        }
                        Party::Follower(follower) => follower.waits(),
                    }
                });
            }
            let ends = world.close();
            assert_eq!((count(&ends, End::Ran), count(&ends, End::Shared)), (1, 2));
        });
    }
}

#[test]
fn without_a_store_calls_share_what_is_going_on() {
    for fate in [Leader::goes_on, Leader::leaves_at_work, Leader::panics_at_work] {
        check(move || {
            let world = World::new();
            for _ in 0..3 {
                let entering = world.clone();
                world.spawn(move || match entering.enter_plain() {
                    Party::Leader(leader) => fate(leader),
                    Party::Follower(follower) => follower.waits_or(fate),
                });
            }
            let ends = world.close();
            assert_eq!(count(&ends, End::Populated) + count(&ends, End::Again), 0);
        });
    }
}

#[test]
fn a_refresh_leads_only_where_nothing_is_going_on() {
    check(|| {
        let world = World::new();
        for _ in 0..2 {
            let entering = world.clone();
            world.spawn(move || {
                let Some(mut leader) = entering.lead_if_idle() else { return End::Gone };
                assert_eq!(leader.led(), 1);
                leader.ask(Server::Grants);
                leader.goes_on()
            });
        }
        let entering = world.clone();
        world.spawn(move || match entering.enter() {
            Party::Leader(mut leader) => {
                leader.ask(Server::Refuses);
                leader.goes_on()
            }
            Party::Follower(follower) => follower.waits(),
        });
        world.close();
    });
}

#[test]
fn leases_that_are_forsaken_are_given_up_and_the_runs_are_shared_all_the_same() {
    for server in [Server::Grants, Server::GrantsUnheard, Server::IsAway] {
        check(move || {
            let world = World::new();
            let mut leader = world.lead();
            let follower = world.follow();
            leader.ask(server);
            world.spawn(|| leader.goes_on());
            world.spawn(|| follower.waits());
            let forsaking = world.clone();
            world.spawn(move || forsaking.forsakes());
            let ends = world.close();
            assert!(ends.contains(&End::Shared), "{ends:?}");
        });
    }
}
