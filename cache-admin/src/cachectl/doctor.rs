//! `cachectl doctor`: the way from here to a cached value, checked step by step.

mod app;
mod check;
mod cluster;
mod configuration;
mod connection;
mod facts;
mod list;
mod memory;
mod persistence;
mod report;
mod round_trip;
mod security;
mod server;
mod share;

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::args::{Common, Doctor};
use super::failure::{Exit, Failure};
use super::target::Target;
use super::terminal;
use check::{Check, Finding, Needs, Run, Verdict};
use facts::Facts;
use list::CHECKS;
use report::{Report, Row};

pub(super) async fn run(common: &Common, options: &Doctor, json: bool) -> Result<Exit, Failure> {
    let checks = chosen(options)?;
    if options.list {
        report::list(&checks, json);
        return Ok(Exit::Fine);
    }
    let target = Target::new(common)?;
    let bar = terminal::progress("{spinner} {msg}");
    bar.set_message("connecting");
    let facts = Arc::new(gather(target, common.admin.as_deref(), options.wait).await);
    let mut rows = Vec::new();
    for check in checks {
        bar.set_message(check.title);
        let began = Instant::now();
        let finding = judge(check, &facts, options.timeout).await;
        rows.push(Row { check, finding, took: began.elapsed() });
    }
    bar.finish_and_clear();
    let report = Report::new(&facts, rows, options);
    report.print(json);
    Ok(report.exit)
}

/// The checks that the options ask for.
fn chosen(options: &Doctor) -> Result<Vec<&'static Check>, Failure> {
    for id in options.only.iter().chain(&options.skip) {
        if !CHECKS.iter().any(|check| check.id == id) {
            let all: Vec<_> = CHECKS.iter().map(|check| check.id).collect();
            return Err(Failure::usage(format!(
                "there is no check `{id}`; there are {}",
                all.join(", ")
            )));
        }
    }
    let asked = |check: &&Check| {
        let only = options.only.is_empty() || options.only.iter().any(|id| id == check.id);
        only && !options.skip.iter().any(|id| id == check.id)
    };
    Ok(CHECKS.iter().filter(asked).collect())
}

/// Collects what the checks judge. With `wait`, again and again until the servers answer.
async fn gather(target: Target, admin: Option<&str>, wait: Option<Duration>) -> Facts {
    let until = wait.map(|wait| Instant::now() + wait);
    let target = Arc::new(target);
    loop {
        let facts = Facts::gather(target.clone(), admin.map(str::to_owned)).await;
        let is_over = until.is_none_or(|until| Instant::now() >= until);
        if facts.is_ready() || is_over || facts.target.shape.addresses.is_empty() {
            return facts;
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

/// Carries one check out. A check that panics, or takes too long, says nothing about the others.
async fn judge(check: &'static Check, facts: &Arc<Facts>, limit: Duration) -> Finding {
    if let Some(reason) = missing(check.needs, facts) {
        return Finding::skipped(reason);
    }
    let shared = facts.clone();
    let running = tokio::spawn(async move {
        match check.run {
            Run::Each(judge) => {
                let findings =
                    shared.servers.iter().map(|server| (server.address(), judge(server)));
                check::together(&findings.collect::<Vec<_>>())
            }
            Run::Once(run) => run(&shared).await,
        }
    });
    let abort = running.abort_handle();
    match tokio::time::timeout(limit, running).await {
        Ok(Ok(finding)) => finding,
        Ok(Err(_)) => Finding::new(Verdict::Crashed, "the check has panicked: please report it"),
        Err(_) => {
            abort.abort();
            let observed =
                format!("the check was not done within {}", terminal::time(limit.as_secs_f64()));
            Finding::new(Verdict::Error, observed).fix("cachectl doctor --timeout 60s")
        }
    }
}

/// Why a check cannot be carried out.
fn missing(needs: Needs, facts: &Facts) -> Option<String> {
    let shape = &facts.target.shape;
    let access = |may: bool, command: &str| {
        (!may).then(|| {
            let why = facts.refusal(command).map(|why| format!(" ({why})")).unwrap_or_default();
            format!("not permitted here: {command}{why}")
        })
    };
    match needs {
        Needs::Nothing => return None,
        Needs::AdminApi => {
            let hint = "no admin API is named: give --admin URL";
            return facts.admin.is_none().then(|| hint.to_owned());
        }
        _ => {}
    }
    if shape.addresses.is_empty() {
        return Some("no Redis is configured".to_owned());
    }
    let topology = |wanted: &str, text: &str| (shape.topology != wanted).then(|| text.to_owned());
    match needs {
        Needs::Nothing | Needs::AdminApi | Needs::Redis => None,
        Needs::Sentinel => topology("sentinel", "there are no sentinels"),
        Needs::Cluster => topology("cluster", "the servers are no cluster"),
        _ if !facts.is_connected() => Some("there is no connection".to_owned()),
        Needs::Connection => None,
        Needs::Info => access(facts.has_info(), "INFO"),
        Needs::Admin => access(facts.is_admin(), "CONFIG GET"),
    }
}

#[cfg(test)]
mod tests {
    use cache_runtime::__admin::shape;
    use cache_runtime::Config;

    use super::*;

    #[tokio::test]
    async fn a_check_that_panics_or_hangs_ends_itself_alone() {
        static PANICS: Check = Check {
            id: "panics",
            title: "",
            expected: "",
            why: "",
            needs: Needs::Nothing,
            run: Run::Once(|_| Box::pin(async { panic!("a check panics") })),
        };
        static HANGS: Check = Check {
            id: "hangs",
            run: Run::Once(|_| Box::pin(std::future::pending())),
            title: "",
            expected: "",
            why: "",
            needs: Needs::Nothing,
        };
        let config = Config::in_memory();
        let shape = shape(&config);
        let target =
            Target { config, shape, switched_off: false, operator: None, operator_name: None };
        let facts = Arc::new(Facts::gather(Arc::new(target), None).await);
        let limit = Duration::from_millis(50);
        assert_eq!(judge(&PANICS, &facts, limit).await.verdict, Verdict::Crashed);
        assert_eq!(judge(&HANGS, &facts, limit).await.verdict, Verdict::Error);
    }
}
