//! How a return type is taken apart, encoded and shared, chosen by method resolution.
//!
//! `Returns::<R>::new().shape().value().share().error()` walks four axes. On each, an inherent
//! method on the specific type beats a trait's method by value, which beats a trait's method by
//! reference; so aliases work, and the macro reads no letters. Bounds that must hold are on the
//! last method of an axis, so that a missing one is told in our words. What the chain leaves is a
//! [`Codec`] of plain functions without any bound.

use std::any::Any;
use std::convert::Infallible;
use std::io::{ErrorKind, Write};
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rmp_serde::decode::Error;
use serde::Serialize;
use serde::de::{Deserialize as _, DeserializeOwned, IgnoredAny};

use crate::call::IntoTtl;

/// The start of the chain.
#[derive(Debug)]
#[doc(hidden)]
pub struct Returns<R>(PhantomData<fn() -> R>);

impl<R> Returns<R> {
    #[allow(clippy::new_without_default)]
    pub fn new() -> Self {
        Self(PhantomData)
    }
}

/// How a return type relates to the value in it.
///
/// Without `'static`: where a future is asked whether it is `Send`, its lifetimes are unknown, and
/// the bound could not be shown for `Box<dyn Error>`. It is asked for at the call instead.
#[doc(hidden)]
pub trait Shape {
    type Return;
    type Value;
    type Error;
    /// Whether an `Option` as the value is one that was asked for, rather than a type parameter's.
    const OPTIONAL: bool = false;
    fn open(output: &Self::Return) -> Opened<'_, Self::Value, Self::Error>;
    fn value(value: Self::Value) -> Self::Return;
    fn nothing() -> Option<Self::Return> {
        None
    }
    fn error(error: Self::Error) -> Option<Self::Return>;
}

#[derive(Debug)]
#[doc(hidden)]
pub enum Opened<'a, V, E> {
    Value(&'a V),
    Nothing,
    Error(&'a E),
}

#[derive(Debug)]
#[doc(hidden)]
pub struct Plain<V>(PhantomData<fn() -> V>);
#[derive(Debug)]
#[doc(hidden)]
pub struct Optional<V>(PhantomData<fn() -> V>);
#[derive(Debug)]
#[doc(hidden)]
pub struct Fallible<V, E>(PhantomData<fn() -> (V, E)>);
#[derive(Debug)]
#[doc(hidden)]
pub struct FallibleOptional<V, E>(PhantomData<fn() -> (V, E)>);
#[derive(Debug)]
#[doc(hidden)]
pub struct OptionalFallible<V, E>(PhantomData<fn() -> (V, E)>);

impl<V> Shape for Plain<V> {
    type Return = V;
    type Value = V;
    type Error = Infallible;
    fn open(output: &V) -> Opened<'_, V, Infallible> {
        Opened::Value(output)
    }
    fn value(value: V) -> V {
        value
    }
    fn error(error: Infallible) -> Option<V> {
        match error {}
    }
}

impl<V> Shape for Optional<V> {
    const OPTIONAL: bool = true;
    type Return = Option<V>;
    type Value = V;
    type Error = Infallible;
    fn open(output: &Option<V>) -> Opened<'_, V, Infallible> {
        output.as_ref().map_or(Opened::Nothing, Opened::Value)
    }
    fn value(value: V) -> Option<V> {
        Some(value)
    }
    fn nothing() -> Option<Option<V>> {
        Some(None)
    }
    fn error(error: Infallible) -> Option<Option<V>> {
        match error {}
    }
}

impl<V, E> Shape for Fallible<V, E> {
    type Return = Result<V, E>;
    type Value = V;
    type Error = E;
    fn open(output: &Result<V, E>) -> Opened<'_, V, E> {
        match output {
            Ok(value) => Opened::Value(value),
            Err(error) => Opened::Error(error),
        }
    }
    fn value(value: V) -> Result<V, E> {
        Ok(value)
    }
    fn error(error: E) -> Option<Result<V, E>> {
        Some(Err(error))
    }
}

impl<V, E> Shape for FallibleOptional<V, E> {
    const OPTIONAL: bool = true;
    type Return = Result<Option<V>, E>;
    type Value = V;
    type Error = E;
    fn open(output: &Result<Option<V>, E>) -> Opened<'_, V, E> {
        match output {
            Ok(Some(value)) => Opened::Value(value),
            Ok(None) => Opened::Nothing,
            Err(error) => Opened::Error(error),
        }
    }
    fn value(value: V) -> Result<Option<V>, E> {
        Ok(Some(value))
    }
    fn nothing() -> Option<Result<Option<V>, E>> {
        Some(Ok(None))
    }
    fn error(error: E) -> Option<Result<Option<V>, E>> {
        Some(Err(error))
    }
}

