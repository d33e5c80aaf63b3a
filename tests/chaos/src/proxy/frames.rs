//! Where replies of Redis end (RESP2 and RESP3).

use std::ops::Range;

/// Bytes of replies that have come in and were not taken yet.
#[derive(Debug, Default)]
pub(super) struct Frames(Vec<u8>);

impl Frames {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// The next reply that is complete.
    pub(super) fn next(&mut self) -> Option<Vec<u8>> {
        let end = walk(&self.0, |_| ())?;
        let rest = self.0.split_off(end);
        Some(std::mem::replace(&mut self.0, rest))
    }
}

/// Where the bytes of strings lie in a reply.
pub(super) fn strings(frame: &[u8]) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    walk(frame, |string| found.push(string));
    found
}

/// Where the first reply ends; `None` where the rest has not come yet. Shows the strings in it.
fn walk(bytes: &[u8], mut string: impl FnMut(Range<usize>)) -> Option<usize> {
    let (mut at, mut values) = (0, 1_usize);
    while values > 0 {
        let line = end_of_line(bytes, at)?;
        let length = length(&bytes[at + 1..line - 2]);
        values -= 1;
        match bytes[at] {
            b'$' | b'=' | b'!' => {
                at = line;
                if let Some(length) = length {
                    at = line + length + 2;
                    if at > bytes.len() {
                        return None;
                    }
                    string(line..line + length);
                }
                continue;
            }
            b'*' | b'~' | b'>' => values += length.unwrap_or(0),
            b'%' => values += 2 * length.unwrap_or(0),
            // What it describes comes after it.
            b'|' => values += 2 * length.unwrap_or(0) + 1,
            _ => {}
        }
        at = line;
    }
    Some(at)
}

/// Where the line that begins at `at` ends, its line break included.
fn end_of_line(bytes: &[u8], at: usize) -> Option<usize> {
    let rest = bytes.get(at..)?;
    rest.windows(2).position(|pair| pair == b"\r\n").map(|end| at + end + 2)
}

/// Nothing where it is negative: such a value is absent.
fn length(digits: &[u8]) -> Option<usize> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPLIES: [&str; 7] = [
        "+OK\r\n",
        ":1\r\n",
        "$-1\r\n",
        "$5\r\na\r\nbc\r\n",
        "*3\r\n$1\r\nx\r\n*-1\r\n*2\r\n:1\r\n$0\r\n\r\n",
        "%1\r\n$6\r\nserver\r\n$5\r\nredis\r\n",
        ">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n",
    ];

    #[test]
    fn replies_are_told_apart_however_they_arrive() {
        let stream = REPLIES.concat();
        for size in 1..stream.len() {
            let (mut frames, mut found) = (Frames::default(), Vec::new());
            for chunk in stream.as_bytes().chunks(size) {
                frames.push(chunk);
                found.extend(std::iter::from_fn(|| frames.next()));
            }
            assert!(found.iter().eq(REPLIES.map(str::as_bytes).iter()), "in chunks of {size}");
        }
    }

    #[test]
    fn strings_are_found_wherever_they_lie() {
        let frame = REPLIES[4].as_bytes();
        let found: Vec<_> = strings(frame).into_iter().map(|at| &frame[at]).collect();
        assert_eq!(found, [&b"x"[..], b""]);
    }
}
