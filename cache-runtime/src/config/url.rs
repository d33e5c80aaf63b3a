//! URLs of Redis, read more leniently than a URL parser would: passwords arrive unescaped.

use std::fmt;

use percent_encoding::percent_decode_str;

use super::Backend;

/// One standalone server.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Server {
    pub(crate) address: Address,
    pub(crate) username: Option<String>,
    pub(crate) password: Option<String>,
    pub(crate) db: i64,
    /// The protocol asked for by `?protocol=`; otherwise RESP3 is tried first.
    pub(crate) resp2: bool,
}

#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Address {
    Tcp(String, u16),
    Unix(String),
}

impl Server {
    pub(crate) fn tcp(host: &str, port: u16, db: i64) -> Self {
        Self::at(Address::Tcp(host.to_owned(), port), db)
    }

    fn log_in(&mut self, login: Option<&str>) {
        if let Some(login) = login {
            let (user, password) = login.split_once(':').unwrap_or((login, ""));
            self.username = decoded(user);
            self.password = decoded(password);
        }
    }

    fn at(address: Address, db: i64) -> Self {
        Self { address, username: None, password: None, db, resp2: false }
    }
}

/// Shows where the server is, and never how to log in.
impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.address {
            Address::Tcp(host, port) if host.contains(':') => {
                write!(f, "redis://[{host}]:{port}/{}", self.db)
            }
            Address::Tcp(host, port) => write!(f, "redis://{host}:{port}/{}", self.db),
            Address::Unix(path) => write!(f, "unix://{path}?db={}", self.db),
        }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Reads a URL; the error says what is wrong and shows nothing that could be a secret.
pub(super) fn parse(url: &str) -> Result<Backend, String> {
    let (scheme, rest) = url
        .split_once("://")
        .ok_or("expected a URL such as `redis://host:6379/0`, and found no `://`")?;
    match scheme.to_ascii_lowercase().as_str() {
        "memory" => Ok(Backend::Memory),
        "redis" | "valkey" => tcp(rest).map(Backend::Redis),
        "unix" | "redis+unix" | "valkey+unix" => unix(rest).map(Backend::Redis),
        "rediss" | "valkeys" | "redis+sentinel" | "redis+cluster" => Err(format!(
            "`{scheme}://` is not supported by this version; use `redis://` or `unix://`"
        )),
        _ => Err("unknown scheme; expected `redis://`, `unix://` or `memory://`".to_owned()),
    }
}

fn tcp(rest: &str) -> Result<Server, String> {
    let (login, place) = split_login(rest);
    let (place, query) = place.split_once('?').unwrap_or((place, ""));
    let (authority, path) = place.split_once('/').unwrap_or((place, ""));
    let (host, port) = host_and_port(authority)?;
    let mut server = Server::tcp(&host, port.unwrap_or(6379), database(path)?);
    server.log_in(login);
    apply(&mut server, query)?;
    Ok(server)
}

/// The user part ends at the last `@`, so that a password may contain `@`, `/`, `?` and `#`; but
/// not at one in the query of an address that has no user part.
fn split_login(rest: &str) -> (Option<&str>, &str) {
    if let Some((place, query)) = rest.split_once('?') {
        let address = place.split_once('/').unwrap_or((place, ""));
        let whole = host_and_port(address.0).is_ok() && database(address.1).is_ok();
        let named = query.split('@').next().is_some_and(|first| first.contains('='));
        if !place.contains('@') && whole && named {
            return (None, rest);
        }
    }
    match rest.rsplit_once('@') {
        Some((login, place)) => (Some(login), place),
        None => (None, rest),
    }
}

fn unix(rest: &str) -> Result<Server, String> {
    // As some clients write it: `unix://user:password@/run/redis.sock`.
    let (login, rest) = match rest.split_once("@/") {
        Some((login, _)) if !rest.starts_with(['/', '.']) => {
            (Some(login), &rest[login.len() + 1..])
        }
        _ => (None, rest),
    };
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    if path.is_empty() {
        return Err("the path of the socket is missing, as in `unix:///run/redis.sock`".to_owned());
    }
    let mut server = Server::at(Address::Unix(path.to_owned()), 0);
    server.log_in(login);
    apply(&mut server, query)?;
    Ok(server)
}

pub(super) fn host_and_port(authority: &str) -> Result<(String, Option<u16>), String> {
    let (host, port) = if let Some(rest) = authority.strip_prefix('[') {
        let (host, after) = rest.split_once(']').ok_or("unclosed `[` in the host")?;
        if !after.is_empty() && !after.starts_with(':') {
            return Err("after the `]` of the host a `:` and the port are expected".to_owned());
        }
        (host, after.strip_prefix(':'))
    } else {
        match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        }
    };
    if host.contains(',') || port.is_some_and(|port| port.contains(',')) {
        return Err("several hosts are not supported by this version".to_owned());
    }
    let host = if host.is_empty() { "127.0.0.1" } else { host };
    let port = match port {
        None | Some("") => None,
        Some(port) => {
            let number = port.parse().ok().filter(|number| *number > 0);
            Some(number.ok_or("the port is not a number from 1 to 65535")?)
        }
    };
    Ok((host.to_owned(), port))
}

fn database(path: &str) -> Result<i64, String> {
    match path.trim_end_matches('/') {
        "" => Ok(0),
        db => number(db),
    }
}

fn number(db: &str) -> Result<i64, String> {
    db.parse::<u32>().map(i64::from).map_err(|_| "the database is not a number".to_owned())
}

fn apply(server: &mut Server, query: &str) -> Result<(), String> {
    for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
        match (name, value) {
            ("db", db) => server.db = number(db)?,
            ("user" | "username", user) => server.username = decoded(user),
            ("pass" | "password", password) => server.password = decoded(password),
            ("protocol", "2" | "resp2") => server.resp2 = true,
            ("ssl", "true" | "1") => {
                return Err("`ssl=true` is not supported by this version".to_owned());
            }
            ("cluster", "true" | "1") => {
                return Err("`cluster=true` is not supported by this version".to_owned());
            }
            // Clients of other languages have parameters of their own.
            _ => {}
        }
    }
    Ok(())
}

/// Percent-decodes; text that is no valid escape, such as raw base64, stays as it is.
fn decoded(text: &str) -> Option<String> {
    let decoded = percent_decode_str(text).decode_utf8().map_or(text.into(), |text| text);
    (!decoded.is_empty()).then(|| decoded.into_owned())
}
