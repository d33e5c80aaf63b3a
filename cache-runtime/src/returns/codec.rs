//! The result of the chain: plain functions for a return type, and the closures of the attribute.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::IntoTtl;
use super::shape::{Fallible, FallibleOptional, Optional, OptionalFallible, Shape};
use super::wire::{Decoded, Encoded, Form};
use super::{Handed, Shared, Sharing, Valued};
use crate::contain::contained;

/// How the runtime encodes, decodes and shares a return type, and the closures of the attribute over its
/// value and its error (`rules`).
#[doc(hidden)]
#[allow(missing_debug_implementations)]
pub struct Codec<S: Shape, R = Rules<(), (), ()>> {
    wire: Wire<S>,
    rules: R,
    pub(crate) none_ttl: Option<Duration>,
}

/// The functions that the chain has chosen. `value` and `error` are `None` for types that cannot be shared.
struct Wire<S: Shape> {
    encode: fn(&S::Value, usize, Form) -> Encoded,
    decode: fn(&[u8]) -> Decoded<S::Value>,
    value: Option<Sharing<S::Value>>,
    error: Option<Sharing<S::Error>>,
}

impl<S: Shape> Codec<S> {
    pub(super) fn new(shared: &Shared<S>, error: Option<Sharing<S::Error>>) -> Self {
        let Valued { encode, decode } = shared.valued;
        let wire = Wire { encode, decode, value: shared.value, error };
        Self { wire, rules: Rules { ttl: (), keep: (), forgive: () }, none_ttl: None }
    }
}

/// The shapes that can be `None`.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "`none_ttl` has no effect: this function does not return an `Option`",
    label = "remove `none_ttl`"
)]
pub trait CanBeNone {}
impl<V> CanBeNone for Optional<V> {}
impl<V, E> CanBeNone for FallibleOptional<V, E> {}
impl<V, E> CanBeNone for OptionalFallible<V, E> {}

/// The shapes that can be an error.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "`stale_if_error` has no effect: this function cannot fail",
    label = "remove `stale_if_error`, or return a `Result`"
)]
pub trait CanFail {}
impl<V, E> CanFail for Fallible<V, E> {}
impl<V, E> CanFail for FallibleOptional<V, E> {}
impl<V, E> CanFail for OptionalFallible<V, E> {}

impl<S: Shape, R> Codec<S, R> {
    #[must_use]
    pub fn none_ttl(mut self, ttl: impl IntoTtl) -> Self
    where
        S: CanBeNone,
    {
        self.none_ttl = Some(ttl.into_ttl());
        self
    }

    /// Only checks that the function can fail: the window is in the [`Site`](crate::site::Site).
    #[must_use]
    pub fn stale_if_error(self) -> Self
    where
        S: CanFail,
    {
        self
    }

    /// Encodes the value within `limit` bytes, in the form `first` if the value decodes from that.
    pub(crate) fn encode(&self, value: &S::Value, limit: usize, first: Form) -> Encoded {
        (self.wire.encode)(value, limit, first)
    }

    pub(crate) fn decode(&self, bytes: &[u8]) -> Decoded<S::Value> {
        (self.wire.decode)(bytes)
    }

    /// The value for the members of a flight; `None` where it cannot be shared.
    pub(crate) fn hand_value(&self, value: &S::Value) -> Option<Payload> {
        self.wire.value.map(|sharing| Payload::Value((sharing.hand)(value)))
    }

    /// The error for the members of a flight; `None` where it cannot be shared.
    pub(crate) fn hand_error(&self, error: &S::Error) -> Option<Payload> {
        self.wire.error.map(|sharing| Payload::Error((sharing.hand)(error)))
    }

    /// The copy of a value for the near cache: a clone, or the encoded bytes of a value that is not `Clone`.
    pub(crate) fn copy<'e>(
        &self,
        value: &S::Value,
        bytes: impl FnOnce() -> Option<Cow<'e, [u8]>>,
    ) -> Option<Handed> {
        match self.wire.value {
            Some(sharing) => Some((sharing.hand)(value)),
            None => bytes().map(|bytes| Arc::new(bytes.into_owned()) as Handed),
        }
    }

    /// The output of a function from a copy; a copy of `None` is an output of `None`. Returns `None`
    /// where the user's `Clone` or `Deserialize` fails.
    pub(crate) fn of_copy(&self, copy: Option<Handed>) -> Option<S::Return> {
        let Some(handed) = copy else { return self.none_ttl.and_then(|_| S::nothing()) };
        let value = if let Some(sharing) = self.wire.value {
            (sharing.take)(handed)
        } else {
            let bytes = handed.downcast_ref::<Vec<u8>>()?;
            contained(|| self.decode(bytes).ok()).flatten()
        };
        value.map(S::value)
    }

    /// The output of a function from what its flight has handed out; `None` where it cannot be made.
    pub(crate) fn receive(&self, payload: &Payload) -> Option<S::Return> {
        match payload {
            Payload::Value(handed) => (self.wire.value?.take)(handed.clone()).map(S::value),
            Payload::Error(handed) => (self.wire.error?.take)(handed.clone()).and_then(S::error),
            Payload::Bytes(bytes) => self.decode(bytes).ok().map(S::value),
            Payload::Nothing => S::nothing(),
            Payload::Forgiven => None,
        }
    }
}

