//! Different arguments make different keys, equal ones equal keys, whatever they contain; what
//! cannot be made into a key runs without the cache.

// Many functions answer with the number of their run, whatever they are called with.
#![allow(unused_variables)]

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::future::Future;
use std::sync::{Arc, LazyLock};

use cache_runtime::{Cache, Reason, Verdict, cache_result, explain, invalidate, observe};
use futures::executor::block_on;
use proptest::prelude::*;
use serde::{Serialize, Serializer};
use support::{
    Log, Server, apart, computed, hit, in_memory, key_of, over_both, readable, run, stored,
};
use tracing::Level;

static LOG: LazyLock<Log> = LazyLock::new(Log::install);

/// One cache for what only asks for keys.
static KEYS: LazyLock<Cache> = LazyLock::new(in_memory);

/// The key of a call.
fn key(call: impl Future) -> String {
    block_on(KEYS.scope(key_of(call)))
}

/// Values of every kind, told apart by their type although they read alike.
#[derive(Clone, Debug, PartialEq, Serialize)]
enum Value {
    Nothing,
    Flag(bool),
    Small(u8),
    Signed(i64),
    Letter(char),
    Text(String),
    Maybe(Option<Box<Value>>),
    List(Vec<Value>),
    Pair(Box<Value>, Box<Value>),
    Named { one: Box<Value>, two: Box<Value> },
    Map(BTreeMap<String, Value>),
}

/// From few values, so that a collision would be met.
fn value() -> impl Strategy<Value = Value> {
    let text = || prop::sample::select(vec!["", "a", "b", "ab", "1", "\0", ":"]);
    let leaf = prop_oneof![
        Just(Value::Nothing),
        any::<bool>().prop_map(Value::Flag),
        (0..3u8).prop_map(Value::Small),
        (-1..2i64).prop_map(Value::Signed),
        prop::sample::select(vec!['a', '1', '\0']).prop_map(Value::Letter),
        text().prop_map(|text| Value::Text(text.into())),
    ];
    leaf.prop_recursive(3, 12, 3, move |inner| {
        let boxed = || inner.clone().prop_map(Box::new);
        prop_oneof![
            prop::option::of(boxed()).prop_map(Value::Maybe),
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::List),
            (boxed(), boxed()).prop_map(|(a, b)| Value::Pair(a, b)),
            (boxed(), boxed()).prop_map(|(one, two)| Value::Named { one, two }),
            prop::collection::btree_map(text().prop_map(str::to_owned), inner.clone(), 0..3)
                .prop_map(Value::Map),
        ]
    })
}

#[cache_result]
async fn hashed(one: &Value, two: &Value) -> u64 {
    run()
}

#[cache_result]
async fn untyped(one: &str, two: &str) -> u64 {
    run()
}

#[cache_result]
async fn mapped(map: &HashMap<String, Value>, nested: &BTreeMap<u8, HashMap<i8, u8>>) -> u64 {
    run()
}

/// Sets wherever an argument may have them.
#[derive(Clone, Serialize)]
struct Filter {
    kinds: HashSet<String>,
    nested: HashMap<u8, Vec<HashSet<i8>>>,
}

#[cache_result(skip(_order))]
async fn sets(
    plain: &HashSet<u32>,
    shared: Option<Arc<HashSet<String>>>,
    of_sets: &&HashSet<HashedSet>,
    filter: &Filter,
    _order: u8,
) -> u64 {
    run()
}

#[cache_result(prefix = "set-template", key = "{set}")]
async fn set_template(set: HashSet<u32>) -> u64 {
    run()
}

#[cache_result]
async fn list(list: &[u32]) -> u64 {
    run()
}

type HashedSet = BTreeSet<u8>;

#[cache_result(prefix = "template", key = "{one}/{two}")]
async fn template(one: &Value, two: &Value) -> u64 {
    run()
}

