//! Where the value and the error are in a return type.

use std::convert::Infallible;
use std::marker::PhantomData;

/// A return type with the value and the error in it.
///
/// It has no `'static` bound. When the compiler checks whether a future is `Send`, it has erased the
/// lifetimes, and could not prove the bound for `Box<dyn Error>`. The functions that need it have it.
#[doc(hidden)]
pub trait Shape {
    type Return;
    type Value;
    type Error;
    /// Whether the shape itself has an `Option`. Only then may the value be one: otherwise it would be a
    /// `None` hidden behind a type parameter, and stored as a value.
    const OPTIONAL: bool = false;
    /// Looks at an output.
    fn open(output: &Self::Return) -> Opened<'_, Self::Value, Self::Error>;
    fn value(value: Self::Value) -> Self::Return;
    /// The output that is `None`, if the shape has one.
    fn nothing() -> Option<Self::Return> {
        None
    }
    /// The output that is this error, if the shape has one.
    fn error(error: Self::Error) -> Option<Self::Return>;
}

/// What an output is: a value, `None`, or an error.
#[derive(Debug)]
#[doc(hidden)]
pub enum Opened<'a, V, E> {
    Value(&'a V),
    Nothing,
    Error(&'a E),
}

/// `V`.
#[derive(Debug)]
#[doc(hidden)]
pub struct Plain<V>(PhantomData<fn() -> V>);
/// `Option<V>`.
#[derive(Debug)]
#[doc(hidden)]
pub struct Optional<V>(PhantomData<fn() -> V>);
/// `Result<V, E>`.
#[derive(Debug)]
#[doc(hidden)]
pub struct Fallible<V, E>(PhantomData<fn() -> (V, E)>);
/// `Result<Option<V>, E>`.
#[derive(Debug)]
#[doc(hidden)]
pub struct FallibleOptional<V, E>(PhantomData<fn() -> (V, E)>);
/// `Option<Result<V, E>>`.
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
