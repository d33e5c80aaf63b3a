//! How a return type is taken apart, encoded and shared. Method resolution chooses it.
//!
//! `Returns::<R>::new().shape().value().share().error()` decides four questions in turn. For each, the
//! compiler prefers an inherent method on the specific type to a trait's method by value, and that to a
//! trait's method by reference. So aliases work: the macro never compares the text of a type. A bound that
//! must hold is on the last method for its question, so that a type without it gets the message of
//! [`CacheValue`]. The result is a [`Codec`] of plain functions, without any bound.

mod codec;
mod shape;
mod ttl;
mod wire;

use std::any::Any;
use std::marker::PhantomData;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::contain::contained;

pub use codec::Codec;
pub(crate) use codec::{Payload, Rule};
use shape::{Fallible, FallibleOptional, Optional, OptionalFallible, Plain};
pub(crate) use shape::{Opened, Shape};
pub use ttl::IntoTtl;
use wire::{Decoded, Encoded, alike, decode, encode, equal};
pub(crate) use wire::{Form, Proven, Unencoded, decode_any};

/// The beginning of the chain, for the return type `R`.
#[derive(Debug)]
#[doc(hidden)]
pub struct Returns<R>(PhantomData<fn() -> R>);

impl<R> Returns<R> {
    #[allow(clippy::new_without_default)]
    pub fn new() -> Self {
        Self(PhantomData)
    }
}

/// The chain after `shape`: where the value is in the return type.
#[derive(Debug)]
#[doc(hidden)]
pub struct Shaped<S>(PhantomData<fn() -> S>);

fn shaped<S>() -> Shaped<S> {
    Shaped(PhantomData)
}

impl<V, E> Returns<Result<Option<V>, E>> {
    pub fn shape(self) -> Shaped<FallibleOptional<V, E>> {
        shaped()
    }
}

impl<V, E> Returns<Option<Result<V, E>>> {
    // By value, so that it is preferred to the methods of the traits.
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

impl<V, E> ShapeOfEnum for Returns<Result<V, E>> {
    type Shape = Fallible<V, E>;
    fn shape(self) -> Shaped<Self::Shape> {
        shaped()
    }
}

impl<V> ShapeOfEnum for Returns<Option<V>> {
    type Shape = Optional<V>;
    fn shape(self) -> Shaped<Self::Shape> {
        shaped()
    }
}

#[doc(hidden)]
pub trait ShapeOfAny<R> {
    fn shape(&self) -> Shaped<Plain<R>>;
}

impl<R> ShapeOfAny<R> for Returns<R> {
    fn shape(&self) -> Shaped<Plain<R>> {
        shaped()
    }
}

/// A value that can be cached: owned, and both serializable and deserializable.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be cached",
    label = "a cached function must return an owned, serializable value",
    note = "derive `serde::Serialize` and `serde::Deserialize` for `{Self}`, or for the type in it",
    note = "an `axum::Json<T>` can be returned with the feature `axum-08` of `cache-runtime`, where it \
            is of axum 0.8",
    note = "any other response (`Html`, `(StatusCode, Json<T>)`, `HttpResponse`, `tonic::Response`) \
            cannot be brought back: cache the function that returns the data, and build the response \
            outside"
)]
pub trait CacheValue: Serialize + DeserializeOwned {}

#[diagnostic::do_not_recommend]
impl<T: Serialize + DeserializeOwned> CacheValue for T {}

/// A type that is not serializable itself, and holds one value that is and nothing else.
#[doc(hidden)]
pub trait Wrapper: Sized {
    type Inner: Serialize + DeserializeOwned;
    fn inner(&self) -> &Self::Inner;
    fn wrap(inner: Self::Inner) -> Self;
}

#[cfg(feature = "axum-08")]
impl<T: Serialize + DeserializeOwned> Wrapper for axum_08::Json<T> {
    type Inner = T;
    fn inner(&self) -> &T {
        &self.0
    }
    fn wrap(inner: T) -> Self {
        Self(inner)
    }
}

/// The chain after `value`: how the value is encoded and decoded.
#[derive(Debug)]
#[doc(hidden)]
pub struct Valued<S: Shape> {
    /// Encodes within a limit in bytes, in the given form or another one from which the value decodes.
    encode: fn(&S::Value, usize, Form) -> Encoded,
    decode: fn(&[u8]) -> Decoded<S::Value>,
}

impl<S: Shape> Shaped<S>
where
    S::Value: Serialize + DeserializeOwned + PartialEq,
{
    // By value, so that it is preferred to the methods of the traits.
    #[allow(clippy::unused_self)]
    pub fn value(self) -> Valued<S> {
        Valued { encode: |value, limit, form| encode(value, limit, form, equal), decode }
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
            encode: |value, limit, form| encode(value.inner(), limit, form, alike),
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
        Valued { encode: |value, limit, form| encode(value, limit, form, alike), decode }
    }
}

/// A value or an error that a flight hands to its members, or that the near cache keeps.
pub(crate) type Handed = Arc<dyn Any + Send + Sync>;

/// How a value or an error is shared among calls: a clone of it is handed out, and each taker clones that.
#[derive(Debug)]
pub(crate) struct Sharing<T> {
    hand: fn(&T) -> Handed,
    /// `None`: it is of another type, or the user's `Clone` has panicked.
    take: fn(Handed) -> Option<T>,
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
        take: |handed| contained(|| handed.downcast_ref::<T>().cloned()).flatten(),
    }
}

/// An `Arc` is handed out itself: the value in it need not be `Clone`.
fn sharing_arc<T: Send + Sync + 'static>() -> Sharing<Arc<T>> {
    Sharing { hand: |value| value.clone(), take: |handed| handed.downcast().ok() }
}

/// The chain after `share`: how the value is shared, if it can be.
#[derive(Debug)]
#[doc(hidden)]
pub struct Shared<S: Shape> {
    valued: Valued<S>,
    value: Option<Sharing<S::Value>>,
}

impl<S, T> Valued<S>
where
    S: Shape<Value = Arc<T>>,
    T: Send + Sync + 'static,
{
    pub fn share(self) -> Shared<S> {
        Shared { valued: self, value: Some(sharing_arc()) }
    }
}

#[doc(hidden)]
pub trait ShareOfClone<S: Shape> {
    fn share(self) -> Shared<S>;
}

impl<S: Shape> ShareOfClone<S> for Valued<S>
where
    S::Value: Clone + Send + Sync + 'static,
{
    fn share(self) -> Shared<S> {
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

/// The traits of the chain without their names, so that `use levels::*` imports methods and no names.
#[doc(hidden)]
pub mod levels {
    pub use super::{
        ErrorOfAny as _, ShapeOfAny as _, ShapeOfEnum as _, ShareOfAny as _, ShareOfClone as _,
        ValueInside as _, ValueOfAny as _,
    };
}
