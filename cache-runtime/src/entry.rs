//! An entry: the bytes in Redis under one key. A header, then the value.
//!
//! | bytes | field |
//! |--:|---|
//! | 0..2 | magic `fc` |
//! | 2 | format, 2 |
//! | 3 | kind: 1 lease, 2 value, 3 none, 4 unstored |
//! | 4 | flags: 1 the body is compressed |
//! | 5 | number of tokens |
//! | 6..8 | zero |
//! | 8..12 | version of the function |
//! | 12..16 | cost of computing, in microseconds, saturating |
//! | 16..32 | id, random, fresh at every write |
//! | 32..40 | fingerprint of the function's identity |
//! | 40..48 | fingerprint of the arguments |
//! | 48..56 | lifetime given at the write, in milliseconds |
//! | 56..64 | claim mark: the TTL left when the entry was claimed, in milliseconds, 0 if it is not; with the top bit set, the TTL left when its claim was released |
//! | 64..72 | stale window at the end of the lifetime, in milliseconds; of an unstored mark, the time at its end in which calls that read it do not run at once |
//! | 72..76 | checksum of the body, as it is stored |
//! | 76..80 | checksum of the header and the tokens, without these four bytes |
//! | 80.. | tokens that the entry depends on, 16 bytes each |
//!
//! The body of a value is `MessagePack`, in a form that the body names itself (`returns/wire.rs`).
//!
//! Numbers are little-endian. Compare-and-set compares the bytes to the end of the id, which is fresh at
//! every write but an extension; where the entry is claimed, to the end of the claim mark, which an
//! extension changes. A reader that does not know the top bit of a claim mark takes it for a claim so old
//! that it has expired.

mod checksum;

use std::borrow::Cow;
use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use smallvec::SmallVec;

use checksum::checksum;

/// The longest ttl and the longest stale window, ten years; a longer one counts as this. Redis refuses
/// expiry dates that overflow. The age of an entry is the lifetime in its header less its remaining TTL, so the
/// two must begin equal.
pub(crate) const LONGEST_TTL: Duration = Duration::from_secs(60 * 60 * 24 * 365 * 10);

const HEADER: usize = 80;
const TOKEN: usize = 16;
/// The end of the id, which no other entry has.
const ID_END: usize = 32;
/// The end of the claim mark, which an extension changes under the same id.
const CLAIM_MARK_END: usize = 64;
const MAGIC: [u8; 2] = *b"fc";
const FORMAT: u8 = 2;
const BODY_SUM: Range<usize> = 72..76;
const HEADER_SUM: Range<usize> = 76..80;
/// A flag: the body is compressed.
const COMPRESSED: u8 = 1;
/// The top bit of a claim mark: the owner has released the claim, since its function has failed.
const RELEASED: u64 = 1 << 63;

/// The random id of one write.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct EntryId(pub(crate) [u8; 16]);

impl EntryId {
    /// A fresh id; `None` where the system refuses randomness, in which case nothing may be written.
    pub(crate) fn fresh() -> Option<Self> {
        let mut id = [0; 16];
        getrandom::fill(&mut id).ok()?;
        Some(Self(id))
    }

    /// A number in 0..1, uniformly distributed: the jitter of the write with this id.
    pub(crate) fn fraction(self) -> f64 {
        let [a, b, c, d, ..] = self.0;
        f64::from(u32::from_le_bytes([a, b, c, d])) / (f64::from(u32::MAX) + 1.0)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum EntryKind {
    Lease = 1,
    Value = 2,
    None = 3,
    /// An unstored mark: the function has run, and its result is not stored.
    Unstored = 4,
}

/// The call that an entry belongs to, by the fingerprints of its function and its arguments.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Owner {
    pub(crate) function: u64,
    pub(crate) arguments: u64,
    pub(crate) version: u32,
}

/// The token of a prefix or a tag: random bytes that an invalidation removes. An entry is live while the
/// tokens in its header equal those in the store.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Token(pub(crate) [u8; TOKEN]);

pub(crate) type Tokens = SmallVec<[Token; 2]>;

impl Token {
    /// The token that `bytes` stand for. A token that was set by hand has any length, and counts too.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self(bytes.try_into().unwrap_or_else(|_| array(&Sha256::digest(bytes)[..TOKEN])))
    }
}

