//! Expansions of `#[cache_invalidate]`.

use expect_test::{Expect, expect};

use super::{laid_out, tokens};
use crate::pipeline::cache_invalidate;

fn check(attr: &str, item: &str, expected: &Expect) {
    expected.assert_eq(&laid_out(cache_invalidate(tokens(attr), tokens(item))));
}

#[test]
fn calls_prefixes_and_tags_come_before_the_body_and_closures_after_it() {
    check(
        r#"areas(listing.kind.clone()), |created| profile(created.id), prefix = "search", tag = "agent:{listing.agent_id}",
           self.find(&listing), prefix = "other", |Created { id, .. }: &Created| { find(id) }, cache = self.cache"#,
        r#"
        /// Docs.
        pub(crate) async fn rename(&self, listing: Listing, to: &mut String) -> Result<Listing, Error> {
            #![allow(unused)]
            Err("no")?
        }"#,
        &expect![[r#"
            /// Docs.
            #[allow(unused)]
            pub(crate) async fn rename(
                &self,
                listing: Listing,
                to: &mut String,
            ) -> Result<Listing, Error> {
                let mut writes = ::cache_runtime::__private::Invalidation::new_in(&self.cache);
                writes.call(areas(listing.kind.clone()));
                writes.call(self.find(&listing));
                writes.prefix("search");
                writes.prefix("other");
                writes.tag();
                writes.tag_text("agent:");
                writes.tag_part(&listing.agent_id);
                let shape = {
                    use ::cache_runtime::__private::levels::*;
                    ::cache_runtime::__private::Returns::<Result<Listing, Error>>::new().shape()
                };
                let body = async move {
                    if let ::core::option::Option::Some(r) = ::core::option::Option::None::<
                        Result<Listing, Error>,
                    > {
                        return r;
                    }
                    #[allow(clippy::diverging_sub_expression, unused_braces)]
                    let out: Result<Listing, Error> = { Err("no")? };
                    #[allow(unreachable_code)] out
                };
                let body = ::core::pin::pin!(body);
                ::std::boxed::Box::pin(
                        ::cache_runtime::__private::invalidating(
                            shape,
                            writes,
                            body,
                            |value, writes| {
                                {
                                    let created = value;
                                    writes.call(profile(created.id));
                                }
                                {
                                    let Created { id, .. }: &Created = value;
                                    writes.call({ find(id) });
                                }
                            },
                        ),
                    )
                    .await
            }
        "#]],
    );
}

#[test]
fn a_writer_that_returns_nothing() {
    check(
        r#"tag = "{_id}", crate = "crate::cache""#,
        "async fn f(#[cfg(a)] _id: u8) {}",
        &expect![[r#"
            async fn f(#[cfg(a)] _id: u8) {
                let mut writes = crate::cache::__private::Invalidation::new();
                writes.tag();
                #[cfg(a)] #[allow(clippy::used_underscore_binding)] writes.tag_part(&_id);
                let shape = {
                    use crate::cache::__private::levels::*;
                    crate::cache::__private::Returns::<()>::new().shape()
                };
                let body = async move {
                    if let ::core::option::Option::Some(r) = ::core::option::Option::None::<()> {
                        return r;
                    }
                    #[allow(clippy::diverging_sub_expression, unused_braces)]
                    let out: () = {};
                    #[allow(unreachable_code)] out
                };
                let body = ::core::pin::pin!(body);
                ::std::boxed::Box::pin(
                        crate::cache::__private::invalidating(shape, writes, body, |_, _| {}),
                    )
                    .await
            }
        "#]],
    );
}

#[test]
fn async_trait_is_rewritten_inside_its_box() {
    check(
        "|created| find(created.id)",
        "fn add<'life0, 'async_trait>(&'life0 self, __arg1: Path<String>)
            -> ::core::pin::Pin<Box<dyn ::core::future::Future<Output = User> + ::core::marker::Send + 'async_trait>>
        {
            Box::pin(async move {
                let __self = self;
                let Path(kind) = __arg1;
                let __ret: User = { __self.load(kind) };
                __ret
            })
        }",
        &expect![[r#"
            fn add<'life0, 'async_trait>(
                &'life0 self,
                __arg1: Path<String>,
            ) -> ::core::pin::Pin<
                Box<dyn ::core::future::Future<Output = User> + ::core::marker::Send + 'async_trait>,
            > {
                Box::pin(async move {
                    let Path(kind) = __arg1;
                    let writes = ::cache_runtime::__private::Invalidation::new();
                    let shape = {
                        use ::cache_runtime::__private::levels::*;
                        ::cache_runtime::__private::Returns::<User>::new().shape()
                    };
                    let body = async move {
                        if let ::core::option::Option::Some(r) = ::core::option::Option::None::<
                            User,
                        > {
                            return r;
                        }
                        #[allow(clippy::diverging_sub_expression, unused_braces)]
                        let out: User = {
                            let __self = self;
                            let __ret: User = { __self.load(kind) };
                            __ret
                        };
                        #[allow(unreachable_code)] out
                    };
                    let body = ::core::pin::pin!(body);
                    ::std::boxed::Box::pin(
                            ::cache_runtime::__private::invalidating(
                                shape,
                                writes,
                                body,
                                |value, writes| {
                                    {
                                        let created = value;
                                        writes.call(find(created.id));
                                    }
                                },
                            ),
                        )
                        .await
                })
            }
        "#]],
    );
}
