//! Making one lane.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};

use deadpool::Runtime;
use deadpool::managed::{
    self, Metrics, PoolConfig, PoolError, RecycleError, RecycleResult, Timeouts,
};
use deadpool_redis::redis::aio::MultiplexedConnection;
use deadpool_redis::redis::{
    self, AsyncConnectionConfig, ProtocolVersion, RedisError, RedisResult, Value,
};
use tokio::runtime::Handle;
use tokio::sync::Notify;

use super::connect::{Connector, Link};
use super::{Anchor, Ears, Lane, Lanes, told};
use crate::background;
use crate::clock::Coarse;
use crate::config::{Config, Part};
use crate::store::redis::{Asks, COMPARE_AND_SET, gather, watch};

/// How many lanes there have been.
static DIALLED: AtomicU64 = AtomicU64::new(0);

pub(super) type Pool = managed::Pool<Dialler>;

/// One of a pool, for a lane.
pub(super) type Connection = managed::Object<Dialler>;

type Dialled = Result<(Connection, Arc<Lane>), String>;

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
        let listens = index == self.listener();
        let object = if listens {
            self.listening.get().await.map_err(why)?
        } else {
            self.dial_in_any_protocol().await.map_err(why)?
        };
        let link = Link::clone(&object);
        let mut connection = link.connection();
        let sent = Coarse::now();
        // The first command finds what connecting does not: a missing password, a loading server.
        let hello = async {
            ask(&mut connection, &["PING"]).await?;
            if self.server.part == Part::Master {
                be_a_master(&mut connection).await?;
            }
            if listens {
                // Not `NOLOOP`: it would silently untrack what this lane itself writes.
                return ask(&mut connection, &["CLIENT", "TRACKING", "ON"]).await;
            }
            // Refused by some ACLs and proxies; the writes then find that out for themselves.
            let _ = ask(&mut connection, &["SCRIPT", "LOAD", COMPARE_AND_SET]).await;
            Ok(())
        };
        tokio::time::timeout(self.connect_timeout, hello)
            .await
            .map_err(|_| "the server accepts connections and does not answer".to_owned())??;
        if listens {
            // Whoever takes a lane out does this too, but may be late with it.
            self.ears.everything();
        }
        if self.server.part != Part::Node {
            self.heard(index, sent, &Value::Nil);
        }
        let asks = Asks::new();
        let gone = Arc::new(Notify::new());
        let anchor = home.map(|home| Anchor::at(&home, gone.clone()));
        let lane = Arc::new(Lane {
            index,
            number: DIALLED.fetch_add(1, Ordering::Relaxed),
            connection,
            _link: link,
            strikes: AtomicU32::new(0),
            gone,
            asks: asks.clone(),
            reading: AtomicUsize::new(0),
            anchor,
        });
        background::spawn(watch(asks.clone()));
        tokio::spawn(gather(Arc::downgrade(&self), Arc::downgrade(&lane), asks));
        Ok((object, lane))
    }

    async fn dial_in_any_protocol(&self) -> Result<Connection, PoolError<RedisError>> {
        let resp2 = self.resp2.load(Ordering::Relaxed);
        let dialled = self.pools[usize::from(resp2)].get().await;
        match dialled {
            Err(PoolError::Backend(error)) if !resp2 && refuses_hello(&error) => {
                let dialled = self.pools[1].get().await;
                self.resp2.store(dialled.is_ok(), Ordering::Relaxed);
                dialled
            }
            dialled => dialled,
        }
    }
}

async fn ask(connection: &mut MultiplexedConnection, words: &[&str]) -> Result<(), String> {
    let mut command = redis::cmd(words[0]);
    command.arg(&words[1..]);
    let reply = connection.send_packed_command(&command).await;
    reply.and_then(Value::extract_error).map(drop).map_err(|error| told(&error))
}

