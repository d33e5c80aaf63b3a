//! The master that sentinels name.
//!
//! A task for each sentinel queries the master once a second, and at once when the sentinel publishes
//! `+promoted-slave` or `+switch-master`: for some ten seconds after a failover the old master may go on taking
//! writes that are then lost. Where the sentinels differ, the highest configuration epoch decides, as it does
//! among the sentinels. While no sentinel answers, the known master is kept.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use deadpool_redis::redis::aio::MultiplexedConnection;
use deadpool_redis::redis::{self, Value};
use tokio::sync::{Notify, watch};

use crate::background;
use crate::config::{Address, Config, Deployment, Sentinel};
use crate::store::lanes::{Connector, Lanes, connect_aside, server_message};
use crate::versions::Versions;

/// Between two queries of a sentinel whose channels we are subscribed to, and of one where that failed.
const POLL_INTERVAL: [Duration; 2] = [Duration::from_secs(1), Duration::from_millis(250)];

/// For how long a sentinel's report counts.
const REPORT_VALID_FOR: Duration = Duration::from_secs(5);

/// For how long a majority of the fresh reports has to name one master before it is believed although its epoch
/// is lower than the known one: sentinels that were deployed anew start from epoch 0.
const AGREED_FOR: Duration = Duration::from_secs(10);

/// Between a failed query of a sentinel and the next dial.
const RETRY_PAUSE: Duration = Duration::from_millis(500);

/// The current master behind sentinels.
pub(crate) struct Master {
    deployment: Deployment,
    sentinel: Sentinel,
    /// One for each sentinel.
    connectors: Vec<Arc<Connector>>,
    config: Config,
    versions: Arc<Versions>,
    current: ArcSwapOption<CurrentMaster>,
    started: AtomicBool,
    closed: AtomicBool,
    /// Whether one sentinel has answered, or all of them have failed to, since the start.
    searched: watch::Sender<bool>,
    reports: Mutex<Reports>,
}

struct CurrentMaster {
    address: Address,
    lanes: Arc<Lanes>,
}

/// The last report of each sentinel, and what follows from them.
struct Reports {
    each: Vec<Option<Report>>,
    failed: Vec<bool>,
    /// The epoch of the report by which the current master was chosen.
    epoch: u64,
    /// The master that a majority names in a lower epoch, and since when.
    agreed: Option<(Address, Instant)>,
    all_failed: bool,
    error: Option<String>,
}

impl Reports {
    /// The report to follow: that of the highest epoch among the fresh ones. If that is lower than the known
    /// epoch, then only where every sentinel has a fresh report, since one that is out of reach may know the
    /// higher epoch; or where a majority of the fresh reports has named one master for [`AGREED_FOR`], since the
    /// other sentinels may be gone for good. If half of the sentinels or fewer have fresh reports, the latter
    /// holds only while the known master does not serve: they may be partitioned off together with a deposed
    /// master.
    fn decide(&mut self, serves: bool) -> Option<Report> {
        let fresh = |report: &&Report| report.at.elapsed() < REPORT_VALID_FOR;
        let fresh: Vec<Report> = self.each.iter().flatten().filter(fresh).cloned().collect();
        let highest = fresh.iter().max_by_key(|report| report.epoch)?;
        if fresh.len() == self.each.len() || highest.epoch >= self.epoch {
            self.agreed = None;
            return Some(highest.clone());
        }
        let named = majority(&fresh);
        let since = match (&self.agreed, &named) {
            (Some((address, since)), Some(named)) if *address == named.address => *since,
            _ => Instant::now(),
        };
        self.agreed = named.as_ref().map(|named| (named.address.clone(), since));
        let few = fresh.len() * 2 <= self.each.len();
        named.filter(|_| since.elapsed() >= AGREED_FOR && !(few && serves))
    }
}

/// The report of the highest epoch among those that name the same master as more than half of all.
fn majority(reports: &[Report]) -> Option<Report> {
    let count = |by: &Report| reports.iter().filter(|report| report.address == by.address).count();
    let mut candidates: Vec<_> =
        reports.iter().filter(|by| count(by) * 2 > reports.len()).collect();
    candidates.sort_by_key(|report| report.epoch);
    candidates.pop().cloned()
}

