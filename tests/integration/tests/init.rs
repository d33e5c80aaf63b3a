//! The global cache: made once, by `init` or by the first call, from the environment.
//!
//! There is one in a process, so every test runs this program again, with itself alone.

// Many functions answer with the number of their run, whatever they are called with.
#![allow(unused_variables)]

use std::process::Command;

use cache_runtime::{Cache, Config, Reason, Status, cache_result, init, observe};
use support::{Log, Server, in_memory};
use tracing::Level;

#[cache_result(prefix = "numbers")]
async fn number(key: u32) -> u32 {
    key
}

/// Runs a test in a process that has these variables and no others of ours.
fn alone(test: &str, variables: &[(&str, &str)]) {
    let program = std::env::current_exe().expect("this program");
    let mut command = Command::new(program);
    command.args([test, "--exact", "--nocapture", "--test-threads=1"]);
    for (name, _) in std::env::vars() {
        if name.starts_with("REDIS_") || name.starts_with("CACHE_") || name == "ENABLE_REDIS_CACHE"
        {
            command.env_remove(name);
        }
    }
    let output = command.env("ALONE", test).envs(variables.iter().copied()).output();
    let output = output.expect("it starts");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("1 passed"), "{said}");
}

/// Whether this is the process that [`alone`] has made.
fn is_alone(case: &str) -> bool {
    std::env::var("ALONE").is_ok_and(|alone| alone == case)
}

macro_rules! alone {
    ($($fact:ident [$($name:literal = $value:expr),*] $body:block)*) => {$(
        #[tokio::test]
        async fn $fact() {
            if is_alone(stringify!($fact)) {
                $body
            } else {
                alone(stringify!($fact), &[$(($name, &*$value)),*]);
            }
        }
    )*};
}

alone! {
    init_decides_once [] {
        let mine = in_memory();
        init(mine.clone()).unwrap();
        let error = init(in_memory()).unwrap_err();
        assert!(error.is_already_initialized(), "{error}");
        assert!(observe(number(1)).await.1.is_computed());
        mine.flush().await;
        assert!(observe(number(1)).await.1.is_hit());
        assert_eq!(mine.stats().prefix("numbers").hits, 1);
        assert_eq!(Cache::global().stats().prefix("numbers").hits, 1);
    }

    init_comes_too_late_after_the_first_call [] {
        number(1).await;
        let error = init(in_memory()).unwrap_err();
        assert!(error.is_already_initialized(), "{error}");
    }

    a_scope_before_init_does_not_make_the_global_cache [] {
        let scoped = in_memory();
        scoped.scope(number(1)).await;
        init(Cache::disabled()).unwrap();
        assert_eq!(observe(number(1)).await.1.reason(), Some(Reason::Off));
    }

    with_nothing_set_the_first_call_keeps_values_in_this_process_and_warns_once [] {
        let log = Log::install();
        for key in 0..3 {
            number(key).await;
        }
        let cache = Cache::global();
        assert_eq!(cache.health().status, Status::Memory);
        cache.flush().await;
        assert!(observe(number(1)).await.1.is_hit());
        let lines = log.lines(Level::WARN, "REDIS_URL");
        assert_eq!(lines.len(), 1, "{lines:#?}");
    }

    a_wrong_setting_is_one_error_line_and_a_cache_that_is_off
    ["REDIS_URL" = "redis://alice:my-secret@host:port/0"] {
        let log = Log::install();
        for key in 0..3 {
            assert_eq!(observe(number(key)).await.1.reason(), Some(Reason::Off));
        }
        let lines = log.lines(Level::TRACE, "");
        assert_eq!(log.lines(Level::ERROR, "REDIS_URL").len(), 1, "{lines:#?}");
        assert!(!lines.concat().contains("my-secret"), "{lines:#?}");
        assert!(!format!("{:?}", Cache::global()).contains("my-secret"));
    }

    a_switch_that_says_no_connects_nothing
    ["REDIS_ENABLED" = "no", "REDIS_URL" = "redis://127.0.0.1:1/0"] {
        assert_eq!(observe(number(1)).await.1.reason(), Some(Reason::Off));
        assert_eq!(Cache::global().health().status, Status::Off);
    }

    from_env_does_not_connect_and_an_absent_server_is_no_error
    ["REDIS_URL" = "redis://127.0.0.1:1/0"] {
        let cache = Cache::from_env();
        assert_eq!(cache.health().status, Status::Untried);
        let (value, outcome) = observe(number(1)).await;
        assert_eq!((value, outcome.reason()), (1, Some(Reason::Unavailable)));
        assert_eq!(Cache::global().health().status, Status::Down);
    }
}

#[tokio::test]
async fn the_first_call_uses_the_redis_of_the_environment() {
    const THIS: &str = "the_first_call_uses_the_redis_of_the_environment";
    if is_alone(THIS) {
        number(1).await;
        let cache = Cache::global();
        assert_eq!(cache.health().status, Status::Up);
        cache.flush().await;
        assert!(observe(number(1)).await.1.is_hit());
        assert!(Config::from_env().is_ok());
        return;
    }
    let server = Server::start().await;
    alone(
        THIS,
        &[
            ("REDIS_URL", &*server.url()),
            ("CACHE_NAMESPACE", "mine"),
            ("REDIS_DEFAULT_TTL", "100"),
            ("CACHE_BUDGET_MS", "20000"),
            ("REDIS_TIMEOUT_MS", "20000"),
        ],
    );
    let keys = server.entries().await;
    assert_eq!(keys.len(), 1, "{keys:?}");
    assert!(keys[0].starts_with("mine:numbers:"));
    let left: u64 = server.command(&["TTL", &keys[0]]).await;
    assert!((60..=100).contains(&left), "{left}");
}
