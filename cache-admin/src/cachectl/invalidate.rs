//! `cachectl invalidate`: what is removed, and the wait until that has been delivered.

use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use cache_runtime::__admin::{escape_glob, invalidate_key, tag_token};
use serde_json::{Value, json};

use super::args::{Common, Invalidate};
use super::entries::{self, is_entry};
use super::failure::{Exit, Failure};
use super::fleet::Fleet;
use super::http::Api;
use super::redis::connections;
use super::target::Target;
use super::terminal;

/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(200);

/// Entries that a dry run counts at most.
const COUNTED: u64 = 1_000_000;

/// What is to be invalidated.
#[derive(Debug, Clone)]
enum What {
    Prefix(String),
    Tag(String),
    Key(String),
    All,
}

impl What {
    fn of(options: &Invalidate) -> Result<Self, Failure> {
        let what = &options.what;
        match (&what.prefix, &what.tag, &what.key, what.all) {
            (Some(prefix), None, None, false) => Ok(Self::Prefix(prefix.clone())),
            (None, Some(tag), None, false) => Ok(Self::Tag(tag.clone())),
            (None, None, Some(key), false) => Ok(Self::Key(key.clone())),
            (None, None, None, true) => Ok(Self::All),
            _ => Err(Failure::usage("name one of --prefix, --tag, --key and --all")),
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Prefix(prefix) => format!("prefix {prefix}"),
            Self::Tag(tag) => format!("tag {tag}"),
            Self::Key(key) => format!("key {key}"),
            Self::All => "everything".to_owned(),
        }
    }

    fn body(&self) -> Value {
        match self {
            Self::Prefix(prefix) => json!({ "prefix": prefix }),
            Self::Tag(tag) => json!({ "tag": tag }),
            Self::Key(key) => json!({ "key": key }),
            Self::All => json!({ "all": true }),
        }
    }
}

pub(super) async fn run(
    common: &Common,
    options: &Invalidate,
    as_json: bool,
) -> Result<Exit, Failure> {
    let what = What::of(options)?;
    if options.dry_run {
        if common.admin.is_some() {
            return Err(Failure::usage(
                "--dry-run looks into Redis itself: give REDIS_URL of that process in place of --admin",
            ));
        }
        return dry_run(common, &what, as_json).await;
    }
    let (removed, took) = match &common.admin {
        Some(url) => by_api(&Api::at(url)?, &what, options).await?,
        None => by_redis(common, &what, options).await?,
    };
    let seconds = took.as_secs_f64();
    if as_json {
        terminal::print_json(&json!({
            "schema": 1,
            "command": "invalidate",
            "target": what.text(),
            "delivered": true,
            "removed": removed,
            "seconds": seconds,
        }));
    } else {
        let removed = removed.map(|count| format!(", {count} keys")).unwrap_or_default();
        let (what, took) = (what.text(), terminal::time(seconds));
        terminal::print(&format!("invalidated {what}{removed}: delivered in {took}"));
    }
    Ok(Exit::Fine)
}

