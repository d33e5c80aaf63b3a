//! `tags`.

use expect_test::expect;

use super::check;

#[test]
fn tags_that_cannot_be() {
    for (attr, expected) in [
        (r#"skip(self), tags = ["agent:{id}", "all", "{self.id}:{{}}"]"#, expect![[""]]),
        (
            r#"skip(self), tags = "agent:{id}""#,
            expect![[r#"
            write a list: `tags = ["agent:{id}"]`
        "#]],
        ),
        (
            r#"skip(self), tags = id"#,
            expect![[r#"
            `tags` takes a list, as in `tags = ["agent:{agent_id}"]`
        "#]],
        ),
        (
            r#"skip(self), tags = []"#,
            expect![[r#"
            `tags` names no tag; leave it out
        "#]],
        ),
        (
            r#"skip(self), tags = ["", "{}"]"#,
            expect![[r#"
            a tag must not be empty; name the group
            empty `{}` in `tags`; name an argument, as in `{id}`
        "#]],
        ),
        (
            r#"skip(self), tags = ["all", id, 3]"#,
            expect![[r#"
            a tag is a string literal, as in `tags = ["agent:{agent_id}"]`
            a tag is a string literal, as in `tags = ["agent:{agent_id}"]`
        "#]],
        ),
        (
            r#"skip(self), tags = ["agent:{agent_id}", "{id:?}", "{id()}", "}{id"]"#,
            expect![[r#"
            `tags` takes no format specs such as `:?`; write `{id}`
            `{id()}` in `tags` is not a name with fields; give the value an argument or a field of its own
            unmatched `}` in `tags`; write `}}` for a brace
            unclosed `{` in `tags`; write `{{` for a brace
        "#]],
        ),
        (
            r#"skip(self), tags = ["agent:{agent_id}", "{other.name}"]"#,
            expect![[r#"
            `tags` names `agent_id`, which is not an argument; the arguments are `self`, `id`
            `tags` names `other`, which is not an argument; the arguments are `self`, `id`
        "#]],
        ),
        (
            r#"skip(self), tags = ["1","2","3","4","5","6","7","8","9","10","11","12","13","14","15","16"]"#,
            expect![[""]],
        ),
        (
            r#"skip(self), tags = ["1","2","3","4","5","6","7","8","9","10","11","12","13","14","15","16","17"]"#,
            expect![[r#"
                an entry has at most 16 tags
            "#]],
        ),
        (
            r#"skip(self), tag = "agent:{id}""#,
            expect![[r#"
            `tag` is called `tags` here: `tags = ["agent:{agent_id}"]`
        "#]],
        ),
    ] {
        check(attr, r#"async fn f(&self, id: u8) -> u8 { id }"#, &expected);
    }
}
