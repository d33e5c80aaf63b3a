//! `cachectl ls` and `cachectl get`: entries as they stand in Redis.

use std::borrow::ToOwned;
use std::time::Duration;

use cache_runtime::__admin::escape_glob;
use serde_json::{Map, Value, json};

use super::args::{Common, Get, Ls};
use super::entries::{self, Row, Tokens, is_entry, rows};
use super::failure::{Exit, Failure};
use super::http::Api;
use super::json::AnyValue;
use super::redis::{Connection, connections};
use super::reply;
use super::target::Target;
use super::terminal::{self, bytes, time};

pub(super) async fn list(common: &Common, options: &Ls, as_json: bool) -> Result<Exit, Failure> {
    let target = Target::over_redis(common)?;
    let namespace = target.shape.namespace.clone();
    let servers = connections(&target).await?;
    let start = match &options.prefix {
        Some(prefix) => format!("{namespace}:{prefix}:"),
        None => format!("{namespace}:"),
    };
    let most = if options.all { usize::MAX } else { options.limit };
    let bar = terminal::progress("{spinner} {pos} of {len} keys, {msg}");
    let (mut found, mut tokens) = (Vec::new(), Tokens::default());
    let pattern = format!("{}*", escape_glob(&start));
    entries::scan(&servers, &pattern, &bar, async |server, names| {
        let page = rows(server, names).await?;
        let page = page.into_iter().filter(|row| is_entry(&namespace, &row.key));
        let page: Vec<_> = page.take(most - found.len()).collect();
        tokens.read(&servers, &namespace, page.iter().map(|row| row.key.as_str())).await;
        found.extend(page);
        bar.set_message(format!("{} found", found.len()));
        Ok(found.len() < most)
    })
    .await?;
    bar.finish_and_clear();
    found.sort_by(|one, two| one.key.cmp(&two.key));
    let size = entries::size(&servers).await;
    if as_json {
        let entries: Vec<_> = found.iter().map(|row| described(row, &namespace, &tokens)).collect();
        terminal::print_json(&json!({
            "schema": 1,
            "command": "ls",
            "namespace": namespace,
            "prefix": options.prefix,
            "entries": entries,
            "complete": found.len() < most,
            "keys_on_servers": size,
        }));
        return Ok(Exit::Fine);
    }
    let mut table = terminal::table(&["KEY", "KIND", "STATE", "AGE", "LEFT", "SIZE", "COST"]);
    for row in &found {
        let rest = terminal::plain(row.key.strip_prefix(&start).unwrap_or(&row.key));
        let cost = row.head.as_ref().map(|head| time(head.cost().as_secs_f64()));
        table.add_row([
            rest,
            kind(row).to_owned(),
            state(row, tokens_say(row, &namespace, &tokens)).to_owned(),
            shown(row.age()),
            shown(row.ttl_left),
            row.size.map_or_else(|| "-".to_owned(), bytes),
            cost.unwrap_or_default(),
        ]);
    }
    terminal::print(&table.trim_fmt());
    if found.len() >= most {
        terminal::complain(&format!("the first {most} are shown; --limit or --all shows more"));
    }
    if size > 10_000 && size > 100 * found.len() as u64 {
        terminal::complain(&format!(
            "note: SCAN walks over all {size} keys of the servers for these {}",
            found.len()
        ));
    }
    Ok(Exit::Fine)
}

fn shown(duration: Option<Duration>) -> String {
    duration.map_or_else(|| "-".to_owned(), |duration| time(duration.as_secs_f64()))
}

fn kind(row: &Row) -> &'static str {
    row.head.as_ref().map_or("foreign", |head| head.kind().as_str())
}

fn tokens_say(row: &Row, namespace: &str, tokens: &Tokens) -> Option<bool> {
    tokens.is_live(namespace, &row.key, row.head.as_ref()?)
}

/// `live?` where that depends on tags.
fn state(row: &Row, live: Option<bool>) -> &'static str {
    match (row.head.is_some(), live) {
        (false, _) => "-",
        (_, Some(false)) => "dead",
        _ if row.is_stale() => "stale",
        (_, Some(true)) => "live",
        (_, None) => "live?",
    }
}

