//! What the actions do to the calls of a program.

mod common;

use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use cache_admin::Admin;
use cache_runtime::{Cache, OutcomeKind, cache_result, observe};
use common::{OPERATOR, REVEALER, VIEWER, access, get, post};
use serde_json::json;
use support::{Server, eventually};

#[cache_result(ttl = 600, prefix = "areas", tags = ["kind:{kind}"])]
async fn areas(kind: &str) -> Vec<String> {
    vec![kind.to_owned()]
}

#[cache_result(ttl = 600, prefix = "prices")]
async fn prices(kind: &'static str) -> Result<u32, String> {
    if kind == "none" { Err("no price".to_owned()) } else { Ok(7) }
}

async fn outcome(cache: &Cache, kind: &str) -> OutcomeKind {
    let outcome = cache.scope(observe(areas(kind))).await.1.kind;
    cache.flush().await;
    outcome
}

async fn over_redis() -> (Server, Cache, Router) {
    let server = Server::start().await;
    let cache = server.cache().await;
    let router = cache_admin::router(&cache, access());
    (server, cache, router)
}

#[tokio::test]
async fn the_figures_are_those_of_the_calls() {
    let (server, cache, router) = over_redis().await;
    for _ in 0..4 {
        outcome(&cache, "buy").await;
    }
    let stats = get(&router, VIEWER, "/stats").await;
    assert_eq!(stats.status, StatusCode::OK);
    let stats = stats.json();
    assert_eq!((&stats["schema"], &stats["scope"]), (&json!(1), &json!("fleet")));
    assert_eq!(stats["fleet_error"], json!(null));
    assert_eq!(stats["total"]["calls"], 4);
    assert_eq!(stats["total"]["hit_rate"], 0.75);
    let areas = stats["prefixes"].as_array().unwrap();
    let areas = areas.iter().find(|one| one["prefix"] == "areas").unwrap();
    assert_eq!(
        (&areas["counters"]["hits"], &areas["counters"]["computed"]),
        (&json!(3), &json!(1))
    );
    assert_eq!(areas["counters"]["errors"]["timeout"], 0);
    assert_eq!(stats["health"]["status"], "up");
    assert_eq!(stats["processes"].as_array().unwrap().len(), 1);
    assert!(stats["redis"]["used_memory"].as_u64().unwrap() > 0);
    assert_eq!(stats["history_scope"], "process");
    assert_eq!(stats["histograms"]["load"]["count"], 1);
    assert!(stats["bytes"]["written"].as_u64().unwrap() > 0);

    let alone = get(&router, VIEWER, "/stats?scope=process").await.json();
    assert_eq!(alone["scope"], "process");
    let wrong = get(&router, VIEWER, "/stats?scope=world").await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);

    let functions = get(&router, VIEWER, "/functions").await.json();
    let functions = functions.as_array().unwrap();
    assert!(functions.iter().any(|one| one["prefix"] == "areas"));
    assert_eq!(get(&router, VIEWER, "/health").await.json()["status"], "ok");
    drop(server);
}

