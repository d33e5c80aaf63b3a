//! What operators have done: in the log at target `cache_admin::audit`, and the last hundred in memory.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;

/// Actions that are kept.
const KEPT: usize = 100;

/// One action.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Entry {
    pub(crate) at_ms: u64,
    pub(crate) who: String,
    pub(crate) action: &'static str,
    pub(crate) target: String,
    pub(crate) reason: String,
    pub(crate) result: String,
}

/// The actions of this process, the newest first.
#[derive(Debug, Default)]
pub(crate) struct Audit(Mutex<VecDeque<Entry>>);

impl Audit {
    pub(crate) fn record(
        &self,
        who: &str,
        action: &'static str,
        target: String,
        reason: &str,
        result: &str,
    ) {
        tracing::info!(target: "cache_admin::audit", who, action, target, reason, result, "action");
        let (who, reason, result) = (who.to_owned(), reason.to_owned(), result.to_owned());
        let entry = Entry { at_ms: now_ms(), who, action, target, reason, result };
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push_front(entry);
        kept.truncate(KEPT);
    }

    pub(crate) fn all(&self) -> Vec<Entry> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

/// The wall clock of this process, in milliseconds since 1970.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
