//! Messages about misuse.

mod borrows;
mod functions;
mod keys;
mod local;
mod options;
mod stale;
mod tags;
mod targets;
mod writers;

use expect_test::Expect;

use super::messages;

fn check(attr: &str, item: &str, expected: &Expect) {
    expected.assert_eq(&messages(attr, item));
}
