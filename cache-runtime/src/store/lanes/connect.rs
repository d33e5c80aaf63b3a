//! Makes one connection, with the addresses, certificates and credentials of that moment.
//!
//! The system's resolver, reading files, and the application's callback for credentials may block. They run
//! on a blocking thread, one at a time for each server: a resolver that hangs must neither stop the private
//! runtime, nor take one thread more for every dial that is retried.

use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;
#[cfg(any(feature = "cluster", feature = "sentinel"))]
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use deadpool_redis::redis::aio::MultiplexedConnection;
use deadpool_redis::redis::io::tcp::socket2::{SockRef, TcpKeepalive};
use deadpool_redis::redis::{
    AsyncConnectionConfig, ProtocolVersion, RedisConnectionInfo, RedisError,
};
use futures_util::future::select_ok;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::task::AbortHandle;

use super::server_message;
#[cfg(feature = "tls-no-provider")]
use super::tls;
use crate::background;
use crate::config::{Access, Address, Config, Server, Source};

/// Idle time before the kernel's first TCP keepalive probe. Lanes send heartbeats sooner; the connections
/// to sentinels and for `CLUSTER SLOTS` send none.
const KEEPALIVE: Duration = Duration::from_secs(15);

/// Makes connections to one server.
pub(crate) struct Connector {
    server: Server,
    /// `Config::connect_timeout`: for the credentials, and once more for the dial after them.
    limit: Duration,
    /// Whether connections beside the lanes start with RESP2: set by the URL, or once the server has refused
    /// `HELLO`.
    #[cfg(any(feature = "cluster", feature = "sentinel"))]
    pub(super) resp2: AtomicBool,
    /// Whether each dial resolves anew: for a host name, or for credentials or certificates that may change.
    resolves_anew: bool,
    params: Arc<Mutex<Option<DialParams>>>,
}

/// What a dial needs, and when it was resolved.
#[derive(Clone)]
struct DialParams {
    resolved: Instant,
    addresses: Vec<SocketAddr>,
    username: Option<String>,
    password: Option<String>,
    #[cfg(feature = "tls-no-provider")]
    tls: Option<tls::Client>,
}

/// A connection, and the task that drives it, which is aborted when the last clone is dropped.
#[derive(Clone)]
pub(crate) struct Link {
    connection: MultiplexedConnection,
    _driver: Arc<Driver>,
}

struct Driver(AbortHandle);

/// The step at which a connection failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Resolving the name, reading files, the credentials, or the TCP or Unix connection.
    Connecting,
    #[cfg(feature = "tls-no-provider")]
    Tls,
    /// `HELLO`, or `AUTH` with RESP2.
    Login,
}

/// Why a connection was not made.
#[derive(Debug)]
pub(crate) struct ConnectError {
    pub(super) step: Step,
    pub(super) error: RedisError,
}

impl ConnectError {
    fn at<E: Into<RedisError>>(step: Step) -> impl Fn(E) -> Self {
        move |error| Self { step, error: error.into() }
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&server_message(&self.error))
    }
}

trait Stream: AsyncRead + AsyncWrite + Send {}

impl<S: AsyncRead + AsyncWrite + Send> Stream for S {}

/// Checks the certificates that a server's URL names. Blocks: it reads their files.
#[cfg_attr(not(feature = "tls-no-provider"), expect(clippy::unnecessary_wraps, unused_variables))]
pub(crate) fn check(server: &Server) -> Result<(), String> {
    #[cfg(feature = "tls-no-provider")]
    if let Some(tls) = &server.access.tls {
        return tls::Client::check(tls);
    }
    Ok(())
}

impl Connector {
    pub(crate) fn new(server: &Server, config: &Config) -> Arc<Self> {
        Arc::new(Self {
            server: server.clone(),
            limit: config.connect_timeout,
            #[cfg(any(feature = "cluster", feature = "sentinel"))]
            resp2: AtomicBool::new(server.access.resp2),
            resolves_anew: is_a_name(&server.address) || server.access.may_change(),
            params: Arc::default(),
        })
    }

    #[cfg(any(feature = "cluster", feature = "sentinel"))]
    pub(crate) fn server(&self) -> &Server {
        &self.server
    }

    /// Dials on the current runtime, which then drives the connection.
    pub(crate) async fn connect(
        &self,
        protocol: ProtocolVersion,
        options: AsyncConnectionConfig,
    ) -> Result<Link, ConnectError> {
        let params = self.resolved().await?;
        let dial = async {
            let stream = self.stream(&params).await?;
            let info = params.info(protocol);
            let made = MultiplexedConnection::new_with_config(&info, stream, options).await;
            let (connection, driver) = made.map_err(ConnectError::at(Step::Login))?;
            let driver = Driver(tokio::spawn(driver).abort_handle());
            Ok(Link { connection, _driver: Arc::new(driver) })
        };
        let late = || io::Error::new(io::ErrorKind::TimedOut, "not in time");
        let dialled = tokio::time::timeout(self.limit, dial).await;
        dialled.unwrap_or_else(|_| Err(ConnectError::at(Step::Connecting)(late())))
    }

