//! Checks of the way to the servers: names, connections, certificates, logins.

use std::net::IpAddr;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use cache_runtime::__admin::{ProbeError, ProbeStep};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::super::redis::{PATIENCE, shown_certificates};
use super::super::terminal;
use super::check::{Finding, Running, Verdict, together};
use super::facts::{Facts, Server};

/// Days before its end from which a certificate is a warning.
const SOON: i64 = 14;

/// Names and connections, of the addresses in the configuration and of those that they led to.
pub(super) fn connect(facts: &Facts) -> Running<'_> {
    Box::pin(async move {
        let mut findings = Vec::new();
        let mut addresses = facts.target.shape.addresses.clone();
        addresses.extend(facts.servers.iter().map(|server| server.address().to_owned()));
        addresses.extend(facts.unreached.iter().map(|(address, _)| address.clone()));
        addresses.sort();
        addresses.dedup();
        for address in &addresses {
            findings.push((address.as_str(), reach(address).await));
        }
        let reached = findings.iter().any(|(_, finding)| finding.verdict == Verdict::Ok);
        // Of several sentinels or nodes, one that can be reached is enough.
        let topology = facts.target.shape.topology;
        let is_spare = topology != "single" && reached && facts.is_connected();
        let mut finding = together(&findings);
        finding.stops &= !is_spare;
        let silent = |error: &ProbeError| error.step == ProbeStep::Connecting || error.late;
        let silent = facts.unreached.iter().find(|(_, error)| silent(error));
        match silent {
            Some((address, error)) if finding.verdict == Verdict::Ok => {
                let observed =
                    format!("{address} takes connections, and does not answer: {}", error.text);
                Finding::stop(observed).fix("look whether the server's process is stopped or busy")
            }
            _ => finding,
        }
    })
}

async fn reach(address: &str) -> Finding {
    let began = Instant::now();
    if address.starts_with(['/', '.']) {
        #[cfg(unix)]
        return match tokio::net::UnixStream::connect(address).await {
            Ok(_) => Finding::ok(format!("{address} in {}", took(began))),
            Err(error) => Finding::stop(format!("{address}: {error}"))
                .fix("start the server, or correct the path in REDIS_URL"),
        };
        #[cfg(not(unix))]
        return Finding::stop("this system has no sockets in files");
    }
    let found = match tokio::time::timeout(PATIENCE, tokio::net::lookup_host(address)).await {
        Ok(Ok(found)) => found.collect::<Vec<_>>(),
        Ok(Err(error)) => {
            let observed = format!("the name of {address} is not known: {error}");
            return Finding::stop(observed).fix(format!("getent hosts {}", host(address)));
        }
        Err(_) => return Finding::stop(format!("the name of {address} was not resolved in time")),
    };
    let resolved = took(began);
    let mut refused = Vec::new();
    for at in &found {
        let began = Instant::now();
        match tokio::time::timeout(PATIENCE, tokio::net::TcpStream::connect(at)).await {
            Ok(Ok(_)) => {
                return Finding::ok(format!(
                    "{address}: name in {resolved}, connection to {} in {}",
                    at.ip(),
                    took(began)
                ));
            }
            Ok(Err(error)) => refused.push(format!("{at}: {error}")),
            Err(_) => refused.push(format!("{at}: no answer within {} s", PATIENCE.as_secs())),
        }
    }
    let port = address.rsplit_once(':').map_or("6379", |(_, port)| port);
    Finding::stop(format!("{address} cannot be reached: {}", refused.join(", "))).fix(format!(
        "start the server, or correct REDIS_URL; try: redis-cli -h {} -p {port} PING",
        host(address)
    ))
}

fn host(address: &str) -> &str {
    address.rsplit_once(':').map_or(address, |(host, _)| host).trim_matches(['[', ']'])
}

fn took(began: Instant) -> String {
    terminal::time(began.elapsed().as_secs_f64())
}