/// An entry that was read. It shares the bytes of the reply.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) kind: EntryKind,
    pub(crate) id: EntryId,
    pub(crate) owner: Owner,
    pub(crate) cost: Duration,
    /// From the write to the end of the stale window.
    pub(crate) life: Duration,
    /// How long before its end the entry becomes stale.
    pub(crate) window: Duration,
    /// The claim mark as it is stored: [`Entry::claim`] and [`Entry::released`] read it.
    claim_mark: u64,
    compressed: bool,
    /// The length of the header with its tokens.
    header: usize,
    bytes: Bytes,
}

impl Entry {
    /// Reads an entry. Bytes that are no entry of this cache come back as the error.
    pub(crate) fn parse(bytes: Bytes) -> Result<Self, Bytes> {
        let Some((kind, header)) = Self::frame(&bytes) else { return Err(bytes) };
        let head = &bytes[..HEADER];
        Ok(Self {
            kind,
            id: EntryId(array(&head[16..32])),
            owner: Owner {
                function: u64::from_le_bytes(array(&head[32..40])),
                arguments: u64::from_le_bytes(array(&head[40..48])),
                version: u32::from_le_bytes(array(&head[8..12])),
            },
            cost: Duration::from_micros(u32::from_le_bytes(array(&head[12..16])).into()),
            life: millis(&head[48..56]),
            window: millis(&head[64..72]),
            claim_mark: u64::from_le_bytes(array(&head[56..64])),
            compressed: head[4] & COMPRESSED != 0,
            header,
            bytes,
        })
    }

    /// Checks the header; returns the kind, and the length of the header with its tokens.
    fn frame(bytes: &[u8]) -> Option<(EntryKind, usize)> {
        let head = bytes.get(..HEADER)?;
        if head[..2] != MAGIC || head[2] != FORMAT {
            return None;
        }
        let kind = match head[3] {
            1 => EntryKind::Lease,
            2 => EntryKind::Value,
            3 => EntryKind::None,
            4 => EntryKind::Unstored,
            _ => return None,
        };
        let header = HEADER + TOKEN * usize::from(head[5]);
        if bytes.len() < header || !is_intact(&head[HEADER_SUM], header_sum(&bytes[..header])) {
            return None;
        }
        Some((kind, header))
    }

    /// The entry's remaining TTL when it was claimed for a refresh; `None` where it is not claimed.
    pub(crate) fn claim(&self) -> Option<Duration> {
        let claimed = self.claim_mark > 0 && self.claim_mark & RELEASED == 0;
        claimed.then(|| Duration::from_millis(self.claim_mark))
    }

    /// The entry's remaining TTL when its claim was released, since the refresh had failed; `None` where no
    /// claim was.
    pub(crate) fn released(&self) -> Option<Duration> {
        let released = self.claim_mark & RELEASED != 0;
        released.then(|| Duration::from_millis(self.claim_mark & !RELEASED))
    }

    /// The bytes that compare-and-set expects under the key. Those of a claimed entry include the claim mark:
    /// a call that takes over an expired claim must fail if the claim was extended meanwhile.
    pub(crate) fn seen(&self) -> Seen {
        let end = if self.claim().is_some() { CLAIM_MARK_END } else { ID_END };
        Seen(self.bytes.slice(..end))
    }

    /// Whether the entry depends on exactly these tokens. A missing token equals none.
    pub(crate) fn depends_on(&self, current: &[Option<Token>]) -> bool {
        let mut own = self.tokens().map(Some);
        current.iter().all(|token| token.is_some() && own.next() == Some(*token))
            && own.next().is_none()
    }

