//! The readable form of one part of a `key` template.
//!
//! It need not be injective: the entry's header has a fingerprint of the canonical arguments too, so
//! calls whose readable forms are equal share a key, and never a value.

use std::fmt::Write as _;

use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::ser::{self, Impossible, Serialize};

use super::canonical::Failed;
use super::{Buffer, encode, short_digest};

/// All but letters, digits and these three is percent-encoded, so that no argument can end its part of
/// the key.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.');

/// In tags, only characters with a meaning elsewhere are percent-encoded: to Redis and its tools, `#` in
/// the name of a long tag's token, and `%` in an escape. Characters outside ASCII always are.
const ESCAPED_IN_TAGS: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'{')
    .add(b'}')
    .add(b'*')
    .add(b'?')
    .add(b'[')
    .add(b']')
    .add(b'\\')
    .add(b'"')
    .add(b'\'')
    .add(b'#')
    .add(b'%');

/// The pieces of a tag in the name of its token. The encoding is injective: different tags have different
/// names.
pub(super) fn escaped_tag(tag: &str) -> impl Iterator<Item = &str> {
    utf8_percent_encode(tag, ESCAPED_IN_TAGS)
}

/// Appends `value` to a readable key: a scalar as text, percent-encoded; `None` as `%~`; anything else as
/// `%~` and a digest of its canonical bytes.
pub(crate) fn render<T: Serialize + ?Sized>(value: &T, out: &mut String) -> Result<(), Failed> {
    text(value, out, true)
}

/// Appends `value` to a tag, as [`render`] does but without escapes. Two tags with equal text are one tag:
/// at worst, an invalidation removes too much.
pub(crate) fn spell<T: Serialize + ?Sized>(value: &T, out: &mut String) -> Result<(), Failed> {
    text(value, out, false)
}

fn text<T: Serialize + ?Sized>(value: &T, out: &mut String, escape: bool) -> Result<(), Failed> {
    let rollback = out.len();
    if value.serialize(Text { out, escape }).is_err() {
        out.truncate(rollback);
        let mut bytes = Buffer::new();
        encode(value, &mut bytes)?;
        out.push_str("%~");
        out.push_str(&short_digest(&bytes));
    }
    Ok(())
}

struct Text<'a> {
    out: &'a mut String,
    escape: bool,
}

impl Text<'_> {
    fn display(self, value: impl std::fmt::Display) -> Result<(), Failed> {
        write!(self.out, "{value}").map_err(|error| Failed(error.to_string()))
    }
}

/// A value that is no scalar; `text` then writes its digest.
fn compound<T>() -> Result<T, Failed> {
    Err(Failed(String::new()))
}

type Never = Impossible<(), Failed>;

impl ser::Serializer for Text<'_> {
    type Ok = ();
    type Error = Failed;
    type SerializeSeq = Never;
    type SerializeTuple = Never;
    type SerializeTupleStruct = Never;
    type SerializeTupleVariant = Never;
    type SerializeMap = Never;
    type SerializeStruct = Never;
    type SerializeStructVariant = Never;

    fn serialize_bool(self, v: bool) -> Result<(), Failed> {
        self.display(v)
    }
    fn serialize_i8(self, v: i8) -> Result<(), Failed> {
        self.display(v)
    }
    fn serialize_i16(self, v: i16) -> Result<(), Failed> {
        self.display(v)
    }
    fn serialize_i32(self, v: i32) -> Result<(), Failed> {
        self.display(v)
    }
    fn serialize_i64(self, v: i64) -> Result<(), Failed> {
        self.display(v)
    }
    fn serialize_i128(self, v: i128) -> Result<(), Failed> {
        self.display(v)
    }
    fn serialize_u8(self, v: u8) -> Result<(), Failed> {
        self.display(v)
    }
    fn serialize_u16(self, v: u16) -> Result<(), Failed> {
        self.display(v)
    }
    fn serialize_u32(self, v: u32) -> Result<(), Failed> {
        self.display(v)
    }
    fn serialize_u64(self, v: u64) -> Result<(), Failed> {
        self.display(v)
    }
    fn serialize_u128(self, v: u128) -> Result<(), Failed> {
        self.display(v)
    }
    fn serialize_f32(self, v: f32) -> Result<(), Failed> {
        self.display(v)
    }
    fn serialize_f64(self, v: f64) -> Result<(), Failed> {
        self.display(v)
    }

    fn serialize_char(self, v: char) -> Result<(), Failed> {
        self.serialize_str(v.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, v: &str) -> Result<(), Failed> {
        if self.escape {
            self.out.extend(utf8_percent_encode(v, ESCAPED));
        } else {
            self.out.push_str(v);
        }
        Ok(())
    }

    fn serialize_bytes(self, _: &[u8]) -> Result<(), Failed> {
        compound()
    }

    fn serialize_none(self) -> Result<(), Failed> {
        self.out.push_str("%~");
        Ok(())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Failed> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Failed> {
        compound()
    }

    fn serialize_unit_struct(self, name: &'static str) -> Result<(), Failed> {
        self.serialize_str(name)
    }

    fn serialize_unit_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
    ) -> Result<(), Failed> {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        value: &T,
    ) -> Result<(), Failed> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        _index: u32,
        _variant: &'static str,
        _value: &T,
    ) -> Result<(), Failed> {
        compound()
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Never, Failed> {
        compound()
    }

    fn serialize_tuple(self, _: usize) -> Result<Never, Failed> {
        compound()
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Never, Failed> {
        compound()
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Never, Failed> {
        compound()
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Never, Failed> {
        compound()
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Never, Failed> {
        compound()
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Never, Failed> {
        compound()
    }
}

#[cfg(test)]
mod tests;
