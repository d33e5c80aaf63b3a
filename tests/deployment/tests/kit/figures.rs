//! Rules and panels that ask Prometheus for what no process and no Redis tells.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::operator::{Kit, text, url};
use axum::Router;
use axum::routing::get;
use cache_admin::{Access, Admin, Role};
use cache_runtime::{Cache, cache_result, invalidate};
use deployment::{Field, REDIS, Selector, dashboard, read, root, selectors, yaml};
use serde_json::{Value, json};
use support::{Node, free_port};
use tokio::net::TcpListener;
use tokio::time::sleep;

#[cache_result(ttl = 60, prefix = "areas", local)]
async fn area(key: u32) -> Result<u32, String> {
    if key == 0 { Err("as asked".to_owned()) } else { Ok(key) }
}

/// Calls of several outcomes, again and again.
async fn calls(cache: Cache) {
    let scenario = async {
        loop {
            for key in 0..5 {
                let _ = area(key).await;
            }
            // One that fails would be counted as pending, which is a figure too.
            let _ = invalidate(area(1)).await;
            sleep(Duration::from_millis(20)).await;
        }
    };
    cache.scope(scenario).await;
}

/// What `redis_exporter` makes of `INFO`, as far as the kit uses it.
async fn exported(servers: &[Node]) -> String {
    let mut text = String::new();
    for (server, node) in servers.iter().enumerate() {
        let info: String = node.command(&["INFO", "ALL"]).await;
        let field = |name: &str| {
            let mut lines = info.lines();
            lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
        };
        for metric in REDIS {
            let labels = format!("server=\"{server}\"");
            let sample = match metric.field {
                Field::Contact => Some((labels, "1".to_owned())),
                Field::Policy => field("maxmemory_policy").map(|policy| {
                    (format!("{labels},maxmemory_policy=\"{policy}\""), "1".to_owned())
                }),
                Field::Info(name) => {
                    let value = field(name).unwrap_or_else(|| panic!("INFO has no {name}"));
                    Some((labels, number(value)))
                }
                Field::OfReplica(name) => field(name).map(|value| (labels, number(value))),
            };
            if let Some((labels, value)) = sample {
                writeln!(text, "{}{{{labels}}} {value}", metric.name).expect("memory");
            }
        }
    }
    text
}

fn number(value: &str) -> String {
    match value {
        "ok" | "up" => "1".to_owned(),
        other => other.parse::<f64>().unwrap_or_default().to_string(),
    }
}