#[derive(Clone)]
struct Report {
    epoch: u64,
    address: Address,
    at: Instant,
}

impl Master {
    pub(super) fn new(
        deployment: &Deployment,
        sentinel: &Sentinel,
        config: &Config,
        versions: &Arc<Versions>,
    ) -> Arc<Self> {
        let connectors = deployment
            .addresses
            .iter()
            .map(|address| Connector::new(&deployment.sentinel(sentinel, address.clone()), config));
        let connectors: Vec<_> = connectors.collect();
        let count = connectors.len();
        Arc::new(Self {
            deployment: deployment.clone(),
            sentinel: sentinel.clone(),
            connectors,
            config: config.clone(),
            versions: versions.clone(),
            current: ArcSwapOption::empty(),
            started: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            searched: watch::Sender::new(false),
            reports: Mutex::new(Reports {
                each: vec![None; count],
                failed: vec![false; count],
                epoch: 0,
                agreed: None,
                all_failed: false,
                error: None,
            }),
        })
    }

    /// The lanes of the master, if one is known.
    pub(super) fn lanes(&self) -> Option<Arc<Lanes>> {
        self.current.load().as_ref().map(|current| current.lanes.clone())
    }

    pub(super) fn is_searched(&self) -> bool {
        *self.searched.borrow()
    }

    /// Waits until a sentinel has named the master, or all have failed to. The first call starts the queries.
    pub(super) async fn searched(self: &Arc<Self>) {
        if !self.started.swap(true, Ordering::AcqRel) {
            for index in 0..self.deployment.addresses.len() {
                if background::spawn(poll_sentinel(Arc::downgrade(self), index)).is_none() {
                    self.searched.send_replace(true);
                }
            }
        }
        let mut searched = self.searched.subscribe();
        // `wait_for` fails only once the sender is dropped, and the sender lives in `self`.
        let _ = searched.wait_for(|searched| *searched).await;
    }

