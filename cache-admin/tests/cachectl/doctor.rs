//! `cachectl doctor`, against servers with each fault that it is there to find.

use std::time::Duration;

use support::{ClusterServers, Node, Proxy, Sentinels, Server, TlsServer, Verdict, eventually};

use crate::program::{Run, run};

pub(crate) const DOCTOR: &str = "doctor --json";

pub(crate) async fn doctor(server: &Server) -> Run {
    run(&[("REDIS_URL", &server.url())], DOCTOR).await
}

/// No check has crashed, and each has its fields.
pub(crate) fn is_whole(run: &Run) {
    let json = run.json();
    assert_eq!((&json["schema"], &json["command"]), (&1.into(), &"doctor".into()));
    assert_eq!(json["exit_code"], run.code);
    for check in json["checks"].as_array().expect("checks") {
        let id = check["id"].as_str().expect("an id");
        assert!(!check["observed"].as_str().expect("a sentence").is_empty(), "{id}");
        assert_eq!(check["doc"], format!("docs/operations.md#check-{id}"));
        let verdict = check["verdict"].as_str().expect("a word");
        assert!(["ok", "info", "warn", "error", "skipped"].contains(&verdict), "{check}");
        assert_eq!(check["why"].is_string(), !["ok", "skipped"].contains(&verdict), "{check}");
    }
}

#[tokio::test]
async fn a_bare_server_works_with_warnings() {
    let server = Server::start().await;
    let ran = doctor(&server).await;
    is_whole(&ran);
    assert!(ran.code <= 1, "{ran:?}");
    assert_eq!(ran.json()["access"], "admin");
    for id in [
        "env",
        "connect",
        "auth",
        "protocol",
        "role",
        "loading",
        "script",
        "entry",
        "tracking",
        "acl-min",
        "persistence",
    ] {
        assert_eq!(ran.verdict(id), "ok", "{}", ran.check(id));
    }
    for id in ["maxmemory", "policy", "acl-max"] {
        assert_eq!(ran.verdict(id), "warn", "{}", ran.check(id));
        assert!(
            ran.check(id)["fix"].as_str().is_some_and(|fix| fix.starts_with("redis-cli -s ")),
            "{}",
            ran.check(id)
        );
    }
    for id in ["cluster", "sentinel", "app"] {
        assert_eq!(ran.verdict(id), "skipped");
    }
    let strict = run(&[("REDIS_URL", &server.url())], "doctor --strict --only maxmemory").await;
    assert_eq!(strict.code, 1, "{strict:?}");
    let lenient = run(&[("REDIS_URL", &server.url())], "doctor --only maxmemory,entry").await;
    assert_eq!(lenient.code, 0, "{lenient:?}");
    let mut left = server.keys().await;
    left.retain(|key| !key.starts_with("cache:~cachectl-doctor"));
    assert_eq!(left, [""; 0], "doctor leaves nothing but tokens, which expire");
}

#[tokio::test]
async fn the_report_for_people_says_what_to_do() {
    let server =
        Server::start_with(&["--maxmemory", "64mb", "--maxmemory-policy", "volatile-lru"]).await;
    let words = "doctor --skip latency,clock,entry,tracking,memory,clients,shared,protocol,connect,slowlog,exposure";
    let ran = run(&[("REDIS_URL", &server.url())], words).await;
    assert!(!ran.stdout.contains('\u{1b}'), "no colour where there is no terminal");
    let folder = server.socket();
    let folder = folder.parent().and_then(|folder| folder.to_str()).expect("a path").to_owned();
    insta::with_settings!({ filters => vec![(folder.as_str(), "[folder]")] }, {
        insta::assert_snapshot!(ran.stdout);
    });
    let coloured = run(&[("REDIS_URL", &server.url())], "--color always doctor --only role").await;
    assert!(coloured.stdout.contains('\u{1b}'));
    let shared =
        run(&[("REDIS_URL", &server.url()), ("CACHE_NAMESPACE", "shop-of-x")], "doctor --share")
            .await;
    assert!(
        !shared.stdout.contains(&folder) && !shared.stdout.contains("shop-of-x"),
        "{}",
        shared.stdout
    );
}

