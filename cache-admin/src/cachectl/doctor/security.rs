//! Checks of rights: the application's, and those of strangers.

use cache_runtime::__admin::Reply;

use super::super::reply;
use super::check::{Finding, Running, together};
use super::facts::{Facts, Server, told};

/// Every command of the cache, with words that change nothing of the application's. `KEY` stands for a key of the
/// check's own, and the order is that in which they are sent.
const COMMANDS: [(&str, &[&str]); 15] = [
    ("ping", &["PING"]),
    ("role", &["ROLE"]),
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

/// What a login has to be allowed, `hello` with it, as a line for a shell.
fn acl_line(user: &str, namespace: &str) -> String {
    let commands = COMMANDS.iter().map(|(name, _)| match *name {
        // A shell would read the bar.
        name if name.contains('|') => format!("'+{name}'"),
        name => format!("+{name}"),
    });
    let commands: Vec<_> = std::iter::once("+hello".to_owned()).chain(commands).collect();
    format!("ACL SETUSER {user} -@all '~{namespace}:*' {}", commands.join(" "))
}

/// Whether the application may do what it needs.
pub(super) fn acl_min(facts: &Facts) -> Running<'_> {
    Box::pin(async move {
        let shape = &facts.target.shape;
        let user = shape.username.as_deref().unwrap_or("default");
        let mut findings = Vec::new();
        for server in &facts.servers {
            findings.push((server.address(), rights(server, user, &shape.namespace).await));
        }
        together(&findings)
    })
}

async fn rights(server: &Server, user: &str, namespace: &str) -> Finding {
    let key = format!("{namespace}:cachectl-doctor:acl");
    let (mut commands, mut keys) = (Vec::new(), Vec::new());
    for (name, words) in COMMANDS {
        let words: Vec<&str> =
            words.iter().map(|word| if *word == "KEY" { &key } else { *word }).collect();
        let Err(error) = server.application.send(&words).await else { continue };
        if error.code.as_deref() == Some("NOPERM") {
            // "No permissions to access a key" in place of "no permissions to run the command".
            if error.text.contains("access") { keys.push(name) } else { commands.push(name) }
        } else if error.code.is_none() {
            return Finding::error(format!("{name}: {}", error.text));
        }
    }
    let fix = server.shell(&acl_line(user, namespace).replace('*', "\\*"));
    if !commands.is_empty() {
        return Finding::error(format!("the user {user} may not run {}", commands.join(", ")))
            .fix(fix);
    }
    if !keys.is_empty() {
        return Finding::error(format!("the user {user} may not use the keys {namespace}:*"))
            .fix(fix);
    }
    Finding::ok(format!("the user {user} may run all 16 commands of the cache on {namespace}:*"))
}

/// Whether the application may do more than it needs.
pub(super) fn acl_max(facts: &Facts) -> Running<'_> {
    Box::pin(async move {
        let shape = &facts.target.shape;
        let user = shape.username.as_deref().unwrap_or("default");
        let mut findings = Vec::new();
        for server in &facts.servers {
            findings.push((server.address(), excess(server, user, &shape.namespace).await));
        }
        together(&findings)
    })
}

async fn excess(server: &Server, user: &str, namespace: &str) -> Finding {
    let harm: [&[&str]; 3] = [&["CONFIG", "GET", "maxmemory"], &["KEYS", "*"], &["FLUSHALL"]];
    let mut allowed = Vec::new();
    for words in harm {
        let asked = [&["ACL", "DRYRUN", user][..], words].concat();
        match server.operator().send(&asked).await {
            Ok(Reply::Okay) => allowed.push(words[0]),
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
    if allowed.is_empty() {
        return Finding::ok(format!("the user {user} may not run CONFIG, KEYS or FLUSHALL"));
    }
    let fix = server.shell(&acl_line("app on '>PASSWORD'", namespace));
    let fix = format!("{fix}  # then REDIS_USERNAME=app and REDIS_PASSWORD for the application");
    Finding::warn(format!("the user {user} may run {}", allowed.join(", "))).fix(fix)
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
    let bind = setting("bind");
    let is_loopback = |address: &str| {
        let address = address.trim_start_matches('-');
        address.starts_with("127.") || address == "::1" || address == "localhost"
    };
    let public = setting("port") != "0" && (bind.is_empty() || !bind.split(' ').all(is_loopback));
    let protected = setting("protected-mode") == "yes";
    let place = if public {
        format!("listens on {}", if bind.is_empty() { "all addresses" } else { bind })
    } else {
        "listens on loopback alone".to_owned()
    };
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
