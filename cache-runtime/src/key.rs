//! Keys: the canonical bytes of a call's arguments, and the names in Redis that are made of them.

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

/// The longest readable text, in bytes, that stands in a key as it is; a longer one is replaced by its
/// digest.
const MAX_TEXT: usize = 200;

/// The SHA-256 of one call of one function. It names the call's flight, and is the hashed part of its key.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct CallId(pub(crate) [u8; 32]);

impl CallId {
    /// `parts` are a function's fingerprint and the canonical bytes of the arguments.
    pub(crate) fn of(parts: &[u8]) -> Self {
        Self(Sha256::digest(parts).into())
    }

    /// The fingerprint of the arguments in an entry's header: calls whose readable keys are equal share a
    /// key and never a value.
    pub(crate) fn arguments(&self) -> u64 {
        first_word(&self.0)
    }
}

/// The fingerprint of a function: of its global name and of the recipe of its key.
pub(crate) fn fingerprint(name: &str, recipe: &[&str]) -> u64 {
    let mut digest = Sha256::new();
    for part in [name].iter().chain(recipe) {
        // The length in front keeps `["ab", "c"]` apart from `["a", "bc"]`.
        digest.update((part.len() as u64).to_le_bytes());
        digest.update(part.as_bytes());
    }
    first_word(&digest.finalize())
}

/// Eight characters (48 bits) of the digest of a function's global name, for readable keys.
pub(crate) fn short_digest_of_name(name: &str) -> String {
    URL_SAFE_NO_PAD.encode(&Sha256::digest(name.as_bytes())[..6])
}

/// Appends `{namespace}:{prefix}:{digest}`, or `{namespace}:{prefix}:{text}@{function}` where the key
/// is readable. The function comes last, so that a `SCAN` by the beginning of a key finds what it reads
/// like. The text has no `@` of its own: arguments are percent-encoded.
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
    debug_assert_eq!(length, Ok(text.len()), "32 bytes are 43 characters of base64");
    out.extend_from_slice(&text);
}

/// Appends the name of a prefix's token.
pub(crate) fn prefix_token(namespace: &str, prefix: &str, out: &mut Buffer) {
    push(out, [namespace, ":~", prefix]);
}

/// Appends the name of a tag's token. The arguments in a tag are not escaped before, so this is where
/// braces, which would choose a slot of a cluster, and line breaks are kept out of the name.
pub(crate) fn tag_token(namespace: &str, tag: &str, out: &mut Buffer) {
    push(out, [namespace, ":#"]);
    let start = out.len();
    for piece in text::escaped_tag(tag) {
        out.push_str(piece);
        if out.len() - start > MAX_TEXT {
            out.truncate(start);
            // No short tag has this name: a `#` in a tag is escaped.
            out.push_str("#");
            return push_digest(out, Sha256::digest(tag.as_bytes()).into());
        }
    }
}

/// Sixteen characters of a digest, for a part of a readable key that has no readable form.
fn short_digest(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(&Sha256::digest(bytes)[..12])
}

/// The first eight bytes of a digest, as a number.
fn first_word(digest: &[u8]) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&digest[..8]);
    u64::from_le_bytes(word)
}
