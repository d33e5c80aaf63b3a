//! Arguments in keys and tags: different ones have different names, and none leaves its part.
//!
//! Two lists of parts, 0xfe between them, 0xff between two parts; 0xfd begins one that is `None`.
#![no_main]

use cache_runtime::fuzzing::{entry_key, prefix_key, tag_key};
use libfuzzer_sys::fuzz_target;

const LONGEST: usize = 200;

fuzz_target!(|data: &[u8]| {
    let mut lists = data.splitn(2, |&byte| byte == 0xfe).map(parts);
    let (Some(Some(one)), two) = (lists.next(), lists.next()) else { return };
    stays_in_place(&one);
    one.iter().flatten().for_each(|part| tag_stays_in_place(part));
    if let Some(Some(two)) = two {
        are_apart(&one, &two);
    }
});

fn parts(list: &[u8]) -> Option<Vec<Option<&str>>> {
    list.split(|&byte| byte == 0xff).map(part).collect()
}

fn part(part: &[u8]) -> Option<Option<&str>> {
    match part {
        [0xfd, ..] => Some(None),
        text => std::str::from_utf8(text).ok().map(Some),
    }
}

fn stays_in_place(list: &[Option<&str>]) {
    let key = entry_key("cache", "fuzz", list, true);
    let text = key.strip_prefix(b"cache:fuzz:").expect("it begins with its prefix");
    let text = text.strip_suffix(b"@fuzz").expect("it ends with its function");
    assert!(text.len() <= LONGEST);
    let pieces: Vec<_> = text.split(|&byte| byte == b':').collect();
    let digested = pieces.len() == 1 && text.len() == 43;
    assert!(digested || pieces.len() == list.len(), "a part has ended another");
    assert!(pieces.iter().all(|piece| piece.iter().all(|&byte| is_plain(byte))));
    let hashed = entry_key("cache", "fuzz", list, false);
    assert_eq!(hashed.len(), "cache:fuzz:".len() + 43);
}

fn tag_stays_in_place(part: &str) {
    let key = tag_key("cache", part);
    let text = key.strip_prefix(b"cache:#").expect("it begins as tokens of tags do");
    assert!(text.len() <= LONGEST);
    assert!(text.iter().all(|byte| byte.is_ascii_graphic() && !b"{}*?[]\\\"'".contains(byte)));
    assert_ne!(key, prefix_key("cache", part));
}

fn are_apart(one: &[Option<&str>], two: &[Option<&str>]) {
    for readable in [true, false] {
        let (left, right) =
            (entry_key("cache", "fuzz", one, readable), entry_key("cache", "fuzz", two, readable));
        assert_eq!(left == right, one == two);
    }
    if let (Some(one), Some(two)) = (one[0], two[0]) {
        assert_eq!(tag_key("cache", one) == tag_key("cache", two), one == two);
    }
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.%~".contains(&byte)
}
