//! Annotated functions: the literals of an attribute, and the identity of each function that runs.

mod functions;
mod name;
mod proof;
mod registry;

use std::any::TypeId;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use crate::entry::LONGEST_TTL;
use crate::key::short_digest_of_name;

pub use functions::{Function, functions};
use name::{generic_arguments, normalized, path};
use proof::Proof;
pub(crate) use registry::known;
use registry::register;

/// One annotated function in the source, with the literals of its attribute. A generic function is one
/// site and has an [`Identity`] for each of its instances.
#[derive(Debug)]
#[doc(hidden)]
pub struct Site {
    name: &'static str,
    package: Package,
    id: Option<Id>,
    /// What the key is made of: the names of arguments, and expressions of `key` as text.
    recipe: &'static [&'static str],
    prefix: Option<&'static str>,
    version: u32,
    /// The largest share by which a ttl is shortened, 0 to 1.
    jitter: f64,
    /// In milliseconds, as all times below.
    lease: u64,
    wait: Option<u64>,
    stale_while_revalidate: u64,
    stale_if_error: u64,
    /// The beta of `XFetch`; 0 is off.
    refresh_ahead: f64,
    /// The longest time for which a copy in this process is used; `None` without `local`.
    local: Option<u64>,
    /// The identity that was registered first; the only one unless the function is generic.
    identity: OnceLock<&'static Identity>,
}

/// The package of a function, from the variables that cargo sets for the compiler: its name, its version
/// and, in a program, the program's name.
pub type Package = [Option<&'static str>; 3];

/// The `id` of an attribute, and the type name of an item in the function, which has no type parameters.
#[derive(Clone, Copy, Debug)]
struct Id {
    id: &'static str,
    here: fn() -> &'static str,
}

/// Expands in the package of the function, whose variables it reads. A build without cargo sets none.
#[doc(hidden)]
#[macro_export]
macro_rules! __package {
    () => {
        [
            ::core::option_env!("CARGO_PKG_NAME"),
            ::core::option_env!("CARGO_PKG_VERSION"),
            ::core::option_env!("CARGO_BIN_NAME"),
        ]
    };
}

impl Site {
    pub const fn new(name: &'static str, package: Package) -> Self {
        Self {
            name,
            package,
            id: None,
            recipe: &[],
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

    /// `here` returns the type name of an item beside the closure that [`Site::call`] takes.
    #[must_use]
    pub const fn id(mut self, id: &'static str, here: fn() -> &'static str) -> Self {
        self.id = Some(Id { id, here });
        self
    }

    #[must_use]
    pub const fn recipe(mut self, parts: &'static [&'static str]) -> Self {
        self.recipe = parts;
        self
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

    /// The name of a function across processes and builds; `name` is the type name of a closure in its
    /// body. Of two functions with one global name, the registry refuses the second.
    fn global_name(&self, name: &str) -> String {
        let [package, version, program] = self.package.map(Option::unwrap_or_default);
        match self.id {
            Some(Id { id, here }) => format!("{package} #{id}{}", generic_arguments(name, here())),
            None => format!("{package} {} {program} {}", compatible(version), normalized(name)),
        }
    }

    /// The prefix of a function whose attribute has none.
    fn default_prefix(&self, name: &str) -> String {
        self.id.map_or_else(|| path(name), |id| id.id.to_owned())
    }

    /// The name of the function in readable keys: its id, or a digest of its global name where it has no id
    /// or where the id alone does not tell the instances of a generic function apart.
    fn name_in_keys(&self, name: &str, global: &str) -> String {
        match self.id {
            Some(Id { id, here }) if generic_arguments(name, here()).is_empty() => id.to_owned(),
            _ => short_digest_of_name(global),
        }
    }

    /// The identity of the function as it runs. `id` and `name` are the type id and the type name of a
    /// closure in its body, which name the function with its impl, `Self` and type parameters.
    pub(crate) fn identity(
        &'static self,
        id: TypeId,
        name: fn() -> &'static str,
    ) -> &'static Identity {
        match self.identity.get() {
            // The usual case: a function that is not generic.
            Some(known) if known.id == id => known,
            _ => {
                let identity = register(self, id, name());
                self.identity.get_or_init(|| identity);
                identity
            }
        }
    }
}

/// A stale window in milliseconds, no longer than [`LONGEST_TTL`].
const fn bounded(millis: u64) -> u64 {
    let longest = LONGEST_TTL.as_secs() * 1000;
    if millis < longest { millis } else { longest }
}

/// The part of a version within which cargo takes versions for compatible: `1`, `0.3`, `0.0.7`. A
/// program has one package for each of them at most.
fn compatible(version: &str) -> &str {
    let release = version.split(['-', '+']).next().unwrap_or_default();
    let mut ends = release.match_indices('.').map(|(at, _)| at).chain([release.len()]);
    let mut numbers = release.split('.');
    let end = numbers.position(|number| number != "0").and_then(|first| ends.nth(first));
    &release[..end.unwrap_or(release.len())]
}

/// One function as it runs: a site, and an instance of its type parameters. Registered once, and never
/// freed.
#[derive(Debug)]
pub(crate) struct Identity {
    id: TypeId,
    name: &'static str,
    site: &'static Site,
    pub(crate) prefix: String,
    /// The fingerprint of its global name and of the recipe of its key.
    pub(crate) fingerprint: u64,
    /// Its name in readable keys.
    pub(crate) in_keys: String,
    /// The number of its prefix's group of counters.
    pub(crate) group: usize,
    /// Not cached, or not any more; a warning has said why.
    pub(crate) off: AtomicBool,
    /// Why, where it is off.
    why_off: OnceLock<String>,
    /// Whether its values decode from their own bytes.
    pub(crate) proof: Proof,
    /// Whether its last value was large, so that its reads use the lane for bulk work.
    pub(crate) bulk: AtomicBool,
    /// In milliseconds, the ttl of the value that was encoded last; 0 before the first.
    last_ttl: AtomicU64,
    /// One bit for each [`Warning`] that was logged.
    warned: AtomicU32,
}

/// The warnings that are logged once for each function.
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
    NewerVersion,
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

    /// How long a lease lasts without an extension.
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

    /// How long past its ttl a value is served in place of an error.
    pub(crate) fn stale_if_error(&self) -> Duration {
        Duration::from_millis(self.site.stale_if_error)
    }

    /// How long past its ttl a value stays in the store: the longer of the two windows.
    pub(crate) fn window(&self) -> Duration {
        self.stale_while_revalidate().max(self.stale_if_error())
    }

    /// The beta of the early refresh (`XFetch`); 0 is off.
    pub(crate) fn refresh_ahead(&self) -> f64 {
        self.site.refresh_ahead
    }

    /// Whether its attribute has `local`.
    pub(crate) fn is_local(&self) -> bool {
        self.site.local.is_some()
    }

    /// The longest time for which its attribute lets a copy be used; `None` without `local`.
    pub(crate) fn local_for(&self) -> Option<Duration> {
        self.site.local.map(Duration::from_millis)
    }

    /// Whether a read has to ask for the age of the entry (`PTTL`): where it may be stale, or refreshed
    /// early.
    pub(crate) fn asks_age(&self) -> bool {
        !self.window().is_zero() || self.refresh_ahead() > 0.0
    }

    pub(crate) fn note_ttl(&self, ttl: Duration) {
        let millis = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX).max(1);
        self.last_ttl.store(millis, Ordering::Relaxed);
    }

    fn last_ttl(&self) -> Option<Duration> {
        let millis = self.last_ttl.load(Ordering::Relaxed);
        (millis > 0).then(|| Duration::from_millis(millis))
    }

    /// Takes the function off the cache for as long as the process lives.
    pub(crate) fn switch_off(&self, why: &str) {
        let _ = self.why_off.set(why.to_owned());
        self.off.store(true, Ordering::Relaxed);
    }

    /// The function's path, for logs.
    pub(crate) fn path(&self) -> String {
        path(self.name)
    }

    /// Whether `warning` is due: true for the first call with it.
    pub(crate) fn once(&self, warning: Warning) -> bool {
        let bit = 1 << warning as u32;
        self.warned.fetch_or(bit, Ordering::Relaxed) & bit == 0
    }
}

