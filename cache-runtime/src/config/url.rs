//! URLs of Redis. Read more leniently than a URL parser would, since people paste passwords unescaped.

use percent_encoding::percent_decode_str;

use super::Backend;
use super::deployment::{Access, Address, Deployment, Sentinel, Tls, Topology};
use super::source::Source;

const PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26379;

/// What the scheme says. The query may still turn a server into a cluster.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scheme {
    /// One server, or the nodes of a cluster where the query says so.
    Servers,
    Cluster,
    Sentinel,
}

/// Reads a URL. The error says what is wrong, and shows nothing that could be part of a password.
pub(super) fn parse(url: &str) -> Result<Backend, String> {
    let (name, rest) = url
        .split_once("://")
        .ok_or("expected a URL such as `redis://host:6379/0`, and found no `://`")?;
    let deployment = match name.to_ascii_lowercase().as_str() {
        "memory" => return Ok(Backend::Memory),
        "unix" | "redis+unix" | "valkey+unix" => unix(rest),
        "redis" | "valkey" => servers(rest, Scheme::Servers, false),
        "rediss" | "valkeys" => servers(rest, Scheme::Servers, true),
        "redis+sentinel" | "valkey+sentinel" => servers(rest, Scheme::Sentinel, false),
        "rediss+sentinel" | "valkeys+sentinel" => servers(rest, Scheme::Sentinel, true),
        "redis+cluster" | "valkey+cluster" => servers(rest, Scheme::Cluster, false),
        "rediss+cluster" | "valkeys+cluster" => servers(rest, Scheme::Cluster, true),
        _ => Err("unknown scheme; expected `redis://`, `rediss://`, `redis+sentinel://`, \
                  `redis+cluster://`, `unix://` or `memory://`"
            .to_owned()),
    };
    deployment.and_then(featured).map(Box::new).map(Backend::Redis)
}

/// Refuses a deployment whose feature this build does not have.
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
    match needs.into_iter().find(|(needed, built, ..)| *needed && !built) {
        Some((.., name, feature)) => {
            Err(format!("{name} needs the feature `{feature}` of the crate `cache-runtime`"))
        }
        None => Ok(deployment),
    }
}