#[tokio::test]
async fn without_redis_the_page_shows_its_own_process() {
    let (mut server, cache, router) = over_redis().await;
    outcome(&cache, "buy").await;
    server.kill();
    eventually("the loss is noticed", async || {
        get(&router, VIEWER, "/health").await.json()["status"] == "degraded"
    })
    .await;
    let stats = get(&router, VIEWER, "/stats").await.json();
    assert_eq!(stats["scope"], "process");
    assert!(stats["fleet_error"].is_string(), "{}", stats["fleet_error"]);
    assert_eq!(stats["total"]["calls"], 1);
    assert_eq!(stats["redis"], json!(null));
    let body = json!({ "prefix": "areas", "reason": "bad import" });
    let pending = post(&router, OPERATOR, "/invalidate", &body).await;
    assert_eq!(pending.status, StatusCode::ACCEPTED);
    assert_eq!(pending.json(), json!({ "removed": null, "pending": true }));
    let body = json!({ "all": true, "confirm": stats["namespace"], "reason": "restore" });
    let failed = post(&router, OPERATOR, "/invalidate", &body).await;
    assert_eq!(failed.status, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn an_invalidation_makes_the_next_call_run() {
    let (server, cache, router) = over_redis().await;
    let namespace = get(&router, VIEWER, "/stats").await.json()["namespace"].clone();
    outcome(&cache, "buy").await;
    let key = server.entries().await.into_iter().find(|key| key.contains("areas")).unwrap();
    let bodies = [
        json!({ "prefix": "areas", "reason": "bad import" }),
        json!({ "tag": "kind:buy", "reason": "bad import" }),
        json!({ "key": key, "reason": "bad import" }),
        json!({ "all": true, "confirm": namespace, "reason": "restore" }),
    ];
    for body in &bodies {
        assert_eq!(outcome(&cache, "buy").await, OutcomeKind::Hit, "{body}");
        let answer = post(&router, OPERATOR, "/invalidate", body).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        assert_eq!(answer.json()["pending"], false);
        assert_eq!(outcome(&cache, "buy").await, OutcomeKind::Computed, "{body}");
    }
    let audit = get(&router, VIEWER, "/stats").await.json()["audit"].clone();
    assert_eq!(audit.as_array().unwrap().len(), 4);
    assert_eq!(
        (&audit[0]["target"], &audit[0]["reason"]),
        (&json!("everything"), &json!("restore"))
    );
    assert_eq!(
        (&audit[3]["target"], &audit[3]["who"]),
        (&json!("prefix areas"), &json!("operate"))
    );
    assert_eq!(audit[3]["result"], "ok");
}

#[tokio::test]
async fn an_invalidation_that_is_not_clear_does_nothing() {
    let (_server, cache, router) = over_redis().await;
    outcome(&cache, "buy").await;
    for (body, status) in [
        (json!({ "prefix": "areas" }), 400),
        (json!({ "prefix": "areas", "reason": " " }), 400),
        (json!({ "prefix": "areas", "reason": "x".repeat(501) }), 400),
        (json!({ "reason": "why" }), 400),
        (json!({ "prefix": "areas", "tag": "kind:buy", "reason": "why" }), 400),
        (json!({ "all": false, "reason": "why" }), 400),
        (json!({ "all": true, "reason": "why" }), 409),
        (json!({ "all": true, "confirm": "*", "reason": "why" }), 409),
        (json!({ "key": "of-nobody", "reason": "why" }), 400),
    ] {
        let answer = post(&router, OPERATOR, "/invalidate", &body).await;
        assert_eq!(answer.status.as_u16(), status, "{body}: {}", answer.text);
        assert!(!answer.error().is_empty());
    }
    assert_eq!(outcome(&cache, "buy").await, OutcomeKind::Hit);
}

#[tokio::test]
async fn everything_is_cleared_once_a_second_at_most() {
    let (_server, _cache, router) = over_redis().await;
    let namespace = get(&router, VIEWER, "/stats").await.json()["namespace"].clone();
    let body = json!({ "all": true, "confirm": namespace, "reason": "restore" });
    let first = post(&router, OPERATOR, "/invalidate", &body).await;
    assert!(first.json()["removed"].is_u64());
    let second = post(&router, OPERATOR, "/invalidate", &body).await;
    assert_eq!(second.status, StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn a_prefix_is_off_in_this_process_until_it_is_on_again() {
    let cache = Cache::in_memory();
    let router = cache_admin::router(&cache, access());
    outcome(&cache, "buy").await;
    let off = json!({ "on": false, "prefix": "areas", "reason": "rebuild", "seconds": 60, "reach": "process" });
    let answer = post(&router, OPERATOR, "/switch", &off).await;
    assert_eq!((answer.status, &answer.json()["reach"]), (StatusCode::OK, &json!("process")));
    assert!(matches!(outcome(&cache, "buy").await, OutcomeKind::Bypassed(_)));
    let stats = get(&router, VIEWER, "/stats").await.json();
    assert_eq!(stats["switches"][0]["prefix"], "areas");
    assert_eq!(stats["switches"][0]["who"], "operate");
    assert_eq!(stats["switches"][0]["reach"], "process");
    assert_eq!(get(&router, VIEWER, "/health").await.json()["status"], "degraded");
    let on = json!({ "on": true, "prefix": "areas", "reach": "process" });
    assert_eq!(post(&router, OPERATOR, "/switch", &on).await.status, StatusCode::OK);
    assert_eq!(outcome(&cache, "buy").await, OutcomeKind::Hit);
    for (wrong, status) in [
        (json!({ "on": false, "reason": "x", "reach": "process" }), 400),
        (json!({ "on": false, "reason": "x", "reach": "process", "seconds": 86_401 }), 400),
        (json!({ "on": false, "reach": "process", "seconds": 60 }), 400),
        (json!({ "on": false, "reason": "x", "reach": "fleet", "seconds": 60 }), 409),
    ] {
        assert_eq!(
            post(&router, OPERATOR, "/switch", &wrong).await.status.as_u16(),
            status,
            "{wrong}"
        );
    }
    assert_eq!(outcome(&cache, "buy").await, OutcomeKind::Hit);
}

#[tokio::test]
async fn an_entry_is_shown_and_its_value_to_one_role_alone() {
    let (server, cache, router) = over_redis().await;
    outcome(&cache, "buy").await;
    let key = server.entries().await.into_iter().find(|key| key.contains("areas")).unwrap();
    let body = json!({ "key": key });
    let seen = post(&router, OPERATOR, "/entry", &body).await.json();
    // The process does not know the tokens of an entry's tags.
    assert_eq!((&seen["state"], &seen["live"]), (&json!("value"), &json!(null)));
    assert!(seen["function"].as_str().unwrap().ends_with("areas"));
    assert!(seen["ttl_left_seconds"].as_f64().unwrap() > 0.0);
    assert!(seen.get("value").is_none());
    let revealed = post(&router, REVEALER, "/entry", &body).await.json();
    assert_eq!(revealed["value"], json!(["buy"]));
    let audit = get(&router, VIEWER, "/stats").await.json()["audit"].clone();
    assert_eq!((&audit[0]["action"], &audit[0]["who"]), (&json!("reveal"), &json!("reveal")));
    let _ = cache.scope(prices("buy")).await;
    cache.flush().await;
    let untagged = server.entries().await.into_iter().find(|key| key.contains("prices")).unwrap();
    let live = post(&router, VIEWER, "/entry", &json!({ "key": untagged })).await.json();
    assert_eq!(live["live"], true);
    cache.invalidate_prefix("prices").await.unwrap();
    let dead = post(&router, VIEWER, "/entry", &json!({ "key": untagged })).await.json();
    assert_eq!(dead["live"], false);
    let absent = json!({ "key": format!("{key}x") });
    assert_eq!(post(&router, VIEWER, "/entry", &absent).await.json()["state"], "absent");
    let foreign = post(&router, VIEWER, "/entry", &json!({ "key": "of-nobody" })).await;
    assert_eq!(foreign.status, StatusCode::BAD_REQUEST);
    let namespace = get(&router, VIEWER, "/stats").await.json()["namespace"].clone();
    let garbage = format!("{}:garbage", namespace.as_str().unwrap());
    server.command::<()>(&["SET", &garbage, "x"]).await;
    let garbage = post(&router, VIEWER, "/entry", &json!({ "key": garbage })).await.json();
    assert_eq!((&garbage["state"], &garbage["live"]), (&json!("foreign"), &json!(null)));
}

#[tokio::test]
async fn a_warmer_runs_once_at_a_time_and_counts() {
    let cache = Cache::in_memory();
    let warmers = Admin::new(&cache, access())
        .environment("staging:amber")
        .warmer("prices", || async { ["buy", "rent", "none"].map(prices) })
        .warmer("slow", || async { [tokio::time::sleep(Duration::from_secs(60))] })
        .warmer("broken", || async {
            panic!("no list");
            #[allow(unreachable_code)]
            [prices("buy")]
        });
    let router = warmers.router();
    let warm = |name: &str| json!({ "name": name, "reason": "deploy" });
    let stats = get(&router, VIEWER, "/stats").await.json();
    assert_eq!(stats["environment"], json!({ "label": "staging", "color": "amber" }));
    assert_eq!(stats["warmers"][0]["total"], json!(null));
    let started = post(&router, OPERATOR, "/warm", &warm("prices")).await;
    assert_eq!(started.status, StatusCode::ACCEPTED);
    assert_eq!(started.json(), json!({ "name": "prices", "total": 3 }));
    eventually("it ends", async || {
        !get(&router, VIEWER, "/stats").await.json()["warmers"][0]["last"].is_null()
    })
    .await;
    let warmer = get(&router, VIEWER, "/stats").await.json()["warmers"][0].clone();
    assert_eq!((&warmer["last"]["stored"], &warmer["last"]["failed"]), (&json!(2), &json!(1)));
    assert_eq!((&warmer["done"], &warmer["running"]), (&json!(3), &json!(false)));
    assert!(cache.scope(observe(prices("buy"))).await.1.is_hit());

    assert_eq!(post(&router, OPERATOR, "/warm", &warm("slow")).await.status, StatusCode::ACCEPTED);
    assert_eq!(post(&router, OPERATOR, "/warm", &warm("slow")).await.status, StatusCode::CONFLICT);
    assert_eq!(
        post(&router, OPERATOR, "/warm", &warm("nobody")).await.status,
        StatusCode::NOT_FOUND
    );
    for _ in 0..2 {
        let broken = post(&router, OPERATOR, "/warm", &warm("broken")).await;
        assert_eq!(broken.status, StatusCode::SERVICE_UNAVAILABLE);
    }
}
