//! Where Redis is: one server, or the addresses that lead to the servers that hold the data.

use std::fmt;

use super::credentials::Provider;
use super::source::Source;

/// A Redis deployment, as a URL or the variables describe it.
#[derive(Clone)]
pub(crate) struct Deployment {
    pub(crate) topology: Topology,
    /// The server; or the sentinels; or nodes of the cluster, of which one that answers is enough.
    pub(crate) addresses: Vec<Address>,
    /// The access to the servers that hold the data.
    pub(crate) access: Access,
}

#[derive(Clone)]
pub(crate) enum Topology {
    Standalone,
    Sentinel(Sentinel),
    Cluster,
}

/// The name that the sentinels know, and the login for them.
#[derive(Clone)]
pub(crate) struct Sentinel {
    /// The name under which the sentinels know the master.
    pub(crate) master: String,
    /// The login of the sentinels, which is not that of the servers.
    pub(crate) username: Option<String>,
    pub(crate) password: Option<Source>,
}

/// How to log in to a server, and the protocol to speak.
#[derive(Clone, Default)]
pub(crate) struct Access {
    pub(crate) username: Option<String>,
    pub(crate) password: Option<Source>,
    /// The application's callback, which replaces user and password.
    pub(crate) provider: Option<Provider>,
    pub(crate) db: i64,
    /// RESP2 by `?protocol=2`; otherwise a dial tries RESP3 first.
    pub(crate) resp2: bool,
    pub(crate) tls: Option<Tls>,
}

impl Access {
    /// Whether a later dial may need another login or other certificates.
    pub(crate) fn may_change(&self) -> bool {
        let certificates =
            self.tls.iter().flat_map(|tls| tls.ca.iter().chain(tls.client.iter().flatten()));
        let sources = self.password.iter().chain(certificates);
        self.provider.is_some() || sources.into_iter().any(Source::may_change)
    }
}

/// How the server's certificate is verified, and the client certificate.
#[derive(Clone, Default)]
pub(crate) struct Tls {
    /// Any certificate of the server is accepted.
    pub(crate) insecure: bool,
    /// Authorities in PEM, in place of the system's.
    pub(crate) ca: Option<Source>,
    /// The client certificate and its key, in PEM, for mutual TLS.
    pub(crate) client: Option<[Source; 2]>,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Address {
    Tcp(String, u16),
    Unix(String),
}

/// One server, and how to reach it.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) part: Part,
    pub(crate) address: Address,
    pub(crate) access: Access,
}

/// The role of a server in its deployment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Part {
    Alone,
    /// The server that the sentinels name as the master.
    Master,
    /// A node of a cluster.
    Node,
}

impl Deployment {
    pub(crate) fn standalone(address: Address, access: Access) -> Self {
        Self { topology: Topology::Standalone, addresses: vec![address], access }
    }

    /// The server at `address`, which holds data.
    pub(crate) fn at(&self, address: Address) -> Server {
        let part = match self.topology {
            Topology::Standalone => Part::Alone,
            Topology::Sentinel(_) => Part::Master,
            Topology::Cluster => Part::Node,
        };
        Server { part, address, access: self.access.clone() }
    }

    /// The sentinel at `address`, with the login of the sentinels.
    #[cfg(feature = "sentinel")]
    pub(crate) fn sentinel(&self, sentinel: &Sentinel, address: Address) -> Server {
        let (username, password) = (sentinel.username.clone(), sentinel.password.clone());
        let tls = self.access.tls.clone();
        let resp2 = self.access.resp2;
        let access = Access { username, password, provider: None, db: 0, resp2, tls };
        Server { part: Part::Alone, address, access }
    }
}

impl Address {
    /// Reads what `Display` writes.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if text.starts_with(['/', '.']) {
            return Some(Self::Unix(text.to_owned()));
        }
        let (host, port) = super::url::host_and_port(text).ok()?;
        Some(Self::Tcp(host, port?))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(host, port) if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp(host, port) => write!(f, "{host}:{port}"),
            Self::Unix(path) => f.write_str(path),
        }
    }
}

/// Shows where the server is, never the login.
impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (address, db) = (&self.address, self.access.db);
        match address {
            Address::Tcp(..) => write!(f, "{}://{address}/{db}", scheme(&self.access)),
            Address::Unix(_) => write!(f, "unix://{address}?db={db}"),
        }
    }
}

/// Shows where the servers are, never the login.
impl fmt::Display for Deployment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = scheme(&self.access);
        let addresses: Vec<_> = self.addresses.iter().map(Address::to_string).collect();
        let addresses = addresses.join(",");
        match &self.topology {
            Topology::Standalone => write!(f, "{}", self.at(self.addresses[0].clone())),
            Topology::Sentinel(Sentinel { master, .. }) => {
                write!(f, "{scheme}+sentinel://{addresses}/{master}/{}", self.access.db)
            }
            Topology::Cluster => write!(f, "{scheme}+cluster://{addresses}"),
        }
    }
}

fn scheme(access: &Access) -> &'static str {
    if access.tls.is_some() { "rediss" } else { "redis" }
}