#[cache_result(prefix = "text", key = "{text}")]
async fn text(text: &str) -> u64 {
    run()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn calls_have_one_key_exactly_when_their_arguments_are_equal(
        one in value(), two in value(), three in value(), four in value(),
    ) {
        let (left, right) = (key(hashed(&one, &two)), key(hashed(&three, &four)));
        prop_assert_eq!(left == right, one == three && two == four);
        prop_assert_eq!(key(hashed(&one, &two)), key(hashed(&one.clone(), &two.clone())));
        prop_assert_eq!(key(hashed(&one, &two)) == key(hashed(&two, &one)), one == two);
    }

    #[test]
    fn texts_do_not_run_into_each_other(one in "[ab:]{0,3}", two in "[ab:]{0,3}", at in 0..4usize) {
        let both = format!("{one}{two}");
        let (left, right) = both.split_at(at.min(both.len()));
        let same = key(untyped(&one, &two)) == key(untyped(left, right));
        prop_assert_eq!(same, one == left);
    }

    #[test]
    fn equal_maps_have_one_key_in_whatever_order_they_were_built(
        entries in prop::collection::btree_map("[a-c]{0,3}", value(), 0..8),
        nested in prop::collection::btree_map(0..4u8, prop::collection::btree_map(-3..3i8, 0..3u8, 0..5), 0..4),
    ) {
        let forth: HashMap<_, _> = entries.clone().into_iter().collect();
        let mut back = HashMap::with_capacity(100);
        back.extend(entries.into_iter().rev());
        let inner_forth = nested.iter().map(|(&at, map)| (at, map.clone().into_iter().collect()));
        let inner_back = nested.iter().rev().map(|(&at, map)| (at, map.clone().into_iter().rev().collect()));
        let (inner_forth, inner_back) = (inner_forth.collect(), inner_back.collect());
        prop_assert_eq!(key(mapped(&forth, &inner_forth)), key(mapped(&back, &inner_back)));
    }

    #[test]
    fn equal_sets_have_one_key_in_whatever_order_they_were_built(
        numbers in prop::collection::btree_set(any::<u32>(), 0..20),
        texts in prop::collection::btree_set("[a-c]{0,3}", 0..8),
        inner in prop::collection::btree_set(prop::collection::btree_set(0..9u8, 0..4), 0..5),
        small in prop::collection::btree_set(-9..9i8, 0..8),
    ) {
        fn forth<T: Clone + Eq + std::hash::Hash>(set: &BTreeSet<T>) -> HashSet<T> {
            set.iter().cloned().collect()
        }
        fn back<T: Clone + Eq + std::hash::Hash>(set: &BTreeSet<T>) -> HashSet<T> {
            let mut back = HashSet::with_capacity(100);
            back.extend(set.iter().rev().cloned());
            back
        }
        let filters = [
            Filter { kinds: forth(&texts), nested: HashMap::from([(1, vec![forth(&small)])]) },
            Filter { kinds: back(&texts), nested: HashMap::from([(1, vec![back(&small)])]) },
        ];
        let one = key(sets(&forth(&numbers), Some(forth(&texts).into()), &&forth(&inner), &filters[0], 1));
        let two = key(sets(&back(&numbers), Some(back(&texts).into()), &&back(&inner), &filters[1], 2));
        prop_assert_eq!(one, two);
        prop_assert_eq!(key(set_template(forth(&numbers))), key(set_template(back(&numbers))));
        let other: BTreeSet<_> = numbers.iter().map(|number| number ^ 1).collect();
        let differ = key(set_template(forth(&numbers))) != key(set_template(forth(&other)));
        prop_assert_eq!(differ, numbers != other);
    }

    #[test]
    fn the_order_of_a_list_counts(one in 0..9u32, two in 10..19u32) {
        prop_assert_ne!(key(list(&[one, two])), key(list(&[two, one])));
    }

    #[test]
    fn a_text_never_leaves_its_part_of_the_key(one in ".{0,80}", two in ".{0,80}") {
        let (left, right) = (key(text(&one)), key(text(&two)));
        prop_assert_eq!(left == right, one == two);
        for key in [left, right] {
            let part = readable(&key).strip_prefix("cache:text:").expect("its prefix");
            prop_assert!(part.bytes().all(is_plain), "{}", key);
            prop_assert!(part.len() <= 200);
        }
    }

    #[test]
    fn the_parts_of_a_template_stay_within_it(one in value(), two in value()) {
        let key = key(template(&one, &two));
        let parts = readable(&key).strip_prefix("cache:template:").expect("its prefix");
        prop_assert_eq!(parts.matches('/').count(), 1);
        prop_assert!(parts.bytes().all(|byte| is_plain(byte) || byte == b'/' ), "{}", key);
    }
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.%~".contains(&byte)
}

