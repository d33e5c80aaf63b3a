//! Whatever `serde_json` brings back equal is a hit, and equal, here too.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::{NonZeroU8, Wrapping};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use cache_runtime::{cache_result, explain};
use serde::de::{DeserializeOwned, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use support::{computed, hit, over_both};

/// Whether JSON brings a value back as it was.
fn survives_json<T: Serialize + DeserializeOwned + PartialEq>(value: &T) -> bool {
    let text = serde_json::to_string(value).ok();
    text.and_then(|text| serde_json::from_str::<T>(&text).ok()).is_some_and(|back| back == *value)
}

macro_rules! forms {
    ($($name:ident: $ty:ty = $value:expr;)*) => {
        $(
            #[cache_result]
            async fn $name(key: u32) -> $ty {
                $value
            }
        )*

        #[tokio::test]
        async fn all_that_json_brings_back_is_stored_and_comes_back_equal() {
            $( assert!(survives_json::<$ty>(&$value), stringify!($name)); )*
            over_both(|cache| async move {
                $(
                    let value: $ty = computed!(cache, $name(1));
                    assert_eq!(hit!($name(1)), value, stringify!($name));
                    // A second time, in the form that is then known.
                    let value: $ty = computed!(cache, $name(2));
                    assert_eq!(hit!($name(2)), value, stringify!($name));
                )*
            })
            .await;
        }
    };
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Host {
    Ip(IpAddr),
    Name(String),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Event {
    Seen { at: SocketAddr, bytes: Vec<u8> },
    Moved(Moved),
    Gone,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Moved {
    from: Ipv6Addr,
    by: Option<i64>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "t", content = "c")]
enum Adjacent {
    Ip(Ipv4Addr),
    Pair(u8, Vec<IpAddr>),
    Nothing,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Flat<T> {
    id: u32,
    #[serde(flatten)]
    rest: T,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Inner {
    address: IpAddr,
    digest: Vec<u8>,
    small: f32,
    letter: char,
    flag: Option<bool>,
    nothing: (),
    kind: Kind,
    pair: (i8, String),
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
enum Kind {
    Unit,
    New(u16),
    Tuple(u8, bool),
    Struct { a: i64 },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Empty;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Either {
    Empty(Empty),
    Bytes(Vec<u8>),
    Floats(Vec<f64>),
    Kind(Kind),
    Text { text: String },
}

/// As `Uuid` and many more: text for people, bytes for machines.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Id([u8; 16]);

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(&u128::from_be_bytes(self.0))
        } else {
            serializer.serialize_bytes(&self.0)
        }
    }
}

struct SixteenBytes;

impl Visitor<'_> for SixteenBytes {
    type Value = Id;
    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("sixteen bytes")
    }
    fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<Id, E> {
        bytes.try_into().map(Id).map_err(E::custom)
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            let text = String::deserialize(deserializer)?;
            let number: u128 = text.parse().map_err(serde::de::Error::custom)?;
            return Ok(Self(number.to_be_bytes()));
        }
        deserializer.deserialize_bytes(SixteenBytes)
    }
}

/// Writes bytes, and reads a list.
#[derive(Clone, Debug, PartialEq)]
struct Blob(Vec<u8>);

impl Serialize for Blob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::deserialize(deserializer).map(Self)
    }
}

fn raw(text: &str) -> Raw {
    Raw(RawValue::from_string(text.into()).expect("it is JSON"))
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
struct Raw(Box<RawValue>);

impl PartialEq for Raw {
    fn eq(&self, other: &Self) -> bool {
        self.0.get() == other.0.get()
    }
}

const IP: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));

fn inner() -> Inner {
    Inner {
        address: IpAddr::V6(Ipv6Addr::LOCALHOST),
        digest: (0..200).collect(),
        small: 0.1,
        letter: 'ß',
        flag: None,
        nothing: (),
        kind: Kind::Struct { a: i64::MIN },
        pair: (-1, "x".into()),
    }
}

