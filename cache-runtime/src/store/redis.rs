//! The store in Redis: the commands of the contract, sent over the lanes of the server that has each name.

mod admin;
mod clear;
#[cfg(feature = "cluster")]
mod cluster;
mod keyed_commands;
mod script;

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use deadpool_redis::redis::{self, Cmd, Pipeline, Value};

use super::contract::{Fault, Found, Read};
use super::lanes::{
    Batch, CommandError, Lane, LaneId, Lanes, PendingRead, SHORTEST_WATCHED, ServerState,
    SingleRead, State, Subscription, WRONG_TYPE, unexpected_reply,
};
use super::servers::{LanesRef, Servers};
use crate::config::{Config, Deployment};
use crate::deadline;
use crate::entry::{EntryId, LONGEST_TTL, Token, Tokens};
use crate::key::Key;
use crate::versions::Versions;
pub use clear::escape_glob;
use keyed_commands::KeyedCommands;

/// Commands in flight past which further calls run uncached: a longer queue means that Redis does not keep up.
const IN_FLIGHT: usize = 4096;

/// The same for a cluster, where reads count too: each name is read by a command of its own.
const IN_FLIGHT_APART: usize = 1 << 16;

/// Upper bound of a read's limit, so that `Instant + limit` cannot overflow.
const MAX_WAIT: Duration = Duration::from_secs(60 * 60 * 24);

/// The longest lifetime that is sent, since Redis refuses an expiry that overflows. An entry lives for its TTL and
/// its stale window, and tokens for twice as long and the longest run, all below this bound: an entry whose life
/// was cut would be taken for older than it is, since its age is computed from the remaining TTL.
const MAX_LIFE: Duration = LONGEST_TTL.saturating_mul(8);

pub(crate) struct Redis {
    servers: Servers,
    /// Bumped by this process's own writes at once, before Redis pushes their invalidations.
    versions: Arc<Versions>,
    in_flight: AtomicUsize,
    /// Commands in flight past which calls run plainly.
    max_in_flight: usize,
    timeout: Duration,
}

impl Redis {
    pub(crate) fn new(
        deployment: &Deployment,
        config: &Config,
        versions: Arc<Versions>,
    ) -> Result<Self, String> {
        let servers = Servers::new(deployment, config, &versions)?;
        let max_in_flight = if servers.is_cluster() { IN_FLIGHT_APART } else { IN_FLIGHT };
        Ok(Self {
            servers,
            versions,
            in_flight: AtomicUsize::new(0),
            max_in_flight,
            timeout: config.timeout,
        })
    }

    pub(crate) fn close(&self) {
        self.servers.close();
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.servers.is_closed()
    }

    pub(crate) fn is_down(&self) -> bool {
        self.servers.is_down()
    }

    pub(crate) fn state(&self) -> State {
        self.servers.state()
    }

    /// Each known server, by address.
    pub(crate) fn servers(&self) -> Vec<ServerState> {
        let mut servers: Vec<_> =
            self.servers.all().iter().map(|lanes| lanes.server_state()).collect();
        servers.sort_by(|one, other| one.address.cmp(&other.address));
        servers
    }

    pub(crate) fn last_error(&self) -> Option<String> {
        self.servers.last_error()
    }

    /// `Config::timeout`.
    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Whether the first dials of all lanes that the key needs have ended.
    pub(crate) fn is_ready(&self, key: &Key) -> bool {
        self.servers.is_ready(key)
    }

    /// Waits for the end of the first dials of all servers.
    pub(crate) async fn dialled(&self) {
        self.servers.dialled().await;
    }

    /// Waits for the end of the first dials of all lanes that the key needs.
    pub(crate) async fn ready(&self, key: &Key) {
        self.servers.ready(key).await;
    }

    /// Whether the tracking lanes are up; starts their dials at the first call.
    pub(crate) fn tracks_changes(&self) -> bool {
        match &self.servers {
            #[cfg(feature = "cluster")]
            Servers::Cluster(cluster) => cluster.tracks_changes(),
            servers => servers.one().is_some_and(|lanes| lanes.tracks_changes()),
        }
    }

