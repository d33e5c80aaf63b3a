//! What the cache is worth: each endpoint cold and cached, over HTTP, as a Markdown table.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use cache_runtime::{Cache, Config};
use serde_json::json;
use sqlx::SqlitePool;
use tokio::net::TcpListener;
use ureq::Agent;

use crate::api;
use crate::listings::KINDS;

/// Cold calls of an endpoint, each with a key of its own.
const COLD: usize = 5;
/// Calls of an endpoint once these are cached.
const HITS: usize = 20;

/// Starts the service on a free port, calls it and prints a table.
pub(crate) async fn measure(db: SqlitePool) -> Result<()> {
    let config = Config::from_env()?.namespace(namespace()?);
    cache_runtime::init(Cache::connect(config).await?)?;
    tracing::info!(cache = ?Cache::global().health().status, "measuring");
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let base = format!("http://{}", listener.local_addr()?);
    let service = tokio::spawn(async { axum::serve(listener, api::router(db)).await });
    println!("| endpoint | cold, median of {COLD} | hit, median of {HITS} | ratio | x-cache |");
    println!("|---|---|---|---|---|");
    for endpoint in endpoints(&base) {
        println!("{}", endpoint.measure().await?);
    }
    service.abort();
    Ok(())
}

/// One of this run's own: what it calls cold has never been stored.
fn namespace() -> Result<String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos();
    Ok(format!("property-measure-{}-{now}", std::process::id()))
}

/// A URL, and a body for a `POST`.
#[derive(Clone)]
struct Call {
    url: String,
    body: Option<String>,
}

struct Endpoint {
    name: &'static str,
    calls: Vec<Call>,
}

fn endpoints(base: &str) -> [Endpoint; 3] {
    let by_kind = |path| {
        let call = |(kind, _)| Call { url: format!("{base}/api/{path}/{kind}"), body: None };
        KINDS.into_iter().take(COLD).map(call).collect()
    };
    let subject = |(kind, _)| {
        json!({
            "type": kind, "area": "Hackney", "property_type": "flat", "bedrooms": 2,
            "floor_area": 62,
        })
    };
    let url = format!("{base}/api/property/valuation");
    let value = |kind| Call { url: url.clone(), body: Some(subject(kind).to_string()) };
    [
        Endpoint { name: "GET /api/areas/{type}", calls: by_kind("areas") },
        Endpoint { name: "GET /api/property-types/{type}", calls: by_kind("property-types") },
        Endpoint {
            name: "POST /api/property/valuation",
            calls: KINDS.into_iter().take(COLD).map(value).collect(),
        },
    ]
}

/// How long one call took, and its `x-cache`.
type Sample = (Duration, String);

impl Endpoint {
    /// Its line of the table.
    async fn measure(self) -> Result<String> {
        let cold = run(self.calls.clone()).await?;
        // The values are written behind the replies.
        Cache::global().flush().await;
        let again = self.calls.iter().cycle().take(HITS).cloned().collect();
        let hits = run(again).await?;
        let (slow, fast) = (median(&cold), median(&hits));
        let ratio = slow.as_secs_f64() / fast.as_secs_f64();
        let outcomes = count(cold.iter().chain(&hits));
        let (slow, fast) = (millis(slow), millis(fast));
        Ok(format!("| `{}` | {slow} | {fast} | {ratio:.0} | {outcomes} |", self.name))
    }
}

/// Makes the calls one after the other, on a thread that may block.
async fn run(calls: Vec<Call>) -> Result<Vec<Sample>> {
    let all = move || {
        // A proxy from the environment has no business on the loopback interface.
        let agent = Agent::from(Agent::config_builder().proxy(None).build());
        calls.iter().map(|call| time(&agent, call)).collect()
    };
    tokio::task::spawn_blocking(all).await?
}

fn time(agent: &Agent, call: &Call) -> Result<Sample> {
    let begun = Instant::now();
    let response = match &call.body {
        Some(body) => agent.post(&call.url).content_type("application/json").send(body),
        None => agent.get(&call.url).call(),
    };
    let mut response = response.with_context(|| call.url.clone())?;
    response.body_mut().read_to_vec()?;
    let took = begun.elapsed();
    let outcome = response.headers().get("x-cache").context("no x-cache")?;
    Ok((took, outcome.to_str()?.to_owned()))
}

fn median(samples: &[Sample]) -> Duration {
    let mut times: Vec<Duration> = samples.iter().map(|(took, _)| *took).collect();
    times.sort();
    times[times.len() / 2]
}

fn millis(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1000.0)
}

fn count<'a>(samples: impl Iterator<Item = &'a Sample>) -> String {
    let mut counts = BTreeMap::<&str, u32>::new();
    for (_, outcome) in samples {
        *counts.entry(outcome).or_default() += 1;
    }
    let shown: Vec<String> = counts.iter().map(|(what, n)| format!("{n} {what}")).collect();
    shown.join(", ")
}
