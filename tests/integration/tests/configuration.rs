//! Settings: how each is spelled, which of two wins, what is refused and in what words, and that
//! no password is ever shown.

// Many functions answer with the number of their run, whatever they are called with.
#![allow(unused_variables)]

use std::collections::HashMap;
use std::io::Write as _;
use std::net::TcpListener;
use std::time::Duration;

use cache_runtime::{Cache, Config, Error, Reason, Status, cache_result, observe};
use support::{Server, in_memory, patient};

#[cache_result]
async fn number(key: u32) -> u32 {
    key
}

fn read(variables: &[(&str, &str)]) -> Result<Config, Error> {
    let variables: HashMap<_, _> = variables.iter().copied().collect();
    Config::from_lookup(|name| variables.get(name).map(|value| (*value).to_owned()))
}

/// Where the store is, as `Debug` shows it.
fn backend(variables: &[(&str, &str)]) -> String {
    let shown = match read(variables) {
        Ok(config) => format!("{config:?}"),
        Err(error) => panic!("{variables:?}: {error}"),
    };
    let shown = shown.strip_prefix("Config { backend: ").expect("the backend first");
    shown.split(", namespace").next().expect("the namespace next").to_owned()
}

fn refused(variables: &[(&str, &str)]) -> String {
    let error = read(variables).expect_err(&format!("{variables:?} should be refused"));
    assert!(error.is_config());
    format!("{error} {error:?}")
}

const LOCAL: &str = "Redis(redis://127.0.0.1:6379/0)";

#[test]
fn a_switch_is_spelled_in_many_ways() {
    for no in ["false", "0", "no", "off", "FALSE", "Off", " no ", "\"false\"", "'0'"] {
        for switch in ["REDIS_ENABLED", "ENABLE_REDIS_CACHE"] {
            assert_eq!(backend(&[(switch, no)]), "Off", "{switch}={no:?}");
            assert_eq!(backend(&[(switch, no), ("REDIS_URL", "redis://host")]), "Off");
        }
    }
    for yes in ["true", "1", "yes", "on", "TRUE", "On", " yes\n", "\"true\"", "'1'"] {
        for switch in ["REDIS_ENABLED", "ENABLE_REDIS_CACHE"] {
            assert_eq!(backend(&[(switch, yes)]), LOCAL, "{switch}={yes:?}");
            let with_url = [(switch, yes), ("REDIS_URL", "redis://host")];
            assert_eq!(backend(&with_url), "Redis(redis://host:6379/0)");
        }
    }
    for neither in ["", " ", "\"\"", "''"] {
        assert_eq!(backend(&[("REDIS_ENABLED", neither)]), "Memory", "{neither:?}");
    }
}

#[test]
fn of_two_switches_off_wins() {
    for (one, other, expected) in [
        ("true", "false", "Off"),
        ("false", "true", "Off"),
        ("false", "false", "Off"),
        ("true", "true", LOCAL),
        ("", "true", LOCAL),
        ("", "false", "Off"),
    ] {
        let both = [("REDIS_ENABLED", one), ("ENABLE_REDIS_CACHE", other)];
        assert_eq!(backend(&both), expected, "{both:?}");
    }
}

#[test]
fn nothing_set_means_this_process_and_a_switch_alone_the_local_redis() {
    assert_eq!(backend(&[]), "Memory");
    assert_eq!(backend(&[("REDIS_PASSWORD", "x"), ("CACHE_NAMESPACE", "x")]), "Memory");
    assert_eq!(backend(&[("REDIS_ENABLED", "true")]), LOCAL);
    assert_eq!(
        backend(&[("REDIS_ENABLED", "true"), ("REDIS_PORT", "7")]),
        "Redis(redis://127.0.0.1:7/0)"
    );
    assert_eq!(backend(&[("REDIS_URL", "memory://")]), "Memory");
    assert_eq!(backend(&[("REDIS_URL", " \"memory://\" "), ("REDIS_ENABLED", "1")]), "Memory");
}

#[test]
fn switched_off_nothing_else_is_read() {
    let off = [("REDIS_ENABLED", "false"), ("REDIS_URL", "nonsense"), ("CACHE_BUDGET_MS", "x")];
    assert_eq!(backend(&off), "Off");
}

