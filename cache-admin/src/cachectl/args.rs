//! The command line.

use std::time::Duration;

use clap::{Parser, Subcommand};

/// Finds out whether a function cache works and why not, shows what it does, and changes it.
///
/// Reads the same variables as the application (`REDIS_URL`, `CACHE_NAMESPACE`, ...), so in the application's
/// environment it reaches what the application reaches. Passwords and tokens come from variables and files alone.
#[derive(Debug, Parser)]
#[command(name = "cachectl", version, max_term_width = 100)]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) common: Common,

    /// Print one JSON object, with the version of its form in `schema`
    #[arg(long, global = true)]
    pub(super) json: bool,

    /// When to use colour; `NO_COLOR` and an output that is no terminal turn it off too
    #[arg(long, global = true, value_enum, default_value_t, value_name = "WHEN")]
    pub(super) color: Color,

    #[command(subcommand)]
    pub(super) command: Command,
}

/// Which cache is meant.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Common {
    /// Where Redis is, in place of `REDIS_URL`; other users of this host see a password in it
    #[arg(long, global = true, value_name = "URL")]
    pub(super) url: Option<String>,

    /// The namespace of the application, in place of `CACHE_NAMESPACE`
    #[arg(long, global = true, value_name = "NAME")]
    pub(super) namespace: Option<String>,

    /// The admin API of one process, as in `http://localhost:8080/cache`; its token is in `CACHE_ADMIN_TOKEN`
    #[arg(long, global = true, value_name = "URL")]
    pub(super) admin: Option<String>,
}

/// When to use colour.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Color {
    #[default]
    Auto,
    Always,
    Never,
}

impl Color {
    pub(super) fn write_global(self) {
        let choice = match self {
            Self::Auto => anstream::ColorChoice::Auto,
            Self::Always => anstream::ColorChoice::Always,
            Self::Never => anstream::ColorChoice::Never,
        };
        choice.write_global();
    }
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Check the way from here to a cached value, step by step, and say what to do
    Doctor(Doctor),
    /// Show the figures of all processes, once
    Stats(Stats),
    /// Show the figures again and again
    Watch(Watch),
    /// List the entries of a prefix, without their values
    Ls(Ls),
    /// Show one entry, and its value as JSON
    Get(Get),
    /// Invalidate a prefix, a tag, a key or everything, and wait until that has been delivered
    Invalidate(Invalidate),
    /// Switch the cache, or one prefix, off for a while or on
    Switch(Switch),
    /// Print the completions of a shell
    Completions { shell: clap_complete::Shell },
    /// Print the manual page
    Man,
}

/// Exit codes: 0 without errors; 1 for errors that do not stop the cache, and for warnings with `--strict`; 2 where
/// the cache cannot work; 64 for a wrong command line.
#[derive(Debug, clap::Args)]
pub(super) struct Doctor {
    /// Only these checks, by id, separated by commas
    #[arg(long, value_delimiter = ',', value_name = "ID")]
    pub(super) only: Vec<String>,

    /// All checks but these
    #[arg(long, value_delimiter = ',', value_name = "ID")]
    pub(super) skip: Vec<String>,

    /// List the checks, and carry out none
    #[arg(long)]
    pub(super) list: bool,

    /// Wait for so long until the server can be reached and has loaded its data
    #[arg(long, value_parser = humantime::parse_duration, value_name = "TIME")]
    pub(super) wait: Option<Duration>,

    /// The longest time for one check
    #[arg(long, value_parser = humantime::parse_duration, default_value = "15s", value_name = "TIME")]
    pub(super) timeout: Duration,

    /// Exit with 1 for warnings too
    #[arg(long)]
    pub(super) strict: bool,

    /// Leave the names of hosts, users and the namespace out, so that the output can be shown to others
    #[arg(long)]
    pub(super) share: bool,
}

/// Without --admin, the figures are those that the processes write to Redis every five seconds.
#[derive(Debug, clap::Args)]
pub(super) struct Stats {
    /// Only this prefix
    #[arg(long, value_name = "PREFIX")]
    pub(super) prefix: Option<String>,
}

