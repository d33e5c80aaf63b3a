//! What the checks judge: connections to the servers, and what the servers say of themselves.

use std::collections::BTreeMap;
use std::sync::Arc;

use cache_runtime::__admin::{ProbeError, Reply};

use super::super::redis::{Connection, masters};
use super::super::reply;
use super::super::target::Target;

/// Everything that was collected before the first check.
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) target: Arc<Target>,
    /// The URL of a process's admin API.
    pub(super) admin: Option<String>,
    /// Why the servers that hold the data are not known.
    pub(super) unknown: Option<ProbeError>,
    /// The servers that were reached, and that let the application in.
    pub(super) servers: Vec<Server>,
    /// The servers that were not.
    pub(super) unreached: Vec<(String, ProbeError)>,
}

/// One server that holds data.
#[derive(Debug)]
pub(super) struct Server {
    /// With the login of the application.
    pub(super) application: Connection,
    /// With the login of an operator, or else of the application.
    operator: Option<Connection>,
    /// Why the operator's login was not used.
    pub(super) operator_refused: Option<String>,
    pub(super) hello: BTreeMap<String, String>,
    pub(super) ping: Result<(), ProbeError>,
    pub(super) role: Result<String, ProbeError>,
    pub(super) info: Result<Info, ProbeError>,
    /// What `CONFIG GET` has answered.
    pub(super) config: Result<BTreeMap<String, String>, ProbeError>,
}

/// The fields of `INFO`.
#[derive(Debug, Clone, Default)]
pub(super) struct Info(pub(super) BTreeMap<String, String>);

impl Info {
    pub(super) fn text(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    pub(super) fn number(&self, name: &str) -> Option<u64> {
        self.text(name).parse().ok()
    }

    pub(super) fn fraction(&self, name: &str) -> Option<f64> {
        self.text(name).parse().ok()
    }
}

impl Facts {
    pub(super) async fn gather(target: Arc<Target>, admin: Option<String>) -> Self {
        let (addresses, unknown) = match masters(&target).await {
            Ok(addresses) => (addresses, None),
            Err(error) => (Vec::new(), Some(error)),
        };
        let (mut servers, mut unreached) = (Vec::new(), Vec::new());
        for address in addresses {
            match Server::reach(&target, &address).await {
                Ok(server) => servers.push(server),
                Err(error) => unreached.push((address, error)),
            }
        }
        Self { target, admin, unknown, servers, unreached }
    }

    /// Whether every server answers and has loaded its data.
    pub(super) fn is_ready(&self) -> bool {
        let answers = self.servers.iter().all(|server| server.ping.is_ok() && !server.is_loading());
        self.unknown.is_none() && self.unreached.is_empty() && answers && !self.servers.is_empty()
    }

    pub(super) fn is_connected(&self) -> bool {
        self.servers.iter().any(|server| server.ping.is_ok())
    }

    pub(super) fn has_info(&self) -> bool {
        self.servers.iter().any(|server| server.info.is_ok())
    }

    pub(super) fn is_admin(&self) -> bool {
        self.servers.iter().any(|server| server.config.is_ok())
    }

    /// The access to the servers, in one word.
    pub(super) fn access(&self) -> &'static str {
        match (self.is_admin(), self.has_info(), self.is_connected()) {
            (true, ..) => "admin",
            (_, true, _) => "info",
            (.., true) => "application",
            _ => "none",
        }
    }

    /// Why a server has refused `INFO` or `CONFIG GET`.
    pub(super) fn refusal(&self, command: &str) -> Option<String> {
        let error = self.servers.iter().find_map(|server| match command {
            "INFO" => server.info.as_ref().err(),
            _ => server.config.as_ref().err(),
        });
        error.map(|error| error.code.clone().unwrap_or_else(|| error.text.clone()))
    }
}

impl Server {
    async fn reach(target: &Target, address: &str) -> Result<Self, ProbeError> {
        let application = Connection::to(&target.config, address).await?;
        let operator = match &target.operator {
            Some(config) => Some(Connection::to(config, address).await),
            None => None,
        };
        let (operator, operator_refused) = match operator {
            Some(Ok(operator)) => (Some(operator), None),
            Some(Err(error)) => (None, Some(error.text)),
            None => (None, None),
        };
        let ping = application.send(&["PING"]).await.map(drop);
        // A server that is silent would be waited for at each command.
        if let Err(error) = ping.as_ref().map_err(Clone::clone)
            && error.late
        {
            return Err(error);
        }
        let asked = operator.as_ref().unwrap_or(&application);
        let info = asked.send(&["INFO"]).await;
        let info = info.map(|info| Info(reply::lines(&reply::text(&info).unwrap_or_default())));
        let config = asked.send(&["CONFIG", "GET", "*"]).await.map(|found| reply::fields(&found));
        let hello = if application.resp3() {
            let hello = application.send(&["HELLO", "3"]).await;
            hello.map(|hello| reply::fields(&hello)).unwrap_or_default()
        } else {
            BTreeMap::new()
        };
        let role = application.send(&["ROLE"]).await;
        let role =
            role.map(|role| reply::list(&role).first().and_then(reply::text).unwrap_or_default());
        Ok(Self { application, operator, operator_refused, hello, ping, role, info, config })
    }

    pub(super) fn address(&self) -> &str {
        &self.application.address
    }

    /// The connection that may do most.
    pub(super) fn operator(&self) -> &Connection {
        self.operator.as_ref().unwrap_or(&self.application)
    }

    /// The fields of `INFO`, none where the server refuses it.
    pub(super) fn info(&self) -> Info {
        self.info.clone().unwrap_or_default()
    }

    pub(super) fn is_loading(&self) -> bool {
        let refused = |error: &ProbeError| error.code.as_deref() == Some("LOADING");
        self.ping.as_ref().is_err_and(refused) || self.info().text("loading") == "1"
    }

    /// `major.minor` of its version, where the server says it.
    pub(super) fn version(&self) -> Option<(u32, u32)> {
        let info = self.info();
        let said =
            self.hello.get("version").map_or_else(|| info.text("redis_version"), String::as_str);
        let mut numbers = said.split('.').map(str::parse);
        Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
    }

    /// A command for a shell that reaches this server.
    pub(super) fn shell(&self, command: &str) -> String {
        match self.address().rsplit_once(':') {
            Some((host, port)) if !self.address().starts_with(['/', '.']) => {
                format!("redis-cli -h {} -p {port} {command}", host.trim_matches(['[', ']']))
            }
            _ => format!("redis-cli -s {} {command}", self.address()),
        }
    }
}

/// Whether the server has refused a command, in place of failing to answer.
pub(super) fn is_refusal(error: &ProbeError) -> bool {
    error.code.is_some()
}

/// The text of a reply or of the error in its place.
pub(super) fn told(reply: &Result<Reply, ProbeError>) -> String {
    match reply {
        Ok(reply) => reply::text(reply).unwrap_or_default(),
        Err(error) => error.text.clone(),
    }
}
