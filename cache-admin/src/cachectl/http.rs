//! The admin API of a process.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use ureq::http::StatusCode;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use super::failure::Failure;

/// The variable with the token. Tokens do not belong on a command line, which other users of a host see.
pub(super) const TOKEN: &str = "CACHE_ADMIN_TOKEN";

/// The admin API at one URL.
#[derive(Debug, Clone)]
pub(super) struct Api {
    url: String,
    token: Option<String>,
    agent: ureq::Agent,
}

impl Api {
    /// # Errors
    ///
    /// Where the URL has a login.
    pub(super) fn at(url: &str) -> Result<Self, Failure> {
        let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
        let rest = rest.ok_or_else(|| Failure::usage("--admin: expected http:// or https://"))?;
        if rest.split('/').next().is_some_and(|host| host.contains('@')) {
            return Err(Failure::usage(format!("--admin: the token belongs into {TOKEN}")));
        }
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(Duration::from_secs(10)))
            .max_redirects(0)
            .http_status_as_error(false);
        let config =
            if url.starts_with("https:") { config.tls_config(system_roots()) } else { config };
        let token = std::env::var(TOKEN).ok().filter(|token| !token.is_empty());
        let url = url.trim_end_matches('/').to_owned();
        Ok(Self { url, token, agent: config.build().into() })
    }

    /// # Errors
    ///
    /// Where there is no answer, or another one than success; the text is the API's.
    pub(super) async fn get(&self, path: &str) -> Result<Value, Failure> {
        self.send(path, None).await.map(|(_, body)| body)
    }

    /// The status too: an invalidation may be accepted and pending.
    ///
    /// # Errors
    ///
    /// As [`Api::get`].
    pub(super) async fn post(&self, path: &str, body: Value) -> Result<(u16, Value), Failure> {
        self.send(path, Some(body)).await
    }

    async fn send(&self, path: &str, body: Option<Value>) -> Result<(u16, Value), Failure> {
        let (api, path) = (self.clone(), path.to_owned());
        let sent = tokio::task::spawn_blocking(move || api.send_now(&path, body)).await;
        sent.unwrap_or_else(|_| Err(Failure::failed("the request has panicked")))
    }

    fn send_now(&self, path: &str, body: Option<Value>) -> Result<(u16, Value), Failure> {
        let url = format!("{}/{path}", self.url);
        let bearer = self.token.as_ref().map(|token| format!("Bearer {token}"));
        let answer = match body {
            None => {
                let request = self.agent.get(&url);
                let request = match &bearer {
                    Some(bearer) => request.header("authorization", bearer),
                    None => request,
                };
                request.call()
            }
            Some(body) => {
                let request = self.agent.post(&url);
                let request = match &bearer {
                    Some(bearer) => request.header("authorization", bearer),
                    None => request,
                };
                request.send_json(body)
            }
        };
        let failed = |why: String| Failure::failed(format!("{}: {why}", self.url));
        let mut answer = answer.map_err(|error| failed(error.to_string()))?;
        let status = answer.status();
        let body: Option<Value> = answer.body_mut().read_json().ok();
        if status.is_success() {
            let body =
                body.ok_or_else(|| failed("the answer is no JSON: is this an admin API?".into()))?;
            return Ok((status.as_u16(), body));
        }
        let told = body.as_ref().and_then(|body| body["error"].as_str());
        let told = told.map_or_else(|| status.to_string(), str::to_owned);
        Err(failed(match status {
            StatusCode::UNAUTHORIZED if self.token.is_none() => format!("{told}: set {TOKEN}"),
            StatusCode::METHOD_NOT_ALLOWED => {
                format!("{told}: the token of {TOKEN} may not do this")
            }
            _ => told,
        }))
    }
}

/// The authorities of the system, as for connections to Redis.
fn system_roots() -> TlsConfig {
    let found = rustls_native_certs::load_native_certs().certs;
    let found = found.iter().map(|certificate| Certificate::from_der(certificate).to_owned());
    let roots = RootCerts::Specific(Arc::new(found.collect()));
    TlsConfig::builder().root_certs(roots).build()
}
