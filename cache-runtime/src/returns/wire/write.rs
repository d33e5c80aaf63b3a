//! Writes a value in a form, or computes a trace of it.

mod parts;

use serde::ser::{Serialize, Serializer};

use super::{Error, FORM_MARKER, Form, MAX_DEPTH, Size, TOO_DEEP, Unencoded};
use parts::{Fields, List};

type Written = Result<(), Error>;

/// Lists of fewer bytes are written as lists of numbers, which serde's own buffer (`untagged`, `flatten`) can
/// turn into a list again.
const SHORTEST_BYTES: usize = 16;

pub(super) struct Writer {
    bytes: Vec<u8>,
    form: Form,
    limit: usize,
    /// How long `bytes` may become: `limit`, or 0 once bytes are only counted or traced.
    room: usize,
    /// Bytes beyond the limit, which are counted and not kept.
    excess: usize,
    /// How many more levels may be entered.
    levels: usize,
    /// The next thing to be written is an item of a list that may be bytes.
    expects_byte: bool,
    /// That item, if it was a `u8`: the list writes it.
    byte: Option<u8>,
    /// The trace so far, instead of bytes, where only a trace is wanted.
    trace: Option<u64>,
}

/// The sum of hashes of all that a value tells serde, with each number in the width of its type. A sum, since
/// two equal hash maps are serialized in different orders. `None` where `Serialize` fails.
pub(super) fn trace<V: Serialize>(value: &V, form: Form) -> Option<u64> {
    let mut writer = Writer { trace: Some(0), room: 0, ..Writer::new(form.wide(), 0) };
    value.serialize(&mut writer).ok()?;
    writer.trace
}

/// Hashes bytes by multiplying words.
fn hash(bytes: &[u8]) -> u64 {
    let mix = |so_far: u64, number: u64| {
        let (a, b) = (so_far ^ 0x9e37_79b9_7f4a_7c15, number ^ 0xd1b5_4a32_d192_ed03);
        let product = u128::from(a) * u128::from(b);
        (product as u64) ^ (product >> 64) as u64
    };
    let (numbers, rest) = bytes.as_chunks();
    let rest = rest.iter().fold(1, |number, byte| number << 8 | u64::from(*byte));
    numbers.iter().fold(mix(bytes.len() as u64, rest), |so_far, number| {
        mix(so_far, u64::from_le_bytes(*number))
    })
}

impl Writer {
    pub(super) fn new(form: Form, limit: usize) -> Self {
        let mut bytes = Vec::with_capacity(128);
        if form != Form::default() {
            bytes.extend([FORM_MARKER, form.bits()]);
        }
        let (room, excess, levels) = (limit, 0, MAX_DEPTH - 1);
        let (expects_byte, byte, trace) = (false, None, None);
        Self { bytes, form, limit, room, excess, levels, expects_byte, byte, trace }
    }

    pub(super) fn finish(self, written: Written) -> Result<Vec<u8>, Unencoded> {
        let size = self.bytes.len() + self.excess;
        match written {
            Ok(()) if self.excess == 0 => Ok(self.bytes),
            Ok(()) => Err(Unencoded::TooLarge(Size::Exactly(size))),
            Err(Error::TooLarge) => Err(Unencoded::TooLarge(Size::MoreThan(size))),
            Err(Error::Message(text)) => Err(Unencoded::Failed(text)),
        }
    }

    /// Writes `more`, if there is room for it.
    #[inline]
    fn put(&mut self, more: &[u8]) -> Written {
        self.expects_byte = false;
        if self.bytes.len() + more.len() <= self.room {
            self.bytes.extend_from_slice(more);
            return Ok(());
        }
        self.count_or_trace(more)
    }

    /// Adds bytes that are not written to the trace, or to the excess over the limit. An excess of more than
    /// the limit ends the writing.
    #[inline(never)]
    fn count_or_trace(&mut self, more: &[u8]) -> Written {
        if let Some(sum) = &mut self.trace {
            *sum = sum.wrapping_add(hash(more));
            return Ok(());
        }
        if self.excess > self.limit {
            return Err(Error::TooLarge);
        }
        self.room = 0;
        self.excess += more.len();
        Ok(())
    }

    /// Inserts a head at `at`, before the content that was written since.
    fn insert(&mut self, at: usize, more: &[u8]) -> Written {
        if self.bytes.len() + more.len() > self.room {
            return self.count_or_trace(more);
        }
        self.bytes.splice(at..at, more.iter().copied());
        Ok(())
    }