#[tokio::test]
async fn a_full_server_that_evicts_nothing_cannot_store() {
    let server =
        Server::start_with(&["--maxmemory", "100kb", "--maxmemory-policy", "noeviction"]).await;
    let ran = doctor(&server).await;
    is_whole(&ran);
    assert_eq!(ran.code, 2, "{ran:?}");
    assert_eq!(ran.verdict("policy"), "warn");
    assert_eq!(ran.verdict("memory"), "error", "{}", ran.check("memory"));
    assert_eq!(ran.verdict("entry"), "error");
    assert!(ran.observed("entry").contains("OOM"), "{}", ran.check("entry"));
}

#[tokio::test]
async fn a_key_without_an_expiry_is_an_error_and_others_are_told_apart() {
    let server = Server::start().await;
    server.command::<()>(&["SET", "foreign", "x"]).await;
    server.command::<()>(&["SET", "cache:areas:someone@example.com", "x"]).await;
    let words = "doctor --json --only ours,shared";
    let ran = run(&[("REDIS_URL", &server.url())], words).await;
    assert_eq!((ran.code, ran.verdict("ours").as_str()), (1, "error"), "{ran:?}");
    assert_eq!(ran.observed("ours"), "1 keys have no expiry, one of them in `cache:areas`");
    assert_eq!(ran.verdict("shared"), "info", "{}", ran.check("shared"));
    server.command::<()>(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]).await;
    let ran = run(&[("REDIS_URL", &server.url())], "doctor --json --only shared,policy").await;
    assert_eq!((ran.verdict("shared"), ran.verdict("policy")), ("error".into(), "error".into()));
}

#[tokio::test]
async fn a_replica_is_told_from_its_master() {
    let master = Node::alone().await;
    let port = master.port().to_string();
    let replica = Server::start_with(&["--replicaof", &format!("127.0.0.1 {port}")]).await;
    let ran = doctor(&replica).await;
    is_whole(&ran);
    assert_eq!(ran.code, 2);
    assert_eq!(ran.verdict("role"), "error");
    assert_eq!(ran.verdict("replication"), "error");
    let fix = ran.check("role")["fix"].to_string();
    assert!(fix.contains(&port), "it names the master: {fix}");
}

#[tokio::test]
async fn a_server_that_keeps_its_data_is_a_warning() {
    let server = Server::start_with(&["--appendonly", "yes"]).await;
    let ran = doctor(&server).await;
    is_whole(&ran);
    assert_eq!(ran.verdict("persistence"), "warn", "{}", ran.check("persistence"));
    assert_eq!(ran.code, 0);
}

#[tokio::test]
async fn sentinels_are_asked_for_the_master() {
    let sentinels = Sentinels::start().await;
    let ran = run(&[("REDIS_URL", &sentinels.url())], DOCTOR).await;
    is_whole(&ran);
    for id in ["connect", "role", "entry", "tracking", "sentinel"] {
        assert_eq!(ran.verdict(id), "ok", "{}", ran.check(id));
    }
    let wrong = sentinels.url().replace("/mymaster", "/another");
    let ran = run(&[("REDIS_URL", &wrong)], DOCTOR).await;
    assert_eq!((ran.code, ran.verdict("sentinel").as_str()), (2, "error"), "{ran:?}");
}

#[tokio::test]
async fn every_master_of_a_cluster_is_checked() {
    let mut cluster = ClusterServers::start().await;
    let url = cluster.url();
    let ran = run(&[("REDIS_URL", &url)], DOCTOR).await;
    is_whole(&ran);
    for id in ["connect", "role", "script", "entry", "tracking", "cluster", "acl-min"] {
        assert_eq!(ran.verdict(id), "ok", "{}", ran.check(id));
    }
    let maxmemory = ran.observed("maxmemory");
    for node in &cluster.nodes()[..3] {
        assert!(maxmemory.contains(&node.address()), "{maxmemory}");
    }
    crate::commands::entries_of_a_cluster(&url).await;
    crate::rights::in_a_cluster(&cluster).await;
    evictions_of_a_cluster(&cluster).await;
    cluster.kill(1);
    let ran = run(&[("REDIS_URL", &url)], "doctor --json --only cluster,connect").await;
    assert_eq!((ran.code, ran.verdict("cluster").as_str()), (2, "error"), "{ran:?}");
}