/// Certificates; and whether a connection without TLS leaves a private network.
pub(super) fn tls(facts: &Facts) -> Running<'_> {
    Box::pin(async move {
        let shape = &facts.target.shape;
        if !shape.tls {
            return without_tls(&shape.addresses).await;
        }
        let mut findings = Vec::new();
        for address in &shape.addresses {
            findings.push((address.as_str(), certificate(facts, address).await));
        }
        let finding = together(&findings);
        if shape.insecure && finding.verdict <= Verdict::Info {
            let observed = "ssl_cert_reqs=none: the server's certificate is not verified";
            return Finding::warn(observed)
                .fix("leave ssl_cert_reqs out, and name the authority by REDIS_TLS_CA");
        }
        finding
    })
}

async fn certificate(facts: &Facts, address: &str) -> Finding {
    match shown_certificates(&facts.target, address).await {
        Ok(chain) => match chain.first() {
            Some(first) => validity(first),
            None => Finding::skipped("the connection has no TLS"),
        },
        Err(error) if error.step == ProbeStep::Tls => Finding::stop(format!("TLS: {}", error.text))
            .fix(match error.text.as_str() {
                text if text.contains("UnknownIssuer") => "REDIS_TLS_CA=/path/to/the/authority.pem",
                text if text.contains("Expired") => "renew the certificate of the server",
                text if text.contains("NotValidForName") => {
                    "use a name in REDIS_URL that stands in the certificate"
                }
                _ => {
                    "compare with: openssl s_client -connect HOST:PORT; \
                        a server without TLS needs redis://"
                }
            }),
        // Found before the handshake: files that cannot be read, or a system without authorities.
        Err(error)
            if ["certificate", "authorities"].iter().any(|word| error.text.contains(word)) =>
        {
            Finding::stop(error.text).fix("REDIS_TLS_CA=/path/to/the/authority.pem")
        }
        Err(error) => Finding::skipped(format!("there is no connection: {}", error.text)),
    }
}

fn validity(der: &[u8]) -> Finding {
    let Ok((_, certificate)) = X509Certificate::from_der(der) else {
        return Finding::info("the certificate cannot be read");
    };
    let end = certificate.validity().not_after;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let days = (end.timestamp() - i64::try_from(now).unwrap_or(i64::MAX)) / 86_400;
    let observed = format!("the certificate is valid for {days} days more");
    if days < SOON {
        Finding::warn(observed).fix("renew the certificate of the server")
    } else {
        Finding::ok(observed)
    }
}

async fn without_tls(addresses: &[String]) -> Finding {
    let mut public = Vec::new();
    for address in addresses.iter().filter(|address| !address.starts_with(['/', '.'])) {
        let found = tokio::time::timeout(PATIENCE, tokio::net::lookup_host(address)).await;
        let found = found.ok().and_then(Result::ok).into_iter().flatten();
        public.extend(found.map(|at| at.ip()).filter(|ip| !is_private(*ip)));
    }
    if public.is_empty() {
        return Finding::ok("no TLS, within a private network");
    }
    let public: Vec<_> = public.iter().map(ToString::to_string).collect();
    let observed = format!("no TLS, and the address is public: {}", public.join(", "));
    Finding::warn(observed).fix("REDIS_URL=rediss://...")
}

fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            let shared = ip.octets()[0] == 100 && ip.octets()[1] & 0xc0 == 64;
            ip.is_loopback() || ip.is_private() || ip.is_link_local() || shared
        }
        IpAddr::V6(ip) => {
            let mapped = ip.to_ipv4_mapped().is_some_and(|ip| is_private(ip.into()));
            ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local() || mapped
        }
    }
}

