//! What has chosen the backend, and the one log line that says so when a cache is made.

use super::{Backend, Config};

/// What has chosen the backend.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Origin {
    /// The program, in code.
    Code,
    /// The variable of this name.
    Variable(&'static str),
    /// No variable is set.
    Nothing,
    /// A wrong setting, for which an error line was logged.
    Mistake,
}

impl Config {
    /// Logs where values go, or which variable has switched the cache off. A choice in code is logged at
    /// debug level, except where Redis is, which an operator wants to see in any case.
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
