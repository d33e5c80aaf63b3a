use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Mutex, RwLock};

use indexmap::IndexMap;
use proptest::prelude::*;
use serde::ser::{
    SerializeMap as _, SerializeSeq as _, SerializeStruct as _, SerializeStructVariant as _,
    SerializeTuple as _, SerializeTupleStruct as _, SerializeTupleVariant as _,
};

use super::*;

/// A value of each kind in serde's data model, serialized by hand.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Model {
    Bool(bool),
    I8(i8),
    I16(i16),
    I32(i32),
    I64(i64),
    I128(i128),
    U8(u8),
    U16(u16),
    U32(u32),
    U64(u64),
    U128(u128),
    F32(u32),
    F64(u64),
    Char(char),
    Str(&'static str),
    Bytes(Vec<u8>),
    None,
    Some(Box<Model>),
    Unit,
    UnitStruct(&'static str),
    UnitVariant(&'static str, u32, &'static str),
    Newtype(&'static str, Box<Model>),
    NewtypeVariant(&'static str, &'static str, Box<Model>),
    Seq(Vec<Model>),
    Tuple(Vec<Model>),
    TupleStruct(&'static str, Vec<Model>),
    TupleVariant(&'static str, &'static str, Vec<Model>),
    Map(BTreeMap<Model, Model>),
    Struct(&'static str, Vec<(&'static str, Model)>),
    StructVariant(&'static str, &'static str, Vec<(&'static str, Model)>),
}

impl Serialize for Model {
    #[allow(clippy::too_many_lines)] // One arm for each kind.
    fn serialize<S: ser::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Bool(v) => to.serialize_bool(*v),
            Self::I8(v) => to.serialize_i8(*v),
            Self::I16(v) => to.serialize_i16(*v),
            Self::I32(v) => to.serialize_i32(*v),
            Self::I64(v) => to.serialize_i64(*v),
            Self::I128(v) => to.serialize_i128(*v),
            Self::U8(v) => to.serialize_u8(*v),
            Self::U16(v) => to.serialize_u16(*v),
            Self::U32(v) => to.serialize_u32(*v),
            Self::U64(v) => to.serialize_u64(*v),
            Self::U128(v) => to.serialize_u128(*v),
            Self::F32(bits) => to.serialize_f32(f32::from_bits(*bits)),
            Self::F64(bits) => to.serialize_f64(f64::from_bits(*bits)),
            Self::Char(v) => to.serialize_char(*v),
            Self::Str(v) => to.serialize_str(v),
            Self::Bytes(v) => to.serialize_bytes(v),
            Self::None => to.serialize_none(),
            Self::Some(v) => to.serialize_some(v),
            Self::Unit => to.serialize_unit(),
            Self::UnitStruct(name) => to.serialize_unit_struct(name),
            Self::UnitVariant(name, index, variant) => {
                to.serialize_unit_variant(name, *index, variant)
            }
            Self::Newtype(name, v) => to.serialize_newtype_struct(name, v),
            Self::NewtypeVariant(name, variant, v) => {
                to.serialize_newtype_variant(name, 0, variant, v)
            }
            Self::Seq(items) => {
                let mut seq = to.serialize_seq(None)?;
                items.iter().try_for_each(|item| seq.serialize_element(item))?;
                seq.end()
            }
            Self::Tuple(items) => {
                let mut tuple = to.serialize_tuple(items.len())?;
                items.iter().try_for_each(|item| tuple.serialize_element(item))?;
                tuple.end()
            }
            Self::TupleStruct(name, items) => {
                let mut tuple = to.serialize_tuple_struct(name, items.len())?;
                items.iter().try_for_each(|item| tuple.serialize_field(item))?;
                tuple.end()
            }
            Self::TupleVariant(name, variant, items) => {
                let mut tuple = to.serialize_tuple_variant(name, 0, variant, items.len())?;
                items.iter().try_for_each(|item| tuple.serialize_field(item))?;
                tuple.end()
            }
            Self::Map(entries) => {
                let mut map = to.serialize_map(None)?;
                entries.iter().try_for_each(|(key, item)| map.serialize_entry(key, item))?;
                map.end()
            }
            Self::Struct(name, fields) => {
                let mut fields_of = to.serialize_struct(name, fields.len())?;
                fields
                    .iter()
                    .try_for_each(|(field, item)| fields_of.serialize_field(field, item))?;
                fields_of.end()
            }
            Self::StructVariant(name, variant, fields) => {
                let mut fields_of = to.serialize_struct_variant(name, 0, variant, fields.len())?;
                fields
                    .iter()
                    .try_for_each(|(field, item)| fields_of.serialize_field(field, item))?;
                fields_of.end()
            }
        }
    }
}

fn bytes(value: &(impl Serialize + ?Sized)) -> Vec<u8> {
    let mut bytes = Buffer::new();
    encode(value, &mut bytes).unwrap();
    bytes.to_vec()
}

fn name() -> impl Strategy<Value = &'static str> {
    // Names that begin with bytes that could be tags or lengths.
    prop::sample::select(vec!["", "a", "b", "ab", "\0", "\u{f}", "\0\0\0\0\0\0\0\0"])
}

/// Made of few different scalars, so that a collision would be found.
fn model() -> impl Strategy<Value = Model> {
    let scalar = prop_oneof![
        any::<bool>().prop_map(Model::Bool),
        (0..2i8).prop_map(Model::I8),
        (0..2i16).prop_map(Model::I16),
        (0..2i32).prop_map(Model::I32),
        (0..2i64).prop_map(Model::I64),
        (0..2i128).prop_map(Model::I128),
        (0..32u8).prop_map(Model::U8),
        (0..2u16).prop_map(Model::U16),
        (0..2u32).prop_map(Model::U32),
        (0..2u64).prop_map(Model::U64),
        (0..2u128).prop_map(Model::U128),
        (0..2u32).prop_map(Model::F32),
        (0..2u64).prop_map(Model::F64),
        prop::sample::select(vec!['\0', '\u{1}', 'a']).prop_map(Model::Char),
        name().prop_map(Model::Str),
        prop::collection::vec(0..2u8, 0..3).prop_map(Model::Bytes),
        Just(Model::None),
        Just(Model::Unit),
        name().prop_map(Model::UnitStruct),
        (name(), name()).prop_map(|(name, variant)| Model::UnitVariant(name, 0, variant)),
    ];
    scalar.prop_recursive(3, 16, 3, |inner| {
        let list = || prop::collection::vec(inner.clone(), 0..3);
        let fields = || prop::collection::vec((name(), inner.clone()), 0..3);
        let boxed = || inner.clone().prop_map(Box::new);
        prop_oneof![
            boxed().prop_map(Model::Some),
            (name(), boxed()).prop_map(|(name, v)| Model::Newtype(name, v)),
            (name(), name(), boxed()).prop_map(|(n, v, m)| Model::NewtypeVariant(n, v, m)),
            list().prop_map(Model::Seq),
            list().prop_map(Model::Tuple),
            (name(), list()).prop_map(|(name, items)| Model::TupleStruct(name, items)),
            (name(), name(), list()).prop_map(|(n, v, items)| Model::TupleVariant(n, v, items)),
            prop::collection::btree_map(inner.clone(), inner.clone(), 0..3).prop_map(Model::Map),
            (name(), fields()).prop_map(|(name, fields)| Model::Struct(name, fields)),
            (name(), name(), fields()).prop_map(|(n, v, f)| Model::StructVariant(n, v, f)),
        ]
    })
}

proptest! {
    #[test]
    fn values_have_equal_bytes_exactly_when_they_are_equal(
        models in prop::collection::vec(model(), 2..24),
    ) {
        for one in &models {
            for other in &models {
                prop_assert_eq!(bytes(one) == bytes(other), one == other, "{:?} {:?}", one, other);
            }
        }
    }

    // So the arguments of a call, one after the other, cannot run into each other.
    #[test]
    fn no_bytes_begin_with_those_of_another_value(
        models in prop::collection::vec(model(), 2..24),
    ) {
        for one in &models {
            for other in models.iter().filter(|other| *other != one) {
                prop_assert!(!bytes(one).starts_with(&bytes(other)), "{:?} {:?}", one, other);
            }
        }
    }

    #[test]
    fn maps_have_equal_bytes_in_any_order(
        entries in prop::collection::btree_map(model(), model(), 0..8),
        turn in any::<prop::sample::Index>(),
    ) {
        struct InOrder(Vec<(Model, Model)>);
        impl Serialize for InOrder {
            fn serialize<S: ser::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                let mut map = to.serialize_map(Some(self.0.len()))?;
                self.0.iter().try_for_each(|(key, item)| map.serialize_entry(key, item))?;
                map.end()
            }
        }
        let mut turned: Vec<_> = entries.clone().into_iter().rev().collect();
        if !turned.is_empty() {
            let middle = turn.index(turned.len());
            turned.rotate_left(middle);
        }
        prop_assert_eq!(bytes(&InOrder(turned)), bytes(&Model::Map(entries)));
    }
}

