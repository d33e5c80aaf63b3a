//! Making one lane.

use std::convert::Infallible;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use deadpool_redis::redis::io::tcp::socket2::TcpKeepalive;
#[cfg(any(feature = "cluster", feature = "sentinel"))]
use deadpool_redis::redis::{self, aio::MultiplexedConnection};
use deadpool_redis::redis::{
    AsyncConnectionConfig, ConnectionInfo, ProtocolVersion, RedisConnectionInfo, RedisResult, Value,
};
use deadpool_redis::{Connection, Manager, Pool, PoolConfig, Runtime, Timeouts};
use tokio::runtime::Handle;
use tokio::sync::Notify;

use super::{Anchor, Ears, Lane, Lanes, tls};
#[cfg(any(feature = "cluster", feature = "sentinel"))]
use super::{meet, told};
use crate::background;
use crate::config::{Config, Part, Server};
use crate::store::redis::{Asks, gather, watch};

/// After so much silence the kernel asks whether a connection is there. Lanes are asked sooner; what
/// asks sentinels and nodes where the data is may be silent for longer.
const KEEPALIVE: Duration = Duration::from_secs(15);

/// How many lanes there have been.
static DIALLED: AtomicU64 = AtomicU64::new(0);

pub(super) type Dialled = Result<(Connection, Arc<Lane>), String>;

impl Lanes {
    /// Dials on the runtime that is to drive the connection.
    pub(super) async fn dial_at_home(self: &Arc<Self>, index: usize) -> Dialled {
        let private =
            index == self.listener() || self.slots[index].privately.load(Ordering::Relaxed);
        let Some(home) = self.home.get().filter(|_| !private) else {
            return self.clone().dial(index, None).await;
        };
        let dial = self.clone().dial(index, Some(home.clone()));
        let mut dial = home.spawn(dial);
        // Its own timers are those of a runtime that may be too busy for them.
        let patience = self.connect_timeout.saturating_mul(3);
        match tokio::time::timeout(patience, &mut dial).await {
            Ok(Ok(dialled)) => return dialled,
            Ok(Err(ended)) => self.home.forget(ended.is_panic()),
            Err(_) => {
                dial.abort();
                self.home.forget(false);
            }
        }
        self.clone().dial(index, None).await
    }

    async fn dial(self: Arc<Self>, index: usize, home: Option<Handle>) -> Dialled {
        let met = self.meet(index).await?;
        if index == self.listener() {
            // Whoever takes a lane out does this too, but may be late with it.
            self.ears.everything();
        }
        if self.server.part != Part::Node {
            self.heard(index, met.sent, &Value::Nil);
        }
        let asks = Asks::new();
        let gone = Arc::new(Notify::new());
        let anchor = home.map(|home| Anchor::at(&home, gone.clone()));
        let lane = Arc::new(Lane {
            index,
            number: DIALLED.fetch_add(1, Ordering::Relaxed),
            born: Instant::now(),
            connection: met.connection,
            strikes: AtomicU32::new(0),
            gone,
            why: OnceLock::new(),
            tells_role: met.tells_role,
            asks: asks.clone(),
            reading: AtomicUsize::new(0),
            anchor,
        });
        background::spawn(watch(asks.clone()));
        tokio::spawn(gather(Arc::downgrade(&self), Arc::downgrade(&lane), asks));
        Ok((met.object, lane))
    }
}

pub(super) fn pool(
    server: &Server,
    config: &Config,
    protocol: ProtocolVersion,
    ears: Option<Arc<Ears>>,
) -> Result<Pool, String> {
    let options = match ears {
        Some(ears) => options(config).set_push_sender(move |push| {
            ears.push(&push);
            Ok::<_, Infallible>(())
        }),
        None => options(config),
    };
    let manager = info(server, protocol).and_then(|info| Manager::new_with_config(info, options));
    let timeouts = Timeouts {
        wait: Some(config.connect_timeout),
        create: Some(config.connect_timeout),
        recycle: Some(config.timeout),
    };
    // One more than the lanes: bulk work has a connection of its own.
    let sizes = PoolConfig { max_size: config.pool_size + 1, timeouts, ..PoolConfig::default() };
    let manager = manager.map_err(|error| error.to_string())?;
    let builder = Pool::builder(manager).config(sizes).runtime(Runtime::Tokio1);
    builder.build().map_err(|error| error.to_string())
}

fn info(server: &Server, protocol: ProtocolVersion) -> RedisResult<ConnectionInfo> {
    let access = &server.access;
    // The database is chosen later, so that it is known which step has failed; and without
    // `CLIENT SETINFO`, at which some proxies hang up.
    let login = RedisConnectionInfo::default().set_protocol(protocol);
    let mut login = login.set_skip_set_lib_name();
    if let Some(username) = &access.username {
        login = login.set_username(username);
    }
    if let Some(password) = &access.password {
        login = login.set_password(password);
    }
    let info = tls::place(server)?.set_redis_settings(login);
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE);
    let tcp = info.tcp_settings().clone().set_nodelay(true).set_keepalive(keepalive);
    Ok(info.set_tcp_settings(tcp))
}

fn options(config: &Config) -> AsyncConnectionConfig {
    AsyncConnectionConfig::new()
        .set_connection_timeout(Some(config.connect_timeout))
        // Deadlines are ours: they differ from call to call, and run on the private clock.
        .set_response_timeout(None)
        .set_pipeline_buffer_size(1024)
}

/// A connection outside the lanes, to ask where the data is; `pushed` is called for each push. In RESP2
/// there are none.
#[cfg(any(feature = "cluster", feature = "sentinel"))]
pub(crate) async fn aside(
    server: &Server,
    config: &Config,
    pushed: impl Fn() + Clone + Send + Sync + 'static,
) -> Result<(MultiplexedConnection, bool), String> {
    let dial = async |resp3| {
        let protocol = if resp3 { ProtocolVersion::RESP3 } else { ProtocolVersion::RESP2 };
        let mut options = options(config);
        if resp3 {
            let pushed = pushed.clone();
            options = options.set_push_sender(move |_| {
                pushed();
                Ok::<_, Infallible>(())
            });
        }
        let client = redis::Client::open(info(server, protocol)?)?;
        client.get_multiplexed_async_connection_with_config(&options).await
    };
    let first = dial(!server.access.resp2).await;
    let (dialled, resp3) = match first {
        Err(error) if !server.access.resp2 && meet::refuses_hello(&error) => {
            (dial(false).await, false)
        }
        first => (first, !server.access.resp2),
    };
    dialled.map(|connection| (connection, resp3)).map_err(|error| told(&error))
}
