//! Surveys: queries the nodes of a cluster for the slot map.
//!
//! While the masters that have lanes agree, a survey queries them alone, over those lanes. Other nodes are queried
//! over connections beside the lanes, which are kept while surveys need them: many processes that survey often
//! must not dial for each survey.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use deadpool_redis::redis::aio::MultiplexedConnection;
use deadpool_redis::redis::{self, Value};
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use super::slots::View;
use crate::config::{Address, Config, Deployment};
use crate::store::lanes::{Connector, Link, connect_aside, server_message};

/// For how long a survey waits for further answers once it has enough.
const GRACE: Duration = Duration::from_millis(50);

/// How many nodes a survey queries beside the lanes.
const MAX_SIDE_LINKS: usize = 8;

/// The slot map in use before a survey.
pub(super) struct MapState<'a> {
    /// The map's epoch.
    pub(super) epoch: u64,
    /// Whether a view has the slots where the map has them; `None` where there is no map.
    pub(super) is_mapped: Option<&'a (dyn Fn(&View) -> bool + Sync)>,
}

/// The means of surveys: connections beside the lanes.
pub(super) struct Survey {
    deployment: Deployment,
    config: Config,
    side_links: HashMap<Address, Arc<SideLink>>,
}

/// A connection to a node beside the lanes.
struct SideLink {
    connector: Arc<Connector>,
    link: Mutex<Option<Link>>,
}

type Answer = Result<View, String>;

impl Survey {
    pub(super) fn new(deployment: &Deployment, config: &Config) -> Self {
        let (deployment, config) = (deployment.clone(), config.clone());
        Self { deployment, config, side_links: HashMap::new() }
    }

    /// Queries the nodes with lanes, then the others if those do not suffice, and returns the best view: first of
    /// all one with `cluster_state:ok`, then by epoch. A view of a lower epoch than the known one is returned only
    /// once every queried node has answered or failed.
    pub(super) async fn run(
        &mut self,
        lanes: Vec<(Address, MultiplexedConnection)>,
        others: Vec<Address>,
        known: &MapState<'_>,
    ) -> Answer {
        let limit = self.config.connect_timeout;
        // A node with lanes has answered lately, so it has the shorter limit of a command.
        let lane_limit = self.config.timeout.min(limit);
        let queried: Vec<Address> = lanes.iter().map(|(address, _)| address.clone()).collect();
        let through_lanes = lanes.into_iter().map(|(address, connection)| {
            tokio::spawn(
                async move { in_time(lane_limit, &address, view(connection, &address)).await },
            )
        });
        let mut best = Best { known, view: None, error: String::new() };
        best.gather(through_lanes.collect()).await;
        if best.is_enough() {
            self.side_links.clear();
            return best.answer();
        }
        let others =
            others.into_iter().filter(|address| !queried.contains(address)).take(MAX_SIDE_LINKS);
        let others: Vec<Address> = others.collect();
        self.side_links.retain(|address, _| others.contains(address));
        let beside = FuturesUnordered::new();
        for address in others {
            let side_link = self.side_link(&address);
            beside.push(tokio::spawn(async move { side_link.query(limit).await }));
        }
        best.gather(beside).await;
        best.answer()
    }

    fn side_link(&mut self, address: &Address) -> Arc<SideLink> {
        if let Some(side_link) = self.side_links.get(address) {
            return side_link.clone();
        }
        let connector = Connector::new(&self.deployment.at(address.clone()), &self.config);
        let side_link = Arc::new(SideLink { connector, link: Mutex::default() });
        self.side_links.insert(address.clone(), side_link.clone());
        side_link
    }
}

impl SideLink {
    /// Queries the node. Runs in a task of its own, which goes on after the survey has ended, so that a slow dial is
    /// made once.
    async fn query(&self, limit: Duration) -> Answer {
        let address = &self.connector.server().address;
        let mut slot = self.link.lock().await;
        let query = async {
            let link = match slot.take() {
                Some(link) => link,
                None => connect_aside(&self.connector, || {}).await?.0,
            };
            let view = view(link.connection(), address).await;
            Ok::<_, String>((link, view))
        };
        let (link, view) = in_time(limit, address, query).await?;
        // A connection whose query has failed is dropped, and dialled anew next time.
        *slot = view.is_ok().then_some(link);
        view
    }
}

