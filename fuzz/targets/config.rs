//! URLs and environments that anybody may have written: no panic, and nowhere the password.
//!
//! The lines of the input are variables, whose first letter says which; those that are a URL, and the
//! password, have a secret in them, at a place where only a password can be.
#![no_main]

use std::collections::HashMap;

use cache_runtime::Config;
use libfuzzer_sys::fuzz_target;

const SECRET: &str = "HUNTERTWO";

const NAMES: [&str; 18] = [
    "REDIS_ENABLED",
    "ENABLE_REDIS_CACHE",
    "REDIS_PORT",
    "REDIS_USERNAME",
    "REDIS_DB",
    "REDIS_DEFAULT_TTL",
    "REDIS_POOL_SIZE",
    "REDIS_CONNECT_TIMEOUT_MS",
    "REDIS_TIMEOUT_MS",
    "CACHE_NAMESPACE",
    "CACHE_BUDGET_MS",
    "CACHE_MAX_VALUE",
    "CACHE_COMPRESS_ABOVE",
    "CACHE_LOCAL",
    "CACHE_LOCAL_BYTES",
    "CACHE_SLOW_MS",
    "CACHE_LOG_INTERVAL",
    "REDIS_HOST",
];

const SCHEMES: [&str; 9] = [
    "redis",
    "REDIS",
    "valkey",
    "unix",
    "redis+unix",
    "rediss",
    "redis+cluster",
    "redis+sentinel",
    "rediss+sentinel",
];

fuzz_target!(|text: &str| {
    if text.contains(SECRET) {
        return;
    }
    let _ = Config::redis(text);
    let vars: HashMap<_, _> = text.split('\n').filter_map(variable).collect();
    if let Some(url) = vars.get("REDIS_URL") {
        keeps_its_secret(Config::redis(url));
    }
    keeps_its_secret(Config::from_lookup(|name| vars.get(name).cloned()));
});

fn keeps_its_secret(read: Result<Config, cache_runtime::Error>) {
    let shown = match read {
        Ok(config) => format!("{config:?}"),
        Err(error) => format!("{error} {error:?}"),
    };
    assert!(!shown.contains(SECRET), "{shown}");
}

fn variable(line: &str) -> Option<(&'static str, String)> {
    let letter = line.chars().next()?;
    let value = &line[letter.len_utf8()..];
    match letter {
        'U' => url(value).map(|url| ("REDIS_URL", url)),
        'H' => url(value).map(|url| ("REDIS_HOST", url)),
        'P' => Some(("REDIS_PASSWORD", around(value))),
        _ => {
            let name = NAMES.get(u32::from(letter).checked_sub(u32::from('a'))? as usize)?;
            Some((name, value.to_owned()))
        }
    }
}

/// The secret after the first dot: a password may have it at its start, in its middle or at its end.
fn around(text: &str) -> String {
    let (before, after) = text.split_once('.').unwrap_or((text, ""));
    format!("{before}{SECRET}{after}")
}

/// Scheme, user, password and the rest, or with an exclamation mark the rest and the password behind it;
/// `None` where somebody else could not tell where the password is.
fn url(text: &str) -> Option<String> {
    let mut letters = text.chars();
    let scheme = SCHEMES[u32::from(letters.next()?) as usize % SCHEMES.len()];
    let mut pieces = letters.as_str().splitn(3, '\t');
    let (user, password, rest) = (pieces.next()?, around(pieces.next()?), pieces.next()?);
    if rest.contains('@') {
        return None;
    }
    if let Some(user) = user.strip_prefix('!') {
        let clear = !user.contains(['@', '?']) && !password.contains(['@', '&']);
        return clear.then(|| format!("{scheme}://{user}?password={password}&{rest}"));
    }
    if scheme.contains("unix") {
        let clear = !user.starts_with(['/', '.']) && rest.starts_with('/');
        if !clear || user.contains("@/") || password.contains("@/") {
            return None;
        }
    }
    Some(format!("{scheme}://{user}:{password}@{rest}"))
}
