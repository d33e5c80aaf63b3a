//! Redis over TLS: whose certificates are taken, and what becomes of calls where none is.

// Many functions answer with the number of their run, whatever they are called with.
#![allow(unused_variables)]

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use cache_runtime::{Cache, Config, Error, Reason, Status, cache_result, invalidate, observe};
use support::{
    Authority, Node, TlsServer, computed, configured, eventually, fresh, patient, run, stored,
};

const DEADLINE: Duration = Duration::from_secs(10);

#[cache_result(ttl = 60, prefix = "areas")]
async fn area(key: u32) -> u64 {
    run()
}

#[cache_result(ttl = 60, prefix = "copies", local)]
async fn copied(key: u32) -> u64 {
    run()
}

#[cache_result(ttl = 60)]
async fn text(of: u32) -> String {
    "x".repeat(of as usize)
}

/// Settings by URL, and by the file of the authority and those of a client, where there are any.
fn settings(url: &str, ca: Option<&Path>, client: Option<&[std::path::PathBuf; 2]>) -> Config {
    try_settings(url, ca, client).unwrap()
}

fn try_settings(
    url: &str,
    ca: Option<&Path>,
    client: Option<&[std::path::PathBuf; 2]>,
) -> Result<Config, Error> {
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let mut variables = vec![("REDIS_URL", url.to_owned())];
    variables.extend(ca.map(|ca| ("REDIS_TLS_CA", text(ca))));
    if let Some([certificate, key]) = client {
        variables.extend([("REDIS_TLS_CERT", text(certificate)), ("REDIS_TLS_KEY", text(key))]);
    }
    let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    configured(&variables)
}

async fn works(config: Config) {
    let cache = Cache::connect(patient(config)).await.unwrap();
    cache
        .scope(async {
            let key = fresh();
            let value = stored!(cache, area(key));
            invalidate(area(key)).await.unwrap();
            assert_ne!(computed!(cache, area(key)), value);
        })
        .await;
    assert_eq!(cache.health().status, Status::Up);
}

/// Connecting fails in time, with the error that is returned, and functions run plainly.
async fn is_an_outage(config: Config) -> Error {
    let begun = Instant::now();
    let error = Cache::connect(config.clone()).await.unwrap_err();
    assert!(error.is_unavailable(), "{error}");
    let cache = Cache::new(config);
    for of in 0..5 {
        let (value, outcome) = cache.scope(observe(text(of))).await;
        assert_eq!(value.len(), of as usize);
        assert!(outcome.is_bypassed(), "{outcome:?}");
    }
    assert!(cache.scope(invalidate(text(1))).await.unwrap_err().is_unavailable());
    assert!(begun.elapsed() < DEADLINE, "it took {:?}", begun.elapsed());
    assert_eq!(cache.health().status, Status::Down);
    error
}

#[tokio::test]
async fn a_server_is_trusted_by_the_authority_of_its_certificate() {
    let server = TlsServer::start().await;
    let ca = server.authority().ca();
    works(settings(&server.url(), Some(&ca), None)).await;
    // The same in the words of other clients.
    let plain = format!("redis://{}/0?ssl=true", server.address());
    works(settings(&plain, Some(&ca), None)).await;
}

#[tokio::test]
async fn a_server_may_speak_tls_1_2_alone() {
    let server = TlsServer::start_with_tls_1_2().await;
    works(settings(&server.url(), Some(&server.authority().ca()), None)).await;
}

#[tokio::test]
async fn a_server_of_an_unknown_authority_is_refused_with_an_error_that_says_so() {
    let server = TlsServer::start().await;
    let stranger = Authority::new();
    for ca in [None, Some(stranger.ca())] {
        let error = is_an_outage(settings(&server.url(), ca.as_deref(), None)).await;
        assert!(error.to_string().contains("certificate"), "{error}");
    }
}

#[tokio::test]
async fn a_server_of_an_unknown_authority_is_taken_where_none_is_asked_for() {
    let server = TlsServer::start().await;
    let url = format!("{}?ssl_cert_reqs=none", server.url());
    works(settings(&url, None, None)).await;
    let plain = format!("redis://{}/0?ssl=true&ssl_cert_reqs=none", server.address());
    works(settings(&plain, None, None)).await;
}

#[tokio::test]
async fn a_certificate_is_shown_to_a_server_that_asks_for_one() {
    let server = TlsServer::start_for_known_clients().await;
    let authority = server.authority();
    works(settings(&server.url(), Some(&authority.ca()), Some(&authority.client()))).await;
}

