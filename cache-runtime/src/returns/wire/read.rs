//! Reads a value in any form. The bytes may come from anywhere: the reader believes no length in them, and
//! follows no nesting beyond its bound.

use serde::de::value::{BorrowedStrDeserializer, SeqDeserializer};
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, MapAccess, SeqAccess, VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;

use super::{Error, FORM_MARKER, Form, MAX_DEPTH, TOO_DEEP};

pub(super) struct Reader<'de> {
    rest: &'de [u8],
    readable: bool,
    /// How many more levels may be entered.
    levels: usize,
}

/// The families of `MessagePack` whose values have a length.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Family {
    Str,
    Bin,
    Array,
    Map,
}

/// `serde_json` asks for a value that it keeps as text (`RawValue`, `Number`) by a newtype of such a
/// name, and expects a map.
const OF_JSON: &str = "$serde_json::private::";

impl<'de> Reader<'de> {
    pub(super) fn new(bytes: &'de [u8]) -> Result<Self, Error> {
        let (rest, form) = match *bytes {
            [FORM_MARKER, bits, ref rest @ ..] => (rest, Form::of(bits)),
            _ => (bytes, Some(Form::default())),
        };
        let form = form.ok_or_else(|| Error::message("a form that this version does not know"))?;
        Ok(Self { rest, readable: form.is_readable(), levels: MAX_DEPTH - 1 })
    }

    pub(super) fn finish(self) -> Result<(), Error> {
        if self.rest.is_empty() { Ok(()) } else { Err(Error::message("bytes are left over")) }
    }

