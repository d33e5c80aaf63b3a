//! The script, and what goes out with it.

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

    /// Asks for the tokens' lifetimes on the way, and doubles those that are too short.
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
            // Without an expiry is too long.
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
            // Failed, the next populate does it.
            let _ = self.run_all(renewals, limit).await;
        }
        Ok(written)
    }

    /// Sends the script, behind the question for the lifetimes of the tokens where they are wanted, in
    /// one round trip; a second one where Redis has forgotten it, or takes none by its digest. Whether it has written, and the
    /// lifetimes.
    async fn run_script(
        &self,
        key: &Key,
        seen: &Seen,
        write: &Write,
        limit: Duration,
        with_ttls: bool,
    ) -> Result<(bool, Vec<Option<i64>>), Fault> {
        // Deleting frees memory, and is not what was refused.
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
                    // The answer to something else: whether it has been written is not known.
                    other => return Err(unexpected(other.unwrap_or(&Value::Nil))),
                };
                if !frees && written {
                    self.servers.write_succeeded(key.function(), key.entry());
                }
                Ok((written, replies.into_iter().map(ttl).collect()))
            }
            Err(CommandError::Error { code, text }) if code != WRONG_TYPE => {
                // What frees is tried again and again, and says nothing new.
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

/// `None` where it is not known.
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
