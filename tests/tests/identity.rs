//! Functions that share a name, a path, a prefix or a key: never are they served each other's
//! values.

use std::collections::HashSet;
use std::marker::PhantomData;
use std::sync::LazyLock;

use cache_runtime::{Cache, OutcomeKind, Reason, cache_result, explain, observe};
use integration_tests::{Log, Server, apart, computed, hit, over_both, run};
use tracing::Level;

static LOG: LazyLock<Log> = LazyLock::new(Log::install);

struct Buyers;
struct Sellers;

impl Buyers {
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

    /// Would even decode as the other's value.
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
async fn two_functions_that_share_a_key_overwrite_each_other_and_say_so_once() {
    let _ = &*LOG;
    over_both(|cache| async move {
        for number in [1, 2] {
            let before = cache.stats().prefix("common-template").dead;
            let mut seen = HashSet::new();
            for _ in 0..2 {
                assert!(seen.insert(computed!(cache, buyers::template(number))));
                hit!(buyers::template(number));
                assert!(seen.insert(computed!(cache, sellers::template(number))));
                hit!(sellers::template(number));
            }
            let stats = cache.stats().prefix("common-template");
            assert_eq!(stats.dead, before + 3, "{stats:?}");
            let keys = [explain(buyers::template(1)).await, explain(sellers::template(1)).await];
            let [one, other] = keys.map(|explained| explained.unwrap().key);
            assert_eq!(one, other);
        }
    })
    .await;
    let lines = LOG.lines(Level::WARN, "share a key");
    let naming = |function: &str, other: &str| {
        let (function, other) = (format!("function={function:?}"), format!("other={other:?}"));
        lines.iter().filter(|line| line.contains(&function) && line.contains(&other)).count()
    };
    let (buyers, sellers) = ("identity::buyers::template", "identity::sellers::template");
    assert_eq!(naming(sellers, buyers), 1, "{lines:#?}");
    assert_eq!(naming(buyers, sellers), 1, "{lines:#?}");
}

#[tokio::test]
async fn an_entry_of_another_function_and_type_is_dead_in_both_orders() {
    over_both(|cache| async move {
        let number = computed!(cache, buyers::text(1));
        let text = computed!(cache, sellers::text(1));
        assert_ne!(number.to_string(), text);
        computed!(cache, buyers::text(1));
        let text = computed!(cache, sellers::text(2));
        assert_ne!(computed!(cache, buyers::text(2)).to_string(), text);
    })
    .await;
}

#[tokio::test]
async fn put_and_peek_keep_functions_with_one_key_apart() {
    over_both(|cache| async move {
        cache_runtime::put(buyers::template(7), 700_007).await.unwrap();
        assert_eq!(cache_runtime::peek(sellers::template(7)).await, None);
        assert_eq!(cache_runtime::peek(buyers::template(7)).await, Some(700_007));
        cache_runtime::put(sellers::template(7), 700_008).await.unwrap();
        assert_eq!(cache_runtime::peek(buyers::template(7)).await, None);
        assert_ne!(computed!(cache, buyers::template(7)), 700_008);
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
                assert_eq!(outcome.reason(), Some(Reason::Site));
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
        assert_eq!(outcome.reason(), Some(Reason::Site));
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
