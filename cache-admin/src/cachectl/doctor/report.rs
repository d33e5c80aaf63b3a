//! The report of a run: for people, or as JSON.

use std::time::Duration;

use serde_json::{Value, json};

use super::super::args::Doctor;
use super::super::failure::Exit;
use super::super::terminal::{self, BOLD, CYAN, DIM, GREEN, RED, YELLOW};
use super::check::{Check, Finding, Needs, Verdict};
use super::facts::Facts;
use super::share::Hidden;

/// One check and what it has found.
pub(super) struct Row {
    pub(super) check: &'static Check,
    pub(super) finding: Finding,
    pub(super) took: Duration,
}

/// A whole run.
pub(super) struct Report {
    target: String,
    namespace: String,
    access: &'static str,
    rows: Vec<Row>,
    pub(super) exit: Exit,
}

impl Report {
    pub(super) fn new(facts: &Facts, rows: Vec<Row>, options: &Doctor) -> Self {
        let shape = &facts.target.shape;
        let target = if shape.url.is_empty() { "no Redis".to_owned() } else { shape.url.clone() };
        let exit = exit(&rows, options.strict);
        let (namespace, access) = (shape.namespace.clone(), facts.access());
        let mut report = Self { target, namespace, access, rows, exit };
        if options.share {
            report.hide(&Hidden::of(facts, report.rows.iter().flat_map(|row| &row.finding.names)));
        }
        report
    }

    /// Takes names out of the texts that are not those of the program.
    fn hide(&mut self, hidden: &Hidden) {
        let findings = self.rows.iter_mut().map(|row| &mut row.finding);
        let told = findings.flat_map(|finding| [Some(&mut finding.observed), finding.fix.as_mut()]);
        for text in told.flatten().chain([&mut self.target, &mut self.namespace]) {
            *text = hidden.text(text);
        }
    }

    pub(super) fn print(&self, as_json: bool) {
        if as_json {
            terminal::print_json(&self.json());
        } else {
            terminal::print(&self.text());
        }
    }

    fn count(&self, verdict: Verdict) -> usize {
        self.rows.iter().filter(|row| row.finding.verdict == verdict).count()
    }

    /// The checks that were left out because an access has too few rights, by the access that is missing.
    fn skipped_for(&self, needs: Needs) -> Vec<&'static str> {
        let skipped = |row: &&Row| {
            row.check.needs == needs && row.finding.observed.starts_with("not permitted here")
        };
        self.rows.iter().filter(skipped).map(|row| row.check.id).collect()
    }

    /// The checks that were not carried out, by the reason.
    fn skipped(&self) -> Vec<(&str, Vec<&'static str>)> {
        let mut by_reason: Vec<(&str, Vec<&'static str>)> = Vec::new();
        for row in self.rows.iter().filter(|row| row.finding.verdict == Verdict::Skipped) {
            let reason = row.finding.observed.as_str();
            match by_reason.iter_mut().find(|(known, _)| *known == reason) {
                Some((_, ids)) => ids.push(row.check.id),
                None => by_reason.push((reason, vec![row.check.id])),
            }
        }
        by_reason
    }

    fn json(&self) -> Value {
        let row = |row: &Row| {
            let Row { check, finding, took } = row;
            let told = !matches!(finding.verdict, Verdict::Ok | Verdict::Skipped);
            json!({
                "id": check.id,
                "title": check.title,
                "verdict": finding.verdict,
                "observed": finding.observed,
                "expected": check.expected,
                "why": told.then_some(check.why),
                "fix": finding.fix,
                "doc": check.doc(),
                "stops": finding.stops,
                "seconds": took.as_secs_f64(),
            })
        };
        json!({
            "schema": 1,
            "command": "doctor",
            "version": env!("CARGO_PKG_VERSION"),
            "target": self.target,
            "namespace": self.namespace,
            "access": self.access,
            "skipped_for": {
                "admin": self.skipped_for(Needs::Admin),
                "info": self.skipped_for(Needs::Info),
            },
            "checks": self.rows.iter().map(row).collect::<Vec<_>>(),
            "exit_code": self.exit as u8,
        })
    }

    fn text(&self) -> String {
        let mut lines = vec![format!(
            "{BOLD}{}{BOLD:#}, namespace {BOLD}{}{BOLD:#}, access: {}\n",
            terminal::plain(&self.target),
            terminal::plain(&self.namespace),
            self.access
        )];
        let told = self.rows.iter().filter(|row| row.finding.verdict != Verdict::Skipped);
        lines.extend(told.map(lines_of));
        lines.extend(
            self.skipped()
                .into_iter()
                .map(|(reason, ids)| (terminal::plain(reason), ids.join(", ")))
                .map(|(reason, ids)| format!("{DIM}- skipped {ids}: {reason}{DIM:#}")),
        );
        lines.push(String::new());
        for (needs, hint) in [
            (Needs::Info, "with the right `+info` for the login there are"),
            (
                Needs::Admin,
                "with CACHECTL_REDIS_USERNAME and CACHECTL_REDIS_PASSWORD of an operator there are",
            ),
        ] {
            let more = self.skipped_for(needs).len();
            if more > 0 {
                lines.push(format!("{DIM}{hint} {more} checks more{DIM:#}"));
            }
        }
        let counts = [
            Verdict::Error,
            Verdict::Crashed,
            Verdict::Warn,
            Verdict::Info,
            Verdict::Ok,
            Verdict::Skipped,
        ];
        let counts = counts.map(|verdict| (self.count(verdict), verdict.as_str()));
        let counts = counts.iter().filter(|(count, _)| *count > 0);
        let counts: Vec<_> = counts.map(|(count, verdict)| format!("{count} {verdict}")).collect();
        lines.push(format!("{}: {}", self.conclusion(), counts.join(", ")));
        lines.join("\n")
    }

    fn conclusion(&self) -> &'static str {
        match self.exit {
            Exit::Failed => "the cache cannot work",
            _ if self.count(Verdict::Error) + self.count(Verdict::Crashed) > 0 => {
                "the cache works, with errors"
            }
            _ if self.count(Verdict::Warn) > 0 => "the cache works, with warnings",
            _ if self.count(Verdict::Ok) == 0 => "nothing was checked",
            _ => "the cache works",
        }
    }
}