/// All nodes are observed at the same time.
async fn evictions_of_a_cluster(cluster: &ClusterServers) {
    let masters = &cluster.nodes()[..3];
    for node in masters {
        for key in 0..30 {
            // Two of three keys are those of other nodes.
            let _ = node
                .try_command::<()>(&["SET", &format!("to-evict:{key}"), "x", "PX", "600000"])
                .await;
        }
        let limit = |most| ["CONFIG", "SET", "maxmemory", most];
        node.command::<()>(&["CONFIG", "SET", "maxmemory-policy", "volatile-lru"]).await;
        node.command::<()>(&limit("1")).await;
        eventually("a key is evicted", async || {
            let info: String = node.command(&["INFO", "stats"]).await;
            !info.contains("evicted_keys:0\r")
        })
        .await;
        // The server looks at its memory only where there is a limit.
        node.command::<()>(&limit("1gb")).await;
    }
    let ran = run(&[("REDIS_URL", &cluster.url())], "doctor --json --only evictions").await;
    let check = ran.check("evictions");
    assert!(ran.observed("evictions").contains("in 2 s"), "{check}");
    assert!(check["seconds"].as_f64().is_some_and(|seconds| seconds < 4.0), "{check}");
}

#[tokio::test]
async fn a_dead_port_is_said_once_and_the_rest_is_left_out() {
    let ran = run(&[("REDIS_URL", "redis://127.0.0.1:1/0")], DOCTOR).await;
    is_whole(&ran);
    assert_eq!(ran.code, 2);
    assert_eq!(ran.verdict("connect"), "error");
    let json = ran.json();
    let errors = json["checks"].as_array().expect("checks").iter();
    assert_eq!(errors.filter(|check| check["verdict"] == "error").count(), 1, "{json}");
}

#[tokio::test]
async fn a_server_that_is_silent_is_told_from_one_that_is_gone() {
    let server = Server::start().await;
    server.freeze();
    let ran = doctor(&server).await;
    is_whole(&ran);
    assert_eq!((ran.code, ran.verdict("connect").as_str()), (2, "error"), "{ran:?}");
    assert!(ran.observed("connect").contains("takes connections"), "{}", ran.check("connect"));
}

#[tokio::test]
async fn a_wrong_password_is_told_from_a_missing_one_and_never_shown() {
    let server = Server::start_with(&["--requirepass", "the-right-one"]).await;
    let url = server.url();
    let missing = run(&[("REDIS_URL", &url)], DOCTOR).await;
    assert_eq!((missing.code, missing.verdict("auth").as_str()), (2, "error"), "{missing:?}");
    assert!(missing.observed("auth").contains("NOAUTH"), "{}", missing.check("auth"));
    let wrong = run(&[("REDIS_URL", &url), ("REDIS_PASSWORD", "the-wrong-one")], DOCTOR).await;
    assert_eq!((wrong.code, wrong.verdict("auth").as_str()), (2, "error"), "{wrong:?}");
    assert!(wrong.observed("auth").contains("WRONGPASS"), "{}", wrong.check("auth"));
    let in_url = url.replace("unix://", "unix://:the-right-one@");
    let right = run(&[], &format!("--url {in_url} doctor")).await;
    assert_eq!(right.code, 0, "{right:?}");
    assert!(right.stderr.contains("other users of this host"), "{}", right.stderr);
    for ran in [missing, wrong, right] {
        assert!(!format!("{ran:?}").contains("-one"), "{ran:?}");
    }
}

