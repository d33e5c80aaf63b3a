//! What the compiler says to whoever misuses the attribute.

#[test]
fn every_misuse_is_told_at_its_token_with_what_to_write_instead() {
    trybuild::TestCases::new().compile_fail("ui/*/*.rs");
}
