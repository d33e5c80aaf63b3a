//! The check of what a server keeps over a restart.

use std::collections::BTreeMap;

use super::check::Finding;
use super::facts::{Info, Server};

/// Snapshots and the append-only file.
pub(super) fn persistence(server: &Server) -> Finding {
    judge(&server.info(), server.config.as_ref().ok(), |command| server.shell(command))
}

/// Judges by `INFO`, and by `CONFIG GET` where the login may ask that.
fn judge(
    info: &Info,
    config: Option<&BTreeMap<String, String>>,
    shell: impl Fn(&str) -> String,
) -> Finding {
    let off = shell("CONFIG SET save ''");
    let setting = |name: &str| Some(config?.get(name).map_or("", String::as_str));
    let has_save_points = setting("save").map(|save| !save.is_empty());
    let has_failed = info.text("rdb_last_bgsave_status") == "err";
    let stops = has_failed && setting("stop-writes-on-bgsave-error") != Some("no");
    if info.text("aof_last_write_status") == "err" || (stops && has_save_points == Some(true)) {
        return Finding::error("the server cannot save its data, and refuses writes (MISCONF)")
            .fix(off);
    }
    if stops && has_save_points.is_none() {
        return Finding::warn(
            "the last snapshot has failed: if the server has save points, it refuses writes (MISCONF)",
        )
        .fix(off);
    }
    let fork = info.number("latest_fork_usec").unwrap_or(0) / 1000;
    if fork > 100 {
        return Finding::warn(format!("the last fork has stopped the server for {fork} ms"))
            .fix(off);
    }
    let aof = info.text("aof_enabled") == "1";
    // Without `CONFIG GET`, snapshots that were made are known, and save points are not.
    let has_snapshots = has_save_points
        .or_else(|| info.number("rdb_saves").filter(|saves| *saves > 0).map(|_| true));
    let kept = match (aof, has_snapshots) {
        (true, Some(true)) => "snapshots and an append-only file",
        (true, _) => "an append-only file",
        (false, Some(true)) => "snapshots",
        (false, Some(false)) => return Finding::ok("nothing is kept over a restart"),
        (false, None) => {
            let observed =
                "no append-only file; whether snapshots are made is not known without CONFIG GET";
            return Finding::info(observed)
                .fix("CACHECTL_REDIS_USERNAME and CACHECTL_REDIS_PASSWORD of an operator");
        }
    };
    let fix = if aof { shell("CONFIG SET appendonly no") } else { off };
    Finding::warn(format!("{kept}: a restart may bring back what was invalidated")).fix(fix)
}

#[cfg(test)]
mod tests {
    use super::super::check::Verdict;
    use super::*;

    fn judged(info: &[(&str, &str)], config: Option<&[(&str, &str)]>) -> Finding {
        let map = |pairs: &[(&str, &str)]| {
            let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            pairs.collect::<BTreeMap<_, _>>()
        };
        judge(&Info(map(info)), config.map(map).as_ref(), str::to_owned)
    }

    #[test]
    fn what_is_not_known_without_the_settings_is_not_called_fine() {
        let idle = [("aof_enabled", "0"), ("rdb_last_bgsave_status", "ok"), ("rdb_saves", "0")];
        let unknown = judged(&idle, None);
        assert_eq!(unknown.verdict, Verdict::Info);
        assert!(unknown.observed.contains("not known"), "{unknown:?}");
        assert_eq!(judged(&idle, Some(&[("save", "")])).verdict, Verdict::Ok);
        assert_eq!(judged(&idle, Some(&[("save", "3600 1")])).verdict, Verdict::Warn);
        assert_eq!(judged(&[("rdb_saves", "2")], None).verdict, Verdict::Warn);
    }

    #[test]
    fn a_failed_snapshot_stops_writes_only_where_there_are_save_points() {
        let failed = [("aof_enabled", "0"), ("rdb_last_bgsave_status", "err")];
        let verdict = |config: Option<&[(&str, &str)]>| judged(&failed, config).verdict;
        let stop = ("stop-writes-on-bgsave-error", "yes");
        assert_eq!(verdict(Some(&[("save", "3600 1"), stop])), Verdict::Error);
        assert_eq!(verdict(Some(&[("save", ""), stop])), Verdict::Ok);
        let goes_on = ("stop-writes-on-bgsave-error", "no");
        assert_eq!(verdict(Some(&[("save", "3600 1"), goes_on])), Verdict::Warn);
        let unknown = judged(&failed, None);
        assert!(unknown.verdict == Verdict::Warn && unknown.observed.contains("if"), "{unknown:?}");
    }
}
