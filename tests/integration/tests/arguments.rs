//! Every shape of arguments and receivers: calls that differ in what counts are told apart, calls
//! that differ in what does not are not.

// Many functions answer with the number of their run, whatever they are called with.
#![allow(unused_variables)]
// The shapes are the point, not whether a function that only counts could do with less.
#![allow(clippy::needless_pass_by_value, clippy::option_option, clippy::trivially_copy_pass_by_ref)]

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::sync::Arc;

use axum::extract::{Path, State};
use cache_runtime::{Cache, Reason, cache_result, explain, observe};
use serde::{Deserialize, Serialize};
use support::{apart, both_stores, hit, in_memory, over_both, readable, run, stored};

/// A run that looks at an argument.
fn using<T>(_argument: T) -> u64 {
    run()
}

/// All calls have one value.
macro_rules! together {
    ($cache:ident: $first:expr, $($call:expr),+ $(,)?) => {{
        let value = stored!($cache, $first);
        $(
            assert_eq!(hit!($call), value);
        )+
    }};
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
struct Item {
    id: u32,
    name: String,
}

fn item(id: u32, name: &str) -> Item {
    Item { id, name: name.to_owned() }
}

/// Not serializable, so it can only be skipped.
struct Db;

impl Db {
    fn query(&self) -> u64 {
        using(self)
    }
}

#[cache_result]
async fn none() -> u64 {
    run()
}

#[cache_result]
async fn owned(name: String, number: u32) -> u64 {
    drop(name);
    using(number)
}

#[cache_result]
async fn text(name: &str) -> u64 {
    run()
}

#[cache_result]
async fn slice(items: &[Item]) -> u64 {
    run()
}

#[cache_result]
async fn texts(texts: &[&str]) -> u64 {
    run()
}

#[cache_result]
async fn optional(item: Option<&Item>) -> u64 {
    run()
}

#[cache_result]
async fn copied(item: Cow<'_, str>, flag: bool, letter: char, ratio: f64) -> u64 {
    run()
}

#[tokio::test]
async fn no_arguments_make_one_entry() {
    over_both(|cache| async move {
        together!(cache: none(), none());
    })
    .await;
}

#[tokio::test]
async fn owned_and_borrowed_arguments_belong_to_the_key() {
    over_both(|cache| async move {
        apart!(cache:
            owned("a".into(), 1), owned("a".into(), 2), owned("b".into(), 1), owned(String::new(), 1));
        apart!(cache: text("a"), text("b"), text(""), text("a "), text("ä"));
        let [one, two] = [item(1, "one"), item(2, "two")];
        let both = [one.clone(), two.clone()];
        let turned = [two.clone(), one.clone()];
        apart!(cache: slice(&[]), slice(&both), slice(&turned), slice(&both[..1]));
        apart!(cache: texts(&["ab"]), texts(&["a", "b"]), texts(&["", "ab"]), texts(&["ab", ""]));
        apart!(cache: optional(None), optional(Some(&one)), optional(Some(&two)));
        apart!(cache:
            copied("a".into(), true, 'x', 0.5), copied("a".into(), false, 'x', 0.5),
            copied("a".into(), true, 'y', 0.5), copied("a".into(), true, 'x', 0.25));
        together!(cache:
            copied(Cow::Borrowed("same"), true, 'x', 0.5),
            copied(Cow::Owned("same".into()), true, 'x', 0.5));
    })
    .await;
}

#[cache_result]
async fn implementor(item: impl Serialize) -> u64 {
    run()
}

#[cache_result]
async fn generic<T>(item: T) -> u64
where
    T: Serialize,
{
    run()
}

#[cache_result]
async fn unsized_generic<T: Serialize + ?Sized>(item: &T) -> u64 {
    run()
}

#[cache_result]
async fn marked<T: 'static>() -> u64 {
    run()
}

// serde knows arrays only by written-out lengths.
#[cache_result(key = (items.as_slice()))]
async fn sized<const N: usize>(items: [u8; N]) -> u64 {
    run()
}

#[cache_result]
async fn flagged<const FLAG: bool>() -> u64 {
    run()
}

#[cache_result]
async fn borrowing<'a, 'b: 'a>(one: &'a str, two: &'b str) -> u64 {
    run()
}

