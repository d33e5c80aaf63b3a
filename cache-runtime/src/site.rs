//! Annotated functions, and how they are told apart.

mod proof;

use std::any::{TypeId, type_name};
use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{OnceLock, PoisonError, RwLock};
use std::time::Duration;

use crate::cache::Cache;
use crate::call::Call;
use crate::entry::LONGEST_TTL;
use crate::key::fingerprint;
use proof::Proof;

/// One annotated function in the source: the literals of its attribute.
#[derive(Debug)]
#[doc(hidden)]
pub struct Site {
    name: &'static str,
    prefix: Option<&'static str>,
    version: u32,
    jitter: f64,
    /// The rest in milliseconds.
    lease: u64,
    wait: Option<u64>,
    stale_while_revalidate: u64,
    stale_if_error: u64,
    refresh_ahead: f64,
    /// For how long a copy in this process may be used at most.
    local: Option<u64>,
    /// The first identity that was seen; the only one unless the function is generic.
    identity: OnceLock<&'static Identity>,
}

impl Site {
    pub const fn new(name: &'static str) -> Self {
        Self {
            name,
            prefix: None,
            version: 1,
            jitter: 0.1,
            lease: 2000,
            wait: None,
            stale_while_revalidate: 0,
            stale_if_error: 0,
            refresh_ahead: 0.0,
            local: None,
            identity: OnceLock::new(),
        }
    }

    #[must_use]
    pub const fn prefix(mut self, prefix: &'static str) -> Self {
        self.prefix = Some(prefix);
        self
    }

    #[must_use]
    pub const fn version(mut self, version: u32) -> Self {
        self.version = version;
        self
    }

    #[must_use]
    pub const fn jitter(mut self, share: f64) -> Self {
        self.jitter = share;
        self
    }

    #[must_use]
    pub const fn lease(mut self, millis: u64) -> Self {
        self.lease = millis;
        self
    }

    #[must_use]
    pub const fn wait(mut self, millis: u64) -> Self {
        self.wait = Some(millis);
        self
    }

    #[must_use]
    pub const fn stale_while_revalidate(mut self, millis: u64) -> Self {
        self.stale_while_revalidate = bounded(millis);
        self
    }

    #[must_use]
    pub const fn stale_if_error(mut self, millis: u64) -> Self {
        self.stale_if_error = bounded(millis);
        self
    }

    #[must_use]
    pub const fn refresh_ahead(mut self, beta: f64) -> Self {
        self.refresh_ahead = beta;
        self
    }

    #[must_use]
    pub const fn local(self) -> Self {
        self.local_for(u64::MAX)
    }

    #[must_use]
    pub const fn local_for(mut self, millis: u64) -> Self {
        self.local = Some(millis);
        self
    }

    /// Begins a call; `_body` is a closure in the function's body, whose type names the function
    /// with its impl, `Self` and type parameters.
    pub fn call<F>(&'static self, _body: &F) -> Call {
        Call::new(self.identity(typeid::of::<F>(), type_name::<F>), None)
    }

    /// Begins a call in a given cache.
    pub fn call_in<F>(&'static self, _body: &F, cache: &Cache) -> Call {
        Call::new(self.identity(typeid::of::<F>(), type_name::<F>), Some(cache))
    }

    fn identity(&'static self, id: TypeId, name: fn() -> &'static str) -> &'static Identity {
        match self.identity.get() {
            // One comparison for a function that is not generic.
            Some(known) if known.id == id => known,
            _ => {
                let identity = register(self, id, name());
                self.identity.get_or_init(|| identity);
                identity
            }
        }
    }
}

/// A window, no longer than the longest.
const fn bounded(millis: u64) -> u64 {
    let longest = LONGEST_TTL.as_secs() * 1000;
    if millis < longest { millis } else { longest }
}

/// One function as it runs: a site with its type parameters.
#[derive(Debug)]
pub(crate) struct Identity {
    id: TypeId,
    name: &'static str,
    site: &'static Site,
    pub(crate) prefix: String,
    pub(crate) fingerprint: u64,
    /// Where the counters of its prefix are.
    pub(crate) group: usize,
    /// Not cached any more; the reason was logged.
    pub(crate) off: AtomicBool,
    /// How its values come back from their own bytes.
    pub(crate) proof: Proof,
    /// The last value was large.
    pub(crate) bulk: AtomicBool,
    warned: AtomicU32,
}