fn hostile() -> Vec<String> {
    let mut texts: Vec<String> = [
        "",
        ":",
        "::",
        "a:b",
        "{",
        "}",
        "{}",
        "{one}",
        "\n",
        "\r\n",
        "*",
        "?",
        "[a]",
        " ",
        "\0",
        "\t",
        "/",
        "%",
        "%7E",
        "%~",
        "~",
        "#",
        "~text",
        "#tag",
        "..",
        "text:",
        "ä",
        "a\u{308}",
        "日本語",
        "🦀",
        "\u{202e}",
        "'",
        "\"",
        "\\",
        "$",
        "&",
        "+",
        "None",
        "null",
        "true",
        "1",
        "-1",
        "1.0",
    ]
    .map(str::to_owned)
    .to_vec();
    texts.extend([199, 200, 201].map(|length| "x".repeat(length)));
    texts.extend(["x", "y", ":"].map(|letter| letter.repeat(1 << 20)));
    texts
}

#[tokio::test]
async fn hostile_texts_have_keys_and_values_of_their_own() {
    let server = Server::start().await;
    let cache = server.cache().await;
    cache
        .scope(async {
            let mut runs = HashSet::new();
            for one in hostile() {
                assert!(runs.insert(computed!(cache, text(&one))));
            }
            for one in hostile() {
                assert!(!runs.insert(hit!(text(&one))));
            }
            let keys = server.entries().await;
            assert_eq!(keys.len(), hostile().len());
            for key in keys {
                assert!(key.starts_with("cache:text:") && key.len() < 250, "{key}");
                assert!(readable(&key)["cache:text:".len()..].bytes().all(is_plain), "{key}");
            }
        })
        .await;
}

#[tokio::test]
async fn a_text_that_is_the_digest_of_another_gets_nothing_of_its_value() {
    over_both(|cache| async move {
        let long = "x".repeat(300);
        let value = computed!(cache, text(&long));
        let key = key_of(text(&long)).await;
        let digest = readable(&key).strip_prefix("cache:text:").unwrap();
        assert_eq!(key_of(text(digest)).await, key);
        assert_ne!(computed!(cache, text(digest)), value);
        assert_ne!(computed!(cache, text(&long)), value, "it was overwritten");
    })
    .await;
}

