//! Entry points for the targets of `fuzz/`. Compiled under a fuzzer only.

use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::entry::{Draft, Entry, EntryId, EntryKind, Owner, Token};
use crate::fetch::decode;
use crate::key::{self, Buffer, CallId};
use crate::returns::{Returns, levels::*};

/// The largest value in bytes, small enough for a fuzzer to exceed by compression.
pub const LIMIT: usize = 1 << 16;

const OWNER: Owner = Owner { function: 1, arguments: 2, version: 3 };

/// Decodes the value of an entry as a hit does.
pub fn value<V: Serialize + DeserializeOwned>(bytes: &[u8]) -> Option<V> {
    let entry = Entry::parse(Bytes::copy_from_slice(bytes)).ok()?;
    decode(&Returns::<V>::new().shape().value().share().error(), LIMIT, &entry).ok()
}

/// Encodes an entry around an encoded value.
pub fn entry(body: &[u8], tokens: &[[u8; 16]], compress_above: usize) -> Vec<u8> {
    let tokens: Vec<Token> = tokens.iter().copied().map(Token).collect();
    let draft = Draft {
        kind: EntryKind::Value,
        id: EntryId([7; 16]),
        owner: OWNER,
        cost: Duration::from_micros(40),
        life: Duration::from_secs(5),
        window: Duration::from_secs(2),
        tokens: &tokens,
        body,
        compress_above,
    };
    draft.encode().into()
}

/// The encoded value in an entry.
pub fn body(bytes: &[u8]) -> Option<Vec<u8>> {
    let entry = Entry::parse(Bytes::copy_from_slice(bytes)).ok()?;
    entry.body(LIMIT).map(Into::into)
}

/// Reads an entry with every method that calls use.
///
/// # Panics
///
/// Where two methods disagree.
pub fn look_at(bytes: &[u8]) {
    let Ok(entry) = Entry::parse(Bytes::copy_from_slice(bytes)) else { return };
    assert!(bytes.starts_with(&entry.seen().0));
    assert_eq!(entry.size(), bytes.len());
    let tokens: Vec<_> = entry.tokens().map(Some).collect();
    assert!(entry.depends_on(&tokens));
    assert!(!entry.depends_on(&[&tokens[..], &[None]].concat()));
    assert!(entry.body(LIMIT).is_none_or(|body| body.len() <= LIMIT));
    let _ = entry.unpacked();
    let claimed = Entry::parse(entry.claimed(EntryId([9; 16]), Some(entry.life)));
    let claimed = claimed.expect("a header that was one stays one");
    assert_eq!((claimed.kind, claimed.owner), (entry.kind, entry.owner));
    assert!(claimed.tokens().eq(entry.tokens()));
}

/// The key of a call whose template has these parts with colons between them (`readable`), or whose key is
/// hashed.
pub fn entry_key(namespace: &str, prefix: &str, parts: &[Option<&str>], readable: bool) -> Vec<u8> {
    let (mut text, mut arguments) = (String::new(), Buffer::new());
    for (at, part) in parts.iter().enumerate() {
        text.push_str(if at == 0 { "" } else { ":" });
        key::render(part, &mut text).expect("a text has a form");
        key::encode(part, &mut arguments).expect("a text has bytes");
    }
    let mut key = Buffer::new();
    let text = readable.then_some(text.as_str());
    key::redis_key([namespace, prefix, "fuzz"], text, CallId::of(&arguments), &mut key);
    key.to_vec()
}

/// The key of the token of a tag that consists of one argument.
pub fn tag_key(namespace: &str, part: &str) -> Vec<u8> {
    let (mut tag, mut key) = (String::new(), Buffer::new());
    key::spell(part, &mut tag).expect("a text has a form");
    key::tag_token(namespace, &tag, &mut key);
    key.to_vec()
}

/// The key of the token of a prefix.
pub fn prefix_key(namespace: &str, prefix: &str) -> Vec<u8> {
    let mut key = Buffer::new();
    key::prefix_token(namespace, prefix, &mut key);
    key.to_vec()
}
