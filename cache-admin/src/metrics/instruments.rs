//! Observable instruments of `OpenTelemetry`, which ask for the statistics when a reader collects.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use cache_runtime::{Cache, Histogram};
use opentelemetry::KeyValue;
use opentelemetry::metrics::{AsyncInstrument, Meter};

use super::{Kind, Labels, METRICS, Sink, Snapshot};

/// For so long instruments share a snapshot: those of one collection then agree with each other.
const SHARED: Duration = Duration::from_millis(500);

/// The most prefixes with series of their own.
const MOST_PREFIXES: usize = 100;

/// Registers observable instruments for the statistics of `cache` with `meter`.
///
/// A reader asks them for their values when it collects; no call of a function does anything for them. The
/// names are those of [`render`](super::render) with dots, and without `_total` and units: `cache.calls` for
/// `cache_calls_total`, `cache.saved` (in seconds) for `cache_saved_seconds_total`, `cache.local.size` for
/// `cache_local_bytes`. The attributes are its labels.
/// `OpenTelemetry` has no observable histogram, so of a histogram there are two counters:
/// `cache.load.duration.sum`, in seconds, and `cache.load.duration.count`.
///
/// At most 100 prefixes have series of their own here, and all others are summed as `other`: the SDK gives an
/// instrument room for 2000 sets of attributes, and `cache.bypassed` has 19 for each prefix.
///
/// The instruments live as long as the provider of the meter, and keep `cache` alive as long.
///
/// # Examples
///
/// ```
/// use cache_runtime::Cache;
/// use opentelemetry::metrics::MeterProvider as _;
/// use opentelemetry_sdk::metrics::SdkMeterProvider;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let provider = SdkMeterProvider::builder().build(); // with the reader of the program
/// cache_admin::metrics::register(&Cache::in_memory(), &provider.meter("cache"));
/// # }
/// ```
pub fn register(cache: &Cache, meter: &Meter) {
    let shared = Arc::new(Shared { cache: cache.clone(), last: Mutex::new(None) });
    for metric in METRICS {
        let (name, unit) = name_and_unit(metric.name);
        let names = match metric.kind {
            Kind::Histogram => vec![
                (Part::Sum, format!("{name}.sum"), "s"),
                (Part::Count, format!("{name}.count"), "1"),
            ],
            Kind::Counter | Kind::Gauge => vec![(Part::Value, name, unit)],
        };
        for (part, name, unit) in names {
            let shared = shared.clone();
            let observe = move |observer: &dyn AsyncInstrument<f64>| {
                (metric.samples)(&shared.snapshot(), &mut Observe { observer, part });
            };
            if metric.kind == Kind::Gauge {
                let gauge = meter.f64_observable_gauge(name).with_description(metric.help);
                gauge.with_unit(unit).with_callback(observe).build();
            } else {
                let counter = meter.f64_observable_counter(name).with_description(metric.help);
                counter.with_unit(unit).with_callback(observe).build();
            }
        }
    }
}

/// `cache_saved_seconds_total` is `cache.saved`, in `s`.
fn name_and_unit(name: &str) -> (String, &'static str) {
    let name = name.strip_suffix("_total").unwrap_or(name);
    let (name, unit) = match (name.strip_suffix("_seconds"), name.strip_suffix("_bytes")) {
        (Some(name), _) => (name.to_owned(), "s"),
        // `cache_local_bytes` is no metric `cache.local`, of which `cache.local.entries` would be a part.
        (_, Some(name)) => (format!("{name}_size"), "By"),
        (None, None) => (name.to_owned(), "1"),
    };
    (name.replace('_', "."), unit)
}

struct Shared {
    cache: Cache,
    last: Mutex<Option<(Instant, Arc<Snapshot>)>>,
}

impl Shared {
    fn snapshot(&self) -> Arc<Snapshot> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        match &*last {
            Some((at, snapshot)) if at.elapsed() < SHARED => snapshot.clone(),
            _ => {
                let snapshot = Arc::new(Snapshot::new(&self.cache, MOST_PREFIXES));
                *last = Some((Instant::now(), snapshot.clone()));
                snapshot
            }
        }
    }
}

/// What an instrument shows of a metric.
#[derive(Clone, Copy)]
enum Part {
    Value,
    Sum,
    Count,
}

struct Observe<'a> {
    observer: &'a dyn AsyncInstrument<f64>,
    part: Part,
}

impl Sink for Observe<'_> {
    fn sample(&mut self, labels: &Labels<'_>, value: f64) {
        let attributes: Vec<_> = labels
            .iter()
            .map(|(name, value)| KeyValue::new((*name).to_owned(), (*value).to_owned()))
            .collect();
        self.observer.observe(value, &attributes);
    }

    fn histogram(&mut self, labels: &Labels<'_>, histogram: &Histogram) {
        match self.part {
            Part::Count => self.sample(labels, histogram.count() as f64),
            Part::Value | Part::Sum => self.sample(labels, histogram.sum.as_secs_f64()),
        }
    }
}