#[derive(Serialize)]
#[serde(untagged)]
enum Id {
    Number(u32),
    Wide(u64),
    Text(&'static str),
    Flag(bool),
    Maybe(Option<u8>),
    Letter(char),
}

#[cache_result(prefix = "untagged", key = "{id}")]
async fn untagged(id: &Id) -> u64 {
    run()
}

#[cache_result(prefix = "ratio", key = "{ratio}")]
async fn ratio(ratio: f64) -> u64 {
    run()
}

#[tokio::test]
async fn arguments_that_read_alike_may_share_a_key_but_never_a_value() {
    over_both(|cache| async move {
        let alike =
            [Id::Number(5), Id::Wide(5), Id::Text("5"), Id::Maybe(Some(5)), Id::Letter('5')];
        let mut runs = HashSet::new();
        for id in &alike {
            assert!(runs.insert(computed!(cache, untagged(id))));
            assert!(!runs.insert(hit!(untagged(id))));
        }
        for id in &alike {
            assert!(runs.insert(computed!(cache, untagged(id))), "the entry is another's");
        }
        let truth = computed!(cache, untagged(&Id::Flag(true)));
        assert_ne!(computed!(cache, untagged(&Id::Text("true"))), truth);
        assert!(cache.stats().prefix("untagged").dead >= 9);

        assert_ne!(computed!(cache, ratio(0.0)), computed!(cache, ratio(-0.0)));
        assert_eq!(computed!(cache, ratio(f64::NAN)), hit!(ratio(f64::NAN)));
    })
    .await;
}

#[tokio::test]
async fn what_peek_and_explain_say_of_an_entry_of_other_arguments_is_that_there_is_none() {
    over_both(|cache| async move {
        let value = computed!(cache, untagged(&Id::Number(9)));
        assert_eq!(cache_runtime::peek(untagged(&Id::Number(9))).await, Some(value));
        assert_eq!(cache_runtime::peek(untagged(&Id::Text("9"))).await, None);
        let verdict = explain(untagged(&Id::Text("9"))).await.unwrap().verdict;
        assert_eq!(verdict, Verdict::Compute);
    })
    .await;
}

#[test]
fn none_and_compounds_have_a_form_that_no_text_has() {
    let none = key(untagged(&Id::Maybe(None)));
    assert_eq!(readable(&none), "cache:untagged:%~");
    for text in hostile() {
        let text: &'static str = text.leak();
        assert!(!key(untagged(&Id::Text(text))).starts_with("cache:untagged:%~"), "{text}");
    }
    let pair = Value::Pair(Box::new(Value::Nothing), Box::new(Value::Flag(true)));
    assert!(key(template(&pair, &Value::Nothing)).starts_with("cache:template:%~"));
}

/// So many lists in each other.
struct Nested(usize);

impl Serialize for Nested {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            0 => serializer.serialize_unit(),
            depth => serializer.serialize_some(&Nested(depth - 1)),
        }
    }
}

#[cache_result]
async fn nested(value: &Nested) -> u64 {
    run()
}

#[cache_result(key = "{value}")]
async fn nested_template(value: &Nested) -> u64 {
    run()
}

/// Its `Serialize` fails or panics, after it has written something.
#[derive(Clone, Copy)]
enum Broken {
    Fails,
    Panics,
}

impl Serialize for Broken {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::{Error as _, SerializeSeq as _};
        let mut list = serializer.serialize_seq(None)?;
        list.serialize_element("something")?;
        match self {
            Self::Fails => Err(S::Error::custom("it fails")),
            Self::Panics => panic!("it panics"),
        }
    }
}

#[cache_result]
async fn broken(before: u32, broken: Broken, after: &str) -> Result<u64, String> {
    Ok(run())
}

#[cache_result(prefix = "broken-template", key = "{before}:{broken}:{after}")]
async fn broken_template(before: u32, broken: Broken, after: &str) -> Option<u64> {
    Some(run())
}

/// The call runs each time, without a key, and leaves nothing behind.
macro_rules! has_no_key {
    ($cache:ident, $call:expr) => {{
        let (one, outcome) = observe($call).await;
        assert_eq!(outcome.reason(), Some(Reason::Key), "{}", stringify!($call));
        assert_eq!(outcome.key, None);
        $cache.flush().await;
        assert_ne!($call.await, one);
        let explained = explain($call).await.unwrap();
        assert_eq!((explained.key, explained.verdict), (None, Verdict::Bypass(Reason::Key)));
        assert!(invalidate($call).await.unwrap_err().is_value());
        assert_eq!(cache_runtime::peek($call).await, None);
    }};
}

#[tokio::test]
async fn arguments_nested_too_deeply_run_without_the_cache() {
    over_both(|cache| async move {
        let (one, two) =
            (computed!(cache, nested(&Nested(127))), computed!(cache, nested(&Nested(128))));
        assert_ne!(one, two);
        assert_eq!((one, two), (hit!(nested(&Nested(127))), hit!(nested(&Nested(128)))));
        for depth in [129, 1000, 1_000_000] {
            has_no_key!(cache, nested(&Nested(depth)));
            has_no_key!(cache, nested_template(&Nested(depth)));
        }
    })
    .await;
}

