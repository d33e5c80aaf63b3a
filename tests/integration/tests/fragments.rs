//! Functions that a `macro_rules!` puts together from fragments, which arrive in invisible brackets.

#[test]
fn a_body_that_is_a_fragment_of_a_macro_is_a_body() {
    trybuild::TestCases::new().pass("tests/fragments/*.rs");
}
