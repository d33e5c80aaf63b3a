//! All that a value tells serde, as one number: the kind and width of each part, and each in its place.
//! Lists and maps count in any order, since those of `std` that are hashed have none.

use serde::ser::{self, Serialize, Serializer};

use super::{Error, Form};

type Number = Result<u64, Error>;

/// `None` where the value refuses to tell.
pub(super) fn trace<V: Serialize>(value: &V, form: Form) -> Option<u64> {
    value.serialize(Trace { readable: form.is_readable() }).ok()
}

/// Folds one number into another, so that order and each bit of both count.
fn mix(so_far: u64, next: u64) -> u64 {
    let product =
        u128::from(so_far ^ 0x9e37_79b9_7f4a_7c15) * u128::from(next ^ 0xd1b5_4a32_d192_ed03);
    let [low, high] = [product as u64, (product >> 64) as u64];
    low ^ high.rotate_left(32) ^ so_far.rotate_left(7)
}

fn bytes(kind: Kind, bytes: &[u8]) -> u64 {
    let start = mix(kind as u64, bytes.len() as u64);
    bytes.chunks(8).fold(start, |so_far, chunk| {
        let mut number = [0; 8];
        number[..chunk.len()].copy_from_slice(chunk);
        mix(so_far, u64::from_le_bytes(number))
    })
}

#[derive(Clone, Copy)]
enum Kind {
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
    Text,
    Bytes,
    Nothing,
    Something,
    Unit,
    Variant,
    List,
    Tuple,
    Map,
    Struct,
}

#[derive(Clone, Copy)]
struct Trace {
    readable: bool,
}

impl Trace {
    fn parts(self, kind: Kind, name: &str) -> Parts {
        Parts { trace: self, so_far: bytes(kind, name.as_bytes()), sum: 0, count: 0, key: 0 }
    }
}

macro_rules! scalars {
    ($($method:ident($scalar:ty), $kind:ident;)*) => {$(
        fn $method(self, value: $scalar) -> Number {
            Ok(bytes(Kind::$kind, &value.to_le_bytes()))
        }
    )*};
}

impl Serializer for Trace {
    type Ok = u64;
    type Error = Error;
    type SerializeSeq = Parts;
    type SerializeTuple = Parts;
    type SerializeTupleStruct = Parts;
    type SerializeTupleVariant = Parts;
    type SerializeMap = Parts;
    type SerializeStruct = Parts;
    type SerializeStructVariant = Parts;

    fn is_human_readable(&self) -> bool {
        self.readable
    }

    scalars! {
        serialize_i8(i8), I8;
        serialize_i16(i16), I16;
        serialize_i32(i32), I32;
        serialize_i64(i64), I64;
        serialize_i128(i128), I128;
        serialize_u8(u8), U8;
        serialize_u16(u16), U16;
        serialize_u32(u32), U32;
        serialize_u64(u64), U64;
        serialize_u128(u128), U128;
        serialize_f32(f32), F32;
        serialize_f64(f64), F64;
    }

    fn serialize_bool(self, value: bool) -> Number {
        Ok(mix(Kind::Bool as u64, value.into()))
    }

    fn serialize_char(self, value: char) -> Number {
        Ok(mix(Kind::Char as u64, value.into()))
    }

    fn serialize_str(self, text: &str) -> Number {
        Ok(bytes(Kind::Text, text.as_bytes()))
    }

    fn serialize_bytes(self, value: &[u8]) -> Number {
        Ok(bytes(Kind::Bytes, value))
    }

    fn serialize_none(self) -> Number {
        Ok(mix(Kind::Nothing as u64, 0))
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Number {
        Ok(mix(Kind::Something as u64, value.serialize(self)?))
    }

    fn serialize_unit(self) -> Number {
        Ok(mix(Kind::Unit as u64, 0))
    }

    fn serialize_unit_struct(self, name: &'static str) -> Number {
        Ok(bytes(Kind::Unit, name.as_bytes()))
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Number {
        Ok(bytes(Kind::Variant, variant.as_bytes()))
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Number {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Number {
        Ok(mix(bytes(Kind::Variant, variant.as_bytes()), value.serialize(self)?))
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Parts, Error> {
        Ok(self.parts(Kind::List, ""))
    }

    fn serialize_tuple(self, _: usize) -> Result<Parts, Error> {
        Ok(self.parts(Kind::Tuple, ""))
    }

    fn serialize_tuple_struct(self, name: &'static str, _: usize) -> Result<Parts, Error> {
        Ok(self.parts(Kind::Tuple, name))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Parts, Error> {
        Ok(self.parts(Kind::Variant, variant))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Parts, Error> {
        Ok(self.parts(Kind::Map, ""))
    }

    fn serialize_struct(self, name: &'static str, _: usize) -> Result<Parts, Error> {
        Ok(self.parts(Kind::Struct, name))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Parts, Error> {
        Ok(self.parts(Kind::Variant, variant))
    }
}

/// The parts of a value: a sum of those whose order does not count, and what the others come to.
struct Parts {
    trace: Trace,
    so_far: u64,
    sum: u64,
    count: u64,
    key: u64,
}

impl Parts {
    fn in_any_order(&mut self, part: u64) {
        self.sum = self.sum.wrapping_add(mix(part, 1));
        self.count += 1;
    }

    fn finish(self) -> Number {
        Ok(mix(mix(self.so_far, self.sum), self.count))
    }
}

impl ser::SerializeSeq for Parts {
    type Ok = u64;
    type Error = Error;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, item: &T) -> Result<(), Error> {
        let item = item.serialize(self.trace)?;
        self.in_any_order(item);
        Ok(())
    }

    fn end(self) -> Number {
        self.finish()
    }
}

impl ser::SerializeMap for Parts {
    type Ok = u64;
    type Error = Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Error> {
        self.key = key.serialize(self.trace)?;
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        let value = value.serialize(self.trace)?;
        self.in_any_order(mix(self.key, value));
        Ok(())
    }

    fn end(self) -> Number {
        self.finish()
    }
}

macro_rules! tuples {
    ($($of:ident::$method:ident;)*) => {$(
        impl ser::$of for Parts {
            type Ok = u64;
            type Error = Error;
            fn $method<T: Serialize + ?Sized>(&mut self, item: &T) -> Result<(), Error> {
                self.so_far = mix(self.so_far, item.serialize(self.trace)?);
                Ok(())
            }
            fn end(self) -> Number {
                self.finish()
            }
        }
    )*};
}

tuples! {
    SerializeTuple::serialize_element;
    SerializeTupleStruct::serialize_field;
    SerializeTupleVariant::serialize_field;
}

macro_rules! structs {
    ($($of:ident),*) => {$(
        impl ser::$of for Parts {
            type Ok = u64;
            type Error = Error;
            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                name: &'static str,
                value: &T,
            ) -> Result<(), Error> {
                let name = bytes(Kind::Text, name.as_bytes());
                self.so_far = mix(self.so_far, mix(name, value.serialize(self.trace)?));
                Ok(())
            }
            fn end(self) -> Number {
                self.finish()
            }
        }
    )*};
}

structs! { SerializeStruct, SerializeStructVariant }
