//! The nodes of a cluster, and the slot map: which of them serves which slot.
//!
//! Every node can report the whole map (`survey.rs`); where nodes differ, the highest epoch decides. A survey runs
//! when a node redirects a command or does not answer one, and repeatedly while a node is down, since a replica
//! may take over. A cluster client of a library would do this too, but hides the node of a command: a frozen
//! node would then delay calls that concern others.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use tokio::sync::watch;

use super::slots::{SLOTS, View, redirect_target, slot_of};
use super::survey::{MapState, Survey};
use crate::background;
use crate::config::{Address, Config, Deployment};
use crate::key::Key;
use crate::store::lanes::{Epoch, Lanes, Subscription, Tracking};
use crate::versions::Versions;

/// Between two looks at whether a node is down.
const CHECK_INTERVAL: Duration = Duration::from_millis(250);

/// The pause after a survey that has changed the map.
const MIN_PAUSE: Duration = Duration::from_millis(60);

/// For how long a node is kept that redirections lead to, and that the map does not have.
const KEEP_UNMAPPED: Duration = Duration::from_secs(60);

/// The longest pause between two surveys while something is wrong, or copies are kept.
const MAX_PAUSE: Duration = Duration::from_secs(1);

/// In [`Map::slots`]: no node serves the slot.
const UNASSIGNED: u16 = u16::MAX;

pub(crate) struct Cluster {
    deployment: Deployment,
    config: Config,
    /// Client tracking, shared by all nodes.
    tracking: Arc<Tracking>,
    /// The map's epoch, shared by all nodes.
    epoch: Arc<Epoch>,
    map: ArcSwapOption<Map>,
    /// Every node of the map, and those that redirections have led to lately.
    nodes: Mutex<HashMap<Address, Node>>,
    started: AtomicBool,
    closed: AtomicBool,
    /// Whether tracking lanes were ever needed: for copies, or for a subscriber.
    tracking_used: AtomicBool,
    /// Whether a survey has ended, with or without an answer.
    searched: watch::Sender<bool>,
    last_error: Mutex<Option<String>>,
}

struct Node {
    lanes: Arc<Lanes>,
    /// When a redirection has last led to the node.
    redirected_at: Option<Instant>,
}

/// The slot map.
struct Map {
    nodes: Vec<(Address, Arc<Lanes>)>,
    /// For each slot, the index of its node, or [`UNASSIGNED`].
    slots: Box<[u16]>,
    replicas: Vec<Address>,
    /// Why some or all names are not served.
    flaw: Option<String>,
}

impl Map {
    /// Whether both maps give every slot to the same address.
    fn same_slots_as(&self, other: &Self) -> bool {
        (0..SLOTS as u16).all(|slot| {
            let (here, there) = (self.node_of_slot(slot), other.node_of_slot(slot));
            here.map(|(address, _)| address) == there.map(|(address, _)| address)
        })
    }

    /// Whether the map gives every slot of a view to the view's address.
    fn matches(&self, view: &View) -> bool {
        view.ranges.iter().all(|(first, last, address)| {
            let index = self.nodes.iter().position(|(known, _)| known == address);
            let slots = &self.slots[usize::from(*first)..=usize::from(*last)];
            index.is_some_and(|index| slots.iter().all(|slot| usize::from(*slot) == index))
        })
    }

    fn node_of_slot(&self, slot: u16) -> Option<&(Address, Arc<Lanes>)> {
        self.nodes.get(usize::from(*self.slots.get(usize::from(slot))?))
    }
}

impl Cluster {
    pub(super) fn new(
        deployment: &Deployment,
        config: &Config,
        versions: &Arc<Versions>,
    ) -> Arc<Self> {
        Arc::new(Self {
            deployment: deployment.clone(),
            config: config.clone(),
            tracking: Arc::new(Tracking::new(versions.clone())),
            epoch: Arc::default(),
            map: ArcSwapOption::empty(),
            nodes: Mutex::default(),
            started: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            tracking_used: AtomicBool::new(false),
            searched: watch::Sender::new(false),
            last_error: Mutex::default(),
        })
    }

    /// All nodes that have slots.
    pub(super) fn all(&self) -> Vec<Arc<Lanes>> {
        let map = self.map.load();
        map.iter().flat_map(|map| &map.nodes).map(|(_, lanes)| lanes.clone()).collect()
    }

    /// The node that has a name.
    pub(super) fn lanes_of(&self, name: &str) -> Option<Arc<Lanes>> {
        self.node_of(name).map(|(_, lanes)| lanes)
    }

    /// The node that has a name, and its address.
    pub(crate) fn node_of(&self, name: &str) -> Option<(Address, Arc<Lanes>)> {
        self.map.load().as_ref()?.node_of_slot(slot_of(name.as_bytes())).cloned()
    }

