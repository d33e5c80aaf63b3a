//! Prometheus' text format 0.0.4.

use std::fmt::{Arguments, Write as _};

use cache_runtime::Histogram;

use super::{Kind, Labels, METRICS, Metric, Sink, Snapshot};

pub(super) fn render(snapshot: &Snapshot) -> String {
    let mut text = String::new();
    for Metric { name, kind, help, samples } in METRICS {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        line(&mut text, format_args!("# HELP {name} {help}"));
        line(&mut text, format_args!("# TYPE {name} {kind}"));
        samples(snapshot, &mut Text { text: &mut text, name });
    }
    text
}

/// Where the samples of one metric are written.
struct Text<'a> {
    text: &'a mut String,
    name: &'static str,
}

impl Sink for Text<'_> {
    fn sample(&mut self, labels: &Labels<'_>, value: f64) {
        self.write("", labels, value);
    }

    /// The buckets, each with all durations up to its bound, and the sum and number of all.
    fn histogram(&mut self, labels: &Labels<'_>, histogram: &Histogram) {
        let bounds = histogram.bounds.iter().map(|bound| bound.as_secs_f64().to_string());
        let bounds = bounds.chain(["+Inf".to_owned()]);
        let mut up_to = 0;
        for (bound, count) in bounds.zip(&histogram.counts) {
            up_to += count;
            let labels: Vec<_> = labels.iter().copied().chain([("le", bound.as_str())]).collect();
            self.write("_bucket", &labels, up_to as f64);
        }
        self.write("_sum", labels, histogram.sum.as_secs_f64());
        self.write("_count", labels, up_to as f64);
    }
}

impl Text<'_> {
    fn write(&mut self, suffix: &str, labels: &Labels<'_>, value: f64) {
        let labels: Vec<_> =
            labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
        let labels =
            if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        line(self.text, format_args!("{}{suffix}{labels} {value}", self.name));
    }
}

fn line(text: &mut String, line: Arguments<'_>) {
    // A `String` takes everything.
    let _ = writeln!(text, "{line}");
}

/// A label value as the format wants it.
fn escaped(value: &str) -> String {
    value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n")
}