/// What is logged once for each function.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Warning {
    WrongType,
    OtherFunction,
    Undecodable,
    TooLarge,
    Unserializable,
    Lost,
    NeverStorable,
    Key,
    Newer,
    Panicked,
    Refused,
    RunTooLong,
}

impl Identity {
    pub(crate) fn version(&self) -> u32 {
        self.site.version
    }

    pub(crate) fn jitter(&self) -> f64 {
        self.site.jitter
    }

    /// How long one process holds the right to populate, unless it extends it.
    pub(crate) fn lease(&self) -> Duration {
        Duration::from_millis(self.site.lease)
    }

    pub(crate) fn wait(&self) -> Option<Duration> {
        self.site.wait.map(Duration::from_millis)
    }

    /// How long past its ttl a value is served while it is refreshed.
    pub(crate) fn stale_while_revalidate(&self) -> Duration {
        Duration::from_millis(self.site.stale_while_revalidate)
    }

    /// How long past its ttl a value is served where the function fails.
    pub(crate) fn stale_if_error(&self) -> Duration {
        Duration::from_millis(self.site.stale_if_error)
    }

    /// How long past its ttl a value stays in the store.
    pub(crate) fn window(&self) -> Duration {
        self.stale_while_revalidate().max(self.stale_if_error())
    }

    /// The beta of the early refresh, 0 where there is none.
    pub(crate) fn refresh_ahead(&self) -> f64 {
        self.site.refresh_ahead
    }

    /// Whether it looks for a copy in this process before anything else.
    pub(crate) fn is_local(&self) -> bool {
        self.site.local.is_some()
    }

    /// For how long such a copy may be used at most.
    pub(crate) fn local_for(&self) -> Option<Duration> {
        self.site.local.map(Duration::from_millis)
    }

    /// Whether a hit has to know how old it is.
    pub(crate) fn asks_age(&self) -> bool {
        !self.window().is_zero() || self.refresh_ahead() > 0.0
    }

    /// The function's path, for logs.
    pub(crate) fn path(&self) -> String {
        path(self.name)
    }

    /// True the first time.
    pub(crate) fn once(&self, warning: Warning) -> bool {
        let bit = 1 << warning as u32;
        self.warned.fetch_or(bit, Ordering::Relaxed) & bit == 0
    }
}

struct Registry {
    identities: HashMap<&'static str, Vec<&'static Identity>>,
    groups: Vec<String>,
    /// Those of the groups that are of a function of this process.
    own: BTreeSet<String>,
}

static REGISTRY: OnceLock<RwLock<Registry>> = OnceLock::new();

fn registry() -> &'static RwLock<Registry> {
    let empty =
        || Registry { identities: HashMap::new(), groups: Vec::new(), own: BTreeSet::new() };
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
    let mut identities = registry.identities.values().flatten();
    identities.find(|identity| identity.fingerprint == fingerprint).map(|found| found.path())
}