#[tokio::test]
async fn certificates_may_come_from_the_code() {
    let server = TlsServer::start_for_known_clients().await;
    let authority = server.authority();
    let pem = |path: std::path::PathBuf| std::fs::read(path).unwrap();
    let [certificate, key] = authority.client().map(pem);
    let config = Config::redis(&server.url()).unwrap();
    let config = config.tls_client(certificate.clone(), key).tls_ca(pem(authority.ca()));
    works(config.clone()).await;
    let odd = config.tls_client(certificate, "no key");
    assert!(Cache::connect(odd.clone()).await.unwrap_err().is_config());
    assert_eq!(Cache::new(odd).health().status, Status::Off);
}

#[tokio::test]
async fn certificates_that_are_renewed_in_their_files_are_used_at_the_next_dial() {
    let mut server = TlsServer::start_for_known_clients().await;
    let (ca, client) = (server.authority().ca(), server.authority().client());
    let cache = Cache::connect(patient(settings(&server.url(), Some(&ca), Some(&client)))).await;
    let cache = cache.unwrap();
    let key = fresh();
    cache.scope(async { stored!(cache, area(key)) }).await;
    let renewed = Authority::new();
    let folder = ca.parent().unwrap();
    for file in std::fs::read_dir(renewed.ca().parent().unwrap()).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), folder.join(file.file_name())).unwrap();
    }
    server.restart().await;
    let hits = || async { cache.scope(observe(text(7))).await.1.is_hit() };
    eventually("it hits again", hits).await;
}

#[tokio::test]
async fn a_certificate_that_is_missing_or_of_a_stranger_is_an_outage() {
    let server = TlsServer::start_for_known_clients().await;
    let ca = server.authority().ca();
    is_an_outage(settings(&server.url(), Some(&ca), None)).await;
    let stranger = Authority::new();
    is_an_outage(settings(&server.url(), Some(&ca), Some(&stranger.client()))).await;
}

#[tokio::test]
async fn a_file_that_is_absent_or_no_such_thing_is_told_by_its_variable() {
    let authority = Authority::new();
    let (ca, [certificate, key]) = (authority.ca(), authority.client());
    let odd = ca.with_file_name("notes.txt");
    std::fs::write(&odd, "my notes").unwrap();
    for wrong in [ca.with_file_name("absent.pem"), odd] {
        let cases = [
            ("REDIS_TLS_CA", &wrong, [certificate.clone(), key.clone()]),
            ("REDIS_TLS_CERT", &ca, [wrong.clone(), key.clone()]),
            ("REDIS_TLS_KEY", &ca, [certificate.clone(), wrong.clone()]),
        ];
        for (variable, ca, client) in cases {
            let error =
                try_settings("rediss://127.0.0.1:1/0", Some(ca), Some(&client)).unwrap_err();
            assert!(error.is_config() && error.to_string().contains(variable), "{error}");
        }
    }
}

#[tokio::test]
async fn a_plain_connection_to_a_server_with_tls_is_an_outage_that_ends() {
    let server = TlsServer::start().await;
    is_an_outage(settings(&format!("redis://{}/0", server.address()), None, None)).await;
}

#[tokio::test]
async fn tls_to_a_plain_server_is_an_outage_that_ends() {
    let server = Node::alone().await;
    let authority = Authority::new();
    let url = format!("rediss://{}/0", server.address());
    is_an_outage(settings(&url, Some(&authority.ca()), None)).await;
}

#[tokio::test]
async fn a_server_that_is_silent_during_the_handshake_is_an_outage_that_ends() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let authority = Authority::new();
    let url = format!("rediss://{}/0", listener.local_addr().unwrap());
    is_an_outage(settings(&url, Some(&authority.ca()), None)).await;
}

#[tokio::test]
async fn copies_are_made_and_taken_away_over_tls() {
    let server = TlsServer::start().await;
    let config = patient(settings(&server.url(), Some(&server.authority().ca()), None));
    let [one, other] = [config.clone(), config].map(Cache::new);
    let key = fresh();
    let is_copy =
        |cache: Cache| async move { cache.scope(observe(copied(key))).await.1.is_local_hit() };
    for cache in [&one, &other] {
        eventually("a copy is made", || is_copy(cache.clone())).await;
    }
    let value = other.scope(copied(key)).await;
    one.scope(invalidate(copied(key))).await.unwrap();
    let gone = || async { other.scope(copied(key)).await != value };
    eventually("the copy of the other is gone", gone).await;
}

