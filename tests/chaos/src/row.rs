//! A row: a deployment, what goes wrong in it, and whether the process keeps copies.

use std::time::{Duration, Instant};

use cache_runtime::{Cache, Config};
use tokio::time::{sleep, timeout};

use crate::book::Phase;
use crate::load::Load;
use crate::world::calls;
use crate::{
    Cluster, ClusterFault, Deployment, Fault, Figures, Sentinel, SentinelFault, Standalone,
    functions,
};

/// All cache traffic of one call together: what is so by default.
pub const BUDGET: Duration = Duration::from_millis(100);

/// How long a first hit is waited for, once it is over.
const LONGEST: Duration = Duration::from_secs(12);

/// Longer than a server takes to load, and others to elect one.
const PATIENCE: Duration = Duration::from_secs(90);

/// By then whoever listens to sentinels or nodes knows the new master.
const MARGIN: Duration = Duration::from_secs(1);

/// What a row runs over.
#[derive(Clone, Copy, Debug)]
enum Topology {
    Standalone(Fault),
    Sentinel(SentinelFault),
    Cluster(ClusterFault),
}

/// One row of the table.
#[derive(Clone, Debug)]
pub struct Row {
    /// What goes wrong.
    pub fault: &'static str,
    /// Whether all functions keep copies in the process; none does otherwise.
    pub local: bool,
    topology: Topology,
}

/// All rows.
pub fn rows() -> Vec<Row> {
    let standalone = Fault::ALL.map(|(name, fault)| (name, Topology::Standalone(fault)));
    let sentinel = SentinelFault::ALL.map(|(name, fault)| (name, Topology::Sentinel(fault)));
    let cluster = ClusterFault::ALL.map(|(name, fault)| (name, Topology::Cluster(fault)));
    let all = standalone.into_iter().chain(sentinel).chain(cluster);
    let rows =
        all.flat_map(|(fault, topology)| [false, true].map(|local| Row { fault, local, topology }));
    rows.collect()
}

impl Row {
    /// Its name, which no other row has.
    pub fn name(&self) -> String {
        let copies = if self.local { "/local" } else { "" };
        format!("{}/{}{copies}", self.topology(), self.fault)
    }

    /// The kind of deployment.
    pub fn topology(&self) -> &'static str {
        match self.topology {
            Topology::Standalone(_) => "standalone",
            Topology::Sentinel(_) => "sentinel",
            Topology::Cluster(_) => "cluster",
        }
    }

    /// How soon the first hit has to come, once there is somebody to serve it.
    pub fn deadline(&self) -> Duration {
        Duration::from_secs(match self.topology {
            Topology::Standalone(Fault::Loading) => 10,
            _ => 5,
        })
    }

    /// Runs it, each of its phases for so long at least.
    ///
    /// # Panics
    ///
    /// Where the deployment does not come up, or does not heal.
    pub async fn run(&self, phase: Duration, seed: u64) -> Figures {
        match self.topology {
            Topology::Standalone(fault) => {
                self.over(Standalone::start(fault, seed).await, phase, seed).await
            }
            Topology::Sentinel(fault) => self.over(Sentinel::start(fault).await, phase, seed).await,
            Topology::Cluster(fault) => self.over(Cluster::start(fault).await, phase, seed).await,
        }
    }

    async fn over(&self, mut deployment: impl Deployment, phase: Duration, seed: u64) -> Figures {
        let config = Config::redis(&deployment.url()).expect("a well-formed URL").budget(BUDGET);
        let cache = Cache::new(config.local(self.local));
        let parts = deployment.parts(&names().await).await;
        let load = Load::start(&cache, parts, !deployment.loses_writes(), seed);
        sleep(phase).await;
        load.enter(Phase::During);
        timeout(PATIENCE, deployment.inflict()).await.expect("it begins");
        if !deployment.heals_by_itself() {
            sleep(phase).await;
        }
        timeout(PATIENCE, deployment.heal()).await.expect("it heals");
        load.enter(Phase::After);
        recover(&load, phase).await;
        if deployment.loses_writes() {
            load.settle();
            timeout(PATIENCE, deployment.aftermath()).await.expect("it comes back");
            sleep(phase).await;
        }
        let done = load.end().await;
        Figures::new(self, done, &cache)
    }
}

/// The keys of all calls.
async fn names() -> Vec<String> {
    let mut names = Vec::new();
    for (function, key) in calls() {
        names.push(functions::name(function, key).await);
    }
    names
}

/// Waits for the first hit, and for so long at least.
async fn recover(load: &Load, phase: Duration) {
    let healed = Instant::now();
    sleep(phase.max(MARGIN)).await;
    while !load.has_hit() && healed.elapsed() < LONGEST {
        sleep(Duration::from_millis(20)).await;
    }
}
