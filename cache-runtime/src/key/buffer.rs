//! A buffer for a call's arguments or the names of its key: on the stack while the bytes are few.

use std::ops::Deref;

/// Bytes on the stack: enough for the arguments of most calls, and for most names.
const INLINE: usize = 120;

/// Bytes that are appended to. Appending is a copy into a slice of an array, so that a scalar of fixed
/// width is one move; every hit in the near cache fills one (`benches/benches/near.rs`).
#[derive(Clone, Debug)]
pub(crate) struct Buffer {
    inline: [u8; INLINE],
    /// How many bytes of `inline` are used; `INLINE + 1` once all bytes are in `heap`.
    len: usize,
    heap: Vec<u8>,
}

impl Buffer {
    #[inline]
    pub(crate) const fn new() -> Self {
        Self { inline: [0; INLINE], len: 0, heap: Vec::new() }
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
        match self.inline.get_mut(self.len..end) {
            Some(room) => {
                room.copy_from_slice(bytes);
                self.len = end;
            }
            None => self.spill(bytes),
        }
    }

    /// Moves all bytes to the heap, the first time, and appends `bytes`.
    #[cold]
    fn spill(&mut self, bytes: &[u8]) {
        if self.len <= INLINE {
            self.heap.reserve((self.len + bytes.len()) * 2);
            self.heap.extend_from_slice(&self.inline[..self.len]);
            self.len = INLINE + 1;
        }
        self.heap.extend_from_slice(bytes);
    }

    pub(crate) fn truncate(&mut self, len: usize) {
        if self.len <= INLINE {
            self.len = self.len.min(len);
        } else {
            self.heap.truncate(len);
        }
    }
}

impl Deref for Buffer {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        self.inline.get(..self.len).unwrap_or(&self.heap)
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
