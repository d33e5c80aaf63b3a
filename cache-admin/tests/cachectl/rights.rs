//! `cachectl doctor` with logins that lack rights, and what a report tells of them.

use support::{ClusterServers, Node, Server};

use crate::doctor::{DOCTOR, doctor, is_whole};
use crate::program::{Run, run};

/// Everything that the cache sends: tests/integration/tests/acl.rs has the proof.
const COMMANDS: [&str; 16] = [
    "+hello",
    "+ping",
    "+role",
    "+client|tracking",
    "+mget",
    "+get",
    "+set",
    "+getrange",
    "+setrange",
    "+pttl",
    "+pexpire",
    "+unlink",
    "+type",
    "+scan",
    "+eval",
    "+evalsha",
];

/// A server with a user `app`, which may run these commands on the keys of the cache.
async fn with_user(commands: &[&str]) -> Server {
    let server = Server::start().await;
    let user = ["ACL", "SETUSER", "app", "reset", "on", ">secret-of-app", "~cache:*"];
    server.command::<()>(&[&user[..], commands].concat()).await;
    server
}

async fn as_app(server: &Server, words: &str) -> Run {
    let url = server.url();
    let login = [
        ("REDIS_URL", url.as_str()),
        ("REDIS_USERNAME", "app"),
        ("REDIS_PASSWORD", "secret-of-app"),
    ];
    run(&login, words).await
}

/// Sends the line of a fix, as a shell and `redis-cli` would.
async fn paste(check: &serde_json::Value, send: impl AsyncFn(&[&str])) {
    let fix = check["fix"].as_str().expect("a fix");
    let (client, command) = fix.split_once(" ACL ").expect("a line for the server");
    assert!(client.starts_with("redis-cli -"), "{fix}");
    // A shell takes the quotes away, and the comment.
    let mut shell = std::process::Command::new("sh");
    let printed = shell.args(["-c", &format!("printf '%s\\n' ACL {command}")]).output();
    let printed = String::from_utf8(printed.expect("a shell").stdout).expect("text");
    send(&printed.lines().collect::<Vec<_>>()).await;
}

/// A login in a cluster needs other rights than on a server alone.
pub(crate) async fn in_a_cluster(cluster: &ClusterServers) {
    let mut rules = vec!["ACL", "SETUSER", "app", "reset", "on", ">secret-of-app", "~cache:*"];
    rules.extend(COMMANDS.into_iter().filter(|command| *command != "+role"));
    rules.extend(["+script|load", "+cluster|slots", "+cluster|info"]);
    for node in cluster.nodes() {
        node.command::<()>(&rules).await;
    }
    let url = cluster.url();
    let app = [
        ("REDIS_URL", url.as_str()),
        ("REDIS_USERNAME", "app"),
        ("REDIS_PASSWORD", "secret-of-app"),
    ];
    let ran = run(&app, "doctor --json --only acl-min").await;
    assert!(ran.observed("acl-min").ends_with("the user app may not run asking"), "{ran:?}");
    for node in cluster.nodes() {
        paste(&ran.check("acl-min"), async |words| node.command(words).await).await;
    }
    let mended = run(&app, "doctor --json --only acl-min,entry").await;
    assert_eq!((mended.code, mended.verdict("acl-min").as_str()), (0, "ok"), "{mended:?}");
    assert!(mended.observed("acl-min").contains("all 19 commands"), "{mended:?}");
}

#[tokio::test]
async fn a_login_without_scripts_cannot_store_and_the_line_to_paste_helps() {
    let commands: Vec<_> = COMMANDS.into_iter().filter(|command| *command != "+evalsha").collect();
    let server = with_user(&commands).await;
    let ran = as_app(&server, DOCTOR).await;
    is_whole(&ran);
    assert_eq!((ran.code, ran.verdict("script").as_str()), (2, "error"), "{}", ran.check("script"));
    assert_eq!(ran.observed("acl-min"), "the user app may not run evalsha");
    paste(&ran.check("acl-min"), async |words| server.command(words).await).await;
    let mended = as_app(&server, DOCTOR).await;
    assert_eq!((mended.code, mended.verdict("acl-min").as_str()), (0, "ok"), "{mended:?}");
}

#[tokio::test]
async fn a_login_with_the_least_rights_works_and_an_operator_sees_more() {
    let server = with_user(&COMMANDS).await;
    let ran = as_app(&server, DOCTOR).await;
    is_whole(&ran);
    assert_eq!((ran.code, &ran.json()["access"]), (0, &"application".into()), "{ran:?}");
    for id in ["entry", "tracking", "script", "acl-min", "role", "protocol"] {
        assert_eq!(ran.verdict(id), "ok", "{}", ran.check(id));
    }
    assert!(ran.observed("maxmemory").starts_with("not permitted here: INFO"));
    let skipped = ran.json();
    assert!(
        skipped["skipped_for"]["info"].as_array().is_some_and(|ids| ids.len() > 5),
        "{skipped}"
    );
    server.command::<()>(&["ACL", "SETUSER", "app", "+info"]).await;
    let informed = as_app(&server, DOCTOR).await;
    assert_eq!(informed.json()["access"], "info");
    assert_eq!(informed.verdict("persistence"), "info", "{}", informed.check("persistence"));
    server
        .command::<()>(&[
            "ACL",
            "SETUSER",
            "operator",
            "reset",
            "on",
            ">secret-of-operator",
            "+@all",
            "~*",
            "&*",
        ])
        .await;
    let url = server.url();
    let both = [
        ("REDIS_URL", url.as_str()),
        ("REDIS_USERNAME", "app"),
        ("REDIS_PASSWORD", "secret-of-app"),
        ("CACHECTL_REDIS_USERNAME", "operator"),
        ("CACHECTL_REDIS_PASSWORD", "secret-of-operator"),
    ];
    let ran = run(&both, DOCTOR).await;
    assert_eq!(ran.json()["access"], "admin");
    assert_eq!(ran.verdict("acl-max"), "ok", "{}", ran.check("acl-max"));
    let wrong =
        [both[0], both[1], both[2], both[3], ("CACHECTL_REDIS_PASSWORD", "secret-of-nobody")];
    let refused = run(&wrong, "doctor --json").await;
    assert_eq!((refused.code, refused.verdict("auth").as_str()), (0, "warn"), "{refused:?}");
    assert!(!format!("{ran:?} {refused:?}").contains("secret-of"), "{ran:?}");
}

