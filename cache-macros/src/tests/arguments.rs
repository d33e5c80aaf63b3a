//! Expansions: the arguments that become parts of the key.

use expect_test::expect;

use super::expansions::check;

#[test]
fn a_cfg_on_an_argument_is_repeated_on_its_part() {
    check(
        "",
        r#"async fn f(#[cfg(a)] x: u8, #[cfg_attr(b, cfg(c))] #[allow(unused)] y: u8) -> u8 { 1 }"#,
        &expect![[r#"
            async fn f(#[cfg(a)] x: u8, #[cfg_attr(b, cfg(c))] #[allow(unused)] y: u8) -> u8 {
                {
                    #[cfg(a)]
                    let x = true;
                }
                {
                    #[cfg_attr(b, cfg(c))]
                    #[allow(unused)]
                    let y = true;
                }
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
                                ::cache_runtime::__private::package!(),
                            )
                            .recipe(&[#[cfg(a)] "x", #[cfg_attr(b, cfg(c))] "y"]);
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
                {
                    let a = true;
                }
                {
                    let c = true;
                }
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
                                ::cache_runtime::__private::package!(),
                            )
                            .recipe(&["a", "c", "d"]);
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

/// `.recipe(..)`, without blanks.
fn recipe(attr: &str, item: &str) -> String {
    let expansion: String = super::expand(attr, item).split_whitespace().collect();
    let (_, recipe) = expansion.split_once(".recipe(&[").expect("a key has parts");
    recipe.split_once("])").expect("it is closed").0.replace(",]", "]")
}

#[test]
fn a_site_says_what_its_key_is_made_of() {
    for (attr, arguments, expected) in [
        ("", "from: u8, to: u8", r#""from","to""#),
        ("", "to: u8, from: u8", r#""to","from""#),
        ("skip(to)", "from: u8, to: u8", r#""from""#),
        ("key = (to)", "from: u8, to: u8", r#""to""#),
        ("key = (&to.0, f(from) + 1)", "from: u8, to: u8", r#""&to.0","f(from)+1""#),
        (
            r#"key = "{r#from}/{to.0.a}{{""#,
            "from: u8, to: u8",
            r#""{from}","\"/\"","{to.0.a}","\"{\"""#,
        ),
        ("", "Path(from): Path<u8>, r#type: u8", r#""from","type""#),
        ("skip(to), tags = [\"{to}:{from}\"]", "from: u8, to: u8", r#""from""#),
    ] {
        let item = format!("async fn f({arguments}) -> u8 {{ 1 }}");
        assert_eq!(recipe(attr, &item), expected, "{attr}");
    }
}

#[test]
fn an_id_comes_with_an_item_that_tells_where_the_function_is() {
    let expansion = super::expand(r#"id = "user-email""#, "async fn f(id: u8) -> u8 { 1 }");
    assert!(expansion.contains("fn __here() -> &'static str {"), "{expansion}");
    assert!(expansion.contains(r#".id("user-email", __here)"#), "{expansion}");
}

#[test]
fn what_a_tag_has_and_the_key_lacks_becomes_part_of_the_key() {
    for (attr, expected) in [
        (r#"tags = ["{a}"]"#, "call.tag_part(&a);"),
        (r#"tags = ["{a.id}"]"#, "call.tag_arg(&a.id);"),
        (r#"skip(a), tags = ["{a}"]"#, "call.tag_arg(&a);"),
        (r#"key = (&(a).id), tags = ["{a.id}"]"#, "call.tag_part(&a.id);"),
        (r#"key = (a.id.x), tags = ["{a.id}"]"#, "call.tag_arg(&a.id);"),
        (r#"key = (f(a)), tags = ["{a}"]"#, "call.tag_arg(&a);"),
        (r#"key = "{a}", tags = ["{a}"]"#, "call.tag_part(&a);"),
        (r#"key = "{a}", tags = ["{a.id}"]"#, "call.tag_arg(&a.id);"),
    ] {
        let expansion = super::expand(attr, "async fn f(a: A, b: u8) -> u8 { 1 }");
        assert!(expansion.contains(expected), "{attr}: {expansion}");
    }
}

#[test]
fn an_argument_that_nothing_reads_is_left_to_the_compiler_to_warn_of() {
    for (attr, arguments, body, warned) in [
        ("", "a: u8", "1", true),
        ("", "a: u8", "a", false),
        ("", "a: u8", "{ m!([a]) }", false),
        ("", "a: u8", "m!(\"{a}\")", false),
        ("", "a: u8", "ab", true),
        ("", "_a: u8", "1", false),
        ("", "A(a): A", "1", true),
        ("key = (a)", "a: u8", "1", false),
        ("when = a > 1", "a: u8", "1", false),
        ("tags = [\"{a}\"]", "a: u8", "1", false),
        ("skip(a)", "a: u8, b: u8", "b", false),
    ] {
        let item = format!("async fn f({arguments}) -> u8 {{ {body} }}");
        let expansion = super::expand(attr, &item);
        assert_eq!(expansion.contains("let a = true;"), warned, "{attr} {item}: {expansion}");
    }
}

#[test]
fn no_argument_is_warned_of_where_another_macro_may_read_it() {
    for (attrs, warned) in [
        ("#[tracing::instrument]", false),
        ("#[instrument(skip(b))]", false),
        ("#[cfg_attr(feature = \"traces\", tracing::instrument)]", false),
        ("#[cfg_attr(not(x), inline, mine)]", false),
        ("#[cfg_attr(all(), inline, doc = \"x\")]", true),
        ("#[doc = \"x\"]", true),
        ("#[allow(clippy::x)] #[expect(y)] #[must_use = \"x\"]", true),
        ("#[inline] #[cfg(a)] #[deprecated(note = \"x\")]", true),
        ("#[rustfmt::skip] #[clippy::msrv = \"1.88\"]", true),
    ] {
        let expansion = super::expand("", &format!("{attrs} async fn f(a: u8) -> u8 {{ 1 }}"));
        assert_eq!(expansion.contains("let a = true;"), warned, "{attrs}: {expansion}");
    }
}

#[test]
fn an_expectation_of_an_unused_argument_is_an_allowance_as_the_key_reads_it() {
    for (attr, emitted, on_binding) in [
        ("#[expect(unused_variables)]", "#[allow(unused_variables)] a: u8", true),
        (
            "#[expect(clippy::x, unused, reason = \"y\")]",
            "#[allow(clippy::x, unused, reason = \"y\")] a: u8",
            true,
        ),
        ("#[expect(unused_mut)]", "#[expect(unused_mut)] a: u8", false),
    ] {
        let expansion = super::expand("", &format!("async fn f({attr} a: u8) -> u8 {{ 1 }}"));
        let expansion = expansion.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(expansion.contains(emitted), "{attr}: {expansion}");
        assert_eq!(expansion.contains("{ #[allow("), on_binding, "{attr}: {expansion}");
    }
}
