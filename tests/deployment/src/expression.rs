//! What the expressions of Prometheus ask for.

use std::collections::BTreeSet;

/// A metric and the labels by which an expression asks for it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Selector {
    /// The name of the metric.
    pub metric: String,
    /// What stands in braces behind it; empty where nothing does.
    pub matchers: String,
}

impl Selector {
    /// The selector with each alternative of a regular expression on its own: `{a=~"b|c"}` asks for `b`, and for
    /// `c`. Matchers that exclude something are as they were.
    pub fn alternatives(&self) -> Vec<String> {
        let mut all = vec![String::new()];
        for matcher in self.matchers.split(',').filter(|matcher| !matcher.is_empty()) {
            let each: Vec<String> = match matcher.split_once("=~\"") {
                Some((label, values)) => {
                    let values = values.trim_end_matches('"').split('|');
                    values.map(|value| format!("{label}=~\"{value}\"")).collect()
                }
                None => vec![matcher.to_owned()],
            };
            let combined = all
                .iter()
                .flat_map(|so_far| each.iter().map(move |matcher| format!("{so_far}{matcher},")));
            all = combined.collect();
        }
        all.iter().map(|matchers| format!("{}{{{matchers}}}", self.metric)).collect()
    }
}

/// The selectors of an expression: of the cache's metrics, of Redis's, of recording rules, and of `up`.
pub fn selectors(expression: &str) -> BTreeSet<Selector> {
    let mut found = BTreeSet::new();
    let mut rest = expression;
    while let Some(start) = rest.find(is_name_start) {
        let word = &rest[start..];
        let name = &word[..word.find(|c| !is_name(c)).unwrap_or(word.len())];
        rest = &word[name.len()..];
        let ours = ["cache_", "cache:", "redis_"].iter().any(|prefix| name.starts_with(prefix));
        let braces = rest.strip_prefix('{').and_then(|inside| inside.split_once('}'));
        if let Some((_, behind)) = braces {
            rest = behind;
        }
        if ours || name == "up" {
            let matchers = braces.map_or("", |(inside, _)| inside).to_owned();
            found.insert(Selector { metric: name.to_owned(), matchers });
        }
    }
    found
}

fn is_name_start(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_' || c == ':'
}

fn is_name(c: char) -> bool {
    is_name_start(c) || c.is_ascii_digit()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(expression: &str) -> Vec<String> {
        let found = selectors(expression).into_iter();
        found.map(|one| format!("{} [{}]", one.metric, one.matchers)).collect()
    }

    #[test]
    fn metrics_are_told_from_functions_labels_and_numbers() {
        let expression = "sum by (prefix) (rate(cache_calls_total{outcome=\"hit\"}[5m])) > 2 * (cache:a:rate10m offset 1d)";
        assert_eq!(
            found(expression),
            ["cache:a:rate10m []", "cache_calls_total [outcome=\"hit\"]"]
        );
        assert_eq!(found("up{job=\"redis\"} == 0 or absent(up)"), ["up []", "up [job=\"redis\"]"]);
    }

    #[test]
    fn each_alternative_is_asked_for_on_its_own() {
        let [one] = <[_; 1]>::try_from(Vec::from_iter(selectors("cache_a{b=~\"c|d\",e!~\"f|g\"}")))
            .unwrap();
        assert_eq!(
            one.alternatives(),
            ["cache_a{b=~\"c\",e!~\"f|g\",}", "cache_a{b=~\"d\",e!~\"f|g\",}"]
        );
    }
}
