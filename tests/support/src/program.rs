//! The program of a server.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// `redis-server`, or `valkey-server` where there is none, with nothing kept on disk in `folder`.
pub(crate) fn server(folder: &Path) -> Command {
    let mut command = quiet();
    command
        .args(["--save", "", "--appendonly", "no", "--daemonize", "no"])
        .args(["--dir".as_ref(), folder.as_os_str()]);
    command
}

/// The same program with a file of settings, from whose folder it starts, and with `folder` for its data.
pub(crate) fn from_file(file: &Path, folder: &Path) -> Command {
    let mut command = quiet();
    command.arg(file).args(["--dir".as_ref(), folder.as_os_str()]);
    command.current_dir(file.parent().expect("a file is in a folder"));
    command
}

/// The same program as a sentinel. It keeps what it learns in the file of its settings.
pub(crate) fn sentinel(settings: &Path) -> Command {
    let mut command = quiet();
    command.arg(settings).arg("--sentinel");
    command
}

fn quiet() -> Command {
    let mut command = Command::new(program("server"));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// A program of Redis, or that of Valkey where there is none: `program("server")` is `redis-server`.
///
/// # Panics
///
/// Where neither is on the path.
pub fn program(name: &str) -> PathBuf {
    let programs = ["redis", "valkey"].map(|product| format!("{product}-{name}"));
    let program = programs.iter().find_map(|program| find(program));
    program.unwrap_or_else(|| panic!("no redis-{name} on this machine: run ./scripts/test"))
}

/// The first number of its version.
pub(crate) fn major() -> u32 {
    let version =
        Command::new(program("server")).arg("--version").output().expect("it says its version");
    let version = String::from_utf8_lossy(&version.stdout).into_owned();
    let number = version.split("v=").nth(1).and_then(|version| version.split('.').next());
    number.and_then(|number| number.parse().ok()).expect("a version")
}

fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}