    pub(super) fn close(&self) {
        let reports = self.reports();
        self.closed.store(true, Ordering::Release);
        self.started.store(true, Ordering::Release);
        let before = self.current.swap(None);
        drop(reports);
        self.searched.send_replace(true);
        if let Some(before) = before {
            before.lanes.retire();
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    pub(super) fn last_error(&self) -> Option<String> {
        if self.current.load().is_some() { None } else { self.reports().error.clone() }
    }

    /// Records a sentinel's answer, and follows the report that decides.
    fn report(&self, index: usize, epoch: u64, address: Address) {
        let mut reports = self.reports();
        reports.each[index] = Some(Report { epoch, address, at: Instant::now() });
        reports.failed[index] = false;
        reports.all_failed = false;
        let serves = self.lanes().is_some_and(|lanes| !lanes.is_down());
        // Under the lock, so that no older report overtakes a newer one, and none is followed after `close`.
        let decided = reports.decide(serves).filter(|_| !self.is_closed());
        let mut previous_epoch = 0;
        let before = decided.as_ref().and_then(|report| {
            previous_epoch = std::mem::replace(&mut reports.epoch, report.epoch);
            self.switch_to(&report.address)
        });
        drop(reports);
        if let Some(report) = decided.filter(|report| report.epoch < previous_epoch) {
            tracing::warn!(
                master = %report.address,
                epoch = report.epoch,
                before = previous_epoch,
                "the sentinels have forgotten what they knew, and are believed all the same"
            );
        }
        if let Some(before) = before {
            before.lanes.retire();
        }
        self.searched.send_replace(true);
    }

    fn failed(&self, index: usize, why: String) {
        let mut reports = self.reports();
        reports.failed[index] = true;
        reports.error = Some(why);
        let all = reports.failed.iter().all(|failed| *failed);
        let all_failed = std::mem::replace(&mut reports.all_failed, all);
        drop(reports);
        if all && !all_failed {
            let why = self.reports().error.clone().unwrap_or_default();
            tracing::warn!(error = why, "no sentinel answers: the master stays who it was");
        }
        if all {
            self.searched.send_replace(true);
        }
    }

    /// Makes the server at `address` the master. Returns the previous one, for the caller to retire without the
    /// lock.
    fn switch_to(&self, address: &Address) -> Option<Arc<CurrentMaster>> {
        let before = self.current.load_full();
        if before.as_ref().is_some_and(|current| current.address == *address) {
            return None;
        }
        let server = self.deployment.at(address.clone());
        let lanes = Lanes::new(&server, &self.config, self.versions.clone()).ok()?;
        let current = CurrentMaster { address: address.clone(), lanes: Arc::new(lanes) };
        self.current.store(Some(Arc::new(current)));
        let before = before?;
        // No invalidation arrives from the old master any more.
        self.versions.bump_all();
        tracing::info!(master = %server, before = %before.address, "redis has another master");
        Some(before)
    }

    fn reports(&self) -> MutexGuard<'_, Reports> {
        self.reports.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The master, unless it is closed or dropped.
fn in_use(master: &Weak<Master>) -> Option<Arc<Master>> {
    master.upgrade().filter(|master| !master.is_closed())
}

/// Queries one sentinel, until the master is closed or dropped.
async fn poll_sentinel(master: Weak<Master>, index: usize) {
    loop {
        let Some(here) = in_use(&master) else { return };
        let (config, name) = (here.config.clone(), here.sentinel.master.clone());
        let connector = here.connectors[index].clone();
        drop(here);
        let changed = Arc::new(Notify::new());
        let on_push = changed.clone();
        let dial = connect_aside(&connector, move || on_push.notify_one());
        let why = match tokio::time::timeout(config.connect_timeout.saturating_mul(2), dial).await {
            Ok(Ok((link, resp3))) => {
                let mut connection = link.connection();
                let limit = config.connect_timeout;
                let announces = resp3 && subscribe(&mut connection, limit).await;
                let interval = POLL_INTERVAL[usize::from(!announces)];
                loop {
                    match query(&mut connection, &name, &connector.server().address, limit).await {
                        Ok((epoch, address)) => {
                            let Some(here) = in_use(&master) else { return };
                            here.report(index, epoch, address);
                        }
                        Err(why) => break why,
                    }
                    let _ = tokio::time::timeout(interval, changed.notified()).await;
                }
            }
            Ok(Err(why)) => why,
            Err(_) => "the sentinel does not answer".to_owned(),
        };
        let Some(here) = in_use(&master) else { return };
        here.failed(index, why);
        drop(here);
        tokio::time::sleep(RETRY_PAUSE).await;
    }
}

async fn subscribe(connection: &mut MultiplexedConnection, limit: Duration) -> bool {
    // `+promoted-slave` comes first: a replica was promoted, and the other replicas still follow the old master.
    let subscribed = connection.subscribe(&["+promoted-slave", "+switch-master"]);
    matches!(tokio::time::timeout(limit, subscribed).await, Ok(Ok(())))
}

/// The master's configuration epoch and address. `SENTINEL MASTER` has an address too, but during a failover that
/// is the old one until the leading sentinel has reconfigured the other replicas.
async fn query(
    connection: &mut MultiplexedConnection,
    name: &str,
    sentinel: &Address,
    limit: Duration,
) -> Result<(u64, Address), String> {
    let mut query = redis::pipe();
    query.cmd("SENTINEL").arg("GET-MASTER-ADDR-BY-NAME").arg(name);
    query.cmd("SENTINEL").arg("MASTER").arg(name);
    let reply = tokio::time::timeout(limit, connection.send_packed_commands(&query, 0, 2)).await;
    let replies = reply.map_err(|_| format!("the sentinel {sentinel} does not answer"))?;
    let replies = replies.map_err(|error| server_message(&error))?;
    let [address, fields] = &replies[..] else { return Err("no answer".to_owned()) };
    if *address == Value::Nil {
        return Err(format!("the sentinel {sentinel} knows no master `{name}`"));
    }
    let address = address.clone().extract_error().map_err(|error| server_message(&error))?;
    let (host, port): (String, u16) =
        redis::from_redis_value(address).map_err(|error| error.to_string())?;
    // Without an epoch, as where an ACL forbids `SENTINEL MASTER`, all sentinels rank the same.
    let fields: HashMap<String, String> = redis::from_redis_value_ref(fields).unwrap_or_default();
    let epoch = fields.get("config-epoch").and_then(|epoch| epoch.parse().ok());
    Ok((epoch.unwrap_or(0), Address::Tcp(host, port)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(epoch: u64, port: u16) -> Report {
        let address = Address::Tcp("h".to_owned(), port);
        Report { epoch, address, at: Instant::now() }
    }

    fn reports(epoch: u64, each: Vec<Option<Report>>) -> Reports {
        let failed = vec![false; each.len()];
        Reports { each, failed, epoch, agreed: None, all_failed: false, error: None }
    }

    fn port(report: Option<Report>) -> Option<u16> {
        match report?.address {
            Address::Tcp(_, port) => Some(port),
            Address::Unix(_) => None,
        }
    }

    fn decide(epoch: u64, each: Vec<Option<Report>>) -> Option<u16> {
        port(reports(epoch, each).decide(true))
    }

    /// Sets a master that a majority has named for `since`.
    fn agreed(reports: &mut Reports, port: u16, since: Duration) {
        let address = Address::Tcp("h".to_owned(), port);
        reports.agreed = Instant::now().checked_sub(since).map(|since| (address, since));
    }

    #[test]
    fn the_highest_epoch_counts_and_a_lower_one_only_if_all_agree() {
        assert_eq!(decide(0, vec![Some(report(1, 10)), Some(report(2, 20)), None]), Some(20));
        assert_eq!(decide(2, vec![Some(report(1, 10)), None, None]), None);
        assert_eq!(decide(2, vec![Some(report(2, 20)), Some(report(1, 10)), None]), Some(20));
        assert_eq!(decide(9, vec![Some(report(1, 10)), Some(report(2, 20))]), Some(20));
        assert_eq!(decide(0, vec![None, None]), None);
    }

    #[test]
    fn a_lower_epoch_counts_once_most_of_those_that_answer_have_agreed_for_some_time() {
        let mut two_of_three = reports(9, vec![None, Some(report(0, 10)), Some(report(1, 10))]);
        assert_eq!(port(two_of_three.decide(true)), None);
        agreed(&mut two_of_three, 10, AGREED_FOR / 2);
        assert_eq!(port(two_of_three.decide(true)), None);
        agreed(&mut two_of_three, 20, AGREED_FOR);
        assert_eq!(port(two_of_three.decide(true)), None, "they have named another before");
        agreed(&mut two_of_three, 10, AGREED_FOR);
        assert_eq!(port(two_of_three.decide(true)), Some(10));
        let mut split = reports(9, vec![None, Some(report(0, 10)), Some(report(1, 20))]);
        agreed(&mut split, 20, AGREED_FOR);
        assert_eq!(port(split.decide(true)), None);
    }

    #[test]
    fn few_count_only_while_the_known_master_does_not_serve() {
        let mut one_of_three = reports(9, vec![None, None, Some(report(1, 10))]);
        agreed(&mut one_of_three, 10, AGREED_FOR);
        assert_eq!(port(one_of_three.decide(true)), None);
        assert_eq!(port(one_of_three.decide(false)), Some(10));
    }

    #[test]
    fn what_all_say_or_a_higher_epoch_ends_an_agreement() {
        let mut reports = reports(9, vec![None, Some(report(0, 10)), Some(report(0, 10))]);
        agreed(&mut reports, 10, AGREED_FOR / 2);
        reports.each[1] = Some(report(9, 20));
        assert_eq!(port(reports.decide(true)), Some(20));
        reports.each[1] = None;
        assert_eq!(port(reports.decide(true)), None);
        assert!(reports.agreed.is_some_and(|(_, since)| since.elapsed() < AGREED_FOR / 2));
    }
}
