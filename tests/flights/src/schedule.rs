//! How many schedules are tried, and by whom.

use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler, UrwRandomScheduler};
use shuttle::{Config, Runner};

/// Schedules that each scheduler tries of each scenario; twenty times as many with `CI_LONG=1`.
const SCHEDULES: usize = 1200;
/// The longest chain of events that the prioritizing scheduler puts in a chosen order.
const DEPTH: usize = 4;

/// Tries the scenario under many schedules: random ones, those of few preemptions, and those in
/// which every order of the tasks is about as likely.
///
/// # Panics
///
/// Where one of them fails; the message has what `shuttle::replay` needs to repeat it.
pub fn check(scenario: impl Fn() + Send + Sync + Clone + 'static) {
    check_longer(1, scenario);
}

/// As [`check`], with so many times as many schedules, for scenarios that choose at random.
///
/// # Panics
///
/// As [`check`].
pub fn check_longer(times: usize, scenario: impl Fn() + Send + Sync + Clone + 'static) {
    let long = std::env::var_os("CI_LONG").is_some_and(|long| long == "1");
    let schedules = times * if long { 20 * SCHEDULES } else { SCHEDULES };
    run(RandomScheduler::new(schedules), scenario.clone());
    run(PctScheduler::new(DEPTH, schedules), scenario.clone());
    run(UrwRandomScheduler::new(schedules), scenario);
}

fn run(scheduler: impl Scheduler + 'static, scenario: impl Fn() + Send + Sync + 'static) {
    let mut config = Config::new();
    config.stack_size = 64 << 10;
    config.silence_warnings = true;
    Runner::new(scheduler, config).run(scenario);
}

/// Lets others go on.
pub fn pause() {
    shuttle::thread::yield_now();
}
