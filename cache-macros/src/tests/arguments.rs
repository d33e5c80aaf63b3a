//! What arguments become parts of the key.

use expect_test::expect;

use super::expansions::check;

#[test]
fn a_cfg_on_an_argument_is_repeated_on_its_part() {
    check(
        "",
        r#"async fn f(#[cfg(a)] x: u8, #[cfg_attr(b, cfg(c))] #[allow(unused)] y: u8) -> u8 { 1 }"#,
        &expect![[r#"
            async fn f(#[cfg(a)] x: u8, #[cfg_attr(b, cfg(c))] #[allow(unused)] y: u8) -> u8 {
                let call = {
                    let codec = {
                        use ::cache_runtime::__private::levels::*;
                        ::cache_runtime::__private::Returns::<u8>::new()
                            .shape()
                            .value()
                            .share()
                            .error()
                    };
                    #[allow(unused_mut)]
                    let mut call = {
                        static __SITE: ::cache_runtime::__private::Site = ::cache_runtime::__private::Site::new(
                            "f",
                        );
                        __SITE.call(&|| ())
                    };
                    #[cfg(a)] call.arg(&x);
                    #[cfg_attr(b, cfg(c))] call.arg(&y);
                    ::cache_runtime::__private::begin(codec, call)
                };
                let body = async move {
                    if let ::core::option::Option::Some(r) = ::core::option::Option::None::<u8> {
                        return r;
                    }
                    #[allow(clippy::diverging_sub_expression, unused_braces)]
                    let out: u8 = { 1 };
                    #[allow(unreachable_code)] out
                };
                let body = ::core::pin::pin!(body);
                ::cache_runtime::__private::get_or_compute(call, body).await
            }
        "#]],
    );
}

#[test]
fn pattern_arguments_count_as_the_names_they_bind() {
    check(
        "skip(db)",
        "async fn f(State(db): State<Db>, Page { a, b: [c, ..], .. }: Page, mut d: u8, _: u8) -> u8 { d }",
        &expect![[r#"
            async fn f(
                State(db): State<Db>,
                Page { a, b: [c, ..], .. }: Page,
                mut d: u8,
                _: u8,
            ) -> u8 {
                let call = {
                    let codec = {
                        use ::cache_runtime::__private::levels::*;
                        ::cache_runtime::__private::Returns::<u8>::new()
                            .shape()
                            .value()
                            .share()
                            .error()
                    };
                    let mut call = {
                        static __SITE: ::cache_runtime::__private::Site = ::cache_runtime::__private::Site::new(
                            "f",
                        );
                        __SITE.call(&|| ())
                    };
                    call.arg(&a);
                    call.arg(&c);
                    call.arg(&d);
                    ::cache_runtime::__private::begin(codec, call)
                };
                let body = async move {
                    if let ::core::option::Option::Some(r) = ::core::option::Option::None::<u8> {
                        return r;
                    }
                    #[allow(clippy::diverging_sub_expression, unused_braces)]
                    let out: u8 = { d };
                    #[allow(unreachable_code)] out
                };
                let body = ::core::pin::pin!(body);
                ::cache_runtime::__private::get_or_compute(call, body).await
            }
        "#]],
    );
}

#[test]
fn a_raw_name_is_found_without_its_prefix() {
    let expansion = super::expand("key = \"{type}\"", "async fn r#fn(r#type: u8) -> u8 { 1 }");
    assert!(expansion.contains("call.part(&r#type);"), "{expansion}");
    assert!(expansion.contains("\"fn\""), "{expansion}");
}

#[test]
fn without_arguments_the_call_is_not_mutable() {
    let expansion = super::expand("", "async fn f(_: u8) -> u8 { 1 }");
    assert!(expansion.contains("let call = {"), "{expansion}");
}
