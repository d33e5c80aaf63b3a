//! Functions that share a name, a path, a prefix or a key: never are they served each other's
//! values.

// Many functions answer with the number of their run, whatever they are called with.
#![allow(unused_variables)]

use std::collections::HashSet;
use std::marker::PhantomData;
use std::sync::LazyLock;

use buyers_1::users as one;
use buyers_2::users as two;
use cache_runtime::{Cache, Config, OutcomeKind, Reason, cache_result, invalidate, observe};
use sellers_1::users as three;
use support::{Log, Server, apart, computed, hit, key_of, over_both, patient, run, stored};
use tracing::Level;

static LOG: LazyLock<Log> = LazyLock::new(Log::install);

struct Buyers;
struct Sellers;

impl Buyers {
    #[cache_result(prefix = "common-template", key = "{number}")]
    async fn template(number: u32) -> u64 {
        run()
    }

    #[cache_result(skip(self))]
    async fn get(&self, number: u32) -> u64 {
        run()
    }

    #[cache_result(prefix = "common-method")]
    async fn common(number: u32) -> u64 {
        run()
    }
}

impl Sellers {
    #[cache_result(prefix = "common-template", key = "{number}")]
    async fn template(number: u32) -> u64 {
        run()
    }

    #[cache_result(skip(self))]
    async fn get(&self, number: u32) -> u64 {
        run()
    }

    #[cache_result(prefix = "common-method")]
    async fn common(number: u32) -> u64 {
        run()
    }
}

#[tokio::test]
async fn two_impls_with_one_method_name_are_two_functions() {
    over_both(|cache| async move {
        apart!(cache: Buyers.get(1), Sellers.get(1));
        apart!(cache: Sellers.get(2), Buyers.get(2));
        apart!(cache: Buyers::common(1), Sellers::common(1));
        apart!(cache: Sellers::common(2), Buyers::common(2));
    })
    .await;
}

trait Default_ {
    #[cache_result(prefix = "common-template", key = "{number}", id = "default-method")]
    async fn named(&self, number: u32) -> u64 {
        run()
    }

    #[cache_result(skip(self))]
    async fn inherited(&self, number: u32) -> u64 {
        run()
    }

    #[cache_result(prefix = "common-default", skip(self))]
    async fn common(&self, number: u32) -> u64 {
        run()
    }
}

impl Default_ for Buyers {}
impl Default_ for Sellers {}
impl Default_ for [u8] {}
impl Default_ for (u8,) {}
impl Default_ for fn(u8) -> u8 {}
impl<T> Default_ for Option<T> {}

#[async_trait::async_trait]
trait Boxed: Send + Sync {
    #[cache_result(skip(self))]
    async fn boxed(&self, number: u32) -> u64 {
        let _ = number;
        run()
    }
}

impl Boxed for Buyers {}
impl Boxed for Sellers {}
impl<T: Send + Sync> Boxed for PhantomData<T> {}

#[tokio::test]
async fn a_default_method_is_a_function_of_its_own_for_each_implementor() {
    over_both(|cache| async move {
        let slice: &[u8] = &[1];
        let pointer: fn(u8) -> u8 = |byte| byte;
        apart!(cache:
            Buyers.inherited(1), Sellers.inherited(1), slice.inherited(1), (1,).inherited(1),
            pointer.inherited(1), Some(1u8).inherited(1), Some(1u16).inherited(1));
        apart!(cache: Some(1u16).inherited(2), Some(1u8).inherited(2), Sellers.inherited(2), Buyers.inherited(2));
        apart!(cache: Default_::common(&Buyers, 1), Default_::common(&Sellers, 1));
        apart!(cache: Default_::common(&Sellers, 2), Default_::common(&Buyers, 2));
        let objects: [&dyn Boxed; 4] =
            [&Buyers, &Sellers, &PhantomData::<u8>, &PhantomData::<Vec<u8>>];
        apart!(cache:
            objects[0].boxed(1), objects[1].boxed(1), objects[2].boxed(1), objects[3].boxed(1));
        assert_eq!(Buyers.boxed(1).await, objects[0].boxed(1).await);
    })
    .await;
}