impl<V, E> Shape for OptionalFallible<V, E> {
    const OPTIONAL: bool = true;
    type Return = Option<Result<V, E>>;
    type Value = V;
    type Error = E;
    fn open(output: &Option<Result<V, E>>) -> Opened<'_, V, E> {
        match output {
            Some(Ok(value)) => Opened::Value(value),
            Some(Err(error)) => Opened::Error(error),
            None => Opened::Nothing,
        }
    }
    fn value(value: V) -> Option<Result<V, E>> {
        Some(Ok(value))
    }
    fn nothing() -> Option<Option<Result<V, E>>> {
        Some(None)
    }
    fn error(error: E) -> Option<Option<Result<V, E>>> {
        Some(Some(Err(error)))
    }
}

/// After `shape`.
#[derive(Debug)]
#[doc(hidden)]
pub struct Shaped<S>(PhantomData<fn() -> S>);

fn shaped<S>() -> Shaped<S> {
    Shaped(PhantomData)
}

impl<V: 'static, E: 'static> Returns<Result<Option<V>, E>> {
    pub fn shape(self) -> Shaped<FallibleOptional<V, E>> {
        shaped()
    }
}

impl<V: 'static, E: 'static> Returns<Option<Result<V, E>>> {
    // By value, since that is what beats the traits' methods of this name.
    #[allow(clippy::unused_self)]
    pub fn shape(self) -> Shaped<OptionalFallible<V, E>> {
        shaped()
    }
}

#[doc(hidden)]
pub trait ShapeOfEnum {
    type Shape;
    fn shape(self) -> Shaped<Self::Shape>;
}

impl<V: 'static, E: 'static> ShapeOfEnum for Returns<Result<V, E>> {
    type Shape = Fallible<V, E>;
    fn shape(self) -> Shaped<Self::Shape> {
        shaped()
    }
}

impl<V: 'static> ShapeOfEnum for Returns<Option<V>> {
    type Shape = Optional<V>;
    fn shape(self) -> Shaped<Self::Shape> {
        shaped()
    }
}

#[doc(hidden)]
pub trait ShapeOfAny<R> {
    fn shape(&self) -> Shaped<Plain<R>>;
}

impl<R: 'static> ShapeOfAny<R> for Returns<R> {
    fn shape(&self) -> Shaped<Plain<R>> {
        shaped()
    }
}

/// A value that can be cached: owned, and brought back by serde.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be cached",
    label = "a cached function must return an owned, serializable value",
    note = "derive `serde::Serialize` and `serde::Deserialize` for `{Self}`, or for the type in it"
)]
pub trait CacheValue: Serialize + DeserializeOwned {}

#[diagnostic::do_not_recommend]
impl<T: Serialize + DeserializeOwned> CacheValue for T {}

/// A type that is not serializable itself and holds nothing but a value that is.
#[doc(hidden)]
pub trait Wrapper: Sized {
    type Inner: Serialize + DeserializeOwned;
    fn inner(&self) -> &Self::Inner;
    fn wrap(inner: Self::Inner) -> Self;
}

#[cfg(feature = "axum")]
impl<T: Serialize + DeserializeOwned> Wrapper for axum::Json<T> {
    type Inner = T;
    fn inner(&self) -> &T {
        &self.0
    }
    fn wrap(inner: T) -> Self {
        Self(inner)
    }
}

type Encoded = Result<Vec<u8>, Unencoded>;
type Decoded<V> = Result<V, rmp_serde::decode::Error>;

/// Values nested deeper are neither stored nor read: bytes in Redis must not choose how much stack
/// is used.
const MAX_DEPTH: usize = 128;

/// Why there are no bytes of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unencoded {
    TooLarge,
    Failed,
}

fn encode<V: Serialize>(value: &V, limit: usize) -> Encoded {
    let mut out = Bounded { bytes: Vec::with_capacity(128), limit, full: false };
    let mut serializer = rmp_serde::Serializer::new(&mut out).with_struct_map();
    serializer.unstable_set_max_depth(MAX_DEPTH);
    match value.serialize(&mut serializer) {
        Ok(()) => Ok(out.bytes),
        Err(_) if out.full => Err(Unencoded::TooLarge),
        Err(_) => Err(Unencoded::Failed),
    }
}

/// Stops the encoding of a value that will not be stored for its size.
struct Bounded {
    bytes: Vec<u8>,
    limit: usize,
    full: bool,
}