    /// The certificates that the server shows, its own first; none where the connection has no TLS.
    #[cfg_attr(not(feature = "tls-no-provider"), allow(clippy::unused_async))]
    pub(super) async fn certificates(&self) -> Result<Vec<Vec<u8>>, ConnectError> {
        #[cfg(feature = "tls-no-provider")]
        if let Address::Tcp(host, _) = &self.server.address {
            let params = self.resolved().await?;
            let Some(client) = &params.tls else { return Ok(Vec::new()) };
            // Each step has the whole limit, so that the one that takes too long is named.
            let late = || io::Error::new(io::ErrorKind::TimedOut, "not in time");
            let dials = params.addresses.iter().map(|at| Box::pin(TcpStream::connect(*at)));
            let stream = tokio::time::timeout(self.limit, select_ok(dials)).await;
            let stream = stream.unwrap_or_else(|_| Err(late()));
            let (stream, _) = stream.map_err(ConnectError::at(Step::Connecting))?;
            let stream = tokio::time::timeout(self.limit, client.handshake(host, stream)).await;
            let stream = stream.unwrap_or_else(|_| Err(late()));
            let stream = stream.map_err(ConnectError::at(Step::Tls))?;
            let shown = stream.get_ref().1.peer_certificates().unwrap_or_default();
            return Ok(shown.iter().map(|certificate| certificate.to_vec()).collect());
        }
        Ok(Vec::new())
    }

    /// What a dial needs, within its limit.
    async fn resolved(&self) -> Result<DialParams, ConnectError> {
        let slow =
            || io::Error::other("the name, the files or the credentials were not there in time");
        // A quarter longer than the credentials have, since their own error says more.
        let wait = self.limit.saturating_add(self.limit / 4);
        let params = tokio::time::timeout(wait, self.params()).await;
        params.unwrap_or_else(|_| Err(slow())).map_err(ConnectError::at(Step::Connecting))
    }

    /// What a dial needs: the kept result where nothing can change, or else resolved anew. Dials that wait while
    /// another one resolves take its result.
    async fn params(&self) -> io::Result<DialParams> {
        let requested = Instant::now();
        let mut cached = self.params.clone().lock_owned().await;
        if let Some(params) =
            cached.as_ref().filter(|params| !self.resolves_anew || params.resolved >= requested)
        {
            return Ok(params.clone());
        }
        let (server, limit) = (self.server.clone(), self.limit);
        let resolve = move || {
            let params = DialParams::resolve(&server, limit, cached.as_ref())?;
            *cached = Some(params.clone());
            Ok(params)
        };
        match background::blocking(resolve) {
            Some(task) => task.await.map_err(|_| panicked())?,
            None => Err(io::Error::other("the system refuses a thread")),
        }
    }

    async fn stream(&self, params: &DialParams) -> Result<Pin<Box<dyn Stream>>, ConnectError> {
        match &self.server.address {
            #[cfg(unix)]
            Address::Unix(path) => {
                let stream = tokio::net::UnixStream::connect(path).await;
                Ok(Box::pin(stream.map_err(ConnectError::at(Step::Connecting))?))
            }
            #[cfg(not(unix))]
            Address::Unix(_) => {
                let unsupported = io::Error::from(io::ErrorKind::Unsupported);
                Err(ConnectError::at(Step::Connecting)(unsupported))
            }
            Address::Tcp(host, _) => {
                // All addresses at once, since some may not answer: the first connection wins.
                let dials =
                    params.addresses.iter().map(|at| Box::pin(params.connect_to(host, *at)));
                select_ok(dials).await.map(|(stream, _)| stream)
            }
        }
    }
}

impl DialParams {
    /// Resolves the address, the credentials and the certificates. Blocks.
    fn resolve(server: &Server, limit: Duration, previous: Option<&Self>) -> io::Result<Self> {
        #[cfg(not(feature = "tls-no-provider"))]
        let _ = previous;
        let addresses: Vec<_> = match &server.address {
            Address::Unix(_) => Vec::new(),
            Address::Tcp(host, port) => (host.as_str(), *port).to_socket_addrs()?.collect(),
        };
        if addresses.is_empty() && matches!(server.address, Address::Tcp(..)) {
            return Err(io::Error::other(format!("the name of {} has no address", server.address)));
        }
        let (username, password) = login(&server.access, limit).map_err(io::Error::other)?;
        #[cfg(feature = "tls-no-provider")]
        let tls = server.access.tls.as_ref().map(|tls| {
            tls::Client::current(tls, previous.and_then(|previous| previous.tls.as_ref()))
        });
        Ok(Self {
            addresses,
            username,
            password,
            #[cfg(feature = "tls-no-provider")]
            tls: tls.transpose().map_err(io::Error::other)?,
            resolved: Instant::now(),
        })
    }