#[tokio::test]
async fn generic_functions_are_told_apart_by_type_and_by_value() {
    over_both(|cache| async move {
        apart!(cache: implementor(1u8), implementor(2u8), implementor(1u16), implementor("1"));
        apart!(cache: generic(1u8), generic(2u8), generic(1u16), generic("1"), generic(Some(1u8)));
        apart!(cache: unsized_generic("1"), unsized_generic(&[1u8][..]), unsized_generic(&1u8));
        apart!(cache: marked::<u8>(), marked::<u16>(), marked::<PhantomData<u8>>());
        apart!(cache: sized([]), sized([1]), sized([2]), sized([1, 1]));
        apart!(cache: flagged::<true>(), flagged::<false>());
        let local = "b".to_owned();
        apart!(cache: borrowing("a", &local), borrowing(&local, "a"), borrowing("ab", ""));
    })
    .await;
}

struct Pair(u32, u32);

struct Page {
    number: u32,
    size: u32,
}

#[cache_result]
async fn handler(State(db): State<Arc<str>>, Path(kind): Path<String>) -> u64 {
    run()
}

#[cache_result(skip(db))]
async fn skipping_handler(State(db): State<Arc<Db>>, Path((kind, id)): Path<(String, u32)>) -> u64 {
    drop((kind, id));
    db.query()
}

#[cache_result]
async fn patterns(
    (a, b): (u32, u32),
    Pair(c, _): Pair,
    Page { number, .. }: Page,
    [first, .., last]: [u8; 3],
    whole @ (_, _): (u8, u8),
    &by_reference: &u32,
) -> u64 {
    run()
}

fn page(number: u32, size: u32) -> Page {
    assert!(size > 0 && Page { number, size }.size == size);
    Page { number, size }
}

#[tokio::test]
async fn pattern_arguments_count_as_the_names_they_bind() {
    over_both(|cache| async move {
        let (db, other): (Arc<str>, Arc<str>) = ("db".into(), "other".into());
        apart!(cache:
            handler(State(db.clone()), Path("buy".into())),
            handler(State(db.clone()), Path("rent".into())),
            handler(State(other.clone()), Path("rent".into())));
        let db = Arc::new(Db);
        apart!(cache:
            skipping_handler(State(db.clone()), Path(("buy".into(), 1))),
            skipping_handler(State(db.clone()), Path(("buy".into(), 2))));
        together!(cache:
            skipping_handler(State(Arc::new(Db)), Path(("sell".into(), 1))),
            skipping_handler(State(db.clone()), Path(("sell".into(), 1))));
        apart!(cache:
            patterns((1, 2), Pair(3, 0), page(4, 9), [5, 0, 6], (7, 8), &9),
            patterns((0, 2), Pair(3, 0), page(4, 9), [5, 0, 6], (7, 8), &9),
            patterns((1, 0), Pair(3, 0), page(4, 9), [5, 0, 6], (7, 8), &9),
            patterns((1, 2), Pair(0, 0), page(4, 9), [5, 0, 6], (7, 8), &9),
            patterns((1, 2), Pair(3, 0), page(0, 9), [5, 0, 6], (7, 8), &9),
            patterns((1, 2), Pair(3, 0), page(4, 9), [0, 0, 6], (7, 8), &9),
            patterns((1, 2), Pair(3, 0), page(4, 9), [5, 0, 0], (7, 8), &9),
            patterns((1, 2), Pair(3, 0), page(4, 9), [5, 0, 6], (7, 0), &9),
            patterns((1, 2), Pair(3, 0), page(4, 9), [5, 0, 6], (7, 8), &0));
        // What the function cannot see does not count.
        together!(cache:
            patterns((0, 0), Pair(0, 1), page(0, 1), [0, 1, 0], (0, 0), &0),
            patterns((0, 0), Pair(0, 2), page(0, 2), [0, 2, 0], (0, 0), &0));
    })
    .await;
}

#[cache_result]
async fn wild(_: u32, _named: u32) -> u64 {
    run()
}

#[cache_result]
async fn mutable(mut items: Vec<u32>, mut number: u32) -> (Vec<u32>, u64) {
    number += 1;
    items.push(number);
    (items, run())
}

#[cache_result(skip(db, verbose))]
async fn skipping(db: &Db, id: u32, verbose: bool) -> u64 {
    if verbose { db.query() } else { run() }
}

#[cache_result]
async fn raw(r#type: &str, r#match: u32) -> u64 {
    run()
}

