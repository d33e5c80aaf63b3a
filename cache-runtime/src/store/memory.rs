//! The in-process store: the same contract as Redis, under one lock, bounded in bytes.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use quick_cache::Weighter;
use quick_cache::unsync::Cache;

use super::{Found, Write};
use crate::entry::Seen;

/// What an entry costs beyond its key and its bytes; measured roughly, to keep the bound honest.
const OVERHEAD: usize = 128;

pub(crate) struct Memory {
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
    pub(crate) fn new(bytes: usize) -> Self {
        // The estimate only sizes tables at the start.
        let items = (bytes / 1024).clamp(16, 1 << 16);
        Self { entries: Mutex::new(Cache::with_weighter(items, bytes as u64, ByBytes)) }
    }

    fn entries(&self) -> MutexGuard<'_, Cache<Box<str>, Slot, ByBytes>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn read(&self, key: &str) -> Found {
        let now = Instant::now();
        match live(&mut self.entries(), key, now) {
            None => Found::default(),
            Some(slot) => {
                let left = slot.expires.saturating_duration_since(now);
                Found { bytes: Some(slot.bytes), left: Some(left) }
            }
        }
    }

    pub(crate) fn compare_and_set(&self, key: &str, seen: &Seen, write: Write) -> bool {
        let now = Instant::now();
        let mut entries = self.entries();
        let current = live(&mut entries, key, now).map(|slot| slot.bytes).unwrap_or_default();
        let same =
            if seen.0.is_empty() { current.is_empty() } else { current.starts_with(&seen.0) };
        if !same {
            return false;
        }
        let (bytes, life) = match write {
            Write::Whole { bytes, life } => (bytes, life),
            Write::Header { bytes, life } => (over(&current, &bytes), life),
            Write::Delete => {
                entries.remove(key);
                return true;
            }
        };
        let expires = now.checked_add(life).unwrap_or_else(|| now + Duration::from_secs(1 << 30));
        entries.insert(key.into(), Slot { bytes, expires });
        true
    }

    pub(crate) fn unlink(&self, key: &str) {
        self.entries().remove(key);
    }
}

fn live(entries: &mut Cache<Box<str>, Slot, ByBytes>, key: &str, now: Instant) -> Option<Slot> {
    let slot = entries.get(key)?.clone();
    if slot.expires > now {
        return Some(slot);
    }
    entries.remove(key);
    None
}

fn over(current: &Bytes, header: &Bytes) -> Bytes {
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

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn only_who_saw_an_entry_replaces_it() {
        let memory = Memory::new(1 << 20);
        assert!(memory.compare_and_set("k", &Seen::absent(), whole("one", LONG)));
        assert!(!memory.compare_and_set("k", &Seen::absent(), whole("two", LONG)));
        assert!(!memory.compare_and_set("k", &seen("two"), Write::Delete));
        let header = Write::Header { bytes: Bytes::from_static(b"O"), life: LONG };
        assert!(memory.compare_and_set("k", &seen("o"), header));
        assert_eq!(memory.read("k").bytes.unwrap(), "One");
        assert!(memory.compare_and_set("k", &seen("On"), Write::Delete));
        assert!(memory.read("k").bytes.is_none());
    }

    #[test]
    fn an_expired_entry_is_absent() {
        let memory = Memory::new(1 << 20);
        assert!(memory.compare_and_set("k", &Seen::absent(), whole("one", Duration::ZERO)));
        assert!(memory.read("k").bytes.is_none());
        assert!(memory.compare_and_set("k", &Seen::absent(), whole("two", LONG)));
    }

    #[test]
    fn the_bound_holds_whatever_is_written() {
        let memory = Memory::new(64 << 10);
        for number in 0..1000 {
            let bytes = Bytes::from(vec![0; 1024]);
            let write = Write::Whole { bytes, life: LONG };
            memory.compare_and_set(&format!("k{number}"), &Seen::absent(), write);
        }
        assert!(memory.entries().weight() <= 64 << 10);
        assert!(memory.entries().len() > 20);
    }
}
