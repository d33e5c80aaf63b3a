//! The first words on a connection: what has to work, what a lane does without, and at which step it
//! came to an end.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use deadpool::managed::PoolError;
use deadpool_redis::redis::aio::MultiplexedConnection;
use deadpool_redis::redis::{self, ErrorKind, RedisError, Value};

use super::connect::{ConnectError, Step};
use super::dial::{Connection, DialError};
use super::heartbeat::is_master;
use super::{COMPARE_AND_SET, Lanes, server_message, write_pause};
use crate::clock::Coarse;
use crate::config::Part;

/// For how long a step is left out at which a server has hung up. It may be another server then.
const SKIPPED_FOR: Duration = Duration::from_secs(60);

/// Steps that a dial can do without, as bits.
const HELLO: u8 = 1;
const ROLE: u8 = 2;
const SCRIPT: u8 = 4;
/// One that it cannot do without.
const NEEDED: u8 = 0;

/// What no entry begins with, and is longer than a token.
const IMPOSSIBLE_PREFIX: &str = "no entry begins with this";

/// The steps that dials leave out.
#[derive(Default)]
pub(super) struct SkippedSteps(Mutex<Option<(u8, Instant)>>);

impl SkippedSteps {
    fn get(&self) -> u8 {
        self.lock().filter(|(_, since)| since.elapsed() < SKIPPED_FOR).map_or(0, |(steps, _)| steps)
    }

