//! What the handlers of one router share.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use cache_runtime::Cache;
use serde::Serialize;
use serde_json::Value;

use crate::access::Access;
use crate::audit::Audit;
use crate::fleet::Member;
use crate::warmers::Warmer;

/// The state of a router.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) cache: Cache,
    pub(crate) access: Access,
    pub(crate) environment: Option<Environment>,
    pub(crate) warmers: Vec<Warmer>,
    pub(crate) audit: Audit,
    pub(crate) member: Arc<Member>,
    /// Requests that change something, of callers who may do so.
    pub(crate) changes: Limit,
    /// The same requests of callers who may only view, and their looks at entries.
    pub(crate) views: Limit,
    pub(crate) clears: Limit,
    /// What Redis has said of itself, and when.
    pub(crate) redis: Mutex<Option<(Instant, Value)>>,
}

impl Shared {
    pub(crate) fn redis(&self) -> MutexGuard<'_, Option<(Instant, Value)>> {
        self.redis.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The badge of the page, so that nobody clears production by mistake.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Environment {
    label: String,
    color: Option<String>,
}

impl Environment {
    /// Reads `label` or `label:color`; `None` where there is no label.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (label, color) = match text.rsplit_once(':') {
            Some((label, color)) => (label, Some(color.trim().to_owned())),
            None => (text, None),
        };
        let label = label.trim().to_owned();
        (!label.is_empty()).then_some(Self { label, color })
    }
}

/// At most so many actions in each second.
#[derive(Debug)]
pub(crate) struct Limit {
    most: u32,
    second: Mutex<Option<(Instant, u32)>>,
}

impl Limit {
    pub(crate) fn per_second(most: u32) -> Self {
        Self { most, second: Mutex::new(None) }
    }

    /// Whether one more is allowed now; it is counted then.
    pub(crate) fn allows(&self) -> bool {
        let mut second = self.second.lock().unwrap_or_else(PoisonError::into_inner);
        let (began, count) = second
            .filter(|(began, _)| began.elapsed() < Duration::from_secs(1))
            .unwrap_or_else(|| (Instant::now(), 0));
        *second = Some((began, (count + 1).min(self.most)));
        count < self.most
    }
}
