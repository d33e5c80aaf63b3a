//! The commands beside `doctor`, on entries that an application has stored.

use std::collections::BTreeMap;

use cache_admin::{Access, Role};
use cache_runtime::{Cache, OutcomeKind, cache_result, observe, peek};
use serde::{Deserialize, Serialize};
use support::{Proxy, Server, Verdict, configured, eventually, patient};
use tokio::io::{AsyncBufReadExt as _, BufReader};

use crate::program::{Run, run};

#[cache_result(ttl = 600, prefix = "areas", tags = ["agent:{agent}"])]
async fn areas(agent: u32) -> Vec<u32> {
    vec![agent, 7]
}

#[cache_result(ttl = 600, prefix = "users", key = "{id}")]
async fn user(id: u32) -> User {
    let seen = BTreeMap::from([(id, f64::INFINITY)]);
    User { name: "x".repeat(3), balance: u64::MAX, picture: Bytes(vec![0, 255]), seen, note: None }
}

#[derive(Clone, PartialEq, Serialize, Deserialize)]
struct User {
    name: String,
    balance: u64,
    picture: Bytes,
    seen: BTreeMap<u32, f64>,
    note: Option<String>,
}

/// Bytes that serde writes as bytes.
#[derive(Clone, PartialEq)]
struct Bytes(Vec<u8>);

impl Serialize for Bytes {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Bytes;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("bytes")
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Bytes, E> {
                Ok(Bytes(bytes.to_vec()))
            }
        }
        deserializer.deserialize_bytes(Visitor)
    }
}

async fn populate(cache: &Cache) {
    cache
        .scope(async {
            for agent in 1..=3 {
                areas(agent).await;
                user(agent).await;
            }
        })
        .await;
    cache.flush().await;
}

async fn on(server: &Server, words: &str) -> Run {
    run(&[("REDIS_URL", &server.url())], words).await
}

/// Keys and their states.
fn listed(run: &Run) -> Vec<(String, String, Option<bool>)> {
    let json = run.json();
    let entries = json["entries"].as_array().expect("entries").iter();
    let text = |value: &serde_json::Value| value.as_str().expect("text").to_owned();
    entries
        .map(|entry| (text(&entry["key"]), text(&entry["state"]), entry["live"].as_bool()))
        .collect()
}

#[tokio::test]
async fn entries_are_listed_with_what_their_headers_say() {
    let server = Server::start().await;
    let cache = server.cache().await;
    populate(&cache).await;
    server.command::<()>(&["SET", "foreign:users:1", "x"]).await;
    server.command::<()>(&["SET", "cache:users:by-hand", "x"]).await;
    let ran = on(&server, "ls users --json").await;
    let mut found = listed(&ran);
    assert_eq!(found.pop(), Some(("cache:users:by-hand".to_owned(), "foreign".to_owned(), None)));
    assert_eq!(found.len(), 3, "{ran:?}");
    for (id, (key, ..)) in (1..).zip(&found) {
        // Behind the `@` is the function.
        assert!(key.starts_with(&format!("cache:users:{id}@")), "{key}");
    }
    assert!(
        found.iter().all(|(_, state, live)| state == "value" && *live == Some(true)),
        "{ran:?}"
    );
    // Whether an entry with tags is live depends on tokens that it does not name.
    assert!(
        listed(&on(&server, "ls areas --json").await).iter().all(|(_, _, live)| live.is_none())
    );
    cache.invalidate_prefix("areas").await.expect("it is delivered");
    assert!(
        listed(&on(&server, "ls areas --json").await)
            .iter()
            .all(|(_, _, live)| *live == Some(false))
    );
    let limited = on(&server, "ls --limit 2 --json").await;
    assert_eq!((listed(&limited).len(), &limited.json()["complete"]), (2, &false.into()));
    let text = on(&server, "ls areas").await.stdout;
    assert!(
        text.starts_with("KEY") && text.lines().count() == 4 && text.contains("dead"),
        "{text}"
    );
}

#[tokio::test]
async fn a_key_cannot_write_to_the_terminal() {
    let server = Server::start().await;
    let key = "cache:users:\u{1b}]0;x\u{7}\r\n\u{9b}2J";
    server.command::<()>(&["SET", key, "x", "PX", "600000"]).await;
    let text = on(&server, "ls users").await.stdout;
    assert!(text.contains(r"\u{1b}]0;x\u{7}\r\n\u{9b}2J"), "{text:?}");
    assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
    assert_eq!(on(&server, "ls users --json").await.json()["entries"][0]["key"], key);
}