#[tokio::test]
async fn values_of_many_packets_go_over_tls_whole() {
    let server = TlsServer::start().await;
    let config = settings(&server.url(), Some(&server.authority().ca()), None);
    let cache = Cache::connect(patient(config.compress_above(usize::MAX))).await.unwrap();
    cache.scope(async { assert_eq!(stored!(cache, text(900_000)).len(), 900_000) }).await;
}

#[tokio::test]
async fn a_server_with_tls_that_is_frozen_is_found_again() {
    let server = TlsServer::start().await;
    let cache = Cache::connect(settings(&server.url(), Some(&server.authority().ca()), None))
        .await
        .unwrap();
    let hits = || async { cache.scope(observe(text(7))).await.1.is_hit() };
    eventually("it hits", hits).await;
    server.freeze();
    let begun = Instant::now();
    let out =
        || async { cache.scope(observe(text(7))).await.1.reason() == Some(Reason::Unavailable) };
    eventually("the breaker opens", out).await;
    assert!(begun.elapsed() < DEADLINE, "it took {:?}", begun.elapsed());
    server.thaw();
    eventually("it hits again", hits).await;
}

/// Runs one test of this file again in a process of its own, with these variables.
fn alone(test: &str, variables: &[(&str, &str)]) {
    let mut process = Command::new(std::env::current_exe().unwrap());
    process.args([test, "--exact", "--nocapture"]).envs(variables.iter().copied());
    let output = process.output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && told.contains("1 passed"), "{told}");
}

/// The URL that [`alone`] was given, where this is the process that it has started.
const TLS_URL: &str = "TLS_URL";

#[tokio::test]
async fn the_provider_of_cryptography_of_the_process_is_left_to_the_application() {
    const NAME: &str = "the_provider_of_cryptography_of_the_process_is_left_to_the_application";
    let Ok(url) = std::env::var(TLS_URL) else {
        for query in ["?", "?ssl_cert_reqs=none&"] {
            let server = TlsServer::start().await;
            let ca = server.authority().ca().display().to_string();
            alone(NAME, &[(TLS_URL, &format!("{}{query}ssl_ca_certs={ca}", server.url()))]);
        }
        return;
    };
    let config = || Config::redis(&url).unwrap();
    works(config()).await;
    assert!(rustls::crypto::CryptoProvider::get_default().is_none(), "there is a default");
    rustls::crypto::ring::default_provider().install_default().unwrap();
    works(config()).await;
}

/// Where rustls looks for the authorities of the system, in place of the usual folders.
const SYSTEM: &str = "SSL_CERT_FILE";

#[tokio::test]
async fn the_authorities_of_the_system_are_read_once() {
    const NAME: &str = "the_authorities_of_the_system_are_read_once";
    let Ok(url) = std::env::var(TLS_URL) else {
        let server = TlsServer::start().await;
        let ca = server.authority().ca();
        let system = ca.with_file_name("system.pem");
        // One of them is damaged: that is no reason to do without the others.
        let damaged = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let both = std::fs::read_to_string(&ca).unwrap() + damaged;
        std::fs::write(&system, both).unwrap();
        alone(NAME, &[(TLS_URL, &server.url()), (SYSTEM, &system.display().to_string())]);
        return;
    };
    let config = || Config::redis(&url).unwrap();
    works(config()).await;
    std::fs::remove_file(std::env::var(SYSTEM).unwrap()).unwrap();
    works(config()).await;
}

#[tokio::test]
async fn the_authorities_of_the_system_are_not_read_beside_others() {
    const NAME: &str = "the_authorities_of_the_system_are_not_read_beside_others";
    let Ok(url) = std::env::var(TLS_URL) else {
        let server = TlsServer::start().await;
        let ca = server.authority().ca();
        let url = format!("{}?ssl_ca_certs={}", server.url(), ca.display());
        let absent = ca.with_file_name("absent.pem").display().to_string();
        alone(NAME, &[(TLS_URL, &url), (SYSTEM, &absent)]);
        return;
    };
    works(Config::redis(&url).unwrap()).await;
}

#[tokio::test]
async fn authorities_of_the_system_that_cannot_be_read_to_the_end_hold_nobody_up() {
    const NAME: &str = "authorities_of_the_system_that_cannot_be_read_to_the_end_hold_nobody_up";
    let Ok(url) = std::env::var(TLS_URL) else {
        let server = TlsServer::start().await;
        let pipe = server.authority().ca().with_file_name("pipe").display().to_string();
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        alone(NAME, &[(TLS_URL, &server.url()), (SYSTEM, &pipe)]);
        return;
    };
    is_an_outage(Config::redis(&url).unwrap()).await;
}
