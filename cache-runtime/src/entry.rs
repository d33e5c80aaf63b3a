//! What lies in Redis under one key: a fixed header, then the value.
//!
//! | bytes | field |
//! |--:|---|
//! | 0..2 | magic `fc` |
//! | 2 | format, 1 |
//! | 3 | kind: 1 lease, 2 value, 3 none |
//! | 4 | flags: 1 the body is compressed |
//! | 5 | number of tokens |
//! | 6..8 | zero |
//! | 8..12 | version of the function |
//! | 12..16 | cost of computing, in microseconds, saturating |
//! | 16..32 | id, random, fresh at every write |
//! | 32..40 | fingerprint of the function's identity |
//! | 40..48 | fingerprint of the arguments |
//! | 48..56 | lifetime given at the write, in milliseconds |
//! | 56..64 | claim mark, in milliseconds |
//! | 64.. | tokens, 16 bytes each |
//!
//! Numbers are little-endian. The header is what compare-and-set compares.

use std::time::Duration;

use bytes::Bytes;

pub(crate) const HEADER: usize = 64;
const TOKEN: usize = 16;
const MAGIC: [u8; 2] = *b"fc";
const FORMAT: u8 = 1;
const COMPRESSED: u8 = 1;

/// The random name of one write.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct EntryId(pub(crate) [u8; 16]);

impl EntryId {
    /// A fresh id; `None` where the system has no randomness to give, and nothing may be written.
    pub(crate) fn fresh() -> Option<Self> {
        let mut id = [0; 16];
        getrandom::fill(&mut id).ok()?;
        Some(Self(id))
    }

    /// Uniform in 0..1, for the jitter of the write that carries this id.
    pub(crate) fn fraction(self) -> f64 {
        let [a, b, c, d, ..] = self.0;
        f64::from(u32::from_le_bytes([a, b, c, d])) / (f64::from(u32::MAX) + 1.0)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Lease = 1,
    Value = 2,
    None = 3,
}

/// Whose entry it is: one call of one function.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Owner {
    pub(crate) function: u64,
    pub(crate) arguments: u64,
    pub(crate) version: u32,
}

/// An entry as read. The body is borrowed from the reply's bytes.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) kind: Kind,
    pub(crate) id: EntryId,
    pub(crate) owner: Owner,
    pub(crate) cost: Duration,
    pub(crate) life: Duration,
    compressed: bool,
    header: usize,
    bytes: Bytes,
}

impl Entry {
    /// Reads an entry; `None` where the bytes are not one of ours.
    pub(crate) fn parse(bytes: Bytes) -> Option<Self> {
        let head = bytes.get(..HEADER)?;
        if head[..2] != MAGIC || head[2] != FORMAT {
            return None;
        }
        let kind = match head[3] {
            1 => Kind::Lease,
            2 => Kind::Value,
            3 => Kind::None,
            _ => return None,
        };
        let header = HEADER + TOKEN * usize::from(head[5]);
        if bytes.len() < header {
            return None;
        }
        Some(Self {
            kind,
            id: EntryId(array(&head[16..32])),
            owner: Owner {
                function: u64::from_le_bytes(array(&head[32..40])),
                arguments: u64::from_le_bytes(array(&head[40..48])),
                version: u32::from_le_bytes(array(&head[8..12])),
            },
            cost: Duration::from_micros(u32::from_le_bytes(array(&head[12..16])).into()),
            life: Duration::from_millis(u64::from_le_bytes(array(&head[48..56]))),
            compressed: head[4] & COMPRESSED != 0,
            header,
            bytes,
        })
    }

    /// The bytes that compare-and-set compares.
    pub(crate) fn seen(&self) -> Seen {
        Seen(self.bytes.slice(..self.header))
    }

    /// The encoded value; `None` where it does not unpack into at most `limit` bytes.
    pub(crate) fn body(&self, limit: usize) -> Option<Bytes> {
        let body = self.bytes.slice(self.header..);
        if !self.compressed {
            return Some(body);
        }
        let (size, packed) = lz4_flex::block::uncompressed_size(&body).ok()?;
        if size > limit {
            return None;
        }
        lz4_flex::block::decompress(packed, size).ok().map(Bytes::from)
    }

    /// Bytes in Redis, header and all.
    pub(crate) fn size(&self) -> usize {
        self.bytes.len()
    }
}

fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(bytes);
    array
}

/// What was read under a key, as compare-and-set expects it: nothing, or the first bytes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen(pub(crate) Bytes);

impl Seen {
    pub(crate) fn absent() -> Self {
        Self::default()
    }

    /// Of bytes that are no entry of ours.
    pub(crate) fn foreign(bytes: &Bytes) -> Self {
        Self(bytes.slice(..bytes.len().min(HEADER)))
    }
}