#[test]
fn the_index_of_a_variant_does_not_count_as_deployments_may_number_them_otherwise() {
    let variant = |index| bytes(&Model::UnitVariant("Kind", index, "Buy"));
    assert_eq!(variant(0), variant(1));
}

#[test]
fn a_list_of_known_length_equals_one_of_unknown_length() {
    struct Unknown;
    impl Serialize for Unknown {
        fn serialize<S: ser::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
            to.collect_seq([1u8, 2].iter().filter(|_| true))
        }
    }
    assert_eq!(bytes(&vec![1u8, 2]), bytes(&Unknown));
}

#[test]
fn a_borrowed_value_equals_the_owned_one() {
    assert_eq!(bytes("a"), bytes(&"a".to_owned()));
    assert_eq!(bytes(&[1u8, 2][..]), bytes(&vec![1u8, 2]));
    assert_eq!(bytes(&&&1u8), bytes(&Box::new(1u8)));
}

#[test]
fn large_maps_are_sorted_with_their_nested_maps() {
    let inner = |seed: u32| (0..50).map(move |n| ((n * 7 + seed) % 50, seed % 2));
    let forth: HashMap<u32, HashMap<u32, u32>> =
        (0..100).map(|n| (n, inner(0).collect())).collect();
    let back: BTreeMap<u32, BTreeMap<u32, u32>> =
        (0..100).rev().map(|n| (n, inner(0).collect())).collect();
    assert_eq!(bytes(&forth), bytes(&back));
}

