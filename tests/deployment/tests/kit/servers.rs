//! Settings that Redis refuses, users that may too much or too little, and backups that do not come back.

// Functions answer with the number of their run, whatever they are called with.
#![allow(unused_variables)]

use std::collections::BTreeSet;
use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::time::Duration;

use crate::operator::{Kit, output, run, said, text, url};
use cache_runtime::{
    Cache, Error, cache_result, invalidate, invalidate_prefix, invalidate_tag, observe,
};
use deployment::read;
use futures::future::join_all;
use support::{
    Node, computed, configured, eventually, fresh, hit, program, run as one_run, stored,
};

#[cache_result(ttl = 600, prefix = "areas", tags = ["agent:{key}"])]
async fn area(key: u32) -> u64 {
    one_run()
}

#[cache_result(ttl = 600, prefix = "copies", local)]
async fn copied(key: u32) -> u64 {
    one_run()
}

/// Longer than its lease, which is extended meanwhile.
#[cache_result(ttl = 600, prefix = "slow", lease = "300ms")]
async fn slow(key: u32) -> u64 {
    tokio::time::sleep(Duration::from_millis(700)).await;
    one_run()
}

/// What a service does with its cache: values, copies and every sort of invalidation.
async fn works(cache: &Cache) {
    let scenario = async {
        let key = fresh();
        stored!(cache, area(key));
        stored!(cache, slow(key));
        invalidate(area(key)).await.expect("an invalidation of a call");
        computed!(cache, area(key));
        invalidate_prefix("areas").await.expect("an invalidation of a prefix");
        computed!(cache, area(key));
        invalidate_tag(&format!("agent:{key}")).await.expect("an invalidation of a tag");
        computed!(cache, area(key));
        // A copy needs the tracking of Redis.
        stored!(cache, copied(key));
        eventually("a copy is made", || async { observe(copied(key)).await.1.is_local_hit() })
            .await;
    };
    cache.scope(scenario).await;
}

/// Whether a value that is computed now is served by the cache.
async fn serves(cache: &Cache) -> bool {
    let key = fresh();
    cache.scope(area(key)).await;
    cache.flush().await;
    cache.scope(observe(area(key))).await.1.is_hit()
}

/// What Redis has refused since it was started or last asked.
async fn refused(server: &Node) -> String {
    let log: Vec<Vec<redis::Value>> = server.command(&["ACL", "LOG"]).await;
    let shown = if log.is_empty() { String::new() } else { format!("{log:?}") };
    server.command::<()>(&["ACL", "LOG", "RESET"]).await;
    shown
}

async fn setting(server: &Node, name: &str) -> String {
    let (_, value): (String, String) = server.command(&["CONFIG", "GET", name]).await;
    value
}

#[tokio::test]
async fn the_service_has_all_that_it_needs_and_redis_is_as_the_file_says() {
    let kit = Kit::new();
    let server = kit.redis().await;
    for (name, value) in [
        ("maxmemory", "536870912"),
        ("maxmemory-policy", "volatile-lru"),
        ("maxmemory-clients", "25%"),
        ("save", ""),
        ("appendonly", "no"),
        ("protected-mode", "yes"),
        ("tcp-keepalive", "60"),
        ("lazyfree-lazy-eviction", "yes"),
        ("slowlog-log-slower-than", "10000"),
        ("latency-monitor-threshold", "10"),
    ] {
        assert_eq!(setting(&server, name).await, value, "{name}");
    }
    let cache = kit.cache(&url(&server)).await;
    works(&cache).await;
    cache.clear().await.expect("everything is removed");
    assert_eq!(server.command::<Vec<String>>(&["KEYS", "*"]).await, [""; 0]);
    assert_eq!(refused(&server).await, "");
}

/// Logs a client in with `AUTH`, and returns what each command is answered.
async fn tried(server: &Node, login: &[&str], commands: &[&str]) -> Vec<Result<(), String>> {
    let client = redis::Client::open(url(server)).expect("a URL");
    let mut connection = client.get_multiplexed_async_connection().await.expect("a connection");
    let mut answers = Vec::new();
    for command in login.iter().chain(commands) {
        let mut words = command.split(' ');
        let mut request = redis::cmd(words.next().expect("a word"));
        request.arg(words.collect::<Vec<_>>());
        let answer = request.query_async::<redis::Value>(&mut connection).await;
        answers.push(answer.map(drop).map_err(|error| error.code().unwrap_or_default().to_owned()));
    }
    answers.split_off(login.len())
}

