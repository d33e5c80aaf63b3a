//! What `cache-admin` needs beyond the public interface. Not part of that interface: `cache-admin` depends on
//! exactly one version of this crate.

use std::time::Duration;

use bytes::Bytes;
use serde::de::DeserializeOwned;

use crate::cache::Cache;
use crate::entry::{Entry, EntryKind};
use crate::error::{Error, Result};
use crate::key::Key;
use crate::returns::decode_any;
use crate::site::known;
use crate::stats::known_prefix_of;
use crate::store::{Read, Store};
use crate::verb::StoredKind;

/// An entry, found by its key in the store.
#[derive(Debug, Clone)]
pub struct Inspected {
    /// `None` where the bytes are not an entry of this cache.
    pub kind: Option<StoredKind>,
    /// Whether its tokens are current; `None` where the tokens of its tags are not known.
    pub live: Option<bool>,
    /// The function that wrote it: its path where this process has it, and its fingerprint elsewhere.
    pub function: Option<String>,
    pub age: Option<Duration>,
    pub ttl_left: Option<Duration>,
    /// How long the function took.
    pub cost: Duration,
    /// Bytes in the store.
    pub size: usize,
    pub version: u32,
    /// Past its ttl, within its stale window.
    pub stale: bool,
    entry: Option<Entry>,
    limit: usize,
}

impl Inspected {
    /// The value as any self-describing type; the error says why there is none.
    pub fn value<V: DeserializeOwned>(&self) -> std::result::Result<V, String> {
        let entry = self.entry.as_ref().filter(|entry| entry.kind == EntryKind::Value);
        let body = entry.ok_or("the entry has no value")?.body(self.limit);
        decode_any(&body.ok_or("its bytes are damaged, or over CACHE_MAX_VALUE")?)
    }
}

/// Reads the entry under `key`, a key in the store; `None` where there is none.
///
/// # Errors
///
/// [`Error::is_value`] where the key is not one of the cache's namespace; otherwise as
/// [`invalidate`](crate::invalidate).
pub async fn inspect(cache: &Cache, key: &str) -> Result<Option<Inspected>> {
    let namespaced = owned(cache, key)?;
    let prefix = known_prefix_of(namespaced);
    let token = prefix.as_deref().map(|prefix| cache.prefix_token(prefix));
    let found = {
        let store = &cache.inner().store;
        let key = Key::stored(key, token.as_deref());
        store.read(&key, Read::Timed, store.patience().min(Duration::from_secs(5))).await?
    };
    let Some(bytes) = found.bytes else { return Ok(None) };
    let (size, limit, ttl_left) = (bytes.len(), cache.inner().config.max_value, found.ttl_left);
    let nothing = Inspected {
        kind: None,
        live: None,
        function: None,
        age: None,
        ttl_left,
        cost: Duration::ZERO,
        size,
        version: 0,
        stale: false,
        entry: None,
        limit,
    };
    let Ok(entry) = Entry::parse(bytes) else { return Ok(Some(nothing)) };
    let all_known = entry.tokens().count() == found.tokens.len();
    let function = entry.owner.function;
    Ok(Some(Inspected {
        kind: Some(StoredKind::from(entry.kind)),
        live: all_known.then(|| entry.depends_on(&found.tokens)),
        function: Some(known(function).unwrap_or_else(|| format!("{function:016x}"))),
        age: ttl_left.map(|left| entry.life.saturating_sub(left)),
        cost: entry.cost,
        version: entry.owner.version,
        stale: !entry.window.is_zero() && ttl_left.is_some_and(|left| left < entry.window),
        entry: Some(entry),
        ..nothing
    }))
}

/// Removes the entry, or the token, under `key`, a key in the store.
///
/// # Errors
///
/// As [`inspect`].
pub async fn invalidate_key(cache: &Cache, key: &str) -> Result<()> {
    let prefix = known_prefix_of(owned(cache, key)?);
    let group = prefix.as_deref().and_then(crate::stats::group_of);
    cache.invalidate(vec![key.to_owned()], group, crate::stats::Named::Calls).await
}

/// The part of `key` behind the namespace.
fn owned<'a>(cache: &Cache, key: &'a str) -> Result<&'a str> {
    let rest = key.strip_prefix(cache.namespace()).and_then(|rest| rest.strip_prefix(':'));
    rest.filter(|rest| !rest.is_empty()).ok_or_else(|| {
        let namespace = cache.namespace();
        Error::new(
            crate::error::ErrorKind::Value,
            format!("a key of this cache begins with `{namespace}:`"),
        )
    })
}

/// Writes a small value under a name of its own, for `expires`; false where `only_if_absent` and there is
/// one.
///
/// # Errors
///
/// As [`invalidate`](crate::invalidate); also where the cache is not over Redis.
pub async fn put_slot(
    cache: &Cache,
    name: &str,
    bytes: &[u8],
    expires: Duration,
    only_if_absent: bool,
) -> Result<bool> {
    let Store::Redis(redis) = &*cache.inner().store else { return Err(not_shared()) };
    Ok(redis.put_slot(name, bytes, expires, only_if_absent).await?)
}

/// Reads such values, in one command; the names have to lie in one slot of a cluster.
///
/// # Errors
///
/// As [`put_slot`].
pub async fn slots(cache: &Cache, names: &[String]) -> Result<Vec<Option<Bytes>>> {
    let Store::Redis(redis) = &*cache.inner().store else { return Err(not_shared()) };
    Ok(redis.slots(names).await?)
}

/// Removes such a value.
///
/// # Errors
///
/// As [`put_slot`].
pub async fn remove_slot(cache: &Cache, name: &str) -> Result<()> {
    let Store::Redis(redis) = &*cache.inner().store else { return Err(not_shared()) };
    redis.unlink(&[name.to_owned()], redis.timeout()).await?;
    Ok(())
}

/// What `INFO` says, of each server; empty where the login may not ask, or there is no Redis.
pub async fn info(cache: &Cache) -> Vec<String> {
    match &*cache.inner().store {
        Store::Redis(redis) => redis.info().await,
        Store::Memory(_) | Store::Off => Vec::new(),
    }
}

/// Settings that an operator sees.
#[derive(Debug, Clone)]
pub struct Settings {
    pub namespace: String,
    pub budget: Duration,
    pub slow: Duration,
    pub local_bytes: usize,
    pub default_ttl: Duration,
    pub topology: &'static str,
}

pub fn settings(cache: &Cache) -> Settings {
    let config = &cache.inner().config;
    Settings {
        namespace: config.namespace.clone(),
        budget: config.budget,
        slow: config.slow,
        local_bytes: config.local_bytes,
        default_ttl: config.default_ttl,
        topology: cache.topology(),
    }
}

fn not_shared() -> Error {
    Error::new(crate::error::ErrorKind::Unavailable, "the cache is not over Redis")
}
