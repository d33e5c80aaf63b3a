//! The processes of one namespace, which know of each other through Redis.
//!
//! Each process claims one of 64 keys and writes its figures there every five seconds, with an expiry of
//! three beats; one `MGET` reads all. The keys have one hash tag, so that a cluster keeps them on one node.
//! A switch for the whole fleet is a key as well, whose expiry ends it: no two hosts compare clocks.

use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use cache_runtime::__admin::{inspect, put_slot, remove_slot, settings, slots};
use cache_runtime::{Cache, Error};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::counters::Figures;

/// How often a process writes its figures and looks for switches.
const BEAT: Duration = Duration::from_secs(5);

/// After three beats without a sign a process is gone.
const EXPIRY: Duration = Duration::from_secs(15);

const SLOTS: usize = 64;

/// Switches of the fleet at a time.
const SWITCHES: usize = 8;

/// Prefixes that a process reports by name.
const NAMED: usize = 50;

/// How long an answer of the fleet is used again: pages that are polled together read it once.
const FRESH: Duration = Duration::from_secs(1);

/// The longest that a page waits for Redis.
pub(crate) const PATIENCE: Duration = Duration::from_secs(2);

/// What one process reports to the others.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Report {
    schema: u32,
    pub(crate) id: String,
    pub(crate) host: String,
    pub(crate) pid: u32,
    #[serde(default)]
    pub(crate) uptime_seconds: f64,
    pub(crate) status: String,
    /// Counts the reports of this process.
    beat: u64,
    #[serde(default)]
    pub(crate) figures: Figures,
}

/// The version of [`Report`]; those of another one are not read.
const SCHEMA: u32 = 1;

/// Something that is switched off in every process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FleetSwitch {
    id: String,
    prefix: Option<String>,
    reason: String,
    who: String,
    /// How long it lasts in all; the expiry of its key says how much of it is left.
    seconds: u64,
}

/// A switch of the fleet as it stands in Redis.
#[derive(Debug, Clone)]
pub(crate) struct InForce {
    name: String,
    switch: FleetSwitch,
    until: Instant,
}

#[cfg(feature = "cachectl")]
impl InForce {
    pub(crate) fn view(&self) -> Value {
        serde_json::json!({
            "prefix": self.switch.prefix,
            "reason": self.switch.reason,
            "who": self.switch.who,
            "seconds_left": self.until.saturating_duration_since(Instant::now()).as_secs_f64(),
            "reach": "fleet",
        })
    }
}

/// Who has switched something off in this process.
#[derive(Debug, Clone)]
pub(crate) struct Note {
    pub(crate) who: String,
    /// The id of the fleet's switch; `None` for one of this process alone.
    pub(crate) fleet: Option<String>,
}

/// Why a switch of the fleet was not changed.
#[derive(Debug)]
pub(crate) enum SwitchError {
    /// All keys of switches are taken.
    Full,
    Store(Error),
}

impl From<Error> for SwitchError {
    fn from(error: Error) -> Self {
        Self::Store(error)
    }
}

/// This process as a member of the fleet.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) cache: Cache,
    pub(crate) id: String,
    pub(crate) host: String,
    began: Instant,
    namespace: String,
    state: Mutex<State>,
    /// One at a time reads switches and applies them.
    applying: tokio::sync::Mutex<()>,
    beating: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    slot: Option<usize>,
    full: bool,
    beat: u64,
    /// The switches of the fleet that are applied here, by the number of their key.
    applied: BTreeMap<usize, FleetSwitch>,
    notes: BTreeMap<Option<String>, Note>,
    /// The newest beat of each other process, and when this one first read it.
    seen: BTreeMap<String, (u64, Instant)>,
    read: Option<(Instant, Vec<Report>)>,
}

