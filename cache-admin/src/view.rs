//! The JSON of `stats`, `functions` and `health`.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use cache_runtime::__admin::{info, settings};
use cache_runtime::{Function, History, PrefixHistory, Status, functions};
use serde_json::{Map, Value, json};

use crate::access::Role;
use crate::audit::now_ms;
use crate::counters::{Figures, Group, STEP_SECONDS, Sum as _, minute_seconds};
use crate::fleet::{PATIENCE, Report};
use crate::shared::Shared;
use crate::warmers::Warmer;

/// Prefixes whose history is sent: those with most calls in the last hour.
const HISTORIES: usize = 24;

/// How long what Redis says of itself is used again.
const INFO_FRESH: Duration = Duration::from_secs(2);

/// Whose figures are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    Process,
    Fleet,
}

/// The answer to `GET stats`.
pub(crate) async fn stats(shared: &Shared, role: Role, scope: Scope) -> Value {
    let (others, redis) = tokio::join!(others(shared, scope), redis(shared));
    let (cache, member) = (&shared.cache, &shared.member);
    let mut figures = Figures::of(cache);
    let own = process_row(shared, &figures.total());
    let (others, fleet_error) = match others {
        Ok(others) => (others, None),
        Err(why) => (None, Some(why)),
    };
    let mut processes = vec![own];
    for (report, age) in others.iter().flatten() {
        processes.push(other_row(report, *age));
        figures.add(&report.figures);
    }
    let history = cache.history();
    let covered = covered(minute_seconds(&history), others.as_deref().unwrap_or_default());
    let total = figures.total();
    let stats = cache.stats();
    let loads = stats.total().loads;
    json!({
        "schema": 1,
        "scope": if others.is_some() { "fleet" } else { "process" },
        "fleet_error": fleet_error,
        "at_ms": now_ms(),
        "environment": shared.environment,
        "role": role,
        "namespace": settings(cache).namespace,
        "version": env!("CARGO_PKG_VERSION"),
        "budget_seconds": settings(cache).budget.as_secs_f64(),
        "process": {
            "id": member.id,
            "host": member.host,
            "pid": std::process::id(),
            "uptime_seconds": member.uptime().as_secs_f64(),
        },
        "processes": processes,
        "health": health_json(shared),
        "switches": switches(shared),
        "total": with_rates(counters(&total), &total, covered),
        "unnamed": (figures.unnamed != Group::default()).then(|| counters(&figures.unnamed)),
        "prefixes": prefixes(&figures.prefixes, covered),
        "gauges": figures.gauges,
        "local_removals": figures.removals,
        "bytes": { "read": figures.bytes_read, "written": figures.bytes_written },
        "histograms": {
            "load": histogram(&loads),
            "read": histogram(&stats.store.reads),
            "write": histogram(&stats.store.writes),
            "invalidate": histogram(&stats.store.invalidations),
            "wait": histogram(&stats.store.waits),
        },
        "history_scope": "process",
        "history": history_json(&history),
        "redis": redis,
        "warmers": shared.warmers.iter().map(Warmer::view).collect::<Vec<_>>(),
        "audit": shared.audit.all(),
    })
}

/// The figures of all processes, for a program that is none of them.
#[cfg(feature = "cachectl")]
pub(crate) fn fleet_stats(reports: &[(Report, Duration)]) -> Value {
    let mut figures = Figures::default();
    let mut processes = Vec::new();
    for (report, age) in reports {
        processes.push(other_row(report, *age));
        figures.add(&report.figures);
    }
    let covered = covered(0, reports);
    let total = figures.total();
    json!({
        "processes": processes,
        "total": with_rates(counters(&total), &total, covered),
        "unnamed": (figures.unnamed != Group::default()).then(|| counters(&figures.unnamed)),
        "prefixes": prefixes(&figures.prefixes, covered),
        "gauges": figures.gauges,
    })
}

/// How many seconds the figures of the last minute cover, where this process has covered `own` of them: those of the
/// process that has most. The figures are of complete steps, of which a young process has fewer.
fn covered(own: u64, reports: &[(Report, Duration)]) -> u64 {
    let oldest = reports.iter().map(|(report, _)| report.uptime_seconds as u64).max().unwrap_or(0);
    own.max(oldest.min(60) / STEP_SECONDS * STEP_SECONDS)
}

/// The other processes; `None` where only this one is asked for.
async fn others(shared: &Shared, scope: Scope) -> Result<Option<Vec<(Report, Duration)>>, String> {
    shared.member.start();
    let others = shared.member.others().await?;
    if shared.member.is_crowded_out() {
        return Err(
            "64 other processes take part in the fleet, and there is no room for more".into()
        );
    }
    Ok((scope == Scope::Fleet).then_some(others))
}