/// An entry without its value, as the admin API describes it.
fn described(row: &Row, namespace: &str, tokens: &Tokens) -> Value {
    let seconds = |time: Option<Duration>| time.map(|time| time.as_secs_f64());
    let mut fields = Map::new();
    let mut tell = |name: &str, value: Value| fields.insert(name.to_owned(), value);
    tell("key", json!(row.key));
    tell("state", json!(kind(row)));
    tell("live", json!(tokens_say(row, namespace, tokens)));
    tell("ttl_left_seconds", json!(seconds(row.ttl_left)));
    tell("size_bytes", json!(row.size));
    if let Some(head) = &row.head {
        tell("function", json!(head.function()));
        tell("age_seconds", json!(seconds(row.age())));
        tell("cost_seconds", json!(head.cost().as_secs_f64()));
        tell("version", json!(head.version()));
        tell("stale", json!(row.is_stale()));
        tell("tags", json!(head.tokens().len().saturating_sub(1)));
    }
    Value::Object(fields)
}

pub(super) async fn get(common: &Common, options: &Get, as_json: bool) -> Result<Exit, Failure> {
    let mut entry = match &common.admin {
        Some(url) => Api::at(url)?.post("entry", json!({ "key": options.key })).await?.1,
        None => read(&Target::over_redis(common)?, options).await?,
    };
    let absent = entry["state"] == "absent";
    if let Value::Object(fields) = &mut entry {
        if options.header {
            fields.remove("value");
            fields.remove("value_error");
        }
        if as_json {
            fields.insert("schema".to_owned(), json!(1));
            fields.insert("command".to_owned(), json!("get"));
            terminal::print_json(&entry);
        } else {
            tell(fields);
        }
    }
    Ok(if absent { Exit::Findings } else { Exit::Fine })
}

/// The header as lines, and the value after them.
fn tell(fields: &Map<String, Value>) {
    let style = terminal::DIM;
    for (name, value) in fields.iter().filter(|(name, _)| *name != "value") {
        let value = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
        let (name, value) = (terminal::plain(name), terminal::plain(&value));
        terminal::print(&format!("{style}{name:<17}{style:#} {value}"));
    }
    if let Some(value) = fields.get("value") {
        let value = serde_json::to_string_pretty(value).unwrap_or_default();
        // JSON escapes some of the control characters, among them those that end a line.
        for line in value.lines() {
            terminal::print(&terminal::plain(line));
        }
    }
}

async fn read(target: &Target, options: &Get) -> Result<Value, Failure> {
    let namespace = &target.shape.namespace;
    let start = format!("{namespace}:");
    let key = &options.key;
    let key = if key.starts_with(&start) { key.clone() } else { format!("{start}{key}") };
    let servers = connections(target).await?;
    let Some((server, row)) = find(&servers, &key).await? else {
        return Ok(json!({ "key": key, "state": "absent", "live": null }));
    };
    let mut tokens = Tokens::default();
    tokens.read(&servers, namespace, std::iter::once(key.as_str())).await;
    let mut entry = described(&row, namespace, &tokens);
    if kind(&row) == "value" && !options.header {
        let (name, value) = match value(server, &key, target.shape.max_value).await {
            Ok(value) => ("value", value),
            Err(why) => ("value_error", Value::String(why)),
        };
        entry[name] = value;
    }
    Ok(entry)
}

async fn find<'a>(
    servers: &'a [Connection],
    key: &str,
) -> Result<Option<(&'a Connection, Row)>, Failure> {
    let mut failure = None;
    for server in servers {
        match rows(server, vec![key.as_bytes().to_vec()]).await {
            Ok(mut found) => {
                if let Some(row) = found.pop() {
                    return Ok(Some((server, row)));
                }
                return Ok(None);
            }
            // In a cluster, all nodes but one.
            Err(error) => failure = Some(error),
        }
    }
    failure.map_or(Ok(None), Err)
}

async fn value(server: &Connection, key: &str, limit: usize) -> Result<Value, String> {
    let whole = server.send(&["GET", key]).await.map_err(|error| error.text)?;
    let whole = reply::bytes(whole).ok_or("it has gone meanwhile")?;
    let head = cache_runtime::__admin::Head::parse(whole).ok_or("it was replaced meanwhile")?;
    head.value::<AnyValue>(limit).map(|AnyValue(value)| value)
}
