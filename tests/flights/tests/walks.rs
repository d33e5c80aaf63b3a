//! Parties that do anything, in any order.

use flights::{End, Follower, Leader, Party, Server, World, check_longer, pause};
use shuttle::rand::{Rng, thread_rng};

fn below(limit: u32) -> u32 {
    thread_rng().gen_range(0..limit)
}

fn server() -> Server {
    match below(6) {
        0 => Server::Refuses,
        1 => Server::IsAway,
        2 => Server::GrantsUnheard,
        _ => Server::Grants,
    }
}

fn lead(mut leader: Leader) -> End {
    match below(9) {
        0 => leader.leaves(),
        1 => leader.leaves_at_work(),
        2 => leader.panics(),
        3 => leader.panics_at_work(),
        4 => leader.is_impatient(),
        5 => leader.goes_on_alone(),
        6 => {
            leader.is_woken();
            pause();
            lead(leader)
        }
        _ => leader.goes_on(),
    }
}

fn ask_and_lead(mut leader: Leader) -> End {
    leader.ask(server());
    lead(leader)
}

fn follow(follower: Follower) -> End {
    match below(6) {
        0 => follower.leaves(),
        1 => follower.looks_and_leaves(),
        2 => follower.looks_again(lead),
        _ => follower.waits_or(lead),
    }
}

fn call(world: &World) -> End {
    match below(9) {
        8 => world.forsakes(),
        0 => match world.enter_plain() {
            Party::Leader(leader) => lead(leader),
            Party::Follower(follower) => follow(follower),
        },
        1 => world.lead_if_idle().map_or(End::Gone, ask_and_lead),
        2 | 3 => {
            let readers = world.read().into_iter();
            readers.map(follow).last().unwrap_or(End::Gone)
        }
        _ => match world.enter() {
            Party::Leader(leader) => ask_and_lead(leader),
            Party::Follower(follower) => follow(follower),
        },
    }
}

#[test]
fn whatever_happens_every_lease_is_settled_once_and_nobody_is_left() {
    for calls in [1, 2, 3] {
        check_longer(10, move || {
            let world = World::new();
            for _ in 0..3 {
                let calling = world.clone();
                world.spawn(move || {
                    for _ in 1..calls {
                        call(&calling);
                    }
                    call(&calling)
                });
            }
            world.close();
        });
    }
}
