//! What the chain leaves: plain functions, and the rules of the attribute over the value.

use std::time::Duration;

use bytes::Bytes;

use super::shape::{FallibleOptional, Optional, OptionalFallible, Shape};
use super::wire::{Decoded, Encoded};
use super::{Handed, Shared, Sharing};
use crate::call::IntoTtl;

/// What the runtime does with a return type, and the rules of the attribute over its value.
#[derive(Debug)]
#[doc(hidden)]
pub struct Codec<S: Shape, T = (), K = ()> {
    encode: fn(&S::Value, usize) -> Encoded,
    decode: fn(&[u8]) -> Decoded<S::Value>,
    value: Option<Sharing<S::Value>>,
    error: Option<Sharing<S::Error>>,
    ttl: T,
    keep: K,
    pub(crate) none_ttl: Option<Duration>,
}

impl<S: Shape> Codec<S> {
    pub(super) fn new(shared: &Shared<S>, error: Option<Sharing<S::Error>>) -> Self {
        Self {
            encode: shared.valued.encode,
            decode: shared.valued.decode,
            value: shared.value,
            error,
            ttl: (),
            keep: (),
            none_ttl: None,
        }
    }
}

/// Where `None` can be returned.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "`none_ttl` has no effect: this function does not return an `Option`",
    label = "remove `none_ttl`"
)]
pub trait CanBeNone {}
impl<V> CanBeNone for Optional<V> {}
impl<V, E> CanBeNone for FallibleOptional<V, E> {}
impl<V, E> CanBeNone for OptionalFallible<V, E> {}

impl<S: Shape, T, K> Codec<S, T, K> {
    #[must_use]
    pub fn none_ttl(mut self, ttl: impl IntoTtl) -> Self
    where
        S: CanBeNone,
    {
        self.none_ttl = Some(ttl.into_ttl());
        self
    }

    pub fn ttl<F, D>(self, ttl: F) -> Codec<S, ByValue<F>, K>
    where
        F: Fn(&S::Value) -> D,
        D: IntoTtl,
    {
        let Self { encode, decode, value, error, keep, none_ttl, .. } = self;
        Codec { encode, decode, value, error, ttl: ByValue(ttl), keep, none_ttl }
    }

    pub fn cache_if<F>(self, keep: F) -> Codec<S, T, ByValue<F>>
    where
        F: Fn(&S::Value) -> bool,
    {
        let Self { encode, decode, value, error, ttl, none_ttl, .. } = self;
        Codec { encode, decode, value, error, ttl, keep: ByValue(keep), none_ttl }
    }

    pub(crate) fn encode(&self, value: &S::Value, limit: usize) -> Encoded {
        (self.encode)(value, limit)
    }

    pub(crate) fn decode(&self, bytes: &[u8]) -> Decoded<S::Value> {
        (self.decode)(bytes)
    }

    pub(crate) fn hand_value(&self, value: &S::Value) -> Option<Payload> {
        self.value.map(|sharing| Payload::Value((sharing.hand)(value)))
    }

    pub(crate) fn hand_error(&self, error: &S::Error) -> Option<Payload> {
        self.error.map(|sharing| Payload::Error((sharing.hand)(error)))
    }

    /// The output in what a flight handed out.
    pub(crate) fn receive(&self, payload: &Payload) -> Option<S::Return> {
        match payload {
            Payload::Value(handed) => (self.value?.take)(handed).map(S::value),
            Payload::Error(handed) => (self.error?.take)(handed).and_then(S::error),
            Payload::Bytes(bytes) => self.decode(bytes).ok().map(S::value),
            Payload::Nothing => S::nothing(),
        }
    }
}

/// What a flight hands to all who joined it.
#[derive(Clone, Debug)]
pub(crate) enum Payload {
    Value(Handed),
    /// The encoded value, where it is not `Clone`.
    Bytes(Bytes),
    Nothing,
    Error(Handed),
}

impl Payload {
    /// Whether dropping it runs code of the user's types.
    pub(crate) fn is_foreign(&self) -> bool {
        matches!(self, Self::Value(_) | Self::Error(_))
    }
}

/// A rule over the value: absent, or a closure.
#[derive(Debug)]
#[doc(hidden)]
pub struct ByValue<F>(F);

#[doc(hidden)]
pub trait TtlRule<V> {
    fn ttl(&self, value: &V) -> Option<Duration>;
}

impl<V> TtlRule<V> for () {
    fn ttl(&self, _: &V) -> Option<Duration> {
        None
    }
}

impl<V, D: IntoTtl, F: Fn(&V) -> D> TtlRule<V> for ByValue<F> {
    fn ttl(&self, value: &V) -> Option<Duration> {
        Some((self.0)(value).into_ttl())
    }
}

#[doc(hidden)]
pub trait KeepRule<V> {
    fn keep(&self, value: &V) -> bool;
}

impl<V> KeepRule<V> for () {
    fn keep(&self, _: &V) -> bool {
        true
    }
}

impl<V, F: Fn(&V) -> bool> KeepRule<V> for ByValue<F> {
    fn keep(&self, value: &V) -> bool {
        (self.0)(value)
    }
}

impl<S, T, K> Codec<S, T, K>
where
    S: Shape,
    T: TtlRule<S::Value>,
    K: KeepRule<S::Value>,
{
    pub(crate) fn ttl_of(&self, value: &S::Value) -> Option<Duration> {
        self.ttl.ttl(value)
    }

    pub(crate) fn keeps(&self, value: &S::Value) -> bool {
        self.keep.keep(value)
    }
}
