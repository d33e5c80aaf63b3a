//! Entries as they stand in Redis: names by `SCAN`, headers, and the tokens that they depend on.

use std::borrow::Borrow;
use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use cache_runtime::__admin::{Head, ProbeError, Reply, token_of};
use indicatif::ProgressBar;

use super::failure::Failure;
use super::redis::{Connection, command};
use super::reply;

/// The last byte of the longest header, one with 255 tokens.
const HEADER_END: usize = 80 + 255 * 16 - 1;

/// Names that one page of a scan asks for.
const PAGE: &str = "512";

/// An entry without its value.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) key: String,
    /// `None` where the key has no expiry.
    pub(super) ttl_left: Option<Duration>,
    /// In bytes; `None` where the login may not ask.
    pub(super) size: Option<u64>,
    /// `None` where the bytes are no entry.
    pub(super) head: Option<Head>,
}

impl Row {
    pub(super) fn age(&self) -> Option<Duration> {
        Some(self.head.as_ref()?.life().saturating_sub(self.ttl_left?))
    }

    pub(super) fn is_stale(&self) -> bool {
        let window = self.head.as_ref().map(Head::window).unwrap_or_default();
        !window.is_zero() && self.ttl_left.is_some_and(|left| left < window)
    }
}

/// The names that match in the first pages of a scan of one server.
///
/// # Errors
///
/// Where the server refuses `SCAN`, or does not answer.
pub(super) async fn some_names(
    server: &Connection,
    pattern: &str,
    pages: usize,
) -> Result<Vec<String>, ProbeError> {
    let (mut cursor, mut names) = ("0".to_owned(), Vec::new());
    for _ in 0..pages {
        let page = server.send(&["SCAN", &cursor, "MATCH", pattern, "COUNT", PAGE]).await?;
        let [next, found] = reply::list(&page) else { break };
        names.extend(reply::list(found).iter().filter_map(reply::text));
        cursor = reply::text(next).unwrap_or_default();
        if cursor == "0" {
            break;
        }
    }
    Ok(names)
}

/// Walks over the names that match on every server, page by page, until `page` says that it has enough.
///
/// # Errors
///
/// Where a server refuses `SCAN`, or does not answer.
pub(super) async fn scan(
    servers: &[Connection],
    pattern: &str,
    bar: &ProgressBar,
    mut page: impl AsyncFnMut(&Connection, Vec<Vec<u8>>) -> Result<bool, Failure>,
) -> Result<(), Failure> {
    bar.set_length(size(servers).await);
    for server in servers {
        let mut cursor = "0".to_owned();
        loop {
            let words = ["SCAN", &cursor, "MATCH", pattern, "COUNT", PAGE];
            let reply = server.send(&words).await.map_err(|error| refused("SCAN", &error))?;
            let [next, names] = reply::list(&reply) else {
                return Err(Failure::failed("SCAN: not the answer of a Redis"));
            };
            let names = reply::list(names).iter().cloned().filter_map(reply::bytes).collect();
            bar.inc(512);
            cursor = reply::text(next).unwrap_or_default();
            if !page(server, names).await? {
                return Ok(());
            }
            if cursor == "0" {
                break;
            }
        }
    }
    Ok(())
}

/// The number of keys on all servers; 0 where they do not say it.
pub(super) async fn size(servers: &[Connection]) -> u64 {
    let mut sum = 0;
    for server in servers {
        let size = server.send(&["DBSIZE"]).await.ok().and_then(|size| reply::integer(&size));
        sum += size.and_then(|size| u64::try_from(size).ok()).unwrap_or(0);
    }
    sum
}

