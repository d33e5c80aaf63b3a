//! Checks of what the application has stored, and of how it fares.

use cache_runtime::__admin::escape_glob;
use cache_runtime::Reason;
use serde_json::Value;

use super::super::entries::{Tokens, is_entry, refused, rows, some_names};
use super::super::failure::Failure;
use super::super::http::Api;
use super::super::redis::Connection;
use super::super::target::Target;
use super::super::terminal::bytes;
use super::check::{Finding, Running};
use super::facts::{Facts, Server};

/// Entries that are looked at.
const SAMPLE: usize = 1000;

/// Entries of which one pipeline reads the headers.
const AT_A_TIME: usize = 100;

/// Pages of a scan at most: the namespace may be a small part of a large server.
const PAGES: usize = 20;

/// The reasons of bypasses that lie in Redis, or in the way to it.
const FAULTS: [Reason; 6] = [
    Reason::Unavailable,
    Reason::Timeout,
    Reason::Busy,
    Reason::WrongType,
    Reason::WritesRefused,
    Reason::Failed,
];

/// The entries of the namespace: expiry, live or dead, size.
pub(super) fn ours(facts: &Facts) -> Running<'_> {
    Box::pin(async move {
        // An operator may ask for sizes too, or may have no right to read keys.
        let sampled = match sample(facts, Server::operator).await {
            Err(_) => sample(facts, |server| &server.application).await,
            sampled => sampled,
        };
        match sampled {
            Ok(finding) => finding,
            Err(error) => Finding::skipped(format!("not permitted here: {}", error.text())),
        }
    })
}

async fn sample(facts: &Facts, login: fn(&Server) -> &Connection) -> Result<Finding, Failure> {
    let namespace = &facts.target.shape.namespace;
    let connections: Vec<&Connection> = facts.servers.iter().map(login).collect();
    let mut found = Vec::new();
    for server in &connections {
        let pattern = format!("{}:*", escape_glob(namespace));
        let names = some_names(server, &pattern, PAGES).await;
        let mut names = names.map_err(|error| refused("SCAN", &error))?;
        names.truncate(SAMPLE.saturating_sub(found.len()));
        for names in names.chunks(AT_A_TIME) {
            let names = names.iter().map(|name| name.clone().into_bytes()).collect();
            found.extend(rows(server, names).await?);
        }
    }
    let lasting: Vec<_> = found.iter().filter(|row| row.ttl_left.is_none()).collect();
    if let Some(first) = lasting.first() {
        // Without the rest of the key, which may be made of the arguments of a call.
        let prefix = first.key.splitn(3, ':').take(2).collect::<Vec<_>>().join(":");
        let observed = format!("{} keys have no expiry, one of them in `{prefix}`", lasting.len());
        return Ok(Finding::error(observed).fix(
            "find who has written them, or removed their expiry \
                    (PERSIST): each key of the cache has one",
        ));
    }
    let entries: Vec<_> = found.iter().filter(|row| is_entry(namespace, &row.key)).collect();
    if entries.is_empty() {
        return Ok(Finding::info(format!(
            "no entry of the namespace {namespace} was found: is it the application's?"
        ))
        .fix("CACHE_NAMESPACE=... as the application has it"));
    }
    let mut tokens = Tokens::default();
    tokens.read(&connections, namespace, entries.iter().map(|row| row.key.as_str())).await;
    let dead = entries.iter().filter(|row| {
        row.head
            .as_ref()
            .is_some_and(|head| tokens.is_live(namespace, &row.key, head) == Some(false))
    });
    let dead = dead.count() * 100 / entries.len();
    let mut sizes: Vec<u64> = entries.iter().filter_map(|row| row.size).collect();
    sizes.sort_unstable();
    let observed = format!(
        "{} entries, {dead} % invalidated, {}",
        entries.len(),
        told_sizes(&sizes, entries.len() - sizes.len())
    );
    if let Some(largest) = sizes.last().filter(|size| **size > 100_000) {
        let observed = format!("{observed}, largest {}", bytes(*largest));
        return Ok(Finding::warn(observed)
            .fix("cache smaller values, or fewer of them: `cachectl ls PREFIX` has their sizes"));
    }
    Ok(if dead > 50 { Finding::info(observed) } else { Finding::ok(observed) })
}

