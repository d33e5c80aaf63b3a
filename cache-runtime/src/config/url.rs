//! URLs of Redis, read more leniently than a URL parser would: passwords arrive unescaped.

use percent_encoding::percent_decode_str;

use super::Backend;
use super::deployment::{Access, Address, Deployment, Sentinel, Tls, Topology};
use super::source::Source;

const PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26379;

/// What a URL is about before its query has been read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// One server, or a cluster where the query says so.
    Servers,
    Cluster,
    Sentinel,
}

/// Reads a URL; the error says what is wrong and shows nothing that could be a secret.
pub(super) fn parse(url: &str) -> Result<Backend, String> {
    let (scheme, rest) = url
        .split_once("://")
        .ok_or("expected a URL such as `redis://host:6379/0`, and found no `://`")?;
    let scheme = scheme.to_ascii_lowercase();
    let deployment = match scheme.as_str() {
        "memory" => return Ok(Backend::Memory),
        "unix" | "redis+unix" | "valkey+unix" => unix(rest),
        "redis" | "valkey" => servers(rest, Kind::Servers, false),
        "rediss" | "valkeys" => servers(rest, Kind::Servers, true),
        "redis+sentinel" | "valkey+sentinel" => servers(rest, Kind::Sentinel, false),
        "rediss+sentinel" | "valkeys+sentinel" => servers(rest, Kind::Sentinel, true),
        "redis+cluster" | "valkey+cluster" => servers(rest, Kind::Cluster, false),
        "rediss+cluster" | "valkeys+cluster" => servers(rest, Kind::Cluster, true),
        _ => Err("unknown scheme; expected `redis://`, `rediss://`, `redis+sentinel://`, \
                  `redis+cluster://`, `unix://` or `memory://`"
            .to_owned()),
    };
    deployment.and_then(featured).map(Box::new).map(Backend::Redis)
}

/// Refuses what this build has no code for.
fn featured(deployment: Deployment) -> Result<Deployment, String> {
    let tls = deployment.access.tls.as_ref();
    let needs = [
        (tls.is_some(), cfg!(feature = "tls-no-provider"), "TLS", "tls"),
        (
            tls.is_some_and(|tls| tls.insecure),
            cfg!(feature = "tls-insecure"),
            "`ssl_cert_reqs=none`",
            "tls-insecure",
        ),
        (
            matches!(deployment.topology, Topology::Cluster),
            cfg!(feature = "cluster"),
            "a cluster",
            "cluster",
        ),
        (
            matches!(deployment.topology, Topology::Sentinel(_)),
            cfg!(feature = "sentinel"),
            "Sentinel",
            "sentinel",
        ),
    ];
    match needs.into_iter().find(|(needed, there, ..)| *needed && !there) {
        Some((.., what, feature)) => {
            Err(format!("{what} needs the feature `{feature}` of the crate `cache-runtime`"))
        }
        None => Ok(deployment),
    }
}

fn servers(rest: &str, kind: Kind, tls: bool) -> Result<Deployment, String> {
    let (login, place) = split_login(rest, kind);
    let (place, query) = place.split_once('?').unwrap_or((place, ""));
    let (authority, path) = place.split_once('/').unwrap_or((place, ""));
    let port = if kind == Kind::Sentinel { SENTINEL_PORT } else { PORT };
    let (master, db) = path_of(path, kind)?;
    let mut access = Access { db, tls: tls.then(Tls::default), ..Access::default() };
    log_in(&mut access, login);
    let asked = apply(&mut access, query)?;
    let master = master.or(asked.master);
    let addresses = addresses(authority, port)?;
    let topology = if kind == Kind::Sentinel {
        let master = master.ok_or(
            "the name of the master is missing, as in `redis+sentinel://host:26379/mymaster/0`",
        )?;
        Topology::Sentinel(Sentinel { master, ..asked.sentinel })
    } else if kind == Kind::Cluster || asked.cluster {
        Topology::Cluster
    } else {
        Topology::Standalone
    };
    if matches!(topology, Topology::Cluster) && access.db != 0 {
        return Err("a cluster has only the database 0".to_owned());
    }
    if matches!(topology, Topology::Standalone) && addresses.len() > 1 {
        return Err("several hosts are the nodes of a cluster (`?cluster=true`) or the sentinels \
                    of a master (`redis+sentinel://`)"
            .to_owned());
    }
    Ok(Deployment { topology, addresses, access })
}