#[tokio::test]
async fn a_value_is_shown_as_json_and_what_json_lacks_by_name() {
    let server = Server::start().await;
    let cache = server.cache().await;
    populate(&cache).await;
    let keys = server.entries().await;
    let key = keys.iter().find(|key| key.starts_with("cache:users:2")).expect("it is stored");
    let ran = on(&server, &format!("get {key} --json")).await;
    let value = serde_json::json!({
        "name": "xxx",
        "balance": { "$integer": u64::MAX.to_string() },
        "picture": { "$bytes": "AP8=" },
        "seen": { "$map": [[2, { "$float": "inf" }]] },
        "note": null,
    });
    let json = ran.json();
    assert_eq!(json["value"], value, "{ran:?}");
    assert_eq!(
        (&json["state"], &json["live"], &json["stale"]),
        (&"value".into(), &true.into(), &false.into())
    );
    assert!(json["ttl_left_seconds"].as_f64().is_some_and(|left| left > 500.0 && left <= 600.0));
    let short = key.strip_prefix("cache:").expect("a key of the namespace");
    let header = on(&server, &format!("get {short} --header --json")).await;
    assert!(header.code == 0 && header.json().get("value").is_none(), "{header:?}");
    let absent = on(&server, "get cache:users:none").await;
    assert_eq!(absent.code, 1, "{absent:?}");
}

async fn is_hit(cache: &Cache, agent: u32) -> bool {
    cache.scope(peek(areas(agent))).await.is_some()
}

#[tokio::test]
async fn what_is_invalidated_is_gone_and_the_rest_stays() {
    let server = Server::start().await;
    let cache = server.cache().await;
    populate(&cache).await;
    let dry = on(&server, "invalidate --prefix areas --dry-run --json").await;
    assert_eq!(
        (&dry.json()["entries"], &dry.json()["unlinked"]),
        (&3.into(), &"cache:~areas".into())
    );
    assert!(is_hit(&cache, 1).await && is_hit(&cache, 2).await);
    let tag = on(&server, "invalidate --tag agent:1 --json").await;
    assert_eq!((tag.code, &tag.json()["delivered"]), (0, &true.into()), "{tag:?}");
    assert!(!is_hit(&cache, 1).await && is_hit(&cache, 2).await);
    let keys = server.entries().await;
    let users: Vec<_> = keys.iter().filter(|key| key.starts_with("cache:users:")).collect();
    assert_eq!(on(&server, &format!("invalidate --key {}", users[0])).await.code, 0);
    assert_eq!(
        server.entries().await.iter().filter(|key| key.starts_with("cache:users:")).count(),
        2
    );
    assert_eq!(on(&server, "invalidate --prefix areas").await.code, 0);
    assert!(!is_hit(&cache, 2).await);
    for words in ["invalidate --all", "invalidate --all --confirm shop"] {
        let refused = on(&server, words).await;
        assert!(refused.code == 64 && refused.stderr.contains("cache"), "{refused:?}");
    }
    assert!(!server.entries().await.is_empty());
    assert_eq!(on(&server, "invalidate --all --confirm cache").await.code, 0);
    assert_eq!(server.keys().await, [""; 0]);
}

#[tokio::test]
async fn a_dry_run_names_the_key_that_would_be_removed() {
    let server = Server::start().await;
    let unlinked = async |tag: &str| {
        let ran = on(&server, &format!("invalidate --tag {tag} --dry-run --json")).await;
        ran.json()["unlinked"].as_str().expect("a key").to_owned()
    };
    assert_eq!(unlinked("agent:{7}").await, "cache:#agent:%7B7%7D");
    let long = unlinked(&"x".repeat(300)).await;
    assert!(long.starts_with("cache:##") && long.len() < 60, "{long}");
    // The process's Redis may be another one than that of the environment.
    let asked = on(&server, "--admin http://127.0.0.1:1 invalidate --tag x --dry-run").await;
    assert!(asked.code == 64 && asked.stderr.contains("--admin"), "{asked:?}");
}

#[tokio::test]
async fn a_replica_that_is_promoted_gets_the_invalidation() {
    let server = Server::start().await;
    let _ = server.command::<String>(&["REPLICAOF", "127.0.0.1", "1"]).await;
    let url = server.url();
    let environment = [("REDIS_URL", url.as_str())];
    let invalidating = run(&environment, "invalidate --prefix areas");
    let promoting = async {
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        server.command::<String>(&["REPLICAOF", "NO", "ONE"]).await
    };
    let (ran, _) = tokio::join!(invalidating, promoting);
    assert!(ran.code == 0 && ran.stdout.contains("delivered in"), "{ran:?}");
    server.command::<()>(&["ACL", "SETUSER", "default", "-unlink"]).await;
    let forbidden = run(&environment, "invalidate --prefix areas --timeout 60s").await;
    assert!(forbidden.code == 2 && forbidden.stderr.contains("NOPERM"), "{forbidden:?}");
}