    pub(crate) fn tokens(&self) -> impl Iterator<Item = Token> + '_ {
        self.bytes[HEADER..self.header].chunks_exact(TOKEN).map(Token::of)
    }

    /// The header with another id, and with a claim mark (`ttl_left`) or without.
    pub(crate) fn claimed(&self, id: EntryId, ttl_left: Option<Duration>) -> Bytes {
        self.with_claim_mark(id, in_millis(ttl_left.unwrap_or_default()))
    }

    /// The header with another id, for a claim that is released while the entry has `ttl_left`.
    pub(crate) fn as_released(&self, id: EntryId, ttl_left: Duration) -> Bytes {
        let ttl_left = u64::try_from(ttl_left.as_millis()).unwrap_or(u64::MAX);
        self.with_claim_mark(id, (ttl_left | RELEASED).to_le_bytes())
    }

    fn with_claim_mark(&self, id: EntryId, mark: [u8; 8]) -> Bytes {
        let mut header = self.bytes[..self.header].to_vec();
        header[16..32].copy_from_slice(&id.0);
        header[56..64].copy_from_slice(&mark);
        let sum = header_sum(&header);
        header[HEADER_SUM].copy_from_slice(&sum);
        header.into()
    }

    /// The encoded value; `None` where the checksum says that it is damaged, or where it has more than
    /// `limit` bytes once it is unpacked. The decoded value may take many times as much memory.
    pub(crate) fn body(&self, limit: usize) -> Option<Cow<'_, [u8]>> {
        let body = &self.bytes[self.header..];
        if !is_intact(&self.bytes[BODY_SUM], checksum(&[body])) {
            return None;
        }
        if !self.compressed {
            return (body.len() <= limit).then_some(body.into());
        }
        let (size, packed) = lz4_flex::block::uncompressed_size(body).ok()?;
        if size > limit {
            return None;
        }
        lz4_flex::block::decompress(packed, size).ok().map(Cow::from)
    }

    /// The length of the encoded value in bytes, before compression.
    pub(crate) fn unpacked(&self) -> usize {
        let body = &self.bytes[self.header..];
        if !self.compressed {
            return body.len();
        }
        lz4_flex::block::uncompressed_size(body).map_or(body.len(), |(size, _)| size)
    }

    /// The length of the entry in Redis in bytes, header and all.
    pub(crate) fn size(&self) -> usize {
        self.bytes.len()
    }
}

/// The checksum of a header with its tokens, without the bytes of the checksum itself.
fn header_sum(header: &[u8]) -> [u8; 4] {
    checksum(&[&header[..HEADER_SUM.start], &header[HEADER_SUM.end..]])
}

/// Whether a checksum fits. Under a fuzzer every one does: it could not find one that fits, and would reach
/// nothing behind this check.
fn is_intact(written: &[u8], sum: [u8; 4]) -> bool {
    cfg!(cache_runtime_fuzzing) || *written == sum
}

fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(bytes);
    array
}

fn millis(bytes: &[u8]) -> Duration {
    Duration::from_millis(u64::from_le_bytes(array(bytes)))
}

fn in_millis(duration: Duration) -> [u8; 8] {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX).to_le_bytes()
}

/// What compare-and-set expects under a key, since the writer has read it: nothing, or these first bytes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen(pub(crate) Bytes);

impl Seen {
    pub(crate) fn absent() -> Self {
        Self::default()
    }

    /// For an entry that this process has written, by its header.
    pub(crate) fn own(header: &Bytes) -> Self {
        Self(header.slice(..ID_END))
    }

    /// For bytes that are no entry of this cache.
    pub(crate) fn foreign(bytes: &Bytes) -> Self {
        Self(bytes.slice(..bytes.len().min(HEADER)))
    }
}

/// An entry to be written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Draft<'a> {
    pub(crate) kind: EntryKind,
    pub(crate) id: EntryId,
    pub(crate) owner: Owner,
    pub(crate) cost: Duration,
    pub(crate) life: Duration,
    pub(crate) window: Duration,
    pub(crate) tokens: &'a [Token],
    pub(crate) body: &'a [u8],
    /// Bodies over this many bytes are compressed, and stored so where that is smaller.
    pub(crate) compress_above: usize,
}

impl<'a> Draft<'a> {
    pub(crate) fn lease(id: EntryId, owner: Owner, life: Duration, tokens: &'a [Token]) -> Self {
        Draft {
            kind: EntryKind::Lease,
            id,
            owner,
            life,
            tokens,
            cost: Duration::ZERO,
            window: Duration::ZERO,
            body: &[],
            compress_above: usize::MAX,
        }
    }

    /// An unstored mark. For `joint` every call that reads it runs at once; for `rest` more it stays, so that
    /// those runs may still populate.
    pub(crate) fn unstored(
        id: EntryId,
        owner: Owner,
        [joint, rest]: [Duration; 2],
        tokens: &'a [Token],
    ) -> Self {
        let life = joint.saturating_add(rest);
        Draft { kind: EntryKind::Unstored, window: rest, ..Self::lease(id, owner, life, tokens) }
    }