/// The user part ends at the last `@`, so that a password may contain `@`, `/`, `?` and `#`; but
/// not at one in the query of an address that has no user part.
fn split_login(rest: &str, kind: Kind) -> (Option<&str>, &str) {
    if let Some((place, query)) = rest.split_once('?') {
        let (authority, path) = place.split_once('/').unwrap_or((place, ""));
        let whole = addresses(authority, PORT).is_ok() && path_of(path, kind).is_ok();
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

fn log_in(access: &mut Access, login: Option<&str>) {
    if let Some(login) = login {
        let (user, password) = login.split_once(':').unwrap_or((login, ""));
        access.username = decoded(user);
        access.password = decoded(password).map(Source::text);
    }
}

fn unix(rest: &str) -> Result<Deployment, String> {
    if !cfg!(unix) {
        return Err("this system has no sockets in files: write `redis://host:6379/0`".to_owned());
    }
    // As some clients write it: `unix://user:password@/run/redis.sock`.
    // It ends as late as it can, so that nothing of a password is taken for a path.
    let place = rest.split('?').next().unwrap_or_default();
    let has_login = !rest.starts_with(['/', '.']) && place.contains([':', '@']);
    let end = rest.rfind("@/").or_else(|| rest.rfind('@')).filter(|_| has_login);
    let (login, rest) = end.map_or((None, rest), |end| (Some(&rest[..end]), &rest[end + 1..]));
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    if path.is_empty() {
        return Err("the path of the socket is missing, as in `unix:///run/redis.sock`".to_owned());
    }
    let mut access = Access::default();
    log_in(&mut access, login);
    let asked = apply(&mut access, query)?;
    if access.tls.is_some() || asked.cluster {
        return Err("a socket has no TLS, and is no cluster".to_owned());
    }
    Ok(Deployment::standalone(Address::Unix(path.to_owned()), access))
}

fn addresses(authority: &str, port: u16) -> Result<Vec<Address>, String> {
    let address = |one: &str| {
        let (host, named) = host_and_port(one)?;
        Ok(Address::Tcp(host, named.unwrap_or(port)))
    };
    authority.split(',').map(str::trim).map(address).collect()
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
        return Err("several hosts are written in `REDIS_URL`".to_owned());
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

/// The name of the master, where there is one, and the database.
fn path_of(path: &str, kind: Kind) -> Result<(Option<String>, i64), String> {
    let path = path.trim_end_matches('/');
    if kind != Kind::Sentinel {
        return Ok((None, database(path)?));
    }
    let (master, db) = path.split_once('/').unwrap_or((path, ""));
    Ok((decoded(master), database(db)?))
}

fn database(path: &str) -> Result<i64, String> {
    match path {
        "" => Ok(0),
        db => number(db),
    }
}

fn number(db: &str) -> Result<i64, String> {
    db.parse::<u32>().map(i64::from).map_err(|_| "the database is not a number".to_owned())
}

/// What a query says beside how to talk to a server.
struct Asked {
    cluster: bool,
    master: Option<String>,
    sentinel: Sentinel,
}

fn apply(access: &mut Access, query: &str) -> Result<Asked, String> {
    let sentinel = Sentinel { master: String::new(), username: None, password: None };
    let mut asked = Asked { cluster: false, master: None, sentinel };
    let mut tls = Tls::default();
    let (mut certificate, mut key) = (None, None);
    for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
        match name {
            "db" => access.db = number(value)?,
            "user" | "username" => access.username = decoded(value),
            "pass" | "password" => access.password = decoded(value).map(Source::text),
            "protocol" => access.resp2 = matches!(value, "2" | "resp2"),
            "ssl" | "tls" if is_true(value) => {
                access.tls.get_or_insert_default();
            }
            "cluster" => asked.cluster = is_true(value),
            "sentinel_username" => asked.sentinel.username = decoded(value),
            "sentinel_password" => asked.sentinel.password = decoded(value).map(Source::text),
            "sentinel_master" | "service_name" => asked.master = decoded(value),
            "ssl_cert_reqs" => tls.insecure = verifies_nobody(value)?,
            "ssl_ca_certs" => tls.ca = Some(file(name, value)?),
            "ssl_certfile" => certificate = Some(file(name, value)?),
            "ssl_keyfile" => key = Some(file(name, value)?),
            // Clients of other languages have parameters of their own.
            _ => {}
        }
    }
    tls.client = match (certificate, key) {
        (Some(certificate), Some(key)) => Some([certificate, key]),
        (None, None) => None,
        _ => return Err("`ssl_certfile` and `ssl_keyfile` belong together".to_owned()),
    };
    if let Some(asked) = &mut access.tls {
        *asked = tls;
    }
    Ok(asked)
}

fn is_true(value: &str) -> bool {
    matches!(value.to_ascii_lowercase().as_str(), "true" | "1" | "yes" | "on")
}

/// The values of other clients, `CERT_NONE` of Python's among them.
fn verifies_nobody(value: &str) -> Result<bool, String> {
    let value = value.to_ascii_lowercase();
    match value.strip_prefix("cert_").unwrap_or(&value) {
        "none" => Ok(true),
        "required" | "optional" => Ok(false),
        _ => Err("`ssl_cert_reqs` is `none` or `required`".to_owned()),
    }
}

fn file(name: &str, path: &str) -> Result<Source, String> {
    Source::pem(decoded(path).unwrap_or_default()).map_err(|problem| format!("`{name}`: {problem}"))
}

/// Percent-decodes; text that is no valid escape, such as raw base64, stays as it is.
fn decoded(text: &str) -> Option<String> {
    let decoded = percent_decode_str(text).decode_utf8().map_or(text.into(), |text| text);
    (!decoded.is_empty()).then(|| decoded.into_owned())
}

#[cfg(test)]
mod tests {
    /// What the refusal of a URL names, if it is refused.
    fn refused(url: &str) -> Option<String> {
        super::parse(url).err()
    }

    #[test]
    fn a_socket_is_refused_where_the_system_has_none() {
        let refused = refused("unix:///run/redis.sock");
        assert_eq!(refused.is_none(), cfg!(unix), "{refused:?}");
    }

    #[test]
    fn what_a_build_has_no_code_for_names_the_feature() {
        let ca = "redis://h?ssl=true&ssl_cert_reqs=none";
        let tls = cfg!(feature = "tls-no-provider");
        for (url, feature, there) in [
            ("rediss://h", "tls", tls),
            ("redis://h?ssl=true", "tls", tls),
            ("rediss+cluster://h", "tls", tls),
            (ca, "tls-insecure", cfg!(feature = "tls-insecure") || !tls),
            ("redis+cluster://h", "cluster", cfg!(feature = "cluster")),
            ("redis://h?cluster=true", "cluster", cfg!(feature = "cluster")),
            ("redis+sentinel://h/m", "sentinel", cfg!(feature = "sentinel")),
        ] {
            if !there {
                let error = refused(url).expect("it is refused");
                assert!(error.contains(&format!("the feature `{feature}` of")), "{url}: {error}");
            } else if cfg!(all(feature = "tls-insecure", feature = "cluster", feature = "sentinel"))
            {
                assert_eq!(refused(url), None, "{url}");
            }
        }
    }
}