#[tokio::test]
async fn a_switch_that_is_written_is_done_though_nobody_can_be_counted() {
    let server = Server::start().await;
    let socket = server.socket().display().to_string();
    // Of all reads, that of the reports alone has so many names.
    let proxy = Proxy::start(socket, |words| {
        let counts = words[0] == "MGET" && words.len() > 60;
        if counts { Verdict::Refuse("ERR not now") } else { Verdict::Pass }
    })
    .await;
    let url = proxy.url();
    let ran = run(&[("REDIS_URL", &url)], "switch off --reason rebuild --json").await;
    assert_eq!((ran.code, &ran.json()["processes"]), (0, &serde_json::Value::Null), "{ran:?}");
    let text = run(&[("REDIS_URL", &url)], "switch on").await;
    assert!(text.code == 0 && text.stdout.contains("in all processes"), "{text:?}");
}

#[tokio::test]
async fn watching_ends_with_its_reader() {
    let server = Server::start().await;
    let mut watching = tokio::process::Command::new(env!("CARGO_BIN_EXE_cachectl"))
        .env_clear()
        .env("REDIS_URL", server.url())
        .args(["watch", "--interval", "100ms"])
        .stdout(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("it runs");
    let mut reader = BufReader::new(watching.stdout.take().expect("its output"));
    let mut line = String::new();
    reader.read_line(&mut line).await.expect("a line");
    assert!(line.starts_with("processes 0"), "{line}");
    drop(reader);
    let ended = tokio::time::timeout(std::time::Duration::from_secs(20), watching.wait()).await;
    assert_eq!(ended.expect("it ends").expect("it is waited for").code(), Some(0));
}

#[tokio::test]
async fn what_cannot_be_delivered_is_said_by_the_exit_code() {
    let (_folder, url) = Server::absent();
    let ran = run(&[("REDIS_URL", &url)], "invalidate --prefix areas --timeout 1s --json").await;
    assert_eq!((ran.code, &ran.json()["exit_code"]), (2, &2.into()));
    let error = ran.json()["error"].to_string();
    assert!(error.contains("prefix areas was not invalidated"), "{error}");
    for words in ["ls areas", "get x", "stats", "watch --count 1", "switch off --reason x"] {
        assert_eq!(run(&[("REDIS_URL", &url)], words).await.code, 2, "{words}");
    }
}

#[tokio::test]
async fn a_server_that_comes_back_gets_the_invalidation() {
    let mut server = Server::start().await;
    server.kill();
    let url = server.url();
    let environment = [("REDIS_URL", url.as_str())];
    let invalidating = run(&environment, "invalidate --prefix areas");
    let restarting = async {
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        server.restart().await;
    };
    let (ran, ()) = tokio::join!(invalidating, restarting);
    assert!(ran.code == 0 && ran.stdout.contains("delivered in"), "{ran:?}");
}

#[tokio::test]
async fn processes_are_seen_by_their_heartbeats_and_switched_together() {
    let server = Server::start().await;
    let cache = server.cache().await;
    let nobody = on(&server, "stats").await;
    assert!(nobody.code == 0 && nobody.stdout.contains("heartbeat"), "{nobody:?}");
    populate(&cache).await;
    let _heartbeat = cache_admin::heartbeat(&cache);
    eventually("the process is seen", async || {
        on(&server, "stats --json").await.json()["processes"]
            .as_array()
            .is_some_and(|all| all.len() == 1)
    })
    .await;
    let stats = on(&server, "stats --json --prefix areas").await.json();
    assert_eq!((&stats["schema"], &stats["source"]), (&1.into(), &"heartbeats".into()));
    assert_eq!(
        (&stats["prefixes"][0]["counters"]["calls"], &stats["prefixes"][1]),
        (&3.into(), &serde_json::Value::Null)
    );
    let text = on(&server, "stats").await.stdout;
    assert!(text.contains("areas") && text.contains("users") && text.contains("total"), "{text}");
    let watched = on(&server, "watch --interval 200ms --count 2").await;
    assert!(watched.code == 0 && watched.stdout.lines().count() == 2, "{watched:?}");
    assert!(watched.stdout.starts_with("processes 1  calls/s "), "{watched:?}");
    let lines = on(&server, "watch --interval 200ms --count 2 --json").await.stdout;
    let lines: Vec<serde_json::Value> =
        lines.lines().map(|line| serde_json::from_str(line).expect("an object a line")).collect();
    assert_eq!((lines.len(), &lines[1]["processes"]), (2, &1.into()));
    let unexplained = on(&server, "switch off --prefix areas").await;
    assert_eq!(unexplained.code, 64, "{unexplained:?}");
    let off = run(
        &[("REDIS_URL", &server.url())],
        "switch off --prefix areas --for 5m --reason rebuild --json",
    )
    .await;
    assert_eq!((off.code, &off.json()["processes"]), (0, &1.into()), "{off:?}");
    let bypasses =
        async || matches!(cache.scope(observe(areas(1))).await.1.kind, OutcomeKind::Bypassed(_));
    eventually("the process has seen it", &bypasses).await;
    assert!(on(&server, "stats").await.stdout.contains("switched off: areas"));
    assert_eq!(on(&server, "switch on --prefix areas").await.code, 0);
    assert_eq!(on(&server, "switch on --prefix areas").await.code, 2);
    eventually("it is on again", async || !bypasses().await).await;
}

#[tokio::test]
async fn a_process_is_asked_through_its_admin_api() {
    const TOKEN: &str = "a-token-of-operators";
    let server = Server::start().await;
    let cache = server.cache().await;
    populate(&cache).await;
    let access = Access::token(Role::Reveal, TOKEN).expect("a strong token");
    let app = axum::Router::new().nest_service("/cache", cache_admin::router(&cache, access));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}/cache", listener.local_addr().expect("it is bound"));
    let serving = tokio::spawn(async move { axum::serve(listener, app).await });
    let redis = server.url();
    let asked = async |words: &str| {
        let words = format!("--admin {url} {words}");
        run(&[("CACHE_ADMIN_TOKEN", TOKEN), ("REDIS_URL", &redis)], &words).await
    };
    let stats = asked("stats --json").await;
    assert_eq!(
        (&stats.json()["source"], &stats.json()["total"]["calls"]),
        (&"admin".into(), &6.into()),
        "{stats:?}"
    );
    let checked = asked("doctor --json --only app").await;
    assert_eq!((checked.code, checked.verdict("app").as_str()), (0, "ok"), "{checked:?}");
    let keys = server.entries().await;
    let key = keys.iter().find(|key| key.starts_with("cache:areas:")).expect("it is stored");
    let entry = asked(&format!("get {key} --json")).await;
    assert!(entry.json()["value"].is_array(), "{entry:?}");
    assert_eq!(asked("invalidate --prefix areas --reason import").await.code, 0);
    assert!(!is_hit(&cache, 1).await);
    assert_eq!(asked("switch off --reach process --reason try").await.code, 0);
    assert!(!cache.is_enabled());
    assert_eq!(asked("switch on --reach process").await.code, 0);
    let stranger = run(&[("REDIS_URL", &redis)], &format!("--admin {url} stats")).await;
    assert!(stranger.code == 2 && stranger.stderr.contains("CACHE_ADMIN_TOKEN"), "{stranger:?}");
    serving.abort();
}