forms! {
    ip: IpAddr = IP;
    untagged_ip: Host = Host::Ip(IP);
    untagged_names: Vec<Host> = vec![Host::Name("a".into()), Host::Ip(IP)];
    tagged_struct: Event = Event::Seen { at: "[::1]:80".parse().unwrap(), bytes: vec![200; 40] };
    tagged_newtype: Event = Event::Moved(Moved { from: Ipv6Addr::LOCALHOST, by: Some(-5) });
    tagged_unit: Option<Event> = Some(Event::Gone);
    adjacent_ip: Adjacent = Adjacent::Ip(Ipv4Addr::LOCALHOST);
    adjacent_pair: Vec<Adjacent> = vec![Adjacent::Pair(200, vec![IP; 3]), Adjacent::Nothing];
    flat: Flat<Inner> = Flat { id: 1, rest: inner() };
    flat_map: Flat<HashMap<String, IpAddr>> = Flat { id: 1, rest: HashMap::from([("a".into(), IP)]) };
    flat_flat: Flat<Flatter> = Flat { id: 1, rest: Flatter { name: "n".into(), rest: inner() } };
    flat_json: Flat<BTreeMap<String, serde_json::Value>> =
        Flat { id: 7, rest: BTreeMap::from([("a".into(), serde_json::json!([1, -2, 0.5, null]))]) };
    untagged_unit: Either = Either::Empty(Empty);
    untagged_bytes: Either = Either::Bytes(vec![255; 100]);
    untagged_no_bytes: Either = Either::Bytes(vec![]);
    untagged_floats: Either = Either::Floats(vec![0.5, 300.0]);
    untagged_newtype: Either = Either::Kind(Kind::New(500));
    untagged_tuple: Either = Either::Kind(Kind::Tuple(1, true));
    untagged_struct: Vec<Either> = vec![Either::Text { text: String::new() }, Either::Kind(Kind::Unit)];
    id: Id = Id([7; 16]);
    flat_id: Flat<HashMap<String, Id>> = Flat { id: 1, rest: HashMap::from([("a".into(), Id([200; 16]))]) };
    ids_as_keys: BTreeMap<Id, u8> = BTreeMap::from([(Id([1; 16]), 1)]);
    blob: Blob = Blob(vec![130; 50]);
    flat_blob: Flat<BTreeMap<String, Blob>> = Flat { id: 1, rest: BTreeMap::from([("a".into(), Blob(vec![9; 50]))]) };
    raw_value: Raw = raw("{\"a\": [1, 2.50]}");
    raw_values: Vec<Raw> = vec![raw("null"), raw("[ ]")];
    wide_numbers: (u128, i128, Vec<i128>) = (u128::MAX, i128::MIN, vec![1, -1]);
    keys: (HashMap<u64, IpAddr>, BTreeMap<bool, u8>, BTreeMap<char, i8>) =
        (HashMap::from([(u64::MAX, IP)]), BTreeMap::from([(true, 1)]), BTreeMap::from([('x', -1)]));
    sets: (BTreeSet<u8>, HashSet<u8>) = ((0..=255).collect(), (0..100).collect());
    arrays: ([u8; 32], [[u8; 16]; 2], [u8; 3]) = ([255; 32], [[1; 16]; 2], [1, 2, 3]);
    shared: Arc<[u8]> = vec![200; 1000].into();
    boxed: Box<[u8]> = vec![1; 1000].into();
    std_types: (Duration, SystemTime, PathBuf, Wrapping<u8>, NonZeroU8) = (
        Duration::new(1, 2), SystemTime::UNIX_EPOCH + Duration::from_secs(9), "/a".into(), Wrapping(200), NonZeroU8::MAX,
    );
    results: Vec<Result<Kind, String>> = vec![Ok(Kind::Unit), Err("no".into())];
    json: serde_json::Value = serde_json::json!({ "list": (0..100).collect::<Vec<u8>>(), "n": -1, "f": 1.5 });
    options: Vec<Option<Option<u8>>> = vec![Some(Some(1)), None];
    nothing_at_all: ((), Empty, Option<u8>) = ((), Empty, None);
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Flatter {
    name: String,
    #[serde(flatten)]
    rest: Inner,
}

/// As a document of a database: it remembers in which width a number came.
#[derive(Clone, Debug, PartialEq)]
enum Number {
    I32(i32),
    I64(i64),
    F64(f64),
}

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match *self {
            Self::I32(number) => serializer.serialize_i32(number),
            Self::I64(number) => serializer.serialize_i64(number),
            Self::F64(number) => serializer.serialize_f64(number),
        }
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyNumber;
        impl Visitor<'_> for AnyNumber {
            type Value = Number;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a number")
            }
            fn visit_i32<E>(self, number: i32) -> Result<Number, E> {
                Ok(Number::I32(number))
            }
            fn visit_i64<E>(self, number: i64) -> Result<Number, E> {
                Ok(Number::I64(number))
            }
            fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Number, E> {
                i32::try_from(number).map(Number::I32).map_err(E::custom)
            }
            fn visit_f64<E>(self, number: f64) -> Result<Number, E> {
                Ok(Number::F64(number))
            }
        }
        deserializer.deserialize_any(AnyNumber)
    }
}

type Document = BTreeMap<String, Number>;

fn document() -> Document {
    let numbers = [Number::I64(5), Number::I32(5), Number::I32(-1), Number::F64(5.0)];
    (0..).map(|n: u32| n.to_string()).zip(numbers).collect()
}

#[cache_result]
async fn comparable(key: u32) -> Document {
    document()
}

/// Nothing to compare it by, neither `Clone`.
#[derive(Debug, Serialize, Deserialize)]
struct Opaque {
    host: Host,
    document: Document,
}

#[cache_result]
async fn opaque(key: u32) -> Opaque {
    Opaque { host: Host::Ip(IP), document: document() }
}

#[cache_result(local)]
async fn opaque_copy(key: u32) -> Opaque {
    Opaque { host: Host::Ip(IP), document: document() }
}

#[tokio::test]
async fn a_number_comes_back_in_the_width_that_it_had() {
    over_both(|cache| async move {
        assert_eq!(computed!(cache, comparable(1)), document());
        assert_eq!(hit!(comparable(1)), document());
        computed!(cache, opaque(1));
        assert_eq!(hit!(opaque(1)).document, document());
        computed!(cache, opaque_copy(1));
        for _ in 0..3 {
            let copy = hit!(opaque_copy(1));
            assert_eq!((copy.host, copy.document), (Host::Ip(IP), document()));
        }
    })
    .await;
}

#[cache_result(prefix = "noise")]
async fn noise(length: u32) -> Vec<u8> {
    (0..length).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct File {
    name: String,
    content: Arc<[u8]>,
}

#[cache_result(prefix = "file")]
async fn file(length: u32) -> File {
    File { name: "noise".into(), content: vec![200; length as usize].into() }
}

#[tokio::test]
async fn bytes_take_no_more_than_a_byte_each() {
    over_both(|cache| async move {
        assert_eq!(computed!(cache, noise(600_000)), hit!(noise(600_000)));
        let stored = explain(noise(600_000)).await.unwrap().stored.unwrap();
        assert!(stored.size < 603_000, "{stored:?}");
        // Of a length that is stored as bytes and would not be as numbers.
        assert_eq!(computed!(cache, file(1_000_000)), hit!(file(1_000_000)));
    })
    .await;
}