#[cfg(test)]
mod tests {
    use super::{Site, compatible};

    #[test]
    fn a_version_counts_as_far_as_cargo_takes_it_for_another() {
        for (version, expected) in [
            ("1.2.3", "1"),
            ("12.0.0-rc.1", "12"),
            ("0.3.9", "0.3"),
            ("0.0.7+build.5", "0.0.7"),
            ("0.0.0", "0.0.0"),
            ("", ""),
        ] {
            assert_eq!(compatible(version), expected, "{version}");
        }
    }

    #[test]
    fn an_id_outlives_moves_and_versions_but_not_its_package() {
        let package = |name, version| [Some(name), Some(version), None];
        let new = |package, here| Site::new("find", package).id("user", here);
        let old = new(package("api", "0.1.0"), || "api::users::find::{{closure}}::__here");
        let moved = new(package("api", "1.0.0"), || "api::people::by_id::{{closure}}::__here");
        let other = new(package("web", "1.0.0"), || "api::users::find::{{closure}}::__here");
        let old = old.global_name("api::users::find::{{closure}}::{{closure}}");
        assert_eq!(moved.global_name("api::people::by_id::{{closure}}::{{closure}}"), old);
        assert_ne!(other.global_name("api::users::find::{{closure}}::{{closure}}"), old);
        let site =
            |package| Site::new("find", package).global_name("api::users::find::{{closure}}");
        assert_eq!(site(package("api", "1.9.0")), site(package("api", "1.0.0")));
        assert_ne!(site(package("api", "1.9.0")), site(package("api", "2.0.0")));
        assert_ne!(site(package("api", "1.9.0")), site([Some("api"), Some("1.9.0"), Some("api")]));
    }
}
