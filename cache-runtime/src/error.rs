//! The one error type of the crate.

use std::fmt;

/// The one error of this crate. A cached function never returns it: where the cache fails, the
/// function runs instead.
///
/// It comes from setting up ([`Config::from_env`](crate::Config::from_env),
/// [`Cache::connect`](crate::Cache::connect), [`init`](crate::init)), from the verbs that have something
/// to confirm ([`invalidate`](crate::invalidate), [`put`](crate::put), [`explain`](crate::explain)), and
/// from [`Cache::clear`](crate::Cache::clear) and [`Cache::close`](crate::Cache::close). Its text is for
/// people, and never contains a password or a key. The methods tell the causes apart.
///
/// # Examples
///
/// An invalidation that Redis has not confirmed binds this process at once, and is sent again until it is
/// delivered. So a service that has written its data logs the error and goes on:
///
/// ```
/// use cache_runtime::{Cache, cache_result, invalidate};
///
/// #[cache_result(prefix = "areas")]
/// async fn areas(kind: String) -> Vec<String> { vec![kind] }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// # Cache::in_memory().scope(async {
/// if let Err(error) = invalidate(areas("buy".into())).await {
///     assert!(error.is_unavailable() || error.is_refused());
///     eprintln!("{error}");
/// }
/// # }).await;
/// # }
/// ```
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

    /// Adds to the text which invalidation has failed.
    pub(crate) fn of_invalidating(self, target: &str) -> Self {
        let Self { kind, message } = self;
        Self::new(kind, format!("the invalidation of {target} is not confirmed: {message}"))
    }

    /// A setting is wrong. The text names the variable, or the setting of a [`Config`](crate::Config).
    pub fn is_config(&self) -> bool {
        self.kind == ErrorKind::Config
    }

    /// Redis could not be reached, refused the connection, or did not answer in time; or
    /// [`put`](crate::put) was used with a cache that is off. True for every error for which
    /// [`is_timeout`](Self::is_timeout) is.
    pub fn is_unavailable(&self) -> bool {
        matches!(self.kind, ErrorKind::Unavailable | ErrorKind::Timeout)
    }

    /// Redis did not answer in time, so that it is not known whether it has carried the command out; or
    /// something was left at the deadline of [`Cache::close`](crate::Cache::close).
    pub fn is_timeout(&self) -> bool {
        self.kind == ErrorKind::Timeout
    }

    /// The future that was handed to a verb reached no cached function. It has run, with its effects.
    pub fn is_not_cached(&self) -> bool {
        self.kind == ErrorKind::NotCached
    }

    /// [`init`](crate::init) was called while there was a global cache already.
    pub fn is_already_initialized(&self) -> bool {
        self.kind == ErrorKind::AlreadyInitialized
    }

    /// The arguments make no key; or [`put`](crate::put) was given an output that is not stored: an
    /// `Err`, a value that `cache_if` refuses, that is too large or that cannot be encoded.
    pub fn is_value(&self) -> bool {
        self.kind == ErrorKind::Value
    }

    /// Redis answered with an error, for example because it is out of memory or an ACL forbids the
    /// command. The text has the server's words.
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