/// Sends until Redis confirms: this program ends, and nothing would send it later.
async fn by_redis(
    common: &Common,
    what: &What,
    options: &Invalidate,
) -> Result<(Option<u64>, Duration), Failure> {
    let began = Instant::now();
    let over = || began.elapsed() >= options.timeout;
    let undelivered =
        |why: &str| Failure::failed(format!("{} was not invalidated: {why}", what.text()));
    if matches!(what, What::All) {
        confirm(options, &Target::over_redis(common)?.shape.namespace)?;
    }
    let fleet = loop {
        match Fleet::of(common).await {
            Ok(fleet) => break fleet,
            Err(error) if error.is_usage() || over() => return Err(undelivered(error.text())),
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    };
    let bar = terminal::progress("{spinner} {msg}");
    bar.set_message(format!("invalidating {}", what.text()));
    loop {
        let done = match what {
            What::Prefix(prefix) => fleet.cache.invalidate_prefix(prefix).await.map(|()| None),
            What::Tag(tag) => fleet.cache.invalidate_tag(tag).await.map(|()| None),
            What::Key(key) => {
                let key = full(key, &fleet.namespace);
                invalidate_key(&fleet.cache, &key).await.map(|()| None)
            }
            What::All => fleet.member.clear().await.map(Some),
        };
        match done {
            Ok(removed) => {
                bar.finish_and_clear();
                return Ok((removed, began.elapsed()));
            }
            Err(error) if is_final(&error) || over() => {
                return Err(undelivered(&error.to_string()));
            }
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// Whether another attempt would meet the same error. A replica may be promoted, and a server that is full or cannot
/// save its data may be mended; rights are not given within seconds.
fn is_final(error: &cache_runtime::Error) -> bool {
    error.is_value() || (error.is_refused() && error.to_string().contains("NOPERM"))
}

fn full(key: &str, namespace: &str) -> String {
    let start = format!("{namespace}:");
    if key.starts_with(&start) { key.to_owned() } else { format!("{start}{key}") }
}

/// Lets a process invalidate, and waits until it has delivered everything.
async fn by_api(
    api: &Api,
    what: &What,
    options: &Invalidate,
) -> Result<(Option<u64>, Duration), Failure> {
    let began = Instant::now();
    let mut body = what.body();
    body["reason"] = json!(options.reason.as_deref().unwrap_or("cachectl invalidate"));
    if matches!(what, What::All) {
        let namespace = api.get("stats?scope=process").await?;
        let namespace = namespace["namespace"].as_str().unwrap_or_default().to_owned();
        confirm(options, &namespace)?;
        body["confirm"] = json!(namespace);
    }
    let (_, answer) = api.post("invalidate", body).await?;
    let mut pending = answer["pending"] == true;
    while pending {
        if began.elapsed() >= options.timeout {
            return Err(Failure::failed(format!(
                "{} is not delivered yet; the process goes on sending it",
                what.text()
            )));
        }
        tokio::time::sleep(PAUSE).await;
        let stats = api.get("stats?scope=process").await?;
        pending = stats["gauges"]["undelivered"].as_u64() != Some(0);
    }
    Ok((answer["removed"].as_u64(), began.elapsed()))
}

/// Everything is removed only where its namespace was named.
fn confirm(options: &Invalidate, namespace: &str) -> Result<(), Failure> {
    let given = match &options.confirm {
        Some(given) => given.clone(),
        None if std::io::stdin().is_terminal() && std::io::stderr().is_terminal() => {
            let _ = write!(
                std::io::stderr(),
                "everything in the namespace {} is removed; type its name: ",
                terminal::plain(namespace)
            );
            let mut line = String::new();
            let _ = std::io::stdin().read_line(&mut line);
            line.trim().to_owned()
        }
        None => return Err(Failure::usage(format!("--all needs --confirm {namespace}"))),
    };
    if given != namespace {
        return Err(Failure::usage(format!(
            "--confirm names `{given}`, and the namespace is `{namespace}`: nothing was removed"
        )));
    }
    Ok(())
}

/// Says what would be removed.
async fn dry_run(common: &Common, what: &What, as_json: bool) -> Result<Exit, Failure> {
    let target = Target::over_redis(common)?;
    let namespace = &target.shape.namespace;
    let (unlinked, pattern) = match what {
        What::Prefix(prefix) => (
            Some(format!("{namespace}:~{prefix}")),
            Some(format!("{}:*", escape_glob(&format!("{namespace}:{prefix}")))),
        ),
        // An entry does not have the names of its tags.
        What::Tag(tag) => (Some(tag_token(namespace, tag)), None),
        What::Key(key) => (Some(full(key, namespace)), None),
        What::All => (None, Some(format!("{}:*", escape_glob(namespace)))),
    };
    let mut count = None;
    if let Some(pattern) = &pattern {
        let servers = connections(&target).await?;
        let bar = terminal::progress("{spinner} {pos} of {len} keys");
        let all = matches!(what, What::All);
        let mut found = 0;
        entries::scan(&servers, pattern, &bar, async |_, names| {
            let names = names.into_iter().filter_map(|name| String::from_utf8(name).ok());
            found += names.filter(|name| all || is_entry(namespace, name)).count() as u64;
            Ok(found < COUNTED)
        })
        .await?;
        bar.finish_and_clear();
        count = Some(found);
    }
    if as_json {
        terminal::print_json(&json!({
            "schema": 1,
            "command": "invalidate",
            "target": what.text(),
            "dry_run": true,
            "unlinked": unlinked,
            "entries": count,
        }));
    } else {
        let unlinked = unlinked.map(|key| format!("UNLINK {key}"));
        let how = unlinked.unwrap_or_else(|| format!("SCAN and UNLINK of {namespace}:*"));
        let count = count.map(|count| format!(", {count} keys")).unwrap_or_default();
        terminal::print(&format!(
            "{} would be invalidated by {how}{count}; nothing was sent",
            what.text()
        ));
    }
    Ok(Exit::Fine)
}
