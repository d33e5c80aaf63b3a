//! `key`, `skip`, and whether `self` is part of the key.

use expect_test::expect;

use super::check;

#[test]
fn keys_that_do_not_fit_the_function() {
    let function = "async fn f(id: u8) -> u8 { id }";
    for (attr, item, expected) in [
        (
            "key = \"{uid}\"",
            function,
            expect![[r#"
            `key` names `uid`, which is not an argument; the arguments are `id`
        "#]],
        ),
        (
            "key = \"{self.id}\"",
            function,
            expect![[r#"
            `key` names `self`, which is not an argument; the arguments are `id`
        "#]],
        ),
        (
            "key = \"{id\"",
            function,
            expect![[r#"
            unclosed `{` in `key`; write `{{` for a brace
        "#]],
        ),
        (
            "key = \"}{}{id:?}{id()}\"",
            function,
            expect![[r#"
            unmatched `}` in `key`; write `}}` for a brace
            empty `{}` in `key`; name an argument, as in `{id}`
            `key` takes no format specs such as `:?`; write `{id}`
            `{id()}` in `key` is not a name with fields; expressions go into parentheses: `key = (id())`
        "#]],
        ),
        // Read leniently they would be names, and none can be made of them.
        (
            "key = \"{id. name}{id.name }{id./**/name}\"",
            function,
            expect![[r#"
            `{id. name}` in `key` is not a name with fields; expressions go into parentheses: `key = (id. name)`
            `{id.name }` in `key` is not a name with fields; expressions go into parentheses: `key = (id.name )`
            `{id./**/name}` in `key` is not a name with fields; expressions go into parentheses: `key = (id./**/name)`
        "#]],
        ),
        (
            "key = \"all\"",
            function,
            expect![[r#"
            every call would share one entry: `key` uses none of the arguments (`id`); write `skip(id)` in place of `key` if that is meant
        "#]],
        ),
        (
            "key = \"\"",
            function,
            expect![[r#"
            `key` is empty; leave it out to make the key of all arguments
        "#]],
        ),
        (
            "key = (1, LIMIT)",
            function,
            expect![[r#"
            every call would share one entry: `key` uses none of the arguments (`id`); write `skip(id)` in place of `key` if that is meant
        "#]],
        ),
        (
            "key = (uid, &uid.name, LIMIT)",
            function,
            expect![[r#"
            `key` names `uid`, which is not an argument; the arguments are `id`
            `key` names `uid`, which is not an argument; the arguments are `id`
        "#]],
        ),
        ("key = (id, page())", function, expect![[""]]),
        ("key = (format!(\"{id}\"))", function, expect![[""]]),
    ] {
        check(attr, item, &expected);
    }
}

#[test]
fn a_skip_and_a_self_that_do_not_fit_the_function() {
    let function = "async fn f(id: u8) -> u8 { id }";
    let method = "async fn f(&self, id: u8) -> u8 { id }";
    for (attr, item, expected) in [
        (
            "skip(ids)",
            function,
            expect![[r#"
            no argument is named `ids`; the arguments are `id`
        "#]],
        ),
        (
            "skip(id), key = \"{id}\"",
            function,
            expect![[r#"
            `skip` has no effect with `key`: the key already says which arguments count
        "#]],
        ),
        (
            "skip(self)",
            function,
            expect![[r#"
            no argument is named `self`; the arguments are `id`
        "#]],
        ),
        (
            "",
            method,
            expect![[r#"
            say whether `self` is part of the key: `skip(self)` if every instance returns the same, or `key = "..{self.id}"`
        "#]],
        ),
        (
            "skip(ids)",
            method,
            expect![[r#"
            no argument is named `ids`; the arguments are `self`, `id`
            say whether `self` is part of the key: `skip(self)` if every instance returns the same, or `key = "..{self.id}"`
        "#]],
        ),
        ("key = \"{id}\"", method, expect![[""]]),
        (
            "key = \"{id\"",
            method,
            expect![[r#"
            unclosed `{` in `key`; write `{{` for a brace
        "#]],
        ),
    ] {
        check(attr, item, &expected);
    }
}