struct Of<T, const N: usize = 0>(PhantomData<T>);

impl<T, const N: usize> Of<T, N> {
    #[cache_result(prefix = "common-template", key = "{number}")]
    async fn template(number: u32) -> u64 {
        run()
    }

    #[cache_result(prefix = "common-template", key = "{number}", id = "generic")]
    async fn named(number: u32) -> u64 {
        run()
    }

    #[cache_result]
    async fn get(number: u32) -> u64 {
        run()
    }

    #[cache_result(prefix = "common-generic")]
    async fn common<U: 'static, const FLAG: bool>(number: u32) -> u64 {
        run()
    }
}

impl Of<char> {
    #[cache_result]
    async fn special(number: u32) -> u64 {
        run()
    }
}

impl Of<bool> {
    #[cache_result]
    async fn special(number: u32) -> u64 {
        run()
    }
}

trait Into_<T> {
    async fn into_(&self, number: u32) -> u64;
}

impl Into_<u8> for Buyers {
    #[cache_result(skip(self))]
    async fn into_(&self, number: u32) -> u64 {
        run()
    }
}

impl Into_<u16> for Buyers {
    #[cache_result(skip(self))]
    async fn into_(&self, number: u32) -> u64 {
        run()
    }
}

#[tokio::test]
async fn type_and_const_parameters_make_functions_of_their_own() {
    over_both(|cache| async move {
        apart!(cache: Of::<u8>::get(1), Of::<u16>::get(1), Of::<u8, 1>::get(1), Of::<Of<u8>>::get(1));
        apart!(cache: Of::<u16>::get(2), Of::<u8>::get(2));
        apart!(cache:
            Of::<u8>::common::<u8, true>(1), Of::<u8>::common::<u8, false>(1),
            Of::<u8>::common::<u16, true>(1), Of::<u16>::common::<u8, true>(1));
        apart!(cache: Of::<char>::special(1), Of::<bool>::special(1));
        apart!(cache: Into_::<u8>::into_(&Buyers, 1), Into_::<u16>::into_(&Buyers, 1));
    })
    .await;
}

async fn first_outer(number: u32) -> (u64, OutcomeKind) {
    #[cache_result]
    async fn inner(number: u32) -> u64 {
        run()
    }
    let (value, outcome) = observe(inner(number)).await;
    (value, outcome.kind)
}

async fn second_outer(number: u32) -> (u64, OutcomeKind) {
    #[cache_result]
    async fn inner(number: u32) -> u64 {
        run()
    }
    let (value, outcome) = observe(inner(number)).await;
    (value, outcome.kind)
}

#[tokio::test]
async fn functions_of_one_name_in_two_functions_are_two() {
    over_both(|cache| async move {
        for number in [1, 2] {
            let (one, kind) = first_outer(number).await;
            assert_eq!(kind, OutcomeKind::Computed);
            cache.flush().await;
            let (two, kind) = second_outer(number).await;
            assert_eq!(kind, OutcomeKind::Computed);
            cache.flush().await;
            assert_eq!(first_outer(number).await, (one, OutcomeKind::Hit));
            assert_eq!(second_outer(number).await, (two, OutcomeKind::Hit));
        }
    })
    .await;
}

mod buyers {
    use super::run;
    use cache_runtime::cache_result;

    #[cache_result]
    pub(super) async fn get(number: u32) -> u64 {
        run()
    }

    #[cache_result(prefix = "common-module")]
    pub(super) async fn common(number: u32) -> u64 {
        run()
    }

    #[cache_result(prefix = "common-template", key = "{number}")]
    pub(super) async fn template(number: u32) -> u64 {
        run()
    }

    #[cache_result(prefix = "common-text", key = "{number}")]
    pub(super) async fn text(number: u32) -> u64 {
        run()
    }
}

mod sellers {
    use super::run;
    use cache_runtime::cache_result;

    #[cache_result]
    pub(super) async fn get(number: u32) -> u64 {
        run()
    }

