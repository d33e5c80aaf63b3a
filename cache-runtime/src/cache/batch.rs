//! Invalidations of one caller, grouped by the cache that they go to.

use super::Cache;

/// The names that one caller removes from one cache, in one command.
#[derive(Debug)]
pub(crate) struct InvalidationBatch {
    pub(crate) cache: Cache,
    pub(crate) names: Vec<String>,
    /// The groups of counters of the names that have one; a group stands here once for each of its names.
    pub(crate) groups: Vec<usize>,
}

impl InvalidationBatch {
    /// Adds `name` to the batch of its cache. A cache that is off stores nothing to be removed.
    pub(crate) fn add(all: &mut Vec<Self>, cache: &Cache, name: String, group: Option<usize>) {
        if cache.is_off() {
            return;
        }
        let known = all.iter().position(|batch| batch.cache.is(cache));
        let at = known.unwrap_or_else(|| {
            all.push(Self { cache: cache.clone(), names: Vec::new(), groups: Vec::new() });
            all.len() - 1
        });
        all[at].names.push(name);
        all[at].groups.extend(group);
    }
}
