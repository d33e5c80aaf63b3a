//! Removes every key of a namespace.

use std::pin::pin;
use std::sync::Arc;

use deadpool_redis::redis::{self, Value};

use super::{Redis, fault, slot, unexpected};
use crate::deadline;
use crate::key::Key;
use crate::store::contract::Fault;
use crate::store::lanes::Lanes;

/// A `SCAN` of one server: the names that match a pattern, page by page.
struct Scan<'a> {
    redis: &'a Redis,
    lanes: &'a Arc<Lanes>,
    pattern: String,
    /// The cursor of the next page; `None` after the last one.
    cursor: Option<u64>,
}

impl Scan<'_> {
    async fn page(&mut self) -> Result<Option<Vec<Vec<u8>>>, Fault> {
        let Some(cursor) = self.cursor else { return Ok(None) };
        let mut scan = redis::cmd("SCAN");
        scan.arg(cursor).arg("MATCH").arg(&self.pattern).arg("COUNT").arg(1000);
        let (lanes, limit) = (self.lanes, self.redis.timeout);
        let page = self.redis.send(lanes, bulk_lane(lanes), limit, &scan).await.map_err(fault)?;
        let (next, names): (u64, Vec<Vec<u8>>) =
            redis::from_redis_value(page).map_err(|_| unexpected(&Value::Nil))?;
        self.cursor = (next != 0).then_some(next);
        Ok(Some(names))
    }
}

impl Redis {
    /// `SCAN` and `UNLINK` on the bulk lanes. The tokens go first, on a single server in one command: without its
    /// token every entry is dead, so that none is computed anew from another that is still to be removed.
    pub(crate) async fn clear(
        &self,
        start: &str,
        progress: &mut (dyn FnMut(u64) + Send),
    ) -> Result<u64, Fault> {
        let bulk = Key::any_bulk();
        self.ready(&bulk).await;
        let servers = self.servers.all();
        if servers.is_empty() {
            return Err(Fault::Down);
        }
        let start = escape_glob(start);
        let mut removed = 0;
        for lanes in &servers {
            let dialled = pin!(lanes.dialled(slot(lanes, &bulk)));
            let _ = deadline::timeout(self.timeout, dialled).await;
            let (mut scan, mut tokens) = (self.scan(lanes, format!("{start}~*")), Vec::new());
            while let Some(names) = scan.page().await? {
                tokens.extend(names);
            }
            removed += self.remove(lanes, tokens).await?;
        }
        for lanes in &servers {
            let mut scan = self.scan(lanes, format!("{start}*"));
            while let Some(names) = scan.page().await? {
                removed += self.remove(lanes, names).await?;
                progress(removed);
            }
        }
        // Copies are void even if Redis had no key left.
        self.versions.bump_all();
        if !same_servers(&self.servers.all(), &servers) {
            // A slot may have moved to a node that was scanned already, or the master changed.
            return Err(Fault::Down);
        }
        Ok(removed)
    }

    fn scan<'a>(&'a self, lanes: &'a Arc<Lanes>, pattern: String) -> Scan<'a> {
        Scan { redis: self, lanes, pattern, cursor: Some(0) }
    }

    async fn remove(&self, lanes: &Arc<Lanes>, names: Vec<Vec<u8>>) -> Result<u64, Fault> {
        if names.is_empty() {
            return Ok(0);
        }
        let mut unlink = redis::pipe();
        if self.unlinks_together() {
            unlink.cmd("UNLINK").arg(names);
        } else {
            // One command for each name: a cluster refuses a command whose keys are in several slots.
            for name in names {
                unlink.cmd("UNLINK").arg(name);
            }
        }
        let replies = self.pipeline(lanes, bulk_lane(lanes), self.timeout, &unlink).await;
        self.versions.bump_all();
        let count = |reply| if let Value::Int(count) = reply { count as u64 } else { 0 };
        Ok(replies.map_err(fault)?.into_iter().map(count).sum())
    }
}

fn bulk_lane(lanes: &Lanes) -> Option<Arc<crate::store::lanes::Lane>> {
    lanes.lane(lanes.slot_of(0, true))
}

/// Whether both lists have the same servers. In any order: a cluster may list its nodes in another one each time.
fn same_servers(now: &[Arc<Lanes>], then: &[Arc<Lanes>]) -> bool {
    let is_there = |now: &Arc<Lanes>| then.iter().any(|then| Arc::ptr_eq(now, then));
    now.len() == then.len() && now.iter().all(is_there)
}

/// Escapes the characters that have a meaning in a glob pattern of Redis.
pub fn escape_glob(text: &str) -> String {
    let escaped = text.chars().flat_map(|c| {
        let escape = "*?[]^-\\".contains(c).then_some('\\');
        escape.into_iter().chain([c])
    });
    escaped.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Backend, Config};
    use crate::versions::Versions;

    fn server() -> Arc<Lanes> {
        let config = Config::redis("redis://127.0.0.1:1").expect("a well-formed URL");
        let Backend::Redis(deployment) = &config.backend else { panic!("it is a server") };
        let server = deployment.at(deployment.addresses[0].clone());
        Arc::new(Lanes::new(&server, &config, Arc::new(Versions::new(0))).expect("lanes"))
    }

    #[test]
    fn servers_are_the_same_in_another_order_and_not_where_one_was_replaced() {
        let [one, two, three] = [server(), server(), server()];
        let then = [one.clone(), two.clone()];
        assert!(same_servers(&[one.clone(), two.clone()], &then));
        assert!(same_servers(&[two.clone(), one.clone()], &then));
        assert!(!same_servers(&[one.clone(), three.clone()], &then));
        assert!(!same_servers(std::slice::from_ref(&one), &then));
        assert!(!same_servers(&[one, two, three], &then));
    }
}
