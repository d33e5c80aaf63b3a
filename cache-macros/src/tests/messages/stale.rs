//! Stale windows, refreshes, leases and waits.

use expect_test::expect;

use super::check;

#[test]
fn times_that_are_not_written_out_or_not_positive() {
    for (attr, expected) in [
        (
            r#"lease = 0"#,
            expect![[r#"
            `lease` must be greater than zero; it keeps an older run from overwriting a newer one, and cannot be switched off: write a time such as `lease = "2s"`
        "#]],
        ),
        (
            r#"lease = "0s""#,
            expect![[r#"
            `lease` must be greater than zero; it keeps an older run from overwriting a newer one, and cannot be switched off: write a time such as `lease = "2s"`
        "#]],
        ),
        (
            r#"lease = -1"#,
            expect![[r#"
            `lease` must be greater than zero; it keeps an older run from overwriting a newer one, and cannot be switched off: write a time such as `lease = "2s"`
        "#]],
        ),
        (
            r#"lease = LEASE"#,
            expect![[r#"
                `lease` takes a time that is written out, as in `lease = "2s"`: it is the same for all calls
            "#]],
        ),
        (
            r#"lease = |v| v"#,
            expect![[r#"
                `lease` takes a time that is written out, as in `lease = "2s"`: it is the same for all calls
            "#]],
        ),
        (
            r#"lease = 1.5"#,
            expect![[r#"
            `lease` is in whole seconds; shorter ones are text: `"1500ms"`
        "#]],
        ),
        (r#"wait = 0"#, expect![[""]]),
        (r#"wait = "0s""#, expect![[""]]),
        (
            r#"wait = -5"#,
            expect![[r#"
                `wait` cannot be negative; write `wait = 0` not to wait at all
            "#]],
        ),
        (
            r#"wait = Duration::ZERO"#,
            expect![[r#"
                `wait` takes a time that is written out, as in `wait = "5s"`: it is the same for all calls
            "#]],
        ),
        (
            r#"stale_while_revalidate = 0, stale_if_error = "0ms""#,
            expect![[r#"
            `stale_while_revalidate` must be greater than zero; never to serve a stale value, leave it out
            `stale_if_error` must be greater than zero; never to serve a stale value, leave it out
        "#]],
        ),
        (
            r#"stale_while_revalidate = "1w""#,
            expect![[r#"
            unknown unit `w` in duration; expected one of `ms`, `s`, `m`, `h`, `d`
        "#]],
        ),
        (
            r#"stale_if_error = 18446744073709551615"#,
            expect![[r#"
            `stale_if_error` is too large; it is in seconds
        "#]],
        ),
        (
            r#"stale_if_error(600), wait"#,
            expect![[r#"
            write `stale_if_error = 600`
            `wait` needs a value, as in `wait = "5s"`
        "#]],
        ),
    ] {
        check(attr, r#"async fn f(id: u8, name: String) -> Result<u8, E> { Ok(id) }"#, &expected);
    }
}

#[test]
fn windows_without_effect() {
    for (attr, expected) in [
        (
            r#"stale_while_revalidate = 60, stale_if_error = 60"#,
            expect![[r#"
            `stale_if_error = 60` has no effect within `stale_while_revalidate = 60`, where a failing refresh is never seen; make it longer, or leave it out
        "#]],
        ),
        (
            r#"stale_while_revalidate = "10m", stale_if_error = 60"#,
            expect![[r#"
            `stale_if_error = 60` has no effect within `stale_while_revalidate = "10m"`, where a failing refresh is never seen; make it longer, or leave it out
        "#]],
        ),
        (r#"stale_while_revalidate = 60, stale_if_error = "60001ms""#, expect![[""]]),
        (
            r#"stale_if = |error| error.is_timeout()"#,
            expect![[r#"
            `stale_if` has no effect without `stale_if_error`, as in `stale_if_error = 600`
        "#]],
        ),
        (
            r#"stale_if = |a, b| a, stale_if_error = 60"#,
            expect![[r#"
            the closure of `stale_if` takes one argument, the error: `|error| ..`
        "#]],
        ),
        (
            r#"stale_if = 3, stale_if_error = 0"#,
            expect![[r#"
            `stale_if` takes a closure over the error, as in `|error| error.is_timeout()`, or the path of a function
            `stale_if_error` must be greater than zero; never to serve a stale value, leave it out
        "#]],
        ),
        (r#"stale_if = is_timeout, stale_if_error = 60"#, expect![[""]]),
    ] {
        check(attr, r#"async fn f(id: u8, name: String) -> Result<u8, E> { Ok(id) }"#, &expected);
    }
}

#[test]
fn refreshes_that_are_never_early() {
    for (attr, expected) in [
        (
            r#"refresh_ahead = 0"#,
            expect![[r#"
            `refresh_ahead` is how early a value may be refreshed: a number greater than zero, 1 is the usual
        "#]],
        ),
        (
            r#"refresh_ahead = -1.0"#,
            expect![[r#"
            `refresh_ahead` is how early a value may be refreshed: a number greater than zero, 1 is the usual
        "#]],
        ),
        (
            r#"refresh_ahead = "1""#,
            expect![[r#"
            `refresh_ahead` is how early a value may be refreshed: a number greater than zero, 1 is the usual
        "#]],
        ),
        (
            r#"refresh_ahead = 1e999"#,
            expect![[r#"
            `refresh_ahead` is how early a value may be refreshed: a number greater than zero, 1 is the usual
        "#]],
        ),
        (r#"refresh_ahead = 2"#, expect![[""]]),
    ] {
        check(attr, r#"async fn f(id: u8, name: String) -> Result<u8, E> { Ok(id) }"#, &expected);
    }
}
