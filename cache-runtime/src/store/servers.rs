//! The servers of a deployment, and which of them has a name.
//!
//! A single server is the one that the URL names. The master behind sentinels and the nodes of a cluster are
//! discovered, and change. Each server has lanes and a breaker of its own, made when it is discovered, and
//! retired when it is no longer part of the deployment.

#[cfg(feature = "cluster")]
mod cluster;
#[cfg(feature = "sentinel")]
mod sentinel;
#[cfg(feature = "cluster")]
mod slots;
#[cfg(feature = "cluster")]
mod survey;

use std::ops::Deref;
use std::sync::Arc;

use futures_util::future::join_all;

use super::lanes::{Lanes, State, check};
use crate::config::{Config, Deployment, Topology};
use crate::key::Key;
use crate::versions::Versions;
#[cfg(feature = "cluster")]
pub(crate) use cluster::Cluster;
#[cfg(feature = "sentinel")]
pub(crate) use sentinel::Master;

pub(crate) enum Servers {
    One(Arc<Lanes>),
    #[cfg(feature = "sentinel")]
    Master(Arc<Master>),
    #[cfg(feature = "cluster")]
    Cluster(Arc<Cluster>),
}

/// The lanes of a server, for one command: borrowed from a single server, or shared with one that may be replaced
/// meanwhile.
pub(crate) enum LanesRef<'a> {
    Ours(&'a Arc<Lanes>),
    #[cfg(any(feature = "cluster", feature = "sentinel"))]
    Shared(Arc<Lanes>),
}

impl Deref for LanesRef<'_> {
    type Target = Arc<Lanes>;

    fn deref(&self) -> &Arc<Lanes> {
        match self {
            Self::Ours(lanes) => lanes,
            #[cfg(any(feature = "cluster", feature = "sentinel"))]
            Self::Shared(lanes) => lanes,
        }
    }
}

