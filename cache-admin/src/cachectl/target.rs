//! Which cache is meant: the application's configuration, with what the command line replaces.

use std::cell::RefCell;
use std::collections::BTreeSet;

use cache_runtime::__admin::{Shape, shape};
use cache_runtime::{Config, Credentials};

use super::args::Common;
use super::failure::Failure;
use super::terminal;

/// The login of an operator for Redis, which may do more than the application's.
const OPERATOR: [&str; 2] = ["CACHECTL_REDIS_USERNAME", "CACHECTL_REDIS_PASSWORD"];

/// Variables that switch the cache off for the application, and not for this program.
const SWITCHES: [&str; 2] = ["REDIS_ENABLED", "ENABLE_REDIS_CACHE"];

/// The configuration of the cache that is meant.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) config: Config,
    pub(super) shape: Shape,
    /// The application's cache is switched off by a variable.
    pub(super) switched_off: bool,
    /// The same with the login of an operator, where there is one.
    pub(super) operator: Option<Config>,
    /// The user of that login.
    pub(super) operator_name: Option<String>,
}

impl Target {
    /// # Errors
    ///
    /// Where a setting is wrong; the text never shows a password.
    pub(super) fn new(common: &Common) -> Result<Self, Failure> {
        let lookup = |name: &str| variable(common, name);
        let wrong = |error: cache_runtime::Error| Failure::usage(error.to_string());
        let mut config = Config::from_lookup(lookup).map_err(wrong)?;
        let switched_off = shape(&config).topology == "off";
        if switched_off {
            let without = |name: &str| lookup(name).filter(|_| !SWITCHES.contains(&name));
            config = Config::from_lookup(without).map_err(wrong)?;
        }
        if common.url.as_deref().is_some_and(has_password) {
            terminal::complain(
                "note: other users of this host see the password in \
                        --url; REDIS_URL and REDIS_PASSWORD hide it",
            );
        }
        let operator_name = set(OPERATOR[0]);
        let operator = operator(operator_name.clone()).map(|credentials| {
            config.clone().credentials(move || {
                let credentials = credentials.clone();
                async move { Ok::<_, std::convert::Infallible>(credentials) }
            })
        });
        Ok(Self { shape: shape(&config), config, switched_off, operator, operator_name })
    }

    /// For commands that need a Redis.
    ///
    /// # Errors
    ///
    /// As [`Target::new`], and where no Redis is configured.
    pub(super) fn over_redis(common: &Common) -> Result<Self, Failure> {
        let target = Self::new(common)?;
        if target.shape.addresses.is_empty() {
            return Err(Failure::usage(NO_REDIS));
        }
        Ok(target)
    }
}

pub(super) const NO_REDIS: &str =
    "no Redis is configured: set REDIS_URL as the application has it, or give --url";

fn variable(common: &Common, name: &str) -> Option<String> {
    match name {
        "REDIS_URL" if common.url.is_some() => common.url.clone(),
        "CACHE_NAMESPACE" if common.namespace.is_some() => common.namespace.clone(),
        // The switches of the environment concern the environment's Redis.
        name if common.url.is_some() && SWITCHES.contains(&name) => None,
        name => std::env::var(name).ok(),
    }
}

fn has_password(url: &str) -> bool {
    let login = url.split_once("://").and_then(|(_, rest)| rest.rsplit_once('@'));
    login.is_some_and(|(login, _)| login.split_once(':').is_some_and(|(_, word)| !word.is_empty()))
}

/// A variable of the environment that is not empty.
fn set(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn operator(username: Option<String>) -> Option<Credentials> {
    let password = set(OPERATOR[1])?;
    Some(match username {
        Some(username) => Credentials::new(username, password),
        None => Credentials::password(password),
    })
}

/// The variables that a configuration is read from: those that the runtime asks for, whichever way it is told where
/// Redis is.
pub(super) fn variables() -> BTreeSet<String> {
    let asked = RefCell::new(BTreeSet::new());
    let ways =
        [("", ""), ("REDIS_HOST", "localhost"), ("REDIS_URL", "rediss+sentinel://localhost/name")];
    for (set, value) in ways {
        let _ = Config::from_lookup(|name| {
            asked.borrow_mut().insert(name.to_owned());
            (name == set).then(|| value.to_owned())
        });
    }
    asked.into_inner()
}
