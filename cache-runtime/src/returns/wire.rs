//! Values as `MessagePack` with field names: bounded in size and depth both ways, and brought back
//! from their own bytes before they are stored.

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

/// Values nested deeper are neither stored nor read: bytes in Redis must not choose how much stack
/// is used.
const MAX_DEPTH: usize = 128;

/// No value of `MessagePack` begins with it: a form that is not the compact one is named behind it.
const MARK: u8 = 0xc1;

/// How a value is written. Most come back from the compact form; `untagged`, `flatten` and the like
/// hold a value in a buffer while they decide, which neither tells types with two forms that the
/// bytes are not for people to read, nor takes bytes for a list; and a type may remember the width in
/// which a number came.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Form(u8);

impl Form {
    /// As JSON has it: types with two forms in that for people, bytes as a list of numbers, and a
    /// struct without fields as nothing.
    const READABLE: u8 = 1;
    /// Each number in the width of its type.
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

/// A value's bytes, from which it comes back, and the form that they are in.
#[derive(Debug)]
pub(crate) struct Proven {
    pub(crate) bytes: Vec<u8>,
    pub(crate) form: Form,
}

/// Why there are no bytes of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unencoded {
    TooLarge(Size),
    /// It cannot be written.
    Failed(String),
    /// It does not come back, or not as it was.
    Lost(String),
}

/// How large a value would have been, in bytes; counted no further than twice the limit.
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
    Said(String),
}

impl Error {
    fn said(words: &str) -> Self {
        Self::Said(words.to_owned())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge => f.write_str("too large"),
            Self::Said(words) => f.write_str(words),
        }
    }
}

impl std::error::Error for Error {}

impl serde::ser::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::Said(message.to_string())
    }
}

impl serde::de::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::Said(message.to_string())
    }
}

/// Tells whether a value has come back as it was, and else what there is to be known about it.
type Same<V> = fn(&V, &V, Form) -> Result<(), &'static str>;

/// The bytes of a value in the first form from which it comes back. Every value is proven: what is
/// true of one need not be of the next (`skip_serializing_if`). It costs a miss what a hit costs, to
/// decode the value, beside a run of the function.
pub(super) fn encode<V: Serialize + DeserializeOwned>(
    value: &V,
    limit: usize,
    first: Form,
    same: Same<V>,
) -> Encoded {
    let (mut too_large, mut why) = (None, None);
    for form in first.and_others() {
        let refused = match contained(|| write(value, limit, form)) {
            Some(Ok(bytes)) => match comes_back(value, &bytes, form, same) {
                Ok(()) => return Ok(Proven { bytes, form }),
                Err(lost) => Unencoded::Lost(lost),
            },
            // No form is smaller than the compact one.
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
    // It might have come back from a form that has no room for it.
    Err(too_large.or(why).unwrap_or(Unencoded::Failed("no form was tried".into())))
}

fn write<V: Serialize>(value: &V, limit: usize, form: Form) -> Result<Vec<u8>, Unencoded> {
    let mut writer = Writer::new(form, limit);
    let written = value.serialize(&mut writer);
    writer.finish(written)
}

fn comes_back<V: DeserializeOwned>(
    value: &V,
    bytes: &[u8],
    form: Form,
    same: Same<V>,
) -> Result<(), String> {
    // Within it too is dropped what has come back.
    let compared = contained(|| same(value, &decode(bytes)?, form).map_err(Error::said));
    match compared {
        Some(compared) => compared.map_err(|error| error.to_string()),
        None => Err("`Deserialize`, `PartialEq` or `Drop` panicked".into()),
    }
}

/// By the type's own `PartialEq`. A value that is not equal to itself, as one with a NaN in it, says
/// nothing by that.
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

/// By what both tell serde, where there is no `PartialEq`.
pub(super) fn alike<V: Serialize>(value: &V, back: &V, form: Form) -> Result<(), &'static str> {
    if trace(value, form) == trace(back, form) { Ok(()) } else { Err(ANOTHER) }
}

const ANOTHER: &str = "it comes back as another value: its `Serialize` and `Deserialize` do not \
                       agree, or it has a part that no format tells apart, as the inner `None` of \
                       an `Option<Option<_>>`";

pub(super) fn decode<V: DeserializeOwned>(bytes: &[u8]) -> Decoded<V> {
    let mut reader = Reader::new(bytes)?;
    let value = V::deserialize(&mut reader)?;
    // What is left over shows that these are another type's bytes.
    reader.finish()?;
    Ok(value)
}

#[cfg(test)]
mod tests;
