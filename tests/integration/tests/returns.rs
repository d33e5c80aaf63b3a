//! Every shape of return type comes back as it went; what must not be stored is not; lifetimes,
//! versions and the rules over values are kept.

// Many functions answer with the number of their run, whatever they are called with.
#![allow(unused_variables)]
// The shapes are the point, not whether these functions could do with less.
#![allow(clippy::needless_pass_by_value, clippy::option_option, clippy::unnecessary_wraps)]

#[path = "returns/forms.rs"]
mod forms;

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::error::Error;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use cache_runtime::{
    Cache, Config, OutcomeKind, Reason, StoredKind, Verdict, cache_result, explain, observe, put,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use support::{Server, computed, eventually, hit, over_both, patient, run};

/// What a call returns from the store, which is what it returned when it ran.
macro_rules! kept {
    ($cache:ident, $call:expr) => {{
        let value = computed!($cache, $call);
        let again = hit!($call);
        assert_eq!(format!("{value:?}"), format!("{again:?}"));
        again
    }};
}

/// What a call returns that runs each time and leaves nothing behind.
macro_rules! not_kept {
    ($cache:ident, $call:expr) => {{
        let value = computed!($cache, $call);
        // Its lease is given up behind the call.
        eventually("nothing is left", || async { explain($call).await.unwrap().stored.is_none() })
            .await;
        let (_, outcome) = observe($call).await;
        assert!(outcome.is_computed(), "{}: {outcome:?}", stringify!($call));
        value
    }};
}

/// Neither `Clone` nor `PartialEq`.
#[derive(Debug, Serialize, Deserialize)]
struct Item {
    id: u64,
    name: String,
    price: Option<f64>,
}

fn item() -> Item {
    Item { id: run(), name: "näme".into(), price: Some(0.1) }
}

#[cache_result]
async fn plain(key: u32) -> Item {
    item()
}

#[cache_result]
async fn optional(there: bool) -> Option<Item> {
    there.then(item)
}

#[cache_result(none_ttl = 30)]
async fn optional_kept(there: bool) -> Option<Item> {
    there.then(item)
}

#[tokio::test]
async fn a_plain_value_comes_back() {
    over_both(|cache| async move {
        assert_eq!(kept!(cache, plain(1)).price, Some(0.1));
    })
    .await;
}

#[tokio::test]
async fn none_is_stored_only_with_none_ttl() {
    over_both(|cache| async move {
        assert!(kept!(cache, optional(true)).is_some());
        assert!(not_kept!(cache, optional(false)).is_none());
        assert!(kept!(cache, optional_kept(true)).is_some());
        assert!(kept!(cache, optional_kept(false)).is_none());
        let stored = explain(optional_kept(false)).await.unwrap().stored.unwrap();
        assert_eq!(stored.kind, StoredKind::None);
        assert_eq!(stored.kind, StoredKind::None);
    })
    .await;
}

/// Not `Clone`.
#[derive(Debug)]
struct Failure(&'static str);

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

impl Error for Failure {}

type Fallible<T> = Result<T, Failure>;
type Found = Fallible<Option<Item>>;
type Maybe<T> = Option<T>;

#[cache_result]
async fn fallible(ok: bool) -> Result<Item, String> {
    if ok { Ok(item()) } else { Err(format!("run {}", run())) }
}

#[cache_result]
async fn io_result(ok: bool) -> io::Result<Item> {
    if !ok {
        return Err(io::Error::other("no"));
    }
    Ok(item())
}

#[cache_result]
async fn own_alias(ok: bool) -> Fallible<Item> {
    if ok { Ok(item()) } else { Err(Failure("no")) }
}

#[cache_result(none_ttl = "30s")]
async fn whole_alias(number: u32) -> Found {
    match number {
        0 => Err(Failure("no")),
        1 => Ok(None),
        _ => Ok(Some(item())),
    }
}

#[cache_result]
async fn nested(number: u32) -> Result<Maybe<Item>, Failure> {
    match number {
        0 => Err(Failure("no")),
        1 => Ok(None),
        _ => Ok(Some(item())),
    }
}

#[cache_result]
async fn static_error(ok: bool) -> Result<Item, &'static str> {
    ok.then(item).ok_or("no")
}

#[tokio::test]
async fn ok_is_stored_and_err_never_is_under_whatever_alias() {
    over_both(|cache| async move {
        kept!(cache, fallible(true)).unwrap();
        let first = not_kept!(cache, fallible(false)).unwrap_err();
        assert_ne!(fallible(false).await.unwrap_err(), first);
        kept!(cache, io_result(true)).unwrap();
        not_kept!(cache, io_result(false)).unwrap_err();
        kept!(cache, own_alias(true)).unwrap();
        not_kept!(cache, own_alias(false)).unwrap_err();
        kept!(cache, static_error(true)).unwrap();
        not_kept!(cache, static_error(false)).unwrap_err();
    })
    .await;
}

#[tokio::test]
async fn a_result_of_an_option_keeps_some_and_with_none_ttl_none() {
    over_both(|cache| async move {
        not_kept!(cache, whole_alias(0)).unwrap_err();
        assert!(kept!(cache, whole_alias(1)).unwrap().is_none());
        assert!(kept!(cache, whole_alias(2)).unwrap().is_some());
        not_kept!(cache, nested(0)).unwrap_err();
        assert!(not_kept!(cache, nested(1)).unwrap().is_none());
        assert!(kept!(cache, nested(2)).unwrap().is_some());
    })
    .await;
}

#[cache_result]
async fn error_in_an_option(number: u32) -> Option<Result<u64, String>> {
    match number {
        0 => Some(Err(format!("run {}", run()))),
        _ => Some(Ok(run())),
    }
}

#[cache_result]
async fn error_in_a_result(number: u32) -> Result<Result<u64, String>, Failure> {
    match number {
        0 => Ok(Err(format!("run {}", run()))),
        _ => Ok(Ok(run())),
    }
}

#[tokio::test]
async fn err_is_not_stored_within_an_option() {
    over_both(|cache| async move {
        let first = error_in_an_option(0).await;
        cache.flush().await;
        assert_ne!(first, error_in_an_option(0).await, "an error was stored");
        assert_eq!(explain(error_in_an_option(0)).await.unwrap().verdict, Verdict::Compute);
    })
    .await;
}

#[tokio::test]
async fn err_is_not_stored_within_another_result() {
    over_both(|cache| async move {
        let first = error_in_a_result(0).await.unwrap();
        cache.flush().await;
        assert_ne!(first, error_in_a_result(0).await.unwrap(), "an error was stored");
    })
    .await;
}

#[cache_result]
async fn boxed_error(number: u32) -> Result<Item, Box<dyn Error>> {
    if number == 0 {
        return Err(Box::new(Failure("returned")));
    }
    if number == 1 {
        let _: u32 = "x".parse()?;
    }
    if number == 2 {
        Err("words")?;
    }
    tokio::task::yield_now().await;
    Ok(item())
}

#[cache_result]
async fn only_errors(number: u32) -> Result<Option<Item>, Box<dyn Error + Send + Sync>> {
    if number == 0 {
        return Err(Box::new(Failure("returned")));
    }
    Err(Failure("last").into())
}

#[tokio::test]
async fn errors_may_be_boxed_by_return_and_by_question_mark() {
    over_both(|cache| async move {
        for (number, text) in [(0, "returned"), (1, "invalid digit"), (2, "words")] {
            let error = not_kept!(cache, boxed_error(number)).unwrap_err();
            assert!(error.to_string().contains(text), "{error}");
        }
        kept!(cache, boxed_error(3)).unwrap();
        assert_eq!(not_kept!(cache, only_errors(0)).unwrap_err().to_string(), "returned");
        assert_eq!(not_kept!(cache, only_errors(1)).unwrap_err().to_string(), "last");
    })
    .await;
}

#[cache_result]
async fn arc(key: u32) -> Arc<Item> {
    Arc::new(item())
}

#[cache_result]
async fn arc_of_unsized(key: u32) -> Result<(Arc<str>, Arc<[u64]>), Failure> {
    Ok(("text".into(), vec![run()].into()))
}

#[cache_result]
async fn rc(key: u32) -> Rc<Item> {
    Rc::new(item())
}

#[cache_result]
async fn boxed(key: u32) -> Option<Box<Item>> {
    Some(Box::new(item()))
}

#[cache_result]
async fn cow(key: u32) -> Cow<'static, str> {
    if key == 0 { Cow::Borrowed("borrowed") } else { Cow::Owned(run().to_string()) }
}