fn register(site: &'static Site, id: TypeId, name: &'static str) -> &'static Identity {
    let find = |registry: &Registry| {
        let same_name = registry.identities.get(name)?;
        same_name.iter().copied().find(|identity| identity.id == id)
    };
    let lock = registry();
    if let Some(known) = find(&lock.read().unwrap_or_else(PoisonError::into_inner)) {
        return known;
    }
    let mut registry = lock.write().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = find(&registry) {
        return known;
    }
    let clash = registry.identities.contains_key(name);
    let why = if has_closure_parameter(name) {
        Some("a type parameter is a closure or is local to one, and has no name")
    } else {
        clash.then_some("another function or type parameter has the same name; give it another")
    };
    let identity = registry.add(site, id, name, why.is_some());
    registry.identities.entry(name).or_default().push(identity);
    // A subscriber may want to know something of the registry.
    drop(registry);
    if let Some(why) = why {
        let function = path(name);
        tracing::warn!(
            function,
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
        off: bool,
    ) -> &'static Identity {
        let prefix = site.prefix.map_or_else(|| path(name), str::to_owned);
        self.own.insert(prefix.clone());
        // As many as the program has functions: never freed.
        Box::leak(Box::new(Identity {
            id,
            name,
            site,
            fingerprint: fingerprint(name),
            group: self.group(&prefix),
            prefix,
            off: AtomicBool::new(off),
            proof: Proof::default(),
            bulk: AtomicBool::new(false),
            warned: AtomicU32::new(0),
        }))
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

/// Whether a generic argument is a closure, whose name other closures of its function share.
fn has_closure_parameter(name: &str) -> bool {
    let mut depth = 0;
    let mut before = ' ';
    for (at, c) in name.char_indices() {
        match c {
            '<' => depth += 1,
            '>' if before != '-' => depth -= 1,
            '{' if depth > 0 && name[at..].starts_with("{{closure}}") => return true,
            _ => {}
        }
        before = c;
    }
    false
}

/// The path in the type name of a closure: without closures, generic arguments, and the trait of
/// `<Type as Trait>`. Characters that do not belong in a key become `_`.
fn path(name: &str) -> String {
    let mut path = String::with_capacity(name.len());
    strip(name, &mut path);
    let segments = path.split("::").filter(|segment| !segment.starts_with("{{"));
    let joined = segments.collect::<Vec<_>>().join("::");
    let plain = |c: char| if c.is_alphanumeric() || "_:.-".contains(c) { c } else { '_' };
    joined.chars().map(plain).collect()
}

fn strip(name: &str, path: &mut String) {
    let mut rest = name;
    while let Some(open) = rest.find('<') {
        path.push_str(&rest[..open]);
        let close = closing(&rest[open..]).map_or(rest.len(), |length| open + length);
        if path.is_empty() || path.ends_with("::") {
            // A qualified type stands for everything before it.
            let inner = &rest[open + 1..close.max(open + 1)];
            let inner = inner.strip_prefix("impl ").unwrap_or(inner);
            path.clear();
            strip(self_type(inner), path);
        }
        rest = rest.get(close + 1..).unwrap_or_default();
    }
    path.push_str(rest);
}

/// Where the bracket that begins `text` is closed.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0;
    let mut before = ' ';
    for (at, c) in text.char_indices() {
        match c {
            '<' => depth += 1,
            '>' if before != '-' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(at);
        }
        before = c;
    }
    None
}

/// `Type` of `Type as Trait`.
fn self_type(inner: &str) -> &str {
    let mut from = 0;
    while let Some(at) = inner[from..].find(" as ").map(|at| from + at) {
        let open = inner[..at].matches('<').count();
        let closed = inner[..at].matches('>').count() - inner[..at].matches("->").count();
        if open == closed {
            return &inner[..at];
        }
        from = at + 4;
    }
    inner
}

#[cfg(test)]
mod tests {
    use super::{has_closure_parameter, path};

    #[test]
    fn a_closure_as_a_parameter_is_noticed() {
        for (name, expected) in [
            ("app::apply<app::main::{{closure}}>::{{closure}}", true),
            ("app::apply<app::test::{{closure}}::Local>::{{closure}}", true),
            ("app::main::{{closure}}::areas::{{closure}}", false),
            ("app::outer<fn(u8) -> u8>::{{closure}}", false),
            ("<app::S as app::Repo>::find<'_, '_>::{{closure}}::{{closure}}", false),
        ] {
            assert_eq!(has_closure_parameter(name), expected, "{name}");
        }
    }

    #[test]
    fn a_path_is_free_of_closures_generics_and_traits() {
        for (name, expected) in [
            ("app::areas::{{closure}}::{{closure}}", "app::areas"),
            ("<app::A<u8> as app::Tr>::get::{{closure}}", "app::A::get"),
            ("<impl app::B>::get<alloc::vec::Vec<u8>, 3, &str>::{{closure}}", "app::B::get"),
            ("app::other::<impl app::B>::get::{{closure}}", "app::B::get"),
            ("app::outer<fn(u8) -> u8>::inner::{{closure}}", "app::outer::inner"),
            ("<app::W<<u8 as app::T>::Out> as app::Tr>::d", "app::W::d"),
            ("<&[u8] as app::Tr>::d", "__u8_::d"),
            ("<dyn app::Tr<u8>>::d", "dyn_app::Tr::d"),
        ] {
            assert_eq!(path(name), expected);
        }
    }
}