impl Write for Bounded {
    fn write(&mut self, more: &[u8]) -> std::io::Result<usize> {
        if self.bytes.len() + more.len() > self.limit {
            self.full = true;
            return Err(ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(more);
        Ok(more.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn decode<V: DeserializeOwned>(bytes: &[u8]) -> Decoded<V> {
    let mut deserializer = rmp_serde::Deserializer::from_read_ref(bytes);
    deserializer.set_max_depth(MAX_DEPTH);
    let value = V::deserialize(&mut deserializer)?;
    // What is left over shows that these are another type's bytes.
    match IgnoredAny::deserialize(&mut deserializer) {
        Err(Error::InvalidMarkerRead(end)) if end.kind() == ErrorKind::UnexpectedEof => Ok(value),
        Err(error) => Err(error),
        Ok(_) => Err(Error::LengthMismatch(0)),
    }
}

/// After `value`.
#[derive(Debug)]
#[doc(hidden)]
pub struct Valued<S: Shape> {
    encode: fn(&S::Value, usize) -> Encoded,
    decode: fn(&[u8]) -> Decoded<S::Value>,
}

impl<S: Shape> Shaped<S>
where
    S::Value: Serialize + DeserializeOwned,
{
    // By value, since that is what beats the traits' methods of this name.
    #[allow(clippy::unused_self)]
    pub fn value(self) -> Valued<S> {
        Valued { encode: encode::<S::Value>, decode: decode::<S::Value> }
    }
}

#[doc(hidden)]
pub trait ValueInside<S: Shape> {
    fn value(self) -> Valued<S>;
}

impl<S: Shape> ValueInside<S> for Shaped<S>
where
    S::Value: Wrapper,
{
    fn value(self) -> Valued<S> {
        Valued {
            encode: |value, limit| encode(value.inner(), limit),
            decode: |bytes| decode(bytes).map(Wrapper::wrap),
        }
    }
}

#[doc(hidden)]
pub trait ValueOfAny<S: Shape> {
    fn value(&self) -> Valued<S>
    where
        S::Value: CacheValue;
}

impl<S: Shape> ValueOfAny<S> for Shaped<S> {
    fn value(&self) -> Valued<S>
    where
        S::Value: CacheValue,
    {
        Valued { encode: encode::<S::Value>, decode: decode::<S::Value> }
    }
}

/// Something handed to all who joined a flight.
pub(crate) type Handed = Arc<dyn Any + Send + Sync>;

#[derive(Debug)]
pub(crate) struct Sharing<T> {
    hand: fn(&T) -> Handed,
    take: fn(&Handed) -> Option<T>,
}

impl<T> Clone for Sharing<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Sharing<T> {}

fn sharing<T: Clone + Send + Sync + 'static>() -> Sharing<T> {
    Sharing {
        hand: |value| Arc::new(value.clone()),
        take: |handed| handed.downcast_ref::<T>().cloned(),
    }
}

/// After `share`.
#[derive(Debug)]
#[doc(hidden)]
pub struct Shared<S: Shape> {
    valued: Valued<S>,
    value: Option<Sharing<S::Value>>,
}

impl<S: Shape> Valued<S>
where
    S::Value: Clone + Send + Sync + 'static,
{
    pub fn share(self) -> Shared<S> {
        Shared { valued: self, value: Some(sharing()) }
    }
}

#[doc(hidden)]
pub trait ShareOfAny<S: Shape> {
    fn share(&self) -> Shared<S>;
}

impl<S: Shape> ShareOfAny<S> for Valued<S> {
    fn share(&self) -> Shared<S> {
        Shared { valued: Valued { encode: self.encode, decode: self.decode }, value: None }
    }
}

impl<S: Shape> Shared<S>
where
    S::Error: Clone + Send + Sync + 'static,
{
    pub fn error(self) -> Codec<S> {
        Codec::new(&self, Some(sharing()))
    }
}

#[doc(hidden)]
pub trait ErrorOfAny<S: Shape> {
    fn error(&self) -> Codec<S>;
}

impl<S: Shape> ErrorOfAny<S> for Shared<S> {
    fn error(&self) -> Codec<S> {
        Codec::new(self, None)
    }
}

/// The traits of the chain, without their names: `use levels::*` brings methods and nothing else.
#[doc(hidden)]
pub mod levels {
    pub use super::{
        ErrorOfAny as _, ShapeOfAny as _, ShapeOfEnum as _, ShareOfAny as _, ValueInside as _,
        ValueOfAny as _,
    };
}

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
    fn new(shared: &Shared<S>, error: Option<Sharing<S::Error>>) -> Self {
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
