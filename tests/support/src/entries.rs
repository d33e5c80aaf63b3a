//! Entries as they lie in Redis.

use cache_runtime::explain;

use crate::Server;

/// How many bytes of an entry that depends on its prefix alone come before its body.
pub const HEADER: usize = 96;

/// The key of a call.
///
/// # Panics
///
/// Where the call has none.
pub async fn key_of(call: impl Future) -> String {
    explain(call).await.expect("a cached function").key.expect("a key")
}

/// What a template has made of the arguments: a readable key without its function.
///
/// # Panics
///
/// Where the key is not readable.
pub fn readable(key: &str) -> &str {
    let (text, function) = key.rsplit_once('@').expect("a readable key ends with its function");
    assert_eq!(function.len(), 8, "{key}");
    text
}

impl Server {
    /// What lies under a key.
    ///
    /// # Panics
    ///
    /// Where nothing does, or the server does not answer.
    pub async fn entry(&self, key: &str) -> Vec<u8> {
        let mut client = self.client().await;
        let entry: Option<_> =
            redis::cmd("GET").arg(key).query_async(&mut client).await.expect("it answers");
        entry.expect("an entry")
    }

    /// Replaces what lies under a key, for a minute; with the checksums of what it is now, where it is
    /// an entry.
    ///
    /// # Panics
    ///
    /// Where the server does not answer.
    pub async fn set_entry(&self, key: &str, entry: &[u8]) {
        let set = redis::cmd("SET").arg(key).arg(sealed(entry)).arg("PX").arg(60_000).to_owned();
        set.query_async::<()>(&mut self.client().await).await.expect("the server answers");
    }
}

/// The same entry with checksums that fit; what is too short to have any stays as it is.
pub fn sealed(entry: &[u8]) -> Vec<u8> {
    let mut sealed = entry.to_vec();
    let tokens = usize::from(entry.get(5).copied().unwrap_or_default());
    let header = 80 + 16 * tokens;
    if entry.starts_with(b"fc") && entry.len() >= header {
        let body = checksum(&[&entry[header..]]);
        sealed[72..76].copy_from_slice(&body);
        let head = checksum(&[&sealed[..76], &sealed[80..header]]);
        sealed[76..80].copy_from_slice(&head);
    }
    sealed
}

/// FNV-1a over words of eight bytes, each piece with its length, finished as `MurmurHash3` is.
fn checksum(pieces: &[&[u8]]) -> [u8; 4] {
    let step =
        |state: u64, word: u64| (state ^ word).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(23);
    let mut state = 0xcbf2_9ce4_8422_2325;
    for piece in pieces {
        for word in piece.chunks(8) {
            let mut whole = [0; 8];
            whole[..word.len()].copy_from_slice(word);
            state = step(state, u64::from_le_bytes(whole));
        }
        if piece.len() % 8 == 0 {
            state = step(state, 0);
        }
        state = step(state, piece.len() as u64);
    }
    state ^= state >> 33;
    state = state.wrapping_mul(0xff51_afd7_ed55_8ccd);
    state ^= state >> 33;
    state = state.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    ((state ^ (state >> 33)) as u32).to_le_bytes()
}
