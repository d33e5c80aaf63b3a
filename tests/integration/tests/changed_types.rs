//! What lies in Redis need not be what the function would store today: other versions of its type,
//! other functions' entries, garbage. It is served where it is a right value, and else overwritten.

// Many functions answer with the number of their run, whatever they are called with.
#![allow(unused_variables)]

use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};

use cache_runtime::{
    Cache, Config, Reason, StoredKind, Verdict, cache_result, explain, observe, peek, put,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use support::{
    HEADER, Log, Server, both_stores, computed, hit, in_memory, key_of, over_both, patient, run,
};
use tracing::Level;

static LOG: LazyLock<Log> = LazyLock::new(Log::install);

/// Two functions whose types are two versions of one: the body of the first's entry is put under
/// the header of the second's.
macro_rules! changed {
    ($server:ident, $cache:ident: $old:expr => $new:expr) => {{
        let _ = (computed!($cache, $old), computed!($cache, $new));
        let (old, new) = (key_of($old).await, key_of($new).await);
        let mut entry = $server.entry(&new).await[..HEADER].to_vec();
        entry.extend(&$server.entry(&old).await[HEADER..]);
        $server.set_entry(&new, &entry).await;
        observe($new).await
    }};
}

mod old {
    use super::{Deserialize, Serialize, cache_result};

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    pub(super) struct Listing {
        pub(super) id: u32,
        pub(super) name: String,
        pub(super) city: String,
    }

    #[cache_result]
    pub(super) async fn listing(id: u32) -> Listing {
        Listing { id, name: "old name".into(), city: "old city".into() }
    }

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    pub(super) enum Kind {
        Buy,
        Rent,
    }

    #[cache_result]
    pub(super) async fn kind(key: u32) -> Vec<Kind> {
        vec![Kind::Rent, Kind::Buy]
    }

    #[cache_result]
    pub(super) async fn numbers(key: u32) -> (u32, i64) {
        (300, -1)
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Added {
    id: u32,
    name: String,
    city: String,
    rooms: u32,
}

#[cache_result]
async fn added(id: u32) -> Added {
    Added { id, name: "new".into(), city: "new".into(), rooms: 3 }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct AddedByDefault {
    id: u32,
    name: String,
    city: String,
    #[serde(default)]
    rooms: u32,
    note: Option<String>,
}

#[cache_result]
async fn added_by_default(id: u32) -> AddedByDefault {
    AddedByDefault { id, name: "new".into(), city: "new".into(), rooms: 3, note: None }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Removed {
    id: u32,
    city: String,
}

#[cache_result]
async fn removed(id: u32) -> Removed {
    Removed { id, city: "new".into() }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Strict {
    id: u32,
    city: String,
}

#[cache_result]
async fn strict(id: u32) -> Result<Strict, String> {
    Ok(Strict { id, city: "new".into() })
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Reordered {
    city: String,
    name: String,
    id: u32,
}

#[cache_result]
async fn reordered(id: u32) -> Reordered {
    Reordered { city: "new".into(), name: "new".into(), id }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Retyped {
    id: String,
    name: String,
    city: String,
}

#[cache_result]
async fn retyped(id: u32) -> Option<Retyped> {
    Some(Retyped { id: id.to_string(), name: "new".into(), city: "new".into() })
}

#[cache_result]
async fn retyped_again(id: u32) -> Retyped {
    Retyped { id: id.to_string(), name: "new".into(), city: "new".into() }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Kind {
    Let,
    Buy,
    Rent,
}

#[cache_result]
async fn kind(key: u32) -> Vec<Kind> {
    vec![Kind::Let]
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum FewerKinds {
    Buy,
}

#[cache_result]
async fn fewer_kinds(key: u32) -> Vec<FewerKinds> {
    vec![FewerKinds::Buy]
}

#[cache_result]
async fn narrower(key: u32) -> (u8, i64) {
    (1, 1)
}

#[cache_result]
async fn longer(key: u32) -> (u32, i64, u8) {
    (1, 1, 1)
}

#[cache_result]
async fn shorter(key: u32) -> (u32,) {
    (1,)
}

#[tokio::test]
async fn fields_go_by_name_so_a_changed_struct_is_read_right_or_not_at_all() {
    let server = Server::start().await;
    let cache = server.cache().await;
    cache
        .scope(async {
            let (value, outcome) = changed!(server, cache: old::listing(1) => added(1));
            assert!(outcome.is_computed());
            assert_eq!(value.rooms, 3);
            cache.flush().await;
            assert_eq!(hit!(added(1)), value);

            let (value, outcome) = changed!(server, cache: old::listing(2) => added_by_default(2));
            assert!(outcome.is_hit());
            assert_eq!((value.id, &*value.name, &*value.city), (2, "old name", "old city"));
            assert_eq!((value.rooms, value.note), (0, None));

            let (value, outcome) = changed!(server, cache: old::listing(3) => removed(3));
            assert!(outcome.is_hit());
            assert_eq!(value, Removed { id: 3, city: "old city".into() });

            let (value, outcome) = changed!(server, cache: old::listing(4) => strict(4));
            assert!(outcome.is_computed());
            assert_eq!(value.unwrap().city, "new");

            let (value, outcome) = changed!(server, cache: old::listing(5) => reordered(5));
            assert!(outcome.is_hit());
            let old = Reordered { city: "old city".into(), name: "old name".into(), id: 5 };
            assert_eq!(value, old);

            let (value, outcome) = changed!(server, cache: old::listing(6) => retyped(6));
            assert!(outcome.is_computed());
            assert_eq!(value.unwrap().id, "6");
        })
        .await;
}

#[tokio::test]
async fn variants_go_by_name_and_numbers_do_not_wrap() {
    let server = Server::start().await;
    let cache = server.cache().await;
    cache
        .scope(async {
            let (value, outcome) = changed!(server, cache: old::kind(1) => kind(1));
            assert!(outcome.is_hit());
            assert_eq!(value, [Kind::Rent, Kind::Buy]);

            let (value, outcome) = changed!(server, cache: old::kind(2) => fewer_kinds(2));
            assert!(outcome.is_computed());
            assert_eq!(value, [FewerKinds::Buy]);

            let (value, outcome) = changed!(server, cache: old::numbers(3) => narrower(3));
            assert!(outcome.is_computed());
            assert_eq!(value, (1, 1));

            let (value, outcome) = changed!(server, cache: old::numbers(4) => longer(4));
            assert!(outcome.is_computed());
            assert_eq!(value, (1, 1, 1));
        })
        .await;
}

/// What was a pair is not a single, although its first number is there.
#[tokio::test]
async fn a_longer_tuple_is_no_shorter_one() {
    let server = Server::start().await;
    let cache = server.cache().await;
    cache
        .scope(async {
            let (value, outcome) = changed!(server, cache: old::numbers(5) => shorter(5));
            assert!(outcome.is_computed(), "{value:?} was served out of (300, -1)");
            assert_eq!(value, (1,));
        })
        .await;
}

#[tokio::test]
async fn bytes_left_over_after_a_value_make_it_no_value() {
    let server = Server::start().await;
    let cache = server.cache().await;
    cache
        .scope(async {
            let first = computed!(cache, numbered(50));
            let key = key_of(numbered(50)).await;
            let mut entry = server.entry(&key).await;
            entry.extend(b"left over");
            server.set_entry(&key, &entry).await;
            let (value, outcome) = observe(numbered(50)).await;
            assert!(outcome.is_computed(), "{value:?} was served with bytes left over");
            assert_ne!(value, first);
        })
        .await;
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Skipping {
    #[serde(skip_serializing_if = "Option::is_none")]
    a: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    b: Option<u32>,
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    c: Vec<u32>,
}

#[cache_result]
async fn skipping(a: Option<u32>, b: Option<u32>) -> Skipping {
    Skipping { a, b, c: Vec::new() }
}

#[tokio::test]
async fn fields_left_out_do_not_shift_the_others() {
    over_both(|cache| async move {
        for (a, b) in [(None, Some(5)), (Some(5), None), (None, None), (Some(1), Some(2))] {
            computed!(cache, skipping(a, b));
            assert_eq!(hit!(skipping(a, b)), Skipping { a, b, c: Vec::new() });
        }
    })
    .await;
}

#[cache_result(prefix = "numbered")]
async fn numbered(key: u32) -> u64 {
    run()
}

#[cache_result(prefix = "textual")]
async fn textual(key: u32) -> String {
    format!("run {}", run())
}

#[cache_result(prefix = "garbage")]
async fn garbled(key: u32) -> Result<Option<u64>, String> {
    Ok(Some(run()))
}

/// Bytes that are not this call's entry, made out of its entry.
fn garbage(entry: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let with = |at: usize, byte: u8| {
        let mut entry = entry.to_vec();
        entry[at] = byte;
        entry
    };
    let headed = |flags: u8, body: &[u8]| {
        let mut entry = entry[..HEADER].to_vec();
        entry[4] = flags;
        entry.extend(body);
        entry
    };
    let noise = (0..500u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    vec![
        ("empty", Vec::new()),
        ("one byte", vec![b'f']),
        ("text", b"{\"json\": true}".to_vec()),
        ("long text", "x".repeat(10_000).into_bytes()),
        ("noise", noise),
        ("other magic", with(0, b'g')),
        ("other format", with(2, 1)),
        ("no kind", with(3, 0)),
        ("unknown kind", with(3, 99)),
        ("none, which is not stored here", with(3, 3)),
        ("tokens that are not there", with(5, 255)),
        ("a cut header", entry[..HEADER - 1].to_vec()),
        ("a header alone", entry[..HEADER].to_vec()),
        ("other arguments", with(40, entry[40] ^ 1)),
        ("text in place of a number", headed(0, b"\xa3abc")),
        ("a map that never ends", headed(0, b"\xdf\xff\xff\xff\xff")),
        ("a list that never ends", headed(0, b"\xdd\xff\xff\xff\xff")),
        ("a text that never ends", headed(0, b"\xdb\xff\xff\xff\xff")),
        ("lists in each other", headed(0, &vec![0x91; 100_000])),
        ("nothing compressed", headed(1, b"")),
        ("a bomb", headed(1, b"\xff\xff\xff\xff\x1f\x00\x01\x00\xff\xff\xff\xff")),
        ("a small bomb", headed(1, b"\x00\x00\x10\x00\x1f\x00\x01\x00\xff\xff\xff\xff")),
        ("noise that calls itself compressed", headed(1, &entry[HEADER - 8..])),
    ]
}

#[tokio::test]
async fn garbage_under_a_key_is_a_miss_and_is_overwritten() {
    let _ = &*LOG;
    let server = Server::start().await;
    let cache = server.cache().await;
    cache
        .scope(async {
            let mut last = computed!(cache, garbled(1));
            let key = key_of(garbled(1)).await;
            let entry = server.entry(&key).await;
            for (what, garbage) in garbage(&entry) {
                server.set_entry(&key, &garbage).await;
                assert_eq!(peek(garbled(1)).await, None, "{what}");
                let before = cache.stats().prefix("garbage");
                let (value, outcome) = observe(garbled(1)).await;
                assert!(outcome.is_computed(), "{what}: {outcome:?}");
                assert_ne!(value, last, "{what}");
                cache.flush().await;
                let after = cache.stats().prefix("garbage");
                assert_eq!(after.dead, before.dead + 1, "{what}");
                assert_eq!(after.computed, before.computed + 1, "{what}");
                assert_eq!(after.populated, before.populated + 1, "{what}");
                assert_eq!(hit!(garbled(1)), value, "{what}");
                last = value;
            }
            assert_eq!(cache.stats().prefix("garbage").errors, 0);
        })
        .await;
    let lines = LOG.lines(Level::WARN, "changed_types::garbled");
    assert!(lines.len() <= 2, "once for each kind of problem: {lines:#?}");
}

#[tokio::test]
async fn garbage_is_no_value_for_put_and_explain_either() {
    let server = Server::start().await;
    let cache = server.cache().await;
    cache
        .scope(async {
            computed!(cache, garbled(2)).unwrap();
            let key = key_of(garbled(2)).await;
            let entry = server.entry(&key).await;
            for (what, garbage) in garbage(&entry) {
                server.set_entry(&key, &garbage).await;
                explain(garbled(2)).await.unwrap();
                put(garbled(2), Ok(Some(700))).await.unwrap_or_else(|e| panic!("{what}: {e}"));
                assert_eq!(hit!(garbled(2)), Ok(Some(700)), "{what}");
                server.set_entry(&key, &garbage).await;
                cache_runtime::invalidate(garbled(2)).await.unwrap();
                assert_eq!(server.command::<u32>(&["EXISTS", &key]).await, 0, "{what}");
                server.set_entry(&key, &garbage).await;
                let value = cache_runtime::refresh(garbled(2)).await;
                cache.flush().await;
                assert_eq!(hit!(garbled(2)), value, "{what}");
            }
        })
        .await;
}

/// A dry run says what a call would then do.
#[tokio::test]
async fn explain_sees_that_an_entry_will_not_decode() {
    let server = Server::start().await;
    let cache = server.cache().await;
    cache
        .scope(async {
            computed!(cache, garbled(3)).unwrap();
            let key = key_of(garbled(3)).await;
            let entry = server.entry(&key).await;
            for (what, garbage) in garbage(&entry) {
                server.set_entry(&key, &garbage).await;
                let verdict = explain(garbled(3)).await.unwrap().verdict;
                assert_eq!(verdict, Verdict::Compute, "{what}");
            }
        })
        .await;
}

#[tokio::test]
async fn an_entry_of_another_function_under_the_key_is_dead() {
    let _ = &*LOG;
    let server = Server::start().await;
    let cache = server.cache().await;
    cache
        .scope(async {
            computed!(cache, numbered(60));
            computed!(cache, textual(60));
            let foreign = server.entry(&key_of(numbered(60)).await).await;
            server.set_entry(&key_of(textual(60)).await, &foreign).await;
            let before = cache.stats().prefix("textual").dead;
            let value = computed!(cache, textual(60));
            assert_eq!(cache.stats().prefix("textual").dead, before + 1);
            assert_eq!(hit!(textual(60)), value);

            // Another call of the same function counts as little.
            let other = computed!(cache, textual(61));
            let foreign = server.entry(&key_of(textual(61)).await).await;
            server.set_entry(&key_of(textual(60)).await, &foreign).await;
            assert_ne!(computed!(cache, textual(60)), other);
        })
        .await;
    let lines = LOG.lines(Level::WARN, "two functions share a key");
    assert_eq!(lines.len(), 1, "{lines:#?}");
    assert!(lines[0].contains("changed_types::textual"), "{lines:#?}");
    assert!(lines[0].contains("changed_types::numbered"), "{lines:#?}");
}

#[cache_result(prefix = "listed")]
async fn listed(key: u32) -> u64 {
    run()
}

#[tokio::test]
async fn a_key_of_another_redis_type_is_left_alone_with_one_warning() {
    let _ = &*LOG;
    let server = Server::start().await;
    let cache = server.cache().await;
    cache
        .scope(async {
            for (number, words) in
                [&["LPUSH", "K", "a"][..], &["HSET", "K", "a", "b"], &["SADD", "K", "a"]]
                    .iter()
                    .enumerate()
            {
                let call = || listed(u32::try_from(number).unwrap());
                let key = key_of(call()).await;
                let words: Vec<_> =
                    words.iter().map(|word| if *word == "K" { &key } else { *word }).collect();
                server.command::<u32>(&words).await;
                let kind: String = server.command(&["TYPE", &key]).await;
                let mut last = u64::MAX;
                for _ in 0..3 {
                    let (value, outcome) = observe(call()).await;
                    assert_eq!(outcome.reason(), Some(Reason::WrongType));
                    assert_ne!(value, last);
                    last = value;
                    cache.flush().await;
                }
                assert_eq!(peek(call()).await, None);
                assert_eq!(
                    explain(call()).await.unwrap().verdict,
                    Verdict::Bypass(Reason::WrongType)
                );
                assert!(put(call(), 1).await.is_err());
                cache_runtime::refresh(call()).await;
                cache.flush().await;
                assert_eq!(server.command::<String>(&["TYPE", &key]).await, kind);
            }
            assert_eq!(cache.stats().prefix("listed").bypassed["wrong-type"], 12);
            assert!(cache.health().last_error.is_none());
        })
        .await;
    let lines = LOG.lines(Level::WARN, "another Redis type");
    assert_eq!(lines.len(), 1, "{lines:#?}");
}

#[cache_result(prefix = "sized")]
async fn sized(bytes: usize) -> String {
    format!("{}{}", run(), "x".repeat(bytes))
}

#[tokio::test]
async fn a_value_over_the_bound_is_returned_and_not_stored() {
    let _ = &*LOG;
    let server = Server::start().await;
    for cache in [
        Cache::new(patient(Config::in_memory()).max_value(1000)),
        Cache::connect(server.config().max_value(1000)).await.unwrap(),
    ] {
        cache
            .scope(async {
                computed!(cache, sized(900));
                hit!(sized(900));
                for number in 1..=2 {
                    assert!(computed!(cache, sized(2000)).len() > 2000);
                    assert_eq!(cache.stats().prefix("sized").unstorable, number);
                }
                assert!(put(sized(2000), "x".repeat(2000)).await.unwrap_err().is_value());
                let before = put(sized(900), "y".into()).await;
                before.unwrap();
                assert_eq!(hit!(sized(900)), "y");
            })
            .await;
    }
    let lines = LOG.lines(Level::WARN, "over CACHE_MAX_VALUE");
    assert_eq!(lines.len(), 1, "{lines:#?}");
    // A run's number, two thousand letters, and three bytes that say how many these are.
    assert!(lines[0].contains("size=\"200"), "{lines:#?}");
    assert!(lines[0].contains("limit=1000"), "{lines:#?}");
}

#[tokio::test]
async fn an_entry_that_unpacks_over_the_bound_is_dead() {
    let server = Server::start().await;
    let generous = server.cache().await;
    let strict = Cache::connect(server.config().max_value(10_000)).await.unwrap();
    let value = generous.scope(sized(500_000)).await;
    generous.flush().await;
    assert_eq!(generous.scope(sized(500_000)).await, value);
    strict
        .scope(async {
            assert_ne!(computed!(strict, sized(500_000)), value);
            let stats = strict.stats().prefix("sized");
            assert_eq!((stats.dead, stats.unstorable, stats.hits), (1, 1, 0));
        })
        .await;
}

/// Cannot be serialized, in one way or another.
#[derive(Clone, Debug, PartialEq, Deserialize)]
struct Mute(bool);

impl Serialize for Mute {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        assert!(!self.0, "Serialize panics");
        Err(serde::ser::Error::custom("Serialize fails"))
    }
}

#[cache_result(prefix = "mute")]
async fn mute(panics: bool) -> Result<(u64, Mute), String> {
    Ok((run(), Mute(panics)))
}

#[tokio::test]
async fn a_value_that_cannot_be_serialized_is_returned_and_not_stored() {
    let _ = &*LOG;
    over_both(|cache| async move {
        for panics in [false, true] {
            let (number, value) = computed!(cache, mute(panics)).unwrap();
            assert_eq!(value, Mute(panics));
            assert_ne!(computed!(cache, mute(panics)).unwrap().0, number);
            let error = put(mute(panics), Ok((1, Mute(panics)))).await.unwrap_err();
            assert!(error.is_value());
        }
        assert_eq!(cache.stats().prefix("mute").unstorable, 6);
    })
    .await;
    let lines = LOG.lines(Level::WARN, "changed_types::mute");
    assert_eq!(lines.len(), 1, "{lines:#?}");
}

/// Loses a field that it then asks for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Lossy {
    #[serde(skip_serializing)]
    id: u64,
}

#[cache_result(prefix = "lossy")]
async fn lossy(key: u32) -> Lossy {
    Lossy { id: run() }
}

#[tokio::test]
async fn a_function_none_of_whose_values_comes_back_is_switched_off_with_one_warning() {
    let _ = &*LOG;
    let (server, [memory, redis]) = both_stores().await;
    // One call alone does not decide for the others, however often it is made.
    for _ in 0..40 {
        memory.scope(async { computed!(memory, lossy(1)) }).await;
    }
    let mut tries = 0;
    while memory.scope(observe(lossy(100 + tries))).await.1.is_computed() {
        tries += 1;
        assert!(tries < 64, "still tried");
    }
    for cache in [memory, redis] {
        cache
            .scope(async {
                let (_, outcome) = observe(lossy(1)).await;
                assert_eq!(outcome.reason(), Some(Reason::FunctionDisabled));
                let verdict = explain(lossy(1)).await.unwrap().verdict;
                assert_eq!(verdict, Verdict::Bypass(Reason::FunctionDisabled));
                let error = put(lossy(1), Lossy { id: 1 }).await.unwrap_err();
                assert!(error.is_value() && error.to_string().contains("is not cached"), "{error}");
            })
            .await;
    }
    assert_eq!(server.keys().await, Vec::<String>::new());
    for text in ["does not come back from its own bytes", "not cached any more"] {
        let lines = LOG.lines(Level::WARN, text);
        let ours: Vec<_> =
            lines.iter().filter(|line| line.contains("changed_types::lossy")).collect();
        assert_eq!(ours.len(), 1, "{lines:#?}");
        assert!(ours[0].contains("missing field `id`"), "{ours:#?}");
    }
}

/// Does not come back where its list is empty.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Found {
    run: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    items: Vec<u32>,
}

macro_rules! finding {
    ($($name:ident)*) => {$(
        #[cache_result]
        async fn $name(count: u32) -> Found {
            Found { run: run(), items: (0..count).collect() }
        }
    )*};
}
finding! { bad_first good_first bad_in_memory }

#[tokio::test]
async fn a_value_that_does_not_come_back_concerns_its_own_entry_in_any_order() {
    let _ = &*LOG;
    let server = Server::start().await;
    let cache = server.cache().await;
    cache
        .scope(async {
            for _ in 0..3 {
                computed!(cache, bad_first(0));
            }
            let good = computed!(cache, bad_first(2));
            assert_eq!(hit!(bad_first(2)), good);

            let good = computed!(cache, good_first(2));
            for _ in 0..3 {
                computed!(cache, good_first(0));
                let stored = explain(good_first(0)).await.unwrap().stored;
                assert!(stored.is_none_or(|stored| stored.kind == StoredKind::Unstored));
            }
            assert_eq!(hit!(good_first(2)), good);
            let stats = cache.stats().prefix("changed_types::good_first");
            assert_eq!((stats.unstorable, stats.dead), (3, 0));
            let error = put(good_first(0), Found { run: 0, items: vec![] }).await.unwrap_err();
            assert!(error.is_value() && error.to_string().contains("missing field `items`"));
        })
        .await;
    let memory = in_memory();
    memory
        .scope(async {
            computed!(memory, bad_in_memory(0));
            computed!(memory, bad_in_memory(1));
            hit!(bad_in_memory(1));
        })
        .await;
    for function in ["changed_types::bad_first", "changed_types::good_first"] {
        let lines = LOG.lines(Level::WARN, function);
        assert_eq!(lines.len(), 1, "{lines:#?}");
        assert!(lines[0].contains("reason=\"missing field `items`\""), "{lines:#?}");
    }
}

#[tokio::test]
async fn an_entry_that_does_not_decode_is_warned_about_with_the_reason() {
    let _ = &*LOG;
    let server = Server::start().await;
    let cache = server.cache().await;
    cache
        .scope(async {
            let (_, outcome) = changed!(server, cache: old::listing(9) => retyped_again(9));
            assert!(outcome.is_computed());
        })
        .await;
    let lines = LOG.lines(Level::WARN, "changed_types::retyped_again");
    assert_eq!(lines.len(), 1, "{lines:#?}");
    assert!(lines[0].contains("does not decode"), "{lines:#?}");
    assert!(lines[0].contains("invalid type: integer `9`, expected a string"), "{lines:#?}");
}

static ARMED: AtomicBool = AtomicBool::new(false);

#[derive(Debug, PartialEq, Serialize)]
struct Explosive(u64);

impl<'de> Deserialize<'de> for Explosive {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        assert!(!ARMED.load(Ordering::SeqCst), "Deserialize panics");
        Deserialize::deserialize(deserializer).map(Self)
    }
}

#[cache_result(prefix = "explosive")]
async fn explosive(key: u32) -> Result<Explosive, String> {
    Ok(Explosive(run()))
}

#[tokio::test]
async fn an_entry_whose_decoding_panics_is_dead_and_the_function_runs() {
    over_both(|cache| async move {
        let first = computed!(cache, explosive(1));
        assert_eq!(hit!(explosive(1)), first);
        ARMED.store(true, Ordering::SeqCst);
        assert_eq!(peek(explosive(1)).await, None);
        let second = computed!(cache, explosive(1));
        assert_ne!(first, second);
        assert_eq!(cache.stats().prefix("explosive").dead, 1);
        ARMED.store(false, Ordering::SeqCst);
        // Nothing was stored that could not be decoded at that time.
        let third = computed!(cache, explosive(1));
        assert_ne!(second, third);
        assert_eq!(hit!(explosive(1)), third);
    })
    .await;
}

#[derive(Debug, Serialize)]
struct NeverComesBack(u64);

impl<'de> Deserialize<'de> for NeverComesBack {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        panic!("Deserialize panics")
    }
}

#[cache_result]
async fn never_comes_back(key: u32) -> NeverComesBack {
    NeverComesBack(run())
}

#[tokio::test]
async fn a_deserialize_that_always_panics_stores_nothing() {
    over_both(|cache| async move {
        for key in 0..3 {
            computed!(cache, never_comes_back(key));
            let stored = explain(never_comes_back(key)).await.unwrap().stored;
            assert!(
                stored.is_none_or(|stored| stored.kind != StoredKind::Value),
                "a value was stored"
            );
        }
    })
    .await;
}

/// Without `PartialEq` nothing tells that a field is lost, which is documented.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Forgetful {
    id: u64,
    #[serde(skip)]
    secret: String,
}

#[cache_result]
async fn forgetful(key: u32) -> Forgetful {
    Forgetful { id: run(), secret: "secret".into() }
}

#[tokio::test]
async fn a_skipped_field_is_lost_and_never_reaches_redis() {
    let server = Server::start().await;
    let cache = server.cache().await;
    cache
        .scope(async {
            assert_eq!(computed!(cache, forgetful(1)).secret, "secret");
            let again = hit!(forgetful(1));
            assert_eq!(again.secret, "");
            let entry = server.entry(&key_of(forgetful(1)).await).await;
            assert!(!String::from_utf8_lossy(&entry).contains("secret"));
        })
        .await;
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Comparable {
    run: u64,
    #[serde(skip_serializing, default)]
    secret: String,
}

#[cache_result]
async fn comparable(secret: bool) -> Comparable {
    Comparable { run: run(), secret: if secret { "secret".into() } else { String::new() } }
}

#[tokio::test]
async fn a_value_that_would_come_back_with_a_part_missing_is_not_stored() {
    let _ = &*LOG;
    over_both(|cache| async move {
        for _ in 0..2 {
            assert_eq!(computed!(cache, comparable(true)).secret, "secret");
        }
        let whole = computed!(cache, comparable(false));
        assert_eq!(hit!(comparable(false)), whole);
        assert_eq!(computed!(cache, comparable(true)).secret, "secret");
    })
    .await;
    let lines = LOG.lines(Level::WARN, "changed_types::comparable");
    assert_eq!(lines.len(), 1, "{lines:#?}");
    assert!(lines[0].contains("#[serde(skip)]"), "{lines:#?}");
}