    #[cache_result(prefix = "common-module")]
    pub(super) async fn common(number: u32) -> u64 {
        run()
    }

    #[cache_result(prefix = "common-template", key = "{number}")]
    pub(super) async fn template(number: u32) -> u64 {
        run()
    }

    #[cache_result(prefix = "common-text", key = "{number}")]
    pub(super) async fn text(number: u32) -> String {
        run().to_string()
    }
}

#[tokio::test]
async fn functions_of_two_modules_are_two_with_and_without_a_common_prefix() {
    over_both(|cache| async move {
        apart!(cache: buyers::get(1), sellers::get(1));
        apart!(cache: sellers::get(2), buyers::get(2));
        apart!(cache: buyers::common(1), sellers::common(1));
        apart!(cache: sellers::common(2), buyers::common(2));
    })
    .await;
}

#[tokio::test]
async fn functions_of_one_prefix_and_template_have_keys_of_their_own() {
    over_both(|cache| async move {
        apart!(cache: buyers::template(1), sellers::template(1));
        apart!(cache: sellers::template(2), buyers::template(2));
        // Would even decode as the other's value.
        let number = computed!(cache, buyers::text(1));
        assert_ne!(number.to_string(), computed!(cache, sellers::text(1)));
        assert_eq!(hit!(buyers::text(1)), number);
        apart!(cache: Of::<u8>::template(1), Of::<u16>::template(1), Of::<u8, 1>::template(1));
        apart!(cache: Of::<u8>::named(1), Of::<u16>::named(1), Of::<u8, 1>::named(1));
        apart!(cache: Buyers.named(1), Sellers.named(1));
        apart!(cache: Buyers::template(1), Sellers::template(1));
        let stats = cache.stats().prefix("common-template");
        assert_eq!(stats.dead, 0, "{stats:?}");
    })
    .await;
}

#[tokio::test]
async fn a_readable_key_ends_with_the_id_of_the_function_or_with_its_fingerprint() {
    over_both(|_| async {
        assert_eq!(key_of(identified(7)).await, "cache:user:7@user.by-id_2");
        assert_eq!(key_of(only_identified(7)).await.rsplit_once(':').unwrap().0, "cache:only-id");
        let fingerprints = [
            key_of(buyers::template(7)).await,
            key_of(sellers::template(7)).await,
            key_of(Of::<u8>::named(7)).await,
            key_of(Of::<u16>::named(7)).await,
        ];
        for key in &fingerprints {
            let (text, function) = key.rsplit_once('@').unwrap();
            assert_eq!(text, "cache:common-template:7");
            assert_eq!(function.len(), 8, "{key}");
        }
        assert_eq!(HashSet::from(fingerprints).len(), 4);
        let long = key_of(identified_text(&"x".repeat(300))).await;
        assert_eq!(long.len(), "cache:user:".len() + 43 + "@user-text".len(), "{long}");
    })
    .await;
}

#[cache_result(prefix = "user", key = "{number}", id = "user.by-id_2")]
async fn identified(number: u32) -> u64 {
    run()
}

#[cache_result(prefix = "user", key = "{text}", id = "user-text")]
async fn identified_text(text: &str) -> u64 {
    run()
}

#[cache_result(id = "only-id")]
async fn only_identified(number: u32) -> u64 {
    run()
}

mod first {
    #[cache_runtime::cache_result(id = "taken")]
    pub(super) async fn one(number: u32) -> u64 {
        super::run()
    }
}

mod second {
    #[cache_runtime::cache_result(id = "taken")]
    pub(super) async fn other(number: u32) -> u64 {
        super::run()
    }
}

#[tokio::test]
async fn of_two_functions_with_one_id_the_second_is_not_cached() {
    let _ = &*LOG;
    over_both(|cache| async move {
        let value = stored!(cache, first::one(1));
        for _ in 0..2 {
            let (other, outcome) = observe(second::other(1)).await;
            assert_eq!(outcome.reason(), Some(Reason::FunctionDisabled));
            assert_ne!(other, value);
        }
    })
    .await;
    let lines = LOG.lines(Level::WARN, "`other` cannot be told apart");
    assert_eq!(lines.len(), 1, "{lines:#?}");
    for part in ["has the same `id`", "identity::second::other", "identity::first::one"] {
        assert!(lines[0].contains(part), "{lines:#?}");
    }
}