#[test]
fn addresses_are_read_from_url_or_host() {
    for (variables, expected) in [
        (&[("REDIS_URL", "redis://h")][..], "redis://h:6379/0"),
        (&[("REDIS_URL", "redis://h:1/2")], "redis://h:1/2"),
        (&[("REDIS_URL", "REDIS://h:1/2/")], "redis://h:1/2"),
        (&[("REDIS_URL", "valkey://h")], "redis://h:6379/0"),
        (&[("REDIS_URL", "redis://")], "redis://127.0.0.1:6379/0"),
        (&[("REDIS_URL", "redis://:7")], "redis://127.0.0.1:7/0"),
        (&[("REDIS_URL", "redis://h/")], "redis://h:6379/0"),
        (&[("REDIS_URL", "redis://h?db=3")], "redis://h:6379/3"),
        (&[("REDIS_URL", "redis://[::1]:7/2")], "redis://[::1]:7/2"),
        (&[("REDIS_URL", "redis://[::1]")], "redis://[::1]:6379/0"),
        (&[("REDIS_URL", "'redis://h:1'")], "redis://h:1/0"),
        (&[("REDIS_URL", "unix:///run/redis.sock")], "unix:///run/redis.sock?db=0"),
        (&[("REDIS_URL", "unix:///run/redis.sock?db=2&pass=x")], "unix:///run/redis.sock?db=2"),
        (&[("REDIS_URL", "redis+unix:///r.sock")], "unix:///r.sock?db=0"),
        (&[("REDIS_HOST", "h")], "redis://h:6379/0"),
        (&[("REDIS_HOST", "h"), ("REDIS_PORT", "7"), ("REDIS_DB", "3")], "redis://h:7/3"),
        (&[("REDIS_HOST", "::1"), ("REDIS_PORT", "7")], "redis://[::1]:7/0"),
        (&[("REDIS_HOST", "h"), ("REDIS_PORT", "tcp://10.0.0.7:8")], "redis://h:8/0"),
        (&[("REDIS_HOST", "h"), ("REDIS_PORT", "\"7\"")], "redis://h:7/0"),
        (&[("REDIS_HOST", "redis://h:7/3"), ("REDIS_PORT", "9")], "redis://h:7/3"),
        (&[("REDIS_HOST", "unix:///r.sock")], "unix:///r.sock?db=0"),
    ] {
        assert_eq!(backend(variables), format!("Redis({expected})"), "{variables:?}");
    }
}

#[test]
fn a_url_wins_and_what_it_beats_is_not_even_read() {
    let expected = "Redis(redis://url:1/0)";
    let beaten = [
        ("REDIS_URL", "redis://url:1"),
        ("REDIS_HOST", "host"),
        ("REDIS_PORT", "tcp://10.0.0.7:no"),
        ("REDIS_DB", "no"),
    ];
    assert_eq!(backend(&beaten), expected);
    let empty = [("REDIS_URL", ""), ("REDIS_HOST", "host"), ("REDIS_PORT", "2")];
    assert_eq!(backend(&empty), "Redis(redis://host:2/0)");
}

#[test]
fn numbers_are_read_and_bounded() {
    let config = read(&[
        ("REDIS_DEFAULT_TTL", "60"),
        ("REDIS_POOL_SIZE", "3"),
        ("REDIS_CONNECT_TIMEOUT_MS", "11"),
        ("REDIS_TIMEOUT_MS", " 12 "),
        ("CACHE_BUDGET_MS", "\"13\""),
        ("CACHE_MAX_VALUE", "14"),
        ("CACHE_COMPRESS_ABOVE", "15"),
        ("CACHE_LOCAL_BYTES", "16"),
        ("CACHE_SLOW_MS", "17"),
        ("CACHE_LOG_INTERVAL", "0"),
        ("CACHE_NAMESPACE", "shop"),
    ]);
    let shown = format!("{:?}", config.unwrap());
    for expected in [
        "namespace: \"shop\"",
        "default_ttl: 60s",
        "pool_size: 3",
        "connect_timeout: 11ms",
        " timeout: 12ms",
        "budget: 13ms",
        "max_value: 14,",
        "compress_above: 15,",
        "local_bytes: 16,",
    ] {
        assert!(shown.contains(expected), "{expected}: {shown}");
    }
    let shown = format!("{:?}", read(&[]).unwrap());
    for expected in [
        "namespace: \"cache\"",
        "default_ttl: 3600s",
        "pool_size: 2",
        "connect_timeout: 1s",
        " timeout: 100ms",
        "budget: 100ms",
        "max_value: 1048576,",
        "compress_above: 4096,",
        "local_bytes: 67108864,",
    ] {
        assert!(shown.contains(expected), "{expected}: {shown}");
    }
    let many = read(&[("REDIS_POOL_SIZE", "100")]).unwrap();
    assert!(format!("{many:?}").contains("pool_size: 8"));
    assert!(format!("{:?}", Config::in_memory().lanes(0)).contains("pool_size: 1"));
}

