//! Checks of the memory of a server.

use std::time::Duration;

use super::super::entries::some_names;
use super::super::reply;
use super::super::terminal::bytes;
use super::check::{Finding, Running, together};
use super::facts::{Facts, Info, Server};

/// The limit of the memory.
pub(super) fn maxmemory(server: &Server) -> Finding {
    let info = server.info();
    let Some(limit) = info.number("maxmemory") else {
        return Finding::skipped("the server does not say its limit");
    };
    if limit > 0 {
        return Finding::ok(format!("at most {}", bytes(limit)));
    }
    let fix = server.shell("CONFIG SET maxmemory 256mb");
    let (used, total) = (info.number("used_memory"), info.number("total_system_memory"));
    if let (Some(used), Some(total)) = (used, total.filter(|total| *total > 0))
        && total.saturating_sub(used) * 5 < total
    {
        let observed =
            format!("no limit, and {} of the host's {} are used", bytes(used), bytes(total));
        return Finding::error(observed).fix(fix);
    }
    Finding::warn("no limit is set").fix(fix)
}

/// Which keys are evicted when the memory is full.
pub(super) fn policy(server: &Server) -> Finding {
    let info = server.info();
    let policy = info.text("maxmemory_policy");
    let fix = server.shell("CONFIG SET maxmemory-policy volatile-lru");
    match policy {
        "" => Finding::skipped("the server does not say its policy"),
        "noeviction" => Finding::warn(
            "noeviction: once the memory is full \
                nothing is stored, and no call fails",
        )
        .fix(fix),
        "allkeys-random" | "volatile-random" | "volatile-ttl" => Finding::warn(format!(
            "{policy}: tokens are evicted as easily as values, \
                    and each takes its whole prefix along"
        ))
        .fix(fix),
        _ if policy.starts_with("allkeys") && has_lasting_keys(&info) => Finding::error(format!(
            "{policy}, and the server also has keys without \
                    an expiry, which are evicted too"
        ))
        .fix(fix),
        _ => Finding::ok(policy),
    }
}

/// Whether keys of others, which have no expiry, are on the server.
fn has_lasting_keys(info: &Info) -> bool {
    let (keys, expiring) =
        keyspace(info).fold((0, 0), |sum, (_, keys, expires)| (sum.0 + keys, sum.1 + expires));
    keys > expiring
}

/// The databases: name, keys, keys with an expiry.
fn keyspace(info: &Info) -> impl Iterator<Item = (&str, u64, u64)> {
    info.0.iter().filter_map(|(name, value)| {
        let is_database =
            name.strip_prefix("db").is_some_and(|number| number.parse::<u32>().is_ok());
        let field = |wanted: &str| {
            let fields = value.split(',').filter_map(|field| field.split_once('='));
            fields.filter(|(name, _)| *name == wanted).find_map(|(_, value)| value.parse().ok())
        };
        is_database
            .then(|| (name.as_str(), field("keys").unwrap_or(0), field("expires").unwrap_or(0)))
    })
}

/// Whether others use the server too.
pub(super) fn shared(facts: &Facts) -> Running<'_> {
    Box::pin(async move {
        let start = format!("{}:", facts.target.shape.namespace);
        let mut findings = Vec::new();
        for server in &facts.servers {
            findings.push((server.address(), sample(server, &start).await));
        }
        together(&findings)
    })
}

/// Looks at some thousand names.
async fn sample(server: &Server, start: &str) -> Finding {
    let names = match some_names(&server.application, "*", 10).await {
        Ok(names) => names,
        Err(error) => {
            return Finding::skipped(format!("not permitted here: SCAN ({})", error.text));
        }
    };
    let own = names.iter().filter(|name| name.starts_with(start)).count();
    let foreign = names.len() - own;
    let info = server.info();
    let others: Vec<_> = keyspace(&info)
        .map(|(name, keys, expires)| format!("{name}: {keys} keys, {expires} with an expiry"))
        .collect();
    let databases =
        if others.is_empty() { String::new() } else { format!(" ({})", others.join("; ")) };
    if foreign == 0 {
        return Finding::ok(format!("all {own} keys of a sample are of this namespace{databases}"));
    }
    let observed =
        format!("of {} keys of a sample {foreign} are of others{databases}", own + foreign);
    if info.text("maxmemory_policy").starts_with("allkeys") && has_lasting_keys(&info) {
        return Finding::error(format!("{observed}, and they may be evicted"))
            .fix(server.shell("CONFIG SET maxmemory-policy volatile-lru"));
    }
    Finding::info(observed)
}

/// How full the memory is, and what beside values takes it.
pub(super) fn memory(server: &Server) -> Finding {
    used(&server.info(), |command| server.shell(command))
}