async fn in_time<T>(
    limit: Duration,
    address: &Address,
    answer: impl Future<Output = Result<T, String>>,
) -> Result<T, String> {
    let late = || Err(format!("{address} does not answer"));
    tokio::time::timeout(limit, answer).await.unwrap_or_else(|_| late())
}

async fn view(mut connection: MultiplexedConnection, address: &Address) -> Answer {
    let mut both = redis::pipe();
    both.cmd("CLUSTER").arg("SLOTS").cmd("CLUSTER").arg("INFO");
    let replies = connection.send_packed_commands(&both, 0, 2).await;
    match &replies.map_err(|error| server_message(&error))?[..] {
        [Value::ServerError(error), _] => Err(format!("{address}: {error}")),
        [slots, info] => View::read(slots, info, address),
        _ => Err("no answer".to_owned()),
    }
}

/// The best view so far, and the last error.
struct Best<'a> {
    known: &'a MapState<'a>,
    view: Option<View>,
    error: String,
}

impl Best<'_> {
    /// Collects answers until they suffice, and those that come within [`GRACE`] of that.
    async fn gather(&mut self, mut answers: FuturesUnordered<JoinHandle<Answer>>) {
        loop {
            let next = answers.next();
            let next = if self.is_enough() {
                tokio::time::timeout(GRACE, next).await.ok().flatten()
            } else {
                // Each query has a limit of its own.
                next.await
            };
            match next {
                Some(Ok(Ok(view))) => self.offer(view),
                Some(Ok(Err(why))) => self.error = why,
                Some(Err(_)) => {}
                None => return,
            }
        }
    }

    /// Keeps the better one of a view and the best so far. Of two that are equal otherwise, the view of the map in
    /// use: a node that reports no host has the host by which it was queried, so views may differ in hosts alone.
    fn offer(&mut self, view: View) {
        let rank = |view: &View| (view.state_ok, view.epoch, view.covered(), self.is_mapped(view));
        if self.view.as_ref().is_none_or(|best| rank(best) < rank(&view)) {
            self.view = Some(view);
        }
    }

    fn is_mapped(&self, view: &View) -> bool {
        self.known.is_mapped.is_none_or(|is_mapped| is_mapped(view))
    }

    /// Whether the best view makes further answers unnecessary: its state is ok, and it is of a higher epoch than
    /// the map, or of the same one with the map's slots.
    fn is_enough(&self) -> bool {
        let is_enough = |view: &View| {
            let news = view.epoch > self.known.epoch;
            let same = view.epoch == self.known.epoch && self.is_mapped(view);
            view.state_ok && (news || same)
        };
        self.view.as_ref().is_some_and(is_enough)
    }

    fn answer(self) -> Answer {
        self.view.ok_or(self.error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(host: &str, epoch: u64) -> View {
        let ranges = vec![(0, 99, Address::Tcp(host.to_owned(), 1))];
        View { state_ok: true, reports_state: true, epoch, ranges, replicas: Vec::new() }
    }

    #[test]
    fn of_views_that_are_as_good_that_of_the_map_counts_whoever_answers_first() {
        let is_mapped = |view: &View| view.ranges[0].2 == Address::Tcp("b".to_owned(), 1);
        let known = MapState { epoch: 7, is_mapped: Some(&is_mapped) };
        for order in [["a", "b"], ["b", "a"]] {
            let mut best = Best { known: &known, view: None, error: String::new() };
            best.offer(view(order[0], 7));
            assert_eq!(best.is_enough(), order[0] == "b");
            best.offer(view(order[1], 7));
            assert!(best.is_enough());
            assert_eq!(best.answer(), Ok(view("b", 7)));
        }
        let mut best = Best { known: &known, view: None, error: String::new() };
        best.offer(view("b", 7));
        best.offer(view("a", 8));
        assert!(best.is_enough());
        best.offer(view("b", 7));
        assert_eq!(best.answer(), Ok(view("a", 8)));
    }
}