/// Serves a router, and returns its address.
async fn serve(router: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address").to_string();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

fn spawn(kit: &Kit, settings: &Path, port: u16) -> Child {
    let mut command = Command::new("prometheus");
    command
        .arg(format!("--config.file={}", text(settings)))
        .arg(format!("--storage.tsdb.path={}", text(&kit.file("data"))))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .arg("--log.level=error")
        .stdin(Stdio::null());
    command.spawn().unwrap_or_else(|error| {
        panic!("prometheus cannot be started ({error}): run `scripts/install prometheus`")
    })
}

/// A Prometheus with the kit's settings, for other addresses, and faster.
struct Prometheus {
    process: Child,
    port: u16,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Prometheus {
    async fn start(kit: &Kit, cache: &str, redis: &str) -> Self {
        let mut settings = yaml("deploy/prometheus/prometheus.yml").pop().expect("settings");
        let rules = read("deploy/prometheus/alerts.yaml");
        std::fs::write(
            kit.file("alerts.yaml"),
            rules.replace("interval: 30s", "interval: 1s").replace("interval: 5m", "interval: 1s"),
        )
        .expect("a file can be written");
        settings["global"] = json!({"scrape_interval": "1s", "evaluation_interval": "1s"});
        let token = kit.secret("cache-view.password");
        for (job, target) in
            settings["scrape_configs"].as_array_mut().expect("jobs").iter_mut().zip([cache, redis])
        {
            job["static_configs"][0]["targets"] = json!([target]);
            if let Some(authorization) = job.get_mut("authorization") {
                authorization["credentials_file"] = json!(text(&token));
            }
        }
        let file = kit.file("prometheus.yml");
        // JSON is YAML.
        std::fs::write(&file, settings.to_string()).expect("a file can be written");
        // Another process may take the port before Prometheus does.
        for _ in 0..5 {
            let port = free_port();
            let mut started = Self { process: spawn(kit, &file, port), port };
            if started.comes_up().await {
                return started;
            }
        }
        panic!("prometheus ends by itself")
    }

    /// Whether it answers in the end; false where its process has ended.
    async fn comes_up(&mut self) -> bool {
        let begun = Instant::now();
        while self.ask("query", Some("1")).await.is_none() {
            if self.process.try_wait().expect("the process is ours").is_some() {
                return false;
            }
            assert!(begun.elapsed() < Duration::from_secs(30), "prometheus does not come up");
            sleep(Duration::from_millis(100)).await;
        }
        self.process.try_wait().expect("the process is ours").is_none()
    }

    /// An answer of its API; `None` where there is none yet.
    async fn ask(&self, path: &str, query: Option<&str>) -> Option<Value> {
        let url = format!("http://127.0.0.1:{}/api/v1/{path}", self.port);
        let query = query.map(str::to_owned);
        let answer = tokio::task::spawn_blocking(move || {
            let request = ureq::get(&url).config().proxy(None).build();
            let request = match &query {
                Some(query) => request.query("query", query),
                None => request,
            };
            request.call().ok()?.body_mut().read_json::<Value>().ok()
        });
        let answer = answer.await.expect("it does not panic")?;
        (answer["status"] == "success").then(|| answer["data"].clone())
    }

    /// Whether a query has an answer with at least one number in it.
    async fn has(&self, query: &str) -> bool {
        let Some(data) = self.ask("query", Some(query)).await else { return false };
        let samples = data["result"].as_array().map(Vec::as_slice).unwrap_or_default();
        let is_number =
            |sample: &Value| sample["value"][1].as_str().is_some_and(|value| value != "NaN");
        samples.iter().any(is_number)
    }

    /// The queries that have no answer in the end.
    async fn without(&self, mut queries: BTreeSet<String>) -> BTreeSet<String> {
        let begun = Instant::now();
        loop {
            let mut left = BTreeSet::new();
            for query in queries {
                if !self.has(&query).await {
                    left.insert(query);
                }
            }
            if left.is_empty() || begun.elapsed() > Duration::from_secs(40) {
                return left;
            }
            queries = left;
            sleep(Duration::from_millis(500)).await;
        }
    }
}

/// The expressions of the dashboard, with Grafana's variables filled in.
fn panels() -> Vec<String> {
    let dashboard = dashboard();
    let panels = dashboard["panels"].as_array().expect("panels");
    let targets =
        panels.iter().flat_map(|panel| panel["targets"].as_array().cloned().unwrap_or_default());
    let filled = targets.map(|target| {
        let expression = target["expr"].as_str().expect("an expression");
        expression.replace("$__rate_interval", "30s").replace("$prefix", ".*")
    });
    filled.collect()
}

/// The expressions of the rules.
fn rules() -> Vec<String> {
    let file = yaml("deploy/prometheus/alerts.yaml").pop().expect("rules");
    let groups = file["groups"].as_array().expect("groups").iter();
    let rules = groups.flat_map(|group| group["rules"].as_array().expect("rules").clone());
    rules.map(|rule| rule["expr"].as_str().expect("an expression").to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_panel_shows_something_and_every_rule_asks_for_what_there_is() {
    let kit = Kit::new();
    let master = kit.redis().await;
    let login = kit.secret("replication.conf");
    let port = master.port().to_string();
    let of_replica = [
        "--include",
        text(&login),
        "--replicaof",
        "127.0.0.1",
        &port,
        "--maxmemory-policy",
        "noeviction",
    ];
    let replica = kit.server("redis-replicated.conf", "users.acl", &of_replica).await;
    let cache = kit.cache(&url(&master)).await;
    let token = |name: &str| kit.password(name);
    let access = Access::token(Role::Operate, token("cache-admin")).expect("a long token");
    let access = access.or_token(Role::View, token("cache-view")).expect("a long token");
    let admin = Admin::new(&cache, access).router();
    let service = serve(Router::new().nest_service("/cache", admin)).await;
    let servers = Arc::new([master, replica]);
    let asked = servers.clone();
    let exporter = get(move || {
        let servers = asked.clone();
        async move { exported(servers.as_slice()).await }
    });
    let exporter = serve(Router::new().route("/metrics", exporter)).await;
    let load = tokio::spawn(calls(cache));
    let prometheus = Prometheus::start(&kit, &service, &exporter).await;

    let panels = panels();
    assert!((12..40).contains(&panels.len()), "{panels:?}");
    let all = panels.iter().cloned().chain(rules());
    let asked: BTreeSet<Selector> = all.flat_map(|expression| selectors(&expression)).collect();
    let known: BTreeSet<&str> = REDIS.iter().map(|metric| metric.name).collect();
    let used =
        asked.iter().map(|one| one.metric.as_str()).filter(|name| name.starts_with("redis_"));
    assert_eq!(
        used.collect::<BTreeSet<_>>(),
        known,
        "the table has what is used, and nothing else"
    );
    let mut queries: BTreeSet<String> = asked.iter().flat_map(Selector::alternatives).collect();
    queries.extend(panels);
    assert_eq!(prometheus.without(queries).await, BTreeSet::new());

    let rules = prometheus.ask("rules", None).await.expect("the rules");
    let groups = rules["groups"].as_array().expect("groups");
    let rules: Vec<&Value> =
        groups.iter().flat_map(|group| group["rules"].as_array().expect("rules")).collect();
    assert!(rules.len() > 25, "{rules:?}");
    assert!(rules.iter().all(|rule| rule["health"] == "ok"), "{rules:?}");
    // The users of the kit are enough for the service and its page.
    let refused: Vec<redis::Value> = servers[0].command(&["ACL", "LOG"]).await;
    assert!(refused.is_empty(), "{refused:?}");
    load.abort();
}

#[test]
fn the_sources_of_the_dashboard_are_those_of_its_provisioning() {
    let sources =
        yaml("deploy/grafana/provisioning/datasources/prometheus.yaml").pop().expect("sources");
    let dashboard = dashboard();
    for panel in dashboard["panels"].as_array().expect("panels") {
        for target in panel["targets"].as_array().into_iter().flatten() {
            assert_eq!(target["datasource"]["uid"], sources["datasources"][0]["uid"]);
        }
    }
    let provider =
        yaml("deploy/grafana/provisioning/dashboards/cache.yaml").pop().expect("providers");
    let folder = provider["providers"][0]["options"]["path"].as_str().expect("a folder");
    assert!(read("deploy/compose.yaml").contains(&format!("./grafana/dashboard.json:{folder}/")));
    assert!(root().join("deploy/grafana/dashboard.json").is_file());
}