    /// The node that a `MOVED` (or an `ASK`, if `is_ask`) of the node at `from` names. A `MOVED` requests a survey.
    pub(crate) fn redirected(
        &self,
        to: &str,
        from: &Address,
        is_ask: bool,
    ) -> Option<(Address, Arc<Lanes>)> {
        if !is_ask {
            self.request_survey();
        }
        let address = redirect_target(to, from)?;
        let mut nodes = self.nodes();
        if self.is_closed() {
            return None;
        }
        let lanes = self.node(&mut nodes, &address, Some(Instant::now()))?;
        Some((address, lanes))
    }

    /// Requests a survey, since the map may be outdated.
    pub(crate) fn request_survey(&self) {
        self.epoch.survey_requested.notify_one();
    }

    /// Whether the tracking lanes of all nodes are up; starts their dials at the first call.
    pub(crate) fn tracks_changes(&self) -> bool {
        self.tracking_used.store(true, Ordering::Relaxed);
        let all = self.all();
        // `count` visits every node, so that all dials start although the first node's lane is not up yet.
        let not_tracking = all.iter().filter(|lanes| !lanes.tracks_changes()).count();
        not_tracking == 0 && !all.is_empty()
    }

    /// Subscribes to changes of an entry and its tokens.
    pub(crate) fn subscribe(&self, key: &Key) -> Option<Subscription> {
        self.tracks_changes().then(|| self.tracking.subscribe(key))
    }

    /// The lanes of the node at an address, which are made if it is new.
    fn node(
        &self,
        nodes: &mut HashMap<Address, Node>,
        address: &Address,
        redirected_at: Option<Instant>,
    ) -> Option<Arc<Lanes>> {
        if let Some(node) = nodes.get_mut(address) {
            node.redirected_at = redirected_at.or(node.redirected_at);
            return Some(node.lanes.clone());
        }
        let server = self.deployment.at(address.clone());
        let (tracking, epoch) = (self.tracking.clone(), self.epoch.clone());
        let lanes = Arc::new(Lanes::with(&server, &self.config, tracking, epoch).ok()?);
        nodes.insert(address.clone(), Node { lanes: lanes.clone(), redirected_at });
        Some(lanes)
    }

