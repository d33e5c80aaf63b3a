//! Checks of the environment.

use super::super::target::{NO_REDIS, variables};
use super::check::{Finding, Running};
use super::facts::Facts;

/// Names that are no variables of the cache though they begin like one.
const OTHERS: [&str; 1] = ["CACHE_ADMIN_TOKEN"];

/// The environment: spelling, and settings without effect.
pub(super) fn env(facts: &Facts) -> Running<'_> {
    Box::pin(async move { judge(facts) })
}

fn judge(facts: &Facts) -> Finding {
    let shape = &facts.target.shape;
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    if let Some((name, meant)) = misspelt(names) {
        return Finding::warn(format!("{name} is no variable of the cache"))
            .fix(format!("rename {name} to {meant}"));
    }
    if facts.target.switched_off {
        let observed =
            "the application's cache is switched off by REDIS_ENABLED or ENABLE_REDIS_CACHE";
        return Finding::warn(observed).fix("REDIS_ENABLED=true");
    }
    if shape.addresses.is_empty() {
        return Finding::warn(NO_REDIS).fix("REDIS_URL=redis://127.0.0.1:6379/0");
    }
    if shape.budget < shape.timeout {
        let (budget, timeout) = (shape.budget.as_millis(), shape.timeout.as_millis());
        return Finding::info(format!(
            "CACHE_BUDGET_MS ({budget}) ends a call's commands \
                    before REDIS_TIMEOUT_MS ({timeout}) does"
        ));
    }
    Finding::ok(format!("{}, namespace {}", shape.url, shape.namespace))
}

/// The first name that is nearly one of a variable, and the variable.
fn misspelt(names: impl Iterator<Item = String>) -> Option<(String, String)> {
    let known = variables();
    let mut ours = names.filter(|name| {
        let ours = name.starts_with("CACHE_") || name.starts_with("REDIS_");
        ours && !known.contains(name) && !OTHERS.contains(&name.as_str())
    });
    ours.find_map(|name| {
        let near = known.iter().map(|known| (strsim::levenshtein(known, &name), known));
        let (distance, meant) = near.min()?;
        (distance <= 2).then(|| (name, meant.clone()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn misspelt_of(name: &str) -> Option<String> {
        misspelt(std::iter::once(name.to_owned())).map(|(_, meant)| meant)
    }

    #[test]
    fn a_name_that_is_nearly_right_is_found_and_others_are_not() {
        assert_eq!(misspelt_of("CACHE_BUGDET_MS").as_deref(), Some("CACHE_BUDGET_MS"));
        assert_eq!(misspelt_of("REDIS_URI").as_deref(), Some("REDIS_URL"));
        for fine in [
            "REDIS_URL",
            "REDIS_SENTINEL_PASSWORD",
            "REDIS_TLS_CA",
            "REDIS_SERVICE_HOST",
            "CACHE_ADMIN_TOKEN",
            "PATH",
        ] {
            assert_eq!(misspelt_of(fine), None, "{fine}");
        }
    }
}
