//! Checks of several servers: a cluster, sentinels.

use super::super::redis::{Connection, slots_of};
use super::super::reply;
use super::check::{Finding, Running, Verdict, together};
use super::facts::Facts;

const SLOTS: i64 = 16_384;

/// Whether the nodes serve every slot.
pub(super) fn cluster(facts: &Facts) -> Running<'_> {
    Box::pin(async move {
        if let Some(error) = &facts.unknown {
            return Finding::stop(error.text.clone())
                .fix("REDIS_URL=redis+cluster://NODE:PORT,NODE:PORT");
        }
        if let Some((address, error)) = facts.unreached.first() {
            return Finding::stop(format!("the node {address} does not answer: {}", error.text))
                .fix("start the node, or let its replica take over: CLUSTER FAILOVER");
        }
        let mut findings = Vec::new();
        for server in &facts.servers {
            findings.push((server.address(), view(&server.application).await));
        }
        together(&findings)
    })
}

async fn view(node: &Connection) -> Finding {
    let slots = match node.send(&["CLUSTER", "SLOTS"]).await {
        Ok(slots) => slots_of(&slots, &node.address),
        Err(error) => {
            return Finding::stop(format!("CLUSTER SLOTS: {}", error.text))
                .fix("ACL SETUSER <user> +cluster|slots");
        }
    };
    let covered: i64 = slots.iter().map(|range| range.last - range.first + 1).sum();
    let info = node.send(&["CLUSTER", "INFO"]).await.ok().and_then(|info| reply::text(&info));
    let state = info.and_then(|info| reply::lines(&info).get("cluster_state").cloned());
    if covered < SLOTS {
        return Finding::stop(format!("{covered} of {SLOTS} slots are served"))
            .fix(format!("redis-cli --cluster fix {}", node.address));
    }
    if state.as_deref().is_some_and(|state| state != "ok") {
        return Finding::stop("all slots are served, and cluster_state is not ok")
            .fix(format!("redis-cli --cluster check {}", node.address));
    }
    let mut masters: Vec<_> = slots.iter().map(|range| &range.master).collect();
    masters.sort();
    masters.dedup();
    Finding::ok(format!("{} masters serve all {SLOTS} slots", masters.len()))
}

/// Whether the sentinels agree, and are enough.
pub(super) fn sentinel(facts: &Facts) -> Running<'_> {
    Box::pin(async move {
        let shape = &facts.target.shape;
        let master = shape.master.as_deref().unwrap_or_default();
        let mut findings = Vec::new();
        for address in &shape.addresses {
            let finding = match Connection::to_sentinel(&facts.target.config, address).await {
                Ok(sentinel) => watches(&sentinel, master).await,
                Err(error) => Finding::warn(format!("does not answer: {}", error.text))
                    .fix("start the sentinel"),
            };
            findings.push((address.as_str(), finding));
        }
        let all_bad = findings.iter().all(|(_, finding)| finding.verdict >= Verdict::Warn);
        let mut finding = together(&findings);
        if all_bad && facts.servers.is_empty() {
            finding.verdict = Verdict::Error;
            finding.stops = true;
        }
        finding
    })
}

async fn watches(sentinel: &Connection, master: &str) -> Finding {
    let state = match sentinel.send(&["SENTINEL", "MASTER", master]).await {
        Ok(state) => reply::fields(&state),
        Err(error) => {
            return Finding::error(error.text).fix(format!(
                "sentinel monitor {master} HOST PORT 2 (in \
                        sentinel.conf), or the right name in REDIS_URL"
            ));
        }
    };
    let field = |name: &str| state.get(name).map_or("", String::as_str);
    let number = |name: &str| field(name).parse::<u64>().unwrap_or(0);
    let (quorum, sentinels) = (number("quorum"), number("num-other-sentinels") + 1);
    let observed = format!(
        "{master}: {}, {sentinels} sentinels with a quorum of {quorum}, {} replicas",
        field("flags"),
        number("num-slaves")
    );
    if field("flags").contains("down") {
        return Finding::error(observed).fix("start the master, or: SENTINEL FAILOVER");
    }
    if sentinels < 3 || quorum > sentinels || number("num-slaves") == 0 {
        return Finding::warn(format!("{observed}: too few for a failover"))
            .fix("three sentinels, and a replica at least");
    }
    if let Err(error) = sentinel.send(&["SUBSCRIBE", "+switch-master"]).await {
        return Finding::warn(format!("SUBSCRIBE: {}", error.text))
            .fix("ACL SETUSER <user> +subscribe &* (on the sentinel)");
    }
    Finding::ok(observed)
}
