//! Pauses writes that a server refuses while it answers reads.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock;

/// For how long no further write is sent after a refused one.
const PAUSED: Duration = Duration::from_secs(1);

/// In the reason for a pause: the server closes the connection at a command.
pub(super) const HANGS_UP: &str = "hangs up";

/// Parts of errors that concern every write, whatever its key. Searched for anywhere in the text, since scripts
/// wrap errors.
const REFUSES_ALL: [&str; 8] = [
    "READONLY",
    "OOM",
    "MISCONF",
    "NOREPLICAS",
    "unknown command",
    // An ACL forbids the command: the texts of Redis, and of its scripts.
    "permissions to run",
    "can't run this command",
    HANGS_UP,
];

/// Codes of a cluster's node that was configured as a single server; they concern every write too.
const WRONG_NODE: [&str; 2] = ["MOVED", "CROSSSLOT"];

/// Which writes to one server are paused.
#[derive(Default)]
pub(crate) struct WritePause {
    /// Until when no write is sent, in milliseconds of [`clock::millis`].
    paused: AtomicU64,
    /// Whether the last write was refused for a reason that concerns every write.
    refused: AtomicBool,
    why: Mutex<String>,
    /// Whether `functions` has any, so that most writes do not lock it.
    any_function: AtomicBool,
    /// Functions of which a write was refused for its key or value, by the token of their prefix, and until when
    /// no other write of theirs is sent.
    functions: Mutex<HashMap<Box<str>, u64>>,
}

impl WritePause {
    pub(crate) fn are_paused(&self) -> bool {
        clock::millis() < self.paused.load(Ordering::Relaxed)
    }

    /// Whether writes of a function are paused.
    pub(crate) fn are_paused_for(&self, function: &str) -> bool {
        self.are_paused()
            || (self.any_function.load(Ordering::Relaxed)
                && lock(&self.functions)
                    .get(function)
                    .is_some_and(|until| clock::millis() < *until))
    }

    /// Pauses the writes of one function after a refusal, or all writes if the refusal concerns them all.
    pub(crate) fn refuse(&self, function: &str, why: &str) {
        if refuses_all_writes(why) {
            self.pause(why);
            return;
        }
        let until = clock::millis() + PAUSED.as_millis() as u64;
        let first = lock(&self.functions).insert(function.into(), until).is_none();
        self.any_function.store(true, Ordering::Relaxed);
        if first {
            // The token is namespace and prefix: from the source and the settings, so it may be logged.
            let prefix = function.split_once(":~").map_or(function, |(_, prefix)| prefix);
            tracing::warn!(
                prefix,
                error = why,
                "redis refuses a write of these functions: they are not populated for now"
            );
        }
    }

    pub(crate) fn pause(&self, why: &str) {
        self.pause_for(PAUSED, why);
    }

    pub(super) fn pause_for(&self, time: Duration, why: &str) {
        let until = clock::millis() + time.as_millis() as u64;
        self.paused.fetch_max(until, Ordering::Relaxed);
        let why = with_hint(why);
        *lock(&self.why) = format!("redis refuses writes: {why}");
        if !self.refused.swap(true, Ordering::Relaxed) {
            tracing::warn!(error = %why, "redis refuses writes: nothing is populated for now");
        }
    }

    /// A write of a function has succeeded: ends the pauses that it disproves.
    pub(crate) fn write_succeeded(&self, function: &str) {
        if self.refused.load(Ordering::Relaxed) && self.refused.swap(false, Ordering::Relaxed) {
            tracing::info!("redis takes writes again");
        }
        if self.any_function.load(Ordering::Relaxed) {
            let mut functions = lock(&self.functions);
            functions.remove(function);
            self.any_function.store(!functions.is_empty(), Ordering::Relaxed);
        }
    }

    /// Whether the last write was refused for a reason that concerns every write.
    pub(super) fn are_refused(&self) -> bool {
        self.refused.load(Ordering::Relaxed)
    }

    /// The reason, if writes are refused.
    pub(super) fn refusal(&self) -> Option<String> {
        self.are_refused().then(|| lock(&self.why).clone())
    }
}

/// Whether a refusal concerns every write, and not just one key or one value.
pub(super) fn refuses_all_writes(why: &str) -> bool {
    REFUSES_ALL.iter().chain(&WRONG_NODE).any(|word| why.contains(word))
}

/// Whether a refusal of a read concerns its keys or its size alone, so that other functions are served.
pub(super) fn concerns_one_key(why: &str) -> bool {
    (why.starts_with("NOPERM") || why.contains("max request size")) && !refuses_all_writes(why)
}

/// A refusal, with advice where the cause is known.
pub(super) fn with_hint(why: &str) -> Cow<'_, str> {
    if WRONG_NODE.iter().any(|code| why.contains(code)) {
        Cow::Owned(format!("{why} (it is a node of a cluster: use `redis+cluster://`)"))
    } else {
        Cow::Borrowed(why)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_about_a_key_or_a_value_concerns_one_function() {
        for why in [
            "NOPERM No permissions to access a key",
            "NOPERM this user has no permissions to access one of the keys used as arguments",
            "ERR max request size exceeded. Limit: 1048576 bytes, Actual: 2000000 bytes",
            "ERR value too large",
        ] {
            let writes = WritePause::default();
            writes.refuse("cache:~one", why);
            assert!(!refuses_all_writes(why) && writes.are_paused_for("cache:~one"), "{why}");
            assert!(!writes.are_paused_for("cache:~other") && !writes.are_refused(), "{why}");
            writes.write_succeeded("cache:~one");
            assert!(!writes.are_paused_for("cache:~one"));
        }
    }

    #[test]
    fn a_refused_read_of_a_key_says_nothing_of_the_server() {
        assert!(concerns_one_key("NOPERM No permissions to access a key"));
        assert!(concerns_one_key("ERR max request size exceeded. Limit: 1048576 bytes"));
        assert!(!concerns_one_key("NOPERM User app has no permissions to run the 'mget' command"));
        assert!(!concerns_one_key("ERR max daily request limit exceeded"));
        assert!(!concerns_one_key("CLUSTERDOWN The cluster is down"));
    }

    #[test]
    fn a_refusal_by_the_server_concerns_all_functions() {
        for why in [
            "READONLY You can't write against a read only replica.",
            "OOM command not allowed when used memory > 'maxmemory'.",
            "ERR Error running script (call to f_1): @user_script:1: -OOM command not allowed",
            "MISCONF Redis is configured to save RDB snapshots",
            "NOREPLICAS Not enough good replicas to write.",
            "NOPERM User app has no permissions to run the 'evalsha' command",
            "ERR unknown command 'EVALSHA'",
        ] {
            let writes = WritePause::default();
            writes.refuse("cache:~one", why);
            assert!(writes.are_paused_for("cache:~other") && writes.are_refused(), "{why}");
            assert!(writes.refusal().unwrap().contains(why));
            writes.write_succeeded("cache:~other");
            assert_eq!(writes.refusal(), None);
        }
    }
}
