//! What misuse is told.

mod functions;
mod keys;
mod options;

use expect_test::Expect;

use super::messages;

fn check(attr: &str, item: &str, expected: &Expect) {
    expected.assert_eq(&messages(attr, item));
}