/// Reads the headers of entries. Keys that have gone meanwhile are left out.
///
/// # Errors
///
/// Where the server does not answer.
pub(super) async fn rows(server: &Connection, keys: Vec<Vec<u8>>) -> Result<Vec<Row>, Failure> {
    let keys: Vec<String> =
        keys.into_iter().filter_map(|key| String::from_utf8(key).ok()).collect();
    let commands = keys.iter().flat_map(|key| {
        [
            command(&["GETRANGE", key, "0", &HEADER_END.to_string()]),
            command(&["PTTL", key]),
            command(&["STRLEN", key]),
        ]
    });
    let commands: Vec<_> = commands.collect();
    let replies = server.send_all(&commands).await.map_err(|error| refused("GETRANGE", &error))?;
    let mut replies = replies.into_iter();
    let mut rows = Vec::new();
    for key in keys {
        let (Some(head), Some(left), Some(size)) = (replies.next(), replies.next(), replies.next())
        else {
            break;
        };
        let size = size.ok().and_then(|size| u64::try_from(reply::integer(&size)?).ok());
        let left = left.ok().and_then(|left| reply::integer(&left)).unwrap_or(-2);
        let head = match head {
            Ok(head) => reply::bytes(head).unwrap_or_default(),
            // A key of another type.
            Err(error) if error.code.as_deref() == Some("WRONGTYPE") => Vec::new(),
            Err(error) => return Err(refused("GETRANGE", &error)),
        };
        if left == -2 {
            continue;
        }
        let ttl_left = u64::try_from(left).ok().map(Duration::from_millis);
        // `STRLEN` is no command of the cache, and an application's login may lack it.
        let size = size.or_else(|| (head.len() <= HEADER_END).then_some(head.len() as u64));
        rows.push(Row { key, ttl_left, size, head: Head::parse(head) });
    }
    Ok(rows)
}

pub(super) fn refused(what: &str, error: &ProbeError) -> Failure {
    Failure::failed(format!("{what}: {}", error.text))
}

/// The current tokens of prefixes.
#[derive(Debug, Default)]
pub(super) struct Tokens(HashMap<String, Option<[u8; 16]>>);

impl Tokens {
    /// Reads the tokens that the keys may depend on, unless they were read before.
    pub(super) async fn read(
        &mut self,
        servers: &[impl Borrow<Connection>],
        namespace: &str,
        keys: impl Iterator<Item = &str>,
    ) {
        let wanted: BTreeSet<String> = keys.flat_map(|key| prefix_tokens(namespace, key)).collect();
        let wanted: Vec<_> = wanted.into_iter().filter(|name| !self.0.contains_key(name)).collect();
        let commands: Vec<_> = wanted.iter().map(|name| command(&["GET", name])).collect();
        for name in &wanted {
            self.0.insert(name.clone(), None);
        }
        for server in servers.iter().filter(|_| !commands.is_empty()) {
            // Of a cluster's nodes, those that do not have a token say so, which is no error.
            let Ok(replies) = server.borrow().send_all(&commands).await else { continue };
            for (name, reply) in wanted.iter().zip(replies) {
                if let Ok(Reply::BulkString(token)) = reply {
                    self.0.insert(name.clone(), Some(token_of(&token)));
                }
            }
        }
    }

    /// Whether the entry is live; `None` where that depends on tags, whose names an entry does not have.
    pub(super) fn is_live(&self, namespace: &str, key: &str, head: &Head) -> Option<bool> {
        let tokens = head.tokens();
        let Some((prefix, tags)) = tokens.split_first() else { return Some(true) };
        let mut current = prefix_tokens(namespace, key).into_iter();
        let is_current = current.any(|name| self.0.get(&name) == Some(&Some(*prefix)));
        if !is_current {
            return Some(false);
        }
        tags.is_empty().then_some(true)
    }
}

/// The names of the tokens of every prefix that a key may have: a prefix may contain colons too.
fn prefix_tokens(namespace: &str, key: &str) -> Vec<String> {
    let rest =
        key.strip_prefix(namespace).and_then(|rest| rest.strip_prefix(':')).unwrap_or_default();
    let ends = rest.match_indices(':').map(|(at, _)| at);
    ends.take(8).map(|end| format!("{namespace}:~{}", &rest[..end])).collect()
}

/// Whether a key of the namespace is one of an entry, and not a token, or one of the fleet.
pub(super) fn is_entry(namespace: &str, key: &str) -> bool {
    let rest = key.strip_prefix(namespace).and_then(|rest| rest.strip_prefix(':'));
    rest.is_some_and(|rest| !rest.starts_with(['~', '#', '@']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_may_belong_to_each_prefix_that_ends_at_a_colon() {
        assert_eq!(prefix_tokens("shop", "shop:a:b:c"), ["shop:~a", "shop:~a:b"]);
        assert_eq!(prefix_tokens("shop", "other:a:b"), [""; 0]);
    }

    #[test]
    fn tokens_and_keys_of_the_fleet_are_no_entries() {
        assert!(is_entry("n", "n:areas:x"));
        for other in ["n:~areas", "n:#tag", "n:@{fleet}:00", "m:areas:x", "n"] {
            assert!(!is_entry("n", other), "{other}");
        }
    }
}
