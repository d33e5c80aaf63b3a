//! The one error type of the crate.

use std::fmt;

/// What went wrong outside a cached function.
///
/// A cached function never returns it: there, every failure of the cache means that the function
/// simply runs. It comes from set-up ([`Cache::connect`](crate::Cache::connect),
/// [`init`](crate::init)) and from the verbs ([`invalidate`](crate::invalidate),
/// [`put`](crate::put)). Its text never contains a password or a key.
#[derive(Debug, Clone)]
pub struct Error {
    kind: ErrorKind,
    message: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ErrorKind {
    Config,
    Unavailable,
    Timeout,
    NotCached,
    AlreadyInitialized,
    Value,
    Refused,
}

pub(crate) type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    pub(crate) fn config(variable: &str, problem: impl fmt::Display) -> Self {
        Self::new(ErrorKind::Config, format!("{variable}: {problem}"))
    }

    pub(crate) fn not_cached() -> Self {
        Self::new(
            ErrorKind::NotCached,
            "the future reached no cached function: it has run, with its effects",
        )
    }

    pub(crate) fn no_key(function: &str) -> Self {
        Self::new(
            ErrorKind::Value,
            format!("the arguments of `{function}` cannot be made into a key"),
        )
    }

    /// The same error, of the invalidation of something.
    pub(crate) fn of_invalidating(self, what: &str) -> Self {
        let Self { kind, message } = self;
        Self::new(kind, format!("the invalidation of {what} is not confirmed: {message}"))
    }

    /// A setting is wrong; the text names the variable.
    pub fn is_config(&self) -> bool {
        self.kind == ErrorKind::Config
    }

    /// Redis could not be reached, refused the connection, or did not answer in time.
    pub fn is_unavailable(&self) -> bool {
        matches!(self.kind, ErrorKind::Unavailable | ErrorKind::Timeout)
    }

    /// Redis did not answer in time. Whether it has carried the command out is unknown.
    pub fn is_timeout(&self) -> bool {
        self.kind == ErrorKind::Timeout
    }

    /// The future handed to a verb reached no cached function. It has run, with its effects.
    pub fn is_not_cached(&self) -> bool {
        self.kind == ErrorKind::NotCached
    }

    /// [`init`](crate::init) was called twice, or after the first cached call.
    pub fn is_already_initialized(&self) -> bool {
        self.kind == ErrorKind::AlreadyInitialized
    }

    /// The value or the arguments cannot be encoded, or the value is too large to be stored.
    pub fn is_value(&self) -> bool {
        self.kind == ErrorKind::Value
    }

    /// Redis answered with an error, for example because it is out of memory.
    pub fn is_refused(&self) -> bool {
        self.kind == ErrorKind::Refused
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}