#[tokio::test]
async fn packages_whose_crates_have_one_name_are_told_apart_and_so_are_two_versions_of_one() {
    over_both(|cache| async move {
        apart!(cache: one::find(1), two::find(1), three::find(1));
        apart!(cache: three::find(2), two::find(2), one::find(2));
        apart!(cache: one::read(1), two::read(1), three::read(1));
        invalidate(two::find(1)).await.unwrap();
        assert_eq!(hit!(one::find(1)), "buyers-1.4.0 1");
        assert_eq!(computed!(cache, two::find(1)), "buyers-2.0.0 1");
        assert_eq!(hit!(three::find(1)), "sellers-1.4.0 1");
        invalidate(three::read(1)).await.unwrap();
        assert_eq!(hit!(two::read(1)), "buyers-2.0.0 1");
        assert_eq!(computed!(cache, three::read(1)), "sellers-1.4.0 1");
    })
    .await;
}

#[tokio::test]
async fn functions_of_one_id_in_two_packages_overwrite_each_other_and_say_so_once() {
    let _ = &*LOG;
    over_both(|cache| async move {
        for number in [1, 2] {
            let before = cache.stats().prefix("readable").dead;
            for _ in 0..2 {
                assert_eq!(
                    stored!(cache, one::readable_email(number)),
                    format!("buyers-1.4.0 {number}")
                );
                assert_eq!(
                    stored!(cache, three::readable_email(number)),
                    format!("sellers-1.4.0 {number}")
                );
            }
            let stats = cache.stats().prefix("readable");
            assert_eq!(stats.dead, before + 3, "{stats:?}");
            let keys =
                [key_of(one::readable_email(1)).await, key_of(three::readable_email(1)).await];
            assert_eq!(keys, ["cache:readable:1@readable-email"; 2]);
        }
    })
    .await;
    let lines = LOG.lines(Level::WARN, "two functions share a key");
    let lines: Vec<_> = lines.iter().filter(|line| line.contains("readable_email")).collect();
    assert_eq!(lines.len(), 2, "{lines:#?}");
    assert!(lines.iter().all(|line| line.contains("give one of them another `id`")), "{lines:#?}");
}

/// Where the server of the first deployment is.
const SERVER: &str = "CACHE_TEST_IDENTITY_SERVER";

#[tokio::test]
async fn a_deployment_takes_from_the_one_before_it_what_it_would_have_computed() {
    let server = Server::start().await;
    let cache = server.cache().await;
    cache
        .scope(async {
            computed!(cache, one::find(1));
            computed!(cache, one::distance(1, 2));
            computed!(cache, one::one_of(1, 2));
            computed!(cache, one::skipping(1, 2));
            computed!(cache, one::template(1, 2));
            computed!(cache, one::conditional(1));
            computed!(cache, one::email(1));
            computed!(cache, one::readable_email(1));
        })
        .await;
    // Another process: in one, the second of two functions of one name is refused.
    let output = tokio::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_next_deployment", "--ignored", "--nocapture"])
        .env(SERVER, server.url())
        .output()
        .await
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("1 passed"), "{text}");
}

/// Run by the test above in a process of its own.
#[tokio::test]
#[ignore = "needs the entries of another process"]
async fn the_next_deployment() {
    let Ok(url) = std::env::var(SERVER) else { return };
    let cache = Cache::connect(patient(Config::redis(&url).unwrap())).await.unwrap();
    cache
        .scope(async {
            use buyers_next::{people, users};
            assert_eq!(hit!(users::find(1)), "buyers-1.4.0 1");
            // Other arguments, though their bytes are the same.
            assert_eq!(computed!(cache, users::distance(1, 2)), "next 2 1");
            assert_eq!(computed!(cache, users::one_of(2, 1)), "next 2 1");
            assert_eq!(computed!(cache, users::skipping(2, 1)), "next 2 1");
            assert_eq!(computed!(cache, users::template(1, 2)), "next 2 1");
            assert_eq!(computed!(cache, users::conditional(1)), "next 1");
            // Moved and renamed, and known by the id.
            assert_eq!(hit!(people::email_of(1)), "buyers-1.4.0 1");
            assert_eq!(hit!(people::readable_email_of(1)), "buyers-1.4.0 1");
            invalidate(people::email_of(1)).await.unwrap();
            assert_eq!(computed!(cache, people::email_of(1)), "next 1");
        })
        .await;
}

