//! Where Redis is: one server, or the way to the servers that do the work at the moment.

use std::fmt;

use super::credentials::Provider;
use super::source::Source;

/// What a URL says.
#[derive(Clone)]
pub(crate) struct Deployment {
    pub(crate) topology: Topology,
    /// The server; the sentinels; or nodes of the cluster, of which one is enough.
    pub(crate) addresses: Vec<Address>,
    /// To the servers that hold the data.
    pub(crate) access: Access,
}

#[derive(Clone)]
pub(crate) enum Topology {
    Standalone,
    Sentinel(Sentinel),
    Cluster,
}

/// Who is asked which server is the master.
#[derive(Clone)]
pub(crate) struct Sentinel {
    /// The name under which the sentinels know the master.
    pub(crate) master: String,
    /// For the sentinels themselves.
    pub(crate) username: Option<String>,
    pub(crate) password: Option<Source>,
}

/// How one talks to a server.
#[derive(Clone, Default)]
pub(crate) struct Access {
    pub(crate) username: Option<String>,
    pub(crate) password: Option<Source>,
    /// Asked for user and password in place of those two.
    pub(crate) provider: Option<Provider>,
    pub(crate) db: i64,
    /// The protocol asked for by `?protocol=`; otherwise RESP3 is tried first.
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

/// How a server proves who it is, and we to it.
#[derive(Clone, Default)]
pub(crate) struct Tls {
    /// Anybody is taken for the server.
    pub(crate) insecure: bool,
    /// Authorities in PEM, in place of the system's.
    pub(crate) ca: Option<Source>,
    /// Our certificate and its key, in PEM.
    pub(crate) client: Option<[Source; 2]>,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Address {
    Tcp(String, u16),
    Unix(String),
}

/// One server.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) part: Part,
    pub(crate) address: Address,
    pub(crate) access: Access,
}

/// What a server is among others.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Part {
    Alone,
    /// What the sentinels call the master.
    Master,
    /// One of a cluster.
    Node,
}

impl Deployment {
    pub(crate) fn standalone(address: Address, access: Access) -> Self {
        Self { topology: Topology::Standalone, addresses: vec![address], access }
    }

    /// A server that holds data.
    pub(crate) fn at(&self, address: Address) -> Server {
        let part = match self.topology {
            Topology::Standalone => Part::Alone,
            Topology::Sentinel(_) => Part::Master,
            Topology::Cluster => Part::Node,
        };
        Server { part, address, access: self.access.clone() }
    }

    #[cfg(feature = "sentinel")]
    /// One of the sentinels, whose login is its own.
    pub(crate) fn sentinel(&self, sentinel: &Sentinel, address: Address) -> Server {
        let (username, password) = (sentinel.username.clone(), sentinel.password.clone());
        let tls = self.access.tls.clone();
        let resp2 = self.access.resp2;
        let access = Access { username, password, provider: None, db: 0, resp2, tls };
        Server { part: Part::Alone, address, access }
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

/// Shows where the server is, and never how to log in.
impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (address, db) = (&self.address, self.access.db);
        match address {
            Address::Tcp(..) => write!(f, "{}://{address}/{db}", scheme(&self.access)),
            Address::Unix(_) => write!(f, "unix://{address}?db={db}"),
        }
    }
}

/// Shows where the servers are, and never how to log in.
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
