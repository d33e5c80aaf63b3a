//! The in-process store: the contract of Redis, under one lock, bounded in bytes by eviction.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use quick_cache::Weighter;
use quick_cache::unsync::Cache;

use super::contract::{Fault, Found, Write};
use crate::clock::Coarse;
use crate::entry::{EntryId, Seen, Token, Tokens};
use crate::key::Key;
use crate::versions::Versions;

/// Estimated bytes of an entry beyond its key and its value, counted towards the bound.
const OVERHEAD: usize = 128;

pub(crate) struct Memory {
    /// Bumped at each write, which voids copies of the key.
    versions: Arc<Versions>,
    /// How far [`Memory::advance`] has moved the clock, in nanoseconds.
    advanced: AtomicU64,
    entries: Mutex<Cache<Box<str>, Slot, ByBytes>>,
}

#[derive(Clone)]
struct Slot {
    bytes: Bytes,
    expires: Instant,
}

#[derive(Clone)]
struct ByBytes;

impl Weighter<Box<str>, Slot> for ByBytes {
    fn weight(&self, key: &Box<str>, slot: &Slot) -> u64 {
        (key.len() + slot.bytes.len() + OVERHEAD) as u64
    }
}

impl Memory {
    pub(crate) fn new(bytes: usize, versions: Arc<Versions>) -> Self {
        // Only this process writes here, so copies never lack a heartbeat.
        versions.trust(Coarse::now(), Duration::MAX);
        // The estimate sizes the table at the start, and is no bound.
        let items = (bytes / 1024).clamp(16, 1 << 16);
        let entries = Mutex::new(Cache::with_weighter(items, bytes as u64, ByBytes));
        Self { versions, advanced: AtomicU64::new(0), entries }
    }

    /// The present by the store's clock.
    pub(crate) fn now(&self) -> Instant {
        expiry(Instant::now(), Duration::from_nanos(self.advanced.load(Ordering::Relaxed)))
    }

    /// Advances the store's clock (`Cache::advance`).
    pub(crate) fn advance(&self, by: Duration) {
        let by = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
        let more = |advanced: u64| Some(advanced.saturating_add(by));
        let _ = self.advanced.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
    }

    fn entries(&self) -> MutexGuard<'_, Cache<Box<str>, Slot, ByBytes>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn read(&self, key: &Key) -> Found {
        let now = self.now();
        let mut entries = self.entries();
        let mut token = |name: &str| live(&mut entries, name, now).map(|t| Token::of(&t.bytes));
        let tokens = key.tokens().map(&mut token).collect();
        let slot = live(&mut entries, key.entry(), now);
        let ttl_left = slot.as_ref().map(|slot| slot.expires.saturating_duration_since(now));
        Found { bytes: slot.map(|slot| slot.bytes), tokens, ttl_left }
    }

    /// Makes the missing tokens of a key, and returns all of them.
    pub(crate) fn seed(&self, key: &Key, life: Duration) -> Result<Tokens, Fault> {
        let now = self.now();
        let mut entries = self.entries();
        let seeded = key.tokens().map(|name| {
            if let Some(known) = live(&mut entries, name, now) {
                return Ok(Token::of(&known.bytes));
            }
            let fresh = EntryId::fresh().ok_or(Fault::Down)?;
            let slot = Slot { bytes: Bytes::copy_from_slice(&fresh.0), expires: expiry(now, life) };
            entries.insert(name.into(), slot);
            Ok(Token(fresh.0))
        });
        seeded.collect()
    }

    /// Extends tokens that would expire within `life`, to twice that.
    pub(crate) fn renew(&self, key: &Key, life: Duration) {
        let now = self.now();
        let mut entries = self.entries();
        for name in key.tokens() {
            if let Some(token) = live(&mut entries, name, now)
                && token.expires < expiry(now, life)
            {
                let slot =
                    Slot { bytes: token.bytes, expires: expiry(now, life.saturating_mul(2)) };
                entries.insert(name.into(), slot);
            }
        }
    }

    pub(crate) fn compare_and_set(&self, key: &str, seen: &Seen, write: Write) -> bool {
        let now = self.now();
        let mut entries = self.entries();
        let current = live(&mut entries, key, now);
        let until = current.as_ref().map_or(now, |slot| slot.expires);
        let current = current.map(|slot| slot.bytes).unwrap_or_default();
        let same =
            if seen.0.is_empty() { current.is_empty() } else { current.starts_with(&seen.0) };
        if !same {
            return false;
        }
        let (bytes, expires) = match write {
            Write::Whole { bytes, life } => (bytes, expiry(now, life)),
            Write::Header { bytes, life } => {
                (with_header(&current, &bytes), life.map_or(until, |life| expiry(now, life)))
            }
            Write::Delete => {
                entries.remove(key);
                self.versions.bump(key.as_bytes());
                return true;
            }
        };
        entries.insert(key.into(), Slot { bytes, expires });
        self.versions.bump(key.as_bytes());
        true
    }

    /// Removes several names under one lock, so that no reader sees a part of them removed.
    pub(crate) fn unlink(&self, names: &[String]) {
        let mut entries = self.entries();
        for name in names {
            entries.remove(name.as_str());
            self.versions.bump(name.as_bytes());
        }
    }

    pub(crate) fn clear(&self, start: &str) -> u64 {
        let mut entries = self.entries();
        let before = entries.len();
        entries.retain(|name, _| !name.starts_with(start));
        self.versions.bump_all();
        (before - entries.len()) as u64
    }
}

