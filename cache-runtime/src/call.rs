//! The description of one call of a cached function, made by the macro's expansion.

use std::any::type_name;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde::Serialize;

use crate::cache::{self, Cache, Chosen};
use crate::contain::contained;
use crate::entry::Owner;
use crate::key::{self, Buffer, CallId, Key};
use crate::outcome::Reason;
use crate::recursion;
use crate::returns::IntoTtl;
use crate::site::{Identity, Site, Warning};
use crate::stats::Counters;
use crate::verb::{self, Verb};

/// One call: its cache, its TTL and the parts of its key.
///
/// Where no key is needed (switched off, bypassed), the methods that add a part of the key do nothing.
#[derive(Debug)]
#[doc(hidden)]
pub struct Call {
    pub(crate) identity: &'static Identity,
    pub(crate) cache: Chosen,
    pub(crate) verb: Option<Verb>,
    /// Why the call goes past the cache; `None` where it does not.
    pub(crate) skip: Option<Reason>,
    pub(crate) ttl: Option<Duration>,
    /// The function's fingerprint and the encoded arguments: they name the call within this process.
    parts: Buffer,
    /// The rendered `key = ".."` template, if the function has one.
    text: Option<String>,
    tags: Vec<String>,
}

/// An argument that can be part of a key: anything that serde can serialize.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be part of a cache key",
    label = "not serializable",
    note = "leave it out with `skip(..)`, write the key yourself with `key = \"..\"`, or derive \
            `serde::Serialize`"
)]
pub trait KeyPart: Serialize {}

#[diagnostic::do_not_recommend]
impl<T: Serialize + ?Sized> KeyPart for T {}

impl Site {
    /// Begins a call; `_body` is a closure in the function's body, whose type names the function
    /// with its impl, `Self` and type parameters.
    pub fn call<F>(&'static self, _body: &F) -> Call {
        Call::new(self.identity(typeid::of::<F>(), type_name::<F>), None)
    }

    /// Begins a call in a given cache.
    pub fn call_in<F>(&'static self, _body: &F, cache: &Cache) -> Call {
        Call::new(self.identity(typeid::of::<F>(), type_name::<F>), Some(cache))
    }
}

impl Call {
    pub(crate) fn new(identity: &'static Identity, cache: Option<&Cache>) -> Self {
        let cache = cache.cloned().map_or_else(cache::current, Chosen::Given);
        let verb = verb::take();
        let skip = if verb == Some(Verb::Bypass) {
            Some(Reason::Bypass)
        } else if !cache.is_enabled() || cache.inner().switches.is_group_off(identity.group) {
            Some(Reason::Off)
        } else if identity.off.load(Ordering::Relaxed) {
            Some(Reason::FunctionDisabled)
        } else {
            None
        };
        let mut parts = Buffer::new();
        parts.extend_from_slice(&identity.fingerprint.to_le_bytes());
        Self { identity, cache, verb, skip, ttl: None, parts, text: None, tags: Vec::new() }
    }

    pub fn when(&mut self, condition: bool) -> &mut Self {
        if !condition && self.skip.is_none() {
            self.skip = Some(Reason::When);
        }
        self
    }

    pub fn ttl<T: IntoTtl>(&mut self, ttl: T) -> &mut Self {
        self.ttl = Some(ttl.into_ttl());
        self
    }

    /// Adds an argument to a hashed key.
    pub fn arg<T: KeyPart + ?Sized>(&mut self, part: &T) -> &mut Self {
        if self.wants_key() {
            self.encode(part);
        }
        self
    }

    /// Adds a literal of a key template.
    pub fn text(&mut self, literal: &'static str) -> &mut Self {
        if self.wants_key() {
            self.text.get_or_insert_default().push_str(literal);
        }
        self
    }

    /// Adds a placeholder of a key template.
    pub fn part<T: KeyPart + ?Sized>(&mut self, part: &T) -> &mut Self {
        if self.wants_key() && self.encode(part) {
            let text = self.text.get_or_insert_default();
            // Cannot fail where `encode` has just succeeded: a part that has no text, as a map, appends a digest.
            let _ = contained(|| key::render(part, text));
        }
        self
    }

