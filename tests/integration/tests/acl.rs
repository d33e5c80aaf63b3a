//! Users with few rights: what the cache needs, and what becomes of it where it has less.

// Many functions answer with the number of their run, whatever they are called with.
#![allow(unused_variables)]

use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use cache_runtime::{
    Cache, Config, Credentials, Reason, Status, cache_result, invalidate, observe, peek, put,
    refresh,
};
use futures::future::join_all;
use support::{
    ClusterServers, Node, Sentinels, computed, configured, eventually, fresh, hit, key_of, patient,
    run, stored,
};
use tokio::time::{sleep, timeout};

const DEADLINE: Duration = Duration::from_secs(10);

const USER: &str = "u:s/e?r#1%2@";
const PASSWORD: &str = "p:a/s?s#1%2@";

/// Both of the above and a colon between, as they stand in a URL.
const LOGIN: &str = "u%3As%2Fe%3Fr%231%252%40:p%3Aa%2Fs%3Fs%231%252%40";

/// Everything that the cache sends.
const COMMANDS: [&str; 16] = [
    "hello",
    "ping",
    "role",
    "client|tracking",
    "mget",
    "get",
    "set",
    "getrange",
    "setrange",
    "pttl",
    "pexpire",
    "unlink",
    "type",
    "scan",
    "eval",
    "evalsha",
];

/// Those of them that change nothing.
const READS: [&str; 7] = ["hello", "ping", "client|tracking", "mget", "get", "pttl", "type"];

#[cache_result(ttl = 60, prefix = "areas", tags = ["agent:{key}"])]
async fn area(key: u32) -> u64 {
    run()
}

#[cache_result(ttl = 86_400, prefix = "areas", tags = ["agent:{key}"])]
async fn long(key: u32) -> u64 {
    run()
}

#[cache_result(ttl = 60, prefix = "copies", local)]
async fn copied(key: u32) -> u64 {
    run()
}

/// Slower than its lease, which is therefore extended.
#[cache_result(ttl = 60, prefix = "slow", lease = "1s")]
async fn slow(key: u32) -> u64 {
    sleep(Duration::from_secs(3)).await;
    run()
}

#[cache_result(ttl = 60)]
async fn double(of: u32) -> u32 {
    of * 2
}

/// Makes a user of the keys of the cache alone, with those rights.
async fn grant(server: &Node, user: &str, password: &str, commands: &[&str]) {
    let password = format!(">{password}");
    let commands: Vec<String> = commands.iter().map(|command| format!("+{command}")).collect();
    let mut words = vec!["ACL", "SETUSER", user, "reset", "on", &password, "~cache:*"];
    words.extend(commands.iter().map(String::as_str));
    server.command::<()>(&words).await;
}

fn config(server: &Node) -> Config {
    configured(&[("REDIS_URL", &format!("redis://{LOGIN}@{}", server.address()))]).unwrap()
}

/// Each word of which the server has said that the user must not have it.
async fn refused(server: &Node) -> Vec<String> {
    let log: Vec<Vec<redis::Value>> = server.command(&["ACL", "LOG"]).await;
    let object = |entry: &Vec<redis::Value>| {
        let mut pairs = entry.chunks(2).filter_map(|pair| {
            let name: String = redis::from_redis_value(pair[0].clone()).ok()?;
            let value: String = redis::from_redis_value(pair[1].clone()).ok()?;
            (name == "object").then_some(value)
        });
        pairs.next().expect("every entry has one")
    };
    log.iter().map(object).collect()
}

/// What a service does, all of it.
async fn everything(cache: &Cache) {
    let key = fresh();
    let value = stored!(cache, area(key));
    assert_eq!(peek(area(key)).await, Some(value));
    put(area(key), 5).await.unwrap();
    assert_eq!(hit!(area(key)), 5);
    refresh(area(key)).await;
    stored!(cache, copied(key));
    eventually("a copy is made", || async { observe(copied(key)).await.1.is_local_hit() }).await;
    // Its tokens are of another function, and live too short for it.
    stored!(cache, long(key));
    stored!(cache, slow(key));
    invalidate(area(key)).await.unwrap();
    computed!(cache, area(key));
    cache.invalidate_prefix("areas").await.unwrap();
    computed!(cache, area(key));
    cache.invalidate_tag(&format!("agent:{key}")).await.unwrap();
    computed!(cache, area(key));
}