#[cache_result]
async fn conditional(
    number: u32,
    #[cfg(not(any()))] present: u32,
    #[cfg(any())] absent: NoSuchType,
) -> u64 {
    run()
}

#[tokio::test]
async fn what_the_body_does_with_its_arguments_does_not_change_the_key() {
    over_both(|cache| async move {
        together!(cache: wild(1, 2), wild(3, 2));
        apart!(cache: wild(1, 3), wild(1, 4));
        apart!(cache: mutable(vec![1], 2), mutable(vec![1, 3], 2), mutable(vec![1], 3));
        assert_eq!(mutable(vec![1], 2).await.0, [1, 3]);
        together!(cache: skipping(&Db, 1, true), skipping(&Db, 1, false));
        apart!(cache: skipping(&Db, 2, true), skipping(&Db, 3, false));
        apart!(cache: raw("a", 1), raw("b", 1), raw("a", 2));
        apart!(cache: conditional(1, 2), conditional(2, 2), conditional(1, 3));
    })
    .await;
}

/// The names of the expansion's own locals.
#[cache_result(skip(out), when = *codec < 100)]
async fn unhygienic(codec: &u32, call: u32, body: u32, cache: u32, r: u32, out: &Db) -> u64 {
    let _ = out.query();
    let (site, identity, key) = (call + body, cache + r, codec);
    assert_eq!(site + identity + key, call + body + cache + r + codec);
    run()
}

#[tokio::test]
async fn arguments_may_be_called_what_the_expansion_calls_its_own() {
    over_both(|cache| async move {
        apart!(cache:
            unhygienic(&1, 2, 3, 4, 5, &Db), unhygienic(&0, 2, 3, 4, 5, &Db),
            unhygienic(&1, 0, 3, 4, 5, &Db), unhygienic(&1, 2, 0, 4, 5, &Db),
            unhygienic(&1, 2, 3, 0, 5, &Db), unhygienic(&1, 2, 3, 4, 0, &Db));
    })
    .await;
}

#[cache_result(prefix = "template", key = "{kind}:{page.number}-{pair.1}{{}}")]
async fn template(kind: &str, page: &Page, pair: Pair) -> u64 {
    let _ = (page.size, pair.0);
    run()
}

#[cache_result(prefix = "raw-template", key = "{type}")]
async fn raw_template(r#type: &str) -> u64 {
    run()
}

#[cache_result(key = (kind.to_lowercase(), page / 10, pair.0))]
async fn values(kind: &str, page: u32, pair: &Pair) -> u64 {
    let _ = pair.1;
    run()
}

#[cache_result(key = (page))]
async fn one_value(kind: &str, page: u32) -> u64 {
    let _ = kind;
    run()
}

#[tokio::test]
async fn a_key_says_what_counts() {
    over_both(|cache| async move {
        apart!(cache:
            template("a", &page(1, 1), Pair(0, 1)), template("b", &page(1, 1), Pair(0, 1)),
            template("a", &page(2, 1), Pair(0, 1)), template("a", &page(1, 1), Pair(0, 2)));
        together!(cache:
            template("c", &page(1, 1), Pair(0, 1)), template("c", &page(1, 2), Pair(9, 1)));
        let key = explain(template("a b:c", &page(1, 1), Pair(0, 1))).await.unwrap().key.unwrap();
        assert_eq!(readable(&key), "cache:template:a%20b%3Ac:1-1{}");
        let key = explain(raw_template("x")).await.unwrap().key.unwrap();
        assert_eq!(readable(&key), "cache:raw-template:x");
        apart!(cache: raw_template("a"), raw_template("b"));
        together!(cache: values("A", 10, &Pair(1, 1)), values("a", 19, &Pair(1, 2)));
        apart!(cache: values("b", 10, &Pair(1, 1)), values("b", 20, &Pair(1, 1)), values("b", 10, &Pair(2, 1)));
        together!(cache: one_value("a", 1), one_value("b", 1));
        apart!(cache: one_value("a", 2), one_value("a", 3));
    })
    .await;
}

type Long<'a> = &'a str;

#[cache_result]
#[allow(clippy::too_many_arguments)]
async fn many(
    a: Long<'_>,
    b: Long<'_>,
    c: Long<'_>,
    d: u128,
    e: (u64, u64, u64),
    f: BTreeMap<u32, Vec<String>>,
    g: Option<Option<bool>>,
    h: [f32; 4],
    i: Result<u8, u8>,
    j: Box<[Item]>,
) -> u64 {
    run()
}