    fn take(&mut self, count: usize) -> Result<&'de [u8], Error> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or_else(ended)?;
        self.rest = rest;
        Ok(taken)
    }

    fn number_of<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or_else(ended)?;
        self.rest = rest;
        Ok(*taken)
    }

    fn peek(&self) -> Result<u8, Error> {
        self.rest.first().copied().ok_or_else(ended)
    }

    fn byte(&mut self) -> Result<u8, Error> {
        self.number_of().map(|[byte]| byte)
    }

    /// The family and the length that a marker begins; `None`, with nothing more taken, for a marker without
    /// a length.
    #[inline]
    fn head(&mut self, marker: u8) -> Result<Option<(Family, usize)>, Error> {
        Ok(Some(match marker {
            0x80..=0x8f => (Family::Map, usize::from(marker & 0x0f)),
            0x90..=0x9f => (Family::Array, usize::from(marker & 0x0f)),
            0xa0..=0xbf => (Family::Str, usize::from(marker & 0x1f)),
            0xc4..=0xc6 => (Family::Bin, self.length(1 << (marker - 0xc4))?),
            0xd9..=0xdb => (Family::Str, self.length(1 << (marker - 0xd9))?),
            0xdc..=0xdd => (Family::Array, self.length(2 << (marker - 0xdc))?),
            0xde..=0xdf => (Family::Map, self.length(2 << (marker - 0xde))?),
            _ => return Ok(None),
        }))
    }

    fn length(&mut self, width: u8) -> Result<usize, Error> {
        Ok(match width {
            1 => usize::from(self.byte()?),
            2 => usize::from(u16::from_be_bytes(self.number_of()?)),
            _ => u32::from_be_bytes(self.number_of()?) as usize,
        })
    }

    fn text(&mut self, length: usize) -> Result<&'de str, Error> {
        str::from_utf8(self.take(length)?).map_err(|_| Error::message("a text that is not UTF-8"))
    }

    fn number<V: Visitor<'de>>(&mut self, marker: u8, visitor: V) -> Result<V::Value, Error> {
        match marker {
            number @ 0x00..=0x7f => visitor.visit_u8(number),
            number @ 0xe0..=0xff => visitor.visit_i8(i8::from_be_bytes([number])),
            0xc0 => visitor.visit_unit(),
            0xc2 => visitor.visit_bool(false),
            0xc3 => visitor.visit_bool(true),
            0xca => visitor.visit_f32(f32::from_be_bytes(self.number_of()?)),
            0xcb => visitor.visit_f64(f64::from_be_bytes(self.number_of()?)),
            0xcc => visitor.visit_u8(u8::from_be_bytes(self.number_of()?)),
            0xcd => visitor.visit_u16(u16::from_be_bytes(self.number_of()?)),
            0xce => visitor.visit_u32(u32::from_be_bytes(self.number_of()?)),
            0xcf => visitor.visit_u64(u64::from_be_bytes(self.number_of()?)),
            0xd0 => visitor.visit_i8(i8::from_be_bytes(self.number_of()?)),
            0xd1 => visitor.visit_i16(i16::from_be_bytes(self.number_of()?)),
            0xd2 => visitor.visit_i32(i32::from_be_bytes(self.number_of()?)),
            0xd3 => visitor.visit_i64(i64::from_be_bytes(self.number_of()?)),
            marker => Err(unexpected(marker)),
        }
    }

    /// A number of 128 bits, which `MessagePack` does not have: as 16 bytes, or as any narrower number.
    fn wide(&mut self) -> Result<i128, Error> {
        Ok(match self.byte()? {
            0xc4 if self.byte()? == 16 => i128::from_be_bytes(self.number_of()?),
            number @ 0x00..=0x7f => number.into(),
            number @ 0xe0..=0xff => i8::from_be_bytes([number]).into(),
            0xcc => u8::from_be_bytes(self.number_of()?).into(),
            0xcd => u16::from_be_bytes(self.number_of()?).into(),
            0xce => u32::from_be_bytes(self.number_of()?).into(),
            0xcf => u64::from_be_bytes(self.number_of()?).into(),
            0xd0 => i8::from_be_bytes(self.number_of()?).into(),
            0xd1 => i16::from_be_bytes(self.number_of()?).into(),
            0xd2 => i32::from_be_bytes(self.number_of()?).into(),
            0xd3 => i64::from_be_bytes(self.number_of()?).into(),
            marker => return Err(unexpected(marker)),
        })
    }

    fn wide_unsigned(&mut self) -> Result<u128, Error> {
        if let [0xc4, 17, 0, rest @ ..] = self.rest {
            self.rest = rest;
            return self.number_of().map(u128::from_be_bytes);
        }
        let negative = |_| Error::message("a number below zero, where none was expected");
        self.wide()?.try_into().map_err(negative)
    }

    /// Reads one level deeper.
    fn nested<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, Error>) -> Result<T, Error> {
        let outside = self.levels;
        let inside = outside.checked_sub(1);
        self.levels = inside.ok_or_else(|| Error::message(TOO_DEEP))?;
        let read = read(self);
        // Also after an error: the type may catch it, and go on with another variant.
        self.levels = outside;
        read
    }

    fn list<V: Visitor<'de>>(&mut self, length: usize, visitor: V) -> Result<V::Value, Error> {
        self.nested(|reader| {
            let mut items = Items { reader, left: length };
            let list = visitor.visit_seq(&mut items)?;
            items.end(list)
        })
    }

    fn map<V: Visitor<'de>>(&mut self, length: usize, visitor: V) -> Result<V::Value, Error> {
        self.nested(|reader| {
            let mut items = Items { reader, left: length };
            let map = visitor.visit_map(&mut items)?;
            items.end(map)
        })
    }
}

#[cold]
fn ended() -> Error {
    Error::message("the bytes end in the middle of a value")
}

#[cold]
fn unexpected(marker: u8) -> Error {
    Error::Message(format!("something that was not expected here (marker {marker:#04x})"))
}

/// Texts under 32 bytes, the usual ones, are read without a look at the other families.
macro_rules! texts {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            match self.peek()? {
                marker @ 0xa0..=0xbf => {
                    self.byte()?;
                    visitor.visit_borrowed_str(self.text(usize::from(marker & 0x1f))?)
                }
                _ => self.deserialize_any(visitor),
            }
        }
    )*};
}

