//! Planted violations, and what is none.

use std::collections::HashMap;
use std::time::Duration;

use support::{Bound, Function, Invalidation, Made, Operation, Read, Unit, Value};

use super::{Event, HEARD, LOCAL_HIT, Verdict, check};

const WRITER: u32 = 1;
const READER: u32 = 2;
const PLAIN: Unit = Unit::new(Function::Plain, 3);
const NESTED: Unit = Unit::new(Function::Nested, 3);

/// Version 7 was committed, and everything of the item is invalidated from 100 to 200.
fn invalidation(bound: Bound) -> Event {
    let units = vec![(PLAIN, 7), (NESTED, 7)];
    let names = "Several 3".to_owned();
    let operation = Invalidation { begin: 100, end: 200, bound, names, units };
    Event { process: WRITER, operation: Operation::Invalidation(operation) }
}

/// A call from 201 to 300 that returns a new value.
fn read() -> Read {
    let value = Value { item: 3, version: 7, began: 150, process: READER, made: Made::Of };
    Read { unit: PLAIN, begin: 201, end: 300, outcome: "hit".to_owned(), value: Ok(value) }
}

fn old() -> Read {
    changed(|value| (value.version, value.began) = (6, 90))
}

fn changed(change: impl FnOnce(&mut Value)) -> Read {
    let mut read = read();
    change(read.value.as_mut().expect("a value"));
    read
}

fn verdict(bound: Bound, process: u32, read: Read) -> Verdict {
    let read = Event { process, operation: Operation::Read(read) };
    // In whatever order they were recorded.
    check(vec![read, invalidation(bound)], &HashMap::new(), Duration::from_secs(1))
}

fn violations(read: Read) -> usize {
    verdict(Bound::All, READER, read).violations.len()
}

#[test]
fn a_new_value_is_none() {
    assert_eq!(violations(read()), 0);
}

#[test]
fn an_old_version_is_found_wherever_it_comes_from() {
    for outcome in ["hit", "stale", "joined", "waited", "computed", "bypassed (wait-over)"] {
        let old = changed(|value| value.version = 6);
        assert_eq!(violations(Read { outcome: outcome.to_owned(), ..old }), 1, "{outcome}");
    }
}

#[test]
fn an_old_run_is_found_although_nothing_was_written_meanwhile() {
    assert_eq!(violations(changed(|value| value.began = 99)), 1);
}

#[test]
fn a_call_that_began_before_the_invalidation_had_returned_may_be_old() {
    assert_eq!(violations(Read { begin: 200, ..old() }), 0);
}

#[test]
fn an_entry_that_was_not_named_may_be_old() {
    let mut other = old();
    other.unit = Unit::new(Function::Stale, 3);
    assert_eq!(violations(other), 0);
}

#[test]
fn a_failed_invalidation_binds_its_own_process() {
    assert_eq!(verdict(Bound::Own, WRITER, old()).violations.len(), 1);
    assert_eq!(verdict(Bound::Own, READER, old()).violations.len(), 0);
}

#[test]
fn the_last_of_several_invalidations_is_not_all_that_is_owed() {
    let lesser = Invalidation {
        begin: 101,
        end: 199,
        bound: Bound::All,
        names: "OuterPrefix 3".to_owned(),
        units: vec![(PLAIN, 0)],
    };
    let lesser = Event { process: WRITER, operation: Operation::Invalidation(lesser) };
    let read = Event { process: READER, operation: Operation::Read(old()) };
    let history = vec![invalidation(Bound::All), lesser, read];
    let verdict = check(history, &HashMap::new(), Duration::from_secs(1));
    assert_eq!(verdict.violations.len(), 1);
    assert_eq!(verdict.violations[0].0, 3, "after as many operations");
}

#[test]
fn a_call_without_a_store_may_share_what_goes_on_in_its_process_and_no_more() {
    let shared = Read { outcome: "bypassed (unavailable)".to_owned(), ..old() };
    let there = verdict(Bound::All, READER, shared.clone());
    assert_eq!((there.violations.len(), there.excepted, there.excepted_old), (0, 1, 1));
    let elsewhere = verdict(Bound::All, WRITER, shared);
    assert_eq!(elsewhere.violations.len(), 1, "it can only be from the store");
}

