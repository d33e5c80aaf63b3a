//! What a check is, and what it finds.

use std::pin::Pin;

use serde::Serialize;

use super::facts::{Facts, Server};

/// How a check has ended, the worst last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Verdict {
    Skipped,
    Ok,
    Info,
    Warn,
    /// The check itself has failed.
    Crashed,
    Error,
}

impl Verdict {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Skipped => "skipped",
            Self::Ok => "ok",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Crashed => "crashed",
            Self::Error => "error",
        }
    }
}

/// What a check needs to be carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Needs {
    Nothing,
    /// A Redis in the configuration.
    Redis,
    /// A login that has succeeded.
    Connection,
    Info,
    Admin,
    Sentinel,
    Cluster,
    AdminApi,
}

pub(super) type Running<'a> = Pin<Box<dyn Future<Output = Finding> + Send + 'a>>;

/// How a check is carried out.
#[derive(Clone, Copy)]
pub(super) enum Run {
    /// For each server that answers, from what it has said of itself.
    Each(fn(&Server) -> Finding),
    Once(for<'a> fn(&'a Facts) -> Running<'a>),
}

/// One check. Its page is the row of its id in docs/operations.md.
pub(super) struct Check {
    /// Stable: programs name it.
    pub(super) id: &'static str,
    pub(super) title: &'static str,
    pub(super) expected: &'static str,
    pub(super) why: &'static str,
    pub(super) needs: Needs,
    pub(super) run: Run,
}

impl Check {
    pub(super) fn doc(&self) -> String {
        format!("docs/operations.md#check-{}", self.id)
    }
}

/// What a check has found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) verdict: Verdict,
    pub(super) observed: String,
    /// A command or a setting to paste.
    pub(super) fix: Option<String>,
    /// The cache cannot work until this is mended.
    pub(super) stops: bool,
    /// Names in the texts that `--share` hides, with what stands in their place. Those of the configuration are known
    /// without this.
    pub(super) names: Vec<(String, &'static str)>,
}

impl Finding {
    pub(super) fn new(verdict: Verdict, observed: impl Into<String>) -> Self {
        Self { verdict, observed: observed.into(), fix: None, stops: false, names: Vec::new() }
    }

    pub(super) fn ok(observed: impl Into<String>) -> Self {
        Self::new(Verdict::Ok, observed)
    }

    pub(super) fn info(observed: impl Into<String>) -> Self {
        Self::new(Verdict::Info, observed)
    }

    pub(super) fn warn(observed: impl Into<String>) -> Self {
        Self::new(Verdict::Warn, observed)
    }

    pub(super) fn error(observed: impl Into<String>) -> Self {
        Self::new(Verdict::Error, observed)
    }

    /// An error with which the cache cannot work.
    pub(super) fn stop(observed: impl Into<String>) -> Self {
        Self { stops: true, ..Self::error(observed) }
    }

    pub(super) fn skipped(reason: impl Into<String>) -> Self {
        Self::new(Verdict::Skipped, reason)
    }

    /// Lets `--share` put `by` in the place of a name that another process has told.
    pub(super) fn hides(mut self, name: &str, by: &'static str) -> Self {
        self.names.push((name.to_owned(), by));
        self
    }

    pub(super) fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }
}

/// One finding for several servers: the worst verdict, and what each server has that is as bad.
pub(super) fn together(findings: &[(&str, Finding)]) -> Finding {
    let several = findings.len() > 1;
    let worst = findings.iter().map(|(_, finding)| finding.verdict).max();
    let Some(worst) = worst else { return Finding::skipped("there is no connection") };
    let mut all = Finding::new(worst, String::new());
    let mut lines: Vec<(String, Vec<&str>)> = Vec::new();
    for (address, finding) in findings.iter().filter(|(_, finding)| finding.verdict == worst) {
        all.stops |= finding.stops;
        all.names.extend(finding.names.iter().cloned());
        all.fix = all.fix.or_else(|| finding.fix.clone());
        match lines.iter_mut().find(|(observed, _)| *observed == finding.observed) {
            Some((_, of)) => of.push(address),
            None => lines.push((finding.observed.clone(), vec![address])),
        }
    }
    let line = |(observed, of): &(String, Vec<&str>)| {
        if several { format!("{}: {observed}", of.join(", ")) } else { observed.clone() }
    };
    all.observed = lines.iter().map(line).collect::<Vec<_>>().join("; ");
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_server_is_the_finding_of_all() {
        let findings = vec![
            ("a:1", Finding::ok("fine")),
            ("b:1", Finding::warn("full").fix("more memory")),
            ("c:1", Finding::warn("full")),
        ];
        let all = together(&findings);
        assert_eq!(all, Finding::warn("b:1, c:1: full").fix("more memory"));
        assert_eq!(together(&[("a:1", Finding::ok("fine"))]), Finding::ok("fine"));
        assert_eq!(together(&[]).verdict, Verdict::Skipped);
    }
}