#[tokio::test]
async fn a_user_needs_these_commands_and_no_others() {
    let server = Node::alone().await;
    grant(&server, USER, PASSWORD, &COMMANDS).await;
    let cache = Cache::connect(patient(config(&server))).await.unwrap();
    cache
        .scope(async {
            everything(&cache).await;
            server.command::<()>(&["SCRIPT", "FLUSH"]).await;
            let key = fresh();
            stored!(cache, area(key));
            let key = fresh();
            server.command::<()>(&["LPUSH", &key_of(area(key)).await, "1"]).await;
            assert_eq!(observe(area(key)).await.1.reason(), Some(Reason::WrongType));
            cache.clear().await.unwrap();
        })
        .await;
    assert_eq!(server.command::<Vec<String>>(&["KEYS", "*"]).await, [""; 0]);
    assert_eq!(refused(&server).await, [""; 0]);
    for command in COMMANDS {
        assert!(server.calls(&[command]).await > 0, "{command} is not needed");
    }
}

#[tokio::test]
async fn another_database_needs_one_more() {
    let server = Node::alone().await;
    grant(&server, USER, PASSWORD, &COMMANDS).await;
    let url = format!("redis://{LOGIN}@{}/1", server.address());
    let config = || patient(configured(&[("REDIS_URL", &url)]).unwrap());
    let error = Cache::connect(config()).await.unwrap_err();
    assert!(error.to_string().contains("SELECT"), "{error}");
    let with_it = [&COMMANDS[..], &["select"]].concat();
    grant(&server, USER, PASSWORD, &with_it).await;
    let cache = Cache::connect(config()).await.unwrap();
    cache.scope(everything(&cache)).await;
}

#[tokio::test]
async fn a_user_without_one_of_them_gets_every_value_plainly_or_cached() {
    let server = Node::alone().await;
    for missing in COMMANDS {
        let rest: Vec<&str> = COMMANDS.into_iter().filter(|command| *command != missing).collect();
        grant(&server, USER, PASSWORD, &rest).await;
        let cache = Cache::new(config(&server));
        let calls = (0..20).map(|of| async move { (of, double(of).await) });
        for (of, value) in cache.scope(join_all(calls)).await {
            assert_eq!(value, of * 2, "without {missing}");
        }
        // They may fail, and neither hang nor panic.
        let _ = timeout(DEADLINE, cache.scope(invalidate(double(1)))).await.unwrap();
        let _ = timeout(DEADLINE, async { cache.clear().await }).await.unwrap();
    }
}

#[tokio::test]
async fn keys_of_others_are_out_of_reach_and_that_is_no_error_of_a_call() {
    let server = Node::alone().await;
    grant(&server, USER, PASSWORD, &COMMANDS).await;
    let cache = Cache::connect(patient(config(&server)).namespace("elsewhere")).await.unwrap();
    let (value, outcome) = cache.scope(observe(double(3))).await;
    assert!(value == 6 && outcome.is_bypassed(), "{outcome:?}");
    assert!(cache.scope(invalidate(double(3))).await.unwrap_err().is_refused());
}

#[tokio::test]
async fn a_user_that_may_only_read_hits_what_others_have_stored() {
    let server = Node::alone().await;
    grant(&server, USER, PASSWORD, &READS).await;
    let [reader, writer] =
        [config(&server), Config::redis(&format!("redis://{}", server.address())).unwrap()];
    let reader = Cache::connect(patient(reader)).await.unwrap();
    let writer = Cache::connect(patient(writer)).await.unwrap();
    let key = fresh();
    let value = writer.scope(async { stored!(writer, area(key)) }).await;
    reader
        .scope(async {
            assert_eq!(hit!(area(key)), value);
            for _ in 0..20 {
                let (_, outcome) = observe(area(fresh())).await;
                assert!(outcome.is_bypassed(), "{outcome:?}");
                assert_eq!(hit!(area(key)), value, "refused writes do not keep it from reading");
            }
            let error = invalidate(area(key)).await.unwrap_err();
            assert!(error.is_refused(), "{error}");
        })
        .await;
    let health = reader.health();
    assert_eq!(health.status, Status::Degraded);
    assert!(health.last_error.unwrap().contains("refuses writes"));
}

