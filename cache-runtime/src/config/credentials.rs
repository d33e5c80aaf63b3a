//! Logins that the application fetches by a callback.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

/// A user and a password for Redis, which the callback of
/// [`Config::credentials`](crate::Config::credentials) returns. `Debug` shows neither.
///
/// # Examples
///
/// ```
/// use cache_runtime::Credentials;
///
/// let token = Credentials::new("app", "a token that expires");
/// assert!(!format!("{token:?}").contains("expires"));
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    username: Option<String>,
    password: String,
}

impl Credentials {
    /// A user of the server's ACL, with its password or token.
    pub fn new(username: impl Into<String>, password: impl Into<String>) -> Self {
        Self { username: Some(username.into()), password: password.into() }
    }

    /// The password or token of the user `default`.
    pub fn password(password: impl Into<String>) -> Self {
        Self { username: None, password: password.into() }
    }

    pub(crate) fn into_parts(self) -> (Option<String>, String) {
        (self.username, self.password)
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").finish_non_exhaustive()
    }
}

type Fetching = Pin<Box<dyn Future<Output = Result<Credentials, String>> + Send>>;

/// The application's callback, which each dial asks for a login.
#[derive(Clone)]
pub(crate) struct Provider(Arc<dyn Fn() -> Fetching + Send + Sync>);

impl Provider {
    pub(super) fn new<F, A, E>(ask: F) -> Self
    where
        F: Fn() -> A + Send + Sync + 'static,
        A: Future<Output = Result<Credentials, E>> + Send + 'static,
        E: fmt::Display,
    {
        Self(Arc::new(move || {
            let fetching = ask();
            Box::pin(async move { fetching.await.map_err(|error| error.to_string()) })
        }))
    }

    /// The login, or the text of the callback's error.
    pub(crate) async fn ask(&self) -> Result<Credentials, String> {
        (self.0)().await
    }
}