/// The login of the application.
pub(super) fn auth(facts: &Facts) -> Running<'_> {
    Box::pin(async move {
        let login = |error: &ProbeError| {
            error.step == ProbeStep::Login
                || matches!(error.code.as_deref(), Some("NOAUTH" | "WRONGPASS"))
        };
        let refused = facts.unreached.iter().map(|(_, error)| error).chain(&facts.unknown);
        let pinged = facts.servers.iter().filter_map(|server| server.ping.as_ref().err());
        if let Some(error) = refused.chain(pinged).find(|error| login(error)) {
            return refused_login(facts, error);
        }
        if !facts.is_connected() {
            return Finding::skipped("there is no connection");
        }
        if let Some(why) = facts.servers.iter().find_map(|server| server.operator_refused.as_ref())
        {
            return Finding::warn(format!("the login of the operator is refused: {why}"))
                .fix("correct CACHECTL_REDIS_USERNAME and CACHECTL_REDIS_PASSWORD");
        }
        let shape = &facts.target.shape;
        Finding::ok(match (&shape.username, shape.has_password) {
            (Some(user), _) => format!("logged in as {user}"),
            (None, true) => "logged in with a password".to_owned(),
            (None, false) => "the server asks for no login".to_owned(),
        })
    })
}

fn refused_login(facts: &Facts, error: &ProbeError) -> Finding {
    let shape = &facts.target.shape;
    let finding = Finding::stop(error.text.clone());
    match error.code.as_deref() {
        Some("NOAUTH") => finding.fix("REDIS_PASSWORD=... (the server asks for a password)"),
        _ if error.text.contains("without any password configured") => {
            finding.fix("unset REDIS_PASSWORD, or set `requirepass` on the server")
        }
        _ if error.text.contains("invalid username-password")
            || error.code.as_deref() == Some("WRONGPASS") =>
        {
            let user = shape.username.as_deref().unwrap_or("default");
            finding.fix(format!(
                "correct REDIS_PASSWORD: the user `{user}` is not \
                    known, is off, or has another password"
            ))
        }
        _ => finding.fix("read the server's message above"),
    }
}

/// The protocol and the version.
pub(super) fn protocol(server: &Server) -> Finding {
    let Some((major, minor)) = server.version() else {
        return Finding::warn("the server does not say its version, and refuses HELLO: RESP2")
            .fix("a near cache (`local`) needs a server or a proxy with RESP3");
    };
    let product = server.hello.get("server").map_or("redis", String::as_str);
    let observed = format!(
        "{product} {major}.{minor}, RESP{}",
        if server.application.resp3() { 3 } else { 2 }
    );
    if major < 6 {
        return Finding::error(format!("{observed}: older than 6.0"))
            .fix("upgrade the server to 7.2 or later");
    }
    if !server.application.resp3() {
        return Finding::warn(observed)
            .fix("take `protocol=2` out of REDIS_URL, or use a proxy with HELLO");
    }
    if (major, minor) <= (6, 2) {
        return Finding::warn(format!("{observed}: no longer maintained"))
            .fix("upgrade the server to 7.2 or later");
    }
    Finding::ok(observed)
}

/// The time of a round trip.
pub(super) fn latency(facts: &Facts) -> Running<'_> {
    Box::pin(async move {
        let mut findings = Vec::new();
        for server in &facts.servers {
            findings.push((server.address(), pings(server, facts.target.shape.budget).await));
        }
        together(&findings)
    })
}

async fn pings(server: &Server, budget: Duration) -> Finding {
    let mut times = Vec::with_capacity(200);
    for _ in 0..200 {
        let began = Instant::now();
        if let Err(error) = server.application.send(&["PING"]).await {
            return Finding::error(format!("PING: {}", error.text));
        }
        times.push(began.elapsed());
    }
    times.sort_unstable();
    let [least, half, most] = [0, 100, 197].map(|at| times[at]);
    let shown = [least, half, most].map(|time| terminal::time(time.as_secs_f64()));
    let observed = format!("PING: least {}, p50 {}, p99 {}", shown[0], shown[1], shown[2]);
    if most > budget / 2 {
        let fix = format!("CACHE_BUDGET_MS={}, or a server that is nearer", most.as_millis() * 4);
        return Finding::error(format!(
            "{observed}: more than half of a call's budget ({} ms)",
            budget.as_millis()
        ))
        .fix(fix);
    }
    if half > Duration::from_millis(2) || most > Duration::from_millis(10) {
        return Finding::warn(observed).fix(server.shell("--latency-history"));
    }
    Finding::ok(observed)
}