#[tokio::test]
async fn arguments_past_the_buffer_on_the_stack_count_to_the_last_byte() {
    over_both(|cache| async move {
        let long = "x".repeat(500);
        let map = |text: &str| BTreeMap::from([(1, vec![long.clone(), text.to_owned()])]);
        let items = |id| Box::new([item(0, &long), item(id, "")]) as Box<[Item]>;
        let call = |d, text, g, last, id| {
            many(&long, "", &long, d, (1, 2, 3), map(text), g, [0.; 4], last, items(id))
        };
        apart!(cache:
            call(u128::MAX, "", None, Ok(0), 0), call(u128::MAX - 1, "", None, Ok(0), 0),
            call(u128::MAX, "x", None, Ok(0), 0), call(u128::MAX, "", Some(None), Ok(0), 0),
            call(u128::MAX, "", Some(Some(false)), Ok(0), 0),
            call(u128::MAX, "", None, Err(0), 0), call(u128::MAX, "", None, Ok(0), 1));
    })
    .await;
}

#[derive(Clone, Copy)]
struct Repository {
    id: u32,
    limit: u32,
}

impl Repository {
    #[cache_result(skip(self))]
    async fn shared(&self, number: u32) -> u64 {
        let _ = self.limit;
        run()
    }

    #[cache_result(key = "{self.id}:{number}")]
    async fn of_each(&self, number: u32) -> u64 {
        run()
    }

    #[cache_result(key = (self.id, number))]
    async fn by_value(self, number: u32) -> u64 {
        let _ = self.limit;
        run()
    }

    #[cache_result(key = (self.id, number))]
    async fn in_an_arc(self: Arc<Self>, number: u32) -> u64 {
        let _ = self.limit;
        run()
    }

    #[cache_result(key = "{self.id}")]
    async fn in_a_box(self: Box<Self>, _number: u32) -> u64 {
        drop(self);
        run()
    }

    #[cache_result(key = "{self.id}")]
    async fn behind_an_arc(self: &Arc<Self>) -> u64 {
        run()
    }

    #[cache_result]
    async fn without_self(number: u32) -> u64 {
        run()
    }
}

const fn repository(id: u32, limit: u32) -> Repository {
    Repository { id, limit }
}

#[tokio::test]
async fn methods_say_what_of_self_counts() {
    over_both(|cache| async move {
        let [a, b] = [repository(1, 10), repository(2, 10)];
        together!(cache: a.shared(1), b.shared(1));
        apart!(cache: a.shared(2), a.shared(3));
        apart!(cache: a.of_each(1), a.of_each(2), b.of_each(1));
        together!(cache: a.of_each(3), repository(1, 99).of_each(3));
        apart!(cache: a.by_value(1), a.by_value(2), b.by_value(1));
        let arc = || Arc::new(a);
        apart!(cache: arc().in_an_arc(1), arc().in_an_arc(2), Arc::new(b).in_an_arc(1));
        together!(cache: Box::new(a).in_a_box(1), Box::new(a).in_a_box(2));
        apart!(cache: arc().behind_an_arc(), Arc::new(b).behind_an_arc());
        apart!(cache: Repository::without_self(1), Repository::without_self(2));
    })
    .await;
}

trait Source {
    fn id(&self) -> u32;

    #[cache_result(key = (self.id(), number))]
    async fn by_default(&self, number: u32) -> u64 {
        run()
    }

    async fn of_each(&self, number: u32) -> u64;
}

impl Source for Repository {
    fn id(&self) -> u32 {
        self.id
    }

    #[cache_result(key = "{self.id}:{number}")]
    async fn of_each(&self, number: u32) -> u64 {
        run()
    }
}

#[tokio::test]
async fn trait_methods_are_cached_with_and_without_a_default_body() {
    over_both(|cache| async move {
        let [a, b] = [repository(1, 0), repository(2, 0)];
        apart!(cache:
            Source::by_default(&a, 1), Source::by_default(&a, 2), Source::by_default(&b, 1));
        apart!(cache: Source::of_each(&a, 1), Source::of_each(&a, 2), Source::of_each(&b, 1));
        assert_ne!(Source::of_each(&a, 1).await, a.of_each(1).await);
    })
    .await;
}

