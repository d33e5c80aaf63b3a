//! Canonical, injective bytes of a call's arguments, and the Redis key made of them.

mod buffer;
mod canonical;
mod name;
mod text;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

pub(crate) use buffer::Buffer;
pub(crate) use canonical::encode;
pub(crate) use name::Key;
pub(crate) use text::{render, spell};

/// The longest readable text that stands in a key as it is, in bytes.
const MAX_TEXT: usize = 200;

/// The name of one call of one function: what flights are found by, and the hashed part of keys.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct CallId(pub(crate) [u8; 32]);

impl CallId {
    /// Of a function's fingerprint and the arguments.
    pub(crate) fn of(parts: &[u8]) -> Self {
        Self(Sha256::digest(parts).into())
    }

    /// Guards entries whose key is a readable text against calls that read alike.
    pub(crate) fn arguments(&self) -> u64 {
        head(&self.0)
    }
}

/// The fingerprint of a function's name and of what its key is made of.
pub(crate) fn fingerprint(name: &str, recipe: &[&str]) -> u64 {
    let mut digest = Sha256::new();
    for part in [name].iter().chain(recipe) {
        // None of them runs into the next.
        digest.update((part.len() as u64).to_le_bytes());
        digest.update(part.as_bytes());
    }
    head(&digest.finalize())
}

/// What tells a function from others in a readable key: eight characters of its name's digest.
pub(crate) fn short(name: &str) -> String {
    URL_SAFE_NO_PAD.encode(&Sha256::digest(name.as_bytes())[..6])
}

/// Appends `{namespace}:{prefix}:{digest}`, or `{namespace}:{prefix}:{text}@{function}` where the key
/// is readable. The function comes last, so that what begins alike is found together; no argument
/// has an `@`.
pub(crate) fn redis_key(
    [namespace, prefix, function]: [&str; 3],
    text: Option<&str>,
    call: CallId,
    out: &mut Buffer,
) {
    push(out, [namespace, ":", prefix, ":"]);
    match text {
        Some(text) if text.len() <= MAX_TEXT => out.push_str(text),
        Some(text) => push_digest(out, Sha256::digest(text.as_bytes()).into()),
        None => return push_digest(out, call.0),
    }
    push(out, ["@", function]);
}

fn push<const N: usize>(out: &mut Buffer, parts: [&str; N]) {
    for part in parts {
        out.push_str(part);
    }
}

fn push_digest(out: &mut Buffer, digest: [u8; 32]) {
    let mut text = [0; 43];
    let length = URL_SAFE_NO_PAD.encode_slice(digest, &mut text);
    debug_assert_eq!(length, Ok(text.len()), "a digest fills it");
    out.extend_from_slice(&text);
}

/// Appends where the token of a prefix lies.
pub(crate) fn prefix_token(namespace: &str, prefix: &str, out: &mut Buffer) {
    push(out, [namespace, ":~", prefix]);
}

/// Appends where the token of a tag lies. Arguments in a tag stand as they read, so it is here that
/// none of them gets a brace, which would choose a slot of a cluster, or a line break into a key.
pub(crate) fn tag_token(namespace: &str, tag: &str, out: &mut Buffer) {
    push(out, [namespace, ":#"]);
    let start = out.len();
    for piece in text::escaped_tag(tag) {
        out.push_str(piece);
        if out.len() - start > MAX_TEXT {
            out.truncate(start);
            // No short tag reads like it: its `#` is escaped.
            out.push_str("#");
            return push_digest(out, Sha256::digest(tag.as_bytes()).into());
        }
    }
}

/// A short digest for a part that has no readable form.
fn short_digest(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(&Sha256::digest(bytes)[..12])
}

fn head(digest: &[u8]) -> u64 {
    let mut head = [0; 8];
    head.copy_from_slice(&digest[..8]);
    u64::from_le_bytes(head)
}
