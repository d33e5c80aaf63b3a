//! The handshake of a lane: required steps, optional steps that a dial leaves out where a server or proxy
//! fails at them, and the step at which a dial has failed.

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

/// For how long dials leave out a step at which the server has failed one. Later the address may lead to
/// another server.
const SKIPPED_FOR: Duration = Duration::from_secs(60);

/// Optional steps, as bits.
const HELLO: u8 = 1;
const ROLE: u8 = 2;
const SCRIPT: u8 = 4;
/// No bit: a required step.
const NEEDED: u8 = 0;

/// No entry begins with this, and no token is as long, so that the trial of the script deletes nothing.
const IMPOSSIBLE_PREFIX: &str = "no entry begins with this";

/// The optional steps that dials leave out, and since when.
#[derive(Default)]
pub(super) struct SkippedSteps(Mutex<Option<(u8, Instant)>>);

impl SkippedSteps {
    fn get(&self) -> u8 {
        self.lock().filter(|(_, since)| since.elapsed() < SKIPPED_FOR).map_or(0, |(steps, _)| steps)
    }

    /// A handshake has succeeded without these steps.
    fn keep(&self, steps: u8) {
        if steps != self.get() {
            *self.lock() = Some((steps, Instant::now()));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<(u8, Instant)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection whose handshake has succeeded.
pub(super) struct Greeted {
    pub(super) object: Connection,
    pub(super) connection: MultiplexedConnection,
    /// When the first command was sent: the tracking lane's first heartbeat.
    pub(super) sent: Coarse,
    pub(super) reports_role: bool,
}

/// Why a step failed.
struct StepError {
    why: String,
    /// The optional step without which the next attempt may succeed, or [`NEEDED`].
    without: u8,
    /// See [`DialError::tracking_refused`].
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
    /// Connects and greets the server, and repeats that without the optional step that has failed, until it
    /// succeeds or a required step fails.
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
                    // A node of a cluster is only sent `SCRIPT LOAD`; its first writes show whether it runs it.
                    if skipped & SCRIPT != 0 && self.server.part != Part::Node {
                        let why = format!(
                            "it {} at `EVAL`, and scripts are needed",
                            write_pause::HANGS_UP
                        );
                        self.writes.pause_for(SKIPPED_FOR, &why);
                    }
                    return Ok(greeted);
                }
                // Try the script twice: the connection may have broken by coincidence.
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
                    // The refusal of `HELLO` may be the cause of the later error.
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
        let mut handshake =
            Handshake { connection, began: Instant::now(), limit: self.connect_timeout };
        let sent = Coarse::now();
        match self.greet(&mut handshake, is_tracking, skipped).await {
            Ok(reports_role) => {
                Ok(Greeted { object, connection: handshake.connection, sent, reports_role })
            }
            Err(error) => {
                // Not back to the pool, whose next dial would reuse it instead of resolving the address.
                drop(Connection::take(object));
                Err(error)
            }
        }
    }

    /// Sends the steps; whether the server answers `ROLE`.
    async fn greet(
        &self,
        handshake: &mut Handshake,
        is_tracking: bool,
        skipped: u8,
    ) -> Result<bool, StepError> {
        let db = self.server.access.db;
        if db != 0 {
            handshake.require(&["SELECT", &db.to_string()]).await?;
        }
        // Fails where connecting did not: with RESP2 without a required password, or while the server loads its
        // data.
        handshake.require(&["PING"]).await?;
        let wants_role = self.server.part != Part::Node && skipped & ROLE == 0;
        let role = if wants_role { handshake.send(&["ROLE"], ROLE).await?.ok() } else { None };
        if role.as_ref().is_some_and(|role| self.is_demoted(role)) {
            let why = "the server is a replica, and no master any more";
            return Err(StepError::at("`ROLE`", why, NEEDED));
        }
        if is_tracking {
            // Without `NOLOOP`, with which Redis would untrack keys that this lane writes and push nothing.
            let tracks = handshake.require(&["CLIENT", "TRACKING", "ON"]).await;
            tracks.map_err(|error| error.tracking_refused(!handshake.is_late()))?;
        } else if skipped & SCRIPT == 0 {
            self.try_script(handshake).await?;
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

    /// Loads the script into the server's cache of scripts, and checks that the server runs it: without it
    /// nothing can be stored. In a cluster only loads it, since to run it takes a key in the node's slots.
    async fn try_script(&self, handshake: &mut Handshake) -> Result<(), StepError> {
        if self.server.part == Part::Node {
            return handshake.send(&["SCRIPT", "LOAD", COMPARE_AND_SET], SCRIPT).await.map(drop);
        }
        let probe =
            ["EVAL", COMPARE_AND_SET, "1", &self.probe_key, IMPOSSIBLE_PREFIX, "delete", "", "0"];
        if let Err(refusal) = handshake.send(&probe, SCRIPT).await?
            && write_pause::refuses_all_writes(&refusal)
        {
            self.writes.pause(&refusal);
        }
        Ok(())
    }
}

/// The commands of one handshake, sent one after the other.
struct Handshake {
    connection: MultiplexedConnection,
    began: Instant,
    /// For all commands together.
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

    /// Sends a command. The inner `Err` is the server's error reply; the outer one a hang-up or a timeout.
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

/// The name of a command, without its arguments, for errors.
fn step(words: &[&str]) -> String {
    let long = ["CLIENT", "SCRIPT"].contains(&words[0]);
    format!("`{}`", words[..=usize::from(long)].join(" "))
}

fn hung_up(error: &RedisError) -> String {
    format!("the server closed the connection ({})", server_message(error))
}

impl ConnectError {
    /// Whether the server closed a connection that had been established.
    pub(super) fn is_hang_up(&self) -> bool {
        let error = &self.error;
        error.is_io_error() && error.is_connection_dropped() && !error.is_connection_refusal()
    }

    /// Whether RESP2, which has no `HELLO`, may succeed. A wrong password, a server that loads its data and one
    /// with too many clients fail there too.
    pub(super) fn refuses_hello(&self) -> bool {
        let error = &self.error;
        let wrong = matches!(error.code(), Some("WRONGPASS" | "LOADING"))
            || error.kind() == ErrorKind::AuthenticationFailed
            || server_message(error).contains("max number of clients");
        self.step == Step::Login && !wrong && (!error.is_io_error() || self.is_hang_up())
    }
}
