//! Checks of what a server is and does: its role, scripts, clients, slow commands, errors, replicas.

use std::collections::BTreeMap;

use cache_runtime::__admin::{ProbeError, Reply, script as runtime_script};

use super::super::redis::Connection;
use super::super::reply;
use super::check::{Finding, Running, together};
use super::facts::{Facts, Server, is_refusal};

/// Whether the server is a master.
pub(super) fn role(server: &Server) -> Finding {
    let said = match &server.role {
        Ok(role) => role.clone(),
        // `ROLE` may be forbidden; `HELLO` needs no right.
        Err(_) => server.hello.get("role").cloned().unwrap_or_default(),
    };
    match said.as_str() {
        "master" => Finding::ok("a master"),
        "" => Finding::skipped("the server does not say its role"),
        "slave" | "replica" => {
            let info = server.info();
            let master = format!("{}:{}", info.text("master_host"), info.text("master_port"));
            let of = if master == ":" { String::new() } else { format!(" of {master}") };
            Finding::stop(format!("a replica{of}, which takes no writes")).fix(format!(
                "REDIS_URL=redis://{}",
                if of.is_empty() { "the address of the master" } else { &master }
            ))
        }
        other => Finding::stop(format!("a {other}, which has no data"))
            .fix("REDIS_URL=redis+sentinel://..."),
    }
}

/// Whether the server is still loading its data.
pub(super) fn loading(facts: &Facts) -> Running<'_> {
    Box::pin(async move {
        let is_loading = |error: &ProbeError| error.code.as_deref() == Some("LOADING");
        let judge = |server: &Server| {
            let refused = server.ping.as_ref().err().filter(|error| !is_loading(error));
            if let Some(error) = refused {
                return Finding::skipped(format!("there is no answer to PING: {}", error.text));
            }
            if !server.is_loading() {
                return Finding::ok("the data is loaded");
            }
            let left = server.info().number("loading_eta_seconds");
            let left = left.map(|seconds| format!(", {seconds} s more")).unwrap_or_default();
            Finding::stop(format!("the server is loading its data{left}"))
                .fix("cachectl doctor --wait 60s")
        };
        if facts.unreached.iter().any(|(_, error)| is_loading(error)) {
            return Finding::stop("the server is loading its data")
                .fix("cachectl doctor --wait 60s");
        }
        let judged = facts.servers.iter().map(|server| (server.address(), judge(server)));
        together(&judged.collect::<Vec<_>>())
    })
}

/// Whether the server runs the script behind every write.
pub(super) fn script(facts: &Facts) -> Running<'_> {
    Box::pin(async move {
        let mut findings = Vec::new();
        for server in &facts.servers {
            findings
                .push((server.address(), try_script(server, &facts.target.shape.namespace).await));
        }
        together(&findings)
    })
}

async fn try_script(server: &Server, namespace: &str) -> Finding {
    let script = runtime_script();
    let run = async |verb: &str, what: &str| {
        on_own_slot(&server.application, namespace, |key| {
            let mut words = vec![verb.to_owned(), what.to_owned(), "1".to_owned(), key.to_owned()];
            words.extend(script.harmless.map(str::to_owned));
            words
        })
        .await
    };
    for (verb, what) in [("EVAL", script.source), ("EVALSHA", script.hash.as_str())] {
        let Err(error) = run(verb, what).await else { continue };
        let code = error.code.as_deref().unwrap_or_default();
        if matches!(code, "OOM" | "MISCONF" | "NOREPLICAS" | "READONLY") {
            return Finding::warn(format!(
                "the server runs scripts, and refuses all writes now: {}",
                error.text
            ));
        }
        if code == "MOVED" {
            // A namespace in braces has all its keys in one slot.
            return Finding::ok("the node has no key of the namespace");
        }
        let finding = Finding::stop(format!("{verb}: {}", error.text));
        return match code {
            "NOPERM" if !error.text.contains("access") => {
                finding.fix("ACL SETUSER <user> +eval +evalsha")
            }
            "NOPERM" => finding.fix(format!("ACL SETUSER <user> ~{namespace}:*")),
            _ => finding.fix(
                "use a Redis that allows EVAL and EVALSHA: without scripts nothing can be stored",
            ),
        };
    }
    Finding::ok("EVAL and EVALSHA run")
}

