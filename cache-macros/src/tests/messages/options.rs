//! Single options: unknown names, wrong values.

use expect_test::expect;

use super::check;

#[test]
fn all_mistakes_of_one_attribute_come_together() {
    let expected = expect![[r#"
        unknown option `tll`; did you mean `ttl`?
        unknown option `color`; expected one of `ttl`, `prefix`, `id`, `key`, `skip`, `when`, `cache_if`, `none_ttl`, `stale_while_revalidate`, `stale_if_error`, `stale_if`, `refresh_ahead`, `jitter`, `local`, `lease`, `wait`, `tags`, `version`, `cache`, `crate`
        unknown option `color`; expected one of `ttl`, `prefix`, `id`, `key`, `skip`, `when`, `cache_if`, `none_ttl`, `stale_while_revalidate`, `stale_if_error`, `stale_if`, `refresh_ahead`, `jitter`, `local`, `lease`, `wait`, `tags`, `version`, `cache`, `crate`
        `timeout` is called `ttl` here: `ttl = 60`
        `unless` is called `cache_if` here and says the opposite: `cache_if = |value| !value.is_empty()`
        unknown unit `min` in duration; expected one of `ms`, `s`, `m`, `h`, `d`
        `ttl` is set twice
        `ttl` is first set here
        `prefix` must not begin with `~` or `#`, which mark keys of the cache itself
        `jitter` is the share of the ttl that may be taken off: 0 to 1
        `version` is a whole number from 1 to 4294967295, written out: `version = 2`
        `none_ttl` takes a time: in a `None` there is no value to look at
        `when` takes an expression over the arguments, as in `when = page < 10`; for a closure over the value there is `cache_if`
        `cache_if` takes a closure over the value, as in `|value| !value.is_empty()`, or the path of a function
        `crate` takes a path in quotes, as in `crate = "my_crate::cache_runtime"`
        `key` takes a template, as in `key = "{id}"`, or values in parentheses, as in `key = (id)`
        `skip` names no argument; write `skip(db)`, or leave it out
        `skip` has no effect with `key`: the key already says which arguments count
    "#]];
    let attr = r#"tll = 1, color, color = |a, b| a, timeout = 3, unless(x), ttl = "5min", ttl = 3, prefix = "~a",
        jitter = 2, version = 0, none_ttl = |v| v, when = |v| v, cache_if = 3, crate = x, key = kind, skip()"#;
    check(attr, "async fn f(id: u8) -> u8 { id }", &expected);
}

#[test]
fn values_of_the_wrong_kind() {
    for (attr, expected) in [
        (
            "ttl = \"300\"",
            expect![[r#"
            `"300"` has no unit; write `300` for seconds or `"300s"`
        "#]],
        ),
        (
            "ttl = 0",
            expect![[r#"
            `ttl` must be greater than zero; to switch caching off, remove `#[cache_result]` or set `REDIS_ENABLED=false`
        "#]],
        ),
        (
            "ttl = -5",
            expect![[r#"
            `ttl` must be greater than zero; to switch caching off, remove `#[cache_result]` or set `REDIS_ENABLED=false`
        "#]],
        ),
        (
            "none_ttl = \"0s\"",
            expect![[r#"
            `none_ttl` must be greater than zero; not to store `None`, leave it out
        "#]],
        ),
        (
            "ttl = 1.5",
            expect![[r#"
            `ttl` is in whole seconds; shorter ones are text: `"1500ms"`
        "#]],
        ),
        (
            "ttl = true",
            expect![[r#"
            `ttl` takes seconds, as in `60`, or text, as in `"1m"`
        "#]],
        ),
        (
            "ttl(3600)",
            expect![[r#"
            write `ttl = 3600`
        "#]],
        ),
        (
            "ttl, prefix =",
            expect![[r#"
            `ttl` needs a value, as in `ttl = 3600`
            `prefix` has no value
        "#]],
        ),
        (
            "3600, \"areas\"",
            expect![[r#"
            say what it is: `ttl = 3600`
        "#]],
        ),
        (
            "ttl = 1 prefix = \"\" version 2, jitter = -0.5",
            expect![[r#"
                expected `,`
                `prefix` is empty; leave it out to use the path of the function
                expected `,`
                `jitter` is the share of the ttl that may be taken off: 0 to 1
            "#]],
        ),
        (
            "cache_if = |a, b| a, ttl = async |v| v",
            expect![[r#"
            the closure of `cache_if` takes one argument, the value: `|value| ..`
            the closure of `ttl` cannot be `async`
        "#]],
        ),
        (
            "skip(id, id), skip = id",
            expect![[r#"
                write the arguments in parentheses, as in `skip(db)`
                `skip` is set twice
                `skip` is first set here
                `id` is skipped twice
            "#]],
        ),
        (
            "ttl = 99999999999999999999",
            expect![[r#"
                `ttl` is too large; it is in seconds
            "#]],
        ),
        (
            "prefix = \"{id}\"",
            expect![[r#"
            `prefix` is not a template; write `{id}` into `key`
        "#]],
        ),
    ] {
        check(attr, "async fn f(id: u8) -> u8 { id }", &expected);
    }
}

#[test]
fn what_follows_a_comma_is_never_passed_over() {
    let expected = expect![[r#"
        say what it is: `prefix = "areas"` or `key = "{id}"`
        `jitter` is the share of the ttl that may be taken off: 0 to 1
    "#]];
    check("ttl = 3600, \"areas\", jitter = 2,", "async fn f(id: u8) -> u8 { id }", &expected);
}
