//! Who has decided where values go, and the one line that says so when a cache is made.

use super::{Backend, Config};

/// What has decided on the backend.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Origin {
    /// The program.
    Code,
    /// A variable of the environment, by its name.
    Variable(&'static str),
    /// Nothing: no variable is set.
    Nothing,
    /// A mistake in the settings, which has a line of its own.
    Mistake,
}

impl Config {
    /// Says where values go, or who has switched them off. What the program has asked for itself is no news
    /// to its operator.
    pub(crate) fn announce(&self) {
        let namespace = &*self.namespace;
        match (&self.backend, self.origin) {
            (_, Origin::Mistake) => {}
            (Backend::Redis(deployment), _) => {
                tracing::info!(server = %deployment, namespace, "the cache keeps its values in redis");
            }
            (Backend::Off, Origin::Variable(by)) => {
                tracing::info!(by, "the cache is switched off: every function runs plainly");
            }
            (Backend::Off, _) => tracing::debug!("the cache is switched off by the program"),
            (Backend::Memory, Origin::Nothing) => tracing::warn!(
                "neither REDIS_URL nor REDIS_HOST is set: the cache keeps its values in this process, and \
                 other processes do not share them"
            ),
            (Backend::Memory, Origin::Variable(by)) => {
                tracing::info!(by, "the cache keeps its values in this process");
            }
            (Backend::Memory, _) => {
                tracing::debug!("the cache keeps its values in this process, as the program asks");
            }
        }
    }
}