#[test]
fn times_are_read_as_in_attributes_or_in_the_unit_of_their_variable() {
    for (name, value, shown) in [
        ("REDIS_DEFAULT_TTL", "1h", "default_ttl: 3600s"),
        ("REDIS_DEFAULT_TTL", "\"1h30m\"", "default_ttl: 5400s"),
        ("REDIS_DEFAULT_TTL", "500ms", "default_ttl: 500ms"),
        ("REDIS_DEFAULT_TTL", "90", "default_ttl: 90s"),
        ("REDIS_CONNECT_TIMEOUT_MS", "2s", "connect_timeout: 2s"),
        ("REDIS_TIMEOUT_MS", "250ms", " timeout: 250ms"),
        ("REDIS_TIMEOUT_MS", "250", " timeout: 250ms"),
        ("CACHE_BUDGET_MS", "1s500ms", "budget: 1.5s"),
        ("CACHE_LOCAL", "1m30s", "local: All(90s)"),
    ] {
        let config = format!("{:?}", read(&[(name, value)]).unwrap());
        assert!(config.contains(shown), "{name}={value}: {config}");
    }
    for (name, value) in [("CACHE_SLOW_MS", "1s"), ("CACHE_LOG_INTERVAL", "5m")] {
        read(&[(name, value)]).unwrap();
    }
}

#[test]
fn a_wrong_value_is_refused_by_the_name_of_its_variable() {
    for (name, value) in [
        ("REDIS_ENABLED", "maybe"),
        ("ENABLE_REDIS_CACHE", "2"),
        ("REDIS_URL", "localhost:6379"),
        ("REDIS_URL", "http://h"),
        ("REDIS_URL", "redis://h:port"),
        ("REDIS_URL", "redis://h:70000"),
        ("REDIS_URL", "redis://h/db"),
        ("REDIS_URL", "redis://h/-1"),
        ("REDIS_URL", "redis://h?db=x"),
        ("REDIS_URL", "redis://[::1"),
        ("REDIS_URL", "unix://"),
        ("REDIS_HOST", "redis://h:port"),
        ("REDIS_DEFAULT_TTL", "0"),
        ("REDIS_DEFAULT_TTL", "1.5h"),
        ("REDIS_DEFAULT_TTL", "0ms"),
        ("REDIS_DEFAULT_TTL", "-1"),
        ("REDIS_DEFAULT_TTL", "99999999999999999999"),
        ("REDIS_POOL_SIZE", "0"),
        ("REDIS_POOL_SIZE", "two"),
        ("REDIS_CONNECT_TIMEOUT_MS", "1.5"),
        ("REDIS_TIMEOUT_MS", "0"),
        ("CACHE_BUDGET_MS", "100 ms"),
        ("CACHE_MAX_VALUE", "1MiB"),
        ("CACHE_COMPRESS_ABOVE", "0"),
        ("CACHE_LOCAL_BYTES", "x"),
        ("CACHE_SLOW_MS", "x"),
        ("CACHE_LOG_INTERVAL", "x"),
        ("CACHE_NAMESPACE", "a b"),
        ("CACHE_NAMESPACE", "a\u{7}b"),
    ] {
        let told = refused(&[(name, value)]);
        assert!(told.starts_with(&format!("{name}: ")), "{name}={value}: {told}");
    }
    for (name, value) in
        [("REDIS_PORT", "0"), ("REDIS_PORT", "x"), ("REDIS_PORT", "tcp://h:x"), ("REDIS_DB", "x")]
    {
        let told = refused(&[("REDIS_HOST", "h"), (name, value)]);
        assert!(told.starts_with(&format!("{name}: ")), "{name}={value}: {told}");
    }
}