/// Calls until told to stop, and returns how many answers were right: all.
async fn load(cache: Cache, stop: &AtomicBool) -> u32 {
    let mut calls = 0;
    while !stop.load(Ordering::SeqCst) {
        let of = calls % 10;
        assert_eq!(cache.scope(double(of)).await, of * 2);
        calls += 1;
        sleep(Duration::from_millis(1)).await;
    }
    calls
}

#[tokio::test]
async fn a_password_that_is_changed_under_load_is_an_outage_until_it_is_changed_back() {
    let server = Node::alone().await;
    grant(&server, USER, PASSWORD, &COMMANDS).await;
    let cache = Cache::connect(config(&server)).await.unwrap();
    let stop = AtomicBool::new(false);
    let hits = || async { cache.scope(observe(double(1))).await.1.is_hit() };
    let scenario = async {
        eventually("it hits", hits).await;
        grant(&server, USER, "another", &COMMANDS).await;
        server.command::<()>(&["CLIENT", "KILL", "USER", USER]).await;
        let down = || async { cache.health().status == Status::Down };
        timeout(DEADLINE, eventually("it is out", down)).await.unwrap();
        let error = cache.health().last_error.expect("why it is out");
        assert!(!error.contains(PASSWORD) && !error.contains("another"), "{error}");
        let (value, outcome) = cache.scope(observe(double(4))).await;
        assert_eq!((value, outcome.reason()), (8, Some(Reason::Unavailable)));
        grant(&server, USER, PASSWORD, &COMMANDS).await;
        timeout(DEADLINE, eventually("it hits again", hits)).await.unwrap();
        stop.store(true, Ordering::SeqCst);
    };
    let callers = join_all((0..16).map(|_| load(cache.clone(), &stop)));
    let ((), calls) = futures::future::join(scenario, callers).await;
    assert!(calls.iter().all(|calls| *calls > 0));
}

#[tokio::test]
async fn a_name_and_a_password_from_variables_are_taken_literally() {
    let server = Node::alone().await;
    for (user, password) in [(USER, PASSWORD), ("per%40cent", "\"quoted\" 'and' %41 + spaced ")] {
        grant(&server, user, password, &COMMANDS).await;
        let port = server.port().to_string();
        let variables = [
            ("REDIS_HOST", "127.0.0.1"),
            ("REDIS_PORT", &port),
            ("REDIS_USERNAME", user),
            ("REDIS_PASSWORD", password),
        ];
        let cache = Cache::connect(patient(configured(&variables).unwrap())).await.unwrap();
        let key = fresh();
        cache.scope(async { stored!(cache, area(key)) }).await;
        let clients: String = server.command(&["CLIENT", "LIST"]).await;
        assert!(clients.contains(&format!("user={user} ")), "{clients}");
    }
}

/// Gives a user a new password everywhere, and ends what was made with the one before.
async fn rotate(nodes: &[Node], password: &str) {
    for node in nodes {
        let set =
            ["ACL", "SETUSER", "app", "reset", "on", &format!(">{password}"), "~*", "&*", "+@all"];
        node.command::<()>(&set).await;
        node.command::<i64>(&["CLIENT", "KILL", "USER", "app"]).await;
    }
}

