use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::fmt::Debug;

use proptest::prelude::*;
use serde::ser::SerializeSeq as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::*;

const LIMIT: usize = 1 << 20;

fn encoded<V: Serialize + DeserializeOwned + PartialEq>(value: &V) -> Proven {
    encode(value, LIMIT, Form::default(), equal).unwrap()
}

/// Encodes a value, and expects the compact form.
fn compact<V: Serialize + DeserializeOwned + PartialEq + Debug>(value: &V) -> Vec<u8> {
    let proven = encoded(value);
    assert_eq!(proven.form, Form::default(), "{value:?}");
    assert_eq!(decode::<V>(&proven.bytes).unwrap(), *value);
    proven.bytes
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Everything {
    texts: (String, char, Option<String>, Option<String>),
    signed: (i8, i16, i32, i64, i128),
    unsigned: (u8, u16, u32, u64, u128),
    floats: (f32, f64),
    unit: (),
    variants: Vec<Variants>,
    map: BTreeMap<i16, Vec<bool>>,
    long: Vec<u16>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Variants {
    Unit,
    One(u32),
    Pair(i64, String),
    Named { a: Option<u8>, b: Vec<Variants> },
}

fn everything() -> impl Strategy<Value = Everything> {
    let texts = (any::<String>(), any::<char>(), any::<Option<String>>(), any::<Option<String>>());
    let leaf = prop_oneof![
        Just(Variants::Unit),
        any::<u32>().prop_map(Variants::One),
        any::<(i64, String)>().prop_map(|(a, b)| Variants::Pair(a, b)),
    ];
    let variants = leaf.prop_recursive(4, 20, 4, |inner| {
        (any::<Option<u8>>(), prop::collection::vec(inner, 0..20))
            .prop_map(|(a, b)| Variants::Named { a, b })
    });
    let map = prop::collection::btree_map(any::<i16>(), any::<Vec<bool>>(), 0..40);
    (
        texts,
        any::<(i8, i16, i32, i64, i128)>(),
        any::<(u8, u16, u32, u64, u128)>(),
        any::<(f32, f64)>(),
        prop::collection::vec(variants, 0..4),
        map,
        prop::collection::vec(any::<u16>(), 0..400),
    )
        .prop_map(|(texts, signed, unsigned, floats, variants, map, long)| Everything {
            texts,
            signed,
            unsigned,
            floats,
            unit: (),
            variants,
            map,
            long,
        })
}

proptest! {
    #[test]
    fn the_compact_form_is_what_others_read_and_write(mut value in everything()) {
        // Above `i128::MAX` a byte is put in front, which tells the number from a negative one.
        value.unsigned.4 >>= 1;
        let bytes = compact(&value);
        prop_assert_eq!(&bytes, &rmp_serde::to_vec_named(&value).unwrap());
        prop_assert_eq!(rmp_serde::from_slice::<Everything>(&bytes).unwrap(), value);
    }

    #[test]
    fn every_form_brings_the_value_back(value in everything()) {
        for form in Form::ALL {
            let bytes = write(&value, LIMIT, form).unwrap();
            prop_assert_eq!(&decode::<Everything>(&bytes).unwrap(), &value);
        }
    }

    #[test]
    fn bytes_of_any_length_come_back_and_others_read_them(value in any::<Vec<u8>>()) {
        let bytes = compact(&value);
        prop_assert_eq!(rmp_serde::from_slice::<Vec<u8>>(&bytes).unwrap(), value);
    }

    #[test]
    fn foreign_bytes_are_refused_without_a_panic(bytes in any::<Vec<u8>>()) {
        let _ = decode::<Everything>(&bytes);
        let _ = decode::<serde_json::Value>(&bytes);
        let _ = decode::<Vec<Vec<u8>>>(&bytes);
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct File {
    name: String,
    content: Vec<u8>,
    digest: [u8; 32],
}

#[test]
fn bytes_take_a_byte_each_also_deep_inside() {
    let noise: Vec<u8> = (0..600_000_u32).map(|n| (n.wrapping_mul(40_503) >> 7) as u8).collect();
    assert_eq!(compact(&noise).len(), 600_005);
    assert_eq!(compact(&Some(std::sync::Arc::<[u8]>::from(&*noise))).len(), 600_005);
    assert_eq!(compact(&VecDeque::from(noise[..300].to_vec())).len(), 303);
    assert_eq!(compact(&[255_u8; 32]).len(), 34);
    let file = File { name: "a".into(), content: noise[..70_000].into(), digest: [200; 32] };
    assert!(compact(&vec![file.clone(), file]).len() < 2 * (70_000 + 32 + 40));
}

#[test]
fn a_list_that_begins_with_bytes_need_not_be_one_of_bytes() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(untagged)]
    enum Small {
        Byte(u8),
        Text(String),
    }
    let mut list: Vec<Small> = (0..200).map(Small::Byte).collect();
    compact(&list);
    list.push(Small::Text("x".into()));
    compact(&list);
    compact(&vec![(7_u8,); 20]);
    compact(&[Some(7_u8), None].repeat(10));
    compact(&vec![i64::from(u8::MAX); 20]);
    compact(&(0..=200).collect::<HashSet<u8>>());
}

#[test]
fn numbers_of_a_self_describing_value_stay_numbers() {
    let list: Vec<u8> = (0..100).collect();
    let value = serde_json::json!({ "list": list, "deeper": [[1, 2, -3]], "x": 0.5 });
    assert_eq!(compact(&value), rmp_serde::to_vec_named(&value).unwrap());
}

/// A number that remembers its width, as those in documents of databases do.
#[derive(Clone, Debug, PartialEq)]
enum Remembering {
    I32(i32),
    I64(i64),
    U64(u64),
}

impl Serialize for Remembering {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match *self {
            Self::I32(number) => serializer.serialize_i32(number),
            Self::I64(number) => serializer.serialize_i64(number),
            Self::U64(number) => serializer.serialize_u64(number),
        }
    }
}

impl<'de> Deserialize<'de> for Remembering {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Remembering;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a number")
            }
            fn visit_i32<E>(self, number: i32) -> Result<Remembering, E> {
                Ok(Remembering::I32(number))
            }
            fn visit_i64<E>(self, number: i64) -> Result<Remembering, E> {
                Ok(Remembering::I64(number))
            }
            fn visit_u64<E>(self, number: u64) -> Result<Remembering, E> {
                Ok(Remembering::U64(number))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

#[test]
fn a_width_that_is_remembered_comes_back_with_and_without_equality() {
    let numbers = [Remembering::I32(5), Remembering::I64(5), Remembering::U64(5)];
    for number in &numbers {
        for compare in [equal as Compare<Remembering>, alike] {
            let proven = encode(number, LIMIT, Form::default(), compare).unwrap();
            assert_eq!(decode::<Remembering>(&proven.bytes).unwrap(), *number);
            assert_eq!(proven.form.is_wide(), !matches!(number, Remembering::U64(_)));
        }
    }
}

#[test]
fn hashed_collections_are_alike_in_any_order() {
    let map: HashMap<String, Vec<u32>> =
        (0..100).map(|n| (n.to_string(), vec![n, n + 1])).collect();
    let set: HashSet<u64> = (0..100).collect();
    encode(&(map, set), LIMIT, Form::default(), alike).unwrap();
}

#[test]
fn what_is_not_a_number_is_no_difference() {
    let numbers = vec![f64::NAN, 1.0, f64::INFINITY];
    let proven = encode(&numbers, LIMIT, Form::default(), equal).unwrap();
    assert!(decode::<Vec<f64>>(&proven.bytes).unwrap()[0].is_nan());
}

#[test]
fn a_value_that_comes_back_as_another_is_refused_in_words() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Skipping {
        id: u32,
        #[serde(skip)]
        secret: String,
    }
    let refused = |encoded: Encoded| match encoded.unwrap_err() {
        Unencoded::Lost(why) => why,
        other => panic!("{other:?}"),
    };
    let skipping = Skipping { id: 1, secret: "x".into() };
    let why = refused(encode(&skipping, LIMIT, Form::default(), equal));
    assert!(why.contains("#[serde(skip)]"), "{why}");
    encode(&Skipping { id: 1, secret: String::new() }, LIMIT, Form::default(), equal).unwrap();
    for compare in [equal as Compare<_>, alike] {
        let why = refused(encode(&vec![Some(None::<u8>)], LIMIT, Form::default(), compare));
        assert!(why.contains("Option<Option<_>>"), "{why}");
    }
}

#[test]
fn the_size_of_what_is_too_large_is_told_up_to_twice_the_limit() {
    let size = |value: &[u8]| match encode(&value.to_vec(), 1000, Form::default(), equal) {
        Err(Unencoded::TooLarge(size)) => size.to_string(),
        other => panic!("{other:?}"),
    };
    assert_eq!(size(&[200; 1500]), "1503");
    assert!(size(&vec![200; 100_000]).starts_with("more than 2"));
    assert!(encode(&vec![200_u8; 997], 1000, Form::default(), equal).is_ok());
    assert_eq!(size(&[200; 998]), "1001");
    let text = "x".repeat(1500);
    let refused = encode(&text, 1000, Form::default(), equal).unwrap_err();
    assert_eq!(refused, Unencoded::TooLarge(Size::Exactly(1503)));
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Chain {
    End,
    Next(Box<Chain>),
}

#[test]
fn nesting_has_one_bound_on_both_ways() {
    let chain = |links| (0..links).fold(Chain::End, |chain, _| Chain::Next(Box::new(chain)));
    compact(&chain(127));
    let refused = encode(&chain(128), LIMIT, Form::default(), equal).unwrap_err();
    assert_eq!(refused, Unencoded::Failed("nested deeper than 128 levels".into()));
    let deep = [b"\x81\xa4Next".repeat(100_000), b"\xa3End".to_vec()].concat();
    assert!(decode::<Chain>(&deep).is_err());
}

/// Takes every error for a `None`.
#[derive(Debug, PartialEq, Serialize)]
#[serde(transparent)]
struct Lenient(Option<Vec<Lenient>>);

impl<'de> Deserialize<'de> for Lenient {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(Vec::deserialize(deserializer).ok()))
    }
}