#[test]
fn a_database_that_cannot_be_is_refused_however_it_is_given() {
    for db in ["4294967296", "9223372036854775808", "18446744073709551615"] {
        refused(&[("REDIS_URL", &format!("redis://h/{db}"))]);
        refused(&[("REDIS_HOST", "h"), ("REDIS_DB", db)]);
    }
}

/// What a URL is understood as.
fn understood(url: &str) -> String {
    let config = read(&[("REDIS_URL", url)]).unwrap_or_else(|error| panic!("{url}: {error}"));
    let shown = format!("{config:?}");
    let from = shown.find("Redis(").expect("a server") + "Redis(".len();
    shown[from..].split(')').next().expect("an end").to_owned()
}

#[test]
fn every_topology_is_found_by_its_url() {
    for (url, meant) in [
        ("rediss://h", "rediss://h:6379/0"),
        ("rediss://alice:my-secret@h:6380/2", "rediss://h:6380/2"),
        ("valkeys://h", "rediss://h:6379/0"),
        ("redis://h?ssl=true", "rediss://h:6379/0"),
        ("redis://h?ssl=True&ssl_cert_reqs=none", "rediss://h:6379/0"),
        ("redis://h?ssl=false&ssl_cert_reqs=none", "redis://h:6379/0"),
        ("rediss://h?ssl_cert_reqs=CERT_REQUIRED", "rediss://h:6379/0"),
        ("redis+sentinel://a:1,b/mymaster", "redis+sentinel://a:1,b:26379/mymaster/0"),
        (
            "redis+sentinel://:p@a,[::1]:7/m/3?sentinel_password=q%40r",
            "redis+sentinel://a:26379,[::1]:7/m/3",
        ),
        ("redis+sentinel://a?service_name=m&db=1", "redis+sentinel://a:26379/m/1"),
        ("rediss+sentinel://a/m", "rediss+sentinel://a:26379/m/0"),
        ("redis+cluster://h", "redis+cluster://h:6379"),
        ("redis://u:p@a:1,b:2?cluster=true", "redis+cluster://a:1,b:2"),
        ("rediss://a:1, b:2/0?cluster=1", "rediss+cluster://a:1,b:2"),
        ("rediss+cluster://:p@ss@a:1/", "rediss+cluster://a:1"),
    ] {
        assert_eq!(understood(url), meant, "{url}");
    }
}

#[test]
fn the_urls_of_managed_services_are_taken_as_they_are_given() {
    for (url, meant) in [
        (
            "rediss://master.shop.x1y2z3.use1.cache.amazonaws.com:6379",
            "rediss://master.shop.x1y2z3.use1.cache.amazonaws.com:6379/0",
        ),
        (
            "rediss://app:S3cret+/=@clustercfg.shop.x1y2z3.use1.cache.amazonaws.com:6379?cluster=true",
            "rediss+cluster://clustercfg.shop.x1y2z3.use1.cache.amazonaws.com:6379",
        ),
        ("redis://10.20.30.3:6378/0", "redis://10.20.30.3:6378/0"),
        (
            "redis://:bW9yZQ+base64/key=@shop.redis.cache.windows.net:6380?ssl=true",
            "rediss://shop.redis.cache.windows.net:6380/0",
        ),
        (
            "rediss://:bW9yZQ%3D%3D@shop.redis.cache.windows.net:6380/0?ssl_cert_reqs=required",
            "rediss://shop.redis.cache.windows.net:6380/0",
        ),
        (
            "redis://default:Xp7~q@redis-12345.c1.us-east-1-2.ec2.cloud.redislabs.com:12345",
            "redis://redis-12345.c1.us-east-1-2.ec2.cloud.redislabs.com:12345/0",
        ),
    ] {
        assert_eq!(understood(url), meant, "{url}");
    }
}

