//! The service as a process, called over HTTP, with a redis-server of its own or without one.

mod process;

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, ScopedJoinHandle};
use std::time::Duration;

use process::{Answer, Call, Service, program};
use support::{ClusterServers, Sentinels, Server, TlsServer, eventually};
use tempfile::TempDir;

const FLAT: &str =
    r#"{"type":"buy","area":"Bow","property_type":"flat","bedrooms":2,"floor_area":60}"#;
const HOUSE: &str =
    r#"{"type":"buy","area":"Bow","property_type":"terraced","bedrooms":4,"floor_area":120}"#;

const AREAS: Call<'_> = Call("/api/areas/buy", None);
const TYPES: Call<'_> = Call("/api/property-types/buy", None);
const VALUATION: Call<'_> = Call("/api/property/valuation", Some(FLAT));

/// Seconds until the one key under `prefix` expires.
async fn ttl(server: &Server, prefix: &str) -> i64 {
    let keys = server.keys().await;
    let key = keys.iter().find(|key| key.starts_with(&format!("cache:{prefix}:")));
    server.command(&["TTL", key.expect("a key of this prefix")]).await
}

#[tokio::test]
async fn a_second_request_is_a_hit_with_the_same_body() {
    let (folder, server) = (folder(), Server::start().await);
    let service = Service::start(&folder.path().join("property.db"), Some(&server.url()));
    for (call, prefix, life) in
        [(AREAS, "areas", 3600), (TYPES, "property-types", 3600), (VALUATION, "valuation", 300)]
    {
        let first = service.call(call);
        assert_eq!(first.status, 200, "{first:?}");
        assert!(first.is("computed"), "{first:?}");
        // Longer than any lease: the value is there.
        eventually("the value is stored", || async { ttl(&server, prefix).await > 60 }).await;
        assert!(ttl(&server, prefix).await <= life);
        let second = service.call(call);
        assert!(second.is("hit"), "{second:?}");
        assert_eq!(second.body, first.body);
    }
    let health = service.health();
    assert_eq!((health.status, health.cache.as_deref()), (200, None));
    assert_eq!(health.json()["cache"], "up");
}

#[tokio::test]
async fn other_requests_get_other_answers() {
    let (folder, server) = (folder(), Server::start().await);
    let service = Service::start(&folder.path().join("property.db"), Some(&server.url()));
    let others = [
        (AREAS, Call("/api/areas/rent", None)),
        (TYPES, Call("/api/property-types/rent", None)),
        (AREAS, TYPES),
        (VALUATION, Call(VALUATION.0, Some(HOUSE))),
    ];
    for (one, other) in others {
        let (one, other) = (service.until_hit(one).await, service.until_hit(other).await);
        assert_ne!(one.body, other.body);
    }
    assert_eq!(service.call(AREAS).json()[4]["name"], "Bow");
}

#[tokio::test]
async fn the_same_body_in_other_words_is_a_hit() {
    let (folder, server) = (folder(), Server::start().await);
    let service = Service::start(&folder.path().join("property.db"), Some(&server.url()));
    let first = service.until_hit(VALUATION).await;
    let reordered = r#"{"floor_area": 60, "bedrooms": 2, "type": "buy",
        "property_type": "flat", "area": "Bow"}"#;
    let second = service.call(Call(VALUATION.0, Some(reordered)));
    assert!(second.is("hit"), "{second:?}");
    assert_eq!(second.body, first.body);
}