#[tokio::test]
async fn put_and_peek_keep_functions_with_one_key_apart() {
    over_both(|cache| async move {
        let (left, right) = ("left".to_owned(), "right".to_owned());
        cache_runtime::put(one::readable_email(7), left.clone()).await.unwrap();
        assert_eq!(cache_runtime::peek(three::readable_email(7)).await, None);
        assert_eq!(cache_runtime::peek(one::readable_email(7)).await, Some(left));
        cache_runtime::put(three::readable_email(7), right.clone()).await.unwrap();
        assert_eq!(cache_runtime::peek(one::readable_email(7)).await, None);
        assert_ne!(computed!(cache, one::readable_email(7)), right);
    })
    .await;
}

#[tokio::test]
async fn of_two_items_that_cannot_be_told_apart_the_second_is_not_cached() {
    let _ = &*LOG;
    over_both(|cache| async move {
        let first = {
            #[cache_result]
            async fn twin(number: u32) -> u64 {
                run()
            }
            let value = observe(twin(1)).await;
            cache.flush().await;
            assert!(value.1.is_computed());
            assert_eq!(hit!(twin(1)), value.0);
            value.0
        };
        {
            #[cache_result]
            async fn twin(number: u32) -> u64 {
                run()
            }
            for _ in 0..2 {
                let (value, outcome) = observe(twin(1)).await;
                assert_eq!(outcome.reason(), Some(Reason::FunctionDisabled));
                assert_ne!(value, first);
                cache.flush().await;
            }
            assert_eq!(cache_runtime::peek(twin(1)).await, None);
        }
    })
    .await;
    let lines = LOG.lines(Level::WARN, "`twin` cannot be told apart");
    assert_eq!(lines.len(), 1, "{lines:#?}");
}

#[tokio::test]
async fn of_two_items_in_two_blocks_of_async_code_the_second_is_not_cached_either() {
    over_both(|cache| async move {
        let first = async {
            #[cache_result]
            async fn sibling(number: u32) -> u64 {
                run()
            }
            observe(sibling(1)).await
        };
        let second = async {
            #[cache_result]
            async fn sibling(number: u32) -> u64 {
                run()
            }
            observe(sibling(1)).await
        };
        let (one, outcome) = first.await;
        assert!(outcome.is_computed());
        cache.flush().await;
        let (two, outcome) = second.await;
        assert_eq!(outcome.reason(), Some(Reason::FunctionDisabled));
        assert_ne!(one, two);
    })
    .await;
}

#[tokio::test]
async fn no_key_of_a_function_lies_under_another_namespace_or_prefix() {
    let server = Server::start().await;
    let cache = server.cache().await;
    cache
        .scope(async {
            computed!(cache, Buyers::common(1));
            computed!(cache, buyers::common(1));
            computed!(cache, <[u8] as Default_>::inherited(&[], 1));
            let pointer: fn(u8) -> u8 = |byte| byte;
            computed!(cache, pointer.inherited(1));
        })
        .await;
    for key in server.keys().await {
        assert!(key.starts_with("cache:"), "{key}");
        assert!(!key.contains(|c: char| c.is_whitespace() || c.is_control()), "{key}");
    }
    assert_eq!(server.entries().await.len(), 4);
    let other = Cache::connect(server.config().namespace("other")).await.unwrap();
    other
        .scope(async {
            computed!(other, Buyers::common(1));
        })
        .await;
    assert_eq!(server.entries().await.len(), 5);
}
