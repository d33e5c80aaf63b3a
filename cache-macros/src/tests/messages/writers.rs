//! Functions under `#[cache_invalidate]`.

use expect_test::{Expect, expect};

use crate::pipeline::cache_invalidate;
use crate::tests::{messages_in, tokens};

pub(super) fn check(attr: &str, item: &str, expected: &Expect) {
    expected.assert_eq(&messages_in(cache_invalidate(tokens(attr), tokens(item))));
}

#[test]
fn functions_that_cannot_write() {
    for (attr, item, expected) in [
        (
            r#"areas(1)"#,
            r#"pub struct S;"#,
            expect![[r#"
            `#[cache_invalidate]` goes on an `async fn`
        "#]],
        ),
        (
            r#"areas(1)"#,
            r#"fn f() -> u8 { 1 }"#,
            expect![[r#"
            `#[cache_invalidate]` needs an `async fn`: an invalidation in Redis is awaited
        "#]],
        ),
        (
            r#"areas(1)"#,
            r#"async fn f();"#,
            expect![[r#"
            nothing is written here: put `#[cache_invalidate]` on the implementation
        "#]],
        ),
        (
            r#"areas(1)"#,
            r#"const unsafe extern "C" fn f(a: u8, ...) {}"#,
            expect![[r#"
            `#[cache_invalidate]` cannot be used on a `const fn`
            `#[cache_invalidate]` cannot be used on an `unsafe fn`
            `#[cache_invalidate]` cannot be used on an `extern fn`
            `#[cache_invalidate]` cannot be used on a variadic function
            `#[cache_invalidate]` needs an `async fn`: an invalidation in Redis is awaited
        "#]],
        ),
        (
            r#"areas(1)"#,
            r#"async fn f() -> impl Future { g() }"#,
            expect![[r#"
            name the type: what is returned says whether the function has succeeded
        "#]],
        ),
        (
            r#"areas(1)"#,
            r#"async fn f() -> Result<impl Sized, E> { g() }"#,
            expect![[r#"
            name the type: what is returned says whether the function has succeeded
        "#]],
        ),
        (
            r#"areas(1)"#,
            r#"async fn f() -> ! { loop {} }"#,
            expect![[r#"
            this function never returns, and would invalidate only when dropped
        "#]],
        ),
        (
            r#"areas(1)"#,
            r#"#[cache_invalidate()] async fn f() {}"#,
            expect![[r#"
            this function already has a `#[cache_invalidate]`; merge the two
        "#]],
        ),
        (
            r#"areas(1)"#,
            r#"#[cache_runtime::cache_result(tll = 3)] async fn f() -> u8 { 1 }"#,
            expect![[r#"
                a hit of `#[cache_result]` skips the body, and would invalidate nothing; split the function in two
            "#]],
        ),
        (
            r#"areas(1)"#,
            r#"async fn f<'a>(pair!(a): &mut u8, b: &'a str) -> Result<&'a str, Box<dyn Error + '_>> { Ok(b) }"#,
            expect![[""]],
        ),
        (r#"areas(1)"#, r#"async fn f(&mut self) {}"#, expect![[""]]),
    ] {
        check(attr, item, &expected);
    }
}
