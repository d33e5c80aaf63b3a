//! One call of a cached function, as its expansion describes it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde::Serialize;

use crate::cache::{self, Cache};
use crate::contained;
use crate::entry::Owner;
use crate::key::{self, Buffer, CallId};
use crate::outcome::Reason;
use crate::site::{Identity, Warning};
use crate::store::Key;
use crate::verb::{self, Verb};

/// One call: its cache, its lifetime and its key.
///
/// Where no key is needed (switched off, bypassed), every method but `when` does nothing.
#[derive(Debug)]
#[doc(hidden)]
pub struct Call {
    pub(crate) identity: &'static Identity,
    pub(crate) cache: Cache,
    pub(crate) verb: Option<Verb>,
    /// Why the function simply runs.
    pub(crate) skip: Option<Reason>,
    pub(crate) ttl: Option<Duration>,
    parts: Buffer,
    text: Option<String>,
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

/// A lifetime: a `Duration`, or a whole number of seconds.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no lifetime",
    label = "expected a `Duration`, or seconds as `u64`"
)]
pub trait IntoTtl {
    /// The lifetime.
    fn into_ttl(self) -> Duration;
}

impl IntoTtl for Duration {
    fn into_ttl(self) -> Duration {
        self
    }
}

impl IntoTtl for u64 {
    fn into_ttl(self) -> Duration {
        Duration::from_secs(self)
    }
}

impl Call {
    pub(crate) fn new(identity: &'static Identity, cache: Option<&Cache>) -> Self {
        let cache = cache.cloned().unwrap_or_else(cache::current);
        let verb = verb::take();
        let skip = if verb == Some(Verb::Bypass) {
            Some(Reason::Asked)
        } else if !cache.is_enabled() {
            Some(Reason::Off)
        } else if identity.off.load(Ordering::Relaxed) {
            Some(Reason::Site)
        } else {
            None
        };
        Self { identity, cache, verb, skip, ttl: None, parts: Buffer::new(), text: None }
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

    /// One part of a hashed key.
    pub fn arg<T: KeyPart + ?Sized>(&mut self, part: &T) -> &mut Self {
        if self.wants_key() {
            self.encode(part);
        }
        self
    }

    /// A literal of a key template.
    pub fn text(&mut self, literal: &'static str) -> &mut Self {
        if self.wants_key() {
            self.text.get_or_insert_default().push_str(literal);
        }
        self
    }

    /// A placeholder of a key template.
    pub fn part<T: KeyPart + ?Sized>(&mut self, part: &T) -> &mut Self {
        if self.wants_key() && self.encode(part) {
            let text = self.text.get_or_insert_default();
            // What has no text has a digest of the bytes that were just made.
            let _ = contained(|| key::render(part, text));
        }
        self
    }

    fn encode<T: Serialize + ?Sized>(&mut self, part: &T) -> bool {
        let problem = match contained(|| key::encode(part, &mut self.parts)) {
            Some(Ok(())) => return true,
            Some(Err(error)) => error.to_string(),
            None => "`Serialize` panicked".to_owned(),
        };
        self.skip = Some(Reason::Key);
        if self.identity.once(Warning::Key) {
            tracing::warn!(
                function = self.identity.path(),
                problem,
                "an argument cannot be made into a key: calls with it run without the cache"
            );
        }
        false
    }

    /// The verbs that speak of a key need it even where the call itself would not.
    pub(crate) fn wants_key(&self) -> bool {
        match self.skip {
            None => true,
            Some(Reason::Key) => false,
            // What others have stored can still be removed, and nothing else.
            Some(Reason::Site) => self.verb == Some(Verb::Invalidate) && !self.cache.is_off(),
            Some(_) => self.verb.is_some_and(Verb::names_a_key) && !self.cache.is_off(),
        }
    }

    pub(crate) fn id(&self) -> CallId {
        CallId::new(self.identity.fingerprint, &self.parts)
    }

    pub(crate) fn owner(&self, id: CallId) -> Owner {
        Owner {
            function: self.identity.fingerprint,
            arguments: id.arguments(),
            version: self.identity.version(),
        }
    }

    pub(crate) fn key(&self, id: CallId) -> Key {
        let namespace = self.cache.namespace();
        let text = key::redis_key(namespace, &self.identity.prefix, self.text.as_deref(), id);
        Key {
            hash: id.arguments(),
            text: Arc::from(text),
            bulk: self.identity.bulk.load(Ordering::Relaxed),
        }
    }
}
