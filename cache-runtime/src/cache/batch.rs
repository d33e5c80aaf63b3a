//! The invalidations of one caller, grouped by their cache.

use super::Cache;
use crate::stats::Named;

/// The names that one caller removes from one cache, in one command.
#[derive(Debug)]
pub(crate) struct InvalidationBatch {
    pub(crate) cache: Cache,
    pub(crate) names: Vec<String>,
    /// The counter groups of the names that have one: a group for each such name, repeated for names of the same
    /// group.
    pub(crate) groups: Vec<usize>,
    /// By which of the things named the batch is counted: a tag before a prefix before a call.
    pub(crate) named: Named,
}

impl InvalidationBatch {
    /// Adds `name` to the batch of its cache. A cache that is off stores nothing to be removed.
    pub(crate) fn add(
        all: &mut Vec<Self>,
        cache: &Cache,
        name: String,
        group: Option<usize>,
        named: Named,
    ) {
        if cache.is_off() {
            return;
        }
        let known = all.iter().position(|batch| batch.cache.is(cache));
        let at = known.unwrap_or_else(|| {
            all.push(Self { cache: cache.clone(), names: Vec::new(), groups: Vec::new(), named });
            all.len() - 1
        });
        all[at].names.push(name);
        all[at].named = all[at].named.max(named);
        all[at].groups.extend(group);
    }
}
