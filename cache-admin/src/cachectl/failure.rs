//! How a command ends.

use std::process::ExitCode;

use serde_json::json;

use super::terminal;

/// The exit codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Exit {
    Fine = 0,
    /// Errors that do not stop the cache, or warnings with `--strict`.
    Findings = 1,
    /// The cache cannot work, or the command was not carried out.
    Failed = 2,
    Usage = 64,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command was not carried out, in a sentence without secrets.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    exit: Exit,
    text: String,
}

impl Failure {
    pub(super) fn failed(text: impl Into<String>) -> Self {
        Self { exit: Exit::Failed, text: text.into() }
    }

    pub(super) fn usage(text: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, text: text.into() }
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn is_usage(&self) -> bool {
        self.exit == Exit::Usage
    }

    /// Says it, on stdout as JSON or else on stderr.
    pub(super) fn print(&self, as_json: bool) -> Exit {
        if as_json {
            terminal::print_json(&json!({
                "schema": 1,
                "error": self.text,
                "exit_code": self.exit as u8,
            }));
        } else {
            let style = terminal::RED.bold();
            let text = terminal::plain(&self.text);
            terminal::complain(&format!("{style}error{style:#}: {text}"));
        }
        self.exit
    }
}
