//! A redis-server that speaks TLS alone.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Duration;

use crate::node::{Access, Kind};
use crate::{Authority, Node};

/// A redis-server that speaks TLS alone, with an authority of its own.
#[derive(Debug)]
pub struct TlsServer {
    authority: Arc<Authority>,
    node: Node,
}

impl TlsServer {
    /// Starts one that asks clients for no certificate.
    ///
    /// # Panics
    ///
    /// Where it does not come up.
    pub async fn start() -> Self {
        Self::start_with(&["--tls-auth-clients", "no"]).await
    }

    /// Starts one that only takes clients with a certificate.
    ///
    /// # Panics
    ///
    /// As [`TlsServer::start`].
    pub async fn start_for_known_clients() -> Self {
        Self::start_with(&["--tls-auth-clients", "yes"]).await
    }

    /// Starts one that speaks no later version than TLS 1.2.
    ///
    /// # Panics
    ///
    /// As [`TlsServer::start`].
    pub async fn start_with_tls_1_2() -> Self {
        Self::start_with(&["--tls-auth-clients", "no", "--tls-protocols", "TLSv1.2"]).await
    }

    /// Starts one whose certificate is valid for so long and no longer.
    ///
    /// # Panics
    ///
    /// As [`TlsServer::start`].
    pub async fn start_expiring(within: Duration) -> Self {
        let authority = Authority::expiring(within);
        Self::start_for(authority, &["--tls-auth-clients", "no"]).await
    }

    async fn start_with(options: &[&str]) -> Self {
        Self::start_for(Authority::new(), options).await
    }

    async fn start_for(authority: Authority, options: &[&str]) -> Self {
        let authority = Arc::new(authority);
        let access = Access { authority: Some(authority.clone()), ..Access::default() };
        let options = options.iter().map(|&option| option.to_owned()).collect();
        Self { authority, node: Node::start(Kind::Server(options), access).await }
    }

    /// Who has signed its certificate.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// The URL, for `REDIS_URL`.
    pub fn url(&self) -> String {
        format!("rediss://{}/0", self.address())
    }
}

impl Deref for TlsServer {
    type Target = Node;

    fn deref(&self) -> &Node {
        &self.node
    }
}

impl DerefMut for TlsServer {
    fn deref_mut(&mut self) -> &mut Node {
        &mut self.node
    }
}
