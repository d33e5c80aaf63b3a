//! A checksum against bytes that change on their way. A proxy, a wire or a memory may flip bits, and most
//! values would decode all the same.
//!
//! It works as FNV-1a (Fowler, Noll, Vo) does, over words of eight bytes, and ends with the finalizer of
//! `MurmurHash3` (Appleby). Each step is a bijection of the state, so a change within one word always
//! changes the state; only the fold to 32 bits can hide it. It is no defence against forgery.

const PRIME: u64 = 0x0000_0100_0000_01b3;
const BASIS: u64 = 0xcbf2_9ce4_8422_2325;

/// The checksum of several pieces in a row. It depends on where one ends and the next begins.
pub(super) fn checksum(pieces: &[&[u8]]) -> [u8; 4] {
    let state = pieces.iter().fold(BASIS, |state, piece| add(state, piece));
    (finished(state) as u32).to_le_bytes()
}

fn add(state: u64, bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    let state = words.iter().fold(state, |state, word| step(state, u64::from_le_bytes(*word)));
    // The length tells zeros at the end from the padding.
    step(step(state, u64::from_le_bytes(last)), bytes.len() as u64)
}

/// A product carries changes upwards only; the rotation brings a change of high bits down again.
fn step(state: u64, word: u64) -> u64 {
    (state ^ word).wrapping_mul(PRIME).rotate_left(23)
}

fn finished(mut state: u64) -> u64 {
    state ^= state >> 33;
    state = state.wrapping_mul(0xff51_afd7_ed55_8ccd);
    state ^= state >> 33;
    state = state.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    state ^ (state >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bit_counts_and_so_do_length_and_order() {
        let bytes: Vec<u8> = (0..100).collect();
        let sum = checksum(&[&bytes]);
        for bit in 0..800 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(checksum(&[&flipped]), sum, "bit {bit}");
        }
        assert_ne!(checksum(&[&bytes[..99]]), sum);
        assert_ne!(checksum(&[&[&bytes[..], &[0]].concat()]), sum);
        let mut other = bytes.clone();
        other.swap(0, 8);
        assert_ne!(checksum(&[&other]), sum);
        assert_ne!(checksum(&[&bytes[..50], &bytes[50..]]), sum);
    }

    #[test]
    fn it_is_the_same_on_every_machine() {
        assert_eq!(u32::from_le_bytes(checksum(&[b"value"])), 925_232_257);
    }
}