fn servers(rest: &str, scheme: Scheme, tls: bool) -> Result<Deployment, String> {
    let (login, location) = split_login(rest, scheme);
    let (location, query) = location.split_once('?').unwrap_or((location, ""));
    let (authority, path) = location.split_once('/').unwrap_or((location, ""));
    let port = if scheme == Scheme::Sentinel { SENTINEL_PORT } else { PORT };
    let (master, db) = path_of(path, scheme)?;
    let mut access = Access { db, tls: tls.then(Tls::default), ..Access::default() };
    log_in(&mut access, login);
    let query = apply(&mut access, query)?;
    let master = master.or(query.master);
    let addresses = addresses(authority, port)?;
    let topology = if scheme == Scheme::Sentinel {
        let master = master.ok_or(
            "the name of the master is missing, as in `redis+sentinel://host:26379/mymaster/0`",
        )?;
        Topology::Sentinel(Sentinel { master, ..query.sentinel })
    } else if scheme == Scheme::Cluster || query.cluster {
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

/// Splits the login from the location. The login ends at the last `@`, so that a password may contain
/// `@`, `/`, `?` and `#`; but not at an `@` in the query of a URL that has no login, which is one whose
/// text before the query is a valid location already.
fn split_login(rest: &str, scheme: Scheme) -> (Option<&str>, &str) {
    if let Some((location, query)) = rest.split_once('?') {
        let (authority, path) = location.split_once('/').unwrap_or((location, ""));
        let is_location = addresses(authority, PORT).is_ok() && path_of(path, scheme).is_ok();
        let is_query = query.split('@').next().is_some_and(|first| first.contains('='));
        if !location.contains('@') && is_location && is_query {
            return (None, rest);
        }
    }
    match rest.rsplit_once('@') {
        Some((login, location)) => (Some(login), location),
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
    // Some clients write `unix://user:password@/run/redis.sock`. The login ends at the last `@` that can end
    // it, since a path is shown in messages and a password never is.
    let location = rest.split('?').next().unwrap_or_default();
    let has_login = !rest.starts_with(['/', '.']) && location.contains([':', '@']);
    let end = rest.rfind("@/").or_else(|| rest.rfind('@')).filter(|_| has_login);
    let (login, rest) = end.map_or((None, rest), |end| (Some(&rest[..end]), &rest[end + 1..]));
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    if path.is_empty() {
        return Err("the path of the socket is missing, as in `unix:///run/redis.sock`".to_owned());
    }
    let mut access = Access::default();
    log_in(&mut access, login);
    let query = apply(&mut access, query)?;
    if access.tls.is_some() || query.cluster {
        return Err("a socket has no TLS, and is no cluster".to_owned());
    }
    Ok(Deployment::standalone(Address::Unix(path.to_owned()), access))
}

/// The addresses of a list with commas; `port` is that of a host without one.
fn addresses(authority: &str, port: u16) -> Result<Vec<Address>, String> {
    let address = |one: &str| {
        let (host, own_port) = host_and_port(one)?;
        Ok(Address::Tcp(host, own_port.unwrap_or(port)))
    };
    authority.split(',').map(str::trim).map(address).collect()
}

/// One host, and its port where it has one. No host is this one, 127.0.0.1.
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

/// The name of the master, where the path has one, and the database.
fn path_of(path: &str, scheme: Scheme) -> Result<(Option<String>, i64), String> {
    let path = path.trim_end_matches('/');
    if scheme != Scheme::Sentinel {
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

/// The parameters of a URL that do not concern the access to a server.
struct Query {
    cluster: bool,
    master: Option<String>,
    sentinel: Sentinel,
}

/// Applies the parameters of a URL to `access`, and returns the others.
fn apply(access: &mut Access, query: &str) -> Result<Query, String> {
    let sentinel = Sentinel { master: String::new(), username: None, password: None };
    let mut other = Query { cluster: false, master: None, sentinel };
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
            "cluster" => other.cluster = is_true(value),
            "sentinel_username" => other.sentinel.username = decoded(value),
            "sentinel_password" => other.sentinel.password = decoded(value).map(Source::text),
            "sentinel_master" | "service_name" => other.master = decoded(value),
            "ssl_cert_reqs" => tls.insecure = is_insecure(value)?,
            "ssl_ca_certs" => tls.ca = Some(file(name, value)?),
            "ssl_certfile" => certificate = Some(file(name, value)?),
            "ssl_keyfile" => key = Some(file(name, value)?),
            // Clients of other languages have parameters of their own, in URLs that services share.
            _ => {}
        }
    }
    tls.client = match (certificate, key) {
        (Some(certificate), Some(key)) => Some([certificate, key]),
        (None, None) => None,
        _ => return Err("`ssl_certfile` and `ssl_keyfile` belong together".to_owned()),
    };
    // The parameters of certificates say nothing about whether TLS is used.
    if let Some(used) = &mut access.tls {
        *used = tls;
    }
    Ok(other)
}

fn is_true(value: &str) -> bool {
    matches!(value.to_ascii_lowercase().as_str(), "true" | "1" | "yes" | "on")
}

/// Whether `ssl_cert_reqs` turns the verification of the server's certificate off. Takes the values of
/// other clients too, such as Python's `CERT_NONE`.
fn is_insecure(value: &str) -> Result<bool, String> {
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

/// Percent-decodes a part of a URL; `None` where it is empty. Text that is no valid escape, such as raw
/// base64, stays as it is.
fn decoded(text: &str) -> Option<String> {
    let decoded = percent_decode_str(text).decode_utf8().map_or(text.into(), |text| text);
    (!decoded.is_empty()).then(|| decoded.into_owned())
}

#[cfg(test)]
mod tests {
    /// The error for a URL; `None` where it is accepted.
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
