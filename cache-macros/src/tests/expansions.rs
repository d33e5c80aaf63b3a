//! Expansions of `#[cache_result]`.

use expect_test::{Expect, expect};

use super::expand;

pub(super) fn check(attr: &str, item: &str, expected: &Expect) {
    expected.assert_eq(&expand(attr, item));
}

#[test]
fn the_first_example_expands_to_at_most_45_lines() {
    let attr = r#"ttl = 3600, prefix = "areas""#;
    let item =
        "async fn areas(kind: String) -> Result<Vec<Area>, sqlx::Error> { load(kind).await }";
    check(
        attr,
        item,
        &expect![[r#"
            async fn areas(kind: String) -> Result<Vec<Area>, sqlx::Error> {
                let call = {
                    let codec = {
                        use ::cache_runtime::__private::levels::*;
                        ::cache_runtime::__private::Returns::<Result<Vec<Area>, sqlx::Error>>::new()
                            .shape()
                            .value()
                            .share()
                            .error()
                    };
                    let mut call = {
                        static __SITE: ::cache_runtime::__private::Site = ::cache_runtime::__private::Site::new(
                                "areas",
                                ::cache_runtime::__private::package!(),
                            )
                            .recipe(&["kind"])
                            .prefix("areas");
                        __SITE.call(&|| ())
                    };
                    call.ttl(3600u64);
                    call.arg(&kind);
                    ::cache_runtime::__private::begin(codec, call)
                };
                let body = async move {
                    if let ::core::option::Option::Some(r) = ::core::option::Option::None::<
                        Result<Vec<Area>, sqlx::Error>,
                    > {
                        return r;
                    }
                    #[allow(clippy::diverging_sub_expression, unused_braces)]
                    let out: Result<Vec<Area>, sqlx::Error> = { load(kind).await };
                    #[allow(unreachable_code)] out
                };
                let body = ::core::pin::pin!(body);
                ::cache_runtime::__private::get_or_compute(call, body).await
            }
        "#]],
    );
    assert!(expand(attr, item).lines().count() <= 45);
}

#[test]
fn a_method_with_a_template_and_closures() {
    check(
        r#"ttl = |v| v.ttl, key = "u:{self.id}:{name.0}", none_ttl = "1m30s", cache_if = |v| v.len() > least,
           when = least > 1, cache = self.cache, version = 2, jitter = 0.5, crate = "crate::cache""#,
        r#"
        /// Docs.
        #[inline]
        pub(crate) async fn find(&self, name: (String,), least: usize) -> Result<Option<User>, Error> {
            #![allow(unused)]
            Ok(None)
        }"#,
        &expect![[r#"
            /// Docs.
            #[inline]
            #[allow(unused)]
            pub(crate) async fn find(
                &self,
                name: (String,),
                least: usize,
            ) -> Result<Option<User>, Error> {
                let call = {
                    let codec = {
                        use crate::cache::__private::levels::*;
                        crate::cache::__private::Returns::<Result<Option<User>, Error>>::new()
                            .shape()
                            .value()
                            .share()
                            .error()
                    };
                    let codec = codec.ttl(move |v| v.ttl);
                    let codec = codec.cache_if(move |v| v.len() > least);
                    let codec = codec.none_ttl(::core::time::Duration::from_millis(90000u64));
                    let mut call = {
                        let cache = &self.cache;
                        {
                            static __SITE: crate::cache::__private::Site = crate::cache::__private::Site::new(
                                    "find",
                                    crate::cache::__private::package!(),
                                )
                                .recipe(&["\"u:\"", "{self.id}", "\":\"", "{name.0}"])
                                .version(2u32)
                                .jitter(0.5f64);
                            __SITE.call_in(&|| (), cache)
                        }
                    };
                    call.when(least > 1);
                    call.text("u:");
                    call.part(&self.id);
                    call.text(":");
                    call.part(&name.0);
                    crate::cache::__private::begin(codec, call)
                };
                let body = async move {
                    if let ::core::option::Option::Some(r) = ::core::option::Option::None::<
                        Result<Option<User>, Error>,
                    > {
                        return r;
                    }
                    #[allow(clippy::diverging_sub_expression, unused_braces)]
                    let out: Result<Option<User>, Error> = { Ok(None) };
                    #[allow(unreachable_code)] out
                };
                let body = ::core::pin::pin!(body);
                crate::cache::__private::get_or_compute(call, body).await
            }
        "#]],
    );
}

#[test]
fn async_trait_is_rewritten_inside_its_box() {
    check(
        "skip(self)",
        "fn find<'life0, 'async_trait>(&'life0 self, __arg1: Path<String>, id: u64, __arg3: u8)
            -> ::core::pin::Pin<Box<dyn ::core::future::Future<Output = Option<User>> + ::core::marker::Send + 'async_trait>>
        where 'life0: 'async_trait, Self: 'async_trait
        {
            Box::pin(async move {
                if let ::core::option::Option::Some(__ret) = ::core::option::Option::None::<Option<User>> {
                    return __ret;
                }
                let __self = self;
                let Path(kind) = { let __arg1 = __arg1; __arg1 };
                let id = id;
                let __arg3 = __arg3;
                let __ret: Option<User> = { __self.load(kind, id) };
                __ret
            })
        }",
        &expect![[r#"
            fn find<'life0, 'async_trait>(
                &'life0 self,
                __arg1: Path<String>,
                id: u64,
                __arg3: u8,
            ) -> ::core::pin::Pin<
                Box<
                    dyn ::core::future::Future<
                        Output = Option<User>,
                    > + ::core::marker::Send + 'async_trait,
                >,
            >
            where
                'life0: 'async_trait,
                Self: 'async_trait,
            {
                Box::pin(async move {
                    let Path(kind) = {
                        let __arg1 = __arg1;
                        __arg1
                    };
                    let call = {
                        let codec = {
                            use ::cache_runtime::__private::levels::*;
                            ::cache_runtime::__private::Returns::<Option<User>>::new()
                                .shape()
                                .value()
                                .share()
                                .error()
                        };
                        let mut call = {
                            static __SITE: ::cache_runtime::__private::Site = ::cache_runtime::__private::Site::new(
                                    "find",
                                    ::cache_runtime::__private::package!(),
                                )
                                .recipe(&["kind", "id"]);
                            __SITE.call(&|| ())
                        };
                        call.arg(&kind);
                        call.arg(&id);
                        ::cache_runtime::__private::begin(codec, call)
                    };
                    let body = async move {
                        if let ::core::option::Option::Some(r) = ::core::option::Option::None::<
                            Option<User>,
                        > {
                            return r;
                        }
                        #[allow(clippy::diverging_sub_expression, unused_braces)]
                        let out: Option<User> = {
                            if let ::core::option::Option::Some(__ret) = ::core::option::Option::None::<
                                Option<User>,
                            > {
                                return __ret;
                            }
                            let __self = self;
                            let id = id;
                            let __arg3 = __arg3;
                            let __ret: Option<User> = { __self.load(kind, id) };
                            __ret
                        };
                        #[allow(unreachable_code)] out
                    };
                    let body = ::core::pin::pin!(body);
                    ::cache_runtime::__private::get_or_compute(call, body).await
                })
            }
        "#]],
    );
}

#[test]
fn a_generic_function() {
    check(
        "key = (of, N), ttl = Duration::from_secs(5), cache_if = keep",
        "async fn f<T: Key, const N: usize>(of: T) -> Vec<T> where T: Send { Vec::new() }",
        &expect![[r#"
            async fn f<T: Key, const N: usize>(of: T) -> Vec<T>
            where
                T: Send,
            {
                let call = {
                    let codec = {
                        use ::cache_runtime::__private::levels::*;
                        ::cache_runtime::__private::Returns::<Vec<T>>::new()
                            .shape()
                            .value()
                            .share()
                            .error()
                    };
                    let codec = codec.cache_if(keep);
                    let mut call = {
                        static __SITE: ::cache_runtime::__private::Site = ::cache_runtime::__private::Site::new(
                                "f",
                                ::cache_runtime::__private::package!(),
                            )
                            .recipe(&["of", "N"]);
                        __SITE.call(&|| ())
                    };
                    call.ttl(Duration::from_secs(5));
                    call.arg(&of);
                    call.arg(&N);
                    ::cache_runtime::__private::begin(codec, call)
                };
                let body = async move {
                    if let ::core::option::Option::Some(r) = ::core::option::Option::None::<Vec<T>> {
                        return r;
                    }
                    #[allow(clippy::diverging_sub_expression, unused_braces)]
                    let out: Vec<T> = { Vec::new() };
                    #[allow(unreachable_code)] out
                };
                let body = ::core::pin::pin!(body);
                ::cache_runtime::__private::get_or_compute(call, body).await
            }
        "#]],
    );
}