/// Lanes come back after each change of a password, whichever way it is found.
async fn follows_rotations(nodes: &[Node], url: &str) {
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap().to_owned();
    let current = Arc::new(Mutex::new(String::new()));
    let change = async |password: &str| {
        std::fs::write(&path, format!("{password}\n")).unwrap();
        password.clone_into(&mut current.lock().unwrap());
        rotate(nodes, password).await;
    };
    change("first").await;
    let by_file =
        [("REDIS_URL", url), ("REDIS_USERNAME", "app"), ("REDIS_PASSWORD_FILE", path.as_str())];
    let told = current.clone();
    let by_callback = Config::redis(url).unwrap().credentials(move || {
        let password = told.lock().unwrap().clone();
        async { Ok::<_, Infallible>(Credentials::new("app", password)) }
    });
    for config in [configured(&by_file).unwrap(), by_callback] {
        let cache = Cache::connect(patient(config.clone())).await.unwrap();
        let key = fresh();
        cache.scope(async { stored!(cache, area(key)) }).await;
        for password in ["second", "third"] {
            change(password).await;
            let again = || async {
                let key = fresh();
                cache.scope(area(key)).await;
                cache.flush().await;
                cache.scope(observe(area(key))).await.1.is_hit()
            };
            timeout(DEADLINE, eventually("it hits again", again)).await.unwrap();
        }
        // Of several servers some may be dialled later.
        let up = || async { cache.health().status == Status::Up };
        timeout(DEADLINE, eventually("all are up", up)).await.unwrap();
        let shown = format!("{cache:?} {config:?} {:?}", cache.health());
        assert!(!shown.contains("third") && !shown.contains("app"), "{shown}");
        change("first").await;
    }
}

#[tokio::test]
async fn a_password_that_is_rotated_is_found_at_the_next_dial() {
    let server = [Node::alone().await];
    follows_rotations(&server, &format!("redis://{}", server[0].address())).await;
    // The host is a name, which is looked up at each dial.
    follows_rotations(&server, &format!("redis://localhost:{}", server[0].port())).await;
}

#[tokio::test]
async fn a_password_that_is_rotated_is_found_behind_sentinels() {
    let servers = Sentinels::start().await;
    follows_rotations(servers.nodes(), &servers.url()).await;
}

#[tokio::test]
async fn a_password_that_is_rotated_is_found_in_a_cluster() {
    let cluster = ClusterServers::start().await;
    follows_rotations(cluster.nodes(), &cluster.url()).await;
}

#[tokio::test]
async fn credentials_that_cannot_be_had_are_an_outage_that_says_so_and_ends() {
    let server = Node::alone().await;
    let url = format!("redis://{}", server.address());
    let mode = Arc::new(AtomicU32::new(0));
    for (number, why) in
        [(1, "the vault is sealed"), (2, "panicked"), (3, "in time"), (4, "in time")]
    {
        mode.store(number, Ordering::SeqCst);
        let asked = mode.clone();
        let config = Config::redis(&url).unwrap().credentials(move || {
            let mode = asked.load(Ordering::SeqCst);
            async move {
                match mode {
                    1 => return Err("the vault is sealed"),
                    2 => panic!("the callback panics"),
                    3 => std::future::pending().await,
                    // A client that blocks its thread.
                    4 => std::thread::sleep(Duration::from_secs(3)),
                    _ => {}
                }
                Ok(Credentials::password("any"))
            }
        });
        let begun = Instant::now();
        let error = Cache::connect(config.clone()).await.unwrap_err();
        assert!(error.is_unavailable() && error.to_string().contains(why), "{number}: {error}");
        assert!(begun.elapsed() < DEADLINE, "it took {:?}", begun.elapsed());
        let cache = Cache::new(config);
        let (value, outcome) = timeout(DEADLINE, cache.scope(observe(double(2)))).await.unwrap();
        assert!(value == 4 && outcome.is_bypassed(), "{number}: {outcome:?}");
        // The user `default` of this server takes any password.
        mode.store(0, Ordering::SeqCst);
        let hits = || async { cache.scope(observe(double(2))).await.1.is_hit() };
        timeout(DEADLINE, eventually("it hits", hits)).await.unwrap();
    }
}

#[test]
fn a_file_of_a_password_is_refused_by_the_name_of_its_variable() {
    let url = ("REDIS_URL", "redis://h");
    let file = "REDIS_PASSWORD_FILE";
    for (variables, told) in [
        ([url, (file, "/nowhere"), url], "REDIS_PASSWORD_FILE: `/nowhere` cannot be read"),
        (
            [url, (file, "/dev/null"), url],
            "REDIS_PASSWORD_FILE: `/dev/null` cannot be read: it is no file",
        ),
        ([url, (file, "/nowhere"), ("REDIS_PASSWORD", "x")], "REDIS_PASSWORD is set too"),
    ] {
        let error = configured(&variables).unwrap_err();
        assert!(error.is_config() && error.to_string().contains(told), "{error}");
    }
}