#[test]
fn what_cannot_be_meant_is_refused_in_words() {
    for (url, told) in [
        ("redis://a:1,b:2", "several hosts"),
        ("redis+sentinel://a:1,b:2", "the name of the master is missing"),
        ("redis+sentinel://a:1/mymaster/x", "the database is not a number"),
        ("redis+cluster://h/1", "only the database 0"),
        ("redis://h/2?cluster=true", "only the database 0"),
        ("redis://h?ssl=true&ssl_cert_reqs=perhaps", "`none` or `required`"),
        ("rediss://h?ssl_certfile=Cargo.toml", "`Cargo.toml` holds nothing in PEM"),
        ("rediss://h?ssl_ca_certs=/nowhere/ca.pem", "`/nowhere/ca.pem` cannot be read"),
        ("unix:///s?ssl=true", "a socket has no TLS"),
        ("http://my-secret@h", "unknown scheme"),
    ] {
        let error = refused(&[("REDIS_URL", url)]);
        assert!(error.contains(told) && error.starts_with("REDIS_URL"), "{url}: {error}");
        assert!(!error.contains("my-secret"), "{error}");
    }
}

#[test]
fn certificates_that_cannot_be_used_are_refused_by_the_name_of_their_variable() {
    let mut pem = tempfile::NamedTempFile::new().unwrap();
    pem.write_all(b"-----BEGIN CERTIFICATE-----").unwrap();
    let pem = pem.path().to_str().unwrap();
    let url = ("REDIS_URL", "rediss://h");
    for (variables, told) in [
        ([url, ("REDIS_TLS_CA", "/nowhere")], "REDIS_TLS_CA: `/nowhere` cannot be read"),
        ([url, ("REDIS_TLS_CA", "/dev")], "REDIS_TLS_CA: `/dev` cannot be read: it is no file"),
        ([url, ("REDIS_TLS_CA", "Cargo.toml")], "REDIS_TLS_CA: `Cargo.toml` holds nothing"),
        ([url, ("REDIS_TLS_CERT", pem)], "REDIS_TLS_KEY: belongs to REDIS_TLS_CERT"),
        ([url, ("REDIS_TLS_KEY", pem)], "REDIS_TLS_CERT: belongs to REDIS_TLS_KEY"),
    ] {
        assert!(refused(&variables).contains(told), "{}", refused(&variables));
    }
    let url = format!("rediss://h?ssl_certfile={pem}");
    assert!(refused(&[("REDIS_URL", &url)]).contains("belong together"));
}

#[test]
fn a_port_in_a_host_is_understood_or_refused() {
    match read(&[("REDIS_HOST", "h:7")]) {
        Ok(config) => assert!(format!("{config:?}").contains("redis://h:7/0"), "{config:?}"),
        Err(error) => assert!(error.to_string().starts_with("REDIS_HOST: "), "{error}"),
    }
}

const SECRETS: [&str; 9] = [
    "my-secret",
    "a@b",
    "p@ss/w?rd#1:x",
    "aGVsbG8+d29ybGQ/PT0=",
    "100%",
    "%zz",
    "tr%41iling",
    "\"quoted\"",
    "pass word",
];

#[test]
fn no_password_is_ever_shown() {
    for secret in SECRETS {
        for variables in [
            vec![("REDIS_URL", format!("redis://alice:{secret}@host:1/2"))],
            vec![("REDIS_URL", format!("redis://:{secret}@host:1/2"))],
            vec![("REDIS_URL", format!("unix:///r.sock?user=alice&pass={secret}"))],
            vec![("REDIS_HOST", "host".into()), ("REDIS_PASSWORD", secret.into())],
            vec![("REDIS_HOST", format!("redis://:{secret}@host"))],
            // Refused, each of them.
            vec![("REDIS_URL", format!("redis://alice:{secret}@host:port/0"))],
            vec![("REDIS_URL", format!("redis://alice:{secret}@host:1/db"))],
            vec![("REDIS_URL", format!("rediss://alice:{secret}@host:1/0"))],
            vec![("REDIS_URL", format!("{secret}@host:1/0"))],
            vec![("REDIS_URL", format!("unix:///r.sock?pass={secret}&db=x"))],
            vec![
                ("REDIS_HOST", "host".into()),
                ("REDIS_PASSWORD", secret.into()),
                ("REDIS_DB", "x".into()),
            ],
        ] {
            let variables: Vec<_> =
                variables.iter().map(|(name, value)| (*name, &**value)).collect();
            let shown = match read(&variables) {
                Ok(config) => {
                    let cache = Cache::new(config.clone());
                    format!("{config:?} {config:#?} {cache:?} {:?}", cache.health())
                }
                Err(error) => format!("{error} {error:?}"),
            };
            assert!(!shown.contains(secret), "{variables:?}: {shown}");
            assert!(!shown.contains("alice"), "{variables:?}: {shown}");
        }
    }
}

