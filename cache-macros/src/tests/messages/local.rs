//! `local`.

use expect_test::expect;

use super::check;

#[test]
fn forms_that_cannot_be() {
    for (attr, expected) in [
        (r#"local"#, expect![[""]]),
        (r#"local,"#, expect![[""]]),
        (r#"local = 10"#, expect![[""]]),
        (r#"local = "2h""#, expect![[""]]),
        (
            r#"local = true"#,
            expect![[r#"
            write `local` alone, or the age that a copy may reach, as in `local = "10s"`
        "#]],
        ),
        (
            r#"local = false"#,
            expect![[r#"
            `local` is off where it is not written; leave it out
        "#]],
        ),
        (
            r#"local()"#,
            expect![[r#"
            write `local` without parentheses
        "#]],
        ),
        (
            r#"local("10s")"#,
            expect![[r#"
            write `local = "10s"`
        "#]],
        ),
        (
            r#"local ="#,
            expect![[r#"
            `local` has no value
        "#]],
        ),
        (
            r#"local "10s""#,
            expect![[r#"
            expected `=`
        "#]],
        ),
        (
            r#"local, local = "10s""#,
            expect![[r#"
            `local` is set twice
            `local` is first set here
        "#]],
        ),
    ] {
        check(attr, "async fn f(id: u8) -> Option<u8> { id }", &expected);
    }
}

#[test]
fn times_that_cannot_be() {
    for (attr, expected) in [
        (
            r#"local = 0"#,
            expect![[r#"
            `local` must be greater than zero; not to keep copies in the process, leave it out
        "#]],
        ),
        (
            r#"local = "0ms""#,
            expect![[r#"
            `local` must be greater than zero; not to keep copies in the process, leave it out
        "#]],
        ),
        (
            r#"local = -1"#,
            expect![[r#"
            `local` must be greater than zero; not to keep copies in the process, leave it out
        "#]],
        ),
        (
            r#"local = LOCAL"#,
            expect![[r#"
            `local` takes a time that is written out, as in `local = "10s"`: it is the same for all calls
        "#]],
        ),
        (
            r#"local = |v| v"#,
            expect![[r#"
            `local` takes a time that is written out, as in `local = "10s"`: it is the same for all calls
        "#]],
        ),
        (
            r#"local = 1.5"#,
            expect![[r#"
            `local` is in whole seconds; shorter ones are text: `"1500ms"`
        "#]],
        ),
        (
            r#"local = "10""#,
            expect![[r#"
            `"10"` has no unit; write `10` for seconds or `"10s"`
        "#]],
        ),
        (
            r#"local = "1min""#,
            expect![[r#"
            unknown unit `min` in duration; expected one of `ms`, `s`, `m`, `h`, `d`
        "#]],
        ),
        (
            r#"local = 'x'"#,
            expect![[r#"
            `local` takes seconds, as in `60`, or text, as in `"1m"`
        "#]],
        ),
        (
            r#"local = 18446744073709551615"#,
            expect![[r#"
            `local` is too large; it is in seconds
        "#]],
        ),
    ] {
        check(attr, "async fn f(id: u8) -> Option<u8> { id }", &expected);
    }
}

#[test]
fn copies_that_would_outlive_what_they_copy() {
    for (attr, expected) in [
        (
            r#"local = "10m", ttl = "5m""#,
            expect![[r#"
            `local` (10m) is longer than `ttl` (5m): the local copy would outlive the one in Redis
        "#]],
        ),
        (
            r#"local = 301, ttl = 300"#,
            expect![[r#"
            `local` (5m1s) is longer than `ttl` (5m): the local copy would outlive the one in Redis
        "#]],
        ),
        (
            r#"local = "1500ms", ttl = 1"#,
            expect![[r#"
            `local` (1s500ms) is longer than `ttl` (1s): the local copy would outlive the one in Redis
        "#]],
        ),
        (
            r#"ttl = 3600, local = "1h30m""#,
            expect![[r#"
            `local` (1h30m) is longer than `ttl` (1h): the local copy would outlive the one in Redis
        "#]],
        ),
        (r#"ttl = 300, local = "5m""#, expect![[""]]),
        (r#"ttl = ttl, local = "10s""#, expect![[""]]),
        (r#"ttl = |v| v.ttl, local = 10, none_ttl = 5"#, expect![[""]]),
        (
            r#"ttl = "5min", local = "10m""#,
            expect![[r#"
            unknown unit `min` in duration; expected one of `ms`, `s`, `m`, `h`, `d`
        "#]],
        ),
    ] {
        check(attr, "async fn f(id: u8) -> Option<u8> { id }", &expected);
    }
}

#[test]
fn words_of_peers() {
    for (attr, expected) in [
        (
            r#"l1"#,
            expect![[r#"
            `l1` is called `local` here: `local`, or `local = "10s"`
        "#]],
        ),
        (
            r#"near = true"#,
            expect![[r#"
            `near` is called `local` here: `local`, or `local = "10s"`
        "#]],
        ),
        (
            r#"near_cache"#,
            expect![[r#"
            `near_cache` is called `local` here: `local`, or `local = "10s"`
        "#]],
        ),
        (
            r#"memory = 1000"#,
            expect![[r#"
            `memory` is called `local` here: `local`, or `local = "10s"`
        "#]],
        ),
        (
            r#"in_memory"#,
            expect![[r#"
            `in_memory` is called `local` here: `local`, or `local = "10s"`
        "#]],
        ),
        (
            r#"local_ttl = 10"#,
            expect![[r#"
            `local_ttl` is called `local` here: `local = "10s"`
        "#]],
        ),
        (
            r#"l1_ttl = 10"#,
            expect![[r#"
            `l1_ttl` is called `local` here: `local = "10s"`
        "#]],
        ),
        (
            r#"lokal = "10s""#,
            expect![[r#"
            unknown option `lokal`; did you mean `local`?
        "#]],
        ),
    ] {
        check(attr, "async fn f(id: u8) -> Option<u8> { id }", &expected);
    }
}