#[tokio::test]
async fn a_certificate_that_is_about_to_expire_is_a_warning() {
    let server = TlsServer::start_expiring(Duration::from_secs(5 * 86_400)).await;
    let ca = server.authority().ca().display().to_string();
    let url = server.url();
    let ran = run(&[("REDIS_URL", &url), ("REDIS_TLS_CA", &ca)], DOCTOR).await;
    is_whole(&ran);
    assert_eq!((ran.code, ran.verdict("tls").as_str()), (0, "warn"), "{}", ran.check("tls"));
    let stranger = run(&[("REDIS_URL", &url)], DOCTOR).await;
    assert_eq!((stranger.code, stranger.verdict("tls").as_str()), (2, "error"), "{stranger:?}");
}

#[tokio::test]
async fn a_proxy_without_hello_works_without_copies() {
    let server = Server::start().await;
    let socket = server.socket().display().to_string();
    let proxy = Proxy::start(socket, |words| {
        let tracking = words[0] == "CLIENT" && words[1..].iter().any(|word| word == "TRACKING");
        match words[0].as_str() {
            "HELLO" => Verdict::Refuse("ERR unknown command 'HELLO'"),
            "CLIENT" if tracking => Verdict::Refuse("ERR unknown subcommand 'TRACKING'"),
            _ => Verdict::Pass,
        }
    })
    .await;
    let ran = run(&[("REDIS_URL", &proxy.url())], DOCTOR).await;
    is_whole(&ran);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(ran.verdict("entry"), "ok", "{}", ran.check("entry"));
    for id in ["protocol", "tracking"] {
        assert_eq!(ran.verdict(id), "warn", "{}", ran.check(id));
    }
}

#[tokio::test]
async fn a_server_that_comes_late_is_waited_for() {
    let mut server = Server::start().await;
    server.kill();
    let url = server.url();
    let environment = [("REDIS_URL", url.as_str())];
    let waiting = run(&environment, "doctor --json --wait 20s --only entry,connect");
    let restarting = async {
        tokio::time::sleep(Duration::from_millis(700)).await;
        server.restart().await;
    };
    let (ran, ()) = tokio::join!(waiting, restarting);
    assert_eq!((ran.code, ran.verdict("entry").as_str()), (0, "ok"), "{ran:?}");
}

#[tokio::test]
async fn a_wrong_command_line_or_setting_is_64() {
    for words in
        ["doctor --only nonsense", "frobnicate", "doctor --wait never", "invalidate", "ls areas"]
    {
        let ran = run(&[], words).await;
        assert_eq!(ran.code, 64, "{words}: {ran:?}");
    }
    let ran = run(&[("REDIS_URL", "http://user:hidden@h")], "doctor").await;
    assert!(
        ran.code == 64 && ran.stderr.contains("REDIS_URL") && !ran.stderr.contains("hidden"),
        "{ran:?}"
    );
    assert_eq!(run(&[], "--version").await.code, 0);
}

#[tokio::test]
async fn a_misspelt_variable_and_a_switch_are_warnings() {
    let server = Server::start().await;
    let url = server.url();
    let url = ("REDIS_URL", url.as_str());
    let ran = run(&[url, ("CACHE_BUGDET_MS", "50")], "doctor --json --only env").await;
    assert_eq!(
        (ran.verdict("env").as_str(), ran.check("env")["fix"].as_str()),
        ("warn", Some("rename CACHE_BUGDET_MS to CACHE_BUDGET_MS"))
    );
    let off = run(&[url, ("REDIS_ENABLED", "false")], "doctor --json --only env,entry").await;
    assert_eq!(
        (off.verdict("env").as_str(), off.verdict("entry").as_str()),
        ("warn", "ok"),
        "{off:?}"
    );
    let nothing = run(&[], "doctor --json").await;
    assert_eq!((nothing.code, nothing.verdict("env").as_str()), (0, "warn"), "{nothing:?}");
    assert_eq!(nothing.verdict("connect"), "skipped");
}