#[test]
fn a_type_that_catches_failures_is_not_read_deeper_than_others() {
    // The list of two is at the deepest level that is allowed. Both its items are refused.
    let lists = |count| b"\x91".repeat(count);
    let deep = [lists(126), b"\x92\x90".to_vec(), lists(100_000), b"\x90".to_vec()].concat();
    let left_over = decode::<Lenient>(&deep).unwrap_err();
    assert!(left_over.to_string().contains("left over"), "{left_over}");

    // The items after it may be nested to the bound again.
    let chain =
        |links| (0..links).fold(Lenient(Some(Vec::new())), |chain, _| Lenient(Some(vec![chain])));
    let bytes = [b"\x92\x93\xc3\xc3\xc3".to_vec(), lists(125), b"\x90".to_vec()].concat();
    let read: Lenient = decode(&bytes).unwrap();
    let lost = Lenient(Some(vec![Lenient(None), Lenient(None), Lenient(None)]));
    assert_eq!(read, Lenient(Some(vec![lost, chain(125)])));
}

#[test]
fn a_type_that_catches_failures_is_not_written_deeper_than_others() {
    struct Catching<'a>(&'a Chain);
    impl Serialize for Catching<'_> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let mut list = serializer.serialize_seq(Some(1))?;
            for _ in 0..300 {
                assert!(list.serialize_element(self.0).is_err());
            }
            list.serialize_element(&7_u8)?;
            list.end()
        }
    }
    let chain = (0..200).fold(Chain::End, |chain, _| Chain::Next(Box::new(chain)));
    let written = write(&Catching(&chain), LIMIT, Form::default());
    assert_eq!(written, Err(Unencoded::Failed("a list of another length than it said".into())));
}