/// Keeps this process in the fleet until it is dropped; from [`heartbeat`].
#[must_use = "the process leaves the fleet when this is dropped"]
#[derive(Debug)]
pub struct Heartbeat(#[allow(dead_code, reason = "its drop ends the task")] Arc<Member>);

/// Makes a process without a page a member of its fleet: its figures appear in the pages of the others,
/// and switches for the fleet concern it. A process with a [`router`](crate::router) is a member already.
///
/// Every five seconds, on the caller's tokio runtime, the process writes a report of a few kilobytes to a
/// key of the namespace, which expires after fifteen. Calls do not wait for it. Where the cache is not over
/// Redis nothing happens; where Redis is down, the next beat tries again.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let cache = cache_runtime::Cache::in_memory();
/// let heartbeat = cache_admin::heartbeat(&cache);
/// // the program's work
/// drop(heartbeat);
/// # }
/// ```
///
/// Outside a tokio runtime nothing can beat, and one line in the log says so.
pub fn heartbeat(cache: &Cache) -> Heartbeat {
    let member = Member::new(cache.clone());
    if !member.start() {
        tracing::warn!(
            "the process is no member of the fleet: `heartbeat` was called outside a tokio runtime"
        );
    }
    Heartbeat(member)
}

impl Member {
    pub(crate) fn new(cache: Cache) -> Arc<Self> {
        let namespace = settings(&cache).namespace;
        Arc::new(Self {
            cache,
            id: random_id(),
            host: host(),
            began: Instant::now(),
            namespace,
            state: Mutex::default(),
            applying: tokio::sync::Mutex::default(),
            beating: AtomicBool::new(false),
        })
    }

    /// Starts the task that beats, unless there is one; false outside a tokio runtime.
    pub(crate) fn start(self: &Arc<Self>) -> bool {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return false };
        if self.is_shared() && !self.beating.swap(true, Ordering::AcqRel) {
            let beating = Beating(Arc::downgrade(self));
            runtime.spawn(beating.run());
        }
        true
    }

    /// Whether the store is one that other processes see.
    pub(crate) fn is_shared(&self) -> bool {
        !matches!(settings(&self.cache).topology, "off" | "memory")
    }

    pub(crate) fn uptime(&self) -> Duration {
        self.began.elapsed()
    }

    /// Why other processes do not see this one.
    pub(crate) fn is_crowded_out(&self) -> bool {
        self.state().full
    }

    /// Applies the switches of the fleet, and writes the report of this process.
    async fn beat(&self) -> Result<(), Error> {
        self.apply_switches().await?;
        let slot = self.state().slot;
        let kept = match slot {
            Some(slot) => self.keeps(slot).await?,
            None => false,
        };
        let report = self.report();
        if let Some(slot) = slot.filter(|_| kept) {
            put_slot(&self.cache, &self.slot_name(slot), &report, EXPIRY, false).await?;
            return Ok(());
        }
        self.claim(&report).await
    }

    /// Whether the slot is still this process's, or nobody's: one that was paused has lost it.
    async fn keeps(&self, slot: usize) -> Result<bool, Error> {
        let found = slots(&self.cache, &[self.slot_name(slot)]).await?;
        let owner = found.into_iter().next().flatten().and_then(|bytes| parse(&bytes));
        Ok(owner.is_none_or(|owner| owner.id == self.id))
    }

    /// Takes the first free slot, beginning at one that is as good as random.
    async fn claim(&self, report: &[u8]) -> Result<(), Error> {
        self.state().slot = None;
        let taken = slots(&self.cache, &self.slot_names()).await?;
        let start = self.id.bytes().fold(0, |sum, byte| sum + usize::from(byte));
        for slot in (start..start + SLOTS).map(|slot| slot % SLOTS) {
            if taken.get(slot).is_some_and(Option::is_some) {
                continue;
            }
            if put_slot(&self.cache, &self.slot_name(slot), report, EXPIRY, true).await? {
                let mut state = self.state();
                (state.slot, state.full) = (Some(slot), false);
                return Ok(());
            }
        }
        self.state().full = true;
        Ok(())
    }

    fn report(&self) -> Vec<u8> {
        let mut figures = Figures::of(&self.cache);
        figures.keep_busiest(NAMED);
        let beat = {
            let mut state = self.state();
            state.beat += 1;
            state.beat
        };
        let report = Report {
            schema: SCHEMA,
            id: self.id.clone(),
            host: self.host.clone(),
            pid: std::process::id(),
            uptime_seconds: self.uptime().as_secs_f64(),
            status: self.cache.health().status.as_str().to_owned(),
            beat,
            figures,
        };
        let mut json = serde_json::to_value(&report).unwrap_or_default();
        prune(&mut json);
        json.to_string().into_bytes()
    }

    /// The newest reports of the other processes, with how long ago each was first read here.
    pub(crate) async fn others(&self) -> Result<Vec<(Report, Duration)>, String> {
        if !self.is_shared() {
            return Err("the store is not shared with other processes".to_owned());
        }
        let known = self.state().read.clone().filter(|(at, _)| at.elapsed() < FRESH);
        let reports = match known {
            Some((_, reports)) => reports,
            None => self.read_others().await?,
        };
        let mut state = self.state();
        let with_age = reports.into_iter().map(|report| {
            let now = Instant::now();
            let seen = state.seen.entry(report.id.clone()).or_insert((report.beat, now));
            if seen.0 != report.beat {
                *seen = (report.beat, now);
            }
            let age = seen.1.elapsed();
            (report, age)
        });
        Ok(with_age.collect())
    }

    async fn read_others(&self) -> Result<Vec<Report>, String> {
        let names = self.slot_names();
        let found = tokio::time::timeout(PATIENCE, slots(&self.cache, &names)).await;
        let found = found
            .map_err(|_| "Redis does not answer".to_owned())
            .and_then(|found| found.map_err(|error| error.to_string()))?;
        let reports = found.iter().flatten().filter_map(|bytes| parse(bytes));
        // By id: a process that has moved to another slot may stand in both for a while.
        let mut newest: BTreeMap<String, Report> = BTreeMap::new();
        for report in reports.filter(|report| report.id != self.id) {
            let older = newest.get(&report.id).is_some_and(|known| known.beat > report.beat);
            if !older {
                newest.insert(report.id.clone(), report);
            }
        }
        let reports: Vec<_> = newest.into_values().collect();
        let mut state = self.state();
        state.seen.retain(|id, _| reports.iter().any(|report| report.id == *id));
        state.read = Some((Instant::now(), reports.clone()));
        Ok(reports)
    }

    /// Reads the switches of the fleet: ends those that are gone here, and begins those that are new.
    async fn apply_switches(&self) -> Result<(), Error> {
        let _alone = self.applying.lock().await;
        let found = self.fleet_switches().await?;
        let mut gone = Vec::new();
        self.state().applied.retain(|key, applied| {
            let stays = found.get(*key).and_then(Option::as_ref) == Some(&*applied);
            if !stays {
                gone.push(applied.clone());
            }
            stays
        });
        for switch in &gone {
            self.end(switch);
        }
        for (key, switch) in found.into_iter().enumerate() {
            let Some(switch) = switch else { continue };
            if !self.state().applied.contains_key(&key) {
                self.begin(key, switch).await?;
            }
        }
        Ok(())
    }

    async fn begin(&self, key: usize, switch: FleetSwitch) -> Result<(), Error> {
        let Some(entry) = inspect(&self.cache, &self.switch_name(key)).await? else {
            return Ok(());
        };
        let left = entry.ttl_left.unwrap_or(Duration::from_secs(switch.seconds));
        self.cache.switch_off(switch.prefix.as_deref(), left, &switch.reason);
        let note = Note { who: switch.who.clone(), fleet: Some(switch.id.clone()) };
        let mut state = self.state();
        state.notes.insert(switch.prefix.clone(), note);
        state.applied.insert(key, switch);
        Ok(())
    }

    /// Ends a switch of the fleet, unless another one has taken its place in this process.
    fn end(&self, switch: &FleetSwitch) {
        let mut state = self.state();
        let note = state.notes.get(&switch.prefix);
        if note.is_some_and(|note| note.fleet.as_deref() == Some(switch.id.as_str())) {
            state.notes.remove(&switch.prefix);
            drop(state);
            self.cache.switch_on(switch.prefix.as_deref());
        }
    }

    async fn fleet_switches(&self) -> Result<Vec<Option<FleetSwitch>>, Error> {
        let names: Vec<_> = (0..SWITCHES).map(|key| self.switch_name(key)).collect();
        let found = slots(&self.cache, &names).await?;
        let parsed = found.into_iter().map(|bytes| serde_json::from_slice(&bytes?).ok());
        Ok(parsed.collect())
    }

    /// Switches off in every process: here at once, in the others at their next beat.
    pub(crate) async fn switch_fleet_off(
        &self,
        prefix: Option<String>,
        time: Duration,
        reason: &str,
        who: &str,
    ) -> Result<(), SwitchError> {
        let (id, seconds) = (random_id(), time.as_secs());
        let (reason, who) = (reason.to_owned(), who.to_owned());
        let switch = FleetSwitch { id, prefix, reason, who, seconds };
        let bytes = serde_json::to_vec(&switch).unwrap_or_default();
        let found = self.fleet_switches().await?;
        let same =
            |one: &Option<FleetSwitch>| one.as_ref().map(|one| &one.prefix) == Some(&switch.prefix);
        let mut written = false;
        if let Some(key) = found.iter().position(same) {
            written = put_slot(&self.cache, &self.switch_name(key), &bytes, time, false).await?;
        }
        for key in (0..SWITCHES).filter(|key| found.get(*key).is_some_and(Option::is_none)) {
            if !written {
                written = put_slot(&self.cache, &self.switch_name(key), &bytes, time, true).await?;
            }
        }
        if !written {
            return Err(SwitchError::Full);
        }
        Ok(self.apply_switches().await?)
    }

    /// Ends the fleet's switch of a prefix, or of everything; whether there was one.
    pub(crate) async fn switch_fleet_on(&self, prefix: Option<&str>) -> Result<bool, SwitchError> {
        let found = self.fleet_switches().await?;
        let mut any = false;
        for (key, switch) in found.iter().enumerate() {
            if switch.as_ref().is_some_and(|switch| switch.prefix.as_deref() == prefix) {
                remove_slot(&self.cache, &self.switch_name(key)).await?;
                any = true;
            }
        }
        self.apply_switches().await?;
        Ok(any)
    }

    /// The switches of the fleet, with their keys and until when they are in force.
    pub(crate) async fn switches_in_force(&self) -> Result<Vec<InForce>, Error> {
        let mut switches = Vec::new();
        for (key, switch) in self.fleet_switches().await?.into_iter().enumerate() {
            let Some(switch) = switch else { continue };
            let name = self.switch_name(key);
            let left = inspect(&self.cache, &name).await?.and_then(|entry| entry.ttl_left);
            switches.extend(left.map(|left| InForce {
                name,
                switch,
                until: Instant::now() + left,
            }));
        }
        Ok(switches)
    }

    /// Removes everything in the namespace. The switches of the fleet are written again: they are keys of
    /// the namespace too.
    pub(crate) async fn clear(&self) -> Result<u64, Error> {
        let switches = if self.is_shared() { self.switches_in_force().await? } else { Vec::new() };
        let cleared = self.cache.clear().await;
        for InForce { name, switch, until } in switches {
            let bytes = serde_json::to_vec(&switch).unwrap_or_default();
            let left = until.saturating_duration_since(Instant::now());
            if !left.is_zero() {
                put_slot(&self.cache, &name, &bytes, left, true).await?;
            }
        }
        Ok(cleared?.removed)
    }

    pub(crate) fn switch_process_off(
        &self,
        prefix: Option<&str>,
        time: Duration,
        reason: &str,
        who: &str,
    ) {
        self.cache.switch_off(prefix, time, reason);
        let note = Note { who: who.to_owned(), fleet: None };
        self.state().notes.insert(prefix.map(str::to_owned), note);
    }

    pub(crate) fn switch_process_on(&self, prefix: Option<&str>) {
        self.cache.switch_on(prefix);
        self.state().notes.remove(&prefix.map(str::to_owned));
    }

    pub(crate) fn note(&self, prefix: Option<&str>) -> Option<Note> {
        self.state().notes.get(&prefix.map(str::to_owned)).cloned()
    }

    fn slot_names(&self) -> Vec<String> {
        (0..SLOTS).map(|slot| self.slot_name(slot)).collect()
    }

    fn slot_name(&self, slot: usize) -> String {
        format!("{}:@{{fleet}}:{slot:02}", self.namespace)
    }

    fn switch_name(&self, key: usize) -> String {
        format!("{}:@{{fleet}}:switch:{key}", self.namespace)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The task that beats. Its drop, also with its runtime, lets another one begin.
struct Beating(Weak<Member>);

impl Beating {
    async fn run(self) {
        let mut beats = tokio::time::interval(BEAT);
        beats.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            beats.tick().await;
            let Some(member) = self.0.upgrade() else { return };
            if let Err(error) = member.beat().await {
                tracing::debug!(%error, "the report to the fleet was not written");
            }
        }
    }
}

impl Drop for Beating {
    fn drop(&mut self) {
        if let Some(member) = self.0.upgrade() {
            member.beating.store(false, Ordering::Release);
        }
    }
}

fn parse(bytes: &[u8]) -> Option<Report> {
    let report: Report = serde_json::from_slice(bytes).ok()?;
    (report.schema == SCHEMA).then_some(report)
}

/// Takes zeros and empty objects out, which are most of a report.
fn prune(value: &mut Value) {
    if let Value::Object(fields) = value {
        fields.retain(|_, field| {
            prune(field);
            let zero = field.as_f64() == Some(0.0);
            let empty = field.as_object().is_some_and(serde_json::Map::is_empty);
            !zero && !empty
        });
    }
}

fn random_id() -> String {
    // The keys of a `RandomState` are random for each thread and differ from one to the next.
    format!("{:016x}", RandomState::new().build_hasher().finish())
}

/// The name of this host, as far as the system says.
fn host() -> String {
    let file = || std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let names = [file(), std::env::var("HOSTNAME").ok(), std::env::var("COMPUTERNAME").ok()];
    let mut names = names.into_iter().flatten().map(|name| name.trim().to_owned());
    names.find(|name| !name.is_empty()).unwrap_or_else(|| "unknown".to_owned())
}
