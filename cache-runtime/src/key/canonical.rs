//! A serde format that is written and never read: equal values give equal bytes, and different values
//! give different bytes.
//!
//! Each value begins with a tag, one for each scalar type, and delimits itself: by its width, by
//! a length in front, or by an end tag, with which no value begins. Structs, fields and variants are
//! written by name, so that reordering fields or skipping one cannot shift a value into another's place.
//! Maps are sorted by the bytes of their keys, except ordered maps. To serde a set looks like a list, and an
//! ordered map like any map, so both are recognized by the names of their types (`order.rs`). Unordered
//! sets are sorted like maps.

mod order;

use std::any::type_name;
use std::fmt;

use serde::ser::{self, Serialize};

use super::Buffer;

/// Arguments nested deeper than this cannot be part of a key: they must not exhaust the stack.
const MAX_DEPTH: u8 = 128;

/// Appends the canonical bytes of `value`.
pub(crate) fn encode<T: Serialize + ?Sized>(value: &T, out: &mut Buffer) -> Result<(), Failed> {
    value.serialize(Canonical { out, depth: MAX_DEPTH, name: type_name::<T> })
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

/// The value's own `Serialize` has failed, or the value is nested too deeply.
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
    /// Returns the name of the type that is serialized. Only sequences and maps call it.
    name: fn() -> &'static str,
}

impl Canonical<'_> {
    #[inline]
    fn tag(&mut self, tag: Tag) {
        self.out.push(tag as u8);
    }

    #[inline]
    fn scalar<const N: usize>(mut self, tag: Tag, bytes: [u8; N]) {
        self.tag(tag);
        self.out.extend_from_slice(&bytes);
    }

    /// Writes the length (LEB128: seven bits to a byte, the lowest first), then the bytes.
    #[inline]
    fn sized(&mut self, bytes: &[u8]) {
        let mut rest = bytes.len();
        while rest >= 1 << 7 {
            self.out.push(rest as u8 | 1 << 7);
            rest >>= 7;
        }
        self.out.push(rest as u8);
        self.out.extend_from_slice(bytes);
    }

    #[inline]
    fn named(&mut self, tag: Tag, name: &str) {
        self.tag(tag);
        self.sized(name.as_bytes());
    }

    fn variant(&mut self, tag: Tag, name: &str, variant: &str) {
        self.named(tag, name);
        self.sized(variant.as_bytes());
    }

    fn put<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Failed> {
        let depth = self.depth.checked_sub(1).ok_or_else(|| Failed("nested too deeply".into()))?;
        value.serialize(Canonical { out: self.out, depth, name: type_name::<T> })
    }

    fn field<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) -> Result<(), Failed> {
        // The name is a value too, and begins with a tag: `End` cannot be mistaken for a field.
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
    type SerializeSeq = Seq<'a>;
    type SerializeTuple = Compound<'a>;
    type SerializeTupleStruct = Compound<'a>;
    type SerializeTupleVariant = Compound<'a>;
    type SerializeMap = Map<'a>;
    type SerializeStruct = Compound<'a>;
    type SerializeStructVariant = Compound<'a>;

    fn is_human_readable(&self) -> bool {
        false
    }

    #[inline]
    fn serialize_bool(self, v: bool) -> Result<(), Failed> {
        self.scalar(Tag::Bool, [u8::from(v)]);
        Ok(())
    }
    #[inline]
    fn serialize_i8(self, v: i8) -> Result<(), Failed> {
        self.scalar(Tag::I8, v.to_le_bytes());
        Ok(())
    }
    #[inline]
    fn serialize_i16(self, v: i16) -> Result<(), Failed> {
        self.scalar(Tag::I16, v.to_le_bytes());
        Ok(())
    }
    #[inline]
    fn serialize_i32(self, v: i32) -> Result<(), Failed> {
        self.scalar(Tag::I32, v.to_le_bytes());
        Ok(())
    }
    #[inline]
    fn serialize_i64(self, v: i64) -> Result<(), Failed> {
        self.scalar(Tag::I64, v.to_le_bytes());
        Ok(())
    }
    #[inline]
    fn serialize_i128(self, v: i128) -> Result<(), Failed> {
        self.scalar(Tag::I128, v.to_le_bytes());
        Ok(())
    }
    #[inline]
    fn serialize_u8(self, v: u8) -> Result<(), Failed> {
        self.scalar(Tag::U8, v.to_le_bytes());
        Ok(())
    }
    #[inline]
    fn serialize_u16(self, v: u16) -> Result<(), Failed> {
        self.scalar(Tag::U16, v.to_le_bytes());
        Ok(())
    }
    #[inline]
    fn serialize_u32(self, v: u32) -> Result<(), Failed> {
        self.scalar(Tag::U32, v.to_le_bytes());
        Ok(())
    }
    #[inline]
    fn serialize_u64(self, v: u64) -> Result<(), Failed> {
        self.scalar(Tag::U64, v.to_le_bytes());
        Ok(())
    }
    #[inline]
    fn serialize_u128(self, v: u128) -> Result<(), Failed> {
        self.scalar(Tag::U128, v.to_le_bytes());
        Ok(())
    }
    #[inline]
    fn serialize_f32(self, v: f32) -> Result<(), Failed> {
        self.scalar(Tag::F32, v.to_bits().to_le_bytes());
        Ok(())
    }
    #[inline]
    fn serialize_f64(self, v: f64) -> Result<(), Failed> {
        self.scalar(Tag::F64, v.to_bits().to_le_bytes());
        Ok(())
    }
    #[inline]
    fn serialize_char(self, v: char) -> Result<(), Failed> {
        self.scalar(Tag::Char, u32::from(v).to_le_bytes());
        Ok(())
    }

    #[inline]
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

    fn serialize_seq(mut self, _len: Option<usize>) -> Result<Seq<'a>, Failed> {
        self.tag(Tag::Seq);
        let entries = order::is_unordered_set((self.name)()).then(|| Entries::new(self.out));
        Ok(Seq { entries, canonical: self })
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
        let entries = (!order::is_ordered_map((self.name)())).then(|| Entries::new(self.out));
        Ok(Map { entries, canonical: self })
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

/// Tuples and structs, whose elements are written in the order in which they come.
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
    SerializeTuple::serialize_element,
    SerializeTupleStruct::serialize_field,
    SerializeTupleVariant::serialize_field
);
fields!(SerializeStruct, SerializeStructVariant);

