//! Expansions: stale windows, refreshes, leases and tags.

use expect_test::expect;

use super::expand;
use super::expansions::check;

#[test]
fn a_function_that_is_refreshed_behind_the_call() {
    check(
        r#"ttl = 60, stale_while_revalidate = 60, stale_if_error = "10m", stale_if = |e| e.is_timeout(),
           refresh_ahead = 1, lease = "2500ms", wait = 0, tags = ["agent:{agent.id}", "all"], skip(_db)"#,
        "async fn f(#[cfg(a)] agent: Agent, _db: Db) -> Result<u8, E> { Ok(1) }",
        &expect![[r#"
            async fn f(#[cfg(a)] agent: Agent, _db: Db) -> Result<u8, E> {
                let call = {
                    let codec = {
                        use ::cache_runtime::__private::levels::*;
                        ::cache_runtime::__private::Returns::<Result<u8, E>>::new()
                            .shape()
                            .value()
                            .share()
                            .error()
                    };
                    let codec = codec.stale_if_error();
                    let codec = codec.stale_if(move |e| e.is_timeout());
                    let mut call = {
                        static __SITE: ::cache_runtime::__private::Site = ::cache_runtime::__private::Site::new(
                                "f",
                                ::cache_runtime::__private::package!(),
                            )
                            .recipe(&[#[cfg(a)] "agent"])
                            .lease(2500u64)
                            .wait(0u64)
                            .stale_while_revalidate(60000u64)
                            .stale_if_error(600000u64)
                            .refresh_ahead(1f64);
                        __SITE.call(&|| ())
                    };
                    call.ttl(60u64);
                    #[cfg(a)] call.arg(&agent);
                    call.tag();
                    call.tag_text("agent:");
                    #[cfg(a)] call.tag_arg(&agent.id);
                    call.tag();
                    call.tag_text("all");
                    ::cache_runtime::__private::begin(codec, call)
                };
                let body = ::std::boxed::Box::pin(async move {
                    if let ::core::option::Option::Some(r) = ::core::option::Option::None::<
                        Result<u8, E>,
                    > {
                        return r;
                    }
                    #[allow(clippy::diverging_sub_expression, unused_braces)]
                    let out: Result<u8, E> = { Ok(1) };
                    #[allow(unreachable_code)] out
                });
                ::cache_runtime::__private::get_or_refresh(call, body).await
            }
        "#]],
    );
}

#[test]
fn copies_in_the_process_are_an_affair_of_the_site() {
    for (attr, setting) in [
        ("local", ".recipe(&[\"id\"]).local();"),
        ("local, jitter = 0, lease = 1", ".jitter(0f64).local().lease(1000u64);"),
        ("local = \"10s\"", ".recipe(&[\"id\"]).local_for(10000u64);"),
        ("local = 3600, ttl = \"1h\", wait = 0,", ".local_for(3600000u64).wait(0u64);"),
        ("local = \"1500ms\"", ".local_for(1500u64);"),
        ("jitter = 0", ".recipe(&[\"id\"]).jitter(0f64);"),
    ] {
        let expansion = expand(attr, "async fn f(id: u8) -> u8 { 1 }");
        let expansion: String = expansion.split_whitespace().collect();
        let expansion = expansion.replace(",)", ")");
        assert!(expansion.contains(&setting.replace(' ', "")), "{attr}: {expansion}");
        let near = "::cache_runtime::__private::near(&codec,&call){returnhit;}::cache_runtime::__private::begin(";
        assert_eq!(expansion.contains(near), attr.starts_with("local"), "{attr}: {expansion}");
    }
}

#[test]
fn async_trait_is_refreshed_behind_the_call_inside_its_box() {
    check(
        r#"skip(self), stale_while_revalidate = "1m", cache = self.cache, stale_if_error = "2m", stale_if = is_timeout"#,
        "fn find<'async_trait>(self: Arc<Self>, id: u64)
            -> ::core::pin::Pin<Box<dyn ::core::future::Future<Output = u8> + ::core::marker::Send + 'async_trait>>
        {
            Box::pin(async move { let __self = self; let id = id; let __ret: u8 = { __self.load(id) }; __ret })
        }",
        &expect![[r#"
            fn find<'async_trait>(
                self: Arc<Self>,
                id: u64,
            ) -> ::core::pin::Pin<
                Box<dyn ::core::future::Future<Output = u8> + ::core::marker::Send + 'async_trait>,
            > {
                Box::pin(async move {
                    let call = {
                        let codec = {
                            use ::cache_runtime::__private::levels::*;
                            ::cache_runtime::__private::Returns::<u8>::new()
                                .shape()
                                .value()
                                .share()
                                .error()
                        };
                        let codec = codec.stale_if_error();
                        let codec = codec.stale_if(is_timeout);
                        let mut call = {
                            let cache = &self.cache;
                            {
                                static __SITE: ::cache_runtime::__private::Site = ::cache_runtime::__private::Site::new(
                                        "find",
                                        ::cache_runtime::__private::package!(),
                                    )
                                    .recipe(&["id"])
                                    .stale_while_revalidate(60000u64)
                                    .stale_if_error(120000u64);
                                __SITE.call_in(&|| (), cache)
                            }
                        };
                        call.arg(&id);
                        ::cache_runtime::__private::begin(codec, call)
                    };
                    let body = ::std::boxed::Box::pin(async move {
                        if let ::core::option::Option::Some(r) = ::core::option::Option::None::<u8> {
                            return r;
                        }
                        #[allow(clippy::diverging_sub_expression, unused_braces)]
                        let out: u8 = {
                            let __self = self;
                            let id = id;
                            let __ret: u8 = { __self.load(id) };
                            __ret
                        };
                        #[allow(unreachable_code)] out
                    });
                    ::cache_runtime::__private::get_or_refresh(call, body).await
                })
            }
        "#]],
    );
}

#[test]
fn a_refresh_ahead_is_behind_the_call_where_the_arguments_are_owned() {
    let is_behind = |signature: &str| {
        let skipped = if signature.contains("self") { ", skip(self)" } else { "" };
        let attr = format!("refresh_ahead = 1.5{skipped}");
        let item = format!("async fn {signature} -> u8 {{ 1 }}");
        let expansion = expand(&attr, &item);
        assert!(expansion.contains(".refresh_ahead(1.5f64)"), "{expansion}");
        expansion.contains("get_or_refresh(call")
    };
    for owned in [
        "f()",
        "f(id: u8, name: &'static str)",
        "f(self: Arc<Self>, on: Box<dyn Fn(&str) + Send>)",
        "f(self, of: fn(&u8))",
        "f<const N: usize>(of: [u8; N])",
    ] {
        assert!(is_behind(owned), "{owned}");
    }
    for borrowed in [
        "f(&self)",
        "f(self: &Self)",
        "f(name: &str)",
        "f(name: Cow<'_, str>)",
        "f<T: Key>(of: T)",
        "f(of: Vec<impl Key>)",
    ] {
        assert!(!is_behind(borrowed), "{borrowed}");
    }
}