#[tokio::test]
async fn pointers_to_values_come_back() {
    over_both(|cache| async move {
        kept!(cache, arc(1));
        kept!(cache, arc_of_unsized(1)).unwrap();
        kept!(cache, rc(1));
        kept!(cache, boxed(1)).unwrap();
        assert_eq!(kept!(cache, cow(0)), "borrowed");
        kept!(cache, cow(1));
    })
    .await;
}

#[cache_result(ttl = |item: &Json<Item>| item.id + 60)]
async fn json(key: u32) -> Json<Item> {
    Json(item())
}

#[cache_result]
async fn json_result(ok: bool) -> Result<Json<Vec<Item>>, (u16, String)> {
    if ok { Ok(Json(vec![item(), item()])) } else { Err((500, "no".into())) }
}

#[cache_result(none_ttl = 9, cache_if = |found| !found.name.is_empty())]
async fn json_option(there: bool) -> Result<Option<Json<Item>>, Failure> {
    Ok(there.then(|| Json(item())))
}

#[tokio::test]
async fn axums_json_comes_back_in_every_shape() {
    over_both(|cache| async move {
        assert_eq!(kept!(cache, json(1)).0.name, "näme");
        assert_eq!(kept!(cache, json_result(true)).unwrap().0.len(), 2);
        assert_eq!(not_kept!(cache, json_result(false)).unwrap_err().0, 500);
        assert!(kept!(cache, json_option(true)).unwrap().is_some());
        assert!(kept!(cache, json_option(false)).unwrap().is_none());
    })
    .await;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
enum Kind {
    Buy,
    Rent,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Shape {
    Unit,
    One(Kind),
    Two(u8, Option<String>),
    Named { a: u64, b: Vec<Shape> },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
enum Tagged {
    First { id: u32 },
    SecondOne,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Untagged {
    Number(i64),
    Text(String),
    Map(BTreeMap<String, bool>),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Flat {
    id: u32,
    #[serde(flatten)]
    rest: HashMap<String, String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Unit;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Wrapped(Vec<u8>);

type Maps = (HashMap<String, u32>, BTreeMap<Kind, Vec<u8>>, HashMap<(u8, u8), i128>);

macro_rules! values {
    ($($name:ident: $ty:ty = $value:expr;)*) => {
        $(
            #[cache_result]
            async fn $name(key: u32) -> $ty {
                $value
            }
        )*

        #[tokio::test]
        async fn values_of_every_kind_come_back_equal() {
            over_both(|cache| async move {
                $(
                    // By their text, which tells -0.0 from 0.0.
                    let (expected, kept): ($ty, $ty) = ($value, kept!(cache, $name(1)));
                    assert_eq!(format!("{kept:?}"), format!("{expected:?}"), stringify!($name));
                )*
            })
            .await;
        }
    };
}

values! {
    unit_like: Kind = Kind::Rent;
    unit_variant: Shape = Shape::Unit;
    newtype_variant: Shape = Shape::One(Kind::Buy);
    tuple_variant: Shape = Shape::Two(7, None);
    struct_variant: Shape = Shape::Named { a: u64::MAX, b: vec![Shape::Unit, Shape::Two(1, Some(String::new()))] };
    tagged: Vec<Tagged> = vec![Tagged::First { id: 1 }, Tagged::SecondOne];
    untagged: Vec<Untagged> = vec![
        Untagged::Number(-5), Untagged::Text("5".into()), Untagged::Map(BTreeMap::from([("a".into(), true)])),
    ];
    flat: Flat = Flat { id: 1, rest: HashMap::from([("a".into(), "b".into())]) };
    unit_struct: Unit = Unit;
    unit_in_ok: Result<(), String> = Ok(());
    wrapped: Wrapped = Wrapped(vec![0, 255]);
    maps: Maps = (
        HashMap::from([("a".into(), 1)]),
        BTreeMap::from([(Kind::Buy, vec![1]), (Kind::Rent, vec![])]),
        HashMap::from([((1, 2), i128::MIN)]),
    );
    tuple: (u8, i8, u64, i64, u128, char, bool, String) =
        (255, -128, u64::MAX, i64::MIN, u128::MAX, '\u{10ffff}', true, "\0".into());
    floats: [f64; 4] = [0.1, -0.0, f64::INFINITY, f64::MIN_POSITIVE];
    small_float: f32 = 0.1;
    bytes: Vec<u8> = (0..=255).collect();
    no_bytes: Vec<u8> = Vec::new();
    no_text: String = String::new();
    json_value: serde_json::Value = serde_json::json!({ "a": [1, -2, 0.5, null, "x"], "b": {} });
    duration: Duration = Duration::new(3, 5);
    nested_result: Vec<Result<u8, String>> = vec![Ok(1), Err("no".into())];
    option_of_option: Option<Option<u8>> = Some(None);
    whole_option_of_option: Option<Option<u8>> = Some(Some(1));
    options: (Option<u8>, Option<String>) = (None, Some(String::new()));
}

/// Not `PartialEq`.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Lossy {
    inner: Option<Option<u8>>,
    unit: Option<()>,
}

#[cache_result]
async fn lossy(there: bool) -> Lossy {
    if there {
        Lossy { inner: Some(Some(1)), unit: None }
    } else {
        Lossy { inner: Some(None), unit: Some(()) }
    }
}

#[tokio::test]
async fn an_option_of_nothing_in_a_field_is_not_stored_as_none() {
    over_both(|cache| async move {
        not_kept!(cache, lossy(false));
        kept!(cache, lossy(true));
    })
    .await;
}

#[cache_result]
async fn parameter<T>(value: T) -> T
where
    T: Serialize + DeserializeOwned + 'static,
{
    value
}

#[cache_result]
async fn parameters<T, E>(value: Result<T, E>) -> Result<Vec<T>, E>
where
    T: Serialize + DeserializeOwned + 'static,
    E: Serialize + 'static,
{
    Ok(vec![value?])
}

#[cache_result]
async fn early(number: u32) -> Option<u64> {
    for candidate in 0.. {
        if candidate == number {
            return Some(run());
        }
        if candidate > 100 {
            return None;
        }
    }
    None
}

#[tokio::test]
async fn generic_and_early_returns_come_back() {
    over_both(|cache| async move {
        assert_eq!(kept!(cache, parameter(7u8)), 7);
        assert_eq!(kept!(cache, parameter(7u16)), 7);
        assert_eq!(kept!(cache, parameter("x".to_owned())), "x");
        assert_eq!(kept!(cache, parameters::<_, String>(Ok(1u8))), Ok(vec![1]));
        assert_eq!(not_kept!(cache, parameters::<u8, _>(Err("no".to_owned()))), Err("no".into()));
        kept!(cache, early(3)).unwrap();
        not_kept!(cache, early(500));
    })
    .await;
}

#[tokio::test]
async fn a_type_parameter_that_hides_a_result_never_stores_its_error() {
    over_both(|cache| async move {
        let error = || Err::<u8, _>("no".to_owned());
        assert_eq!(parameter(error()).await, error());
        cache.flush().await;
        let (_, outcome) = observe(parameter(error())).await;
        assert!(!outcome.is_hit(), "{outcome:?}");
    })
    .await;
}

#[cache_result]
async fn parameter_in_ok<T>(value: T) -> Result<T, String>
where
    T: Clone + Serialize + DeserializeOwned + 'static,
{
    Ok(value.clone())
}

#[cache_result]
async fn parameter_in_some<T>(value: T) -> Option<T>
where
    T: Clone + Serialize + DeserializeOwned + 'static,
{
    Some(value.clone())
}

#[tokio::test]
async fn a_type_parameter_in_ok_or_some_hides_nothing_that_must_not_be_stored() {
    over_both(|cache| async move {
        assert_eq!(parameter_in_ok(None::<u8>).await, Ok(None));
        cache.flush().await;
        let (_, outcome) = observe(parameter_in_ok(None::<u8>)).await;
        assert!(!outcome.is_hit(), "`None` was stored without `none_ttl`");
        let error = || Err::<u8, _>("no".to_owned());
        assert_eq!(parameter_in_some(error()).await, Some(error()));
        cache.flush().await;
        let (_, outcome) = observe(parameter_in_some(error())).await;
        assert!(!outcome.is_hit(), "an error was stored");
    })
    .await;
}

#[cache_result]
async fn large(key: u32) -> Result<String, Failure> {
    Ok(format!("{}: {}", run(), "large ".repeat(10_000 / 6)))
}

#[cache_result]
async fn large_noise(key: u32) -> Vec<u64> {
    let mut state = u64::from(key) + 1;
    let noise = std::iter::from_fn(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        Some(state ^ (state >> 29))
    });
    noise.take(2000).collect()
}

#[tokio::test]
async fn a_large_value_comes_back_and_lies_there_compressed() {
    over_both(|cache| async move {
        assert!(kept!(cache, large(1)).unwrap().len() > 9_000);
        let stored = explain(large(1)).await.unwrap().stored.unwrap();
        assert!(stored.size < 1000, "{stored:?}");
        assert_eq!(kept!(cache, large_noise(1)).len(), 2000);
    })
    .await;
}

/// The time that the entry of a call has left.
macro_rules! left {
    ($call:expr) => {
        explain($call).await.unwrap().stored.expect("an entry").ttl_left.expect("a lifetime")
    };
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Token {
    text: String,
    expires_in: u64,
}

#[cache_result(ttl = |token| token.expires_in, jitter = 0)]
async fn token(expires_in: u64) -> Result<Option<Token>, Failure> {
    Ok(Some(Token { text: run().to_string(), expires_in }))
}

#[cache_result(ttl = |token: &Token| Duration::from_secs(token.expires_in) + *extra, jitter = 0.0)]
async fn token_and(expires_in: u64, extra: &Duration) -> Token {
    Token { text: run().to_string(), expires_in }
}

#[cache_result(ttl = seconds * 2, jitter = 0)]
async fn by_argument(seconds: u64) -> u64 {
    run()
}

fn seconds(from: u64, to: u64) -> std::ops::RangeInclusive<Duration> {
    Duration::from_secs(from)..=Duration::from_secs(to)
}

#[tokio::test]
async fn a_ttl_may_depend_on_the_value_and_on_arguments() {
    over_both(|cache| async move {
        kept!(cache, token(900)).unwrap();
        assert!(seconds(880, 900).contains(&left!(token(900))));
        kept!(cache, token_and(900, &Duration::from_secs(100)));
        assert!(seconds(980, 1000).contains(&left!(token_and(900, &Duration::from_secs(100)))));
        kept!(cache, by_argument(500));
        assert!(seconds(980, 1000).contains(&left!(by_argument(500))));
    })
    .await;
}

#[tokio::test]
async fn a_ttl_that_comes_out_as_zero_stores_nothing() {
    over_both(|cache| async move {
        not_kept!(cache, token(0)).unwrap();
        not_kept!(cache, by_argument(0));
    })
    .await;
}

#[cache_result(ttl = |_| Duration::MAX, jitter = 0)]
async fn for_ever(key: u32) -> u64 {
    run()
}

#[cache_result(ttl = u64::MAX, jitter = 1)]
async fn for_ever_in_seconds(key: u32) -> u64 {
    run()
}

#[tokio::test]
async fn a_ttl_without_end_is_no_error() {
    over_both(|cache| async move {
        kept!(cache, for_ever(1));
        kept!(cache, for_ever_in_seconds(1));
    })
    .await;
}

#[cache_result(ttl = u64::MAX, none_ttl = Duration::MAX, jitter = 0)]
async fn nothing_for_ever(key: u32) -> Option<u64> {
    None
}

#[cache_result(ttl = "20000d", jitter = 0)]
async fn centuries(key: u32) -> u64 {
    run()
}

#[cache_result(ttl = 60, jitter = 0, stale_while_revalidate = "20000d")]
async fn stale_for_centuries(key: u32) -> u64 {
    run()
}

#[cache_result(ttl = Duration::MAX, stale_if_error = 18_446_744_073_709_551)]
async fn for_ever_and_longer(key: u32) -> Result<u64, Failure> {
    Ok(run())
}

#[cache_result(jitter = 0)]
async fn for_the_default_time(key: u32) -> u64 {
    run()
}

/// Stored, hit, and of an age that can be.
macro_rules! kept_and_young {
    ($cache:ident, $call:expr) => {{
        $cache.flush().await;
        let (_, outcome) = observe($call).await;
        assert_eq!(outcome.kind, OutcomeKind::Hit, "{}: {outcome:?}", stringify!($call));
        let age = outcome.age.expect("it was asked for");
        assert!(age < Duration::from_secs(60), "{}: {outcome:?}", stringify!($call));
    }};
}

#[tokio::test]
async fn what_is_to_live_for_centuries_is_hit_and_young() {
    let server = Server::start().await;
    let configs = [Config::in_memory(), server.config()];
    for config in configs.map(|config| patient(config).default_ttl(Duration::MAX)) {
        let cache = Cache::new(config);
        cache
            .scope(async {
                for_ever(2).await;
                kept_and_young!(cache, for_ever(2));
                for_ever_in_seconds(2).await;
                kept_and_young!(cache, for_ever_in_seconds(2));
                nothing_for_ever(2).await;
                kept_and_young!(cache, nothing_for_ever(2));
                centuries(2).await;
                kept_and_young!(cache, centuries(2));
                stale_for_centuries(2).await;
                kept_and_young!(cache, stale_for_centuries(2));
                for_ever_and_longer(2).await.unwrap();
                kept_and_young!(cache, for_ever_and_longer(2));
                for_the_default_time(2).await;
                kept_and_young!(cache, for_the_default_time(2));
                put(for_the_default_time(3), 3).await.unwrap();
                kept_and_young!(cache, for_the_default_time(3));
                put(stale_for_centuries(3), 3).await.unwrap();
                kept_and_young!(cache, stale_for_centuries(3));
            })
            .await;
    }
}

#[cache_result(cache_if = |areas: &Vec<u64>| areas.len() > least)]
async fn areas(least: usize, count: usize) -> Result<Vec<u64>, Failure> {
    Ok(vec![run(); count])
}

fn is_worth_it(item: &Item) -> bool {
    item.price.is_some()
}

#[cache_result(cache_if = is_worth_it, ttl = |item| item.id + 60)]
async fn by_path(worth: bool) -> Option<Item> {
    Some(Item { price: worth.then_some(1.0), ..item() })
}

#[cache_result(cache_if = |_| panic!("in cache_if"))]
async fn panicking_rule(key: u32) -> u64 {
    run()
}

#[cache_result(ttl = |_| -> u64 { panic!("in ttl") })]
async fn panicking_ttl(key: u32) -> u64 {
    run()
}

#[tokio::test]
async fn cache_if_sees_the_value_and_copied_arguments() {
    over_both(|cache| async move {
        kept!(cache, areas(1, 2)).unwrap();
        not_kept!(cache, areas(2, 2)).unwrap();
        kept!(cache, by_path(true)).unwrap();
        not_kept!(cache, by_path(false)).unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_rule_that_panics_stores_nothing_and_takes_nothing_down() {
    over_both(|cache| async move {
        not_kept!(cache, panicking_rule(1));
        not_kept!(cache, panicking_ttl(1));
    })
    .await;
}

#[cache_result(ttl = 1000)]
async fn jittered(key: u32) -> u64 {
    run()
}

#[cache_result(ttl = 1000, jitter = 0.5)]
async fn jittered_more(key: u32) -> u64 {
    run()
}

#[cache_result(ttl = 1000, jitter = 0.0)]
async fn exact(key: u32) -> u64 {
    run()
}

#[cache_result]
async fn by_default(key: u32) -> u64 {
    run()
}

#[tokio::test]
async fn jitter_shortens_within_its_share_and_spreads() {
    over_both(|cache| async move {
        let mut least = Duration::MAX;
        for key in 0..40 {
            jittered(key).await;
            jittered_more(key).await;
            exact(key).await;
            cache.flush().await;
            assert!(seconds(890, 1000).contains(&left!(jittered(key))));
            assert!(seconds(490, 1000).contains(&left!(jittered_more(key))));
            assert!(seconds(990, 1000).contains(&left!(exact(key))));
            least = least.min(left!(jittered_more(key)));
        }
        assert!(least < Duration::from_secs(900), "forty draws of a half fell within a fifth");
    })
    .await;
}

/// The time left as Redis itself says it.
async fn pttl(server: &Server, key: Option<String>) -> Duration {
    let left: i64 = server.command(&["PTTL", &key.expect("a key")]).await;
    Duration::from_millis(left.try_into().expect("the key expires"))
}

#[tokio::test]
async fn redis_holds_an_entry_for_its_ttl_and_no_longer() {
    let server = Server::start().await;
    let cache = server.cache().await;
    cache
        .scope(async {
            for key in 0..10 {
                let (_, outcome) = observe(jittered(key)).await;
                cache.flush().await;
                assert!(seconds(890, 1000).contains(&pttl(&server, outcome.key).await));
                let (_, outcome) = observe(exact(key)).await;
                cache.flush().await;
                assert!(seconds(990, 1000).contains(&pttl(&server, outcome.key).await));
            }
            let (_, outcome) = observe(by_default(1)).await;
            cache.flush().await;
            assert!(seconds(3200, 3600).contains(&pttl(&server, outcome.key).await));
        })
        .await;
    let config = server.config().default_ttl(Duration::from_secs(100)).namespace("other");
    let cache = Cache::connect(config).await.unwrap();
    let (_, outcome) = cache.scope(observe(by_default(1))).await;
    cache.flush().await;
    assert!(outcome.key.as_deref().unwrap().starts_with("other:"));
    assert!(seconds(80, 100).contains(&pttl(&server, outcome.key).await));
}

#[tokio::test]
async fn an_entry_expires() {
    #[cache_result(ttl = "1s")]
    async fn short(key: u32) -> u64 {
        run()
    }
    over_both(|cache| async move {
        let first = kept!(cache, short(1));
        tokio::time::sleep(Duration::from_millis(1500)).await;
        let (second, outcome) = observe(short(1)).await;
        assert!(outcome.is_computed());
        assert_ne!(first, second);
    })
    .await;
}

#[cache_result(version = 2)]
async fn versioned(key: u32) -> u64 {
    run()
}

/// Sets the version in the header of the entry of a call.
async fn set_version(server: &Server, key: &str, version: u32) {
    let mut entry = server.entry(key).await;
    entry[8..12].copy_from_slice(&version.to_le_bytes());
    server.set_entry(key, &entry).await;
}

#[tokio::test]
async fn an_older_version_is_overwritten_and_a_newer_one_left_alone() {
    let server = Server::start().await;
    let cache = server.cache().await;
    cache
        .scope(async {
            let first = kept!(cache, versioned(1));
            let explained = explain(versioned(1)).await.unwrap();
            assert_eq!(explained.stored.unwrap().version, 2);
            let key = explained.key.unwrap();

            set_version(&server, &key, 1).await;
            assert_eq!(explain(versioned(1)).await.unwrap().verdict, Verdict::Compute);
            let second = kept!(cache, versioned(1));
            assert_ne!(first, second);

            set_version(&server, &key, 3).await;
            let verdict = explain(versioned(1)).await.unwrap().verdict;
            assert_eq!(verdict, Verdict::Bypass(Reason::NewerVersion));
            let (third, outcome) = observe(versioned(1)).await;
            assert_eq!(outcome.reason(), Some(Reason::NewerVersion));
            assert_ne!(third, second);
            cache.flush().await;
            assert_eq!(explain(versioned(1)).await.unwrap().stored.unwrap().version, 3);
            set_version(&server, &key, 2).await;
            assert_eq!(versioned(1).await, second, "the entry was left alone");
        })
        .await;
}

#[tokio::test]
async fn nothing_is_compressed_below_the_bound_and_nothing_stored_above_the_other() {
    let over = |config: Config| Cache::new(patient(config));
    let cache = over(Config::in_memory().compress_above(1 << 20));
    cache
        .scope(async {
            kept!(cache, large(2)).unwrap();
            assert!(explain(large(2)).await.unwrap().stored.unwrap().size > 9_000);
        })
        .await;
    let cache = over(Config::in_memory().max_value(1000));
    cache
        .scope(async {
            not_kept!(cache, large(3)).unwrap();
        })
        .await;
}
