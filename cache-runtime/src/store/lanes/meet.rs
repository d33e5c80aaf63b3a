//! The first words on a connection: what has to work, what a lane does without, and at which step it
//! came to an end.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use deadpool::managed::PoolError;
use deadpool_redis::redis::aio::MultiplexedConnection;
use deadpool_redis::redis::{self, ErrorKind, RedisError, Value};

use super::connect::{Step, Undialled};
use super::dial::{Connection, Undone};
use super::heartbeat::is_master;
use super::{COMPARE_AND_SET, Lanes, server_message, write_pause};
use crate::clock::Coarse;
use crate::config::Part;

/// For how long a step is left out at which a server has hung up. It may be another server then.
const SPARED: Duration = Duration::from_secs(60);

/// Steps that a dial can do without, as bits.
const HELLO: u8 = 1;
const ROLE: u8 = 2;
const SCRIPT: u8 = 4;
/// One that it cannot do without.
const NEEDED: u8 = 0;

/// What no entry begins with, and is longer than a token.
const NOTHING_BEGINS_SO: &str = "no entry begins with this";

/// The steps that dials leave out.
#[derive(Default)]
pub(super) struct Spared(Mutex<Option<(u8, Instant)>>);

impl Spared {
    fn get(&self) -> u8 {
        self.lock().filter(|(_, since)| since.elapsed() < SPARED).map_or(0, |(steps, _)| steps)
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
pub(super) struct Met {
    pub(super) object: Connection,
    pub(super) connection: MultiplexedConnection,
    /// When the first answer was asked for.
    pub(super) sent: Coarse,
    pub(super) tells_role: bool,
}

/// Why a connection was not made.
struct Ended {
    why: String,
    /// The step without which it may work.
    without: u8,
    /// See [`Undone::is_deaf`].
    is_deaf: bool,
}

impl Ended {
    fn at(step: &str, why: &str, without: u8) -> Self {
        Self { why: format!("{step}: {why}"), without, is_deaf: false }
    }

    fn early(why: String) -> Self {
        Self { why, without: NEEDED, is_deaf: false }
    }

    fn deaf(mut self, is_deaf: bool) -> Self {
        self.is_deaf = is_deaf;
        self
    }
}

impl Lanes {
    /// Makes a connection, without what the server refuses or hangs up on, where that is no need.
    pub(super) async fn meet(&self, index: usize) -> Result<Met, Undone> {
        let mut refused_hello: Option<String> = None;
        let mut hung_up_at_script = false;
        let mut spared = self.spared.get();
        if self.server.access.resp2 {
            spared |= HELLO;
        }
        loop {
            match self.meet_without(index, spared).await {
                Ok(met) => {
                    self.spared.keep(spared);
                    // The node of a cluster is not tried: its writes find out.
                    if spared & SCRIPT != 0 && self.server.part != Part::Node {
                        let why = format!(
                            "it {} at `EVAL`, and scripts are needed",
                            write_pause::HANGS_UP
                        );
                        self.writes.pause_for(SPARED, &why);
                    }
                    return Ok(met);
                }
                // A connection may break at that very moment: a server that takes no scripts does it again.
                Err(ended) if ended.without & !spared == SCRIPT && !hung_up_at_script => {
                    hung_up_at_script = true;
                }
                Err(ended) if ended.without & !spared != NEEDED => {
                    if ended.without == HELLO {
                        refused_hello = Some(ended.why);
                    }
                    spared |= ended.without;
                }
                Err(Ended { why, is_deaf, .. }) => {
                    // The refusal of `HELLO` may be the reason, and the other one its consequence.
                    let why = match refused_hello {
                        Some(first) => format!("{why} (before that, {first})"),
                        None => why,
                    };
                    return Err(Undone { why, is_deaf });
                }
            }
        }
    }

    async fn meet_without(&self, index: usize, spared: u8) -> Result<Met, Ended> {
        let listens = index == self.tracking_slot();
        let object = self.connect(listens, spared).await?;
        let connection = object.connection();
        let mut steps = Steps { connection, began: Instant::now(), limit: self.connect_timeout };
        let sent = Coarse::now();
        match self.greet(&mut steps, listens, spared).await {
            Ok(tells_role) => Ok(Met { object, connection: steps.connection, sent, tells_role }),
            Err(ended) => {
                // In the pool the next dial would find it, and not where the address leads to.
                drop(Connection::take(object));
                Err(ended)
            }
        }
    }

    /// Asks for everything that is needed; whether the server says if it is a master.
    async fn greet(&self, steps: &mut Steps, listens: bool, spared: u8) -> Result<bool, Ended> {
        let db = self.server.access.db;
        if db != 0 {
            steps.need(&["SELECT", &db.to_string()]).await?;
        }
        // It finds what connecting does not: a missing password, a loading server.
        steps.need(&["PING"]).await?;
        let asks_role = self.server.part != Part::Node && spared & ROLE == 0;
        let role = if asks_role { steps.ask(&["ROLE"], ROLE).await?.ok() } else { None };
        if role.as_ref().is_some_and(|role| self.is_demoted(role)) {
            let why = "the server is a replica, and no master any more";
            return Err(Ended::at("`ROLE`", why, NEEDED));
        }
        if listens {
            // Not `NOLOOP`: it would silently untrack what this lane itself writes.
            let tracks = steps.need(&["CLIENT", "TRACKING", "ON"]).await;
            tracks.map_err(|ended| ended.deaf(!steps.is_late()))?;
        } else if spared & SCRIPT == 0 {
            self.try_script(steps).await?;
        }
        Ok(role.as_ref().and_then(is_master).is_some())
    }

    async fn connect(&self, listens: bool, spared: u8) -> Result<Connection, Ended> {
        let resp2 = spared & HELLO != 0;
        let pool = if listens { &self.listening } else { &self.pools[usize::from(resp2)] };
        let login = if resp2 && !listens { "`AUTH`" } else { "`HELLO`" };
        let late = || format!("no connection, or no answer to {login}, in time");
        let undialled = match pool.get().await {
            Ok(object) => return Ok(object),
            Err(PoolError::Backend(undialled)) => undialled,
            Err(PoolError::Timeout(_)) => return Err(Ended::early(late())),
            Err(error) => return Err(Ended::early(error.to_string())),
        };
        let (refuses_hello, is_hang_up) = (undialled.refuses_hello(), undialled.is_hang_up());
        let Undialled { step, error } = undialled;
        Err(match step {
            _ if error.is_timeout() => Ended::early(late()),
            Step::Connecting => Ended::at("connecting", &server_message(&error), NEEDED),
            #[cfg(feature = "tls-no-provider")]
            Step::Tls => Ended::at("TLS", &server_message(&error), NEEDED),
            Step::Login => {
                let without = if !listens && refuses_hello { HELLO } else { NEEDED };
                let hung_up = is_hang_up.then(|| hung_up(&error));
                Ended::at(login, &hung_up.unwrap_or_else(|| server_message(&error)), without)
                    .deaf(listens && refuses_hello)
            }
        })
    }

    /// Leaves the script with the server, and sees whether it takes scripts at all: without them nothing
    /// can be stored. In a cluster a key would have to be the node's, so the writes find out.
    async fn try_script(&self, steps: &mut Steps) -> Result<(), Ended> {
        if self.server.part == Part::Node {
            return steps.ask(&["SCRIPT", "LOAD", COMPARE_AND_SET], SCRIPT).await.map(drop);
        }
        let trial =
            ["EVAL", COMPARE_AND_SET, "1", &self.trial, NOTHING_BEGINS_SO, "delete", "", "0"];
        if let Err(refusal) = steps.ask(&trial, SCRIPT).await?
            && write_pause::concerns_all(&refusal)
        {
            self.writes.pause(&refusal);
        }
        Ok(())
    }
}

/// Commands one after the other, on a connection that has just been made.
struct Steps {
    connection: MultiplexedConnection,
    began: Instant,
    /// For all of them together.
    limit: Duration,
}

impl Steps {
    fn is_late(&self) -> bool {
        self.began.elapsed() >= self.limit
    }

    async fn need(&mut self, words: &[&str]) -> Result<(), Ended> {
        match self.ask(words, NEEDED).await? {
            Ok(_) => Ok(()),
            Err(refusal) => Err(Ended::at(&step(words), &refusal, NEEDED)),
        }
    }

    /// The answer, or the error that the server answers with.
    async fn ask(&mut self, words: &[&str], without: u8) -> Result<Result<Value, String>, Ended> {
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]);
        let left = self.limit.saturating_sub(self.began.elapsed());
        let reply = tokio::time::timeout(left, self.connection.send_packed_command(&command)).await;
        match reply.map(|reply| reply.and_then(Value::extract_error)) {
            Ok(Ok(value)) => Ok(Ok(value)),
            Ok(Err(error)) if error.is_io_error() => {
                Err(Ended::at(&step(words), &hung_up(&error), without))
            }
            Ok(Err(error)) => Ok(Err(server_message(&error))),
            Err(_) => {
                let why = "the server accepts connections and does not answer in time";
                Err(Ended::at(&step(words), why, NEEDED))
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

impl Undialled {
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