    fn marked<const N: usize>(&mut self, marker: u8, number: [u8; N]) -> Written {
        let mut bytes = [0; 9];
        bytes[0] = marker;
        bytes[1..=N].copy_from_slice(&number);
        self.put(&bytes[..=N])
    }

    fn unsigned(&mut self, number: u64) -> Written {
        if let Ok(number) = u8::try_from(number) {
            if number < 0x80 { self.put(&[number]) } else { self.put(&[0xcc, number]) }
        } else if let Ok(number) = u16::try_from(number) {
            self.marked(0xcd, number.to_be_bytes())
        } else if let Ok(number) = u32::try_from(number) {
            self.marked(0xce, number.to_be_bytes())
        } else {
            self.marked(0xcf, number.to_be_bytes())
        }
    }

    fn signed(&mut self, number: i64) -> Written {
        if let Ok(number) = u64::try_from(number) {
            self.unsigned(number)
        } else if let Ok(number) = i8::try_from(number) {
            let [byte] = number.to_be_bytes();
            if number >= -32 { self.put(&[byte]) } else { self.put(&[0xd0, byte]) }
        } else if let Ok(number) = i16::try_from(number) {
            self.marked(0xd1, number.to_be_bytes())
        } else if let Ok(number) = i32::try_from(number) {
            self.marked(0xd2, number.to_be_bytes())
        } else {
            self.marked(0xd3, number.to_be_bytes())
        }
    }

    fn text(&mut self, text: &str) -> Written {
        self.put(head(&STR, text.len())?.bytes())?;
        self.put(text.as_bytes())
    }

    fn enter(&mut self) -> Written {
        self.expects_byte = false;
        self.levels = self.levels.checked_sub(1).ok_or_else(|| Error::message(TOO_DEEP))?;
        Ok(())
    }

    fn leave(&mut self) {
        self.levels += 1;
    }

    fn list(&mut self, length: Option<usize>, may_be_bytes: bool) -> Result<List<'_>, Error> {
        self.enter()?;
        let may_be_bytes = may_be_bytes
            && self.trace.is_none()
            && !self.form.is_readable()
            && length.is_none_or(|length| length >= SHORTEST_BYTES);
        List::begin(self, length, may_be_bytes)
    }

    fn fields(&mut self, length: Option<usize>) -> Result<Fields<'_>, Error> {
        self.enter()?;
        Fields::begin(self, length)
    }

    fn variant(&mut self, variant: &str) -> Written {
        self.put(&[0x81])?;
        self.text(variant)
    }
}

/// The markers of a family of `MessagePack`.
struct Markers {
    /// The first marker with the length in it, and how many lengths such markers can have.
    fixed: (u8, usize),
    /// The markers with one, two and four bytes of length behind them.
    one: Option<u8>,
    two: u8,
    four: u8,
}

const STR: Markers = Markers { fixed: (0xa0, 32), one: Some(0xd9), two: 0xda, four: 0xdb };
const BIN: Markers = Markers { fixed: (0, 0), one: Some(0xc4), two: 0xc5, four: 0xc6 };
const ARRAY: Markers = Markers { fixed: (0x90, 16), one: None, two: 0xdc, four: 0xdd };
const MAP: Markers = Markers { fixed: (0x80, 16), one: None, two: 0xde, four: 0xdf };

/// A marker with its length: the bytes, and how many of them count.
struct Head([u8; 5], usize);

impl Head {
    fn bytes(&self) -> &[u8] {
        &self.0[..self.1]
    }
}

fn head(markers: &Markers, length: usize) -> Result<Head, Error> {
    let &Markers { fixed: (fixed, fits), one, two, four } = markers;
    let length = u32::try_from(length).map_err(|_| Error::TooLarge)?;
    let [a, b, c, d] = length.to_be_bytes();
    Ok(match (length as usize, one) {
        (0..32, _) if (length as usize) < fits => Head([fixed | d, 0, 0, 0, 0], 1),
        (0..0x100, Some(one)) => Head([one, d, 0, 0, 0], 2),
        (0..0x1_0000, _) => Head([two, c, d, 0, 0], 3),
        _ => Head([four, a, b, c, d], 5),
    })
}

