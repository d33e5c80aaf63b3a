//! When hits come back.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::world::{Function, index};

/// The first hits since it was over, on every part of a deployment that it concerned.
pub(crate) struct Firsts {
    /// The part of every call.
    parts: Vec<Option<usize>>,
    begun: Instant,
    /// When it was over, in microseconds since then.
    healed: AtomicU64,
    /// When the first hit came; 0 is not yet.
    hits: Vec<AtomicU64>,
}

impl Firsts {
    pub(super) fn new(parts: Vec<Option<usize>>) -> Self {
        let count = parts.iter().flatten().max().map_or(0, |last| last + 1);
        let hits = (0..count).map(|_| AtomicU64::new(0)).collect();
        Self { parts, begun: Instant::now(), healed: AtomicU64::new(0), hits }
    }

    /// It is over.
    pub(super) fn begin(&self) {
        self.healed.store(self.now(), Ordering::SeqCst);
    }

    /// A call has hit since.
    pub(super) fn note(&self, function: Function, key: u32) {
        if let Some(part) = self.parts[index(function, key)] {
            let hit = self.now();
            let _ = self.hits[part].compare_exchange(0, hit, Ordering::SeqCst, Ordering::SeqCst);
        }
    }

    /// From then on to the last of the first hits; nothing while one is missing.
    pub(super) fn last(&self) -> Option<Duration> {
        let hits = self.parts.iter().flatten().map(|part| self.hits[*part].load(Ordering::SeqCst));
        let last = hits
            .map(|hit| (hit != 0).then_some(hit))
            .max_by_key(|hit| hit.unwrap_or(u64::MAX))??;
        Some(Duration::from_micros(last.saturating_sub(self.healed.load(Ordering::SeqCst))))
    }

    fn now(&self) -> u64 {
        self.begun.elapsed().as_micros() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::calls;

    #[test]
    fn every_part_has_to_hit_and_calls_elsewhere_do_not_count() {
        let part = |function| match function {
            Function::Plain => Some(0),
            Function::Local => Some(1),
            _ => None,
        };
        let firsts = Firsts::new(calls().map(|(function, _)| part(function)).collect());
        firsts.begin();
        for function in [Function::Stale, Function::Plain] {
            firsts.note(function, 1);
            assert_eq!(firsts.last(), None, "{function:?}");
        }
        firsts.note(Function::Local, 1);
        assert!(firsts.last().is_some());
    }
}