    pub(super) fn close(&self) {
        let mut nodes = self.nodes();
        self.closed.store(true, Ordering::Release);
        self.started.store(true, Ordering::Release);
        self.map.store(None);
        let before = std::mem::take(&mut *nodes);
        drop(nodes);
        self.searched.send_replace(true);
        for node in before.into_values() {
            node.lanes.retire();
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    pub(super) fn is_searched(&self) -> bool {
        *self.searched.borrow()
    }

    /// Whether a survey and the first dials of all nodes that a key needs have ended.
    pub(super) fn is_ready(&self, key: &Key) -> bool {
        let dialled = |lanes: &Arc<Lanes>| lanes.is_dialled(lanes.slot_of(key.hash, key.bulk));
        self.is_searched() && self.needed(key).iter().all(dialled)
    }

    pub(super) async fn ready(self: &Arc<Self>, key: &Key) {
        if !self.started.swap(true, Ordering::AcqRel)
            && background::spawn(keep_map(Arc::downgrade(self))).is_none()
        {
            self.searched.send_replace(true);
        }
        let mut searched = self.searched.subscribe();
        // `wait_for` fails only once the sender is dropped, and the sender lives in `self`.
        let _ = searched.wait_for(|searched| *searched).await;
        let needed = self.needed(key);
        let dials = needed.iter().map(|lanes| lanes.dialled(lanes.slot_of(key.hash, key.bulk)));
        futures_util::future::join_all(dials).await;
    }

    fn needed(&self, key: &Key) -> Vec<Arc<Lanes>> {
        key.all().filter_map(|name| self.lanes_of(name)).collect()
    }

    pub(super) fn last_error(&self) -> Option<String> {
        self.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Why the cluster does not serve all names, although its nodes answer.
    pub(super) fn flaw(&self) -> Option<String> {
        self.map.load().as_ref()?.flaw.clone()
    }

    fn is_flawed(&self) -> bool {
        self.map.load().as_ref().is_some_and(|map| map.flaw.is_some())
    }

    fn set_last_error(&self, error: Option<String>) {
        *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = error;
    }

    /// Makes a view the map; returns whether slots and epoch are those of the map before.
    fn adopt(&self, view: &View) -> bool {
        let mut nodes = self.nodes();
        if self.is_closed() {
            return true;
        }
        let before = self.map.load_full();
        let map = self.map_of(view, &mut nodes);
        let same = before.as_ref().is_some_and(|before| map.same_slots_as(before));
        let is_unused = |address: &Address, node: &mut Node| {
            map.nodes.iter().all(|(known, _)| known != address)
                && node
                    .redirected_at
                    .is_none_or(|redirected_at| redirected_at.elapsed() >= KEEP_UNMAPPED)
        };
        let removed: Vec<_> = nodes.extract_if(is_unused).collect();
        if let (Some(before), false) = (&before, same) {
            tracing::info!(
                nodes = map.nodes.len(),
                before = before.nodes.len(),
                "the nodes of the redis cluster share its slots in another way"
            );
        }
        let flaw_before = before.as_ref().and_then(|before| before.flaw.as_ref());
        match &map.flaw {
            Some(flaw) if flaw_before != Some(flaw) => {
                tracing::warn!(error = flaw, "the redis cluster does not serve all names");
            }
            None if flaw_before.is_some() => tracing::info!("the redis cluster serves all names"),
            _ => {}
        }
        let all = map.nodes.iter().map(|(_, lanes)| Arc::downgrade(lanes)).collect();
        self.map.store(Some(Arc::new(map)));
        // Voids copies whose read went by the old map or is in flight. This must come before the new epoch is set:
        // from then on a heartbeat of a node in that epoch makes copies count again (see `lanes/epoch.rs`).
        if !same {
            self.tracking.set_nodes(all);
        }
        let known = self.epoch.set(view.epoch);
        drop(nodes);
        // Without the lock, since it wakes subscribers, whose wakers are the executor's code.
        for (_, node) in removed {
            node.lanes.retire();
        }
        same && known
    }

    fn map_of(&self, view: &View, nodes: &mut HashMap<Address, Node>) -> Map {
        let mut map = Map {
            nodes: Vec::new(),
            slots: vec![UNASSIGNED; SLOTS].into(),
            replicas: view.replicas.clone(),
            flaw: view.flaw(),
        };
        for (first, last, address) in &view.ranges {
            let Some(lanes) = self.node(nodes, address, None) else { continue };
            let known = map.nodes.iter().position(|(known, _)| known == address);
            let index = known.unwrap_or(map.nodes.len());
            if index == map.nodes.len() {
                map.nodes.push((address.clone(), lanes));
            }
            map.slots[usize::from(*first)..=usize::from(*last)].fill(index as u16);
        }
        map
    }

    /// Runs a survey: over the lanes of nodes that are up, then over other addresses if need be.
    async fn survey(&self, survey: &mut Survey) -> Result<View, String> {
        let map = self.map.load_full();
        let nodes: Vec<_> = map.iter().flat_map(|map| &map.nodes).collect();
        let (up, rest): (Vec<_>, Vec<_>) =
            nodes.into_iter().partition(|(_, lanes)| !lanes.is_down());
        let lane = |(address, lanes): &&(Address, Arc<Lanes>)| {
            Some((address.clone(), lanes.connection()?))
        };
        let lanes = up.iter().filter_map(lane).collect();
        // The URL's addresses first, since all discovered nodes may be gone.
        let mut others: Vec<Address> = self.deployment.addresses.clone();
        others.extend(map.iter().flat_map(|map| map.replicas.clone()));
        others.extend(up.into_iter().chain(rest).map(|(address, _)| address.clone()));
        let mut listed = HashSet::new();
        others.retain(|address| listed.insert(address.clone()));
        let is_mapped = map.as_ref().map(|map| |view: &View| map.matches(view));
        let is_mapped =
            is_mapped.as_ref().map(|is_mapped| is_mapped as &(dyn Fn(&View) -> bool + Sync));
        let known = MapState { epoch: self.epoch.number(), is_mapped };
        survey.run(lanes, others, &known).await
    }

    fn nodes(&self) -> MutexGuard<'_, HashMap<Address, Node>> {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The cluster, unless it is closed or dropped.
fn in_use(cluster: &Weak<Cluster>) -> Option<Arc<Cluster>> {
    cluster.upgrade().filter(|cluster| !cluster.is_closed())
}

/// Keeps the map current, until the cluster is closed or dropped.
async fn keep_map(cluster: Weak<Cluster>) {
    let (mut pause, mut silent) = (MIN_PAUSE, false);
    let Some(here) = in_use(&cluster) else { return };
    let mut survey = Survey::new(&here.deployment, &here.config);
    drop(here);
    loop {
        let Some(here) = in_use(&cluster) else { return };
        let surveyed = here.survey(&mut survey).await;
        let agreed = match surveyed {
            Ok(view) => {
                silent = false;
                here.set_last_error(None);
                here.adopt(&view)
            }
            Err(why) => {
                if !std::mem::replace(&mut silent, true) {
                    tracing::warn!(error = why, "no node of the redis cluster says who has what");
                }
                here.set_last_error(Some(why));
                true
            }
        };
        here.searched.send_replace(true);
        drop(here);
        // Never at once, whatever is wrong; but soon after a change, which may be one of several.
        pause = if agreed { (pause * 2).min(MAX_PAUSE) } else { MIN_PAUSE };
        tokio::time::sleep(pause).await;
        if !agreed {
            continue;
        }
        let since = Instant::now();
        loop {
            let Some(here) = in_use(&cluster) else { return };
            let unknown = here.map.load().is_none();
            if unknown || here.is_flawed() || here.all().iter().any(|lanes| lanes.is_down()) {
                break;
            }
            // A slot may move within an epoch, and hits on copies send no command that would be redirected.
            if here.tracking_used.load(Ordering::Relaxed) && since.elapsed() >= MAX_PAUSE {
                break;
            }
            pause = MIN_PAUSE;
            let requested =
                tokio::time::timeout(CHECK_INTERVAL, here.epoch.survey_requested.notified()).await;
            if requested.is_ok() {
                break;
            }
        }
    }
}
