//! The check of what a server keeps over a restart.

use super::check::Finding;
use super::facts::Server;

/// Snapshots and the append-only file.
pub(super) fn persistence(server: &Server) -> Finding {
    let info = server.info();
    let off = server.shell("CONFIG SET save ''");
    let stops =
        server.config.as_ref().ok().and_then(|config| config.get("stop-writes-on-bgsave-error"));
    let stops = stops.is_none_or(|stops| stops == "yes");
    if info.text("aof_last_write_status") == "err"
        || (info.text("rdb_last_bgsave_status") == "err" && stops)
    {
        return Finding::error("the server cannot save its data, and refuses writes (MISCONF)")
            .fix(off);
    }
    let aof = info.text("aof_enabled") == "1";
    // Without `CONFIG GET`, the time of the last snapshot is all that tells whether there are any.
    let rdb = match &server.config {
        Ok(config) => config.get("save").is_some_and(|save| !save.is_empty()),
        Err(_) => {
            info.number("rdb_changes_since_last_save").is_some()
                && info.number("rdb_saves").is_some_and(|saves| saves > 0)
        }
    };
    let fork = info.number("latest_fork_usec").unwrap_or(0) / 1000;
    if fork > 100 {
        return Finding::warn(format!("the last fork has stopped the server for {fork} ms"))
            .fix(off);
    }
    let kept = match (aof, rdb) {
        (true, true) => "snapshots and an append-only file",
        (true, false) => "an append-only file",
        (false, true) => "snapshots",
        (false, false) => return Finding::ok("nothing is kept over a restart"),
    };
    let fix = if aof { server.shell("CONFIG SET appendonly no") } else { off };
    Finding::warn(format!("{kept}: a restart may bring back what was invalidated")).fix(fix)
}
