//! Removing everything of a namespace.

use deadpool_redis::redis::{self, Value};

use super::{Redis, unexpected};
use crate::store::{Fault, Key};

/// One page of a scan, and where the next one begins.
type Page = (u64, Vec<Vec<u8>>);

impl Redis {
    /// `SCAN` and `UNLINK` on the connection for bulk work. The tokens of all prefixes go first and
    /// together: with them all entries are dead, and none is refilled from another.
    pub(crate) async fn clear(
        &self,
        start: &str,
        progress: &mut (dyn FnMut(u64) + Send),
    ) -> Result<u64, Fault> {
        let bulk = Key { bulk: true, ..Key::any() };
        self.ready(&bulk).await;
        let start = literally(start);
        let (mut cursor, mut tokens) = (0, Vec::new());
        loop {
            let (next, names) = self.page(&bulk, cursor, &format!("{start}~*")).await?;
            tokens.extend(names);
            cursor = next;
            if cursor == 0 {
                break;
            }
        }
        let mut removed = self.remove(&bulk, tokens).await?;
        loop {
            let (next, names) = self.page(&bulk, cursor, &format!("{start}*")).await?;
            removed += self.remove(&bulk, names).await?;
            progress(removed);
            cursor = next;
            if cursor == 0 {
                // Also where there was nothing left to remove.
                self.marks.touch_all();
                return Ok(removed);
            }
        }
    }

    async fn page(&self, bulk: &Key, cursor: u64, pattern: &str) -> Result<Page, Fault> {
        let mut scan = redis::cmd("SCAN");
        scan.arg(cursor).arg("MATCH").arg(pattern).arg("COUNT").arg(1000);
        let page = self.command(bulk, self.timeout(), &scan).await?;
        redis::from_redis_value(page).map_err(|_| unexpected(&Value::Nil))
    }

    async fn remove(&self, bulk: &Key, names: Vec<Vec<u8>>) -> Result<u64, Fault> {
        if names.is_empty() {
            return Ok(0);
        }
        let mut unlink = redis::cmd("UNLINK");
        let reply = self.command(bulk, self.timeout(), unlink.arg(names)).await;
        self.marks.touch_all();
        let reply = reply?;
        Ok(if let Value::Int(count) = reply { count as u64 } else { 0 })
    }
}

/// A text of which no character has a meaning in a pattern.
fn literally(text: &str) -> String {
    let escaped = text.chars().flat_map(|c| {
        let escape = "*?[]^-\\".contains(c).then_some('\\');
        escape.into_iter().chain([c])
    });
    escaped.collect()
}