#[async_trait::async_trait]
trait Remote: Send + Sync {
    fn id(&self) -> u32;

    #[cache_result(key = (self.id(), number))]
    async fn by_default(&self, number: u32) -> u64 {
        using(number)
    }

    async fn skipping(&self, name: &str) -> Result<u64, String>;
    async fn template(&self, kind: &str) -> u64;
    async fn patterns(&self, pair: (u32, u32), path: Path<String>) -> u64;
    async fn owned(self: Arc<Self>, number: u32) -> u64;
    async fn generic<T: Serialize + Send + Sync>(&self, item: T) -> u64
    where
        Self: Sized;
}

#[async_trait::async_trait]
impl Remote for Repository {
    fn id(&self) -> u32 {
        self.id
    }

    #[cache_result(skip(self))]
    async fn skipping(&self, name: &str) -> Result<u64, String> {
        if name.is_empty() {
            return Err("no name".into());
        }
        tokio::task::yield_now().await;
        Ok(using(self.limit))
    }

    #[cache_result(key = "{self.id}:{kind}")]
    async fn template(&self, kind: &str) -> u64 {
        run()
    }

    #[cache_result(skip(self))]
    async fn patterns(&self, (a, mut b): (u32, u32), Path(kind): Path<String>) -> u64 {
        b += 1;
        assert!(b > 0);
        run()
    }

    #[cache_result(key = (self.id, number))]
    async fn owned(self: Arc<Self>, number: u32) -> u64 {
        using(number)
    }

    #[cache_result(key = (self.id, &item))]
    async fn generic<T: Serialize + Send + Sync>(&self, item: T) -> u64 {
        drop(item);
        run()
    }
}

#[tokio::test]
async fn methods_under_async_trait_are_cached_also_behind_dyn() {
    over_both(|cache| async move {
        let (a, b) = (repository(1, 0), repository(2, 0));
        let dynamic: &dyn Remote = &a;
        apart!(cache: dynamic.by_default(1), dynamic.by_default(2), Remote::by_default(&b, 1));
        together!(cache: dynamic.skipping("x"), b.skipping("x"));
        assert_eq!(dynamic.skipping("").await, Err("no name".into()));
        apart!(cache: dynamic.template("x"), dynamic.template("y"), b.template("x"));
        let path = |kind: &str| Path(kind.to_owned());
        apart!(cache:
            dynamic.patterns((1, 2), path("x")), dynamic.patterns((2, 2), path("x")),
            dynamic.patterns((1, 3), path("x")), dynamic.patterns((1, 2), path("y")));
        let arc = || Arc::new(a) as Arc<dyn Remote>;
        apart!(cache: arc().owned(1), arc().owned(2), Remote::owned(Arc::new(b), 1));
        apart!(cache: a.generic(1u8), a.generic(1u16), a.generic("1"), b.generic(1u8));
    })
    .await;
}

macro_rules! cached {
    ($name:ident($arg:ident: $ty:ty), $ttl:expr, $key:expr, $when:expr) => {
        #[cache_result(ttl = $ttl, key = $key, when = $when)]
        async fn $name($arg: $ty, hidden: u32) -> u64 {
            let _ = hidden;
            run()
        }
    };
}

cached!(given_its_options(given: String), std::time::Duration::from_secs(9), (given.len()), !given.is_empty());

macro_rules! cached_all {
    ($($name:ident),*) => {$(
        #[cache_result(ttl = 60)]
        async fn $name(number: u32, text: &str) -> u64 {
            run()
        }
    )*};
}

macro_rules! cached_keyed {
    ($name:ident, $arg:ident) => {
        #[cache_result(ttl = 60, key = "{number}:{other}", when = number < 1000)]
        async fn $name(number: u32, other: u32, $arg: u32) -> u64 {
            let _ = $arg;
            run()
        }
    };
}

cached_all!(from_a_macro, from_the_same_macro);
cached_keyed!(keyed_from_a_macro, given);

