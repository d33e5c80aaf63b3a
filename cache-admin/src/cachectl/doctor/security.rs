//! Checks of rights: the application's, and those of strangers.

use std::collections::BTreeMap;

use cache_runtime::__admin::{Reply, Shape, escape_glob};

use super::super::reply;
use super::check::{Finding, Running, together};
use super::facts::{Facts, Server, told};

/// A command of the cache: its name in a rule of an ACL, and its words.
type Command = (&'static str, &'static [&'static str]);

/// The commands of the cache on every server, with words that change nothing of the application's. `KEY` stands for a
/// key of the check's own, and the order is that in which they are sent.
const COMMANDS: [Command; 14] = [
    ("ping", &["PING"]),
    ("client|tracking", &["CLIENT", "TRACKING", "OFF"]),
    ("set", &["SET", "KEY", "x", "PX", "10000"]),
    ("get", &["GET", "KEY"]),
    ("mget", &["MGET", "KEY"]),
    ("getrange", &["GETRANGE", "KEY", "0", "0"]),
    ("setrange", &["SETRANGE", "KEY", "0", "y"]),
    ("pttl", &["PTTL", "KEY"]),
    ("pexpire", &["PEXPIRE", "KEY", "10000"]),
    ("type", &["TYPE", "KEY"]),
    ("scan", &["SCAN", "0", "MATCH", "KEY", "COUNT", "1"]),
    ("eval", &["EVAL", "return 1", "1", "KEY"]),
    ("evalsha", &["EVALSHA", "0000000000000000000000000000000000000000", "1", "KEY"]),
    ("unlink", &["UNLINK", "KEY"]),
];

/// The commands for nodes of a cluster.
const CLUSTER: [Command; 4] = [
    ("script|load", &["SCRIPT", "LOAD", "return 1"]),
    ("cluster|slots", &["CLUSTER", "SLOTS"]),
    ("cluster|info", &["CLUSTER", "INFO"]),
    ("asking", &["ASKING"]),
];

/// The command for a server that is no node of a cluster.
const ALONE: [Command; 1] = [("role", &["ROLE"])];

/// The commands that the cache sends to a server of this topology. `hello` is one more, which needs no right.
fn commands(shape: &Shape) -> Vec<Command> {
    let others: &[Command] = if shape.topology == "cluster" { &CLUSTER } else { &ALONE };
    [&COMMANDS[..], others].concat()
}

/// Rules of an ACL that allow these commands, for a shell.
fn allowed(names: &[&str]) -> String {
    let rule = |name: &&str| {
        // A shell would read the bar.
        if name.contains('|') { format!("'+{name}'") } else { format!("+{name}") }
    };
    names.iter().map(rule).collect::<Vec<_>>().join(" ")
}

/// The rule of an ACL that allows the keys of the namespace, for a shell.
fn keys_of(namespace: &str) -> String {
    format!("'~{}:*'", escape_glob(namespace).replace('\'', r"'\''"))
}

/// A line that changes a user, on each server.
fn set_user(server: &Server, shape: &Shape, rules: &str) -> String {
    let line = server.shell(&format!("ACL SETUSER {rules}"));
    if shape.topology == "cluster" { format!("{line}  # and on each other node") } else { line }
}

/// Whether the application may do what it needs.
pub(super) fn acl_min(facts: &Facts) -> Running<'_> {
    Box::pin(async move {
        let mut findings = Vec::new();
        for server in &facts.servers {
            findings.push((server.address(), rights(server, &facts.target.shape).await));
        }
        together(&findings)
    })
}

async fn rights(server: &Server, shape: &Shape) -> Finding {
    let (user, namespace) = (user(shape), &shape.namespace);
    let key = format!("{namespace}:cachectl-doctor:acl");
    let commands = commands(shape);
    let (mut missing, mut is_out_of_reach) = (Vec::new(), false);
    for (name, words) in &commands {
        let words: Vec<&str> =
            words.iter().map(|word| if *word == "KEY" { &key } else { *word }).collect();
        let Err(error) = server.application.send(&words).await else { continue };
        if error.code.as_deref() == Some("NOPERM") {
            // "No permissions to access a key" in place of "no permissions to run the command".
            if error.text.contains("access") { is_out_of_reach = true } else { missing.push(*name) }
        } else if error.code.is_none() {
            return Finding::error(format!("{name}: {}", error.text));
        }
    }
    let (mut lacks, mut rules) = (Vec::new(), vec![user.to_owned()]);
    if is_out_of_reach {
        lacks.push(format!("use the keys {namespace}:*"));
        // Only where the keys are out of reach: Redis refuses a pattern for a user who may use all keys.
        rules.push(keys_of(namespace));
    }
    if !missing.is_empty() {
        lacks.push(format!("run {}", missing.join(", ")));
        rules.push(allowed(&missing));
    }
    if lacks.is_empty() {
        let count = commands.len() + 1;
        return Finding::ok(format!(
            "the user {user} may run all {count} commands of the cache on {namespace}:*"
        ));
    }
    Finding::error(format!("the user {user} may not {}", lacks.join(", nor "))).fix(set_user(
        server,
        shape,
        &rules.join(" "),
    ))
}

/// The user that the application logs in as.
fn user(shape: &Shape) -> &str {
    shape.username.as_deref().unwrap_or("default")
}

/// Whether the application may do more than it needs.
pub(super) fn acl_max(facts: &Facts) -> Running<'_> {
    Box::pin(async move {
        let mut findings = Vec::new();
        for server in &facts.servers {
            findings.push((server.address(), excess(server, &facts.target.shape).await));
        }
        together(&findings)
    })
}