#[tokio::test]
async fn keys_out_of_reach_are_told_from_commands() {
    let server = Server::start().await;
    let user = ["ACL", "SETUSER", "app", "reset", "on", ">secret-of-app", "~elsewhere:*"];
    server.command::<()>(&[&user[..], &COMMANDS[..]].concat()).await;
    let ran = as_app(&server, DOCTOR).await;
    assert_eq!(ran.observed("acl-min"), "the user app may not use the keys cache:*");
    assert_eq!((ran.code, ran.verdict("entry").as_str()), (2, "error"));
    paste(&ran.check("acl-min"), async |words| server.command(words).await).await;
    let mended = as_app(&server, DOCTOR).await;
    assert_eq!((mended.code, mended.verdict("acl-min").as_str()), (0, "ok"), "{mended:?}");
}

#[tokio::test]
async fn the_line_for_one_command_takes_no_right_away() {
    let server = Server::start().await;
    server.command::<()>(&["ACL", "SETUSER", "default", "-evalsha"]).await;
    let ran = doctor(&server).await;
    assert_eq!(ran.observed("acl-min"), "the user default may not run evalsha");
    paste(&ran.check("acl-min"), async |words| server.command(words).await).await;
    let mended = doctor(&server).await;
    assert_eq!(mended.verdict("acl-min"), "ok", "{}", mended.check("acl-min"));
    assert_eq!(mended.json()["access"], "admin", "the user may still do everything else");
    paste(&mended.check("acl-max"), async |words| server.command(words).await).await;
    let url = server.url();
    let app =
        [("REDIS_URL", url.as_str()), ("REDIS_USERNAME", "app"), ("REDIS_PASSWORD", "PASSWORD")];
    let ran = run(&app, DOCTOR).await;
    assert_eq!((ran.code, ran.verdict("acl-min").as_str()), (0, "ok"), "{ran:?}");
}

#[tokio::test]
async fn a_report_to_be_shared_names_nobody() {
    let master = Node::alone().await;
    let port = master.port().to_string();
    let replica = Server::start_with(&["--replicaof", &format!("localhost {port}")]).await;
    let ran = run(&[("REDIS_URL", &replica.url())], "doctor --share --json").await;
    assert_eq!(ran.verdict("role"), "error", "{ran:?}");
    assert!(!ran.stdout.contains("localhost"), "{}", ran.check("role"));
    let absent = run(&[], "--admin http://localhost:1/cache/ doctor --share --json").await;
    assert!(absent.verdict("app") == "error" && !absent.stdout.contains("localhost"), "{absent:?}");
    let server = with_user(&COMMANDS).await;
    let shared = as_app(&server, "doctor --share --json").await;
    assert!(shared.observed("acl-min").starts_with("the user user may run all"), "{shared:?}");
    // The user's name is that of a check.
    assert_eq!(shared.check("app")["id"], "app");
}

#[tokio::test]
async fn sizes_that_the_application_may_not_ask_for_are_said_to_be_unknown() {
    let server = with_user(&COMMANDS).await;
    let large = "x".repeat(200_000);
    server.command::<()>(&["SET", "cache:areas:1", &large, "PX", "600000"]).await;
    let ran = as_app(&server, "doctor --json --only ours").await;
    let observed = ran.observed("ours");
    assert!(observed.contains("no size known; 1 sizes over 4 KiB are not known"), "{observed}");
    let login = |name: &'static str, word: &'static str| {
        let url = server.url();
        async move {
            let app = [("REDIS_URL", url.as_str()), ("REDIS_USERNAME", "app")];
            let app = [app[0], app[1], ("REDIS_PASSWORD", "secret-of-app")];
            let operator = [("CACHECTL_REDIS_USERNAME", name), ("CACHECTL_REDIS_PASSWORD", word)];
            run(&[&app[..], &operator[..]].concat(), "doctor --json --only ours").await
        }
    };
    let operator = ["ACL", "SETUSER", "oscar", "reset", "on", ">secret-of-oscar", "~*", "+@all"];
    server.command::<()>(&operator).await;
    let ran = login("oscar", "secret-of-oscar").await;
    assert_eq!(ran.verdict("ours"), "warn", "{}", ran.check("ours"));
    assert!(ran.observed("ours").contains("largest 195.3 KiB"), "{}", ran.check("ours"));
    // A login that watches the server may have no right to read keys.
    let monitor =
        ["ACL", "SETUSER", "monica", "reset", "on", ">secret-of-monica", "+ping", "+info"];
    server.command::<()>(&monitor).await;
    let ran = login("monica", "secret-of-monica").await;
    assert!(ran.observed("ours").contains("no size known"), "{}", ran.check("ours"));
}