/// A screen on a terminal, and otherwise a line each time.
#[derive(Debug, clap::Args)]
pub(super) struct Watch {
    /// The time between two figures
    #[arg(long, value_parser = humantime::parse_duration, default_value = "2s", value_name = "TIME")]
    pub(super) interval: Duration,

    /// End after so many lines
    #[arg(long, value_name = "NUMBER")]
    pub(super) count: Option<u64>,

    /// Lines on a terminal too
    #[arg(long)]
    pub(super) lines: bool,
}

/// Walks over the names of the servers with SCAN, on each master of a cluster, and never with KEYS.
#[derive(Debug, clap::Args)]
pub(super) struct Ls {
    /// The prefix; without it, the whole namespace
    pub(super) prefix: Option<String>,

    /// Show so many entries at most
    #[arg(long, default_value_t = 1000, value_name = "NUMBER")]
    pub(super) limit: usize,

    /// Show all entries
    #[arg(long, conflicts_with = "limit")]
    pub(super) all: bool,
}

/// Exit codes: 0 where there is an entry, 1 where there is none, 2 where Redis does not answer.
#[derive(Debug, clap::Args)]
pub(super) struct Get {
    /// The key, as `ls` and `explain` show it, with or without the namespace
    pub(super) key: String,

    /// Leave the value out
    #[arg(long)]
    pub(super) header: bool,
}

/// Exit codes: 0 once Redis has confirmed it, 2 where it was not delivered.
#[derive(Debug, clap::Args)]
pub(super) struct Invalidate {
    #[command(flatten)]
    pub(super) what: What,

    /// Say what would be removed, and send nothing; not with --admin
    #[arg(long)]
    pub(super) dry_run: bool,

    /// The namespace once more, for --all
    #[arg(long, value_name = "NAMESPACE")]
    pub(super) confirm: Option<String>,

    /// Why, for the audit log of --admin
    #[arg(long, value_name = "TEXT")]
    pub(super) reason: Option<String>,

    /// Try for so long
    #[arg(long, value_parser = humantime::parse_duration, default_value = "30s", value_name = "TIME")]
    pub(super) timeout: Duration,
}

/// One of them.
#[derive(Debug, Clone, clap::Args)]
#[group(required = true, multiple = false)]
pub(super) struct What {
    /// All entries of this prefix
    #[arg(long, value_name = "PREFIX")]
    pub(super) prefix: Option<String>,

    /// All entries with this tag
    #[arg(long, value_name = "TAG")]
    pub(super) tag: Option<String>,

    /// One entry, with or without the namespace
    #[arg(long, value_name = "KEY")]
    pub(super) key: Option<String>,

    /// The whole namespace
    #[arg(long)]
    pub(super) all: bool,
}

/// On or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum State {
    Off,
    On,
}

impl State {
    pub(super) fn as_str(self) -> &'static str {
        if self == Self::Off { "off" } else { "on" }
    }
}

/// Which processes a switch concerns.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Reach {
    Process,
    #[default]
    Fleet,
}

impl Reach {
    pub(super) fn as_str(self) -> &'static str {
        if self == Self::Process { "process" } else { "fleet" }
    }
}

/// While something is off, its functions run without the cache, and invalidations are still sent.
#[derive(Debug, clap::Args)]
pub(super) struct Switch {
    pub(super) state: State,

    /// Only this prefix
    #[arg(long, value_name = "PREFIX")]
    pub(super) prefix: Option<String>,

    /// For how long it is off, a day at most
    #[arg(long = "for", value_parser = humantime::parse_duration, default_value = "10m", value_name = "TIME")]
    pub(super) time: Duration,

    /// Why; required for `off`
    #[arg(long, value_name = "TEXT")]
    pub(super) reason: Option<String>,

    /// All processes, or the one of --admin
    #[arg(long, value_enum, default_value_t)]
    pub(super) reach: Reach,
}