/// What the figures of the fleet say of all processes together: one group, for what a switch would cost.
pub(crate) async fn group(shared: &Shared, prefix: Option<&str>, scope: Scope) -> (Group, u64) {
    let mut figures = Figures::of(&shared.cache);
    let others = others(shared, scope).await.ok().flatten().unwrap_or_default();
    for (report, _) in &others {
        figures.add(&report.figures);
    }
    let group = match prefix {
        Some(prefix) => figures.prefixes.remove(prefix).unwrap_or_default(),
        None => figures.total(),
    };
    (group, covered(minute_seconds(&shared.cache.history()), &others))
}

fn process_row(shared: &Shared, total: &Group) -> Value {
    let member = &shared.member;
    let stats = shared.cache.stats();
    json!({
        "id": member.id,
        "host": member.host,
        "pid": std::process::id(),
        "uptime_seconds": member.uptime().as_secs_f64(),
        "seen_seconds_ago": 0.0,
        "status": shared.cache.health().status,
        "calls": total.counters.calls,
        "hit_rate": total.counters.hit_rate(),
        "flights": stats.flights,
        "undelivered": stats.undelivered,
    })
}

fn other_row(report: &Report, age: Duration) -> Value {
    let total = report.figures.total().counters;
    json!({
        "id": report.id,
        "host": report.host,
        "pid": report.pid,
        "uptime_seconds": report.uptime_seconds,
        "seen_seconds_ago": age.as_secs_f64(),
        "status": report.status,
        "calls": total.calls,
        "hit_rate": total.hit_rate(),
        "flights": report.figures.gauges.flights,
        "undelivered": report.figures.gauges.undelivered,
    })
}

fn counters(group: &Group) -> Value {
    let mut json = serde_json::to_value(&group.counters).unwrap_or_default();
    if let Value::Object(fields) = &mut json {
        fields.insert("hit_rate".into(), json!(group.counters.hit_rate()));
    }
    json
}

/// Adds what the history says of the last seconds.
fn with_rates(mut json: Value, group: &Group, covered: u64) -> Value {
    if let Value::Object(fields) = &mut json {
        fields.insert("hit_rate_10".into(), json!(group.last_10.hit_rate()));
        fields.insert("hit_rate_100".into(), json!(group.last_100.hit_rate()));
        fields.insert("hit_rate_1000".into(), json!(group.last_1000.hit_rate()));
        let mut minute = serde_json::to_value(&group.minute).unwrap_or_default();
        if let Value::Object(minute) = &mut minute {
            minute.insert("seconds".into(), json!(covered));
        }
        fields.insert("last_minute".into(), minute);
    }
    json
}

fn prefixes(groups: &BTreeMap<String, Group>, covered: u64) -> Vec<Value> {
    let disabled = disabled();
    let row = |(prefix, group): (&String, &Group)| {
        let row = json!({
            "prefix": prefix,
            "counters": counters(group),
            "off": disabled.get(prefix),
        });
        with_rates(row, group, covered)
    };
    groups.iter().map(row).collect()
}

/// Why functions of a prefix are not cached any more.
fn disabled() -> BTreeMap<String, String> {
    let mut by_prefix: BTreeMap<String, String> = BTreeMap::new();
    for Function { prefix, function, disabled, .. } in functions() {
        let Some(why) = disabled else { continue };
        let text = by_prefix.entry(prefix).or_default();
        let separator = if text.is_empty() { "" } else { "; " };
        text.extend([separator, &function, ": ", &why]);
    }
    by_prefix
}

fn histogram(histogram: &cache_runtime::Histogram) -> Value {
    let mut json = serde_json::to_value(histogram).unwrap_or_default();
    if let Value::Object(fields) = &mut json {
        fields.insert("count".into(), json!(histogram.count()));
    }
    json
}