/// Sends a command about a key of the namespace; to a node of a cluster, about one that this node has.
async fn on_own_slot(
    connection: &Connection,
    namespace: &str,
    words: impl Fn(&str) -> Vec<String>,
) -> Result<Reply, ProbeError> {
    let mut tries = 0;
    loop {
        let words = words(&format!("{namespace}:cachectl-doctor:{tries}"));
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match connection.send(&words).await {
            Err(error) if error.code.as_deref() == Some("MOVED") && tries < 500 => tries += 1,
            other => return other,
        }
    }
}

/// Connections of clients.
pub(super) fn clients(server: &Server) -> Finding {
    let info = server.info();
    let connected = info.number("connected_clients").unwrap_or(0);
    let observed = |what: String| format!("{connected} connections, {what}");
    if let Some(most) = info.number("maxclients").filter(|most| connected * 10 > most * 8) {
        return Finding::warn(observed(format!("of {most} at most")))
            .fix(server.shell(&format!("CONFIG SET maxclients {}", most * 2)));
    }
    for (name, what) in
        [("rejected_connections", "rejected"), ("evicted_clients", "evicted for their memory")]
    {
        if let Some(count) = info.number(name).filter(|count| *count > 0) {
            return Finding::warn(observed(format!("{count} were {what} since the server began")))
                .fix(server.shell("CLIENT LIST"));
        }
    }
    let blocked = info.number("blocked_clients").unwrap_or(0);
    Finding::ok(observed(format!("{blocked} blocked, none rejected")))
}

/// The table of keys that clients track.
pub(super) fn tracking_table(server: &Server) -> Finding {
    let info = server.info();
    let Some(keys) = info.number("tracking_total_keys") else {
        return Finding::skipped("the server does not say it");
    };
    let observed = format!("{keys} keys are tracked by {} clients", info.text("tracking_clients"));
    if keys > 800_000 {
        return Finding::warn(observed)
            .fix(server.shell("CONFIG SET tracking-table-max-keys 4000000"));
    }
    Finding::ok(observed)
}

/// Errors that the server has answered with since it began.
pub(super) fn errors(server: &Server) -> Finding {
    let info = server.info();
    let count = |code: &str| {
        let text = info.text(&format!("errorstat_{code}"));
        text.strip_prefix("count=").and_then(|count| count.parse::<u64>().ok()).unwrap_or(0)
    };
    let told = |codes: &[&str]| {
        let some = codes.iter().filter(|code| count(code) > 0);
        some.map(|code| format!("{} {code}", count(code))).collect::<Vec<_>>().join(", ")
    };
    let bad = told(&["OOM", "MISCONF", "READONLY", "CLUSTERDOWN", "MASTERDOWN"]);
    if !bad.is_empty() {
        return Finding::warn(format!("{bad} since the server began"))
            .fix(server.shell("INFO errorstats"));
    }
    // A login that may not run `INFO`, and a server that was started anew, answer with these.
    let harmless = told(&["NOPERM", "WRONGPASS", "NOAUTH", "NOSCRIPT"]);
    if harmless.is_empty() {
        Finding::ok("none that concerns the cache")
    } else {
        Finding::info(format!("{harmless} since the server began"))
    }
}

/// Replicas.
pub(super) fn replication(server: &Server) -> Finding {
    let info = server.info();
    if info.text("role") == "slave" {
        let link = info.text("master_link_status");
        return Finding::error(format!(
            "the server is a replica, its link to the master is {link}"
        ))
        .fix("REDIS_URL=redis://the address of the master");
    }
    let replicas = info.number("connected_slaves").unwrap_or(0);
    if replicas == 0 {
        return Finding::ok("a master without replicas");
    }
    let lags = (0..replicas).filter_map(|at| {
        let replica = info.text(&format!("slave{at}"));
        replica.split(',').find_map(|field| field.strip_prefix("lag="))?.parse::<u64>().ok()
    });
    let lag = lags.max().unwrap_or(0);
    let observed = format!("{replicas} replicas, at most {lag} s behind");
    if lag > 10 {
        Finding::warn(observed).fix(server.shell("INFO replication"))
    } else {
        Finding::ok(observed)
    }
}