impl<S: Shape, T, K, G> Codec<S, Rules<T, K, G>> {
    pub fn ttl<F, D>(self, ttl: F) -> Codec<S, Rules<ByValue<F>, K, G>>
    where
        F: Fn(&S::Value) -> D,
        D: IntoTtl,
    {
        let Rules { keep, forgive, .. } = self.rules;
        let rules = Rules { ttl: ByValue(ttl), keep, forgive };
        Codec { wire: self.wire, rules, none_ttl: self.none_ttl }
    }

    pub fn cache_if<F>(self, keep: F) -> Codec<S, Rules<T, ByValue<F>, G>>
    where
        F: Fn(&S::Value) -> bool,
    {
        let Rules { ttl, forgive, .. } = self.rules;
        let rules = Rules { ttl, keep: ByValue(keep), forgive };
        Codec { wire: self.wire, rules, none_ttl: self.none_ttl }
    }

    pub fn stale_if<F>(self, forgive: F) -> Codec<S, Rules<T, K, ByValue<F>>>
    where
        S: CanFail,
        F: Fn(&S::Error) -> bool,
    {
        let Rules { ttl, keep, .. } = self.rules;
        let rules = Rules { ttl, keep, forgive: ByValue(forgive) };
        Codec { wire: self.wire, rules, none_ttl: self.none_ttl }
    }
}

/// What a flight hands to its members.
#[derive(Clone, Debug)]
pub(crate) enum Payload {
    Value(Handed),
    /// The encoded value, where it is not `Clone`.
    Bytes(Bytes),
    /// The function has returned `None`.
    Nothing,
    Error(Handed),
    /// An error that is not `Clone`, in place of which the members serve a stale value.
    Forgiven,
}

impl Payload {
    /// Whether dropping it may run code of the user's types.
    pub(crate) fn is_foreign(&self) -> bool {
        matches!(self, Self::Value(_) | Self::Error(_))
    }
}

/// The closures of the attribute: `ttl`, `cache_if` (`keep`) and `stale_if` (`forgive`); `()` for one that
/// is not given.
#[derive(Debug)]
#[doc(hidden)]
pub struct Rules<T, K, G> {
    ttl: T,
    keep: K,
    forgive: G,
}

/// A closure over the value or over the error.
#[derive(Debug)]
#[doc(hidden)]
pub struct ByValue<F>(F);

/// The decisions that depend on what a function has returned.
#[doc(hidden)]
pub trait Rule<S: Shape> {
    /// The ttl by the closure; `None` without one.
    fn ttl(&self, value: &S::Value) -> Option<Duration>;
    /// Whether `cache_if` lets the value be stored.
    fn keeps(&self, value: &S::Value) -> bool;
    /// Whether `stale_if` lets a stale value stand in for the error.
    fn forgives(&self, error: &S::Error) -> bool;
}

impl<S, T, K, G> Rule<S> for Rules<T, K, G>
where
    S: Shape,
    T: Looks<S::Value, Option<Duration>>,
    K: Looks<S::Value, bool>,
    G: Looks<S::Error, bool>,
{
    fn ttl(&self, value: &S::Value) -> Option<Duration> {
        self.ttl.look(value).flatten()
    }
    fn keeps(&self, value: &S::Value) -> bool {
        self.keep.look(value).unwrap_or(true)
    }
    fn forgives(&self, error: &S::Error) -> bool {
        self.forgive.look(error).unwrap_or(true)
    }
}

/// One closure, or none: `None` is the answer without one.
#[doc(hidden)]
pub trait Looks<V, A> {
    fn look(&self, value: &V) -> Option<A>;
}

impl<V, A> Looks<V, A> for () {
    fn look(&self, _: &V) -> Option<A> {
        None
    }
}

impl<V, F: Fn(&V) -> bool> Looks<V, bool> for ByValue<F> {
    fn look(&self, value: &V) -> Option<bool> {
        Some((self.0)(value))
    }
}

impl<V, D: IntoTtl, F: Fn(&V) -> D> Looks<V, Option<Duration>> for ByValue<F> {
    fn look(&self, value: &V) -> Option<Option<Duration>> {
        Some(Some((self.0)(value).into_ttl()))
    }
}

impl<S: Shape, R: Rule<S>> Codec<S, R> {
    pub(crate) fn ttl_of(&self, value: &S::Value) -> Option<Duration> {
        self.rules.ttl(value)
    }

    pub(crate) fn keeps(&self, value: &S::Value) -> bool {
        self.rules.keeps(value)
    }

    pub(crate) fn forgives(&self, error: &S::Error) -> bool {
        self.rules.forgives(error)
    }
}