/// When a lifetime ends. One past what an `Instant` can hold is cut to 2³⁰ s (34 years).
fn expiry(now: Instant, life: Duration) -> Instant {
    now.checked_add(life).unwrap_or_else(|| now + Duration::from_secs(1 << 30))
}

/// The slot of a name, unless it has expired: then it is removed.
fn live(entries: &mut Cache<Box<str>, Slot, ByBytes>, key: &str, now: Instant) -> Option<Slot> {
    let slot = entries.get(key)?.clone();
    if slot.expires > now {
        return Some(slot);
    }
    entries.remove(key);
    None
}

/// The current bytes with their first ones replaced.
fn with_header(current: &Bytes, header: &Bytes) -> Bytes {
    let mut bytes = current.to_vec();
    bytes.splice(..header.len().min(current.len()), header.iter().copied());
    bytes.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(text: &'static str, life: Duration) -> Write {
        Write::Whole { bytes: Bytes::from_static(text.as_bytes()), life }
    }

    fn seen(text: &'static str) -> Seen {
        Seen(Bytes::from_static(text.as_bytes()))
    }

    fn memory(bytes: usize) -> Memory {
        Memory::new(bytes, Arc::new(Versions::new(bytes)))
    }

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn an_entry_is_replaced_only_by_a_writer_that_has_read_it() {
        let memory = memory(1 << 20);
        assert!(memory.compare_and_set("k", &Seen::absent(), whole("one", LONG)));
        assert!(!memory.compare_and_set("k", &Seen::absent(), whole("two", LONG)));
        assert!(!memory.compare_and_set("k", &seen("two"), Write::Delete));
        for life in [None, Some(LONG)] {
            let header = Write::Header { bytes: Bytes::from_static(b"O"), life };
            assert!(memory.compare_and_set(
                "k",
                &seen(if life.is_none() { "o" } else { "O" }),
                header
            ));
        }
        assert_eq!(memory.read(&Key::named("k")).bytes.unwrap(), "One");
        assert!(memory.compare_and_set("k", &seen("On"), Write::Delete));
        assert!(memory.read(&Key::named("k")).bytes.is_none());
    }

    #[test]
    fn a_header_keeps_the_lifetime_unless_it_brings_one() {
        let memory = memory(1 << 20);
        memory.compare_and_set("k", &Seen::absent(), whole("one", LONG));
        let ttl_left = |memory: &Memory| memory.read(&Key::named("k")).ttl_left.unwrap();
        let header = |life| Write::Header { bytes: Bytes::from_static(b"o"), life };
        assert!(memory.compare_and_set("k", &seen("o"), header(None)));
        assert!(ttl_left(&memory) > LONG / 2);
        assert!(memory.compare_and_set("k", &seen("o"), header(Some(LONG * 2))));
        assert!(ttl_left(&memory) > LONG);
    }

    #[test]
    fn a_token_is_made_once_renewed_in_time_and_gone_when_unlinked() {
        let memory = memory(1 << 20);
        assert_eq!(memory.read(&Key::named("k")).tokens[..], [None]);
        let made = memory.seed(&Key::named("k"), LONG).unwrap();
        assert_eq!(memory.seed(&Key::named("k"), LONG).unwrap(), made);
        assert_eq!(memory.read(&Key::named("k")).tokens[..], [Some(made[0])]);
        memory.renew(&Key::named("k"), LONG / 2);
        memory.renew(&Key::named("k"), LONG * 3);
        let entries = memory.entries();
        assert!(entries.peek("~k").unwrap().expires > Instant::now() + LONG * 5);
        drop(entries);
        memory.unlink(&["~k".to_owned()]);
        assert_eq!(memory.read(&Key::named("k")).tokens[..], [None]);
        assert_ne!(memory.seed(&Key::named("k"), LONG).unwrap(), made);
    }

    #[test]
    fn an_expired_entry_is_absent() {
        let memory = memory(1 << 20);
        assert!(memory.compare_and_set("k", &Seen::absent(), whole("one", Duration::ZERO)));
        assert!(memory.read(&Key::named("k")).bytes.is_none());
        assert!(memory.compare_and_set("k", &Seen::absent(), whole("two", LONG)));
    }

    #[test]
    fn the_bound_holds_whatever_is_written() {
        let memory = memory(64 << 10);
        for number in 0..1000 {
            let bytes = Bytes::from(vec![0; 1024]);
            let write = Write::Whole { bytes, life: LONG };
            memory.compare_and_set(&format!("k{number}"), &Seen::absent(), write);
        }
        assert!(memory.entries().weight() <= 64 << 10);
        assert!(memory.entries().len() > 20);
    }
}