    /// Without them a server was met.
    fn keep(&self, steps: u8) {
        if steps != self.get() {
            *self.lock() = Some((steps, Instant::now()));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<(u8, Instant)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection on which everything that is needed has been answered.
pub(super) struct Greeted {
    pub(super) object: Connection,
    pub(super) connection: MultiplexedConnection,
    /// When the first answer was asked for.
    pub(super) sent: Coarse,
    pub(super) reports_role: bool,
}

/// Why a connection was not made.
struct StepError {
    why: String,
    /// The step without which it may work.
    without: u8,
    /// See [`Undone::is_deaf`].
    tracking_refused: bool,
}

impl StepError {
    fn at(step: &str, why: &str, without: u8) -> Self {
        Self { why: format!("{step}: {why}"), without, tracking_refused: false }
    }

    fn plain(why: String) -> Self {
        Self { why, without: NEEDED, tracking_refused: false }
    }

    fn tracking_refused(mut self, refused: bool) -> Self {
        self.tracking_refused = refused;
        self
    }
}

impl Lanes {
    /// Makes a connection, without what the server refuses or hangs up on, where that is no need.
    pub(super) async fn handshake(&self, index: usize) -> Result<Greeted, DialError> {
        let mut refused_hello: Option<String> = None;
        let mut script_retried = false;
        let mut skipped = self.skipped.get();
        if self.server.access.resp2 {
            skipped |= HELLO;
        }
        loop {
            match self.handshake_without(index, skipped).await {
                Ok(greeted) => {
                    self.skipped.keep(skipped);
                    // The node of a cluster is not tried: its writes find out.
                    if skipped & SCRIPT != 0 && self.server.part != Part::Node {
                        let why = format!(
                            "it {} at `EVAL`, and scripts are needed",
                            write_pause::HANGS_UP
                        );
                        self.writes.pause_for(SKIPPED_FOR, &why);
                    }
                    return Ok(greeted);
                }
                // A connection may break at that very moment: a server that takes no scripts does it again.
                Err(error) if error.without & !skipped == SCRIPT && !script_retried => {
                    script_retried = true;
                }
                Err(error) if error.without & !skipped != NEEDED => {
                    if error.without == HELLO {
                        refused_hello = Some(error.why);
                    }
                    skipped |= error.without;
                }
                Err(StepError { why, tracking_refused, .. }) => {
                    // The refusal of `HELLO` may be the reason, and the other one its consequence.
                    let why = match refused_hello {
                        Some(first) => format!("{why} (before that, {first})"),
                        None => why,
                    };
                    return Err(DialError { why, tracking_refused });
                }
            }
        }
    }

    async fn handshake_without(&self, index: usize, skipped: u8) -> Result<Greeted, StepError> {
        let is_tracking = index == self.tracking_slot();
        let object = self.connect(is_tracking, skipped).await?;
        let connection = object.connection();
        let mut steps =
            Handshake { connection, began: Instant::now(), limit: self.connect_timeout };
        let sent = Coarse::now();
        match self.greet(&mut steps, is_tracking, skipped).await {
            Ok(reports_role) => {
                Ok(Greeted { object, connection: steps.connection, sent, reports_role })
            }
            Err(error) => {
                // In the pool the next dial would find it, and not where the address leads to.
                drop(Connection::take(object));
                Err(error)
            }
        }
    }

    /// Asks for everything that is needed; whether the server says if it is a master.
    async fn greet(
        &self,
        steps: &mut Handshake,
        is_tracking: bool,
        skipped: u8,
    ) -> Result<bool, StepError> {
        let db = self.server.access.db;
        if db != 0 {
            steps.require(&["SELECT", &db.to_string()]).await?;
        }
        // It finds what connecting does not: a missing password, a loading server.
        steps.require(&["PING"]).await?;
        let wants_role = self.server.part != Part::Node && skipped & ROLE == 0;
        let role = if wants_role { steps.send(&["ROLE"], ROLE).await?.ok() } else { None };
        if role.as_ref().is_some_and(|role| self.is_demoted(role)) {
            let why = "the server is a replica, and no master any more";
            return Err(StepError::at("`ROLE`", why, NEEDED));
        }
        if is_tracking {
            // Not `NOLOOP`: it would silently untrack what this lane itself writes.
            let tracks = steps.require(&["CLIENT", "TRACKING", "ON"]).await;
            tracks.map_err(|error| error.tracking_refused(!steps.is_late()))?;
        } else if skipped & SCRIPT == 0 {
            self.try_script(steps).await?;
        }
        Ok(role.as_ref().and_then(is_master).is_some())
    }

    async fn connect(&self, is_tracking: bool, skipped: u8) -> Result<Connection, StepError> {
        let resp2 = skipped & HELLO != 0;
        let pool = if is_tracking { &self.tracking_pool } else { &self.pools[usize::from(resp2)] };
        let login = if resp2 && !is_tracking { "`AUTH`" } else { "`HELLO`" };
        let late = || format!("no connection, or no answer to {login}, in time");
        let error = match pool.get().await {
            Ok(object) => return Ok(object),
            Err(PoolError::Backend(error)) => error,
            Err(PoolError::Timeout(_)) => return Err(StepError::plain(late())),
            Err(error) => return Err(StepError::plain(error.to_string())),
        };
        let (refuses_hello, is_hang_up) = (error.refuses_hello(), error.is_hang_up());
        let ConnectError { step, error } = error;
        Err(match step {
            _ if error.is_timeout() => StepError::plain(late()),
            Step::Connecting => StepError::at("connecting", &server_message(&error), NEEDED),
            #[cfg(feature = "tls-no-provider")]
            Step::Tls => StepError::at("TLS", &server_message(&error), NEEDED),
            Step::Login => {
                let without = if !is_tracking && refuses_hello { HELLO } else { NEEDED };
                let hung_up = is_hang_up.then(|| hung_up(&error));
                StepError::at(login, &hung_up.unwrap_or_else(|| server_message(&error)), without)
                    .tracking_refused(is_tracking && refuses_hello)
            }
        })
    }

    /// Leaves the script with the server, and sees whether it takes scripts at all: without them nothing
    /// can be stored. In a cluster a key would have to be the node's, so the writes find out.
    async fn try_script(&self, steps: &mut Handshake) -> Result<(), StepError> {
        if self.server.part == Part::Node {
            return steps.send(&["SCRIPT", "LOAD", COMPARE_AND_SET], SCRIPT).await.map(drop);
        }
        let probe =
            ["EVAL", COMPARE_AND_SET, "1", &self.probe_key, IMPOSSIBLE_PREFIX, "delete", "", "0"];
        if let Err(refusal) = steps.send(&probe, SCRIPT).await?
            && write_pause::refuses_all_writes(&refusal)
        {
            self.writes.pause(&refusal);
        }
        Ok(())
    }
}

/// Commands one after the other, on a connection that has just been made.
struct Handshake {
    connection: MultiplexedConnection,
    began: Instant,
    /// For all of them together.
    limit: Duration,
}

impl Handshake {
    fn is_late(&self) -> bool {
        self.began.elapsed() >= self.limit
    }

    async fn require(&mut self, words: &[&str]) -> Result<(), StepError> {
        match self.send(words, NEEDED).await? {
            Ok(_) => Ok(()),
            Err(refusal) => Err(StepError::at(&step(words), &refusal, NEEDED)),
        }
    }

    /// The answer, or the error that the server answers with.
    async fn send(
        &mut self,
        words: &[&str],
        without: u8,
    ) -> Result<Result<Value, String>, StepError> {
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]);
        let left = self.limit.saturating_sub(self.began.elapsed());
        let reply = tokio::time::timeout(left, self.connection.send_packed_command(&command)).await;
        match reply.map(|reply| reply.and_then(Value::extract_error)) {
            Ok(Ok(value)) => Ok(Ok(value)),
            Ok(Err(error)) if error.is_io_error() => {
                Err(StepError::at(&step(words), &hung_up(&error), without))
            }
            Ok(Err(error)) => Ok(Err(server_message(&error))),
            Err(_) => {
                let why = "the server accepts connections and does not answer in time";
                Err(StepError::at(&step(words), why, NEEDED))
            }
        }
    }
}

/// The name of a step, without what it is about.
fn step(words: &[&str]) -> String {
    let long = ["CLIENT", "SCRIPT"].contains(&words[0]);
    format!("`{}`", words[..=usize::from(long)].join(" "))
}

fn hung_up(error: &RedisError) -> String {
    format!("the server closed the connection ({})", server_message(error))
}

impl ConnectError {
    /// Whether a connection that was there has come to an end.
    pub(super) fn is_hang_up(&self) -> bool {
        let error = &self.error;
        error.is_io_error() && error.is_connection_dropped() && !error.is_connection_refusal()
    }

    /// Whether the protocol that has no `HELLO` may do. A server that asks for the password first may
    /// take it by `AUTH`; one that takes no more clients refuses any command.
    pub(super) fn refuses_hello(&self) -> bool {
        let error = &self.error;
        let wrong = matches!(error.code(), Some("WRONGPASS" | "LOADING"))
            || error.kind() == ErrorKind::AuthenticationFailed
            || server_message(error).contains("max number of clients");
        self.step == Step::Login && !wrong && (!error.is_io_error() || self.is_hang_up())
    }
}