    /// Begins a tag; the calls of `tag_text`, `tag_part` and `tag_arg` that follow append to it.
    pub fn tag(&mut self) -> &mut Self {
        if self.wants_key() {
            self.tags.push(String::new());
        }
        self
    }

    /// Adds a literal of a tag.
    pub fn tag_text(&mut self, literal: &'static str) -> &mut Self {
        if let Some(tag) = self.tags.last_mut() {
            tag.push_str(literal);
        }
        self
    }

    /// Adds a placeholder of a tag.
    pub fn tag_part<T: KeyPart + ?Sized>(&mut self, part: &T) -> &mut Self {
        if let Some(tag) = self.tags.last_mut()
            && let Some(problem) = problem(contained(|| key::spell(part, tag)))
        {
            self.refuse(&problem);
        }
        self
    }

    /// Adds a placeholder of a tag whose argument is part of the key too.
    pub fn tag_arg<T: KeyPart + ?Sized>(&mut self, part: &T) -> &mut Self {
        if self.wants_key() && self.encode(part) {
            self.tag_part(part);
        }
        self
    }

    fn encode<T: Serialize + ?Sized>(&mut self, part: &T) -> bool {
        match contained(|| key::encode(part, &mut self.parts)) {
            Some(Ok(())) => true,
            failed => {
                self.refuse(&problem(failed).unwrap_or_default());
                false
            }
        }
    }

    /// An argument cannot be part of a key: the call runs without the cache.
    #[cold]
    fn refuse(&mut self, problem: &str) {
        self.skip = Some(Reason::Key);
        if self.identity.once(Warning::Key) {
            tracing::warn!(
                function = self.identity.path(),
                prefix = self.identity.prefix,
                problem,
                "an argument cannot be made into a key: calls with it run without the cache"
            );
        }
    }

    /// Whether the call's key is to be made: for a call through the cache, and for a verb that names a key.
    pub(crate) fn wants_key(&self) -> bool {
        match self.skip {
            None => true,
            Some(Reason::Key) => false,
            // Another process may still cache the function: its entries can be removed, and nothing else done.
            Some(Reason::FunctionDisabled) => {
                self.verb == Some(Verb::Invalidate) && !self.cache.is_off()
            }
            Some(_) => self.verb.is_some_and(Verb::names_a_key) && !self.cache.is_off(),
        }
    }

    pub(crate) fn id(&self) -> CallId {
        CallId::of(&self.parts)
    }

    /// The name of the call's near copy. It includes all arguments that the tags are made of, so that calls which
    /// share a copy have the same tags.
    #[inline]
    pub(crate) fn local_name(&self) -> &[u8] {
        &self.parts
    }

    pub(crate) fn counters(&self) -> &Counters {
        self.cache.counters(self.identity.group)
    }

    /// Whether the call may be answered from a near copy, and leave one.
    #[inline]
    pub(crate) fn is_local(&self) -> bool {
        self.skip.is_none()
            && self.cache.inner().config.local.keeps(self.identity.is_local())
            && matches!(self.verb, None | Some(Verb::Observe))
            // A copy that is out of date by a moment would live on in the entry that is being computed.
            && !recursion::is_stored()
    }

    /// How long a near copy may be served at most; `None` where none is to be kept.
    pub(crate) fn local_for(&self) -> Option<Duration> {
        self.cache.inner().config.local.of(self.identity.local_for())
    }

    pub(crate) fn owner(&self, id: CallId) -> Owner {
        Owner {
            function: self.identity.fingerprint,
            arguments: id.arguments(),
            version: self.identity.version(),
        }
    }

    pub(crate) fn key(&self, id: CallId) -> Key {
        let identity = self.identity;
        let function = [self.cache.namespace(), &identity.prefix, &identity.in_keys];
        let bulk = identity.bulk.load(Ordering::Relaxed);
        Key::build(function, self.text.as_deref(), &self.tags, id, bulk)
    }
}

/// Why a part could not be encoded; `None` where it was.
fn problem<E: ToString>(encoded: Option<Result<(), E>>) -> Option<String> {
    match encoded {
        Some(Ok(())) => None,
        Some(Err(error)) => Some(error.to_string()),
        None => Some("`Serialize` panicked".to_owned()),
    }
}