macro_rules! numbers {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            let marker = self.byte()?;
            self.number(marker, visitor)
        }
    )*};
}

impl<'de> Deserializer<'de> for &mut Reader<'de> {
    type Error = Error;

    fn is_human_readable(&self) -> bool {
        self.readable
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let marker = self.byte()?;
        match self.head(marker)? {
            Some((Family::Str, length)) => visitor.visit_borrowed_str(self.text(length)?),
            Some((Family::Bin, length)) => visitor.visit_borrowed_bytes(self.take(length)?),
            Some((Family::Array, length)) => self.list(length, visitor),
            Some((Family::Map, length)) => self.map(length, visitor),
            None => self.number(marker, visitor),
        }
    }

    forward_to_deserialize_any! {
        char bytes byte_buf unit map struct ignored_any
    }

    texts! { deserialize_str deserialize_string deserialize_identifier }

    numbers! {
        deserialize_bool deserialize_f32 deserialize_f64
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64
    }

    fn deserialize_i128<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_i128(self.wide()?)
    }

    fn deserialize_u128<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_u128(self.wide_unsigned()?)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.peek()? == 0xc0 {
            self.byte()?;
            return visitor.visit_none();
        }
        visitor.visit_some(self)
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.byte()? {
            0xc0 | 0x90 => visitor.visit_unit(),
            marker => Err(unexpected(marker)),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        if name.starts_with(OF_JSON) {
            return self.deserialize_any(visitor);
        }
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let marker = self.byte()?;
        match self.head(marker)? {
            Some((Family::Array, length)) => self.list(length, visitor),
            Some((Family::Bin, length)) => {
                let mut bytes = SeqDeserializer::new(self.take(length)?.iter().copied());
                let list = visitor.visit_seq(&mut bytes)?;
                bytes.end()?;
                Ok(list)
            }
            _ => Err(Error::message("no list, where one was expected")),
        }
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let marker = self.byte()?;
        match self.head(marker)? {
            Some((Family::Str, length)) => {
                visitor.visit_enum(BorrowedStrDeserializer::new(self.text(length)?))
            }
            Some((Family::Map, 1)) => self.nested(|reader| visitor.visit_enum(Variant { reader })),
            _ => Err(Error::message("no variant, where one was expected")),
        }
    }
}

/// The rest of a list or a map that is being read.
struct Items<'a, 'de> {
    reader: &'a mut Reader<'de>,
    left: usize,
}

impl Items<'_, '_> {
    fn end<T>(&self, value: T) -> Result<T, Error> {
        if self.left == 0 {
            return Ok(value);
        }
        Err(Error::Message(format!("{} more elements than were expected", self.left)))
    }

    /// The most elements that can follow. Each takes one byte at least, so that a forged length does not
    /// make a type reserve more memory than there are bytes.
    fn most(&self) -> usize {
        self.left.min(self.reader.rest.len())
    }
}

impl<'de> SeqAccess<'de> for Items<'_, 'de> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Error> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        seed.deserialize(&mut *self.reader).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.most())
    }
}

impl<'de> MapAccess<'de> for Items<'_, 'de> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Error> {
        self.next_element_seed(seed)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        seed.deserialize(&mut *self.reader)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.most())
    }
}

/// A variant with content: a map with one entry, from its name to the content.
struct Variant<'a, 'de> {
    reader: &'a mut Reader<'de>,
}

impl<'de> EnumAccess<'de> for Variant<'_, 'de> {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Error> {
        Ok((seed.deserialize(&mut *self.reader)?, self))
    }
}

impl<'de> VariantAccess<'de> for Variant<'_, 'de> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        serde::Deserialize::deserialize(self.reader)
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Error> {
        seed.deserialize(self.reader)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Error> {
        self.reader.deserialize_seq(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.reader.deserialize_any(visitor)
    }
}
