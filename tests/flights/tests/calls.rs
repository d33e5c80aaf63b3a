//! Whole calls, and a server that has one key.

use flights::{End, Leader, World, check};

#[test]
fn calls_that_overlap_share_one_run() {
    check(|| {
        let world = World::new();
        for _ in 0..3 {
            let calling = world.clone();
            world.spawn(move || calling.call(Leader::goes_on));
        }
        let ends = world.close();
        assert_eq!(world.runs(), 1);
        let others = ends.iter().filter(|end| matches!(end, End::Shared | End::Hit)).count();
        assert_eq!(others, 2);
    });
}

#[test]
fn a_call_that_is_dropped_or_panics_costs_the_others_no_more_than_one_run_of_the_function() {
    for fate in [Leader::leaves, Leader::leaves_at_work, Leader::panics, Leader::panics_at_work] {
        check(move || {
            let world = World::new();
            let ended = world.clone();
            world.spawn(move || ended.call(fate));
            for _ in 0..2 {
                let calling = world.clone();
                world.spawn(move || calling.call(Leader::goes_on));
            }
            let ends = world.close();
            assert_eq!(ends.iter().filter(|end| **end == End::Populated).count(), 1);
            assert!(world.runs() <= 2);
            assert_eq!(world.call(Leader::goes_on), End::Hit);
        });
    }
}