#[test]
fn depth_is_bounded_and_a_failure_says_so() {
    let mut value = Model::Unit;
    for _ in 0..MAX_DEPTH {
        value = Model::Some(Box::new(value));
    }
    assert!(encode(&value, &mut Buffer::new()).is_ok());
    for wrap in [
        |value| Model::Some(Box::new(value)),
        |value| Model::Seq(vec![value]),
        |value| Model::Map(BTreeMap::from([(value, Model::Unit)])),
        |value| Model::Struct("S", vec![("f", value)]),
        |value| Model::Newtype("N", Box::new(value)),
    ] {
        let problem = encode(&wrap(value.clone()), &mut Buffer::new()).unwrap_err();
        assert!(problem.to_string().contains("deep"), "{problem}");
    }
}

#[test]
fn sets_and_ordered_maps_are_known_behind_pointers_and_locks() {
    let forth: HashSet<u8> = (0..50).collect();
    let back: HashSet<u8> = (0..50).rev().collect();
    assert_eq!(bytes(&RefCell::new(&forth)), bytes(&RefCell::new(Box::new(back.clone()))));
    assert_eq!(bytes(&Mutex::new(forth.clone())), bytes(&RwLock::new(back)));

    let [forth, back] = [["a", "b"], ["b", "a"]].map(|keys| IndexMap::from(keys.map(|k| (k, 1))));
    assert_eq!(forth, back);
    assert_ne!(bytes(&forth), bytes(&back));
    assert_ne!(bytes(&Some(&forth)), bytes(&Some(&back)));
    let locked = [forth, back].map(|map| (Mutex::new(map.clone()), RwLock::new(RefCell::new(map))));
    assert_ne!(bytes(&locked[0].0), bytes(&locked[1].0));
    assert_ne!(bytes(&locked[0].1), bytes(&locked[1].1));
}

#[test]
fn a_map_of_json_is_taken_as_it_comes() {
    struct Listed<'a>(&'a [(&'a str, i32)]);
    impl Serialize for Listed<'_> {
        fn serialize<S: ser::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
            to.collect_map(self.0.iter().copied())
        }
    }
    let value = serde_json::json!({ "aa": 1, "b": { "cc": 2, "d": 3 } });
    let list = [("aa", 1), ("b", 2)];
    let under = |name: fn() -> &'static str, list: &[(&str, i32)]| {
        let mut out = Buffer::new();
        Listed(list).serialize(Canonical { out: &mut out, depth: MAX_DEPTH, name }).unwrap();
        out.to_vec()
    };
    let turned = [list[1], list[0]];
    let name = type_name::<serde_json::Value>;
    assert_ne!(under(name, &list), under(name, &turned));
    let name = type_name::<Listed<'_>>;
    assert_eq!(under(name, &list), under(name, &turned));
    assert_eq!(bytes(&value), bytes(&value.as_object().unwrap()));
}

#[test]
fn sets_go_as_lists() {
    assert_eq!(bytes(&BTreeSet::from([1u8, 2])), bytes(&vec![1u8, 2]));
}
