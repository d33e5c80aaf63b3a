//! Switching the cache, or one prefix, off for a while.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use serde::Serialize;

use super::Cache;
use crate::stats::{group_name, group_of, seconds};

/// The longest time for which something is switched off.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// Something that is switched off for a while; from [`Cache::switches`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Switch {
    /// The prefix whose functions run plainly; `None` where the whole cache is switched off.
    pub prefix: Option<String>,
    /// Why, in the words of the operator who did it.
    pub reason: String,
    /// How long the switch still lasts. Serialized as `seconds_left`.
    #[serde(rename = "seconds_left", serialize_with = "seconds")]
    pub left: Duration,
}

/// What is switched off in one cache.
#[derive(Debug, Default)]
pub(crate) struct Switches {
    /// Whether anything is: all that a call looks at as a rule.
    any: AtomicBool,
    /// Replaced as a whole, since calls of other prefixes read it while one prefix is off.
    off: ArcSwap<Vec<Off>>,
    /// Held while `off` and `any` are replaced, so that they agree.
    writer: Mutex<()>,
}

#[derive(Debug, Clone)]
struct Off {
    /// The group of counters of the prefix; `None` for the whole cache.
    group: Option<usize>,
    reason: String,
    until: Instant,
}

impl Switches {
    /// Whether the whole cache is switched off.
    #[inline]
    pub(super) fn is_all_off(&self) -> bool {
        self.any.load(Ordering::Relaxed) && self.is_off_now(None)
    }

    /// Whether a prefix is switched off by itself.
    #[inline]
    pub(crate) fn is_group_off(&self, group: usize) -> bool {
        self.any.load(Ordering::Relaxed) && self.is_off_now(Some(group))
    }

    #[cold]
    fn is_off_now(&self, group: Option<usize>) -> bool {
        let now = Instant::now();
        self.off.load().iter().any(|off| off.group == group && off.until > now)
    }

    fn set(&self, group: Option<usize>, reason: &str, until: Instant) {
        self.update(|list| {
            list.retain(|off| off.group != group);
            list.push(Off { group, reason: reason.to_owned(), until });
        });
    }

    /// Keeps the switches for which `keeps` is true; whether others have gone.
    fn retain(&self, keeps: impl Fn(&Off) -> bool) -> bool {
        let mut gone = false;
        self.update(|list| {
            let before = list.len();
            list.retain(keeps);
            gone = list.len() < before;
        });
        gone
    }

    fn update(&self, change: impl FnOnce(&mut Vec<Off>)) {
        let _writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let mut list = Vec::clone(&self.off.load());
        change(&mut list);
        let any = !list.is_empty();
        self.off.store(Arc::new(list));
        self.any.store(any, Ordering::Relaxed);
    }
}

impl Cache {
    /// Switches the cache off for `time`, or the functions of one prefix: until then calls run their
    /// functions plainly and store nothing, and are counted as bypassed with the reason `off`.
    /// Invalidations still go out.
    ///
    /// `time` is at most a day, so that no switch is forgotten; for good there is [`Cache::disable`].
    /// A second call for the same prefix replaces the first. The switch is this process's alone.
    /// `reason` is shown by [`Cache::switches`] and in the log.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use cache_runtime::{Cache, cache_result, observe};
    /// #[cache_result(prefix = "areas")]
    /// async fn areas(kind: String) -> usize { kind.len() }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let cache = Cache::in_memory();
    /// cache.scope(async {
    ///     areas("buy".into()).await;
    ///     cache.switch_off(Some("areas"), Duration::from_secs(600), "wrong import of 9:40");
    ///     assert!(observe(areas("buy".into())).await.1.is_bypassed());
    ///     cache.switch_on(Some("areas"));
    ///     assert!(observe(areas("buy".into())).await.1.is_hit());
    /// }).await;
    /// # }
    /// ```
    ///
    /// A switched-off cache sends its load to what the functions ask: [`PrefixStats`](crate::PrefixStats)
    /// say how many calls it has answered.
    pub fn switch_off(&self, prefix: Option<&str>, time: Duration, reason: &str) {
        let time = time.min(LONGEST);
        let Some(group) = prefix.map(group_of).map_or(Some(None), |group| group.map(Some)) else {
            tracing::warn!(prefix, "too many prefixes that no function has: not switched off");
            return;
        };
        tracing::warn!(prefix, ?time, reason, "the cache is switched off");
        self.0.switches.set(group, reason, Instant::now() + time);
        let cache = Arc::downgrade(&self.0);
        crate::background::spawn(async move {
            tokio::time::sleep(time).await;
            if let Some(cache) = cache.upgrade().map(Cache) {
                let now = Instant::now();
                cache.end_switches(|off| off.until <= now);
                cache.drop_elsewhere();
            }
        });
    }

    /// Undoes [`Cache::switch_off`] for the same prefix, or for the whole cache. The near cache begins
    /// empty.
    pub fn switch_on(&self, prefix: Option<&str>) {
        if let Some(group) = prefix.map(group_of).map_or(Some(None), |group| group.map(Some)) {
            self.end_switches(|off| off.group == group);
        }
    }

    /// What is switched off now.
    pub fn switches(&self) -> Vec<Switch> {
        let (list, now) = (self.0.switches.off.load(), Instant::now());
        let switches = list.iter().filter(|off| off.until > now).map(|off| Switch {
            prefix: off.group.map(group_name),
            reason: off.reason.clone(),
            left: off.until.saturating_duration_since(now),
        });
        switches.collect()
    }

    fn end_switches(&self, ends: impl Fn(&Off) -> bool) {
        if self.0.switches.retain(|off| !ends(off)) {
            self.0.near.clear();
            tracing::info!("the cache is switched on again");
        }
    }
}
