//! What `cachectl` needs beyond the public interface: connections of its own with the application's login, and
//! entries by their bytes. Not part of the public interface.

use std::time::Duration;

use bytes::Bytes;
use deadpool_redis::redis;
use serde::de::DeserializeOwned;

use crate::config::{Address, Backend, Config, Deployment, Server, Topology};
use crate::entry::{Entry, EntryKind, Token};
use crate::key::{self, Buffer};
use crate::returns::decode_any;
use crate::site::known;
use crate::store::{COMPARE_AND_SET, Probe, ProbeError, ProbeStep};
use crate::verb::StoredKind;

/// Where a configuration keeps its values; without secrets.
#[derive(Debug, Clone, Default)]
pub struct Shape {
    /// `off`, `memory`, `single`, `sentinel` or `cluster`.
    pub topology: &'static str,
    /// The URL without its login.
    pub url: String,
    /// The server; or the sentinels; or nodes of the cluster.
    pub addresses: Vec<String>,
    /// The name of the master behind sentinels.
    pub master: Option<String>,
    pub username: Option<String>,
    pub has_password: bool,
    pub db: i64,
    pub tls: bool,
    /// The server's certificate is not verified.
    pub insecure: bool,
    pub namespace: String,
    pub budget: Duration,
    pub timeout: Duration,
    pub connect_timeout: Duration,
    pub max_value: usize,
}

pub fn shape(config: &Config) -> Shape {
    let common = Shape {
        namespace: config.namespace.clone(),
        budget: config.budget,
        timeout: config.timeout,
        connect_timeout: config.connect_timeout,
        max_value: config.max_value,
        ..Shape::default()
    };
    let deployment = match &config.backend {
        Backend::Off => return Shape { topology: "off", ..common },
        Backend::Memory => return Shape { topology: "memory", ..common },
        Backend::Redis(deployment) => deployment,
    };
    let access = &deployment.access;
    let (topology, master) = match &deployment.topology {
        Topology::Standalone => ("single", None),
        Topology::Sentinel(sentinel) => ("sentinel", Some(sentinel.master.clone())),
        Topology::Cluster => ("cluster", None),
    };
    Shape {
        topology,
        url: deployment.to_string(),
        addresses: deployment.addresses.iter().map(Address::to_string).collect(),
        master,
        username: access.username.clone(),
        has_password: access.password.is_some(),
        db: access.db,
        tls: access.tls.is_some(),
        insecure: access.tls.as_ref().is_some_and(|tls| tls.insecure),
        ..common
    }
}

/// Dials the server at `address`, or the sentinel there.
///
/// # Errors
///
/// Says at which step it failed.
pub async fn dial(config: &Config, address: &str, sentinel: bool) -> Result<Probe, ProbeError> {
    Probe::dial(&server(config, address, sentinel)?, config).await
}

/// The certificates, as DER, that the server at `address` shows once they are verified, its own first; none
/// without TLS.
///
/// # Errors
///
/// As [`dial`].
pub async fn certificates(
    config: &Config,
    address: &str,
    sentinel: bool,
) -> Result<Vec<Vec<u8>>, ProbeError> {
    Probe::certificates(&server(config, address, sentinel)?, config).await
}

fn server(config: &Config, address: &str, sentinel: bool) -> Result<Server, ProbeError> {
    let failed =
        |text: String| ProbeError { step: ProbeStep::Connecting, code: None, text, late: false };
    let Backend::Redis(deployment) = &config.backend else {
        return Err(failed("the cache is not over Redis".to_owned()));
    };
    let address = Address::parse(address)
        .ok_or_else(|| failed(format!("`{address}` is no address of a server")))?;
    Ok(if sentinel { sentinel_at(deployment, address) } else { deployment.at(address) })
}

fn sentinel_at(deployment: &Deployment, address: Address) -> Server {
    #[cfg(feature = "sentinel")]
    if let Topology::Sentinel(sentinel) = &deployment.topology {
        return deployment.sentinel(sentinel, address);
    }
    deployment.at(address)
}

/// The script behind every write.
#[derive(Debug, Clone)]
pub struct Script {
    pub source: &'static str,
    /// Its name for `EVALSHA`.
    pub hash: String,
    /// Arguments behind the key with which it changes nothing.
    pub harmless: [&'static str; 4],
}

pub fn script() -> Script {
    Script {
        source: COMPARE_AND_SET,
        hash: redis::Script::new(COMPARE_AND_SET).get_hash().to_owned(),
        harmless: ["no entry begins with this", "delete", "", "0"],
    }
}

/// The key of a tag's token.
pub fn tag_token(namespace: &str, tag: &str) -> String {
    let mut name = Buffer::new();
    key::tag_token(namespace, tag, &mut name);
    String::from_utf8_lossy(&name).into_owned()
}

/// The value of a token as entries list it.
pub fn token_of(bytes: &[u8]) -> [u8; 16] {
    Token::of(bytes).0
}

/// An entry by its bytes, or by the first of them: its header with the tokens.
#[derive(Debug, Clone)]
pub struct Head(Entry);

impl Head {
    /// `None` where the bytes are no entry of this cache.
    pub fn parse(bytes: Vec<u8>) -> Option<Self> {
        Entry::parse(Bytes::from(bytes)).ok().map(Self)
    }

    pub fn kind(&self) -> StoredKind {
        self.0.kind.into()
    }

    /// The function that wrote it: its fingerprint, or its path where this process has the function.
    pub fn function(&self) -> String {
        let function = self.0.owner.function;
        known(function).unwrap_or_else(|| format!("{function:016x}"))
    }

    pub fn version(&self) -> u32 {
        self.0.owner.version
    }

    /// How long the function took.
    pub fn cost(&self) -> Duration {
        self.0.cost
    }

    /// Its lifetime when it was written.
    pub fn life(&self) -> Duration {
        self.0.life
    }

    /// The part of its lifetime, at the end, in which it is stale.
    pub fn window(&self) -> Duration {
        self.0.window
    }

    pub fn tokens(&self) -> Vec<[u8; 16]> {
        self.0.tokens().map(|token| token.0).collect()
    }

    /// The value as any self-describing type, of at most `limit` bytes once it is unpacked.
    ///
    /// # Errors
    ///
    /// Says why there is none.
    pub fn value<V: DeserializeOwned>(&self, limit: usize) -> Result<V, String> {
        if self.0.kind != EntryKind::Value {
            return Err("the entry has no value".to_owned());
        }
        let body = self.0.body(limit);
        decode_any(&body.ok_or("its bytes are damaged, or over CACHE_MAX_VALUE")?)
    }
}