#[test]
fn a_password_under_the_wrong_variable_is_not_shown_either() {
    for name in ["REDIS_PORT", "REDIS_ENABLED", "REDIS_URL", "CACHE_NAMESPACE"] {
        if let Err(error) = read(&[("REDIS_HOST", "h"), (name, "my secret")]) {
            assert!(!format!("{error} {error:?}").contains("my secret"), "{name}: {error}");
        }
    }
}

/// A server on a port, with a user `alice` of this password and a default user of the same.
async fn guarded(password: &str) -> (Server, u16) {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let server = Server::start_with(&["--port", &port.to_string()]).await;
    let user = ["ACL", "SETUSER", "alice", "on", &format!(">{password}"), "~*", "&*", "+@all"];
    server.command::<String>(&user).await;
    server.command::<String>(&["CONFIG", "SET", "requirepass", password]).await;
    (server, port)
}

async fn logs_in(config: Config) -> Result<(), Error> {
    let cache = Cache::connect(patient(config)).await?;
    let (_, outcome) = cache.scope(observe(number(1))).await;
    cache.flush().await;
    assert!(!outcome.is_bypassed(), "{outcome:?}");
    assert_eq!(cache.health().status, Status::Up);
    Ok(())
}

/// As it goes into a URL by the book.
fn escaped(secret: &str) -> String {
    let escape = |byte: u8| {
        if byte.is_ascii_alphanumeric() { char::from(byte).into() } else { format!("%{byte:02X}") }
    };
    secret.bytes().map(escape).collect()
}

#[tokio::test]
async fn a_password_logs_in_however_it_is_given() {
    for secret in SECRETS {
        let (server, port) = guarded(secret).await;
        let (host, port_text) = ("127.0.0.1", port.to_string());
        let literal =
            [("REDIS_HOST", host), ("REDIS_PORT", &port_text), ("REDIS_PASSWORD", secret)];
        let mut cases = vec![read(&literal).unwrap()];
        cases.push(read(&[&literal[..], &[("REDIS_USERNAME", "alice")]].concat()).unwrap());
        let url = |url: String| read(&[("REDIS_URL", &url)]).unwrap();
        cases.push(url(format!("redis://alice:{}@{host}:{port}/0", escaped(secret))));
        cases.push(url(format!("redis://:{}@{host}:{port}", escaped(secret))));
        let unix = server.url();
        cases.push(url(format!("{unix}?user=alice&pass={}", escaped(secret))));
        // Raw too, but where it reads as an escape of something else.
        if !secret.contains("%41") {
            cases.push(url(format!("redis://alice:{secret}@{host}:{port}/0")));
        }
        let plain = format!("redis://{host}:{port}/0");
        for place in ["REDIS_URL", "REDIS_HOST"] {
            let beside = [(place, plain.as_str()), ("REDIS_PASSWORD", secret)];
            cases.push(read(&beside).unwrap());
            cases.push(read(&[&beside[..], &[("REDIS_USERNAME", "alice")]].concat()).unwrap());
        }
        let named = format!("redis://alice@{host}:{port}/0");
        cases.push(read(&[("REDIS_URL", &named), ("REDIS_PASSWORD", secret)]).unwrap());
        let with_password = format!("redis://:{}@{host}:{port}", escaped(secret));
        cases.push(read(&[("REDIS_URL", &with_password), ("REDIS_PASSWORD", "another")]).unwrap());
        let in_host = format!("redis://{host}:{port}/0");
        cases.push(read(&[("REDIS_HOST", &in_host), ("REDIS_PASSWORD", secret)]).unwrap());
        for (number, config) in cases.into_iter().enumerate() {
            if let Err(error) = logs_in(config).await {
                panic!("`{secret}`, case {number}: {error}");
            }
        }
    }
}

#[tokio::test]
async fn a_wrong_password_is_told_without_showing_it() {
    let (_server, port) = guarded("right").await;
    let url = format!("redis://alice:my-secret@127.0.0.1:{port}/0");
    let config = patient(Config::redis(&url).unwrap());
    let error = Cache::connect(config.clone()).await.unwrap_err();
    assert!(error.is_unavailable());
    let cache = Cache::new(config);
    let (_, outcome) = cache.scope(observe(number(2))).await;
    assert_eq!(outcome.reason(), Some(Reason::Unavailable));
    let health = cache.health();
    assert_eq!(health.status, Status::Down);
    let shown = format!("{error} {error:?} {cache:?} {health:?}");
    assert!(!shown.contains("my-secret"), "{shown}");
    let told = error.to_string().to_lowercase();
    assert!(["password", "wrongpass", "auth"].iter().any(|word| told.contains(word)), "{told}");
}

