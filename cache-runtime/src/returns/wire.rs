//! Values as `MessagePack` with field names, bounded in size and depth both ways.

use std::io::{ErrorKind, Write};

use rmp_serde::decode::Error;
use serde::Serialize;
use serde::de::{Deserialize as _, DeserializeOwned, IgnoredAny};

pub(super) type Encoded = Result<Vec<u8>, Unencoded>;
pub(super) type Decoded<V> = Result<V, rmp_serde::decode::Error>;

/// Values nested deeper are neither stored nor read: bytes in Redis must not choose how much stack
/// is used.
const MAX_DEPTH: usize = 128;

/// Why there are no bytes of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unencoded {
    TooLarge,
    Failed,
}

pub(super) fn encode<V: Serialize>(value: &V, limit: usize) -> Encoded {
    let mut out = Bounded { bytes: Vec::with_capacity(128), limit, full: false };
    let mut serializer = rmp_serde::Serializer::new(&mut out).with_struct_map();
    serializer.unstable_set_max_depth(MAX_DEPTH);
    match value.serialize(&mut serializer) {
        Ok(()) => Ok(out.bytes),
        Err(_) if out.full => Err(Unencoded::TooLarge),
        Err(_) => Err(Unencoded::Failed),
    }
}

/// Stops the encoding of a value that will not be stored for its size.
struct Bounded {
    bytes: Vec<u8>,
    limit: usize,
    full: bool,
}

impl Write for Bounded {
    fn write(&mut self, more: &[u8]) -> std::io::Result<usize> {
        if self.bytes.len() + more.len() > self.limit {
            self.full = true;
            return Err(ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(more);
        Ok(more.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

pub(super) fn decode<V: DeserializeOwned>(bytes: &[u8]) -> Decoded<V> {
    let mut deserializer = rmp_serde::Deserializer::from_read_ref(bytes);
    deserializer.set_max_depth(MAX_DEPTH);
    let value = V::deserialize(&mut deserializer)?;
    // What is left over shows that these are another type's bytes.
    match IgnoredAny::deserialize(&mut deserializer) {
        Err(Error::InvalidMarkerRead(end)) if end.kind() == ErrorKind::UnexpectedEof => Ok(value),
        Err(error) => Err(error),
        Ok(_) => Err(Error::LengthMismatch(0)),
    }
}
