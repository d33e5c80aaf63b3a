//! A serde format that nobody reads: equal values give equal bytes, different values different
//! bytes.
//!
//! Every value begins with a tag, one for each scalar type, and delimits itself: by its width, by
//! a length in front, or by an end tag that no value begins with. Structs, fields and variants go
//! by name, so that reordering them or skipping one cannot shift a value into another's place.
//! Maps are sorted by the bytes of their keys. Sets cannot be told from lists through serde: equal
//! `HashSet`s may differ here, which costs a miss.

use std::fmt;

use serde::ser::{self, Serialize};

use super::Buffer;

/// Arguments nested deeper than this cannot be part of a key: the stack is not theirs to fill.
const MAX_DEPTH: u8 = 128;

/// Appends the canonical bytes of `value`.
pub(crate) fn encode<T: Serialize + ?Sized>(value: &T, out: &mut Buffer) -> Result<(), Failed> {
    value.serialize(Canonical { out, depth: MAX_DEPTH })
}

#[derive(Clone, Copy)]
enum Tag {
    End,
    Bool,
    I8,
    I16,
    I32,
    I64,
    I128,
    U8,
    U16,
    U32,
    U64,
    U128,
    F32,
    F64,
    Char,
    Str,
    Bytes,
    None,
    Some,
    Unit,
    UnitStruct,
    UnitVariant,
    NewtypeStruct,
    NewtypeVariant,
    Seq,
    Tuple,
    TupleStruct,
    TupleVariant,
    Map,
    Struct,
    StructVariant,
}

/// The value's own `Serialize` failed, or it is nested too deeply.
#[derive(Debug)]
pub(crate) struct Failed(pub(crate) String);

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Failed {}

impl ser::Error for Failed {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

struct Canonical<'a> {
    out: &'a mut Buffer,
    depth: u8,
}

impl Canonical<'_> {
    fn tag(&mut self, tag: Tag) {
        self.out.push(tag as u8);
    }

    fn scalar<const N: usize>(mut self, tag: Tag, bytes: [u8; N]) {
        self.tag(tag);
        self.out.extend_from_slice(&bytes);
    }

    /// A length of fixed width, then the bytes.
    fn sized(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        self.out.extend_from_slice(bytes);
    }

    fn named(&mut self, tag: Tag, name: &str) {
        self.tag(tag);
        self.sized(name.as_bytes());
    }

    fn variant(&mut self, tag: Tag, name: &str, variant: &str) {
        self.named(tag, name);
        self.sized(variant.as_bytes());
    }

    fn inner(&mut self) -> Result<Canonical<'_>, Failed> {
        let depth = self.depth.checked_sub(1).ok_or_else(|| Failed("nested too deeply".into()))?;
        Ok(Canonical { out: self.out, depth })
    }

    fn put<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Failed> {
        value.serialize(self.inner()?)
    }

    fn field<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) -> Result<(), Failed> {
        // A name in front of each value: a tag can never be mistaken for one, nor `End` for either.
        self.named(Tag::Str, name);
        self.put(value)
    }

    fn finish(mut self) {
        self.tag(Tag::End);
    }
}

impl<'a> ser::Serializer for Canonical<'a> {
    type Ok = ();
    type Error = Failed;
    type SerializeSeq = Compound<'a>;
    type SerializeTuple = Compound<'a>;
    type SerializeTupleStruct = Compound<'a>;
    type SerializeTupleVariant = Compound<'a>;
    type SerializeMap = Map<'a>;
    type SerializeStruct = Compound<'a>;
    type SerializeStructVariant = Compound<'a>;

    fn is_human_readable(&self) -> bool {
        false
    }