/// The lists of a history, by their names.
fn lists(history: &PrefixHistory) -> [(&'static str, &[u32]); 7] {
    [
        ("calls", &history.calls),
        ("served", &history.served),
        ("misses", &history.misses),
        ("computed", &history.computed),
        ("bypassed", &history.bypassed),
        ("saved_millis", &history.saved_millis),
        ("load_millis", &history.load_millis),
    ]
}

/// All lists have one length: that of the prefix that was used first. Before its first use a prefix has zeros.
fn history_json(history: &History) -> Value {
    let length = history.prefixes.values().map(|one| one.calls.len()).max().unwrap_or(0);
    let mut total: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for (name, list) in history.prefixes.values().flat_map(lists) {
        let sums = total.entry(name).or_insert_with(|| vec![0; length]);
        let start = length - list.len().min(length);
        sums.iter_mut().skip(start).zip(list).for_each(|(sum, step)| *sum += u64::from(*step));
    }
    for (name, _) in lists(&PrefixHistory::default()) {
        total.entry(name).or_default();
    }
    let calls = |one: &PrefixHistory| one.calls.iter().map(|step| u64::from(*step)).sum::<u64>();
    let mut busiest: Vec<_> = history.prefixes.iter().collect();
    busiest.sort_by_key(|(_, one)| std::cmp::Reverse(calls(one)));
    let prefixes = busiest.into_iter().take(HISTORIES).map(|(prefix, one)| {
        let padded = lists(one).map(|(name, list)| {
            let zeros = std::iter::repeat_n(0, length - list.len().min(length));
            (name.to_owned(), zeros.chain(list.iter().copied()).collect::<Value>())
        });
        (prefix.clone(), Value::Object(padded.into_iter().collect()))
    });
    let age = u64::try_from(history.age.as_millis()).unwrap_or(0);
    json!({
        "step_seconds": STEP_SECONDS,
        "end_ms": now_ms().saturating_sub(age),
        "total": total,
        "prefixes": prefixes.collect::<Map<_, _>>(),
    })
}

fn switches(shared: &Shared) -> Vec<Value> {
    let switch = |switch: cache_runtime::Switch| {
        let note = shared.member.note(switch.prefix.as_deref());
        let fleet = note.as_ref().is_some_and(|note| note.fleet.is_some());
        json!({
            "prefix": switch.prefix,
            "reason": switch.reason,
            "who": note.map_or_else(|| "the program".to_owned(), |note| note.who),
            "seconds_left": switch.left.as_secs_f64(),
            "reach": if fleet { "fleet" } else { "process" },
        })
    };
    shared.cache.switches().into_iter().map(switch).collect()
}

fn health_json(shared: &Shared) -> Value {
    let health = shared.cache.health();
    json!({
        "status": health.status,
        "enabled": shared.cache.is_enabled(),
        "lanes": health.lanes,
        "servers": health.servers,
        "last_error": health.last_error,
        "since_seconds": health.since.as_secs_f64(),
    })
}

/// The answer to `GET health`.
pub(crate) fn health(shared: &Shared) -> Value {
    let health = shared.cache.health();
    let mut reasons = Vec::new();
    if !matches!(health.status, Status::Up | Status::Memory | Status::Untried) {
        let why = health.last_error.map(|error| format!(": {error}")).unwrap_or_default();
        let what = if health.status == Status::Off { "the cache" } else { "redis" };
        reasons.push(format!("{what} is {}{why}", health.status));
    }
    for switch in shared.cache.switches() {
        if let Some(prefix) = switch.prefix {
            reasons.push(format!("prefix {prefix} is switched off: {}", switch.reason));
        }
    }
    json!({
        "status": if reasons.is_empty() { "ok" } else { "degraded" },
        "reasons": reasons,
        "cache": health_json(shared),
    })
}

/// The answer to `GET functions`.
pub(crate) fn functions_json() -> Vec<Value> {
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let row = |function: Function| {
        json!({
            "function": function.function,
            "prefix": function.prefix,
            "last_ttl_ms": function.last_ttl.map(millis),
            "options": {
                "stale_while_revalidate_ms": millis(function.stale_while_revalidate),
                "stale_if_error_ms": millis(function.stale_if_error),
                "refresh_ahead": function.refresh_ahead,
                "lease_ms": millis(function.lease),
                "wait_ms": function.wait.map(millis),
                "local": function.local,
                "version": function.version,
                "jitter": function.jitter,
            },
            "off": function.disabled,
        })
    };
    functions().into_iter().map(row).collect()
}

/// What Redis says of itself, summed over the servers of a cluster; `Null` where it may not be asked or does
/// not answer.
async fn redis(shared: &Shared) -> Value {
    let known = shared.redis().clone();
    if let Some((_, known)) = known.filter(|(at, _)| at.elapsed() < INFO_FRESH) {
        return known;
    }
    let texts = tokio::time::timeout(PATIENCE, info(&shared.cache)).await.unwrap_or_default();
    let now = if texts.is_empty() { Value::Null } else { redis_json(&texts) };
    *shared.redis() = Some((Instant::now(), now.clone()));
    now
}

fn redis_json(texts: &[String]) -> Value {
    let fields = |name: &'static str| {
        texts.iter().filter_map(move |text| {
            text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
        })
    };
    let sum = |name| fields(name).filter_map(|value| value.trim().parse::<u64>().ok()).sum::<u64>();
    json!({
        "used_memory": sum("used_memory"),
        "maxmemory": sum("maxmemory"),
        "evicted_keys": sum("evicted_keys"),
        "expired_keys": sum("expired_keys"),
        "connected_clients": sum("connected_clients"),
        "version": fields("redis_version").next().map(str::trim),
        "policy": fields("maxmemory_policy").next().map(str::trim),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_young_process_that_is_asked_does_not_shorten_the_minute_of_the_others() {
        let report = |uptime: f64| {
            let report = json!({
                "schema": 1, "id": "a", "host": "h", "pid": 1, "status": "up", "beat": 1,
                "uptime_seconds": uptime,
            });
            (serde_json::from_value(report).expect("a report"), Duration::ZERO)
        };
        assert_eq!(covered(10, &[report(25.0), report(300.0)]), 60);
        assert_eq!(covered(10, &[report(35.0)]), 30);
        assert_eq!((covered(40, &[]), covered(0, &[])), (40, 0));
    }
}