impl Servers {
    pub(crate) fn topology(&self) -> &'static str {
        match self {
            Self::One(_) => "single",
            #[cfg(feature = "sentinel")]
            Self::Master(_) => "sentinel",
            #[cfg(feature = "cluster")]
            Self::Cluster(_) => "cluster",
        }
    }

    pub(crate) fn new(
        deployment: &Deployment,
        config: &Config,
        versions: &Arc<Versions>,
    ) -> Result<Self, String> {
        // All servers of a deployment share the same certificates, so one check at the start reports what is
        // wrong with them.
        check(&deployment.at(deployment.addresses[0].clone()))?;
        match &deployment.topology {
            #[cfg(feature = "sentinel")]
            Topology::Sentinel(sentinel) => {
                check(&deployment.sentinel(sentinel, deployment.addresses[0].clone()))?;
                Ok(Self::Master(Master::new(deployment, sentinel, config, versions)))
            }
            #[cfg(feature = "cluster")]
            Topology::Cluster => Ok(Self::Cluster(Cluster::new(deployment, config, versions))),
            // Without its feature, a URL with another topology is refused before this.
            _ => {
                let server = deployment.at(deployment.addresses[0].clone());
                Ok(Self::One(Arc::new(Lanes::new(&server, config, versions.clone())?)))
            }
        }
    }

    /// The server that has every name; `None` for a cluster, or while no master is known.
    pub(crate) fn one(&self) -> Option<LanesRef<'_>> {
        match self {
            Self::One(lanes) => Some(LanesRef::Ours(lanes)),
            #[cfg(feature = "sentinel")]
            Self::Master(master) => master.lanes().map(LanesRef::Shared),
            #[cfg(feature = "cluster")]
            Self::Cluster(_) => None,
        }
    }

    /// Whether several servers share the names.
    pub(crate) fn is_cluster(&self) -> bool {
        match self {
            #[cfg(feature = "cluster")]
            Self::Cluster(_) => true,
            _ => false,
        }
    }

    /// All known servers.
    pub(crate) fn all(&self) -> Vec<Arc<Lanes>> {
        match self {
            #[cfg(feature = "cluster")]
            Self::Cluster(cluster) => cluster.all(),
            _ => self.one().map(|lanes| lanes.clone()).into_iter().collect(),
        }
    }

    /// The server that has a name.
    #[cfg_attr(not(feature = "cluster"), expect(unused_variables))]
    fn server_of(&self, name: &str) -> Option<LanesRef<'_>> {
        match self {
            #[cfg(feature = "cluster")]
            Self::Cluster(cluster) => cluster.lanes_of(name).map(LanesRef::Shared),
            _ => self.one(),
        }
    }

    /// Closes all connections, and discovers no more servers.
    pub(crate) fn close(&self) {
        match self {
            Self::One(lanes) => lanes.retire(),
            #[cfg(feature = "sentinel")]
            Self::Master(master) => master.close(),
            #[cfg(feature = "cluster")]
            Self::Cluster(cluster) => cluster.close(),
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        match self {
            Self::One(lanes) => lanes.is_retired(),
            #[cfg(feature = "sentinel")]
            Self::Master(master) => master.is_closed(),
            #[cfg(feature = "cluster")]
            Self::Cluster(cluster) => cluster.is_closed(),
        }
    }

    /// Whether writes of a function are paused at the server that has a name.
    pub(crate) fn are_writes_paused(&self, function: &str, name: &str) -> bool {
        self.server_of(name).is_some_and(|lanes| lanes.writes.are_paused_for(function))
    }

    pub(crate) fn refuse_write(&self, function: &str, name: &str, why: &str) {
        if let Some(lanes) = self.server_of(name) {
            lanes.writes.refuse(function, why);
        }
    }

    pub(crate) fn write_succeeded(&self, function: &str, name: &str) {
        if let Some(lanes) = self.server_of(name) {
            lanes.writes.write_succeeded(function);
        }
    }

    /// Whether a command would fail at once, at whichever server.
    pub(crate) fn is_down(&self) -> bool {
        match self {
            Self::One(lanes) => lanes.is_down(),
            #[cfg(feature = "sentinel")]
            Self::Master(master) => {
                master.lanes().map_or(master.is_searched(), |lanes| lanes.is_down())
            }
            #[cfg(feature = "cluster")]
            Self::Cluster(cluster) => {
                let all = cluster.all();
                if all.is_empty() { cluster.is_searched() } else { all.iter().all(|l| l.is_down()) }
            }
        }
    }

    /// Whether the servers that a key needs were discovered, and the first dials of their lanes have ended.
    pub(crate) fn is_ready(&self, key: &Key) -> bool {
        match self {
            Self::One(lanes) => lanes.is_dialled(lanes.slot_of(key.hash, key.bulk)),
            #[cfg(feature = "sentinel")]
            Self::Master(master) => {
                let dialled =
                    |lanes: Arc<Lanes>| lanes.is_dialled(lanes.slot_of(key.hash, key.bulk));
                master.is_searched() && master.lanes().is_none_or(dialled)
            }
            #[cfg(feature = "cluster")]
            Self::Cluster(cluster) => cluster.is_ready(key),
        }
    }

    /// Waits until the servers that a key needs were discovered, and the first dials of their lanes have ended.
    pub(crate) async fn ready(&self, key: &Key) {
        match self {
            Self::One(lanes) => lanes.dialled(lanes.slot_of(key.hash, key.bulk)).await,
            #[cfg(feature = "sentinel")]
            Self::Master(master) => {
                master.searched().await;
                if let Some(lanes) = master.lanes() {
                    lanes.dialled(lanes.slot_of(key.hash, key.bulk)).await;
                }
            }
            #[cfg(feature = "cluster")]
            Self::Cluster(cluster) => cluster.ready(key).await,
        }
    }

    /// Waits until all servers were discovered, and the first dial of each has ended.
    pub(crate) async fn dialled(&self) {
        self.ready(&Key::any()).await;
        let all = self.all();
        join_all(all.iter().map(|lanes| lanes.dialled(0))).await;
    }

    pub(crate) fn state(&self) -> State {
        if let Self::One(lanes) = self {
            return lanes.state();
        }
        let mut states: Vec<State> = self.all().iter().map(|lanes| lanes.state()).collect();
        // A server without a command so far says nothing about the deployment.
        states.retain(|state| *state != State::Untried);
        let serves = |state: &State| matches!(state, State::Up | State::Degraded);
        let all_up = !states.is_empty() && states.iter().all(|state| *state == State::Up);
        if all_up && self.flaw().is_none() {
            State::Up
        } else if states.iter().any(serves) {
            State::Degraded
        } else if self.last_error().is_some() {
            State::Lost
        } else {
            State::Untried
        }
    }

    /// Why a cluster does not serve all names, though its nodes answer.
    fn flaw(&self) -> Option<String> {
        match self {
            #[cfg(feature = "cluster")]
            Self::Cluster(cluster) => cluster.flaw(),
            _ => None,
        }
    }

    /// Why a server is not used, or none is known.
    pub(crate) fn last_error(&self) -> Option<String> {
        let searching = match self {
            Self::One(_) => None,
            #[cfg(feature = "sentinel")]
            Self::Master(master) => master.last_error(),
            #[cfg(feature = "cluster")]
            Self::Cluster(cluster) => cluster.last_error(),
        };
        let lanes = || self.all().iter().find_map(|lanes| lanes.last_error());
        searching.or_else(|| self.flaw()).or_else(lanes)
    }
}