fn refusals(answers: &[Result<(), String>]) -> Vec<&str> {
    answers.iter().map(|answer| answer.as_ref().map_or_else(String::as_str, |()| "OK")).collect()
}

#[tokio::test]
async fn every_user_may_what_it_is_for_and_nothing_else() {
    let kit = Kit::new();
    let server = kit.redis().await;
    let login = |user: &str| format!("AUTH {user} {}", kit.password(user));

    let nobody = tried(&server, &[], &["PING", "GET cache:x", "INFO"]).await;
    assert_eq!(refusals(&nobody), ["NOAUTH"; 3]);
    let default = tried(&server, &[], &["AUTH anything", "AUTH default anything"]).await;
    assert_eq!(refusals(&default), ["WRONGPASS"; 2]);

    let app =
        ["GET other:x", "KEYS *", "FLUSHDB", "CONFIG GET *", "ACL LIST", "PUBLISH a b", "INFO"];
    let answers = tried(&server, &[&login("app")], &app).await;
    assert_eq!(refusals(&answers), ["NOPERM"; 7]);
    // Names, as docs/operations.md says of other namespaces.
    let answers = tried(&server, &[&login("app")], &["SCAN 0"]).await;
    assert_eq!(refusals(&answers), ["OK"]);

    // What redis_exporter sends.
    let exporter = [
        "PING",
        "INFO ALL",
        "CLIENT SETNAME exporter",
        "SLOWLOG LEN",
        "LATENCY LATEST",
        "LATENCY HISTOGRAM",
    ];
    let answers = tried(&server, &[&login("monitor")], &exporter).await;
    assert_eq!(refusals(&answers), ["OK"; 6]);
    // Settings have the password of the replicas, and slow commands have parts of values.
    let values = [
        "GET cache:x",
        "SCAN 0",
        "SET cache:x 1",
        "CONFIG GET masterauth",
        "CONFIG SET maxmemory 1",
        "SLOWLOG GET 1",
        "PSYNC ? -1",
        "FLUSHALL",
    ];
    let answers = tried(&server, &[&login("monitor")], &values).await;
    assert_eq!(refusals(&answers), ["NOPERM"; 8]);

    let answers = tried(&server, &[&login("replica")], &["GET cache:x", "INFO"]).await;
    assert_eq!(refusals(&answers), ["NOPERM"; 2]);
    let answers = tried(&server, &[&login("admin")], &["ACL LIST", "CONFIG GET *"]).await;
    assert_eq!(refusals(&answers), ["OK"; 2]);
}

/// The words of a text that allow a command or a channel.
fn allowed(text: &str) -> BTreeSet<String> {
    let words = text
        .split(|c: char| c.is_whitespace() || c == '`')
        .map(|word| word.trim_end_matches([',', ';', '.']));
    let allowed = words.filter(|word| word.starts_with('+') || word.starts_with("&+"));
    allowed.map(str::to_owned).collect()
}

#[test]
fn the_application_has_the_rights_that_the_documents_list() {
    let document = read("docs/reliability.md");
    let (_, section) = document.split_once("## What an ACL has to allow").expect("a section");
    let (section, _) = section.split_once("\n## ").expect("another section");
    let (single, others) = section.split_once("and in a cluster").expect("of a cluster");
    let (cluster, sentinels) = others.split_once("at the\nsentinels").expect("of sentinels");
    let (added, removed) = cluster.split_once("in place of").expect("a difference");
    let of_app = |file: &str| {
        let users = read(file);
        allowed(users.lines().find(|line| line.starts_with("user app ")).expect("a user"))
    };
    let single = allowed(single);
    assert_eq!(of_app("deploy/redis/users.acl"), single);
    let mut in_a_cluster: BTreeSet<_> = single.difference(&allowed(removed)).cloned().collect();
    in_a_cluster.extend(allowed(added));
    assert_eq!(of_app("deploy/redis/users-cluster.acl"), in_a_cluster);
    let mut at_sentinels = allowed(sentinels);
    // The greeting of every connection.
    at_sentinels.extend(["+hello", "+ping"].map(str::to_owned));
    assert_eq!(of_app("deploy/redis/users-sentinel.acl"), at_sentinels);
}

