//! By what a state is remembered.

use std::hash::{Hash, Hasher};

use crate::case::Case;
use crate::inbox::Message;
use crate::state::{Phase, State};

/// The same for states that differ only in which of the interchangeable calls of a process is
/// which: nothing that can happen depends on a call's number.
pub(crate) fn fingerprint(case: &Case, state: &State) -> u128 {
    let mut sorted = state.clone();
    if !case.every_order {
        sort_calls(case, &mut sorted);
    }
    let (mut low, mut high) = (Mixer(0x9e37_79b9_7f4a_7c15), Mixer(0xc2b2_ae3d_27d4_eb4f));
    sorted.hash(&mut Both(&mut low, &mut high));
    u128::from(high.end()) << 64 | u128::from(low.end())
}

fn sort_calls(case: &Case, state: &mut State) {
    let count = case.calls.len();
    // `place[call]` is where a call goes. Exchanges only neighbours, of which there are few.
    let mut order: [usize; crate::case::CALLS] = std::array::from_fn(|call| call);
    let mut changed = false;
    for _ in 1..count {
        for place in 1..count {
            let (left, right) = (order[place - 1], order[place]);
            let same = case.calls[place - 1] == case.calls[place];
            if same && state.calls[left] > state.calls[right] {
                order.swap(place - 1, place);
                changed = true;
            }
        }
    }
    if !changed {
        return;
    }
    let mut place = [0u8; crate::case::CALLS];
    for (to, &from) in order.iter().enumerate() {
        place[from] = to as u8;
    }
    state.calls = order.map(|call| state.calls[call]);
    for call in &mut state.calls {
        if let Phase::Joined(leader) = &mut call.phase {
            *leader = place[usize::from(*leader)];
        }
    }
    for process in &mut state.processes {
        for message in process.inbox.as_mut_slice() {
            if let Message::Reply { call, .. } = message {
                *call = place[usize::from(*call)];
            }
        }
    }
}

/// Two hashes at once.
struct Both<'a>(&'a mut Mixer, &'a mut Mixer);

impl Hasher for Both<'_> {
    fn finish(&self) -> u64 {
        self.0.end()
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(u64::from(byte));
        }
    }

    fn write_u8(&mut self, byte: u8) {
        self.write_u64(u64::from(byte));
    }

    fn write_usize(&mut self, word: usize) {
        self.write_u64(word as u64);
    }

    fn write_isize(&mut self, word: isize) {
        self.write_u64(word as u64);
    }

    fn write_u64(&mut self, word: u64) {
        self.0.mix(word, 0xa076_1d64_78bd_642f);
        self.1.mix(word, 0xe703_7ed1_a0b4_28db);
    }
}

/// Multiplies and folds, as wyhash does.
struct Mixer(u64);

impl Mixer {
    fn mix(&mut self, word: u64, factor: u64) {
        let product = u128::from(self.0.rotate_left(23) ^ word) * u128::from(factor);
        self.0 = (product as u64) ^ (product >> 64) as u64 ^ self.0.rotate_left(41);
    }

    fn end(&self) -> u64 {
        let product = u128::from(self.0) * 0x8ebc_6af0_9c88_c6e3;
        (product as u64) ^ (product >> 64) as u64
    }
}