    /// Subscribes to changes of a key; `None` while a tracking lane is down or unsupported.
    pub(crate) fn subscribe(&self, key: &Key) -> Option<Subscription> {
        match &self.servers {
            #[cfg(feature = "cluster")]
            Servers::Cluster(cluster) => cluster.subscribe(key),
            servers => servers.one()?.subscribe(key),
        }
    }

    /// Reads an entry and its tokens: at once if the lane has no read in flight, or else in the lane's next batch.
    pub(crate) fn read<'a>(&'a self, key: &'a Key, mode: Read, limit: Duration) -> Reading<'a> {
        #[cfg(feature = "cluster")]
        if let Servers::Cluster(cluster) = &self.servers {
            return Reading::Boxed(Box::pin(self.read_parts(cluster, key, mode, limit)));
        }
        match self.servers.one() {
            Some(lanes) => Self::read_from(lanes, key, mode, limit),
            None => Reading::Ready(Some(Err(Fault::Down))),
        }
    }

    fn read_from<'a>(
        lanes: LanesRef<'a>,
        key: &'a Key,
        mode: Read,
        limit: Duration,
    ) -> Reading<'a> {
        let timed = mode != Read::Plain;
        let slot = if mode == Read::Tracked { lanes.tracking_slot() } else { slot(&lanes, key) };
        match start_read(&lanes, slot, key, timed, limit) {
            Ok(StartedRead::Batched(id, pending)) => {
                let mut batched = BatchedRead { lanes, id, pending };
                if limit >= SHORTEST_WATCHED {
                    return Reading::Batched(batched);
                }
                Reading::Boxed(Box::pin(async move {
                    let found = deadline::timeout(limit, Pin::new(&mut batched)).await;
                    found.unwrap_or_else(|_| Err(fault(batched.read_timed_out())))
                }))
            }
            Ok(StartedRead::Alone(lane)) => Reading::Boxed(Box::pin(async move {
                read_alone(&lanes, lane, key, timed, limit).await.map_err(fault)
            })),
            Err(error) => Reading::Ready(Some(Err(fault(error)))),
        }
    }

    /// Whether the key holds another Redis type than a string, which `MGET` shows as absent.
    pub(crate) async fn is_of_another_type(&self, key: &Key, limit: Duration) -> bool {
        let mut query = KeyedCommands::of_entry(key);
        query.commands.cmd("TYPE").arg(key.entry());
        let replies = self.run(query, limit).await;
        let Ok([Value::SimpleString(kind)]) = replies.as_deref() else { return false };
        kind != "none" && kind != "string"
    }

    /// `SET NX` and `GET` of each missing token: the first process that sets a token makes it for all.
    pub(crate) async fn seed(
        &self,
        key: &Key,
        known: &[Option<Token>],
        life: Duration,
        limit: Duration,
    ) -> Result<Tokens, Fault> {
        let mut seeds = Vec::new();
        for name in key.tokens().zip(known).filter(|(_, token)| token.is_none()).map(|(n, _)| n) {
            if self.servers.are_writes_paused(key.function(), name) {
                return Err(Fault::ReadOnly);
            }
            let fresh = EntryId::fresh().ok_or(Fault::Down)?;
            let mut seed = KeyedCommands::of_token(key, name);
            let set = seed.commands.cmd("SET").arg(name).arg(&fresh.0[..]);
            set.arg("NX").arg("PX").arg(to_millis(life));
            seed.commands.cmd("GET").arg(name);
            seeds.push(seed);
        }
        let names: Vec<&str> = seeds.iter().map(|seed| seed.name).collect();
        let replies = self.run_all(seeds, limit).await;
        let mut made = names.into_iter().zip(replies);
        let tokens = known.iter().map(|token| match token {
            Some(token) => Ok(*token),
            None => made.next().map_or(Err(Fault::Down), |(name, made)| self.made(key, name, made)),
        });
        tokens.collect()
    }

    fn made(
        &self,
        key: &Key,
        name: &str,
        replies: Result<Vec<Value>, CommandError>,
    ) -> Result<Token, Fault> {
        match replies {
            Ok(mut replies) => match replies.pop() {
                Some(Value::BulkString(bytes)) => Ok(Token::of(&bytes)),
                // An invalidation came between `SET` and `GET`. The next call makes another token.
                Some(Value::Nil) => Err(Fault::Refused("a token went away".to_owned())),
                other => Err(unexpected(&other.unwrap_or(Value::Nil))),
            },
            Err(CommandError::Error { code, text }) if code != WRONG_TYPE => {
                self.servers.refuse_write(key.function(), name, &text);
                Err(Fault::ReadOnly)
            }
            Err(error) => Err(fault(error)),
        }
    }

    /// Removes entries and tokens: in one command, or, in a cluster, in rounds. Sent even while writes are paused,
    /// since it frees memory.
    pub(crate) async fn unlink(&self, names: &[String], limit: Duration) -> Result<(), Fault> {
        let reply = self.unlink_all(names, limit).await;
        // After the reply. A version that is taken earlier could be that of a read of the old entry.
        for name in names {
            self.versions.bump(name.as_bytes());
        }
        reply.map_err(fault)
    }

    async fn unlink_all(&self, names: &[String], limit: Duration) -> Result<(), CommandError> {
        #[cfg(feature = "cluster")]
        if let Servers::Cluster(cluster) = &self.servers {
            return self.unlink_in_rounds(cluster, names, limit).await;
        }
        let (mut unlink, began) = (redis::cmd("UNLINK"), Instant::now());
        unlink.arg(names);
        loop {
            let lanes = self.servers.one().ok_or(CommandError::Down)?;
            let left = limit.saturating_sub(began.elapsed());
            self.send(&lanes, lanes.any_lane(), left, &unlink).await?;
            // A server that has been replaced as the master loses the removal: repeat it at the new master.
            if self.servers.one().is_some_and(|now| Arc::ptr_eq(&now, &lanes)) {
                return Ok(());
            }
        }
    }

    /// Whether one `UNLINK` removes any number of names: not in a cluster.
    pub(crate) fn unlinks_together(&self) -> bool {
        !self.servers.is_cluster()
    }

    async fn send(
        &self,
        lanes: &Arc<Lanes>,
        lane: Option<Arc<Lane>>,
        limit: Duration,
        command: &Cmd,
    ) -> Result<Value, CommandError> {
        let (lane, _permit) = self.enter(lane)?;
        let mut connection = lane.connection();
        let reply = pin!(connection.send_packed_command(command));
        lanes.send(&lane, limit, 1, reply).await
    }

    /// Sends several commands in one round trip. The first error among the replies fails them all.
    async fn pipeline(
        &self,
        lanes: &Arc<Lanes>,
        lane: Option<Arc<Lane>>,
        limit: Duration,
        commands: &Pipeline,
    ) -> Result<Vec<Value>, CommandError> {
        let (lane, _permit) = self.enter(lane)?;
        let mut connection = lane.connection();
        let replies = pin!(async {
            let replies = connection.send_packed_commands(commands, 0, commands.len()).await?;
            Ok(Value::Array(replies))
        });
        match lanes.send(&lane, limit, 1, replies).await? {
            Value::Array(replies) => Ok(replies),
            _ => Ok(Vec::new()),
        }
    }

    fn enter(&self, lane: Option<Arc<Lane>>) -> Result<(Arc<Lane>, InFlight<'_>), CommandError> {
        let lane = lane.ok_or(CommandError::Down)?;
        Ok((lane, InFlight::enter(&self.in_flight, self.max_in_flight).ok_or(CommandError::Busy)?))
    }

    /// Whether writes to a key are paused.
    pub(crate) fn is_write_paused(&self, key: &Key) -> bool {
        self.servers.are_writes_paused(key.function(), key.entry())
    }
}