    fn serialize_bool(self, v: bool) -> Result<(), Failed> {
        self.scalar(Tag::Bool, [u8::from(v)]);
        Ok(())
    }
    fn serialize_i8(self, v: i8) -> Result<(), Failed> {
        self.scalar(Tag::I8, v.to_le_bytes());
        Ok(())
    }
    fn serialize_i16(self, v: i16) -> Result<(), Failed> {
        self.scalar(Tag::I16, v.to_le_bytes());
        Ok(())
    }
    fn serialize_i32(self, v: i32) -> Result<(), Failed> {
        self.scalar(Tag::I32, v.to_le_bytes());
        Ok(())
    }
    fn serialize_i64(self, v: i64) -> Result<(), Failed> {
        self.scalar(Tag::I64, v.to_le_bytes());
        Ok(())
    }
    fn serialize_i128(self, v: i128) -> Result<(), Failed> {
        self.scalar(Tag::I128, v.to_le_bytes());
        Ok(())
    }
    fn serialize_u8(self, v: u8) -> Result<(), Failed> {
        self.scalar(Tag::U8, v.to_le_bytes());
        Ok(())
    }
    fn serialize_u16(self, v: u16) -> Result<(), Failed> {
        self.scalar(Tag::U16, v.to_le_bytes());
        Ok(())
    }
    fn serialize_u32(self, v: u32) -> Result<(), Failed> {
        self.scalar(Tag::U32, v.to_le_bytes());
        Ok(())
    }
    fn serialize_u64(self, v: u64) -> Result<(), Failed> {
        self.scalar(Tag::U64, v.to_le_bytes());
        Ok(())
    }
    fn serialize_u128(self, v: u128) -> Result<(), Failed> {
        self.scalar(Tag::U128, v.to_le_bytes());
        Ok(())
    }
    fn serialize_f32(self, v: f32) -> Result<(), Failed> {
        self.scalar(Tag::F32, v.to_bits().to_le_bytes());
        Ok(())
    }
    fn serialize_f64(self, v: f64) -> Result<(), Failed> {
        self.scalar(Tag::F64, v.to_bits().to_le_bytes());
        Ok(())
    }
    fn serialize_char(self, v: char) -> Result<(), Failed> {
        self.scalar(Tag::Char, u32::from(v).to_le_bytes());
        Ok(())
    }

    fn serialize_str(mut self, v: &str) -> Result<(), Failed> {
        self.named(Tag::Str, v);
        Ok(())
    }

    fn serialize_bytes(mut self, v: &[u8]) -> Result<(), Failed> {
        self.tag(Tag::Bytes);
        self.sized(v);
        Ok(())
    }

    fn serialize_none(mut self) -> Result<(), Failed> {
        self.tag(Tag::None);
        Ok(())
    }

    fn serialize_some<T: Serialize + ?Sized>(mut self, value: &T) -> Result<(), Failed> {
        self.tag(Tag::Some);
        self.put(value)
    }

    fn serialize_unit(mut self) -> Result<(), Failed> {
        self.tag(Tag::Unit);
        Ok(())
    }

    fn serialize_unit_struct(mut self, name: &'static str) -> Result<(), Failed> {
        self.named(Tag::UnitStruct, name);
        Ok(())
    }

    fn serialize_unit_variant(
        mut self,
        name: &'static str,
        _index: u32,
        variant: &'static str,
    ) -> Result<(), Failed> {
        self.variant(Tag::UnitVariant, name, variant);
        Ok(())
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        mut self,
        name: &'static str,
        value: &T,
    ) -> Result<(), Failed> {
        self.named(Tag::NewtypeStruct, name);
        self.put(value)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        mut self,
        name: &'static str,
        _index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Failed> {
        self.variant(Tag::NewtypeVariant, name, variant);
        self.put(value)
    }

    fn serialize_seq(mut self, _len: Option<usize>) -> Result<Compound<'a>, Failed> {
        self.tag(Tag::Seq);
        Ok(Compound(self))
    }

    fn serialize_tuple(mut self, _len: usize) -> Result<Compound<'a>, Failed> {
        self.tag(Tag::Tuple);
        Ok(Compound(self))
    }

    fn serialize_tuple_struct(
        mut self,
        name: &'static str,
        _len: usize,
    ) -> Result<Compound<'a>, Failed> {
        self.named(Tag::TupleStruct, name);
        Ok(Compound(self))
    }

    fn serialize_tuple_variant(
        mut self,
        name: &'static str,
        _index: u32,
        variant: &'static str,
        _len: usize,
    ) -> Result<Compound<'a>, Failed> {
        self.variant(Tag::TupleVariant, name, variant);
        Ok(Compound(self))
    }

    fn serialize_map(mut self, _len: Option<usize>) -> Result<Map<'a>, Failed> {
        self.tag(Tag::Map);
        let start = self.out.len();
        Ok(Map { start, entries: Vec::new(), canonical: self })
    }

    fn serialize_struct(mut self, name: &'static str, _len: usize) -> Result<Compound<'a>, Failed> {
        self.named(Tag::Struct, name);
        Ok(Compound(self))
    }

    fn serialize_struct_variant(
        mut self,
        name: &'static str,
        _index: u32,
        variant: &'static str,
        _len: usize,
    ) -> Result<Compound<'a>, Failed> {
        self.variant(Tag::StructVariant, name, variant);
        Ok(Compound(self))
    }
}

