//! What a run has shown.

use std::time::Duration;

use crate::check::Verdict;
use crate::faults::Faults;
use crate::seats::Copies;

/// Calls without a store, in parts of a hundred, past which a run shows too little.
const MOST_EXCEPTED: usize = 50;

/// Those that got an older value so.
const MOST_OLD: usize = 2;

/// Calls that copies answer, below which a run with copies shows too little.
const LEAST_COPIED: usize = 5;

pub(crate) fn print(verdict: &Verdict, faults: &Faults, took: Duration) {
    let operations = verdict.reads + verdict.invalidations;
    let rate = operations as f64 / took.as_secs_f64();
    println!("{operations} operations in {took:.1?}, {rate:.0} a second");
    println!("{} reads, {} invalidations", verdict.reads, verdict.invalidations);
    println!("outcomes: {:?}", verdict.outcomes);
    println!("without a store: {}, of them old: {}", verdict.excepted, verdict.excepted_old);
    let (copied, old) = (verdict.local_hits(), verdict.copies_old);
    println!("by copies: {copied}, of them old: {old}, by {:.1?} at most", verdict.oldest_copy);
    println!("faults: {faults}");
}

pub(crate) fn assert_kept(verdict: &Verdict, copies: Copies) {
    for (number, violation) in verdict.violations.iter().take(5) {
        println!("after {number} operations: {violation}");
    }
    let count = verdict.violations.len();
    let first = verdict.violations.first().map_or(0, |(number, _)| *number);
    assert_eq!(count, 0, "{count} violations, the first after {first} operations");
    assert!(verdict.reads > 1000, "only {} reads", verdict.reads);
    let share = |part: usize| part * 100 / verdict.reads;
    let least = if copies == Copies::Yes { LEAST_COPIED } else { 0 };
    assert!(share(verdict.local_hits()) >= least, "{} by copies", verdict.local_hits());
    assert!(share(verdict.excepted) < MOST_EXCEPTED, "{} without a store", verdict.excepted);
    assert!(share(verdict.excepted_old) < MOST_OLD, "{} old", verdict.excepted_old);
}