/// The slot of a key's lane.
fn slot(lanes: &Lanes, key: &Key) -> usize {
    lanes.slot_of(key.hash, key.bulk)
}

fn start_read(
    lanes: &Lanes,
    slot: usize,
    key: &Key,
    timed: bool,
    limit: Duration,
) -> Result<StartedRead, CommandError> {
    let lane = lanes.peek(slot);
    let lane = lane.as_ref().ok_or(CommandError::Down)?;
    let others = lane.begin_to_read().ok_or(CommandError::Busy)?;
    // A bulk read would delay its batch, and a timeout of a read with little time left must not count against
    // the lane.
    Ok(if others && !key.bulk && lanes.is_ample(limit) {
        let pending = lane.reads.enqueue(key, timed, Instant::now() + limit.min(MAX_WAIT));
        StartedRead::Batched(LaneId::of(lane), pending)
    } else {
        StartedRead::Alone(SingleRead(lane.clone()))
    })
}

async fn read_alone(
    lanes: &Arc<Lanes>,
    reading: SingleRead,
    key: &Key,
    timed: bool,
    limit: Duration,
) -> Result<Found, CommandError> {
    let mut batch = Batch::with_room(1);
    batch.add(key, timed);
    let lane = &reading.0;
    let mut connection = lane.connection();
    let reply = pin!(batch.send(&mut connection));
    let found = batch.answers(lanes.record_read(lanes.send(lane, limit, 1, reply).await)?)?;
    Ok(found.into_iter().next().unwrap_or_default())
}

