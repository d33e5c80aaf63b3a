//! The function under the attribute.

use expect_test::expect;

use super::check;

#[test]
fn functions_that_cannot_be_cached() {
    for (item, expected) in [
        (
            "pub struct S;",
            expect![[r#"
            `#[cache_result]` goes on an `async fn`
        "#]],
        ),
        (
            "unsafe impl Send for S {}",
            expect![[r#"
            `#[cache_result]` goes on an `async fn`
        "#]],
        ),
        (
            "const A: u8 = 1;",
            expect![[r#"
            `#[cache_result]` goes on an `async fn`
        "#]],
        ),
        (
            "fn f() -> u8 { 1 }",
            expect![[r#"
            `#[cache_result]` needs an `async fn`: a lookup in Redis is awaited
        "#]],
        ),
        (
            "async fn f();",
            expect![[r#"
            nothing to cache: put `#[cache_result]` on the implementation
        "#]],
        ),
        (
            "const unsafe extern \"C\" fn f(a: u8, ...) -> u8 { 1 }",
            expect![[r#"
                `#[cache_result]` cannot be used on a `const fn`
                `#[cache_result]` cannot be used on an `unsafe fn`
                `#[cache_result]` cannot be used on an `extern fn`
                `#[cache_result]` cannot be used on a variadic function
                `#[cache_result]` needs an `async fn`: a lookup in Redis is awaited
            "#]],
        ),
        (
            "async fn f(a: &mut u8, b: Option<&mut u8>, c: fn(&mut u8)) -> u8 { 1 }",
            expect![[r#"
                a hit skips the body, so what it would write through `&mut` is lost; return it instead
                a hit skips the body, so what it would write through `&mut` is lost; return it instead
            "#]],
        ),
        (
            "async fn f(pair!(a, b): (u8, u8)) -> u8 { 1 }",
            expect![[r#"
                the names that this pattern binds cannot be seen; give the argument a name
            "#]],
        ),
        (
            "async fn f(&mut self) -> u8 { 1 }",
            expect![[r#"
            a hit skips the body, so what it would write through `&mut` is lost; return it instead
            say whether `self` is part of the key: `skip(self)` if every instance returns the same, or `key = "..{self.id}"`
        "#]],
        ),
        (
            "async fn f() {}",
            expect![[r#"
            nothing to cache: this function returns `()`
        "#]],
        ),
        (
            "async fn f() -> () {}",
            expect![[r#"
            nothing to cache: this function returns `()`
        "#]],
        ),
        (
            "async fn f() -> ! { loop {} }",
            expect![[r#"
            nothing to cache: this function never returns
        "#]],
        ),
        (
            "#[cache_runtime::cache_result(tll = 1)] async fn f() -> u8 { 1 }",
            expect![[r#"
                this function already has a `#[cache_result]`; merge the two
            "#]],
        ),
    ] {
        check("", item, &expected);
    }
}

#[test]
fn types_that_cannot_be_stored() {
    for (output, expected) in [
        (
            "Result<&str, E>",
            expect![[r#"
            a cached value outlives the call and must be owned; return `String` instead
        "#]],
        ),
        (
            "Option<&[Area]>",
            expect![[r#"
            a cached value outlives the call and must be owned; return `Vec<Area>` instead
        "#]],
        ),
        (
            "(u8, &'static Path)",
            expect![[r#"
            a cached value outlives the call and must be owned; return `PathBuf` instead
        "#]],
        ),
        (
            "Cow<'_, str>",
            expect![[r#"
            a cached value outlives the call and must be owned; return a type without `'_` instead
        "#]],
        ),
        (
            "Result<u8, Foo<'a>>",
            expect![[r#"
            a cached value outlives the call and must be owned; return a type without `'a` instead
        "#]],
        ),
        (
            "impl Iterator<Item = u8>",
            expect![[r#"
            name the type: a value read back from Redis has to be built without the function; of a response, cache the function that returns its data
        "#]],
        ),
        (
            "Result<Vec<impl Display>, E>",
            expect![[r#"
            name the type: a value read back from Redis has to be built without the function; of a response, cache the function that returns its data
        "#]],
        ),
        ("Result<Cow<'static, str>, &'static str>", expect![[""]]),
        ("Result<u8, Box<dyn for<'a> Fn(&'a str) + 'static>>", expect![[""]]),
    ] {
        check("", &format!("async fn f() -> {output} {{ todo() }}"), &expected);
    }
}
