//! A row: a deployment, what goes wrong in it, and whether the process keeps copies.

use std::time::{Duration, Instant};

use cache_runtime::{Cache, Config};
use tokio::time::{sleep, timeout};

use crate::book::Phase;
use crate::load::Load;
use crate::{Deployment, Fault, Figures, Standalone};

/// How long a first hit is waited for, once it is over.
const LONGEST: Duration = Duration::from_secs(12);

/// Longer than a server takes to load.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a row runs over.
#[derive(Clone, Copy, Debug)]
enum Topology {
    Standalone(Fault),
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
    let standalone = Fault::ALL.into_iter().flat_map(|(name, fault)| {
        let topology = Topology::Standalone(fault);
        [false, true].map(|local| Row { fault: name, local, topology })
    });
    standalone.collect()
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
        }
    }

    /// Whether it runs unless it is asked for: what no client can notice only shows what comes of it.
    pub fn is_default(&self) -> bool {
        match self.topology {
            Topology::Standalone(fault) => fault.can_be_noticed(),
        }
    }

    /// How soon the first hit has to come, once the server answers.
    pub fn deadline(&self) -> Duration {
        Duration::from_secs(match self.topology {
            Topology::Standalone(Fault::Loading) => 10,
            Topology::Standalone(_) => 5,
        })
    }

    /// Runs it, each of its phases for so long at least.
    ///
    /// # Panics
    ///
    /// Where the deployment does not come up, or does not heal.
    pub async fn run(&self, phase: Duration, seed: u64) -> Figures {
        let deployment = match self.topology {
            Topology::Standalone(fault) => Standalone::start(fault, seed).await,
        };
        self.over(deployment, phase, seed).await
    }

    async fn over(&self, mut deployment: impl Deployment, phase: Duration, seed: u64) -> Figures {
        let config = Config::redis(&deployment.url()).expect("a well-formed URL");
        let cache = Cache::new(config.local(self.local));
        let load = Load::start(&cache, deployment.loses_writes(), seed);
        sleep(phase).await;
        load.enter(Phase::During);
        timeout(PATIENCE, deployment.inflict()).await.expect("it begins");
        sleep(phase).await;
        timeout(PATIENCE, deployment.heal()).await.expect("it heals");
        load.enter(Phase::After);
        let healed = Instant::now();
        sleep(phase).await;
        while !load.has_hit() && healed.elapsed() < LONGEST {
            sleep(Duration::from_millis(20)).await;
        }
        let done = load.end().await;
        Figures::new(self, done, &cache)
    }
}