#[test]
fn passwords_are_kept_and_every_placeholder_is_filled_in() {
    let kit = Kit::new();
    let passwords = kit.prepare();
    assert_eq!(kit.prepare(), passwords);
    assert_eq!(passwords.iter().collect::<BTreeSet<_>>().len(), passwords.len());
    assert!(passwords.len() >= 7 && passwords.iter().all(|password| password.len() == 32));
    for file in std::fs::read_dir(kit.secrets()).expect("a folder") {
        let file = file.expect("a file").path();
        let text = std::fs::read_to_string(&file).expect("text");
        let left = ["@sha256:", "@password:", "@folder@", "@master@"];
        assert!(!text.is_empty() && !left.iter().any(|mark| text.contains(mark)), "{text}");
    }
}

#[test]
fn sentinels_keep_their_master_when_passwords_are_made_anew() {
    let kit = Kit::new();
    let master = || {
        let settings = std::fs::read_to_string(kit.secret("sentinel.conf")).expect("settings");
        let master = settings.lines().find_map(|line| line.strip_prefix("sentinel monitor "));
        master.expect("a master").to_owned()
    };
    assert_eq!(master(), "mymaster redis 6379 2");
    run(kit.preparation().env("SENTINEL_MASTER", "10.0.0.1 7000"));
    assert_eq!(master(), "mymaster 10.0.0.1 7000 2");
    kit.prepare();
    assert_eq!(master(), "mymaster 10.0.0.1 7000 2");
    run(kit.preparation().env("SENTINEL_MASTER", "10.0.0.2 7000"));
    assert_eq!(master(), "mymaster 10.0.0.2 7000 2");
}

#[test]
fn no_program_has_a_password_in_its_arguments_while_the_files_are_made() {
    let kit = Kit::new();
    let (programs, log) = (kit.file("programs"), kit.file("arguments"));
    std::fs::create_dir(&programs).expect("a folder can be made");
    // Programs of the same names that write their arguments down first.
    let path = std::env::var("PATH").expect("a path");
    for name in ["sed", "base64", "cat", "mktemp", "tr"] {
        let program = programs.join(name);
        let script = format!(
            "#!/bin/sh\necho \"$0 $*\" >>{}\nPATH='{path}' exec {name} \"$@\"\n",
            text(&log)
        );
        std::fs::write(&program, script).expect("a file can be written");
        std::fs::set_permissions(&program, Permissions::from_mode(0o700)).expect("it is ours");
    }
    run(kit.preparation().env("PATH", format!("{}:{path}", text(&programs))));
    let arguments = std::fs::read_to_string(&log).expect("the programs have run");
    assert!(arguments.contains("programs/sed "), "{arguments}");
    for password in kit.prepare() {
        assert!(!arguments.contains(&password), "{arguments}");
    }
    let left = std::fs::read_dir(kit.secrets()).expect("a folder");
    let mut names = left.map(|file| file.expect("a file").file_name());
    assert!(!names.any(|name| text(name.as_ref()).contains("substitutions")));
}

#[tokio::test]
async fn a_password_is_changed_in_place_and_the_service_logs_in_with_the_next_one() {
    let kit = Kit::new();
    let server = kit.redis().await;
    let cache = kit.cache(&url(&server)).await;
    works(&cache).await;
    let mounted = ["app.password", "users.acl"].map(|name| kit.secret(name));
    let files =
        || mounted.each_ref().map(|file| std::fs::metadata(file).expect("it is there").ino());
    let (before, password) = (files(), kit.password("app"));
    std::fs::write(&mounted[0], "").expect("a file can be emptied");
    kit.prepare();
    // A container reads the file that was mounted, and no other of its name.
    assert_eq!(files(), before);
    assert_ne!(kit.password("app"), password);
    server.command::<()>(&["ACL", "LOAD"]).await;
    server.command::<i64>(&["CLIENT", "KILL", "USER", "app"]).await;
    let old = tried(&server, &[], &[&format!("AUTH app {password}")]).await;
    assert_eq!(refusals(&old), ["WRONGPASS"]);
    eventually("values are stored again", || async { serves(&cache).await }).await;
    works(&cache).await;
}

#[tokio::test]
async fn what_is_invalidated_without_redis_is_served_again_until_everything_is_cleared() {
    let kit = Kit::new();
    let server = kit.redis().await;
    let key = fresh();
    let cache = kit.cache(&url(&server)).await;
    let old = cache.scope(async { stored!(cache, area(key)) }).await;
    let off = configured(&[("REDIS_URL", &url(&server)), ("REDIS_ENABLED", "false")]);
    let off = Cache::new(off.expect("settings that are right"));
    off.scope(invalidate(area(key))).await.expect("it succeeds and sends nothing");
    let back = kit.cache(&url(&server)).await;
    assert_eq!(back.scope(async { hit!(area(key)) }).await, old);
    back.clear().await.expect("everything is removed");
    back.scope(async { computed!(back, area(key)) }).await;
}