async fn excess(server: &Server, shape: &Shape) -> Finding {
    let user = user(shape);
    let harm: [&[&str]; 3] = [&["CONFIG", "GET", "maxmemory"], &["KEYS", "*"], &["FLUSHALL"]];
    let mut harmful = Vec::new();
    for words in harm {
        let asked = [&["ACL", "DRYRUN", user][..], words].concat();
        match server.operator().send(&asked).await {
            Ok(Reply::Okay) => harmful.push(words[0]),
            // A refusal in a sentence.
            Ok(_) => {}
            Err(error) => {
                return Finding::skipped(format!(
                    "not permitted here: ACL DRYRUN ({})",
                    error.text
                ));
            }
        }
    }
    if harmful.is_empty() {
        return Finding::ok(format!("the user {user} may not run CONFIG, KEYS or FLUSHALL"));
    }
    let names: Vec<_> =
        std::iter::once("hello").chain(commands(shape).iter().map(|(name, _)| *name)).collect();
    // The keys anew: Redis refuses a pattern beside that for all keys.
    let rules = format!(
        "app on '>PASSWORD' resetkeys {} resetchannels -@all {}",
        keys_of(&shape.namespace),
        allowed(&names)
    );
    let fix = set_user(server, shape, &rules);
    let then = if shape.topology == "cluster" { "," } else { "  #" };
    let fix = format!("{fix}{then} then REDIS_USERNAME=app and REDIS_PASSWORD for the application");
    Finding::warn(format!("the user {user} may run {}", harmful.join(", "))).fix(fix)
}

/// Whether strangers can reach the server and log in.
pub(super) fn exposure(facts: &Facts) -> Running<'_> {
    Box::pin(async move {
        let mut findings = Vec::new();
        for server in facts.servers.iter().filter(|server| server.config.is_ok()) {
            findings.push((server.address(), exposed(server).await));
        }
        together(&findings)
    })
}

async fn exposed(server: &Server) -> Finding {
    let config = server.config.clone().unwrap_or_default();
    let setting = |name: &str| config.get(name).map_or("", String::as_str);
    let users = server.operator().send(&["ACL", "LIST"]).await;
    let open = match &users {
        Ok(users) => reply::list(users).iter().filter_map(reply::text).any(|user| {
            user.starts_with("user default on ") && user.split(' ').any(|word| word == "nopass")
        }),
        Err(_) if told(&users).contains("unknown command") => setting("requirepass").is_empty(),
        Err(error) => {
            return Finding::skipped(format!("not permitted here: ACL LIST ({})", error.text));
        }
    };
    let public = listens(&config);
    let protected = setting("protected-mode") == "yes";
    let place = match public {
        Some(addresses) => format!("listens on {addresses}"),
        None => "listens on loopback alone".to_owned(),
    };
    let public = public.is_some();
    if !open {
        return Finding::ok(format!("{place}; the user default has a password or is off"));
    }
    let fix = server.shell("CONFIG SET requirepass 'a long password'");
    match (public, protected) {
        (true, false) => Finding::error(format!(
            "{place} without protected mode, and the user default needs no password"
        ))
        .fix(fix),
        (true, true) => {
            Finding::info(format!("{place} in protected mode; the user default needs no password"))
                .fix(fix)
        }
        (false, _) => Finding::info(format!("{place}; the user default needs no password")),
    }
}

/// The addresses that a server listens on, with TLS or without; `None` where strangers cannot reach them.
fn listens(config: &BTreeMap<String, String>) -> Option<&str> {
    let setting = |name: &str| config.get(name).map_or("", String::as_str);
    if setting("port") == "0" && matches!(setting("tls-port"), "" | "0") {
        return None;
    }
    let is_loopback = |address: &str| {
        let address = address.trim_start_matches('-');
        address.starts_with("127.") || address == "::1" || address == "localhost"
    };
    match setting("bind") {
        "" => Some("all addresses"),
        bind if bind.split(' ').all(is_loopback) => None,
        bind => Some(bind),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_with_tls_is_one_that_strangers_reach() {
        let listens_with = |settings: [(&str, &str); 3]| {
            let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned()));
            listens(&BTreeMap::from(settings)).map(str::to_owned)
        };
        let tls = listens_with([("port", "0"), ("tls-port", "6380"), ("bind", "* -::*")]);
        assert_eq!(tls.as_deref(), Some("* -::*"));
        let plain = listens_with([("port", "6379"), ("tls-port", "0"), ("bind", "")]);
        assert_eq!(plain.as_deref(), Some("all addresses"));
        let local = [("port", "6379"), ("tls-port", "6380"), ("bind", "127.0.0.1 -::1")];
        assert_eq!(listens_with(local), None);
        assert_eq!(listens_with([("port", "0"), ("tls-port", "0"), ("bind", "*")]), None);
    }

    #[test]
    fn a_namespace_stands_in_a_rule_as_it_is() {
        assert_eq!(keys_of("shop"), "'~shop:*'");
        assert_eq!(keys_of("it's*"), r"'~it'\''s\*:*'");
    }
}
