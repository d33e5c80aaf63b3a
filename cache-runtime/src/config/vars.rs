//! The variables: one reader for each kind of value.

use std::time::Duration;

use super::deployment::{Access, Address, Deployment, Sentinel, Topology};
use super::source::Source;
use super::{Backend, Local, Origin, duration, url};
use crate::error::{Error, Result};

/// The most lanes to one server. More of them split the same commands into smaller batches, each with
/// system calls of its own.
const MAX_LANES: usize = 8;

/// Each of these variables can switch the cache off.
const SWITCHES: [&str; 2] = ["REDIS_ENABLED", "ENABLE_REDIS_CACHE"];

const SECOND: Duration = Duration::from_secs(1);

/// Looks a variable up by its name. An empty one counts as unset.
pub(super) struct Vars<'a>(pub(super) &'a dyn Fn(&str) -> Option<String>);

impl Vars<'_> {
    /// The text of a variable, without white space and quotes around it.
    fn text(&self, name: &str) -> Option<String> {
        let raw = (self.0)(name)?;
        let value = unquote(raw.trim());
        (!value.is_empty()).then(|| value.to_owned())
    }

    /// The name of a switch that says `false`. All switches are read, so that a wrong one is an error.
    pub(super) fn switched_off(&self) -> Result<Option<&'static str>> {
        let mut off = None;
        for name in SWITCHES.into_iter().rev() {
            if self.switch(name)? == Some(false) {
                off = Some(name);
            }
        }
        Ok(off)
    }

    fn switch(&self, name: &str) -> Result<Option<bool>> {
        let Some(value) = self.text(name) else { return Ok(None) };
        let on = switch(&value).ok_or_else(|| Error::config(name, "expected `true` or `false`"));
        on.map(Some)
    }

    /// A switch, or the longest time for which a copy is used.
    pub(super) fn local(&self, name: &str) -> Result<Local> {
        let Some(value) = self.text(name) else { return Ok(Local::AsWritten) };
        // A plain number is no time here: 1 and 0 are switches, so 10 would read like one.
        let most = value.parse::<u64>().is_err().then(|| duration::parse(&value, SECOND)).flatten();
        match (switch(&value), most) {
            (Some(true), _) => Ok(Local::All(Duration::MAX)),
            (Some(false), _) => Ok(Local::Never),
            (None, Some(most)) if !most.is_zero() => Ok(Local::All(most)),
            _ => Err(Error::config(name, "expected `true`, `false`, or a time as in `10s`")),
        }
    }

    /// Where values are kept, and the variable that has decided it.
    pub(super) fn backend(&self) -> Result<(Backend, Origin)> {
        if let Some(url) = self.text("REDIS_URL") {
            let backend = url::parse(&url).map_err(|p| Error::config("REDIS_URL", p))?;
            return Ok((self.completed(backend, "REDIS_URL")?, Origin::Variable("REDIS_URL")));
        }
        if let Some(host) = self.text("REDIS_HOST") {
            return Ok((self.server_at(&host)?, Origin::Variable("REDIS_HOST")));
        }
        for name in SWITCHES {
            if self.switch(name)?.is_some() {
                return Ok((self.server_at("127.0.0.1")?, Origin::Variable(name)));
            }
        }
        Ok((Backend::Memory, Origin::Nothing))
    }

    /// The Redis at `host`, with `REDIS_PORT` and `REDIS_DB` unless `host` is a URL.
    fn server_at(&self, host: &str) -> Result<Backend> {
        if host.contains("://") || host.contains('@') {
            let url = if host.contains("://") { host.into() } else { format!("redis://{host}") };
            let backend = url::parse(&url).map_err(|p| Error::config("REDIS_HOST", p))?;
            return self.completed(backend, "REDIS_HOST");
        }
        // `host:port` is one colon; an IPv6 address without brackets has more.
        let with_port = host.matches(':').count() == 1 || host.starts_with('[');
        let (host, port) = if with_port {
            url::host_and_port(host).map_err(|problem| Error::config("REDIS_HOST", problem))?
        } else {
            (host.to_owned(), None)
        };
        let port = port.map_or_else(|| self.port("REDIS_PORT"), Ok)?;
        let db = u32::try_from(self.number("REDIS_DB", 0)?)
            .map_err(|_| Error::config("REDIS_DB", "no server has that many databases"))?;
        let access = Access { db: db.into(), ..Access::default() };
        let deployment = Deployment::standalone(Address::Tcp(host, port), access);
        self.completed(Backend::Redis(Box::new(deployment)), "REDIS_HOST")
    }

    /// Adds the logins and certificates that variables name. `source` is the variable that has the address.
    fn completed(&self, backend: Backend, source: &str) -> Result<Backend> {
        let Backend::Redis(mut deployment) = backend else { return Ok(backend) };
        self.add_login(&mut deployment.access, source)?;
        if let Topology::Sentinel(sentinel) = &mut deployment.topology {
            self.add_sentinel(sentinel)?;
        }
        self.add_files(&mut deployment.access)?;
        Ok(Backend::Redis(deployment))
    }

    /// Adds `REDIS_USERNAME` and `REDIS_PASSWORD`, taken literally, where the variable `source` has no login.
    fn add_login(&self, access: &mut Access, source: &str) -> Result<()> {
        if access.username.is_none() {
            access.username = self.text("REDIS_USERNAME");
        }
        let password = self.password("REDIS_PASSWORD", "REDIS_PASSWORD_FILE")?;
        if access.password.is_some() && password.is_some() {
            tracing::warn!("the password in {source} is used, and the one beside it is not");
        }
        access.password = access.password.take().or(password);
        Ok(())
    }

    /// Adds the login for the sentinels, where the URL has none.
    fn add_sentinel(&self, sentinel: &mut Sentinel) -> Result<()> {
        let names = ["REDIS_SENTINEL_PASSWORD", "REDIS_SENTINEL_PASSWORD_FILE"];
        if sentinel.username.is_none() {
            sentinel.username = self.text("REDIS_SENTINEL_USERNAME");
        }
        let password = self.password(names[0], names[1])?;
        sentinel.password = sentinel.password.take().or(password);
        Ok(())
    }

    /// The password in one variable, or in the file that another names.
    fn password(&self, literal: &str, file: &str) -> Result<Option<Source>> {
        match (self.secret(literal), self.text(file)) {
            (Some(_), Some(_)) => Err(Error::config(
                file,
                format_args!("{literal} is set too: leave one of them out"),
            )),
            (Some(secret), None) => Ok(Some(Source::text(secret))),
            (None, Some(path)) => {
                Source::secret(path).map(Some).map_err(|problem| Error::config(file, problem))
            }
            (None, None) => Ok(None),
        }
    }

    /// Adds the certificates that variables name, where the connection uses TLS.
    fn add_files(&self, access: &mut Access) -> Result<()> {
        let ca = self.certificates("REDIS_TLS_CA")?;
        let pair = (self.certificates("REDIS_TLS_CERT")?, self.certificates("REDIS_TLS_KEY")?);
        let client = match pair {
            (Some(certificate), Some(key)) => Some([certificate, key]),
            (None, None) => None,
            (None, _) => return Err(Error::config("REDIS_TLS_CERT", "belongs to REDIS_TLS_KEY")),
            (_, None) => return Err(Error::config("REDIS_TLS_KEY", "belongs to REDIS_TLS_CERT")),
        };
        match &mut access.tls {
            Some(tls) => {
                tls.ca = tls.ca.take().or(ca);
                tls.client = tls.client.take().or(client);
            }
            None if ca.is_some() || client.is_some() => tracing::warn!(
                "REDIS_TLS_CA, REDIS_TLS_CERT and REDIS_TLS_KEY have no effect: the URL does not \
                 begin with `rediss`"
            ),
            None => {}
        }
        Ok(())
    }

    fn certificates(&self, name: &str) -> Result<Option<Source>> {
        let Some(path) = self.text(name) else { return Ok(None) };
        Source::pem(path).map(Some).map_err(|problem| Error::config(name, problem))
    }

    /// The text of a variable as it is: quotes and white space may belong to a password.
    fn secret(&self, name: &str) -> Option<String> {
        (self.0)(name).filter(|secret| !secret.is_empty())
    }

    fn port(&self, name: &str) -> Result<u16> {
        let Some(value) = self.text(name) else { return Ok(6379) };
        // Kubernetes sets `tcp://10.0.0.7:6379` for a service that is named `redis`.
        let port = match value.strip_prefix("tcp://") {
            Some(address) => address.rsplit(':').next().unwrap_or(address),
            None => &value,
        };
        let port = port.parse().ok().filter(|port| *port > 0);
        port.ok_or_else(|| Error::config(name, "expected a number from 1 to 65535"))
    }

    pub(super) fn number(&self, name: &str, default: u64) -> Result<u64> {
        let Some(value) = self.text(name) else { return Ok(default) };
        value.parse().map_err(|_| {
            let shown: String = value.chars().take(40).collect();
            Error::config(name, format_args!("expected a whole number, found `{shown}`"))
        })
    }

    fn positive(&self, name: &str, default: u64) -> Result<u64> {
        match self.number(name, default)? {
            0 => Err(Error::config(name, "must be greater than zero")),
            number => Ok(number),
        }
    }

    pub(super) fn seconds(&self, name: &str, default: Duration) -> Result<Duration> {
        self.time(name, default, SECOND, "seconds").and_then(|time| is_positive(name, time))
    }

    pub(super) fn millis(&self, name: &str, default: Duration) -> Result<Duration> {
        let unit = Duration::from_millis(1);
        self.time(name, default, unit, "milliseconds").and_then(|time| is_positive(name, time))
    }

    /// As [`Vars::seconds`], where zero is allowed and means never.
    pub(super) fn seconds_or_never(&self, name: &str, default: Duration) -> Result<Duration> {
        self.time(name, default, SECOND, "seconds")
    }

    /// A time as attributes write it, or a plain number of `unit`, which messages call `unit_name`.
    fn time(
        &self,
        name: &str,
        default: Duration,
        unit: Duration,
        unit_name: &str,
    ) -> Result<Duration> {
        let Some(value) = self.text(name) else { return Ok(default) };
        duration::parse(&value, unit).ok_or_else(|| {
            let shown: String = value.chars().take(40).collect();
            let expected =
                format!("expected a time as in `1h30m` or `250ms`, or a number of {unit_name}");
            Error::config(name, format_args!("{expected}, found `{shown}`"))
        })
    }

    pub(super) fn bytes(&self, name: &str, default: usize) -> Result<usize> {
        let number = self.positive(name, default as u64)?;
        usize::try_from(number).map_err(|_| Error::config(name, "too large"))
    }

    pub(super) fn lanes(&self, name: &str, default: usize) -> Result<usize> {
        Ok(clamp_lanes(self.bytes(name, default)?))
    }

    pub(super) fn namespace(&self, name: &str, default: String) -> Result<String> {
        let namespace = self.text(name).unwrap_or(default);
        super::namespace_problem(&namespace)
            .map_or(Ok(namespace), |problem| Err(Error::config(name, problem)))
    }
}

fn is_positive(name: &str, time: Duration) -> Result<Duration> {
    if time.is_zero() { Err(Error::config(name, "must be greater than zero")) } else { Ok(time) }
}

fn switch(value: &str) -> Option<bool> {
    match value.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Some(true),
        "false" | "0" | "no" | "off" => Some(false),
        _ => None,
    }
}

pub(super) fn clamp_lanes(lanes: usize) -> usize {
    if lanes > MAX_LANES {
        tracing::warn!(
            "REDIS_POOL_SIZE {lanes} is taken as {MAX_LANES}: every call shares the lanes, and \
             more of them would send the same commands in smaller batches"
        );
    }
    lanes.min(MAX_LANES)
}

fn unquote(value: &str) -> &str {
    for quote in ['"', '\''] {
        if let Some(inner) = value.strip_prefix(quote).and_then(|v| v.strip_suffix(quote)) {
            return inner;
        }
    }
    value
}
