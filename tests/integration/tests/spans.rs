//! Spans that are missing, are not those of the call, or appear for hits in the near cache.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cache_runtime::{Cache, Config, cache_result};
use support::Server;
use tracing::field::{Field, Visit};
use tracing::span::{self, Id};
use tracing::{Instrument as _, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;

type Fields = BTreeMap<String, String>;

/// A span: its id, its name, the name of its parent, its fields.
type Seen = (Id, &'static str, Option<&'static str>, Fields);

/// The spans in the order in which they began.
#[derive(Clone, Default)]
struct Spans(Arc<Mutex<Vec<Seen>>>);

struct Recorder<'a>(&'a mut Fields);

impl Visit for Recorder<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let value = format!("{value:?}").trim_matches('"').to_owned();
        self.0.insert(field.name().to_owned(), value);
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Spans {
    fn on_new_span(&self, attributes: &span::Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::new();
        attributes.record(&mut Recorder(&mut fields));
        let parent = context.span(id).and_then(|span| Some(span.parent()?.name()));
        let name = attributes.metadata().name();
        self.with(|spans| spans.push((id.clone(), name, parent, fields)));
    }

    fn on_record(&self, id: &Id, values: &span::Record<'_>, _: Context<'_, S>) {
        self.with(|spans| {
            // The registry gives the number of a span that has ended to another one.
            if let Some(span) = spans.iter_mut().rev().find(|span| span.0 == *id) {
                values.record(&mut Recorder(&mut span.3));
            }
        });
    }
}

impl Spans {
    fn with<T>(&self, act: impl FnOnce(&mut Vec<Seen>) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Name, parent and `cache.result` of each span of this test since the last call; and its fields.
    fn take(&self) -> Vec<(String, Fields)> {
        let spans = self.with(std::mem::take);
        let line = |(_, name, parent, fields): Seen| {
            let result = fields.get("cache.result").map_or("", String::as_str);
            (format!("{} > {name} {result}", parent.unwrap_or("-")), fields)
        };
        spans.into_iter().map(line).collect()
    }
}

#[cache_result(ttl = 60, prefix = "spans-plain")]
async fn plain(key: u32) -> u32 {
    tracing::info_span!("query").in_scope(|| key + 1)
}

#[cache_result(ttl = 60, prefix = "spans-local", local)]
async fn local(key: u32) -> u32 {
    key + 2
}

fn lines(spans: &[(String, Fields)]) -> Vec<&str> {
    spans.iter().map(|(line, _)| line.trim_end()).collect()
}

#[tokio::test]
async fn a_lookup_and_a_run_have_spans_and_a_copy_has_none() {
    let spans = Spans::default();
    let _guard = tracing_subscriber::registry().with(spans.clone()).set_default();
    let server = Server::start().await;
    let redis = Config::redis(&server.url()).expect("a URL");
    for (cache, is_redis) in
        [(Cache::in_memory(), false), (Cache::connect(redis).await.expect("a server"), true)]
    {
        spans.take();
        cache.scope(plain(1)).await;
        cache.flush().await;
        let first = spans.take();
        assert_eq!(
            lines(&first),
            ["- > cache.lookup run", "- > cache.run", "cache.run > query"],
            "{first:?}"
        );
        let fields = &first[0].1;
        assert_eq!(fields["cache.prefix"], "spans-plain");
        assert!(fields["cache.function"].ends_with("plain"), "{fields:?}");
        let system = fields.get("db.system.name").map(String::as_str);
        assert_eq!(system, is_redis.then_some("redis"), "{fields:?}");
        assert_eq!(fields.contains_key("otel.kind"), is_redis, "{fields:?}");

        cache.scope(plain(1)).await;
        assert_eq!(lines(&spans.take()), ["- > cache.lookup found"]);

        cache.scope(local(1)).await;
        assert_eq!(lines(&spans.take()), ["- > cache.lookup run", "- > cache.run"]);
        cache.flush().await;
        cache.scope(local(1)).await;
        support::eventually("a copy is served", || async {
            spans.take();
            cache.scope(local(1)).await;
            spans.take().is_empty()
        })
        .await;
    }
}

#[cache_result(ttl = 1, jitter = 0, stale_while_revalidate = 60, prefix = "spans-stale")]
async fn refreshed(key: u32) -> u32 {
    RUNS.fetch_add(1, Ordering::SeqCst) + key
}

static RUNS: AtomicU32 = AtomicU32::new(0);

#[tokio::test]
async fn a_refresh_behind_the_call_runs_in_the_span_of_the_call() {
    let spans = Spans::default();
    let _guard = tracing_subscriber::registry().with(spans.clone()).set_default();
    let cache = Cache::in_memory();
    cache.scope(refreshed(7)).await;
    cache.flush().await;
    spans.take();
    cache.advance(Duration::from_millis(1001));
    let call = cache.scope(refreshed(7)).instrument(tracing::info_span!("request"));
    assert_eq!(call.await, 7, "the value of the first run");
    support::eventually("it is refreshed", || async { RUNS.load(Ordering::SeqCst) == 2 }).await;
    let seen = spans.take();
    assert_eq!(
        lines(&seen),
        ["- > request", "request > cache.lookup stale", "request > cache.run"],
        "{seen:?}"
    );
}
