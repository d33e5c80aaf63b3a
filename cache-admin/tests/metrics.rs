//! Metrics that Prometheus refuses, that do not add up, or that the documents describe otherwise.

#![allow(clippy::float_cmp, reason = "the values are counts")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};

use cache_admin::metrics::render;
use cache_runtime::{
    Cache, Config, bypass, cache_result, invalidate, invalidate_prefix, invalidate_tag,
};
use support::{Server, over_both, patient};

/// One line of the text: its name, labels and value.
#[derive(Debug)]
struct Sample {
    name: String,
    labels: Vec<(String, String)>,
    value: f64,
}

impl Sample {
    fn parse(line: &str) -> Self {
        let (series, value) = line.rsplit_once(' ').expect("a value");
        let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
        let labels = labels.strip_suffix('}').expect("labels end with a brace");
        let label = |label: &str| {
            let (name, value) = label.split_once('=').expect("a label has a value");
            (name.to_owned(), value.trim_matches('"').to_owned())
        };
        Self {
            name: name.to_owned(),
            labels: labels.split(',').filter(|label| !label.is_empty()).map(label).collect(),
            value: value.parse().expect("a number"),
        }
    }

    fn label(&self, name: &str) -> &str {
        let label = self.labels.iter().find(|(label, _)| label == name);
        label.map_or("", |(_, value)| value)
    }
}

fn samples(text: &str) -> Vec<Sample> {
    text.lines().filter(|line| !line.starts_with('#')).map(Sample::parse).collect()
}

/// The sum of a metric over the samples in which `label` has `value`.
fn sum(text: &str, name: &str, label: &str, value: &str) -> f64 {
    let of = samples(text).into_iter();
    of.filter(|one| one.name == name && one.label(label) == value).map(|one| one.value).sum()
}