#[tokio::test]
async fn an_error_is_not_stored() {
    let (folder, server) = (folder(), Server::start().await);
    let service = Service::start(&folder.path().join("property.db"), Some(&server.url()));
    for path in ["/api/areas/castles", "/api/property-types/castles"] {
        for _ in 0..2 {
            let answer = service.call(Call(path, None));
            assert_eq!(answer.status, 404);
            assert_eq!(answer.json()["error"], "unknown type `castles`");
            assert!(!answer.is("hit"), "{answer:?}");
        }
    }
    eventually("nothing is stored", || async { server.entries().await.is_empty() }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_killed_under_load_changes_no_answer() {
    let (folder, mut server) = (folder(), Server::start().await);
    let service = Service::start(&folder.path().join("property.db"), Some(&server.url()));
    let calls = [AREAS, TYPES, VALUATION];
    let before: Vec<Answer> = calls.iter().map(|call| service.call(*call)).collect();
    let answered = AtomicUsize::new(0);
    let client = || {
        for (call, before) in calls.iter().zip(&before).cycle().take(15) {
            let answer = service.call(*call);
            assert_eq!((answer.status, &answer.body), (200, &before.body));
            answered.fetch_add(1, Ordering::SeqCst);
        }
    };
    thread::scope(|scope| {
        let clients: Vec<_> = (0..6).map(|_| scope.spawn(client)).collect();
        // A client that failed answers no more.
        while answered.load(Ordering::SeqCst) < 20
            && !clients.iter().any(ScopedJoinHandle::is_finished)
        {
            thread::sleep(Duration::from_millis(1));
        }
        server.kill();
    });
    let after = service.call(AREAS);
    assert_eq!((after.status, &after.body), (200, &before[0].body));
    assert!(after.is("bypassed (unavailable)"), "{after:?}");
    assert_eq!(service.health().json()["cache"], "down");
    server.restart().await;
    assert_eq!(service.until_hit(AREAS).await.body, before[0].body);
}

/// The answers to everything, each computed once and then a hit.
async fn answers(database: &Path, variables: &[(&str, &str)]) -> Vec<String> {
    let service = Service::start_in(database, variables);
    let mut bodies = Vec::new();
    for call in [AREAS, TYPES, VALUATION, Call(VALUATION.0, Some(HOUSE))] {
        let first = service.call(call);
        assert!(first.status == 200 && first.is("computed"), "{variables:?}: {first:?}");
        let second = service.until_hit(call).await;
        assert_eq!(second.body, first.body, "{variables:?}");
        bodies.push(first.body);
    }
    assert_eq!(service.health().json()["cache"], "up", "{variables:?}");
    bodies
}

#[tokio::test]
async fn the_url_alone_says_how_redis_is_arranged() {
    let folder = folder();
    let file = folder.path().join("property.db");
    let server = Server::start().await;
    let expected = answers(&file, &[("REDIS_URL", &server.url())]).await;
    let tls = TlsServer::start().await;
    let ca = tls.authority().ca();
    let trusted = ("REDIS_TLS_CA", ca.to_str().expect("a path of letters"));
    assert_eq!(answers(&file, &[("REDIS_URL", &tls.url()), trusted]).await, expected);
    let sentinels = Sentinels::start().await;
    assert_eq!(answers(&file, &[("REDIS_URL", &sentinels.url())]).await, expected);
    let cluster = ClusterServers::start().await;
    assert_eq!(answers(&file, &[("REDIS_URL", &cluster.url())]).await, expected);
}

#[tokio::test]
async fn it_caches_in_the_process_without_redis() {
    let folder = folder();
    let service = Service::start(&folder.path().join("property.db"), None);
    for call in [AREAS, TYPES, VALUATION] {
        let first = service.call(call);
        assert_eq!(first.status, 200, "{first:?}");
        assert_eq!(service.until_hit(call).await.body, first.body);
    }
    assert_eq!(service.health().json()["cache"], "memory");
}

#[tokio::test]
async fn a_second_start_uses_the_file_of_the_first() {
    let folder = folder();
    let file = folder.path().join("property.db");
    let first = Service::start(&file, None).call(AREAS);
    let made = file.metadata().expect("the file").modified().expect("a time");
    let second = Service::start(&file, None).call(AREAS);
    assert_eq!(first.body, second.body);
    assert_eq!(file.metadata().expect("the file").modified().expect("a time"), made);
    assert_eq!(folder.path().read_dir().expect("a folder").count(), 1);
}

#[tokio::test]
async fn an_interrupted_fill_is_not_taken_for_a_full_one() {
    let folder = folder();
    let file = folder.path().join("property.db");
    let files = || folder.path().read_dir().expect("a folder").count();
    let mut filling = program(&file, 5_000_000).spawn().expect("the service starts");
    eventually("it fills a file", || async { files() > 0 }).await;
    filling.kill().expect("it is ours");
    filling.wait().expect("it is ours");
    assert!(!file.exists());
    assert_eq!(Service::start(&file, None).call(AREAS).status, 200);
}

#[test]
fn a_file_of_somebody_else_is_left_alone() {
    let folder = folder();
    let file = folder.path().join("notes.db");
    std::fs::write(&file, "my notes").expect("a file");
    let ended = program(&file, 1000).output().expect("the service starts");
    assert!(!ended.status.success());
    assert_eq!(std::fs::read_to_string(&file).expect("the file"), "my notes");
}

#[tokio::test]
async fn tokens_from_files_open_the_page_each_with_its_rights() {
    let folder = folder();
    let [admin, view] = ["operates-the-cache-1", "views-the-figures-22"];
    let file = |name: &str, token: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, format!("{token}\n")).expect("a file can be written");
        path.to_str().expect("text").to_owned()
    };
    let service = Service::start_in(
        &folder.path().join("property.db"),
        &[
            ("CACHE_ADMIN_TOKEN_FILE", &file("admin", admin)),
            ("CACHE_VIEW_TOKEN_FILE", &file("view", view)),
        ],
    );
    let metrics = Call("/cache/metrics", None);
    let all = Call("/cache/invalidate", Some(r#"{"prefix": "areas", "reason": "a test"}"#));
    for (token, statuses) in
        [(admin, [200, 200]), (view, [200, 405]), ("another-token-333", [401; 2])]
    {
        let answers = [metrics, all].map(|call| service.call_as(call, token).status);
        assert_eq!(answers, statuses, "{token}");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn the_signal_by_which_containers_are_stopped_ends_it_in_order() {
    let (folder, server) = (folder(), Server::start().await);
    let service = Service::start(&folder.path().join("property.db"), Some(&server.url()));
    assert!(service.call(AREAS).is("computed"));
    assert!(service.terminated().success());
    // What was computed has been written by then.
    assert!(ttl(&server, "areas").await > 60);
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}