    /// The login. The handshake selects the database, so that an error names that step. `CLIENT SETINFO` is
    /// left out: some proxies hang up at it.
    fn info(&self, protocol: ProtocolVersion) -> RedisConnectionInfo {
        let info = RedisConnectionInfo::default().set_protocol(protocol);
        let mut info = info.set_skip_set_lib_name();
        if let Some(username) = &self.username {
            info = info.set_username(username);
        }
        if let Some(password) = &self.password {
            info = info.set_password(password);
        }
        info
    }

    #[cfg_attr(not(feature = "tls-no-provider"), expect(unused_variables))]
    async fn connect_to(
        &self,
        host: &str,
        at: SocketAddr,
    ) -> Result<Pin<Box<dyn Stream>>, ConnectError> {
        let connecting = ConnectError::at(Step::Connecting);
        let stream = TcpStream::connect(at).await.map_err(&connecting)?;
        let keepalive = TcpKeepalive::new().with_time(KEEPALIVE);
        let configured = SockRef::from(&stream).set_tcp_keepalive(&keepalive);
        configured.and_then(|()| stream.set_nodelay(true)).map_err(&connecting)?;
        #[cfg(feature = "tls-no-provider")]
        if let Some(tls) = &self.tls {
            let stream = tls.handshake(host, stream).await.map_err(ConnectError::at(Step::Tls))?;
            return Ok(Box::pin(stream));
        }
        Ok(Box::pin(stream))
    }
}

/// The current user and password. Blocks: the password may be in a file, or come from the application's
/// callback.
fn login(access: &Access, limit: Duration) -> Result<(Option<String>, Option<String>), String> {
    let Some(provider) = &access.provider else {
        let password = access.password.as_ref().map(Source::password);
        return Ok((access.username.clone(), password.transpose()?));
    };
    let request = async { tokio::time::timeout(limit, provider.ask()).await };
    let credentials = match background::handle().map(|handle| handle.block_on(request)) {
        Some(Ok(credentials)) => credentials.map_err(|why| format!("no credentials: {why}"))?,
        _ => return Err("no credentials: they were not given in time".to_owned()),
    };
    let (username, password) = credentials.into_parts();
    Ok((username, Some(password)))
}

fn is_a_name(address: &Address) -> bool {
    matches!(address, Address::Tcp(host, _) if host.parse::<std::net::IpAddr>().is_err())
}

fn panicked() -> io::Error {
    io::Error::other("no credentials: the callback of `Config::credentials` has panicked")
}

impl Link {
    pub(crate) fn connection(&self) -> MultiplexedConnection {
        self.connection.clone()
    }
}

impl Deref for Link {
    type Target = MultiplexedConnection;

    fn deref(&self) -> &MultiplexedConnection {
        &self.connection
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::future::join_all;

    use super::*;
    use crate::config::{Backend, Credentials};

    #[tokio::test]
    async fn dials_resolve_one_at_a_time_and_those_that_wait_take_the_result() {
        let counts = [0; 3].map(|zero| Arc::new(AtomicUsize::new(zero)));
        let [running, peak, total] = counts.clone();
        let config = Config::redis("redis://127.0.0.1:1").expect("a well-formed URL");
        let config = config.credentials(move || {
            peak.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            total.fetch_add(1, Ordering::SeqCst);
            // Blocks as a resolver that hangs does.
            std::thread::sleep(Duration::from_millis(300));
            running.fetch_sub(1, Ordering::SeqCst);
            async { Ok::<_, Infallible>(Credentials::password("any")) }
        });
        let config = config.connect_timeout(Duration::from_millis(50));
        let Backend::Redis(deployment) = &config.backend else { panic!("it is a server") };
        let server = deployment.at(deployment.addresses[0].clone());
        let connector = Connector::new(&server, &config);
        let dial = || connector.connect(ProtocolVersion::RESP3, AsyncConnectionConfig::new());
        for _ in 0..10 {
            let dialled = join_all((0..20).map(|_| dial())).await;
            assert!(dialled.iter().all(Result::is_err));
        }
        let [_, peak, total] = counts.map(|count| count.load(Ordering::SeqCst));
        assert_eq!(peak, 1, "so many have looked at a time");
        assert!(total <= 4, "{total} of 200 dials have looked");
    }
}