/// A read that was queued, or is to be sent alone.
enum StartedRead {
    Batched(LaneId, PendingRead),
    Alone(SingleRead),
}

/// A read's future. The rare cases are boxed, since every call's future has room for this one.
pub(crate) enum Reading<'a> {
    /// The result, which was known at once; `None` once it was taken.
    Ready(Option<Result<Found, Fault>>),
    Batched(BatchedRead<'a>),
    Boxed(Pin<Box<dyn Future<Output = Result<Found, Fault>> + Send + 'a>>),
}

impl Future for Reading<'_> {
    type Output = Result<Found, Fault>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.get_mut() {
            Self::Ready(found) => found.take().map_or(Poll::Pending, Poll::Ready),
            Self::Batched(reading) => Pin::new(reading).poll(cx),
            Self::Boxed(reading) => reading.as_mut().poll(cx),
        }
    }
}

/// A read in a lane's batch.
pub(crate) struct BatchedRead<'a> {
    lanes: LanesRef<'a>,
    id: LaneId,
    pending: PendingRead,
}

impl BatchedRead<'_> {
    /// Counts the timeout against the lane.
    fn read_timed_out(&self) -> CommandError {
        self.lanes.read_timed_out(self.id);
        CommandError::Timeout
    }
}

impl Future for BatchedRead<'_> {
    type Output = Result<Found, Fault>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.pending).poll(cx).map(|found| {
            if matches!(found, Err(CommandError::Timeout)) {
                self.read_timed_out();
            }
            found.map_err(fault)
        })
    }
}

/// A permit for one command in flight.
struct InFlight<'a>(&'a AtomicUsize);

impl<'a> InFlight<'a> {
    fn enter(count: &'a AtomicUsize, max_in_flight: usize) -> Option<Self> {
        let permit = Self(count);
        (count.fetch_add(1, Ordering::Relaxed) < max_in_flight).then_some(permit)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn fault(error: CommandError) -> Fault {
    match error {
        CommandError::Timeout => Fault::Timeout,
        CommandError::Down => Fault::Down,
        // Redirected too often: the nodes do not agree on which of them has the name.
        #[cfg(feature = "cluster")]
        CommandError::Redirected { .. } => Fault::Down,
        CommandError::Busy => Fault::Busy,
        CommandError::Error { code: WRONG_TYPE, .. } => Fault::WrongType,
        CommandError::Error { text, .. } => Fault::Refused(text),
    }
}

/// A lifetime in milliseconds, within what Redis accepts: at least 1, and [`MAX_LIFE`] at most.
fn to_millis(life: Duration) -> u64 {
    life.min(MAX_LIFE).as_millis().max(1) as u64
}

fn unexpected(reply: &Value) -> Fault {
    fault(unexpected_reply(reply))
}