/// Everything that is written in the order in which it comes.
struct Compound<'a>(Canonical<'a>);

macro_rules! elements {
    ($($trait:ident :: $method:ident),*) => {$(
        impl ser::$trait for Compound<'_> {
            type Ok = ();
            type Error = Failed;
            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Failed> {
                self.0.put(value)
            }
            fn end(self) -> Result<(), Failed> {
                self.0.finish();
                Ok(())
            }
        }
    )*};
}

macro_rules! fields {
    ($($trait:ident),*) => {$(
        impl ser::$trait for Compound<'_> {
            type Ok = ();
            type Error = Failed;
            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                name: &'static str,
                value: &T,
            ) -> Result<(), Failed> {
                self.0.field(name, value)
            }
            fn end(self) -> Result<(), Failed> {
                self.0.finish();
                Ok(())
            }
        }
    )*};
}

elements!(
    SerializeSeq::serialize_element,
    SerializeTuple::serialize_element,
    SerializeTupleStruct::serialize_field,
    SerializeTupleVariant::serialize_field
);
fields!(SerializeStruct, SerializeStructVariant);

/// Entries are written as they come, then put in the order of their keys' bytes.
struct Map<'a> {
    start: usize,
    /// Where each entry's key begins and ends; its value ends where the next key begins.
    entries: Vec<(usize, usize)>,
    canonical: Canonical<'a>,
}

impl Map<'_> {
    fn sort(&mut self) {
        let out = &mut *self.canonical.out;
        if self.entries.is_sorted_by_key(|&(from, to)| &out[from..to]) {
            return;
        }
        let unsorted: Vec<u8> = out[self.start..].to_vec();
        let at = |position: usize| position - self.start;
        let ends = self.entries.iter().skip(1).map(|&(from, _)| from).chain([out.len()]);
        let mut spans: Vec<_> = self.entries.iter().copied().zip(ends).collect();
        spans.sort_by_key(|&((from, to), _)| &unsorted[at(from)..at(to)]);
        out.truncate(self.start);
        for ((from, _), end) in spans {
            out.extend_from_slice(&unsorted[at(from)..at(end)]);
        }
    }
}

impl ser::SerializeMap for Map<'_> {
    type Ok = ();
    type Error = Failed;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Failed> {
        let from = self.canonical.out.len();
        self.canonical.put(key)?;
        self.entries.push((from, self.canonical.out.len()));
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Failed> {
        self.canonical.put(value)
    }

    fn end(mut self) -> Result<(), Failed> {
        self.sort();
        self.canonical.finish();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet, HashMap};

    use proptest::prelude::*;
    use serde::ser::{
        SerializeMap as _, SerializeSeq as _, SerializeStruct as _, SerializeStructVariant as _,
        SerializeTuple as _, SerializeTupleStruct as _, SerializeTupleVariant as _,
    };

    use super::*;

    /// Everything that serde can say, said by hand.
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
                    let mut fields_of =
                        to.serialize_struct_variant(name, 0, variant, fields.len())?;
                    fields
                        .iter()
                        .try_for_each(|(field, item)| fields_of.serialize_field(field, item))?;
                    fields_of.end()
                }
            }
        }
    }

    fn bytes(value: &(impl Serialize + ?Sized)) -> Buffer {
        let mut bytes = Buffer::new();
        encode(value, &mut bytes).unwrap();
        bytes
    }

    fn name() -> impl Strategy<Value = &'static str> {
        // Names that begin with what tags and lengths look like.
        prop::sample::select(vec!["", "a", "b", "ab", "\0", "\u{f}", "\0\0\0\0\0\0\0\0"])
    }

    /// From few values, so that a collision would be met.
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
                prop::collection::btree_map(inner.clone(), inner.clone(), 0..3)
                    .prop_map(Model::Map),
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

        // Hence the arguments of a call, one after the other, cannot run into each other.
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
    fn sets_go_as_lists() {
        assert_eq!(bytes(&BTreeSet::from([1u8, 2])), bytes(&vec![1u8, 2]));
    }
}
