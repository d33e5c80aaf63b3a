//! The names of the attributes' options: those that exist, those of other caching crates, and the
//! nearest one to a misspelt name.

/// Every option of `#[cache_result]` in the order of the manual, with an example.
const OPTIONS: [(&str, &str); 20] = [
    ("ttl", "ttl = 3600"),
    ("prefix", "prefix = \"areas\""),
    ("id", "id = \"user-by-email\""),
    ("key", "key = \"{id}\""),
    ("skip", "skip(db)"),
    ("when", "when = page < 10"),
    ("cache_if", "cache_if = |value| !value.is_empty()"),
    ("none_ttl", "none_ttl = 30"),
    ("stale_while_revalidate", "stale_while_revalidate = 60"),
    ("stale_if_error", "stale_if_error = 600"),
    ("stale_if", "stale_if = |error| error.is_timeout()"),
    ("refresh_ahead", "refresh_ahead = 1.0"),
    ("jitter", "jitter = 0.1"),
    ("local", "local = \"10s\""),
    ("lease", "lease = \"2s\""),
    ("wait", "wait = \"5s\""),
    ("tags", "tags = [\"agent:{agent_id}\"]"),
    ("version", "version = 2"),
    ("cache", "cache = self.cache"),
    ("crate", "crate = \"my_crate::cache_runtime\""),
];

/// Every option of `#[cache_invalidate]`, likewise.
const TARGETS: [(&str, &str); 4] = [
    ("prefix", "prefix = \"areas\""),
    ("tag", "tag = \"agent:{agent_id}\""),
    ("cache", "cache = self.cache"),
    ("crate", "crate = \"my_crate::cache_runtime\""),
];

/// The example of an option, for messages.
pub(crate) fn example(option: &str) -> &'static str {
    let found = OPTIONS.iter().chain(&TARGETS).find(|(name, _)| *name == option);
    found.map_or("", |(_, example)| example)
}

/// Whether `#[cache_invalidate]` has an option of that name.
pub(crate) fn is_target(word: &str) -> bool {
    TARGETS.iter().any(|(name, _)| *name == word)
}

/// The message for a word that is no option of `#[cache_result]`, with what to write instead.
pub(crate) fn unknown(word: &str) -> String {
    of_a_peer(word).unwrap_or_else(|| near_or_listed(word, &OPTIONS, ""))
}

/// The same for `#[cache_invalidate]`.
pub(crate) fn unknown_target(word: &str) -> String {
    match word {
        "key" | "keys" => format!(
            "`{word}` is not needed: name the call, as in `areas(kind.clone())`; its arguments make the key"
        ),
        "call" | "calls" | "function" => {
            format!("`{word}` is not needed: name the call alone, as in `areas(kind.clone())`")
        }
        "tags" => "write `tag = \"..\"` once for each tag".into(),
        "prefixes" => "write `prefix = \"..\"` once for each prefix".into(),
        _ => near_or_listed(word, &TARGETS, "a call, as in `areas(kind.clone())`, or "),
    }
}

fn near_or_listed(word: &str, options: &[(&'static str, &str)], others: &str) -> String {
    if let Some(option) = nearest(word, options) {
        return format!("unknown option `{word}`; did you mean `{option}`?");
    }
    let all = quoted(options.iter().map(|(name, _)| name));
    format!("unknown option `{word}`; expected {others}one of {all}")
}

/// Joins names for a message: `` `a`, `b` ``.
pub(crate) fn quoted(names: impl IntoIterator<Item = impl std::fmt::Display>) -> String {
    let names: Vec<_> = names.into_iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}

/// Translates an option of another caching crate.
fn of_a_peer(word: &str) -> Option<String> {
    let option = match word {
        "time" | "timeout" | "expire" | "expires" | "expires_in" | "expiry" | "expiration"
        | "ttl_secs" | "ttl_seconds" | "max_age" => "`ttl` here: `ttl = 60`",
        "name" | "namespace" | "cache_name" | "group" => "`prefix` here: `prefix = \"areas\"`",
        "convert" | "cache_key" | "key_fn" => "`key` here: `key = \"{id}\"` or `key = (id)`",
        "ignore" | "exclude" => "`skip` here: `skip(db)`",
        "condition" => "`when` here: `when = page < 10`",
        "unless" => "`cache_if` here and says the opposite: `cache_if = |value| !value.is_empty()`",
        "swr" | "stale_ttl" | "grace" => {
            "`stale_while_revalidate` here: `stale_while_revalidate = 60`"
        }
        "early_refresh" | "beta" | "prefetch" => "`refresh_ahead` here: `refresh_ahead = 1.0`",
        "l1" | "near" | "near_cache" | "memory" | "in_memory" => {
            "`local` here: `local`, or `local = \"10s\"`"
        }
        "local_ttl" | "l1_ttl" => "`local` here: `local = \"10s\"`",
        "lock" | "lock_timeout" => "`lease` here: `lease = \"2s\"`",
        "tag" => "`tags` here: `tags = [\"agent:{agent_id}\"]`",
        _ => return without_counterpart(word),
    };
    Some(format!("`{word}` is called {option}"))
}

fn without_counterpart(word: &str) -> Option<String> {
    let reason = match word {
        "size" | "max_size" | "capacity" | "max_capacity" => {
            "is not set on a function: `maxmemory` of the Redis server bounds what is stored"
        }
        "result" => "is not needed: an `Err` is never stored",
        "option" => "is not needed: a `None` is stored only with `none_ttl = 30`",
        "sync_writes" => "is not needed: concurrent calls with the same key always share one run",
        _ => return None,
    };
    Some(format!("`{word}` {reason}"))
}

fn nearest(word: &str, options: &[(&'static str, &str)]) -> Option<&'static str> {
    let bound = (word.len() / 3).max(1);
    options
        .iter()
        .map(|(name, _)| (distance(word, name), *name))
        .filter(|(distance, _)| *distance <= bound)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// The number of letters to insert, delete, replace or swap with their neighbour (optimal string
/// alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut table = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            table[i][j] = if i == 0 || j == 0 {
                i + j
            } else {
                let replaced = table[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
                let swap = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
                let swapped = if swap { table[i - 2][j - 2] + 1 } else { usize::MAX };
                let shorter = table[i - 1][j].min(table[i][j - 1]) + 1;
                replaced.min(swapped).min(shorter)
            };
        }
    }
    table[a.len()][b.len()]
}
