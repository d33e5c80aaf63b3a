//! The encoding of values: `MessagePack` with field names, bounded in size and depth when it is written
//! and when it is read. Every value is decoded from its own bytes before it is stored.

mod read;
mod write;

use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::contain::contained;
use read::Reader;
use write::{Writer, trace};

pub(super) type Encoded = Result<Proven, Unencoded>;
pub(super) type Decoded<V> = Result<V, Error>;

/// Values nested deeper are neither written nor read: bytes in Redis must not decide how much stack a
/// reader uses.
const MAX_DEPTH: usize = 128;

const TOO_DEEP: &str = "nested deeper than 128 levels";

/// The byte in front of the bits of a form, where the form is not the compact one. `MessagePack` never uses
/// it, so no value in the compact form begins with it.
const FORM_MARKER: u8 = 0xc1;

/// How a value is written. Most types decode from the compact form. Under `untagged`, `flatten` and the
/// like, serde keeps a value in a buffer first, which always claims to be human-readable and does not turn
/// bytes into a list: such types may need the readable form. A type that remembers the width in which a
/// number was read may need the wide form.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Form(u8);

impl Form {
    /// As JSON has it: human-readable forms, bytes as a list of numbers, and a unit struct as nil.
    const READABLE: u8 = 1;
    /// Each number is written in the width of its type, rather than in the fewest bytes.
    const WIDE: u8 = 2;

    const ALL: [Self; 4] =
        [Self(0), Self(Self::READABLE), Self(Self::WIDE), Self(Self::READABLE | Self::WIDE)];

    pub(crate) fn of(bits: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|form| form.0 == bits)
    }

    pub(crate) fn bits(self) -> u8 {
        self.0
    }

    fn is_readable(self) -> bool {
        self.0 & Self::READABLE != 0
    }

    fn wide(self) -> Self {
        Self(self.0 | Self::WIDE)
    }

    fn is_wide(self) -> bool {
        self.0 & Self::WIDE != 0
    }

    /// All forms, this one first.
    fn and_others(self) -> impl Iterator<Item = Self> {
        let others = Self::ALL.into_iter().filter(move |form| *form != self);
        std::iter::once(self).chain(others)
    }
}

/// The bytes of a value, from which it was decoded to an equal one, and their form.
#[derive(Debug)]
pub(crate) struct Proven {
    pub(crate) bytes: Vec<u8>,
    pub(crate) form: Form,
}

/// Why a value has no bytes to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unencoded {
    TooLarge(Size),
    /// It cannot be serialized.
    Failed(String),
    /// It does not decode from its bytes, or to another value.
    Lost(String),
}

/// How large a value would have been, in bytes. Counted to twice the limit at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Size {
    Exactly(usize),
    MoreThan(usize),
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exactly(size) => write!(f, "{size}"),
            Self::MoreThan(size) => write!(f, "more than {size}"),
        }
    }
}

/// Why a value could not be written or read.
#[derive(Debug)]
pub(crate) enum Error {
    /// More than twice the limit.
    TooLarge,
    Message(String),
}

impl Error {
    fn message(text: &str) -> Self {
        Self::Message(text.to_owned())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge => f.write_str("too large"),
            Self::Message(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for Error {}

impl serde::ser::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::Message(message.to_string())
    }
}

impl serde::de::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::Message(message.to_string())
    }
}

/// Compares a value with the one that was decoded from its bytes; the error says what may be wrong.
type Compare<V> = fn(&V, &V, Form) -> Result<(), &'static str>;

/// Encodes a value, in the first form from which it decodes to an equal one; `first` is tried first. Every
/// value is checked, since one that decodes says nothing about the next (`skip_serializing_if`). So a
/// miss decodes its value as a hit does; a run of the function comes on top of that.
pub(super) fn encode<V: Serialize + DeserializeOwned>(
    value: &V,
    limit: usize,
    first: Form,
    compare: Compare<V>,
) -> Encoded {
    let (mut too_large, mut why) = (None, None);
    for form in first.and_others() {
        let refused = match contained(|| write(value, limit, form)) {
            Some(Ok(bytes)) => match check(value, &bytes, form, compare) {
                Ok(()) => return Ok(Proven { bytes, form }),
                Err(lost) => Unencoded::Lost(lost),
            },
            // The compact form is the smallest: no other one fits either.
            Some(Err(refused @ Unencoded::TooLarge(_))) if form == Form::default() => {
                return Err(refused);
            }
            Some(Err(refused @ Unencoded::TooLarge(_))) => {
                too_large.get_or_insert(refused);
                continue;
            }
            Some(Err(refused)) => refused,
            None => {
                let panicked = Unencoded::Failed("`Serialize` panicked".into());
                return Err(too_large.or(why).unwrap_or(panicked));
            }
        };
        why.get_or_insert(refused);
    }
    // The size first: the value might have decoded from the form that was too large.
    Err(too_large.or(why).unwrap_or(Unencoded::Failed("no form was tried".into())))
}

fn write<V: Serialize>(value: &V, limit: usize, form: Form) -> Result<Vec<u8>, Unencoded> {
    let mut writer = Writer::new(form, limit);
    let written = value.serialize(&mut writer);
    writer.finish(written)
}

/// Decodes `bytes`, and compares the result with `value`.
fn check<V: DeserializeOwned>(
    value: &V,
    bytes: &[u8],
    form: Form,
    compare: Compare<V>,
) -> Result<(), String> {
    // The decoded value is dropped in here as well, since its `Drop` may panic.
    let compared = contained(|| compare(value, &decode(bytes)?, form).map_err(Error::message));
    match compared {
        Some(compared) => compared.map_err(|error| error.to_string()),
        None => Err("`Deserialize`, `PartialEq` or `Drop` panicked".into()),
    }
}

/// Compares by the type's own `PartialEq`; a value that does not equal itself, such as one with a NaN in
/// it, as [`alike`] does.
pub(super) fn equal<V: Serialize + PartialEq>(
    value: &V,
    back: &V,
    form: Form,
) -> Result<(), &'static str> {
    #[allow(clippy::eq_op)]
    if value == back {
        Ok(())
    } else if value != value {
        alike(value, back, form)
    } else if alike(value, back, form).is_ok() {
        Err("it does not come back equal by its `PartialEq`: a part of it is not serialized, as a \
             field with `#[serde(skip)]`, or is not comparable")
    } else {
        Err(ANOTHER)
    }
}

/// Compares what both values tell serde, for types without `PartialEq`.
pub(super) fn alike<V: Serialize>(value: &V, back: &V, form: Form) -> Result<(), &'static str> {
    if trace(value, form) == trace(back, form) { Ok(()) } else { Err(ANOTHER) }
}

const ANOTHER: &str = "it comes back as another value: its `Serialize` and `Deserialize` do not \
                       agree, or it has a part that no format tells apart, as the inner `None` of \
                       an `Option<Option<_>>`";

pub(super) fn decode<V: DeserializeOwned>(bytes: &[u8]) -> Decoded<V> {
    let mut reader = Reader::new(bytes)?;
    let value = V::deserialize(&mut reader)?;
    // Bytes that are left over show that they were written for another type.
    reader.finish()?;
    Ok(value)
}

/// Decodes a value of any self-describing type, such as `serde_json::Value`; the error says why it has none.
pub(crate) fn decode_any<V: DeserializeOwned>(bytes: &[u8]) -> Result<V, String> {
    decode(bytes).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests;
