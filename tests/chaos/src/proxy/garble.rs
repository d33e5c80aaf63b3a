//! Replies that are broken on their way.

use support::Dice;

use super::frames::strings;

/// What becomes of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Garble {
    /// Random bytes come before it.
    Noise,
    /// It says that it is of another type.
    WrongType,
    /// It announces more or less than there is.
    WrongLength,
    /// One of the three above.
    Protocol,
    /// Its end is missing, and what comes next comes at once.
    Truncate,
    /// It comes twice, so that all that come after it answer the wrong question.
    Duplicate,
    /// A byte of a string in it is another, which no client can notice by the protocol.
    Payload,
}

/// The bytes that go out in place of a whole reply.
pub(super) fn garble(frame: Vec<u8>, how: Garble, dice: &mut Dice) -> Vec<u8> {
    match how {
        Garble::Noise => noise(frame, dice),
        Garble::WrongType => wrong_type(frame, dice),
        Garble::WrongLength => wrong_length(&frame, dice),
        Garble::Protocol => {
            let ways = [Garble::Noise, Garble::WrongType, Garble::WrongLength];
            garble(frame, ways[dice.below(3) as usize], dice)
        }
        Garble::Truncate => frame[..part(&frame, dice)].to_vec(),
        Garble::Duplicate => frame.repeat(2),
        Garble::Payload => other_payload(frame, dice),
    }
}

/// How much goes out of a reply that is cut: something, and not all.
pub(super) fn part(frame: &[u8], dice: &mut Dice) -> usize {
    dice.within(1..frame.len() as u64) as usize
}

fn noise(frame: Vec<u8>, dice: &mut Dice) -> Vec<u8> {
    let length = dice.within(1..32);
    (0..length).map(|_| dice.below(256) as u8).chain(frame).collect()
}

fn wrong_type(mut frame: Vec<u8>, dice: &mut Dice) -> Vec<u8> {
    let others: Vec<u8> = b"+-:$*%~>_#,(=!x\0".iter().copied().filter(|b| *b != frame[0]).collect();
    frame[0] = others[dice.below(others.len() as u64) as usize];
    frame
}

/// Another number in place of the first one; one is put where there is none.
fn wrong_length(frame: &[u8], dice: &mut Dice) -> Vec<u8> {
    let digits = frame[1..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let numbers = ["0", "1", "7", "100000", "-2", "99999999999999999999"];
    let number = numbers[dice.below(numbers.len() as u64) as usize];
    [&frame[..1], number.as_bytes(), &frame[1 + digits..]].concat()
}

fn other_payload(mut frame: Vec<u8>, dice: &mut Dice) -> Vec<u8> {
    let strings: Vec<_> = strings(&frame).into_iter().filter(|string| !string.is_empty()).collect();
    if let Some(longest) = strings.into_iter().max_by_key(std::ops::Range::len) {
        let at = dice.within(longest.start as u64..longest.end as u64) as usize;
        frame[at] ^= 1 << dice.below(8);
    }
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_but_none_changes_a_reply() {
        let reply = b"*2\r\n$5\r\nhello\r\n:1\r\n".to_vec();
        let mut dice = Dice::new(1);
        for _ in 0..200 {
            for how in [
                Garble::Noise,
                Garble::WrongType,
                Garble::WrongLength,
                Garble::Truncate,
                Garble::Duplicate,
                Garble::Payload,
            ] {
                let broken = garble(reply.clone(), how, &mut dice);
                assert_ne!(broken, reply, "{how:?}");
            }
        }
    }

    #[test]
    fn another_payload_is_as_long_and_leaves_the_protocol_alone() {
        let reply = b"*2\r\n$5\r\nhello\r\n$1\r\nx\r\n".to_vec();
        let mut dice = Dice::new(2);
        for _ in 0..100 {
            let broken = garble(reply.clone(), Garble::Payload, &mut dice);
            assert_eq!(broken.len(), reply.len());
            assert_eq!(broken[..8], reply[..8]);
            assert_eq!(broken[13..], reply[13..]);
        }
    }
}