/// Refuses a replica: the sentinels may name one that is about to be promoted, or no master any more.
async fn be_a_master(connection: &mut MultiplexedConnection) -> Result<(), String> {
    // An ACL may forbid the question; then the writes find out.
    let role = connection.send_packed_command(&redis::cmd("ROLE")).await;
    let Ok(Value::Array(role)) = role else { return Ok(()) };
    match role.first() {
        Some(Value::BulkString(role)) if role != b"master" => Err("it is no master".to_owned()),
        _ => Ok(()),
    }
}

fn why(error: PoolError<RedisError>) -> String {
    match error {
        PoolError::Backend(error) => told(&error),
        PoolError::Timeout(_) => "the connection was not made in time".to_owned(),
        error => error.to_string(),
    }
}

fn refuses_hello(error: &redis::RedisError) -> bool {
    let auth = matches!(error.code(), Some("NOAUTH" | "WRONGPASS" | "NOPERM" | "LOADING"))
        || error.kind() == redis::ErrorKind::AuthenticationFailed;
    !auth && !error.is_io_error() && !error.is_timeout()
}

pub(super) fn pool(
    connector: &Arc<Connector>,
    config: &Config,
    protocol: ProtocolVersion,
    ears: Option<Arc<Ears>>,
) -> Result<Pool, String> {
    let options = match ears {
        Some(ears) => options().set_push_sender(move |push| {
            ears.push(&push);
            Ok::<_, Infallible>(())
        }),
        None => options(),
    };
    let timeouts = Timeouts {
        wait: Some(config.connect_timeout),
        create: Some(config.connect_timeout),
        recycle: Some(config.timeout),
    };
    // One more than the lanes: bulk work has a connection of its own.
    let sizes = PoolConfig { max_size: config.pool_size + 1, timeouts, ..PoolConfig::default() };
    let dialler = Dialler { connector: connector.clone(), protocol, options };
    let builder = Pool::builder(dialler).config(sizes).runtime(Runtime::Tokio1);
    builder.build().map_err(|error| error.to_string())
}

/// Makes the connections of a pool.
pub(super) struct Dialler {
    connector: Arc<Connector>,
    protocol: ProtocolVersion,
    options: AsyncConnectionConfig,
}

impl managed::Manager for Dialler {
    type Type = Link;
    type Error = RedisError;

    async fn create(&self) -> RedisResult<Link> {
        self.connector.connect(self.protocol, self.options.clone()).await
    }

    async fn recycle(&self, _: &mut Link, _: &Metrics) -> RecycleResult<RedisError> {
        Err(RecycleError::message("a lane that was left is not used again"))
    }
}

/// Deadlines are ours: they differ from call to call, and run on the private clock.
fn options() -> AsyncConnectionConfig {
    AsyncConnectionConfig::new().set_response_timeout(None).set_pipeline_buffer_size(1024)
}

/// A connection outside the lanes, to ask where the data is; `pushed` is called for each push. In RESP2
/// there are none.
#[cfg(any(feature = "cluster", feature = "sentinel"))]
pub(crate) async fn aside(
    connector: &Connector,
    pushed: impl Fn() + Clone + Send + Sync + 'static,
) -> Result<(Link, bool), String> {
    let dial = async |resp3| {
        let protocol = if resp3 { ProtocolVersion::RESP3 } else { ProtocolVersion::RESP2 };
        let mut options = options();
        if resp3 {
            let pushed = pushed.clone();
            options = options.set_push_sender(move |_| {
                pushed();
                Ok::<_, Infallible>(())
            });
        }
        connector.connect(protocol, options).await
    };
    let resp2 = connector.resp2.load(Ordering::Relaxed);
    let first = dial(!resp2).await;
    let (dialled, resp3) = match first {
        Err(error) if !resp2 && refuses_hello(&error) => (dial(false).await, false),
        first => (first, !resp2),
    };
    if !resp3 && dialled.is_ok() {
        connector.resp2.store(true, Ordering::Relaxed);
    }
    dialled.map(|link| (link, resp3)).map_err(|error| told(&error))
}