#[tokio::test]
async fn arguments_that_cannot_be_serialized_run_without_the_cache_with_one_warning() {
    let _ = &*LOG;
    over_both(|cache| async move {
        for problem in [Broken::Fails, Broken::Panics] {
            has_no_key!(cache, broken(1, problem, "after"));
            has_no_key!(cache, broken_template(1, problem, "after"));
        }
    })
    .await;
    let lines = LOG.lines(Level::WARN, "cannot be made into a key");
    let of = |name: &str| lines.iter().filter(|line| line.contains(name)).count();
    assert_eq!(of("\"keys::broken\""), 1, "{lines:#?}");
    assert_eq!(of("\"keys::broken_template\""), 1, "{lines:#?}");
}

#[tokio::test]
async fn to_put_under_arguments_that_make_no_key_is_an_error_about_the_value() {
    over_both(|cache| async move {
        let error = cache_runtime::put(nested(&Nested(1000)), 1).await.unwrap_err();
        assert!(error.is_value(), "{error}");
        let error = cache_runtime::put(broken(1, Broken::Fails, ""), Ok(1)).await.unwrap_err();
        assert!(error.is_value(), "{error}");
        cache.flush().await;
    })
    .await;
}

#[tokio::test]
async fn nothing_of_the_arguments_reaches_a_hashed_key() {
    over_both(|cache| async move {
        let secret = Value::Text("my-secret".into());
        computed!(cache, hashed(&secret, &secret));
        let key = key_of(hashed(&secret, &secret)).await;
        assert!(!key.contains("secret"), "{key}");
        assert!(key.starts_with("cache:keys::hashed:"), "{key}");
    })
    .await;
}

#[derive(Serialize)]
struct User {
    id: u32,
    org: u32,
}

#[cache_result(skip(user), tags = ["user:{user.id}"])]
async fn page_of(page: u32, user: &User) -> u64 {
    run()
}

#[cache_result(key = (page, user.id), tags = ["user:{user.id}", "org:{user.org}"])]
async fn feed_of(page: u32, user: &User) -> u64 {
    run()
}

/// The key has the user as a whole.
#[cache_result(prefix = "whole", key = "{user}", tags = ["user:{user.id}"])]
async fn whole(user: &User) -> u64 {
    run()
}

#[cache_result(prefix = "local-pages", skip(user), tags = ["user:{user.id}"], local)]
async fn local_page_of(page: u32, user: &User) -> u64 {
    run()
}

#[tokio::test]
async fn calls_with_other_tags_have_entries_of_their_own() {
    over_both(|cache| async move {
        let [ann, bob, eve] = [(1, 1), (2, 1), (1, 2)].map(|(id, org)| User { id, org });
        apart!(cache: page_of(1, &ann), page_of(1, &bob), page_of(2, &ann));
        apart!(cache: feed_of(1, &ann), feed_of(1, &bob), feed_of(1, &eve));
        apart!(cache: whole(&ann), whole(&bob), whole(&eve));
        assert_eq!(cache.stats().total().dead, 0);
        let others = [hit!(page_of(1, &bob)), hit!(feed_of(1, &eve))];
        cache.invalidate_tag("org:1").await.unwrap();
        assert_eq!([hit!(page_of(1, &bob)), hit!(feed_of(1, &eve))], others);
        computed!(cache, feed_of(1, &ann));
        let local =
            [stored!(cache, local_page_of(1, &ann)), stored!(cache, local_page_of(1, &bob))];
        cache.invalidate_tag("user:1").await.unwrap();
        assert_ne!(computed!(cache, local_page_of(1, &ann)), local[0]);
        assert_eq!(hit!(local_page_of(1, &bob)), local[1]);
    })
    .await;
}