#[tokio::test]
async fn functions_that_a_macro_writes_are_cached() {
    over_both(|cache| async move {
        apart!(cache:
            from_a_macro(1, "a"), from_a_macro(2, "a"), from_a_macro(1, "b"),
            from_the_same_macro(1, "a"));
        let given = |text: &str| text.to_owned();
        together!(cache: given_its_options(given("a"), 1), given_its_options(given("b"), 2));
        apart!(cache: given_its_options(given("ab"), 1), given_its_options(given("abc"), 1));
        together!(cache: keyed_from_a_macro(1, 2, 3), keyed_from_a_macro(1, 2, 4));
        apart!(cache: keyed_from_a_macro(1, 3, 3), keyed_from_a_macro(2, 3, 3));
    })
    .await;
}

#[tokio::test]
async fn functions_in_functions_and_blocks_are_cached() {
    #[cache_result]
    async fn inner(number: u32) -> u64 {
        run()
    }
    over_both(|cache| async move {
        #[cache_result]
        async fn in_a_closure(number: u32) -> u64 {
            using(inner(number).await)
        }
        apart!(cache: inner(1), inner(2), in_a_closure(1), in_a_closure(2));
    })
    .await;
}

#[cache_result(when = number < 10 && !text.is_empty())]
async fn sometimes(number: u32, text: &str) -> u64 {
    run()
}

#[tokio::test]
async fn a_call_for_which_when_is_false_runs_each_time_and_leaves_nothing() {
    over_both(|cache| async move {
        apart!(cache: sometimes(1, "a"), sometimes(9, "a"));
        for (number, text) in [(10, "a"), (1, "")] {
            let (first, outcome) = observe(sometimes(number, text)).await;
            assert_eq!(outcome.reason(), Some(Reason::When));
            cache.flush().await;
            assert_ne!(sometimes(number, text).await, first);
            assert_eq!(explain(sometimes(number, text)).await.unwrap().stored, None);
        }
    })
    .await;
}

struct Service {
    cache: Cache,
    shared: Arc<Cache>,
}

impl Service {
    #[cache_result(cache = self.cache, skip(self))]
    async fn by_field(&self, number: u32) -> u64 {
        run()
    }

    #[cache_result(cache = &self.shared, skip(self))]
    async fn by_arc(&self, number: u32) -> u64 {
        run()
    }

    fn chosen(&self) -> &Cache {
        &self.cache
    }

    #[cache_result(cache = self.chosen(), key = "{number}")]
    async fn by_method(&self, number: u32) -> u64 {
        run()
    }
}

#[cache_result(cache = cache, skip(cache))]
async fn by_argument(cache: &Cache, number: u32) -> u64 {
    run()
}

#[cache_result(cache = Cache::disabled())]
async fn by_expression(number: u32) -> u64 {
    run()
}

#[tokio::test]
async fn a_function_uses_the_cache_that_it_names_whatever_the_scope() {
    let (server, caches) = both_stores().await;
    for cache in caches {
        let service = Service { cache: cache.clone(), shared: Arc::new(cache.clone()) };
        Cache::disabled()
            .scope(async {
                apart!(cache: service.by_field(1), service.by_field(2));
                apart!(cache: service.by_arc(1), service.by_arc(2));
                apart!(cache: service.by_method(1), service.by_method(2));
                apart!(cache: by_argument(&cache, 1), by_argument(&cache, 2));
            })
            .await;
        let others = in_memory();
        let other = others.scope(by_argument(&others, 1)).await;
        assert_ne!(other, by_argument(&cache, 1).await);
        let (_, outcome) = cache.scope(observe(by_expression(1))).await;
        assert_eq!(outcome.reason(), Some(Reason::Off));
    }
    drop(server);
}

mod vendor {
    pub(crate) use cache_runtime as runtime;
}

#[vendor::runtime::cache_result(crate = "crate::vendor::runtime", ttl = 60, none_ttl = 5)]
async fn re_exported(number: u32) -> Option<u64> {
    Some(run())
}

#[tokio::test]
async fn the_runtime_may_come_from_a_re_export() {
    over_both(|cache| async move {
        apart!(cache: re_exported(1), re_exported(2));
    })
    .await;
}

/// An argument that only the key reads may be expected to be unused.
#[deny(unfulfilled_lint_expectations)]
#[cache_result]
async fn expecting(#[expect(unused_variables)] id: u32) -> u64 {
    run()
}

#[tokio::test]
async fn an_argument_that_is_expected_to_be_unused_belongs_to_the_key() {
    over_both(|cache| async move {
        apart!(cache: expecting(1), expecting(2));
    })
    .await;
}
