//! The bytes of a call's arguments, or of the names of its key, in place as long as they are few.

use std::ops::Deref;

/// Room for the arguments of most calls, and for most names.
const ROOM: usize = 120;

/// Bytes that are only ever appended to. Plain slices, so that what has a fixed width is a plain
/// move: a hit in the near cache costs little more than this.
#[derive(Clone, Debug)]
pub(crate) struct Buffer {
    here: [u8; ROOM],
    /// Of `here`; past its end where all of it has moved to `away`.
    len: usize,
    away: Vec<u8>,
}

impl Buffer {
    #[inline]
    pub(crate) const fn new() -> Self {
        Self { here: [0; ROOM], len: 0, away: Vec::new() }
    }

    #[inline]
    pub(crate) fn push(&mut self, byte: u8) {
        self.extend_from_slice(&[byte]);
    }

    #[inline]
    pub(crate) fn push_str(&mut self, text: &str) {
        self.extend_from_slice(text.as_bytes());
    }

    #[inline]
    pub(crate) fn extend_from_slice(&mut self, bytes: &[u8]) {
        let end = self.len.saturating_add(bytes.len());
        match self.here.get_mut(self.len..end) {
            Some(room) => {
                room.copy_from_slice(bytes);
                self.len = end;
            }
            None => self.spill(bytes),
        }
    }

    #[cold]
    fn spill(&mut self, bytes: &[u8]) {
        if self.len <= ROOM {
            self.away.reserve((self.len + bytes.len()) * 2);
            self.away.extend_from_slice(&self.here[..self.len]);
            self.len = ROOM + 1;
        }
        self.away.extend_from_slice(bytes);
    }

    pub(crate) fn truncate(&mut self, len: usize) {
        if self.len <= ROOM {
            self.len = self.len.min(len);
        } else {
            self.away.truncate(len);
        }
    }
}

impl Deref for Buffer {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        self.here.get(..self.len).unwrap_or(&self.away)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_stay_together_wherever_they_are() {
        for step in [1, 7, 50, 119, 120, 121, 300] {
            let (mut buffer, mut expected) = (Buffer::new(), Vec::new());
            for number in 0..5_u8 {
                let bytes = vec![number; step];
                buffer.extend_from_slice(&bytes);
                expected.extend_from_slice(&bytes);
                buffer.push(9);
                expected.push(9);
                assert_eq!(*buffer, *expected, "{step}");
            }
            for len in [expected.len() + 1, 130, 121, 120, 119, 1, 0] {
                buffer.truncate(len);
                expected.truncate(len);
                assert_eq!(*buffer, *expected, "{step}, {len}");
            }
            buffer.push(1);
            assert_eq!(*buffer, [1]);
        }
    }
}