#[tokio::test]
async fn a_backup_comes_back_and_so_does_what_was_invalidated_since() {
    let kit = Kit::new();
    let mut server = kit.server("redis-persistent.conf", "users.acl", &[]).await;
    for (name, value) in
        [("appendonly", "yes"), ("appendfsync", "everysec"), ("save", "900 1 300 100 60 10000")]
    {
        assert_eq!(setting(&server, name).await, value, "{name}");
    }
    let cache = kit.cache(&url(&server)).await;
    works(&cache).await;
    let key = fresh();
    let old = cache.scope(async { stored!(cache, area(key)) }).await;
    let backup = kit.secret("backup.rdb");
    let told = run(kit.script("backup", &server).arg(&backup));
    assert!(told.contains(text(&backup)), "{told}");

    // A crash loses nothing that reached the file.
    server.kill();
    server.restart().await;
    let cache = kit.cache(&url(&server)).await;
    assert_eq!(cache.scope(async { hit!(area(key)) }).await, old);

    cache.scope(invalidate(area(key))).await.expect("an invalidation");
    let new = cache.scope(async { stored!(cache, area(key)) }).await;
    assert_ne!(new, old);

    let restore = || {
        let mut command = kit.script("restore", &server);
        command.arg(&backup).arg(server.folder());
        command
    };
    let while_it_runs = output(&mut restore());
    assert!(!while_it_runs.status.success());
    assert!(said(&while_it_runs).contains("stop it first"), "{}", said(&while_it_runs));

    server.kill();
    let told = run(kit.script("restore", &server).arg(&backup).arg(server.folder()));
    assert!(told.contains("clear the cache"), "{told}");
    server.restart().await;
    let cache = kit.cache(&url(&server)).await;
    // The third exception of docs/coherence.md, and what ends it.
    assert_eq!(cache.scope(async { hit!(area(key)) }).await, old);
    cache.clear().await.expect("everything is removed");
    let newest = cache.scope(async { stored!(cache, area(key)) }).await;
    assert!(newest > new);

    // The file that begins with the backup goes on being written.
    server.kill();
    server.restart().await;
    let cache = kit.cache(&url(&server)).await;
    assert_eq!(cache.scope(async { hit!(area(key)) }).await, newest);
}

#[tokio::test]
async fn what_is_no_backup_replaces_nothing() {
    let kit = Kit::new();
    let mut server = kit.server("redis-persistent.conf", "users.acl", &[]).await;
    let file = kit.secret("no-backup.rdb");
    std::fs::write(&file, "not a snapshot").expect("a file can be written");
    let before = server.folder().join("appendonlydir");
    server.kill();
    let refused = output(kit.script("restore", &server).arg(&file).arg(server.folder()));
    assert!(!refused.status.success() && before.is_dir(), "{}", said(&refused));
    // A backup of a server that is not there leaves no file that could be taken for one.
    let absent = kit.secret("absent.rdb");
    let refused = output(kit.script("backup", &server).arg(&absent));
    assert!(!refused.status.success() && !absent.exists(), "{}", said(&refused));
    let left = std::fs::read_dir(kit.secrets()).expect("a folder");
    assert!(
        !left
            .map(|file| file.expect("a file").file_name())
            .any(|name| text(name.as_ref()).contains("partial"))
    );
}

async fn replication(server: &Node, line: &str) -> bool {
    let reply: Result<String, _> = server.try_command(&["INFO", "replication"]).await;
    reply.is_ok_and(|reply| reply.lines().any(|found| found == line))
}