/// An entry to be written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Draft<'a> {
    pub(crate) kind: Kind,
    pub(crate) id: EntryId,
    pub(crate) owner: Owner,
    pub(crate) cost: Duration,
    pub(crate) life: Duration,
    pub(crate) body: &'a [u8],
    /// Bodies over this many bytes are compressed, and kept so where that is smaller.
    pub(crate) compress_above: usize,
}

impl Draft<'_> {
    pub(crate) fn lease(id: EntryId, owner: Owner, life: Duration) -> Draft<'static> {
        Draft {
            kind: Kind::Lease,
            id,
            owner,
            life,
            cost: Duration::ZERO,
            body: &[],
            compress_above: usize::MAX,
        }
    }

    pub(crate) fn encode(&self) -> Bytes {
        let packed = self.pack();
        let body = packed.as_deref().unwrap_or(self.body);
        let mut bytes = Vec::with_capacity(HEADER + body.len());
        bytes.extend_from_slice(&MAGIC);
        let flags = if packed.is_some() { COMPRESSED } else { 0 };
        bytes.extend_from_slice(&[FORMAT, self.kind as u8, flags, 0, 0, 0]);
        bytes.extend_from_slice(&self.owner.version.to_le_bytes());
        let cost = u32::try_from(self.cost.as_micros()).unwrap_or(u32::MAX);
        bytes.extend_from_slice(&cost.to_le_bytes());
        bytes.extend_from_slice(&self.id.0);
        bytes.extend_from_slice(&self.owner.function.to_le_bytes());
        bytes.extend_from_slice(&self.owner.arguments.to_le_bytes());
        let life = u64::try_from(self.life.as_millis()).unwrap_or(u64::MAX);
        bytes.extend_from_slice(&life.to_le_bytes());
        bytes.extend_from_slice(&0u64.to_le_bytes());
        bytes.extend_from_slice(body);
        bytes.into()
    }

    fn pack(&self) -> Option<Vec<u8>> {
        if self.body.len() <= self.compress_above {
            return None;
        }
        let packed = lz4_flex::block::compress_prepend_size(self.body);
        (packed.len() < self.body.len()).then_some(packed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(body: &[u8], compress_above: usize) -> Draft<'_> {
        Draft {
            kind: Kind::Value,
            id: EntryId([7; 16]),
            owner: Owner { function: 1, arguments: 2, version: 3 },
            cost: Duration::from_micros(40),
            life: Duration::from_secs(5),
            body,
            compress_above,
        }
    }

    #[test]
    fn an_entry_comes_back_as_it_was_written() {
        let entry = Entry::parse(draft(b"value", 100).encode()).unwrap();
        assert_eq!(entry.kind, Kind::Value);
        assert_eq!(entry.id, EntryId([7; 16]));
        assert_eq!(entry.owner, Owner { function: 1, arguments: 2, version: 3 });
        assert_eq!(entry.cost, Duration::from_micros(40));
        assert_eq!(entry.life, Duration::from_secs(5));
        assert_eq!(entry.body(100).unwrap(), "value");
        assert_eq!(entry.seen().0.len(), HEADER);
    }

    #[test]
    fn a_large_body_is_compressed_and_kept_only_where_smaller() {
        let zeros = vec![0; 10_000];
        let small = draft(&zeros, 4096).encode();
        assert!(small.len() < 1000);
        assert_eq!(Entry::parse(small).unwrap().body(10_000).unwrap(), zeros);

        let mut noise = vec![0; 10_000];
        getrandom::fill(&mut noise).unwrap();
        let entry = Entry::parse(draft(&noise, 4096).encode()).unwrap();
        assert!(!entry.compressed);
        assert_eq!(entry.body(10_000).unwrap(), noise);
    }

    #[test]
    fn a_bomb_is_refused_before_it_is_unpacked() {
        let entry = Entry::parse(draft(&vec![0; 1 << 20], 0).encode()).unwrap();
        assert!(entry.body((1 << 20) - 1).is_none());
        let mut forged = draft(&[0; 100], 0).encode().to_vec();
        forged[HEADER..HEADER + 4].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(Entry::parse(forged.into()).unwrap().body(1 << 20).is_none());
    }

    #[test]
    fn bytes_of_others_are_no_entry() {
        let whole = draft(b"", 0).encode();
        for cut in 0..HEADER {
            assert!(Entry::parse(whole.slice(..cut)).is_none());
        }
        for (at, byte) in [(0, b'x'), (2, 9), (3, 0), (3, 4), (5, 1)] {
            let mut other = whole.to_vec();
            other[at] = byte;
            assert!(Entry::parse(other.into()).is_none(), "byte {at} = {byte}");
        }
    }
}
