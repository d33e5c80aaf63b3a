//! A circuit breaker: sends no commands to a server that does not answer.
//!
//! It opens after 5 failures in a row, or 10 among the last 20 outcomes if those are of the last 10 seconds.
//! While it is open, calls run uncached after one atomic load, and a probe closes it. The first failure after
//! that opens it again, since a server may answer probes and nothing else.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

const MAX_IN_A_ROW: u32 = 5;
const WINDOW: usize = 20;
const SPAN: Duration = Duration::from_secs(10);

/// Time without a failure after which an answered heartbeat may end the loss of a server.
const QUIET: Duration = Duration::from_secs(2);

#[derive(Default)]
pub(crate) struct Breaker {
    open: AtomicBool,
    /// Whether a failure may be among the remembered outcomes. While it is false, a success takes no lock and is
    /// not remembered.
    failed_recently: AtomicBool,
    recent: Mutex<Recent>,
}

#[derive(Default)]
struct Recent {
    in_a_row: u32,
    outcomes: VecDeque<(Instant, bool)>,
    last_failure: Option<Instant>,
}

impl Breaker {
    pub(crate) fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }

    /// Counts a success; returns whether there was a failure among the remembered outcomes.
    pub(crate) fn success(&self) -> bool {
        let failed_recently = self.failed_recently.load(Ordering::Relaxed);
        if failed_recently && self.with(|recent| recent.push(true, Instant::now())) {
            self.failed_recently.store(false, Ordering::Relaxed);
        }
        failed_recently
    }

    /// Makes the next [`Breaker::success`] return true.
    pub(crate) fn report_next_success(&self) {
        self.failed_recently.store(true, Ordering::Relaxed);
    }

    /// Whether fewer than a quarter of the remembered outcomes are failures. Half of them open it; the gap is
    /// hysteresis, so that a server that fails every second command does not make it flap.
    pub(crate) fn is_recovered(&self) -> bool {
        self.with(|recent| recent.failures() * 4 < recent.outcomes.len())
    }

    /// Whether no command has failed for [`QUIET`].
    pub(crate) fn is_quiet(&self) -> bool {
        self.with(|recent| recent.last_failure.is_none_or(|at| at.elapsed() >= QUIET))
    }

    /// Counts a failure; returns whether it opened the breaker.
    pub(crate) fn failure(&self) -> bool {
        self.failed_recently.store(true, Ordering::Relaxed);
        let tripped = self.with(|recent| {
            recent.push(false, Instant::now());
            recent.tripped()
        });
        tripped && !self.open.swap(true, Ordering::AcqRel)
    }

    /// Closes it after a successful probe: the next failure opens it again.
    pub(crate) fn close(&self) {
        self.close_after(MAX_IN_A_ROW - 1);
    }

    /// Closes it after many served calls: it takes as many failures as at first to open it again.
    pub(crate) fn reset(&self) {
        self.close_after(0);
    }

    fn close_after(&self, in_a_row: u32) {
        self.with(|recent| {
            recent.in_a_row = in_a_row;
            recent.outcomes.clear();
        });
        self.open.store(false, Ordering::Release);
    }

    fn with<T>(&self, act: impl FnOnce(&mut Recent) -> T) -> T {
        act(&mut self.recent.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Recent {
    /// Remembers an outcome; returns whether all remembered ones are successes.
    fn push(&mut self, ok: bool, now: Instant) -> bool {
        self.in_a_row = if ok { 0 } else { self.in_a_row + 1 };
        if !ok {
            self.last_failure = Some(now);
        }
        if self.outcomes.len() == WINDOW {
            self.outcomes.pop_front();
        }
        self.outcomes.push_back((now, ok));
        while self.outcomes.front().is_some_and(|(at, _)| now.duration_since(*at) > SPAN) {
            self.outcomes.pop_front();
        }
        self.outcomes.iter().all(|(_, ok)| *ok)
    }

    fn failures(&self) -> usize {
        self.outcomes.iter().filter(|(_, ok)| !ok).count()
    }

    fn tripped(&self) -> bool {
        let full = self.outcomes.len() == WINDOW;
        self.in_a_row >= MAX_IN_A_ROW || (full && self.failures() >= WINDOW / 2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_failures_in_a_row_open_it_and_a_success_starts_the_count_again() {
        let breaker = Breaker::default();
        for _ in 0..4 {
            assert!(!breaker.failure());
        }
        breaker.success();
        for _ in 0..4 {
            assert!(!breaker.failure());
        }
        assert!(breaker.failure());
        assert!(breaker.is_open());
        assert!(!breaker.failure(), "it opens once");
        breaker.close();
        assert!(!breaker.is_open());
    }

    #[test]
    fn after_a_probe_one_failure_opens_it_and_a_success_makes_it_five_again() {
        let breaker = Breaker::default();
        for _ in 0..5 {
            breaker.failure();
        }
        breaker.close();
        assert!(breaker.failure() && !breaker.is_quiet());
        breaker.close();
        assert!(breaker.success(), "it reports the failure before it");
        assert!(!breaker.success());
        assert!(!breaker.failure());
    }

    #[test]
    fn few_failures_among_many_successes_count_as_recovered_and_after_that_it_takes_five_again() {
        let breaker = Breaker::default();
        for _ in 0..5 {
            breaker.failure();
        }
        assert!(breaker.is_open() && !breaker.is_recovered());
        for _ in 0..10 {
            breaker.success();
        }
        assert!(!breaker.is_recovered(), "a third has failed");
        for _ in 0..15 {
            breaker.success();
        }
        breaker.failure();
        breaker.success();
        assert!(breaker.is_open() && breaker.is_recovered(), "one of twenty has failed");
        breaker.reset();
        for _ in 0..4 {
            assert!(!breaker.failure() && !breaker.is_open());
        }
        assert!(breaker.failure() && breaker.is_open());
    }

    #[test]
    fn half_of_twenty_open_it() {
        let breaker = Breaker::default();
        let mut opened = false;
        for _ in 0..10 {
            breaker.success();
            opened |= breaker.failure();
        }
        // Successes before the first failure are not remembered: it takes one round more.
        breaker.success();
        opened |= breaker.failure();
        assert!(opened);
    }

    #[test]
    fn failures_older_than_the_span_are_forgotten() {
        let mut recent = Recent::default();
        let start = Instant::now();
        for _ in 0..10 {
            recent.push(false, start);
        }
        recent.push(true, start + SPAN + Duration::from_secs(1));
        assert_eq!(recent.outcomes.len(), 1);
    }
}