    pub(crate) fn encode(&self) -> Bytes {
        let packed = self.pack();
        let body = packed.as_deref().unwrap_or(self.body);
        let size = HEADER + TOKEN * self.tokens.len() + body.len();
        let mut bytes = Vec::with_capacity(size);
        bytes.extend_from_slice(&MAGIC);
        let flags = if packed.is_some() { COMPRESSED } else { 0 };
        let tokens = self.tokens.len() as u8;
        bytes.extend_from_slice(&[FORMAT, self.kind as u8, flags, tokens, 0, 0]);
        bytes.extend_from_slice(&self.owner.version.to_le_bytes());
        let cost = u32::try_from(self.cost.as_micros()).unwrap_or(u32::MAX);
        bytes.extend_from_slice(&cost.to_le_bytes());
        bytes.extend_from_slice(&self.id.0);
        bytes.extend_from_slice(&self.owner.function.to_le_bytes());
        bytes.extend_from_slice(&self.owner.arguments.to_le_bytes());
        bytes.extend_from_slice(&in_millis(self.life));
        bytes.extend_from_slice(&in_millis(Duration::ZERO));
        bytes.extend_from_slice(&in_millis(self.window));
        bytes.extend_from_slice(&checksum(&[body]));
        bytes.extend_from_slice(&[0; HEADER_SUM.end - HEADER_SUM.start]);
        for token in self.tokens {
            bytes.extend_from_slice(&token.0);
        }
        let sum = header_sum(&bytes);
        bytes[HEADER_SUM].copy_from_slice(&sum);
        bytes.extend_from_slice(body);
        bytes.into()
    }

    /// The compressed body, where it is smaller.
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

    const TOKENS: [Token; 2] = [Token([1; TOKEN]), Token([2; TOKEN])];