fn lines_of(row: &Row) -> String {
    let Row { check, finding, .. } = row;
    let (style, sign) = match finding.verdict {
        Verdict::Ok => (GREEN, "✓"),
        Verdict::Info => (CYAN, "i"),
        Verdict::Warn => (YELLOW, "!"),
        Verdict::Error | Verdict::Crashed => (RED, "✗"),
        Verdict::Skipped => (DIM, "-"),
    };
    let verdict = finding.verdict.as_str();
    let observed = terminal::plain(&finding.observed);
    let head = format!("{style}{sign} {verdict:<7}{style:#} {:<14} {observed}", check.id);
    if matches!(finding.verdict, Verdict::Ok | Verdict::Skipped) {
        return head;
    }
    let mut lines = vec![head];
    let mut tell = |name: &str, text: &str| {
        lines.push(format!("            {DIM}{name:<9}{DIM:#} {text}"));
    };
    tell("expected", check.expected);
    tell("why", check.why);
    if let Some(fix) = &finding.fix {
        tell("fix", &terminal::plain(fix));
    }
    tell("see", &check.doc());
    lines.join("\n")
}

fn exit(rows: &[Row], strict: bool) -> Exit {
    let exit = |row: &Row| match row.finding.verdict {
        Verdict::Error if row.finding.stops => Exit::Failed,
        Verdict::Error | Verdict::Crashed => Exit::Findings,
        Verdict::Warn if strict => Exit::Findings,
        _ => Exit::Fine,
    };
    rows.iter().map(exit).max().unwrap_or(Exit::Fine)
}

/// Prints the list of checks.
pub(super) fn list(checks: &[&'static Check], as_json: bool) {
    if as_json {
        let row = |check: &&Check| {
            json!({
                "id": check.id,
                "title": check.title,
                "expected": check.expected,
                "why": check.why,
                "doc": check.doc(),
            })
        };
        let checks: Vec<_> = checks.iter().map(row).collect();
        terminal::print_json(&json!({ "schema": 1, "command": "doctor", "checks": checks }));
        return;
    }
    let mut table = terminal::table(&["ID", "CHECK", "EXPECTED"]);
    for check in checks {
        table.add_row([check.id, check.title, check.expected]);
    }
    terminal::print(&table.trim_fmt());
}
