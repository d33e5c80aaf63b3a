//! Groups of counters: one for each prefix, numbered in the order in which this process first uses them.

use std::collections::BTreeSet;
use std::sync::{OnceLock, PoisonError, RwLock};

#[derive(Default)]
struct Groups {
    prefixes: Vec<String>,
    /// The prefixes of functions that this process has called.
    own: BTreeSet<String>,
}

static GROUPS: OnceLock<RwLock<Groups>> = OnceLock::new();

fn groups() -> &'static RwLock<Groups> {
    GROUPS.get_or_init(RwLock::default)
}

/// The prefix of a group; empty for a number that was never given.
pub(crate) fn group_name(group: usize) -> String {
    let groups = groups().read().unwrap_or_else(PoisonError::into_inner);
    groups.prefixes.get(group).cloned().unwrap_or_default()
}

/// The group of a function's prefix; numbered now if it is new.
pub(crate) fn group_of_function(prefix: &str) -> usize {
    let mut groups = groups().write().unwrap_or_else(PoisonError::into_inner);
    groups.own.insert(prefix.to_owned());
    groups.get_or_add(prefix)
}

/// The most groups for prefixes that no function of this process has. A program may build such prefixes
/// from the input of its users, and groups are never freed.
const MOST_GROUPS_OF_OTHERS: usize = 1024;

/// The group of a prefix that an invalidation names, which may belong to functions of another process;
/// `None` where there are too many such groups, and the invalidation is not counted.
pub(crate) fn group_of(prefix: &str) -> Option<usize> {
    let lock = groups();
    let known = lock.read().unwrap_or_else(PoisonError::into_inner).position(prefix);
    known.or_else(|| {
        let mut groups = lock.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = groups.position(prefix) {
            return Some(known);
        }
        let others = groups.prefixes.len().saturating_sub(groups.own.len());
        let group = (others < MOST_GROUPS_OF_OTHERS).then(|| groups.get_or_add(prefix))?;
        let own: Vec<_> = groups.own.iter().take(MOST_NAMED).cloned().collect();
        // Not under the lock: a subscriber of the log may invalidate, and so come here again.
        drop(groups);
        report_unknown(prefix, &own);
        Some(group)
    })
}

/// How many of this process's prefixes the log line about an unknown one names.
const MOST_NAMED: usize = 20;

/// A warning where the prefix looks like a pattern or a key, which no process can have meant; otherwise
/// a debug line, since the functions may be another process's.
fn report_unknown(prefix: &str, known: &[String]) {
    let pattern = prefix.contains('*') || prefix.replace("::", "").contains(':');
    if pattern {
        tracing::warn!(
            prefix,
            ?known,
            "no function that this process has called has this prefix: a prefix is the whole name \
             of a group, as written in `prefix = \"..\"`, and neither a pattern nor part of a key"
        );
    } else {
        tracing::debug!(prefix, ?known, "no function that this process has called has this prefix");
    }
}

/// The prefix of a key, given without its namespace, if this process knows one: the longest that the key
/// begins with, followed by a colon.
pub(crate) fn known_prefix_of(key: &str) -> Option<String> {
    let groups = groups().read().unwrap_or_else(PoisonError::into_inner);
    let of = |prefix: &&String| {
        key.strip_prefix(prefix.as_str()).is_some_and(|rest| rest.starts_with(':'))
    };
    groups.prefixes.iter().filter(of).max_by_key(|prefix| prefix.len()).cloned()
}

impl Groups {
    fn get_or_add(&mut self, prefix: &str) -> usize {
        self.position(prefix).unwrap_or_else(|| {
            self.prefixes.push(prefix.to_owned());
            self.prefixes.len() - 1
        })
    }

    fn position(&self, prefix: &str) -> Option<usize> {
        self.prefixes.iter().position(|known| known == prefix)
    }
}
