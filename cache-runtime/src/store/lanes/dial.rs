//! Dials one lane, and builds the pools that dials take connections from.

use std::convert::Infallible;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use deadpool::Runtime;
use deadpool::managed::{self, Metrics, PoolConfig, RecycleError, RecycleResult, Timeouts};
use deadpool_redis::redis::{AsyncConnectionConfig, ProtocolVersion, Value};
use tokio::runtime::Handle;
use tokio::sync::Notify;

use super::connect::{ConnectError, Connector, Link};
use super::reads::{ReadQueue, gather, watch};
use super::{Anchor, Lane, Lanes, Tracking};
use crate::background;
use crate::config::{Config, Part};

/// The number of the next lane.
static NEXT_NUMBER: AtomicU64 = AtomicU64::new(0);

pub(super) type Pool = managed::Pool<Dialler>;

/// A connection as the pool hands it out; a lane's is held until the lane has ended.
pub(super) type Connection = managed::Object<Dialler>;

pub(super) type Dialled = Result<(Connection, Arc<Lane>), DialError>;

/// Why a dial failed.
pub(super) struct DialError {
    pub(super) why: String,
    /// The server was reached, and refused or hung up at a step that only the tracking lane needs.
    pub(super) tracking_refused: bool,
}

impl Lanes {
    /// Dials a slot's lane on the runtime that is to drive it: the caller's, or else the private one.
    pub(super) async fn dial(self: &Arc<Self>, index: usize) -> Dialled {
        let private = index == self.tracking_slot()
            || self.slots[index].dial_privately.load(Ordering::Relaxed);
        let Some(handle) = self.affinity.get().filter(|_| !private) else {
            return self.clone().dial_on(index, None).await;
        };
        let dial = self.clone().dial_on(index, Some(handle.clone()));
        let mut dial = handle.spawn(dial);
        // This timer is the private runtime's: those of a busy runtime may not fire. Credentials, connecting and
        // the handshake take one `connect_timeout` each.
        let limit = self.connect_timeout.saturating_mul(4);
        match tokio::time::timeout(limit, &mut dial).await {
            Ok(Ok(dialled)) => return dialled,
            Ok(Err(ended)) => self.affinity.forget(ended.is_panic()),
            Err(_) => {
                dial.abort();
                self.affinity.forget(false);
            }
        }
        self.clone().dial_on(index, None).await
    }

    async fn dial_on(self: Arc<Self>, index: usize, handle: Option<Handle>) -> Dialled {
        let greeted = self.handshake(index).await?;
        if index == self.tracking_slot() {
            // Eviction also invalidates everything, but may not have run yet.
            self.tracking.invalidate_all();
        }
        if self.server.part != Part::Node {
            self.heartbeat_answered(index, greeted.sent, &Value::Nil);
        }
        let reads = ReadQueue::new();
        let ended = Arc::new(Notify::new());
        let anchor = handle.map(|handle| Anchor::at(&handle, ended.clone()));
        let lane = Arc::new(Lane {
            index,
            number: NEXT_NUMBER.fetch_add(1, Ordering::Relaxed),
            born: Instant::now(),
            connection: greeted.connection,
            _link: Link::clone(&greeted.object),
            timeouts: AtomicU32::new(0),
            ended,
            close_reason: OnceLock::new(),
            reports_role: greeted.reports_role,
            reads: reads.clone(),
            reads_in_flight: AtomicUsize::new(0),
            anchor,
        });
        background::spawn(watch(reads.clone()));
        tokio::spawn(gather(Arc::downgrade(&self), Arc::downgrade(&lane), reads));
        Ok((greeted.object, lane))
    }
}

pub(super) fn pool(
    connector: &Arc<Connector>,
    config: &Config,
    protocol: ProtocolVersion,
    tracking: Option<Arc<Tracking>>,
) -> Result<Pool, String> {
    let options = match tracking {
        Some(tracking) => options().set_push_sender(move |push| {
            tracking.push(&push);
            Ok::<_, Infallible>(())
        }),
        None => options(),
    };
    let timeouts = Timeouts {
        wait: Some(config.connect_timeout),
        // [`Connector::connect`] has limits of its own.
        create: None,
        recycle: Some(config.timeout),
    };
    // One more than the lanes for keys: bulk work has a lane of its own.
    let sizes = PoolConfig { max_size: config.pool_size + 1, timeouts, ..PoolConfig::default() };
    let dialler = Dialler { connector: connector.clone(), protocol, options };
    let builder = Pool::builder(dialler).config(sizes).runtime(Runtime::Tokio1);
    builder.build().map_err(|error| error.to_string())
}

/// Makes the connections of one pool: one protocol, with or without client tracking.
pub(super) struct Dialler {
    connector: Arc<Connector>,
    protocol: ProtocolVersion,
    options: AsyncConnectionConfig,
}

impl managed::Manager for Dialler {
    type Type = Link;
    type Error = ConnectError;

    async fn create(&self) -> Result<Link, ConnectError> {
        self.connector.connect(self.protocol, self.options.clone()).await
    }

    async fn recycle(&self, _: &mut Link, _: &Metrics) -> RecycleResult<ConnectError> {
        // Never reached: an object is taken from the pool when its lane has ended.
        Err(RecycleError::message("a lane that was left is not used again"))
    }
}

/// No response timeout of the library: deadlines differ from call to call, and run on the private runtime.
fn options() -> AsyncConnectionConfig {
    AsyncConnectionConfig::new().set_response_timeout(None).set_pipeline_buffer_size(1024)
}

/// Makes a connection beside the lanes, to a sentinel or for `CLUSTER SLOTS`; whether it speaks RESP3. If so,
/// `on_push` is called for each push. RESP2 has no pushes.
#[cfg(any(feature = "cluster", feature = "sentinel"))]
pub(crate) async fn connect_aside(
    connector: &Connector,
    on_push: impl Fn() + Clone + Send + Sync + 'static,
) -> Result<(Link, bool), String> {
    let dial = async |resp3| {
        let protocol = if resp3 { ProtocolVersion::RESP3 } else { ProtocolVersion::RESP2 };
        let mut options = options();
        if resp3 {
            let on_push = on_push.clone();
            options = options.set_push_sender(move |_| {
                on_push();
                Ok::<_, Infallible>(())
            });
        }
        connector.connect(protocol, options).await
    };
    let resp2 = connector.resp2.load(Ordering::Relaxed);
    let first = dial(!resp2).await;
    let refused = first.as_ref().err().filter(|error| !resp2 && error.refuses_hello());
    // Only a reply is remembered. A hang-up may be a server's shutdown, and its successor may take `HELLO`.
    let refused_by_reply = refused.is_some_and(|error| !error.is_hang_up());
    let (dialled, resp3) =
        if refused.is_some() { (dial(false).await, false) } else { (first, !resp2) };
    if refused_by_reply && dialled.is_ok() {
        connector.resp2.store(true, Ordering::Relaxed);
    }
    dialled.map(|link| (link, resp3)).map_err(|error| error.to_string())
}
