//! Several caches over one Redis: as several processes, each with a member of its own.

mod common;

use axum::http::StatusCode;
use cache_runtime::{Cache, OutcomeKind, cache_result, observe};
use common::{OPERATOR, VIEWER, access, get, post};
use serde_json::json;
use support::{Server, eventually};

#[cache_result(ttl = 600, prefix = "areas")]
async fn areas(kind: &str) -> Vec<String> {
    vec![kind.to_owned()]
}

async fn outcome(cache: &Cache) -> OutcomeKind {
    let outcome = cache.scope(observe(areas("buy"))).await.1.kind;
    cache.flush().await;
    outcome
}

#[tokio::test]
async fn each_process_is_shown_and_figures_are_summed() {
    let server = Server::start().await;
    let (one, two) = (server.cache().await, server.cache().await);
    for cache in [&one, &two, &two] {
        outcome(cache).await;
    }
    let router = cache_admin::router(&one, access());
    let heartbeat = cache_admin::heartbeat(&two);
    eventually("both are shown, with their calls", async || {
        let stats = get(&router, VIEWER, "/stats").await.json();
        stats["processes"].as_array().is_some_and(|all| all.len() == 2)
            && stats["total"]["calls"] == 3
    })
    .await;
    let stats = get(&router, VIEWER, "/stats").await.json();
    assert_eq!((&stats["scope"], &stats["unnamed"]), (&json!("fleet"), &json!(null)));
    assert_eq!(stats["processes"][1]["calls"], 2);
    assert_eq!(stats["processes"][1]["status"], "up");
    assert_eq!(stats["prefixes"][0]["counters"]["hits"], 2);
    let alone = get(&router, VIEWER, "/stats?scope=process").await.json();
    assert_eq!((&alone["total"]["calls"], &alone["scope"]), (&json!(1), &json!("process")));
    let mut slots = server.keys().await;
    slots.retain(|key| key.contains(":@{fleet}:"));
    assert_eq!(slots.len(), 2, "{slots:?}");
    for slot in &slots {
        let left: i64 = server.command(&["PTTL", slot]).await;
        assert!((1..=15_000).contains(&left), "{left}");
    }
    drop(heartbeat);
}

#[tokio::test]
async fn a_switch_of_the_fleet_stops_hits_everywhere_and_ends_by_itself() {
    let server = Server::start().await;
    let (one, two) = (server.cache().await, server.cache().await);
    let router = cache_admin::router(&one, access());
    let _heartbeat = cache_admin::heartbeat(&two);
    outcome(&one).await;
    assert_eq!(outcome(&two).await, OutcomeKind::Hit);
    let off = json!({ "on": false, "prefix": "areas", "reason": "rebuild", "seconds": 12, "reach": "fleet" });
    let answer = post(&router, OPERATOR, "/switch", &off).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    assert!(matches!(outcome(&one).await, OutcomeKind::Bypassed(_)));
    eventually("the other has seen it", async || {
        matches!(outcome(&two).await, OutcomeKind::Bypassed(_))
    })
    .await;
    let stats = get(&router, VIEWER, "/stats").await.json();
    assert_eq!(
        (&stats["switches"][0]["reach"], &stats["switches"][0]["who"]),
        (&json!("fleet"), &json!("operate"))
    );
    assert!(stats["switches"][0]["seconds_left"].as_f64().unwrap() <= 12.0);
    for cache in [&one, &two] {
        eventually("it is over", async || outcome(cache).await == OutcomeKind::Hit).await;
    }
}

#[tokio::test]
async fn a_switch_of_the_fleet_is_undone_and_survives_that_everything_is_cleared() {
    let server = Server::start().await;
    let (one, two) = (server.cache().await, server.cache().await);
    let router = cache_admin::router(&one, access());
    let _heartbeat = cache_admin::heartbeat(&two);
    let off = json!({ "on": false, "prefix": null, "reason": "rebuild", "seconds": 600, "reach": "fleet" });
    assert_eq!(post(&router, OPERATOR, "/switch", &off).await.status, StatusCode::OK);
    let namespace = get(&router, VIEWER, "/stats").await.json()["namespace"].clone();
    let all = json!({ "all": true, "confirm": namespace, "reason": "restore" });
    assert_eq!(post(&router, OPERATOR, "/invalidate", &all).await.status, StatusCode::OK);
    eventually("the other has seen it", async || !two.is_enabled()).await;
    assert!(!one.is_enabled());
    let on = json!({ "on": true, "prefix": null, "reach": "fleet" });
    assert_eq!(post(&router, OPERATOR, "/switch", &on).await.status, StatusCode::OK);
    assert!(one.is_enabled());
    eventually("the other has seen the end", async || two.is_enabled()).await;
    let again = post(&router, OPERATOR, "/switch", &on).await;
    assert_eq!(again.status, StatusCode::NOT_FOUND);
}
