//! Borrowed arguments of a background refresh.

use expect_test::expect;

use super::check;

#[test]
fn arguments_that_a_refresh_would_borrow() {
    for (attr, item, expected) in [
        (
            r#"stale_while_revalidate = 60, "#,
            r#"async fn f(name: &str, ids: &[u64], db: &Db, of: &Arc<Db>) -> u8 { 1 }"#,
            expect![[r#"
                a background refresh outlives this call and cannot borrow `name`; take `String`, or drop `stale_while_revalidate`
                a background refresh outlives this call and cannot borrow `ids`; take `Vec<u64>`, or drop `stale_while_revalidate`
                a background refresh outlives this call and cannot borrow `db`; take `Db`, or drop `stale_while_revalidate`
                a background refresh outlives this call and cannot borrow `of`; take an owned type, or drop `stale_while_revalidate`
            "#]],
        ),
        (
            r#"stale_while_revalidate = 60, "#,
            r#"async fn f(name: Cow<'_, str>, Page(a, b): Page<&'static str, &'a str>, _: &u8) -> u8 { 1 }"#,
            expect![[r#"
                a background refresh outlives this call and cannot borrow `name`; take a type without `'_`, or drop `stale_while_revalidate`
                a background refresh outlives this call and cannot borrow `a`, `b`; take `String`, or drop `stale_while_revalidate`
                a background refresh outlives this call and cannot borrow this argument; take `u8`, or drop `stale_while_revalidate`
            "#]],
        ),
        (
            r#"stale_while_revalidate = 60, skip(self)"#,
            r#"async fn f(&mut self, name: &mut String, id: &u8) -> u8 { 1 }"#,
            expect![[r#"
                a hit skips the body, so what it would write through `&mut` is lost; return it instead
                a hit skips the body, so what it would write through `&mut` is lost; return it instead
                a background refresh outlives this call and cannot borrow `id`; take `u8`, or drop `stale_while_revalidate`
            "#]],
        ),
        (
            r#"stale_while_revalidate = 60, skip(self)"#,
            r#"async fn f(self: &Arc<Self>, id: u8) -> u8 { 1 }"#,
            expect![[r#"
                a background refresh outlives this call and cannot borrow `self`; take `self: Arc<Self>`, or drop `stale_while_revalidate`
            "#]],
        ),
        (
            r#"stale_while_revalidate = 60, skip(self)"#,
            r#"async fn f(self: Arc<Self>, a: &'static str, b: Box<dyn Fn(&str) + 'static>, c: fn(&u8), d: Cow<'static, str>, e: impl Key) -> u8 { 1 }"#,
            expect![[""]],
        ),
        (
            r#"stale_while_revalidate = 60, skip(self)"#,
            r#"fn find<'life0, 'life1, 'async_trait>(&'life0 self, __arg1: Path<&'life1 str>)
            -> ::core::pin::Pin<Box<dyn ::core::future::Future<Output = u8> + ::core::marker::Send + 'async_trait>>
        {
            Box::pin(async move { let __self = self; let Path(kind) = __arg1; let __ret: u8 = { 1 }; __ret })
        }"#,
            expect![[r#"
                a background refresh outlives this call and cannot borrow `self`; take `self: Arc<Self>`, or drop `stale_while_revalidate`
                a background refresh outlives this call and cannot borrow `kind`; take `String`, or drop `stale_while_revalidate`
            "#]],
        ),
    ] {
        check(attr, item, &expected);
    }
}
