//! Whether calls are served: what lanes, probes and commands have shown of one server.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::write_pause::{concerns_one_key, with_hint};
use super::{CommandError, Lanes, WRONG_TYPE};
use crate::store::breaker::Breaker;

/// How one server, or all of them together, do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum State {
    Untried = 0,
    Up = 1,
    Lost = 2,
    /// It answers, and refuses what calls ask for, or a part of it.
    Degraded = 3,
}

/// What is known of one server.
#[derive(Default)]
pub(super) struct Health {
    /// Untried, up or lost.
    state: AtomicU8,
    lost: Mutex<Option<String>>,
    /// Reads that the server has answered with an error: open where most of them are.
    reads: Breaker,
    refused: Mutex<Option<String>>,
}

impl Health {
    pub(super) fn is_lost(&self) -> bool {
        self.state.load(Ordering::Relaxed) == State::Lost as u8
    }

    pub(super) fn is_up(&self) -> bool {
        self.state.load(Ordering::Relaxed) == State::Up as u8
    }
}

impl Lanes {
    pub(crate) fn state(&self) -> State {
        match self.health.state.load(Ordering::Relaxed) {
            // It opens a moment before the loss is noted, and a lane may come up in between.
            _ if self.breaker.is_open() => State::Lost,
            1 if self.health.reads.is_open() || self.writes.are_refused() => State::Degraded,
            1 => State::Up,
            2 => State::Lost,
            _ => State::Untried,
        }
    }

    /// Why the server is lost, or what it refuses.
    pub(crate) fn last_error(&self) -> Option<String> {
        let lost = || lock(&self.health.lost).clone();
        let reads = || self.health.reads.is_open().then(|| lock(&self.health.refused).clone())?;
        lost().or_else(reads).or_else(|| self.writes.refusal())
    }

    /// A lane is up, or has answered while nobody called. Calls may know better: a server that was
    /// lost is up again once a call is served, or none has failed for a moment.
    pub(super) fn lane_answered(&self) {
        let believed = !self.health.is_lost() || self.breaker.is_quiet();
        if !self.health.is_up() && believed && !self.breaker.is_open() && self.any().is_some() {
            self.set_state(State::Up, "");
        }
    }

    /// A command of a call was answered.
    pub(super) fn call_served(&self) {
        if !self.breaker.success() || !self.health.is_lost() {
            return;
        }
        if self.any_lane().is_some() {
            self.set_state(State::Up, "");
        } else {
            // It was on its way before the loss, and the next one counts.
            self.breaker.report_next_success();
        }
    }

    pub(super) fn mark_lost(&self, why: &str) {
        self.set_state(State::Lost, why);
    }

    /// One line for each change of state, none for its repetition.
    fn set_state(&self, state: State, why: &str) {
        *lock(&self.health.lost) = (state == State::Lost).then(|| why.to_owned());
        let before = self.health.state.swap(state as u8, Ordering::Relaxed);
        if before == state as u8 {
            return;
        }
        let server = &self.server;
        match state {
            State::Lost => {
                // The next answer is looked at.
                self.breaker.report_next_success();
                tracing::warn!(
                    %server,
                    error = why,
                    "redis lost: cached functions run plainly until it is back"
                );
            }
            _ if before == State::Lost as u8 => {
                self.probe_backoff().restart();
                tracing::info!(%server, "redis recovered");
            }
            _ => tracing::info!(%server, "redis connected"),
        }
    }

    /// Learns from how a read fared: a server that refuses most of them serves nobody.
    pub(crate) fn record_read<T>(&self, read: Result<T, CommandError>) -> Result<T, CommandError> {
        match &read {
            Ok(_) => self.read_served(),
            Err(CommandError::Error { code, text })
                if *code != WRONG_TYPE && !concerns_one_key(text) =>
            {
                self.read_refused(text);
            }
            Err(_) => {}
        }
        read
    }

    fn read_served(&self) {
        let reads = &self.health.reads;
        if reads.success() && reads.is_open() && reads.is_recovered() {
            reads.reset();
            tracing::info!(server = %self.server, "redis answers reads again");
        }
    }

    pub(super) fn read_refused(&self, text: &str) {
        let why = with_hint(text);
        *lock(&self.health.refused) = Some(format!("redis refuses reads: {why}"));
        if self.health.reads.failure() {
            tracing::warn!(
                server = %self.server,
                error = %why,
                "redis refuses reads: cached functions run plainly until it answers them"
            );
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