/// Entries on several masters, over which [`crate::doctor`] has a cluster.
pub(crate) async fn entries_of_a_cluster(url: &str) {
    let cache = Cache::connect(patient(configured(&[("REDIS_URL", url)]).expect("a URL"))).await;
    let cache = cache.expect("the cluster answers");
    populate(&cache).await;
    let environment = [("REDIS_URL", url)];
    let ran = run(&environment, "ls users --json").await;
    assert_eq!(listed(&ran).len(), 3, "{ran:?}");
    for (key, state, live) in listed(&ran) {
        assert_eq!((state.as_str(), live), ("value", Some(true)), "{key}");
        let got = run(&environment, &format!("get {key} --json")).await;
        assert_eq!(got.json()["value"]["name"], "xxx", "{got:?}");
    }
    assert_eq!(run(&environment, "invalidate --prefix users").await.code, 0);
    assert!(cache.scope(peek(user(1))).await.is_none());
}

#[tokio::test]
async fn completions_and_the_manual_know_the_commands() {
    for shell in ["bash", "zsh", "fish"] {
        let completions = run(&[], &format!("completions {shell}")).await;
        assert!(completions.code == 0 && completions.stdout.contains("invalidate"), "{shell}");
    }
    let manual = run(&[], "man").await.stdout;
    for text in [".TH cachectl", "cachectl doctor", "\\-\\-strict", "CACHE_ADMIN_TOKEN"] {
        assert!(manual.contains(text), "{text} is missing");
    }
}