macro_rules! numbers {
    ($($method:ident($number:ty), $marker:literal, $compact:ident;)*) => {$(
        fn $method(self, number: $number) -> Written {
            if self.form.is_wide() {
                self.marked($marker, number.to_be_bytes())
            } else {
                self.$compact(number.into())
            }
        }
    )*};
}

impl<'a> Serializer for &'a mut Writer {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = List<'a>;
    type SerializeTuple = List<'a>;
    type SerializeTupleStruct = List<'a>;
    type SerializeTupleVariant = List<'a>;
    type SerializeMap = Fields<'a>;
    type SerializeStruct = Fields<'a>;
    type SerializeStructVariant = Fields<'a>;

    fn is_human_readable(&self) -> bool {
        self.form.is_readable()
    }

    numbers! {
        serialize_i8(i8), 0xd0, signed;
        serialize_i16(i16), 0xd1, signed;
        serialize_i32(i32), 0xd2, signed;
        serialize_i64(i64), 0xd3, signed;
        serialize_u16(u16), 0xcd, unsigned;
        serialize_u32(u32), 0xce, unsigned;
        serialize_u64(u64), 0xcf, unsigned;
    }

    fn serialize_u8(self, number: u8) -> Written {
        if std::mem::take(&mut self.expects_byte) {
            self.byte = Some(number);
            return Ok(());
        }
        if self.form.is_wide() { self.put(&[0xcc, number]) } else { self.unsigned(number.into()) }
    }

    fn serialize_i128(self, number: i128) -> Written {
        self.put(head(&BIN, 16)?.bytes())?;
        self.put(&number.to_be_bytes())
    }

    /// As bytes in every form: `MessagePack` has no number as wide. A zero in front tells a number above
    /// `i128::MAX` from a negative one.
    fn serialize_u128(self, number: u128) -> Written {
        if let Ok(number) = i128::try_from(number) {
            return self.serialize_i128(number);
        }
        self.put(head(&BIN, 17)?.bytes())?;
        self.put(&[0])?;
        self.put(&number.to_be_bytes())
    }

    fn serialize_bool(self, value: bool) -> Written {
        self.put(&[0xc2 + u8::from(value)])
    }

    fn serialize_f32(self, number: f32) -> Written {
        self.marked(0xca, number.to_be_bytes())
    }

    fn serialize_f64(self, number: f64) -> Written {
        self.marked(0xcb, number.to_be_bytes())
    }

    fn serialize_char(self, value: char) -> Written {
        self.text(value.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, text: &str) -> Written {
        self.text(text)
    }

    fn serialize_bytes(self, bytes: &[u8]) -> Written {
        if self.form.is_readable() {
            return self.collect_seq(bytes);
        }
        self.put(head(&BIN, bytes.len())?.bytes())?;
        self.put(bytes)
    }

    fn serialize_none(self) -> Written {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Written {
        if self.trace.is_some() {
            // `Some(x)` and `x` have the same bytes, and must not have the same trace.
            self.put(&[FORM_MARKER])?;
        }
        value.serialize(self)
    }

    fn serialize_unit(self) -> Written {
        self.put(&[0xc0])
    }

    fn serialize_unit_struct(self, _: &'static str) -> Written {
        if self.form.is_readable() { self.serialize_unit() } else { self.put(&[0x90]) }
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Written {
        self.text(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Written {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Written {
        self.enter()?;
        let written = self.variant(variant).and_then(|()| value.serialize(&mut *self));
        self.leave();
        written
    }

    fn serialize_seq(self, length: Option<usize>) -> Result<List<'a>, Error> {
        self.list(length, true)
    }

    fn serialize_tuple(self, length: usize) -> Result<List<'a>, Error> {
        self.list(Some(length), true)
    }

    fn serialize_tuple_struct(self, _: &'static str, length: usize) -> Result<List<'a>, Error> {
        self.list(Some(length), false)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        length: usize,
    ) -> Result<List<'a>, Error> {
        self.variant(variant)?;
        self.list(Some(length), false)
    }

    fn serialize_map(self, length: Option<usize>) -> Result<Fields<'a>, Error> {
        self.fields(length)
    }

    fn serialize_struct(self, _: &'static str, length: usize) -> Result<Fields<'a>, Error> {
        self.fields(Some(length))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        length: usize,
    ) -> Result<Fields<'a>, Error> {
        self.variant(variant)?;
        self.fields(Some(length))
    }
}