#[tokio::test]
async fn a_wrong_database_and_an_absent_server_are_told() {
    let server = Server::start().await;
    let config = Config::redis(&format!("{}?db=99", server.url())).unwrap();
    let error = Cache::connect(patient(config)).await.unwrap_err();
    assert!(error.is_unavailable(), "{error}");
    let (_folder, url) = Server::absent();
    let config = Config::redis(&url).unwrap().connect_timeout(Duration::from_millis(300));
    let error = Cache::connect(config).await.unwrap_err();
    assert!(error.is_unavailable(), "{error}");
}

#[tokio::test]
async fn settings_in_code_are_those_of_the_environment() {
    let server = Server::start().await;
    let cache = Cache::connect(server.config().namespace("in-code").lanes(1)).await.unwrap();
    assert_eq!(cache.health().lanes, 1);
    let (_, outcome) = cache.scope(observe(number(3))).await;
    assert!(outcome.key.unwrap().starts_with("in-code:"));
    let url = format!("{}?db=3&protocol=2", server.url());
    let cache = Cache::connect(patient(Config::redis(&url).unwrap())).await.unwrap();
    cache.scope(number(3)).await;
    cache.flush().await;
    let keyspace: String = server.command(&["INFO", "keyspace"]).await;
    assert!(keyspace.contains("db3:keys=2"), "{keyspace}");
    assert_eq!(in_memory().health().status, Status::Memory);
    assert!(Config::redis("memory://").is_ok());
    let error = Config::redis("redis//h").unwrap_err();
    assert!(error.is_config());
}

#[test]
fn a_login_is_found_wherever_clients_write_it_and_never_shown() {
    let urls = [
        ("unix://:hunter2@/run/redis.sock", "unix:///run/redis.sock?db=0"),
        ("unix://alice:hunter2@/run/redis.sock?db=2", "unix:///run/redis.sock?db=2"),
        ("unix://alice:hunter2@run/redis.sock", "unix://run/redis.sock?db=0"),
        ("unix://alice:hunter2?x@../redis.sock", "unix://../redis.sock?db=0"),
        ("unix://run/redis.sock?pass=hunter2@x", "unix://run/redis.sock?db=0"),
        ("redis://host:6379/0?pass=pa@hunter2", "redis://host:6379/0"),
        ("redis://host:6379/1?password=hunter2", "redis://host:6379/1"),
        ("redis://host?client_name=a@b", "redis://host:6379/0"),
        ("redis://:hun?t=er2@host:7/3", "redis://host:7/3"),
        ("redis://alice:hunter2@host", "redis://host:6379/0"),
    ];
    for (url, shown) in urls {
        let config = format!("{:?}", Config::redis(url).unwrap());
        assert!(config.contains(&format!("Redis({shown})")), "{url}: {config}");
        assert!(!config.contains("hunter2"), "{url}: {config}");
    }
    let host = |name: &str| (name == "REDIS_HOST").then(|| "default:hunter2@redis.internal".into());
    let config = format!("{:?}", Config::from_lookup(host).unwrap());
    assert!(config.contains("Redis(redis://redis.internal:6379/0)"), "{config}");
    assert!(Config::redis("redis://[::1]6390").unwrap_err().is_config());
}

#[tokio::test]
async fn a_namespace_in_code_is_held_to_what_the_variable_is() {
    for namespace in ["", "my shop", "shop\n", "\u{7}"] {
        let config = || Config::in_memory().namespace(namespace);
        let error = Cache::connect(config()).await.unwrap_err();
        assert!(error.is_config() && error.to_string().contains("namespace"), "{error}");
        let cache = Cache::new(config());
        assert!(!cache.is_enabled(), "{namespace:?}");
        assert_eq!(cache.scope(number(1)).await, 1);
    }
    assert!(Cache::connect(Config::in_memory().namespace("{shop}:eu")).await.is_ok());
}
