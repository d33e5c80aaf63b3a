//! Targets of `#[cache_invalidate]`.

use expect_test::expect;

use super::writers::check;

#[test]
fn targets_that_cannot_be() {
    for (attr, expected) in [
        (
            r#""#,
            expect![[r#"
            nothing to invalidate: name a call, as in `areas(kind.clone())`, a `prefix` or a `tag`
        "#]],
        ),
        (
            r#"cache = cache"#,
            expect![[r#"
            nothing to invalidate: name a call, as in `areas(kind.clone())`, a `prefix` or a `tag`
        "#]],
        ),
        (
            r#"crate = "x", cache = c"#,
            expect![[r#"
            nothing to invalidate: name a call, as in `areas(kind.clone())`, a `prefix` or a `tag`
        "#]],
        ),
        (
            r#"areas"#,
            expect![[r#"
            write the call, as in `areas(..)`
        "#]],
        ),
        (
            r#"crate::a::b, Self::find::<u8>, self"#,
            expect![[r#"
            write the call, as in `crate::a::b(..)`
            write the call, as in `Self::find::<u8>(..)`
            write the call, as in `self(..)`
        "#]],
        ),
        (
            r#"areas(id).await, areas(id)?"#,
            expect![[r#"
            write the call without `.await`: it is named, not run
            write the call without `?`: it is named, not run
        "#]],
        ),
        (
            r#""areas", 3"#,
            expect![[r#"
            say what it is: `prefix = "areas"` or `tag = "agent:{agent_id}"`
            write a call, as in `areas(kind.clone())`
        "#]],
        ),
    ] {
        check(
            attr,
            r#"async fn f(id: u8, name: &mut String) -> Result<u8, E> { Ok(id) }"#,
            &expected,
        );
    }
}

#[test]
fn words_and_texts_that_cannot_be() {
    for (attr, expected) in [
        (
            r#"color = 3, prefx = "a", tags = ["a"], key = "{id}", ttl = 3, call = areas(id)"#,
            expect![[r#"
                unknown option `color`; expected a call, as in `areas(kind.clone())`, or one of `prefix`, `tag`, `cache`, `crate`
                unknown option `prefx`; did you mean `prefix`?
                write `tag = ".."` once for each tag
                `key` is not needed: name the call, as in `areas(kind.clone())`; its arguments make the key
                unknown option `ttl`; expected a call, as in `areas(kind.clone())`, or one of `prefix`, `tag`, `cache`, `crate`
                `call` is not needed: name the call alone, as in `areas(kind.clone())`
            "#]],
        ),
        (
            r#"prefix, tag, prefix = "", prefix = "~a", prefix = "{id}", tag = "", tag = 3"#,
            expect![[r#"
                `prefix` needs a value, as in `prefix = "areas"`
                `tag` needs a value, as in `tag = "agent:{agent_id}"`
                `prefix` is empty; name the group
                `prefix` must not begin with `~` or `#`, which mark keys of the cache itself
                a tag must not be empty; name the group
                `tag` takes a string literal, as in `tag = "agent:{agent_id}"`
                `prefix` is not a template; write `{id}` into a `tag`
            "#]],
        ),
        (
            r#"tag = "agent:{agent_id}", tag = "{id:?}{}", tag = "{self.id}""#,
            expect![[r#"
            `tag` takes no format specs such as `:?`; write `{id}`
            empty `{}` in `tag`; name an argument, as in `{id}`
            `tag` names `agent_id`, which is not an argument; the arguments are `id`, `name`
            `tag` names `self`, which is not an argument; the arguments are `id`, `name`
        "#]],
        ),
        (
            r#"|a, b| areas(a), async |a| areas(a), |a| -> u8 { areas(a) }, || areas(1)"#,
            expect![[r#"
                the closure of `#[cache_invalidate]` takes one argument, the value that was returned: `|created| find(created.id)`
                the closure of `#[cache_invalidate]` cannot be `async`
                a call has no type that could be written; leave it out
                the closure of `#[cache_invalidate]` takes one argument, the value that was returned: `|created| find(created.id)`
            "#]],
        ),
        (
            r#"areas(id) profile(id)"#,
            expect![[r#"
            expected `,`
        "#]],
        ),
        (
            r#"areas(id), cache = a, cache = b"#,
            expect![[r#"
            `cache` is set twice
            `cache` is first set here
        "#]],
        ),
        (
            r#"areas(id) =, prefix = """#,
            expect![[r#"
                expected an expression
                `prefix` is empty; name the group
            "#]],
        ),
        (
            r#"prefix("a"), tag = "a:{id}", tag = "b", self.find(id), Self::find(&id), |created: &User| find(created.id), crate::a::b(id), { find(id) }, find!(id), x == y,"#,
            expect![[""]],
        ),
    ] {
        check(
            attr,
            r#"async fn f(id: u8, name: &mut String) -> Result<u8, E> { Ok(id) }"#,
            &expected,
        );
    }
}