/// Entries of a map or a set: written as they come, and sorted by the bytes of their keys at the end.
struct Entries {
    start: usize,
    /// Where each key begins and ends in the buffer; its value ends where the next key begins.
    keys: Vec<(usize, usize)>,
}

impl Entries {
    fn new(out: &Buffer) -> Self {
        Self { start: out.len(), keys: Vec::new() }
    }

    fn sort(&self, out: &mut Buffer) {
        if self.keys.is_sorted_by_key(|&(from, to)| &out[from..to]) {
            return;
        }
        let unsorted: Vec<u8> = out[self.start..].to_vec();
        let at = |position: usize| position - self.start;
        let ends = self.keys.iter().skip(1).map(|&(from, _)| from).chain([out.len()]);
        let mut spans: Vec<_> = self.keys.iter().copied().zip(ends).collect();
        spans.sort_by_key(|&((from, to), _)| &unsorted[at(from)..at(to)]);
        out.truncate(self.start);
        for ((from, _), end) in spans {
            out.extend_from_slice(&unsorted[at(from)..at(end)]);
        }
    }
}

struct Map<'a> {
    /// `None`: an ordered map, whose order is kept.
    entries: Option<Entries>,
    canonical: Canonical<'a>,
}

impl ser::SerializeMap for Map<'_> {
    type Ok = ();
    type Error = Failed;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Failed> {
        let from = self.canonical.out.len();
        self.canonical.put(key)?;
        if let Some(entries) = &mut self.entries {
            entries.keys.push((from, self.canonical.out.len()));
        }
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Failed> {
        self.canonical.put(value)
    }

    fn end(self) -> Result<(), Failed> {
        if let Some(entries) = &self.entries {
            entries.sort(self.canonical.out);
        }
        self.canonical.finish();
        Ok(())
    }
}

/// A list, or an unordered set, whose elements are sorted as keys without values.
struct Seq<'a> {
    /// `None`: a list, whose order is kept.
    entries: Option<Entries>,
    canonical: Canonical<'a>,
}

impl ser::SerializeSeq for Seq<'_> {
    type Ok = ();
    type Error = Failed;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Failed> {
        let from = self.canonical.out.len();
        self.canonical.put(value)?;
        if let Some(entries) = &mut self.entries {
            entries.keys.push((from, self.canonical.out.len()));
        }
        Ok(())
    }

    fn end(self) -> Result<(), Failed> {
        if let Some(entries) = &self.entries {
            entries.sort(self.canonical.out);
        }
        self.canonical.finish();
        Ok(())
    }
}

#[cfg(test)]
mod tests;