    fn draft(body: &[u8], compress_above: usize) -> Draft<'_> {
        Draft {
            kind: EntryKind::Value,
            id: EntryId([7; 16]),
            owner: Owner { function: 1, arguments: 2, version: 3 },
            cost: Duration::from_micros(40),
            life: Duration::from_secs(5),
            window: Duration::from_secs(2),
            tokens: &TOKENS,
            body,
            compress_above,
        }
    }

    #[test]
    fn an_entry_comes_back_as_it_was_written() {
        let entry = Entry::parse(draft(b"value", 100).encode()).unwrap();
        assert_eq!(entry.kind, EntryKind::Value);
        assert_eq!(entry.id, EntryId([7; 16]));
        assert_eq!(entry.owner, Owner { function: 1, arguments: 2, version: 3 });
        assert_eq!(entry.cost, Duration::from_micros(40));
        assert_eq!(entry.life, Duration::from_secs(5));
        assert_eq!(entry.window, Duration::from_secs(2));
        assert_eq!(entry.claim(), None);
        assert!(entry.tokens().eq(TOKENS));
        assert_eq!(*entry.body(100).unwrap(), *b"value");
    }

    #[test]
    fn a_missing_a_changed_or_a_further_token_matches_nothing() {
        let entry = Entry::parse(draft(b"", 0).encode()).unwrap();
        let [one, two] = TOKENS.map(Some);
        assert!(entry.depends_on(&[one, two]));
        for other in [&[one][..], &[one, None], &[None, None], &[two, one], &[one, two, one], &[]] {
            assert!(!entry.depends_on(other), "{other:?}");
        }
    }

    #[test]
    fn a_claim_changes_the_id_and_the_mark_and_nothing_else() {
        let whole = draft(b"value", 100).encode();
        let entry = Entry::parse(whole.clone()).unwrap();
        let claim_mark = Duration::from_millis(1500);
        let claimed = entry.claimed(EntryId([9; 16]), Some(claim_mark));
        let mut bytes = claimed.to_vec();
        bytes.extend_from_slice(&whole[claimed.len()..]);
        let claimed = Entry::parse(bytes.into()).unwrap();
        assert_eq!((claimed.id, claimed.claim()), (EntryId([9; 16]), Some(claim_mark)));
        assert_eq!(*claimed.body(100).unwrap(), *b"value");
        assert!(claimed.tokens().eq(TOKENS));
        assert_ne!(claimed.seen().0, entry.seen().0);
    }

    #[test]
    fn a_claim_that_was_released_is_told_from_one_that_goes_on() {
        let whole = draft(b"value", 100).encode();
        let entry = Entry::parse(whole.clone()).unwrap();
        let ttl_left = Duration::from_millis(1500);
        for ttl_left in [ttl_left, Duration::ZERO] {
            let header = entry.as_released(EntryId([9; 16]), ttl_left);
            let mut bytes = header.to_vec();
            bytes.extend_from_slice(&whole[header.len()..]);
            let released = Entry::parse(bytes.into()).unwrap();
            assert_eq!((released.claim(), released.released()), (None, Some(ttl_left)));
            assert_eq!(*released.body(100).unwrap(), *b"value");
        }
        assert_eq!((entry.claim(), entry.released()), (None, None));
    }

    #[test]
    fn an_unstored_mark_has_the_time_in_which_calls_run_at_once_and_the_time_after() {
        let owner = Owner { function: 1, arguments: 2, version: 3 };
        let times = [Duration::from_millis(500), Duration::from_secs(2)];
        let unstored = Draft::unstored(EntryId([7; 16]), owner, times, &TOKENS).encode();
        let unstored = Entry::parse(unstored).unwrap();
        assert_eq!((unstored.kind, unstored.owner), (EntryKind::Unstored, owner));
        assert_eq!((unstored.life, unstored.window), (Duration::from_millis(2500), times[1]));
        assert!(unstored.tokens().eq(TOKENS));
    }

    #[test]
    fn a_token_of_any_length_is_one() {
        assert_eq!(Token::of(&[7; TOKEN]), Token([7; TOKEN]));
        assert_ne!(Token::of(b"by hand"), Token::of(b"by another hand"));
        assert_ne!(Token::of(b""), Token::of(&[0; TOKEN]));
    }

    #[test]
    fn a_large_body_is_compressed_and_kept_only_where_smaller() {
        let zeros = vec![0; 10_000];
        let small = draft(&zeros, 4096).encode();
        assert!(small.len() < 1000);
        assert_eq!(*Entry::parse(small).unwrap().body(10_000).unwrap(), zeros);

        let mut noise = vec![0; 10_000];
        getrandom::fill(&mut noise).unwrap();
        let entry = Entry::parse(draft(&noise, 4096).encode()).unwrap();
        assert!(!entry.compressed);
        assert_eq!(*entry.body(10_000).unwrap(), noise);
    }

    #[test]
    fn a_bomb_is_refused_before_it_is_unpacked() {
        let entry = Entry::parse(draft(&vec![0; 1 << 20], 0).encode()).unwrap();
        assert!(entry.body((1 << 20) - 1).is_none());
        let entry = Entry::parse(draft(b"value", 100).encode()).unwrap();
        assert!(entry.body(4).is_none() && entry.body(5).is_some());
        let mut forged = draft(&[0; 100], 0).encode().to_vec();
        let body = HEADER + 2 * TOKEN;
        forged[body..body + 4].copy_from_slice(&u32::MAX.to_le_bytes());
        seal(&mut forged, body);
        assert!(Entry::parse(forged.into()).unwrap().body(1 << 20).is_none());
    }

    /// Writes checksums that fit the forged bytes.
    fn seal(bytes: &mut [u8], body: usize) {
        let sum = checksum(&[&bytes[body..]]);
        bytes[BODY_SUM].copy_from_slice(&sum);
        let sum = header_sum(&bytes[..body]);
        bytes[HEADER_SUM].copy_from_slice(&sum);
    }

    #[test]
    fn an_entry_of_which_a_bit_was_flipped_is_not_served() {
        let plain = draft(b"value of some length", 100).encode();
        let packed = draft(&[b'v'; 200], 100).encode();
        let claimed = Entry::parse(plain.clone()).unwrap();
        let header = claimed.claimed(EntryId([8; 16]), Some(Duration::from_secs(1)));
        let claimed = [&header[..], b"value of some length"].concat().into();
        for whole in [plain, packed, claimed] {
            assert!(Entry::parse(whole.clone()).unwrap().body(1000).is_some());
            for bit in 0..whole.len() * 8 {
                let mut flipped = whole.to_vec();
                flipped[bit / 8] ^= 1 << (bit % 8);
                let body = Entry::parse(flipped.into()).ok().and_then(|entry| {
                    let body = entry.body(1000)?;
                    Some(body.into_owned())
                });
                assert_eq!(body, None, "bit {bit}");
            }
        }
    }

    #[test]
    fn bytes_of_others_are_no_entry() {
        let whole = draft(b"", 0).encode();
        for cut in 0..HEADER {
            assert!(Entry::parse(whole.slice(..cut)).is_err());
        }
        for (at, byte) in [(0, b'x'), (2, 9), (3, 0), (3, 5), (5, 3)] {
            let mut other = whole.to_vec();
            other[at] = byte;
            seal(&mut other, HEADER + 2 * TOKEN);
            assert!(Entry::parse(other.into()).is_err(), "byte {at} = {byte}");
        }
    }
}