/// What `promtool check metrics` has to say about a text, and nothing else.
fn complaints(text: &str) -> String {
    let mut command = Command::new("promtool");
    command.args(["check", "metrics"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut promtool = command.spawn().unwrap_or_else(|error| {
        panic!("promtool cannot be started ({error}): run `scripts/install prometheus`")
    });
    let mut stdin = promtool.stdin.take().expect("stdin is a pipe");
    stdin.write_all(text.as_bytes()).expect("promtool reads");
    drop(stdin);
    let output = promtool.wait_with_output().expect("promtool ends");
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    if output.status.success() { said.into_owned() } else { format!("{}: {said}", output.status) }
}

#[cache_result(ttl = 60, prefix = "metrics-plain", tags = ["kind:{kind}"], when = kind != 7)]
async fn plain(kind: u32) -> u32 {
    kind
}

#[cache_result(ttl = 60, prefix = "metrics-failing", local)]
async fn failing(kind: u32) -> Result<u32, String> {
    if kind == 0 { Err("as asked".to_owned()) } else { Ok(kind) }
}

#[cache_result(ttl = 60, prefix = "metrics-rule", cache_if = |value| *value > 1)]
async fn rule(kind: u32) -> u32 {
    kind
}

/// Calls of every sort, and how many there were.
async fn calls(cache: &Cache) -> f64 {
    for kind in 0..8 {
        plain(kind).await;
        cache.flush().await;
        plain(kind).await;
        bypass(plain(kind)).await;
        for _ in 0..3 {
            let _ = failing(kind % 3).await;
            rule(kind).await;
        }
    }
    invalidate(plain(1)).await.expect("an invalidation of a call");
    invalidate_prefix("metrics-rule").await.expect("an invalidation of a prefix");
    invalidate_tag("kind:2").await.expect("an invalidation of a tag");
    plain(1).await;
    cache.flush().await;
    8.0 * 9.0 + 1.0
}

#[tokio::test]
async fn prometheus_takes_the_text_and_the_figures_add_up() {
    over_both(|cache| async move {
        let made = calls(&cache).await;
        let text = render(&cache);
        assert_eq!(complaints(&text), "", "{text}");
        // Which promtool does not see, and Prometheus refuses.
        let mut series = BTreeSet::new();
        for line in text.lines() {
            assert!(series.insert(line.rsplit_once(' ').expect("a value").0), "twice: {line}");
        }
        let all: f64 = samples(&text)
            .iter()
            .filter(|one| one.name == "cache_calls_total")
            .map(|one| one.value)
            .sum();
        assert_eq!(all, made, "{text}");

        let stats = cache.stats();
        for (prefix, counted) in &stats.prefixes {
            let of = |name| sum(&text, name, "prefix", prefix);
            assert_eq!(of("cache_calls_total"), counted.calls() as f64, "{prefix}");
            assert_eq!(of("cache_bypassed_total"), counted.bypassed_total() as f64, "{prefix}");
            assert_eq!(of("cache_loads_total"), counted.loads.count() as f64, "{prefix}");
            let loads = of("cache_load_duration_seconds_count");
            assert_eq!(loads, counted.loads.count() as f64, "{prefix}");
        }
        assert!(sum(&text, "cache_loads_total", "result", "failed") > 0.0, "{text}");
        assert!(sum(&text, "cache_populates_total", "result", "rule") > 0.0, "{text}");
        assert_eq!(sum(&text, "cache_populates_total", "result", "refused"), 0.0, "{text}");
        for kind in ["call", "prefix", "tag"] {
            assert_eq!(sum(&text, "cache_invalidations_total", "kind", kind), 1.0, "{kind}");
        }
        assert_eq!(sum(&text, "cache_store_up", "", ""), 1.0, "{text}");
        assert_eq!(sum(&text, "cache_enabled", "", ""), 1.0, "{text}");
    })
    .await;
}

#[tokio::test]
async fn buckets_are_cumulative_and_end_with_the_count() {
    over_both(|cache| async move {
        calls(&cache).await;
        let mut histograms: BTreeMap<String, Vec<(f64, f64)>> = BTreeMap::new();
        let (all, mut counts) = (samples(&render(&cache)), BTreeMap::new());
        for one in all {
            let others: Vec<_> = one.labels.iter().filter(|(name, _)| name != "le").collect();
            let series = format!("{others:?}");
            if let Some(name) = one.name.strip_suffix("_bucket") {
                let bound = one.label("le").parse().expect("a bound");
                histograms.entry(format!("{name} {series}")).or_default().push((bound, one.value));
            } else if let Some(name) = one.name.strip_suffix("_count") {
                counts.insert(format!("{name} {series}"), one.value);
            }
        }
        assert_eq!(histograms.len(), counts.len());
        assert!(counts.len() >= 7, "{counts:?}");
        for (series, buckets) in histograms {
            let pairs = || buckets.iter().zip(&buckets[1..]);
            assert!(pairs().all(|(one, next)| one.0 < next.0), "{series}: {buckets:?}");
            assert!(pairs().all(|(one, next)| one.1 <= next.1), "{series}: {buckets:?}");
            assert_eq!(*buckets.last().unwrap(), (f64::INFINITY, counts[&series]), "{series}");
        }
    })
    .await;
}

#[tokio::test]
async fn the_text_never_has_a_key_or_a_tag() {
    #[cache_result(ttl = 60, prefix = "metrics-secret", key = "{who}", tags = ["tenant:{who}"])]
    async fn secret(who: String) -> String {
        who
    }
    over_both(|cache| async move {
        secret("hush-hush".to_owned()).await;
        invalidate_tag("tenant:hush-hush").await.expect("an invalidation of a tag");
        let text = render(&cache);
        assert!(text.contains("metrics-secret") && !text.contains("hush"), "{text}");
    })
    .await;
}

#[tokio::test]
async fn a_store_that_has_gone_is_down_and_one_that_was_never_asked_is_unknown() {
    let mut server = Server::start().await;
    let untried = Cache::new(patient(server.config()));
    let up = |cache: &Cache| {
        let samples = samples(&render(cache));
        samples.into_iter().find(|one| one.name == "cache_store_up").map(|one| one.value)
    };
    assert_eq!(up(&untried), None);
    let cache = server.cache().await;
    assert_eq!(up(&cache), Some(1.0));
    server.kill();
    support::eventually("it is down", || async {
        cache.scope(plain(3)).await;
        up(&cache) == Some(0.0)
    })
    .await;
    let text = render(&cache);
    assert_eq!(complaints(&text), "", "{text}");
    assert!(sum(&text, "cache_bypassed_total", "reason", "unavailable") > 0.0, "{text}");
    assert!(sum(&text, "cache_store_errors_total", "kind", "down") > 0.0, "{text}");
    cache.disable();
    let text = render(&cache);
    assert_eq!((up(&cache), sum(&text, "cache_enabled", "", "")), (None, 0.0));
}

/// Labels whose values are not from a fixed set.
const OPEN: [&str; 6] = ["prefix", "server", "le", "version", "namespace", "topology"];

/// `METRICS.md` as the renderer has it.
async fn document() -> String {
    // Over Redis: each server has metrics of its own.
    let server = Server::start().await;
    let config = Config::redis(&server.url()).expect("a URL");
    let cache = Cache::connect(config).await.expect("a server");
    cache.scope(plain(1)).await;
    let text = render(&cache);
    let mut labels: BTreeMap<String, Vec<(String, BTreeSet<String>)>> = BTreeMap::new();
    for one in samples(&text) {
        let suffix = ["_bucket", "_sum", "_count"].into_iter();
        let name = suffix.fold(&*one.name, |name, end| name.strip_suffix(end).unwrap_or(name));
        let known = labels.entry(name.to_owned()).or_default();
        for (label, value) in one.labels.into_iter().filter(|(label, _)| label != "le") {
            match known.iter_mut().find(|(name, _)| *name == label) {
                Some((_, values)) => drop(values.insert(value)),
                None => known.push((label, BTreeSet::from([value]))),
            }
        }
    }
    let mut document = "\
# Metrics

The text of `cache_admin::metrics::render`, of one cache in one process. Counters begin at zero with the
cache. `prefix` is that of the functions, and `server` the address of a server of Redis. The other labels have
values from the fixed sets below, but for those of `cache_info`. No label has a key, a tag or an argument.

| metric | type | labels | meaning |
|---|---|---|---|
"
    .to_owned();
    let mut help = "";
    for line in text.lines() {
        if let Some(line) = line.strip_prefix("# HELP ") {
            help = line.split_once(' ').expect("help").1;
        } else if let Some(line) = line.strip_prefix("# TYPE ") {
            let (name, kind) = line.split_once(' ').expect("a type");
            let labels: Vec<_> = labels[name].iter().map(described).collect();
            let labels = labels.join(", ");
            writeln!(document, "| `{name}` | {kind} | {labels} | {help} |").expect("memory");
        }
    }
    document
}

/// A label, and its values where they are from a fixed set.
fn described((label, values): &(String, BTreeSet<String>)) -> String {
    if OPEN.contains(&&**label) {
        return format!("`{label}`");
    }
    let values: Vec<_> = values.iter().map(|value| format!("`{value}`")).collect();
    format!("`{label}` = {}", values.join(" "))
}

#[tokio::test]
async fn the_document_lists_every_metric_and_label() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/METRICS.md");
    let expected = document().await;
    // `UPDATE_DOCUMENTS=1` writes it anew.
    if std::env::var_os("UPDATE_DOCUMENTS").is_some() {
        std::fs::write(path, &expected).expect("a file");
    }
    let found = std::fs::read_to_string(path).unwrap_or_default();
    assert!(found == expected, "METRICS.md has to be:\n{expected}");
}
