//! The functions that this process has met, and the groups of their counters.

use std::any::TypeId;
use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU32};
use std::sync::{OnceLock, PoisonError, RwLock};

use super::name::{has_closure_parameter, path};
use super::proof::Proof;
use super::{Identity, Site};
use crate::key::fingerprint;

struct Registry {
    identities: HashMap<TypeId, &'static Identity>,
    /// The names that are taken, and by which function, as it is called in the log.
    names: HashMap<String, String>,
    groups: Vec<String>,
    /// Those of the groups that are of a function of this process.
    own: BTreeSet<String>,
}

static REGISTRY: OnceLock<RwLock<Registry>> = OnceLock::new();

fn registry() -> &'static RwLock<Registry> {
    let empty = || Registry {
        identities: HashMap::new(),
        names: HashMap::new(),
        groups: Vec::new(),
        own: BTreeSet::new(),
    };
    REGISTRY.get_or_init(|| RwLock::new(empty()))
}

/// The prefix of a group of counters.
pub(crate) fn group_name(group: usize) -> String {
    let registry = registry().read().unwrap_or_else(PoisonError::into_inner);
    registry.groups.get(group).cloned().unwrap_or_default()
}

/// Prefixes without a function in this process that have counters: a program may make them up of
/// what its users type.
const MOST_GROUPS_OF_OTHERS: usize = 1024;

/// The group of counters of a prefix, which is made where this process has no function of that
/// prefix; `None` where there are too many of these.
pub(crate) fn group_of(prefix: &str) -> Option<usize> {
    let lock = registry();
    let known = lock.read().unwrap_or_else(PoisonError::into_inner).position(prefix);
    known.or_else(|| {
        let mut registry = lock.write().unwrap_or_else(PoisonError::into_inner);
        let others = registry.groups.len().saturating_sub(registry.own.len());
        if let Some(known) = registry.position(prefix) {
            return Some(known);
        }
        let group = (others < MOST_GROUPS_OF_OTHERS).then(|| registry.group(prefix))?;
        let own: Vec<_> = registry.own.iter().take(KNOWN_TOLD).cloned().collect();
        // A subscriber may want to know something of the registry.
        drop(registry);
        tell_unknown(prefix, &own);
        Some(group)
    })
}

/// How many prefixes are named to whoever has named one that is not known.
const KNOWN_TOLD: usize = 20;

/// Another process may have functions of that prefix; none has one that is a pattern.
fn tell_unknown(prefix: &str, known: &[String]) {
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

/// The path of the function with this fingerprint, where this process has it.
pub(crate) fn known(fingerprint: u64) -> Option<String> {
    let registry = registry().read().unwrap_or_else(PoisonError::into_inner);
    let mut identities = registry.identities.values();
    identities.find(|identity| identity.fingerprint == fingerprint).map(|found| found.path())
}

pub(super) fn register(site: &'static Site, id: TypeId, name: &'static str) -> &'static Identity {
    let lock = registry();
    let known = |registry: &Registry| registry.identities.get(&id).copied();
    if let Some(known) = known(&lock.read().unwrap_or_else(PoisonError::into_inner)) {
        return known;
    }
    let global = site.global_name(name);
    let mut registry = lock.write().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = known(&registry) {
        return known;
    }
    let other = registry.names.get(&global).cloned();
    let why = if has_closure_parameter(name) {
        Some("a type parameter is a closure or is local to one, and has no name")
    } else if other.is_none() {
        None
    } else if site.id.is_some() {
        Some("another function has the same `id`; give it another")
    } else {
        Some("another function or type parameter has the same name; give it another")
    };
    let identity = registry.add(site, id, name, &global, why.is_some());
    registry.names.entry(global).or_insert_with(|| path(name));
    // A subscriber may want to know something of the registry.
    drop(registry);
    if let Some(why) = why {
        let function = path(name);
        tracing::warn!(
            function,
            other,
            why,
            "a function `{}` cannot be told apart: it runs without the cache",
            site.name
        );
    }
    identity
}

impl Registry {
    fn add(
        &mut self,
        site: &'static Site,
        id: TypeId,
        name: &'static str,
        global: &str,
        off: bool,
    ) -> &'static Identity {
        let prefix = site.prefix.map_or_else(|| site.default_prefix(name), str::to_owned);
        self.own.insert(prefix.clone());
        // As many as the program has functions: never freed.
        let identity = Box::leak(Box::new(Identity {
            id,
            name,
            site,
            fingerprint: fingerprint(global, site.recipe),
            in_keys: site.name_in_keys(name, global),
            group: self.group(&prefix),
            prefix,
            off: AtomicBool::new(off),
            proof: Proof::default(),
            bulk: AtomicBool::new(false),
            warned: AtomicU32::new(0),
        }));
        self.identities.insert(id, identity);
        identity
    }

    fn group(&mut self, prefix: &str) -> usize {
        self.position(prefix).unwrap_or_else(|| {
            self.groups.push(prefix.to_owned());
            self.groups.len() - 1
        })
    }

    fn position(&self, prefix: &str) -> Option<usize> {
        self.groups.iter().position(|group| group == prefix)
    }
}
