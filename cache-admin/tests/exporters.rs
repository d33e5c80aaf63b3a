//! Figures that OpenTelemetry or the recorder of `metrics` gets otherwise than Prometheus does.

#![allow(clippy::float_cmp, reason = "the values are counts")]

use std::collections::BTreeMap;

use cache_runtime::{Cache, cache_result};
use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use opentelemetry::metrics::MeterProvider as _;
use opentelemetry_sdk::metrics::data::{
    AggregatedMetrics, MetricData, ResourceMetrics, ScopeMetrics,
};
use opentelemetry_sdk::metrics::{InMemoryMetricExporter, PeriodicReader, SdkMeterProvider};

#[cache_result(ttl = 60, prefix = "exported")]
async fn exported(key: u32) -> u32 {
    key
}

/// A cache with two runs and three hits.
async fn used() -> Cache {
    let cache = Cache::in_memory();
    for key in [1, 2, 1, 2, 1] {
        cache.scope(exported(key)).await;
        cache.flush().await;
    }
    cache
}

/// Series as text: name and labels, sorted.
type Series = BTreeMap<String, f64>;

fn series<'a>(name: &str, labels: impl Iterator<Item = (&'a str, String)>) -> String {
    let labels: BTreeMap<_, _> = labels.collect();
    format!("{name}{labels:?}")
}

/// What Prometheus would get, of metrics that are no histograms.
fn rendered(cache: &Cache) -> Series {
    let text = cache_admin::metrics::render(cache);
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    let parsed = samples.map(|line| {
        let (labelled, value) = line.rsplit_once(' ').expect("a value");
        let (name, labels) = labelled.split_once('{').unwrap_or((labelled, "}"));
        let labels = labels.trim_end_matches('}').split(',').filter(|label| !label.is_empty());
        let labels = labels.map(|label| label.split_once('=').expect("a label has a value"));
        let labels = labels.map(|(name, value)| (name, value.trim_matches('"').to_owned()));
        (series(name, labels), value.parse().expect("a number"))
    });
    parsed.filter(|(name, _): &(String, f64)| !name.contains("_bucket")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn open_telemetry_gets_every_figure_of_the_text() {
    let cache = used().await;
    let exporter = InMemoryMetricExporter::default();
    let reader = PeriodicReader::builder(exporter.clone()).build();
    let provider = SdkMeterProvider::builder().with_reader(reader).build();
    cache_admin::metrics::register(&cache, &provider.meter("cache"));
    provider.force_flush().expect("a collection");

    let collected = exporter.get_finished_metrics().expect("metrics");
    let mut found = Series::new();
    let mut units = BTreeMap::new();
    for metric in
        collected.iter().flat_map(ResourceMetrics::scope_metrics).flat_map(ScopeMetrics::metrics)
    {
        units.insert(metric.name().to_owned(), metric.unit().to_owned());
        let AggregatedMetrics::F64(data) = metric.data() else { panic!("not of f64: {metric:?}") };
        let mut add = |attributes: Vec<(&str, String)>, value| {
            found.insert(series(metric.name(), attributes.into_iter()), value);
        };
        match data {
            MetricData::Sum(sum) => {
                assert!(sum.is_monotonic(), "{}", metric.name());
                for point in sum.data_points() {
                    let attributes = point.attributes();
                    add(
                        attributes
                            .map(|pair| (pair.key.as_str(), pair.value.to_string()))
                            .collect(),
                        point.value(),
                    );
                }
            }
            MetricData::Gauge(gauge) => {
                for point in gauge.data_points() {
                    let attributes = point.attributes();
                    add(
                        attributes
                            .map(|pair| (pair.key.as_str(), pair.value.to_string()))
                            .collect(),
                        point.value(),
                    );
                }
            }
            other => panic!("{}: {other:?}", metric.name()),
        }
    }
    let dotted = |name: &str| {
        let (name, labels) = name.split_once('{').expect("labels");
        let (stem, part) = match (name.strip_suffix("_sum"), name.strip_suffix("_count")) {
            (Some(stem), _) => (stem, ".sum"),
            (_, Some(stem)) => (stem, ".count"),
            (None, None) => (name, ""),
        };
        let stem = stem.strip_suffix("_total").unwrap_or(stem);
        let stem = stem.strip_suffix("_seconds").unwrap_or(stem);
        let stem = stem.strip_suffix("_bytes").map_or(stem.to_owned(), |stem| match stem {
            "cache_local" | "cache_local_max" | "cache_store" => format!("{stem}_size"),
            stem => stem.to_owned(),
        });
        format!("{}{part}{{{labels}", stem.replace('_', "."))
    };
    let expected: Series =
        rendered(&cache).into_iter().map(|(name, value)| (dotted(&name), value)).collect();
    assert_eq!(found, expected);
    assert_eq!(found["cache.calls{\"outcome\": \"hit\", \"prefix\": \"exported\"}"], 3.0);
    assert_eq!(units["cache.saved"], "s");
    assert_eq!(units["cache.load.duration.sum"], "s");
    assert_eq!(units["cache.store.size"], "By");
}

#[tokio::test]
async fn the_recorder_of_metrics_gets_every_figure_of_the_text() {
    let cache = used().await;
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    metrics::with_local_recorder(&recorder, || {
        cache_admin::metrics::push(&cache);
        // A counter is set, and not added to.
        cache_admin::metrics::push(&cache);
    });
    let mut found = Series::new();
    for (key, _, _, value) in snapshotter.snapshot().into_vec() {
        let key = key.key();
        let labels = key.labels().map(|label| (label.key(), label.value().to_owned()));
        let value = match value {
            DebugValue::Counter(count) => count as f64,
            DebugValue::Gauge(value) => value.into_inner(),
            DebugValue::Histogram(_) => panic!("a histogram: {key}"),
        };
        found.insert(series(key.name(), labels), value);
    }
    assert_eq!(found, rendered(&cache));
    assert_eq!(
        found["cache_calls_total{\"outcome\": \"computed\", \"prefix\": \"exported\"}"],
        2.0
    );
}