#[test]
fn a_number_of_128_bits_is_not_read_with_another_sign() {
    for unsigned in [0, 1, i128::MAX as u128, 1 << 127, u128::MAX] {
        let bytes = compact(&unsigned);
        assert_eq!(decode::<i128>(&bytes).ok(), i128::try_from(unsigned).ok(), "{unsigned}");
    }
    for signed in [i128::MIN, i128::from(i64::MIN), -1, 0, i128::MAX] {
        let bytes = compact(&signed);
        assert_eq!(decode::<u128>(&bytes).ok(), u128::try_from(signed).ok(), "{signed}");
    }
    for narrow in [i64::MIN, -129, -1] {
        assert_eq!(decode::<i128>(&compact(&narrow)).unwrap(), i128::from(narrow));
        assert!(decode::<u128>(&compact(&narrow)).is_err(), "{narrow}");
    }
}

#[test]
fn a_value_that_only_a_larger_form_brings_back_is_too_large_rather_than_lost() {
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    #[serde(untagged)]
    enum Host {
        Address(std::net::IpAddr),
        Name(String),
    }
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Answer {
        host: Host,
        data: Vec<u8>,
    }
    let answer = |host: &Host| Answer { host: host.clone(), data: vec![200; 700] };
    let (address, name) =
        (Host::Address([127, 0, 0, 1].into()), Host::Name("example.org".to_owned()));
    let readable = encode(&answer(&address), LIMIT, Form::default(), equal).unwrap().form;
    assert!(readable.is_readable());
    for first in [Form::default(), readable] {
        let refused = encode(&answer(&address), 1000, first, equal).unwrap_err();
        assert!(matches!(refused, Unencoded::TooLarge(_)), "{first:?}: {refused:?}");
        let proven = encode(&answer(&name), 1000, first, equal).unwrap();
        assert_eq!(proven.form, Form::default());
    }
}

#[test]
fn a_form_of_a_later_version_is_no_value() {
    assert!(decode::<u8>(&[FORM_MARKER, 1, 7]).is_ok());
    assert!(decode::<u8>(&[FORM_MARKER, 0x80, 7]).is_err());
    assert!(decode::<u8>(&[FORM_MARKER]).is_err());
}