fn used(info: &Info, shell: impl Fn(&str) -> String) -> Finding {
    let used = info.number("used_memory").unwrap_or(0);
    let limit = info.number("maxmemory").unwrap_or(0);
    let share = if limit == 0 {
        String::new()
    } else {
        format!(" of {} ({} %)", bytes(limit), used * 100 / limit)
    };
    let observed = format!("{}{share}", bytes(used));
    // The one finding with which nothing is stored comes first.
    if limit > 0 && used >= limit && info.text("maxmemory_policy") == "noeviction" {
        return Finding::error(format!("{observed}: full, and nothing is evicted"))
            .fix(shell("CONFIG SET maxmemory-policy volatile-lru"));
    }
    let fragmentation = info.fraction("mem_fragmentation_ratio").unwrap_or(1.0);
    if fragmentation > 1.5 && used > 100 << 20 {
        return Finding::warn(format!("{observed}, fragmentation {fragmentation}"))
            .fix(shell("CONFIG SET activedefrag yes"));
    }
    let (rss, total) = (
        info.number("used_memory_rss").unwrap_or(0),
        info.number("total_system_memory").unwrap_or(0),
    );
    if total > 0 && rss * 10 > total * 8 {
        return Finding::warn(format!(
            "{observed}; the process takes {} of the host's {}",
            bytes(rss),
            bytes(total)
        ))
        .fix(shell("MEMORY DOCTOR"));
    }
    if let Some(clients) =
        info.number("mem_clients_normal").filter(|size| *size > (64 << 20) && *size * 4 > used)
    {
        return Finding::warn(format!("{observed}, of it {} for connections", bytes(clients)))
            .fix(shell("CLIENT LIST"));
    }
    Finding::ok(observed)
}

/// The time over which evictions are counted.
const SAMPLED: Duration = Duration::from_secs(2);

/// How fast keys are evicted.
pub(super) fn evictions(facts: &Facts) -> Running<'_> {
    Box::pin(async move {
        let mut findings = Vec::new();
        let mut before = Vec::new();
        for server in facts.servers.iter().filter(|server| server.info.is_ok()) {
            match known_evictions(server) {
                Some(finding) => findings.push((server.address(), finding)),
                None => before.push((server, counts(server).await)),
            }
        }
        // The same time for all servers, however many there are.
        if !before.is_empty() {
            tokio::time::sleep(SAMPLED).await;
        }
        for (server, before) in before {
            let after = counts(server).await;
            findings.push((server.address(), evicted(server, before, after)));
        }
        together(&findings)
    })
}

/// The finding of a server that says enough without being observed for a while.
fn known_evictions(server: &Server) -> Option<Finding> {
    let info = server.info();
    if info.number("current_eviction_exceeded_time").is_some_and(|time| time > 0) {
        let observed = "the memory is over its limit, and evictions do not catch up";
        return Some(Finding::error(observed).fix(server.shell("CONFIG SET maxmemory 512mb")));
    }
    let total = info.number("evicted_keys").unwrap_or(0);
    (total == 0).then(|| Finding::ok("no key was evicted since the server began"))
}

/// Keys that were evicted and that have expired since the server began.
async fn counts(server: &Server) -> (u64, u64) {
    let info = server.operator().send(&["INFO", "stats"]).await.ok();
    let info = info.and_then(|info| reply::text(&info)).unwrap_or_default();
    let info = Info(reply::lines(&info));
    (info.number("evicted_keys").unwrap_or(0), info.number("expired_keys").unwrap_or(0))
}

fn evicted(server: &Server, before: (u64, u64), after: (u64, u64)) -> Finding {
    let info = server.info();
    let (evicted, expired) = (after.0.saturating_sub(before.0), after.1.saturating_sub(before.1));
    let days = info.fraction("uptime_in_seconds").unwrap_or(0.0) / 86_400.0;
    let total = info.number("evicted_keys").unwrap_or(0);
    let a_day = total as f64 / days.max(1.0 / 24.0);
    let observed = format!(
        "{evicted} evicted and {expired} expired in {} s; \
                {a_day:.0} evicted a day since the server began",
        SAMPLED.as_secs()
    );
    if evicted * 100 > expired && evicted > 0 {
        return Finding::warn(observed).fix(server.shell("CONFIG SET maxmemory 512mb"));
    }
    Finding::ok(observed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_without_an_expiry_are_counted_over_databases() {
        let info = |db0: &str| {
            Info(reply::lines(&format!(
                "db0:{db0}\r\ndb3:keys=2,expires=2,avg_ttl=0\r\ndbfilename:x"
            )))
        };
        assert!(!has_lasting_keys(&info("keys=5,expires=5,avg_ttl=7")));
        assert!(has_lasting_keys(&info("keys=6,expires=5,avg_ttl=7")));
        let databases: Vec<_> =
            keyspace(&info("keys=6,expires=5")).map(|(name, ..)| name.to_owned()).collect();
        assert_eq!(databases, ["db0", "db3"]);
    }

    #[test]
    fn a_full_server_is_told_before_one_that_is_fragmented() {
        let info = "used_memory:200000000\r\nmaxmemory:200000000\r\n\
                    maxmemory_policy:noeviction\r\nmem_fragmentation_ratio:2.5";
        let finding = used(&Info(reply::lines(info)), str::to_owned);
        assert!(finding.observed.contains("full, and nothing is evicted"), "{finding:?}");
    }
}
