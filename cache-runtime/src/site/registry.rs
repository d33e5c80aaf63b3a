//! The functions that this process has called. A function whose global name is taken is refused.

use std::any::TypeId;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};
use std::sync::{OnceLock, PoisonError, RwLock};

use super::name::{has_closure_parameter, path};
use super::proof::Proof;
use super::{Identity, Site};
use crate::key::fingerprint;
use crate::stats::group_of_function;

struct Registry {
    identities: HashMap<TypeId, &'static Identity>,
    /// The global names that are taken, each with the path of its function, for the log.
    names: HashMap<String, String>,
}

static REGISTRY: OnceLock<RwLock<Registry>> = OnceLock::new();

fn registry() -> &'static RwLock<Registry> {
    let empty = || Registry { identities: HashMap::new(), names: HashMap::new() };
    REGISTRY.get_or_init(|| RwLock::new(empty()))
}

/// All functions that this process has called.
pub(super) fn all() -> Vec<&'static Identity> {
    let registry = registry().read().unwrap_or_else(PoisonError::into_inner);
    registry.identities.values().copied().collect()
}

/// The path of the function with this fingerprint, if this process has called it.
pub(crate) fn known(fingerprint: u64) -> Option<String> {
    let registry = registry().read().unwrap_or_else(PoisonError::into_inner);
    let mut identities = registry.identities.values();
    identities.find(|identity| identity.fingerprint == fingerprint).map(|found| found.path())
}

/// The identity of an instance of `site`, made the first time. A closure among the type parameters, or a
/// global name that another function has, makes an identity that is off, with one warning.
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
    let identity = registry.add(site, id, name, &global, why);
    registry.names.entry(global).or_insert_with(|| path(name));
    // Not under the lock: a subscriber of the log may call a cached function.
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
        why_off: Option<&str>,
    ) -> &'static Identity {
        let prefix = site.prefix.map_or_else(|| site.default_prefix(name), str::to_owned);
        // Never freed: there are as many as the program has functions.
        let identity = Box::leak(Box::new(Identity {
            id,
            name,
            site,
            fingerprint: fingerprint(global, site.recipe),
            in_keys: site.name_in_keys(name, global),
            group: group_of_function(&prefix),
            prefix,
            off: AtomicBool::new(why_off.is_some()),
            why_off: why_off.map_or_else(OnceLock::new, |why| OnceLock::from(why.to_owned())),
            proof: Proof::default(),
            bulk: AtomicBool::new(false),
            last_ttl: AtomicU64::new(0),
            warned: AtomicU32::new(0),
        }));
        self.identities.insert(id, identity);
        identity
    }
}
