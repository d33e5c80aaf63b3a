//! The script, and what goes out with it.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use deadpool_redis::redis::{self, Pipeline, Value};

use super::{COMPARE_AND_SET, Redis, fault, in_redis};
use crate::entry::Seen;
use crate::store::connection::{Sent, WRONG_TYPE};
use crate::store::{Fault, Key, Write};

impl Redis {
    pub(crate) async fn compare_and_set(
        &self,
        key: &Key,
        seen: &Seen,
        write: &Write,
        limit: Duration,
    ) -> Result<bool, Fault> {
        let replies = self.script(key, seen, write, limit, &redis::pipe()).await?;
        Ok(replies.last() == Some(&Value::Int(1)))
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
        let mut before = redis::pipe();
        for name in key.tokens() {
            before.cmd("PTTL").arg(name);
        }
        let replies = self.script(key, seen, write, limit, &before).await?;
        let mut renew = redis::pipe();
        for (name, left) in key.tokens().zip(&replies) {
            // Without an expiry is too long.
            if let Value::Int(left @ -1..) = left
                && *left < in_redis(tokens_for).cast_signed()
            {
                renew.cmd("PEXPIRE").arg(name).arg(in_redis(tokens_for.saturating_mul(2)));
            }
        }
        if !renew.is_empty() {
            // Failed, the next populate does it.
            let _ = self.pipeline(self.lanes.lane(self.slot(key)), limit, &renew).await;
        }
        Ok(replies.last() == Some(&Value::Int(1)))
    }

    /// Sends the script behind `before`, in one round trip; a second one where Redis has forgotten
    /// it.
    async fn script(
        &self,
        key: &Key,
        seen: &Seen,
        write: &Write,
        limit: Duration,
        before: &Pipeline,
    ) -> Result<Vec<Value>, Fault> {
        // Deleting frees memory, and is not what was refused.
        let frees = matches!(write, Write::Delete);
        if !frees && self.is_write_paused() {
            return Err(Fault::ReadOnly);
        }
        let began = Instant::now();
        let slot = self.slot(key);
        let by_hash = with_script(before, key, seen, write, ["EVALSHA", script_hash()]);
        let replies = match self.pipeline(self.lanes.lane(slot), limit, &by_hash).await {
            Err(Sent::Error { code: "NOSCRIPT", .. }) => {
                let left = limit.saturating_sub(began.elapsed());
                let by_text = with_script(before, key, seen, write, ["EVAL", COMPARE_AND_SET]);
                self.pipeline(self.lanes.lane(slot), left, &by_text).await
            }
            replies => replies,
        };
        self.marks.touch(key.entry().as_bytes());
        match replies {
            Ok(replies) => {
                if !frees && replies.last() == Some(&Value::Int(1)) {
                    self.writes_go_on();
                }
                Ok(replies)
            }
            Err(Sent::Error { code, text }) if code != WRONG_TYPE => {
                self.pause_writes(&text);
                Err(Fault::ReadOnly)
            }
            Err(sent) => Err(fault(sent)),
        }
    }
}

fn script_hash() -> &'static str {
    static HASH: OnceLock<String> = OnceLock::new();
    HASH.get_or_init(|| redis::Script::new(COMPARE_AND_SET).get_hash().to_owned())
}

fn with_script(
    before: &Pipeline,
    key: &Key,
    seen: &Seen,
    write: &Write,
    [how, script]: [&str; 2],
) -> Pipeline {
    let (what, bytes, life) = match write {
        Write::Whole { bytes, life } => ("whole", &bytes[..], Some(*life)),
        Write::Header { bytes, life } => ("header", &bytes[..], *life),
        Write::Delete => ("delete", &[][..], None),
    };
    let mut all = before.clone();
    all.cmd(how).arg(script).arg(1).arg(key.entry());
    all.arg(&seen.0[..]).arg(what).arg(bytes).arg(life.map_or(0, in_redis));
    all
}
