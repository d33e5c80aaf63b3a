//! The compare-and-set script, and the tokens' TTLs that are read and extended with it.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use deadpool_redis::redis::{self, Value};

use super::keyed_commands::KeyedCommands;
use super::{Redis, fault, to_millis, unexpected};
use crate::entry::Seen;
use crate::key::Key;
use crate::store::contract::{Fault, Write};
use crate::store::lanes::{COMPARE_AND_SET, CommandError, WRONG_TYPE};

impl Redis {
    pub(crate) async fn compare_and_set(
        &self,
        key: &Key,
        seen: &Seen,
        write: &Write,
        limit: Duration,
    ) -> Result<bool, Fault> {
        self.run_script(key, seen, write, limit, false).await.map(|done| done.0)
    }

    /// As `compare_and_set`, with a `PTTL` of each token in the same round trip. Tokens that expire within
    /// `tokens_for` are extended to twice that in a second one.
    pub(crate) async fn populate(
        &self,
        key: &Key,
        seen: &Seen,
        write: &Write,
        tokens_for: Duration,
        limit: Duration,
    ) -> Result<bool, Fault> {
        let (written, ttls) = self.run_script(key, seen, write, limit, true).await?;
        let mut renewals = Vec::new();
        for (name, ttl) in key.tokens().zip(&ttls) {
            // -2 is an absent token. -1 is one without an expiry, which gets one.
            if let Some(ttl @ -1..) = ttl
                && *ttl < to_millis(tokens_for).cast_signed()
            {
                let mut renew = KeyedCommands::of_token(key, name);
                let life = to_millis(tokens_for.saturating_mul(2));
                renew.commands.cmd("PEXPIRE").arg(name).arg(life);
                renewals.push(renew);
            }
        }
        if !renewals.is_empty() {
            // If this fails, the next populate extends them.
            let _ = self.run_all(renewals, limit).await;
        }
        Ok(written)
    }

    /// Runs the script, after a `PTTL` of each token if `with_ttls`, in one round trip: a second one with `EVAL`
    /// where Redis does not have the script, or refuses `EVALSHA`. Returns whether the script has written, and the
    /// TTLs.
    async fn run_script(
        &self,
        key: &Key,
        seen: &Seen,
        write: &Write,
        limit: Duration,
        with_ttls: bool,
    ) -> Result<(bool, Vec<Option<i64>>), Fault> {
        // A deletion is sent even while writes are paused: it frees memory.
        let frees = matches!(write, Write::Delete);
        if !frees && self.servers.are_writes_paused(key.function(), key.entry()) {
            return Err(Fault::ReadOnly);
        }
        let began = Instant::now();
        let commands = |script: [&str; 2]| {
            let ttl_queries = key.tokens().filter(|_| with_ttls).map(|name| ttl_of(key, name));
            ttl_queries.chain([with_script(key, seen, write, script)]).collect()
        };
        let mut replies = self.run_all(commands(["EVALSHA", script_hash()]), limit).await;
        if let Some(Err(CommandError::Error { code, text })) = replies.last()
            && (*code == "NOSCRIPT" || text.to_lowercase().contains("evalsha"))
        {
            let left = limit.saturating_sub(began.elapsed());
            replies = self.run_all(commands(["EVAL", COMPARE_AND_SET]), left).await;
        }
        self.versions.bump(key.entry().as_bytes());
        match replies.pop().unwrap_or(Err(CommandError::Down)) {
            Ok(done) => {
                let written = match done.last() {
                    Some(Value::Int(1)) => true,
                    Some(Value::Int(0)) => false,
                    // Not a reply of the script: whether it has written is unknown.
                    other => return Err(unexpected(other.unwrap_or(&Value::Nil))),
                };
                if !frees && written {
                    self.servers.write_succeeded(key.function(), key.entry());
                }
                Ok((written, replies.into_iter().map(ttl).collect()))
            }
            Err(CommandError::Error { code, text }) if code != WRONG_TYPE => {
                // Deletions do not extend a pause, since they are retried during it.
                if !frees {
                    self.servers.refuse_write(key.function(), key.entry(), &text);
                }
                Err(Fault::ReadOnly)
            }
            Err(error) => Err(fault(error)),
        }
    }
}

fn script_hash() -> &'static str {
    static HASH: OnceLock<String> = OnceLock::new();
    HASH.get_or_init(|| redis::Script::new(COMPARE_AND_SET).get_hash().to_owned())
}

fn ttl_of<'a>(key: &Key, token: &'a str) -> KeyedCommands<'a> {
    let mut query = KeyedCommands::of_token(key, token);
    query.commands.cmd("PTTL").arg(token);
    query
}

/// The TTL in milliseconds, or Redis's negative codes; `None` where it is unknown.
fn ttl(replies: Result<Vec<Value>, CommandError>) -> Option<i64> {
    match replies.ok()?.pop()? {
        Value::Int(left) => Some(left),
        _ => None,
    }
}

fn with_script<'a>(
    key: &'a Key,
    seen: &Seen,
    write: &Write,
    [command, script]: [&str; 2],
) -> KeyedCommands<'a> {
    let (action, bytes, life) = match write {
        Write::Whole { bytes, life } => ("whole", &bytes[..], Some(*life)),
        Write::Header { bytes, life } => ("header", &bytes[..], *life),
        Write::Delete => ("delete", &[][..], None),
    };
    let mut set = KeyedCommands::of_entry(key);
    set.commands.cmd(command).arg(script).arg(1).arg(key.entry());
    set.commands.arg(&seen.0[..]).arg(action).arg(bytes).arg(life.map_or(0, to_millis));
    set
}