#[tokio::test]
async fn sentinels_replace_a_master_and_the_service_goes_on() {
    let kit = Kit::new();
    let mut master = kit.printed_server("redis-replicated.conf", &[]).await;
    let address = format!("127.0.0.1 {}", master.port());
    let place = [("HOST PORT", &*address)];
    let replicas = join_all((0..2).map(|_| kit.printed_server("--replicaof", &place))).await;
    eventually("the replicas follow", || async {
        replication(&master, "connected_slaves:2").await
            && join_all(
                replicas.iter().map(|replica| replication(replica, "master_link_status:up")),
            )
            .await
            .into_iter()
            .all(|up| up)
    })
    .await;

    run(kit.preparation().env("SENTINEL_MASTER", &address));
    let settings = std::fs::read_to_string(kit.secret("sentinel.conf")).expect("settings");
    // Sooner than in the file, which thinks of real networks.
    let settings = settings
        .replace("down-after-milliseconds mymaster 5000", "down-after-milliseconds mymaster 1500");
    let copies = ["first.conf", "second.conf", "third.conf"];
    let sentinels = join_all(copies.map(async |copy| {
        std::fs::write(kit.file(copy), &settings).expect("a file can be written");
        kit.printed_server("--sentinel", &[("sentinel-of-this-host.conf", copy)]).await
    }))
    .await;
    let ask = ["SENTINEL", "MASTER", "mymaster"];
    eventually("the sentinels know each other and the replicas", || async {
        let states = sentinels.iter().map(|sentinel| sentinel.try_command::<Vec<String>>(&ask));
        join_all(states).await.into_iter().all(|state| {
            state.is_ok_and(|state| {
                let is =
                    |name: &str, value: &str| state.chunks(2).any(|pair| pair == [name, value]);
                is("num-slaves", "2") && is("num-other-sentinels", "2") && is("flags", "master")
            })
        })
    })
    .await;

    let hosts: Vec<String> = sentinels.iter().map(Node::address).collect();
    let cache = kit.cache(&format!("redis+sentinel://{}/mymaster/0", hosts.join(","))).await;
    works(&cache).await;
    assert_eq!(refused(&master).await + &refused(&sentinels[0]).await, "");
    master.kill();
    eventually("a replica is the master, and another follows it", || async {
        let masters = replicas.iter().map(|replica| replication(replica, "connected_slaves:1"));
        join_all(masters).await.contains(&true)
    })
    .await;
    eventually("values are stored again", || async { serves(&cache).await }).await;
    works(&cache).await;
}

#[tokio::test]
async fn nodes_make_a_cluster_and_the_service_uses_it() {
    let kit = Kit::new();
    let nodes = join_all((0..6).map(async |number| {
        let folder = kit.file(&format!("node-{number}"));
        std::fs::create_dir(&folder).expect("a folder can be made");
        kit.printed_server("redis-cluster.conf", &[("FOLDER", text(&folder))]).await
    }))
    .await;
    let addresses: Vec<String> = nodes.iter().map(Node::address).collect();
    let mut create = std::process::Command::new(program("cli"));
    let words = kit.printed("redis-cli", "--cluster", &[("HOST:PORT ..", &addresses.join(" "))]);
    create.env("REDISCLI_AUTH", kit.password("admin")).args(&words[1..]).arg("--cluster-yes");
    let told = tokio::task::spawn_blocking(move || run(&mut create)).await.expect("it ends");
    assert!(told.contains("All 16384 slots covered"), "{told}");
    eventually("three replicas follow their masters", || async {
        let up = nodes.iter().map(|node| replication(node, "master_link_status:up"));
        join_all(up).await.into_iter().filter(|up| *up).count() == 3
    })
    .await;
    let cache = kit.cache(&format!("redis+cluster://{}", addresses[..3].join(","))).await;
    works(&cache).await;
    for node in &nodes {
        assert_eq!(refused(node).await, "");
    }
}

#[tokio::test]
async fn a_server_without_the_file_of_users_does_not_start() {
    let kit = Kit::new();
    let mut command = tokio::process::Command::new(program("server"));
    let socket = kit.file("redis.sock");
    command.arg(kit.file("redis.conf")).args(["--port", "0", "--unixsocket", text(&socket)]);
    command.args(["--aclfile", text(&kit.secret("missing.acl"))]).kill_on_drop(true);
    let ended = tokio::time::timeout(Duration::from_secs(20), command.output()).await;
    let output = ended.expect("it ends by itself").expect("it starts");
    assert!(!output.status.success());
    assert!(said(&output).contains("missing.acl"), "{}", said(&output));
}

#[tokio::test]
async fn a_wrong_password_is_an_error_that_shows_none() {
    let kit = Kit::new();
    let server = kit.redis().await;
    std::fs::write(kit.secret("app.password"), "another-password").expect("a file can be written");
    let config = kit.config(&url(&server)).expect("settings that are right");
    let error: Error = Cache::connect(config).await.expect_err("it cannot log in");
    assert!(error.is_unavailable() && !error.to_string().contains("another-password"), "{error}");
}