/// The sizes of entries, in order, and how many of them the login may not ask for.
fn told_sizes(sizes: &[u64], unknown: usize) -> String {
    let at = |share: usize| sizes.get(sizes.len().saturating_sub(1) * share / 100).copied();
    let known = match (at(50), at(99)) {
        (Some(half), Some(most)) => format!("size p50 {}, p99 {}", bytes(half), bytes(most)),
        _ => "no size known".to_owned(),
    };
    if unknown == 0 {
        return known;
    }
    format!("{known}; {unknown} sizes over 4 KiB are not known without the right +strlen")
}

/// The figures of the application, from its admin API.
pub(super) fn app(facts: &Facts) -> Running<'_> {
    Box::pin(async move {
        let Some(url) = &facts.admin else { return Finding::skipped("no admin API is named") };
        let asked = match Api::at(url) {
            Ok(api) => api.get("stats?scope=fleet").await,
            Err(error) => Err(error),
        };
        match asked {
            Ok(stats) => figures(&facts.target, &stats),
            Err(error) => Finding::error(error.text()).fix("check --admin and CACHE_ADMIN_TOKEN"),
        }
    })
}

fn figures(target: &Target, stats: &Value) -> Finding {
    let total = &stats["total"];
    let number = |name: &str| total[name].as_u64().unwrap_or(0);
    let processes = stats["processes"].as_array().map_or(0, Vec::len);
    let rate = total["hit_rate"].as_f64();
    let rate =
        rate.map_or("no lookup yet".to_owned(), |rate| format!("hit rate {:.1} %", rate * 100.0));
    let calls = number("calls");
    let observed = format!("{processes} processes, {calls} calls, {rate}");
    let namespace = stats["namespace"].as_str().unwrap_or_default();
    if namespace != target.shape.namespace {
        return Finding::warn(format!(
            "the application's namespace is {namespace}, and {} here",
            target.shape.namespace
        ))
        .fix(format!("CACHE_NAMESPACE={namespace}"))
        .hides(namespace, "namespace-of-the-application");
    }
    let found = stats["health"]["status"].as_str().unwrap_or_default();
    if !matches!(found, "up" | "untried") {
        let why = stats["health"]["last_error"].as_str().unwrap_or_default();
        return Finding::error(format!("the application finds its Redis {found}: {why}"))
            .fix("compare the variables of the application with those here")
            // It may name a host that is not known here.
            .hides(why, "its last error");
    }
    let undelivered = stats["gauges"]["undelivered"].as_u64().unwrap_or(0);
    if undelivered > 0 {
        return Finding::error(format!(
            "{observed}; {undelivered} \
                invalidations are not delivered yet"
        ))
        .fix(
            "mend the way from the application to Redis: the \
                    invalidations are sent again until they arrive",
        );
    }
    let by = |reason: &Reason| total["bypassed"][reason.as_str()].as_u64();
    let faults: u64 = FAULTS.iter().filter_map(by).sum();
    if faults * 100 > calls {
        let by = total["bypassed"].to_string();
        return Finding::warn(format!(
            "{observed}; {faults} calls ran without the cache because of faults: {by}"
        ))
        .fix("cachectl stats --admin URL");
    }
    Finding::ok(observed)
}

#[cfg(test)]
mod tests {
    use cache_runtime::__admin::shape;
    use cache_runtime::Config;
    use serde_json::json;

    use super::super::check::Verdict;
    use super::*;

    fn judged(namespace: &str, bypassed: &Value) -> Finding {
        let config = Config::in_memory();
        let target = Target {
            shape: shape(&config),
            config,
            switched_off: false,
            operator: None,
            operator_name: None,
        };
        let stats = json!({
            "namespace": namespace,
            "health": { "status": "up" },
            "total": { "calls": 100, "bypassed": bypassed },
        });
        figures(&target, &stats)
    }

    #[test]
    fn bypasses_count_as_faults_where_redis_is_the_reason() {
        for reason in FAULTS {
            let finding = judged("cache", &json!({ reason.as_str(): 2 }));
            assert_eq!(finding.verdict, Verdict::Warn, "{reason}: {finding:?}");
        }
        assert_eq!(judged("cache", &json!({ "unavailable": 1 })).verdict, Verdict::Ok);
        assert_eq!(judged("cache", &json!({ "when": 50, "recursion": 50 })).verdict, Verdict::Ok);
    }

    #[test]
    fn a_namespace_that_the_application_tells_can_be_hidden() {
        let finding = judged("shop-of-x", &json!({}));
        assert_eq!(finding.verdict, Verdict::Warn);
        assert_eq!(finding.names, [("shop-of-x".to_owned(), "namespace-of-the-application")]);
    }
}