/// Slow commands of the last hour.
pub(super) fn slowlog(facts: &Facts) -> Running<'_> {
    Box::pin(async move {
        let mut findings = Vec::new();
        for server in &facts.servers {
            findings.push((server.address(), slow_commands(server).await));
        }
        together(&findings)
    })
}

async fn slow_commands(server: &Server) -> Finding {
    let asked = [
        server.operator().send(&["SLOWLOG", "GET", "16"]).await,
        server.operator().send(&["TIME"]).await,
    ];
    let [log, time] = match asked {
        [Ok(log), Ok(time)] => [log, time],
        [Err(error), _] | [_, Err(error)] if is_refusal(&error) => {
            return Finding::skipped(format!("not permitted here: SLOWLOG ({})", error.text));
        }
        [Err(error), _] | [_, Err(error)] => return Finding::skipped(error.text),
    };
    let now = reply::list(&time).first().and_then(reply::integer).unwrap_or(0);
    let mut commands: BTreeMap<String, (u64, i64)> = BTreeMap::new();
    for entry in reply::list(&log) {
        let [_, at, micros, words, ..] = reply::list(entry) else { continue };
        let (Some(at), Some(micros)) = (reply::integer(at), reply::integer(micros)) else {
            continue;
        };
        // Without their arguments, which are keys and values.
        let name = reply::list(words).first().and_then(reply::text).unwrap_or_default();
        if now - at < 3600 && micros > 10_000 {
            let (count, most) = commands.entry(name.to_uppercase()).or_default();
            (*count, *most) = (*count + 1, micros.max(*most));
        }
    }
    if commands.is_empty() {
        return Finding::ok("no command took more than 10 ms in the last hour");
    }
    let told = commands
        .iter()
        .map(|(name, (count, most))| format!("{count} {name}, up to {} ms", most / 1000));
    let fix = if commands.contains_key("KEYS") {
        "find the client that sends KEYS (CLIENT LIST), and let it use SCAN".to_owned()
    } else {
        server.shell("SLOWLOG GET 16")
    };
    Finding::warn(format!("in the last hour: {}", told.collect::<Vec<_>>().join("; "))).fix(fix)
}

/// The clocks, and settings of the host that only it can say.
pub(super) fn clock(facts: &Facts) -> Running<'_> {
    Box::pin(async move {
        let Some(server) = facts.servers.first() else {
            return Finding::skipped("there is no connection");
        };
        let time = match server.operator().send(&["TIME"]).await {
            Ok(time) => time,
            Err(error) => {
                return Finding::skipped(format!("not permitted here: TIME ({})", error.text));
            }
        };
        let words: Vec<i64> = reply::list(&time).iter().filter_map(reply::integer).collect();
        let [seconds, micros] = words[..] else { return Finding::skipped("TIME has no answer") };
        let theirs = seconds as f64 + micros as f64 / 1e6;
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let apart = now.unwrap_or_default().as_secs_f64() - theirs;
        let pages = if is_local(server.address()) { huge_pages() } else { None };
        let pages = pages.map(|set| format!("; transparent huge pages: {set}")).unwrap_or_default();
        let apart = if apart.abs() < 1.0 {
            "less than 1 s".to_owned()
        } else {
            format!("{:.0} s", apart.abs())
        };
        Finding::info(format!("the clocks of server and client are {apart} apart{pages}"))
    })
}

fn is_local(address: &str) -> bool {
    address.starts_with(['/', '.', '['])
        || address.starts_with("127.")
        || address.starts_with("localhost:")
}

/// The setting of this host that makes a fork of the server expensive.
fn huge_pages() -> Option<String> {
    let text = std::fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled").ok()?;
    let (_, rest) = text.split_once('[')?;
    rest.split_once(']').map(|(set, _)| set.to_owned())
}
