//! The program of a server.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Starts `redis-server`, or `valkey-server` where there is none.
pub(crate) fn spawn(folder: &Path, options: &[String]) -> Child {
    let program = ["redis-server", "valkey-server"].into_iter().find_map(find);
    let program = program.expect("no redis-server on this machine: run ./scripts/test");
    Command::new(program)
        .args(["--port", "0", "--save", "", "--appendonly", "no", "--daemonize", "no"])
        .args(["--unixsocket".as_ref(), folder.join("redis.sock").as_os_str()])
        .args(["--dir".as_ref(), folder.as_os_str()])
        .args(options)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("redis-server starts")
}

fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}
