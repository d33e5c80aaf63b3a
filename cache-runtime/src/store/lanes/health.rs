//! The health of one server, from the outcomes of dials, heartbeats, probes and commands.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::write_pause::{concerns_one_key, with_hint};
use super::{CommandError, Lanes, WRONG_TYPE};
use crate::store::breaker::Breaker;

/// The state of one server, or of a whole deployment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum State {
    Untried = 0,
    Up = 1,
    Lost = 2,
    /// It answers, and refuses all or a part of the commands of calls.
    Degraded = 3,
}

/// The recorded health of one server.
#[derive(Default)]
pub(super) struct Health {
    /// [`State`] as a number, never `Degraded`: that is computed when the state is read.
    state: AtomicU8,
    /// Why the server is lost, if it is.
    lost: Mutex<Option<String>>,
    /// Counts reads that the server answers with an error; open while it refuses most of them.
    reads: Breaker,
    /// The last refusal of a read.
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

/// What is known of one server at the moment.
pub(crate) struct ServerState {
    pub(crate) address: String,
    pub(crate) state: State,
    pub(crate) lanes: usize,
    pub(crate) is_breaker_open: bool,
    pub(crate) is_tracking: bool,
    pub(crate) last_error: Option<String>,
}

impl Lanes {
    pub(crate) fn server_state(&self) -> ServerState {
        ServerState {
            address: self.server.address.to_string(),
            state: self.state(),
            lanes: self.live(),
            is_breaker_open: self.breaker.is_open(),
            is_tracking: self.peek(self.tracking_slot()).is_some(),
            last_error: self.last_error(),
        }
    }

    pub(crate) fn state(&self) -> State {
        match self.health.state.load(Ordering::Relaxed) {
            // The breaker opens before the loss is recorded, and a dial may succeed in between.
            _ if self.breaker.is_open() => State::Lost,
            1 if self.health.reads.is_open() || self.writes.are_refused() => State::Degraded,
            1 => State::Up,
            2 => State::Lost,
            _ => State::Untried,
        }
    }

    /// Why the server is lost, or which refusal degrades it.
    pub(crate) fn last_error(&self) -> Option<String> {
        let lost = || lock(&self.health.lost).clone();
        let reads = || self.health.reads.is_open().then(|| lock(&self.health.refused).clone())?;
        lost().or_else(reads).or_else(|| self.writes.refusal())
    }

    /// A dial or a heartbeat has succeeded. That ends a loss only if no command has failed for 2 s, since a
    /// server may answer `PING` and nothing else; otherwise the next served call ends it.
    pub(super) fn lane_answered(&self) {
        let believed = !self.health.is_lost() || self.breaker.is_quiet();
        if !self.health.is_up() && believed && !self.breaker.is_open() && self.any().is_some() {
            self.set_state(State::Up, "");
        }
    }

    /// A command of a call has succeeded.
    pub(super) fn call_served(&self) {
        if !self.breaker.success() || !self.health.is_lost() {
            return;
        }
        if self.any_lane().is_some() {
            self.set_state(State::Up, "");
        } else {
            // The reply belongs to a command from before the loss; the next success counts.
            self.breaker.report_next_success();
        }
    }

    pub(super) fn mark_lost(&self, why: &str) {
        self.set_state(State::Lost, why);
    }

    /// Records a state, and logs it if it is not the one before.
    fn set_state(&self, state: State, why: &str) {
        *lock(&self.health.lost) = (state == State::Lost).then(|| why.to_owned());
        let before = self.health.state.swap(state as u8, Ordering::Relaxed);
        if before == state as u8 {
            return;
        }
        let server = &self.server;
        match state {
            State::Lost => {
                // So that `call_served` sees the next success, though no command may have failed.
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

    /// Counts a read's outcome, unless the error is about its key alone. A server that refuses most reads is
    /// [`State::Degraded`].
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