#[test]
fn what_was_made_of_a_shared_value_is_excepted_unless_it_could_be_stored() {
    let read = changed(|value| (value.version, value.made) = (6, Made::WithoutStore));
    let read = Read { unit: NESTED, ..read };
    assert_eq!(violations(Read { outcome: "bypassed (wait-over)".to_owned(), ..read.clone() }), 0);
    assert_eq!(violations(read), 1);
}

#[test]
fn what_is_stored_is_not_made_of_a_stale_value() {
    let read = Read { unit: NESTED, ..changed(|value| value.made = Made::OfStale) };
    assert_eq!(violations(Read { outcome: "bypassed (timeout)".to_owned(), ..read.clone() }), 0);
    assert_eq!(violations(read), 1);
}

/// A call that is answered by a copy, so long after the invalidation has returned.
fn copy(after: Duration, read: Read) -> Read {
    let begin = 200 + after.as_nanos() as u64;
    Read { begin, end: begin + 1, outcome: LOCAL_HIT.to_owned(), ..read }
}

const LATER: Duration = HEARD.saturating_add(Duration::from_nanos(1));

#[test]
fn a_copy_may_be_old_until_its_process_must_have_heard() {
    let there = |after| verdict(Bound::All, READER, copy(after, old()));
    let heard = there(HEARD);
    assert_eq!((heard.violations.len(), heard.copies_old, heard.oldest_copy), (0, 1, HEARD));
    assert_eq!(there(LATER).violations.len(), 1);
    assert_eq!(violations(copy(LATER, read())), 0);
}

#[test]
fn a_copy_is_not_old_in_the_process_that_invalidated() {
    for bound in [Bound::All, Bound::Own] {
        let there = |read| verdict(bound, WRITER, copy(Duration::from_nanos(1), read));
        assert_eq!(there(old()).violations.len(), 1, "{bound:?}");
        assert_eq!(there(read()).violations.len(), 0, "{bound:?}");
    }
}

#[test]
fn what_came_from_the_store_is_not_as_old_as_a_copy_may_be() {
    for outcome in ["hit", "stale", "stale-if-error", "waited", "computed", "joined"] {
        let stored = Read { outcome: outcome.to_owned(), ..copy(Duration::from_nanos(1), old()) };
        assert_eq!(violations(stored), 1, "{outcome}");
    }
}

#[test]
fn what_is_stored_is_not_made_of_a_copy() {
    let made = |after: Duration, outcome: &str| {
        let read = changed(|value| {
            (value.version, value.began, value.made) =
                (6, 200 + after.as_nanos() as u64, Made::OfCopy);
        });
        Read { unit: NESTED, outcome: outcome.to_owned(), ..copy(after, read) }
    };
    for outcome in ["hit", "computed", LOCAL_HIT] {
        assert_eq!(violations(made(HEARD, outcome)), 1, "{outcome}");
    }
    assert_eq!(violations(made(HEARD, "bypassed (wait-over)")), 0);
    assert_eq!(violations(made(LATER, "bypassed (wait-over)")), 1);
}

#[test]
fn another_items_value_and_an_error_are_found() {
    assert_eq!(violations(changed(|value| value.item = 4)), 1);
    assert_eq!(violations(Read { value: Err("none".to_owned()), ..read() }), 1);
}

#[test]
fn a_call_that_takes_too_long_is_found_unless_its_process_was_frozen() {
    let long = Read { end: 2_000_000_300, ..read() };
    assert_eq!(violations(long.clone()), 1);
    let frozen = HashMap::from([(READER, vec![(0, 1_500_000_000)])]);
    let history = vec![Event { process: READER, operation: Operation::Read(long) }];
    assert_eq!(check(history, &frozen, Duration::from_secs(1)).violations.len(), 0);
}
