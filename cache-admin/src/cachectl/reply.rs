//! Replies of Redis as plain values.

use std::collections::BTreeMap;

use cache_runtime::__admin::Reply;

/// A string of any kind as text.
pub(super) fn text(reply: &Reply) -> Option<String> {
    match reply {
        Reply::BulkString(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
        Reply::SimpleString(text) | Reply::VerbatimString { text, .. } => Some(text.clone()),
        Reply::Okay => Some("OK".to_owned()),
        Reply::Int(number) => Some(number.to_string()),
        Reply::Double(number) => Some(number.to_string()),
        Reply::Boolean(truth) => Some(truth.to_string()),
        _ => None,
    }
}

pub(super) fn bytes(reply: Reply) -> Option<Vec<u8>> {
    match reply {
        Reply::BulkString(bytes) => Some(bytes),
        Reply::SimpleString(text) => Some(text.into_bytes()),
        _ => None,
    }
}

pub(super) fn integer(reply: &Reply) -> Option<i64> {
    match reply {
        Reply::Int(number) => Some(*number),
        other => text(other)?.parse().ok(),
    }
}

pub(super) fn list(reply: &Reply) -> &[Reply] {
    match reply {
        Reply::Array(items) | Reply::Set(items) => items,
        _ => &[],
    }
}

/// The fields of a map, or of a list that stands for one with RESP2, by their names. Values that are no text are
/// left out.
pub(super) fn fields(reply: &Reply) -> BTreeMap<String, String> {
    let pair = |name: &Reply, value: &Reply| Some((text(name)?, text(value)?));
    match reply {
        Reply::Map(pairs) => pairs.iter().filter_map(|(name, value)| pair(name, value)).collect(),
        other => list(other).chunks_exact(2).filter_map(|two| pair(&two[0], &two[1])).collect(),
    }
}

/// The lines `name:value` of a reply such as that to `INFO`.
pub(super) fn lines(text: &str) -> BTreeMap<String, String> {
    let pairs = text.lines().filter_map(|line| line.trim().split_once(':'));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}
