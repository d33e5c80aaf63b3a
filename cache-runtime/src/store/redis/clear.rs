//! Removing everything of a namespace.

use deadpool_redis::redis::{self, Value};

use super::{Redis, unexpected};
use crate::store::{Fault, Key};

impl Redis {
    /// `SCAN` and `UNLINK` on the connection for bulk work.
    pub(crate) async fn clear(
        &self,
        start: &str,
        progress: &mut (dyn FnMut(u64) + Send),
    ) -> Result<u64, Fault> {
        let bulk = Key { bulk: true, ..Key::any() };
        self.ready(&bulk).await;
        let pattern = format!("{}*", literally(start));
        let (mut cursor, mut removed) = (0_u64, 0);
        loop {
            let mut scan = redis::cmd("SCAN");
            scan.arg(cursor).arg("MATCH").arg(&pattern).arg("COUNT").arg(1000);
            let page = self.command(&bulk, self.timeout(), &scan).await?;
            let page = redis::from_redis_value::<(u64, Vec<Vec<u8>>)>(page);
            let (next, names) = page.map_err(|_| unexpected(&Value::Nil))?;
            if !names.is_empty() {
                let mut unlink = redis::cmd("UNLINK");
                let reply = self.command(&bulk, self.timeout(), unlink.arg(names)).await?;
                removed += if let Value::Int(count) = reply { count as u64 } else { 0 };
            }
            progress(removed);
            cursor = next;
            if cursor == 0 {
                return Ok(removed);
            }
        }
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
