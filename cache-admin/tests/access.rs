//! Who gets in, what each role may do, and what an answer carries.

mod common;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cache_admin::{Access, ENDPOINTS, Role};
use cache_runtime::Cache;
use common::{OPERATOR, REVEALER, VIEWER, access, get, post, send};
use serde_json::json;
use sha2::{Digest as _, Sha256};

fn router() -> Router {
    cache_admin::router(&Cache::in_memory(), access())
}

fn bare(method: &str, path: &str) -> Request<Body> {
    let request = Request::builder().method(method).uri(path);
    request.header("content-type", "application/json").body(Body::from("{}")).expect("a request")
}

#[tokio::test]
async fn every_route_refuses_without_a_credential() {
    let router = router();
    let paths = ENDPOINTS.iter().map(|endpoint| endpoint.path).chain(["", "/nothing", "/stats/x"]);
    for path in paths {
        let path = if path.is_empty() { "/" } else { path };
        for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"] {
            let answer = send(&router, bare(method, path)).await;
            assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{method} {path}");
            let challenge = answer.headers["www-authenticate"].to_str().unwrap();
            assert!(challenge.starts_with("Basic realm=\"cache\""));
            assert!(!answer.text.contains("<html"));
        }
    }
}

#[tokio::test]
async fn wrong_credentials_are_none() {
    let router = router();
    let basic = |text: &str| format!("Basic {}", STANDARD.encode(text));
    let wrong = [
        "Bearer view-view-view-vieW".to_owned(),
        "Bearer view-view-view-view-and-more".to_owned(),
        "Bearer ".to_owned(),
        format!("Digest {VIEWER}"),
        VIEWER.to_owned(),
        basic(VIEWER),
        basic(&format!("{VIEWER}:")),
        "Basic ???".to_owned(),
    ];
    for header in wrong {
        let request = Request::get("/stats").header("authorization", &header);
        let answer = send(&router, request.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{header}");
    }
    let query = format!("/stats?token={VIEWER}&access_token={VIEWER}");
    assert_eq!(send(&router, bare("GET", &query)).await.status, StatusCode::UNAUTHORIZED);
    let twice = Request::get("/stats").header("authorization", format!("Bearer {VIEWER}"));
    let twice = twice.header("authorization", format!("Bearer {VIEWER}"));
    let twice = send(&router, twice.body(Body::empty()).unwrap()).await;
    assert_eq!(twice.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_token_is_the_password_of_basic_with_any_name() {
    let router = router();
    for name in ["", "anna", "a name"] {
        let header = format!("Basic {}", STANDARD.encode(format!("{name}:{OPERATOR}")));
        let request = Request::get("/stats").header("authorization", header);
        let answer = send(&router, request.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.json()["role"], "operate");
    }
}

#[tokio::test]
async fn each_route_takes_its_role() {
    let router = router();
    for (role, token) in [(Role::View, VIEWER), (Role::Operate, OPERATOR)] {
        for endpoint in ENDPOINTS {
            let answer = match endpoint.method {
                "GET" => get(&router, token, endpoint.path).await,
                _ => post(&router, token, endpoint.path, &json!({ "wrong": 1 })).await,
            };
            let expected = match (role >= endpoint.role, endpoint.method) {
                (false, _) => StatusCode::METHOD_NOT_ALLOWED,
                (true, "GET") => StatusCode::OK,
                (true, _) => StatusCode::BAD_REQUEST,
            };
            assert_eq!(answer.status, expected, "{role} {endpoint:?}: {}", answer.text);
        }
        tokio::time::sleep(std::time::Duration::from_millis(1_050)).await;
    }
    assert_eq!(get(&router, REVEALER, "/stats").await.json()["role"], "reveal");
}

#[tokio::test]
async fn everybody_may_see_where_the_host_has_said_so_and_change_nothing() {
    let router = cache_admin::router(&Cache::in_memory(), Access::read_only());
    assert_eq!(send(&router, bare("GET", "/stats")).await.json()["role"], "view");
    let answer = send(&router, bare("POST", "/invalidate")).await;
    assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn the_host_may_check_by_itself() {
    let check = |request: &axum::http::request::Parts| match request.headers.get("x-user") {
        Some(user) if user == "root" => Role::Reveal,
        _ => Role::None,
    };
    let router = cache_admin::router(&Cache::in_memory(), Access::check(check));
    let refused = send(&router, bare("GET", "/stats")).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert!(!refused.headers.contains_key("www-authenticate"));
    let root = Request::get("/stats").header("x-user", "root").body(Body::empty()).unwrap();
    assert_eq!(send(&router, root).await.json()["role"], "reveal");
}

#[test]
fn short_tokens_are_refused_and_no_token_is_printed() {
    assert!(Access::token(Role::View, "fifteen-letters").is_err());
    assert!(Access::token(Role::View, "").is_err());
    assert!(Access::token(Role::View, "sixteen letters and blanks").is_err());
    let printed = format!("{:?}", access());
    for token in [VIEWER, OPERATOR, REVEALER] {
        assert!(!printed.contains(token), "{printed}");
    }
}

#[tokio::test]
async fn requests_from_pages_of_other_origins_are_refused() {
    let router = router();
    let body = json!({ "prefix": "areas", "reason": "test" }).to_string();
    let from = |headers: &[(&str, &str)]| {
        let mut request = Request::post("/invalidate")
            .header("authorization", format!("Bearer {OPERATOR}"))
            .header("host", "shop.example")
            .header("content-type", "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(Body::from(body.clone())).unwrap()
    };
    for foreign in [
        &[("sec-fetch-site", "cross-site")][..],
        &[("sec-fetch-site", "same-site")],
        &[("origin", "https://evil.example")],
        &[("origin", "null")],
    ] {
        let answer = send(&router, from(foreign)).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{foreign:?}");
        assert!(answer.error().contains("another origin"));
    }
    for own in
        [&[("sec-fetch-site", "same-origin")][..], &[("origin", "https://shop.example")], &[]]
    {
        assert_eq!(send(&router, from(own)).await.status, StatusCode::OK, "{own:?}");
    }
}

#[tokio::test]
async fn bodies_are_json_and_small() {
    let router = router();
    let request = |kind: Option<&str>, body: String| {
        let mut request = Request::post("/invalidate");
        request = request.header("authorization", format!("Bearer {OPERATOR}"));
        if let Some(kind) = kind {
            request = request.header("content-type", kind);
        }
        request.body(Body::from(body)).unwrap()
    };
    let good = json!({ "prefix": "areas", "reason": "test" }).to_string();
    for kind in [None, Some("text/plain"), Some("application/x-www-form-urlencoded")] {
        let answer = send(&router, request(kind, good.clone())).await;
        assert_eq!(answer.status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{kind:?}");
    }
    let large = json!({ "prefix": "x".repeat(17 * 1024), "reason": "test" }).to_string();
    let large = send(&router, request(Some("application/json"), large)).await;
    assert_eq!(large.status, StatusCode::PAYLOAD_TOO_LARGE);
    let broken = send(&router, request(Some("application/json"), "{".to_owned())).await;
    assert_eq!(broken.status, StatusCode::BAD_REQUEST);
    assert!(!broken.error().is_empty());
}

#[tokio::test]
async fn changes_are_limited_in_number() {
    let router = router();
    for _ in 0..30 {
        post(&router, VIEWER, "/switch", &json!({})).await;
    }
    let first = post(&router, OPERATOR, "/switch", &json!({})).await;
    assert_eq!(first.status, StatusCode::BAD_REQUEST, "viewers have a bound of their own");
    let mut refused = 0;
    for _ in 0..30 {
        let answer = post(&router, OPERATOR, "/switch", &json!({})).await;
        refused += usize::from(answer.status == StatusCode::TOO_MANY_REQUESTS);
    }
    assert!(refused >= 10, "{refused}");
}

#[tokio::test]
async fn the_page_and_its_policy_match_and_every_answer_has_its_headers() {
    let app: Router = Router::new().nest("/c", router()).nest_service("/a/b", router());
    for path in ["/a/b", "/a/b/", "/a/b?every=5", "/c"] {
        let page = get(&app, VIEWER, path).await;
        assert_eq!(page.status, StatusCode::OK, "{path}");
        assert!(page.headers["content-type"].to_str().unwrap().starts_with("text/html"));
        let policy = page.headers["content-security-policy"].to_str().unwrap();
        for element in ["script", "style"] {
            let (open, close) = (format!("<{element}>"), format!("</{element}>"));
            assert_eq!(page.text.matches(&format!("<{element}")).count(), 1, "one {element}");
            let text = page.text.split(&open).nth(1).unwrap().split(&close).next().unwrap();
            let hash = STANDARD.encode(Sha256::digest(text.as_bytes()));
            assert!(policy.contains(&format!("{element}-src 'sha256-{hash}';")), "{policy}");
        }
        assert!(policy.starts_with("default-src 'none';"));
        assert!(policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"));
    }
    let stats = get(&app, VIEWER, "/a/b/stats").await;
    let nothing = get(&app, VIEWER, "/a/b/nothing").await;
    assert_eq!(nothing.status, StatusCode::NOT_FOUND);
    let wrong = get(&app, VIEWER, "/a/b/switch").await;
    assert_eq!(wrong.status, StatusCode::METHOD_NOT_ALLOWED);
    for answer in [&stats, &nothing, &wrong] {
        assert_eq!(answer.headers["x-content-type-options"], "nosniff");
        assert_eq!(answer.headers["referrer-policy"], "no-referrer");
        assert_eq!(answer.headers["cache-control"], "no-store");
        let policy = answer.headers["content-security-policy"].to_str().unwrap();
        assert_eq!(policy, "default-src 'none'; frame-ancestors 'none'");
        answer.json();
    }
}
