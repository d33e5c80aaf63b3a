//! Connections of the program's own, with the application's login or an operator's.

use std::time::Duration;

use cache_runtime::__admin::{Probe, ProbeError, Reply, certificates, dial};
use cache_runtime::Config;

use super::failure::Failure;
use super::reply;
use super::target::Target;

/// The longest time for one command.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// A connection to one server.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) address: String,
    probe: Probe,
}

impl Connection {
    /// # Errors
    ///
    /// Says at which step it failed.
    pub(super) async fn to(config: &Config, address: &str) -> Result<Self, ProbeError> {
        Ok(Self { address: address.to_owned(), probe: dial(config, address, false).await? })
    }

    /// # Errors
    ///
    /// As [`Connection::to`].
    pub(super) async fn to_sentinel(config: &Config, address: &str) -> Result<Self, ProbeError> {
        Ok(Self { address: address.to_owned(), probe: dial(config, address, true).await? })
    }

    pub(super) fn resp3(&self) -> bool {
        self.probe.resp3()
    }

    /// Sends one command, by its words.
    ///
    /// # Errors
    ///
    /// Where the server refuses it, hangs up or does not answer.
    pub(super) async fn send(&self, words: &[&str]) -> Result<Reply, ProbeError> {
        self.probe.send(&command(words), PATIENCE).await
    }

    /// Sends commands in one pipeline.
    ///
    /// # Errors
    ///
    /// Where the connection fails.
    pub(super) async fn send_all(
        &self,
        commands: &[Vec<Vec<u8>>],
    ) -> Result<Vec<Result<Reply, ProbeError>>, ProbeError> {
        self.probe.send_all(commands, PATIENCE).await
    }
}

/// The words of a command as it is sent.
pub(super) fn command(words: &[&str]) -> Vec<Vec<u8>> {
    words.iter().map(|word| word.as_bytes().to_vec()).collect()
}

/// The certificates that the server at `address` shows.
///
/// # Errors
///
/// As [`Connection::to`].
pub(super) async fn shown_certificates(
    target: &Target,
    address: &str,
) -> Result<Vec<Vec<u8>>, ProbeError> {
    certificates(&target.config, address, target.shape.topology == "sentinel").await
}

/// The addresses of the servers that hold the data.
///
/// # Errors
///
/// Where no sentinel names the master, or no node knows the cluster.
pub(super) async fn masters(target: &Target) -> Result<Vec<String>, ProbeError> {
    let shape = &target.shape;
    match (shape.topology, &shape.master) {
        ("sentinel", Some(name)) => {
            first_answer(target, async |address| {
                let sentinel = Connection::to_sentinel(&target.config, address).await?;
                let reply = sentinel.send(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", name]).await?;
                let words: Vec<_> = reply::list(&reply).iter().filter_map(reply::text).collect();
                Ok(match &words[..] {
                    [host, port] => vec![joined(host, port)],
                    _ => Vec::new(),
                })
            })
            .await
        }
        ("cluster", _) => {
            first_answer(target, async |address| {
                let node = Connection::to(&target.config, address).await?;
                let slots = node.send(&["CLUSTER", "SLOTS"]).await?;
                Ok(slots_of(&slots, address).into_iter().map(|range| range.master).collect())
            })
            .await
        }
        _ => Ok(shape.addresses.clone()),
    }
}

/// The first answer that is not empty, of the addresses in the configuration.
async fn first_answer(
    target: &Target,
    ask: impl AsyncFn(&str) -> Result<Vec<String>, ProbeError>,
) -> Result<Vec<String>, ProbeError> {
    let mut last = None;
    for address in &target.shape.addresses {
        match ask(address).await {
            Ok(mut found) if !found.is_empty() => {
                found.sort();
                found.dedup();
                return Ok(found);
            }
            Ok(_) => {}
            Err(error) => {
                last = Some(ProbeError { text: format!("{address}: {}", error.text), ..error });
            }
        }
    }
    Err(last.unwrap_or_else(|| ProbeError {
        step: cache_runtime::__admin::ProbeStep::Command,
        code: None,
        text: match &target.shape.master {
            Some(name) => format!("no sentinel knows a master named `{name}`"),
            None => "no node has slots".to_owned(),
        },
        late: false,
    }))
}

/// Slots that one master of a cluster serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) first: i64,
    pub(super) last: i64,
    pub(super) master: String,
}

/// Reads `CLUSTER SLOTS`. A node that does not say its host has that of `asked`.
pub(super) fn slots_of(reply: &Reply, asked: &str) -> Vec<Range> {
    let range = |range: &Reply| {
        let [first, last, master, ..] = reply::list(range) else { return None };
        let [host, port, ..] = reply::list(master) else { return None };
        let known = reply::text(host).filter(|host| !host.is_empty() && host != "?");
        let host = known.or_else(|| Some(asked.rsplit_once(':')?.0.to_owned()))?;
        let (first, last) = (reply::integer(first)?, reply::integer(last)?);
        Some(Range { first, last, master: joined(&host, &reply::text(port)?) })
    };
    reply::list(reply).iter().filter_map(range).collect()
}

fn joined(host: &str, port: &str) -> String {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    if bare.contains(':') { format!("[{bare}]:{port}") } else { format!("{bare}:{port}") }
}

/// Connections to every server that holds data.
///
/// # Errors
///
/// Where one of them cannot be reached.
pub(super) async fn connections(target: &Target) -> Result<Vec<Connection>, Failure> {
    let unreachable = |error: ProbeError| Failure::failed(format!("Redis: {}", error.text));
    let mut all = Vec::new();
    for address in masters(target).await.map_err(unreachable)? {
        let config = target.operator.as_ref().unwrap_or(&target.config);
        all.push(Connection::to(config, &address).await.map_err(unreachable)?);
    }
    Ok(all)
}
