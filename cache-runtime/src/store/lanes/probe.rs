//! One connection beside the lanes, for programs that diagnose a deployment: the application's own login,
//! certificates and limits, and any command.

use std::time::Duration;

use deadpool_redis::redis::{self, AsyncConnectionConfig, ProtocolVersion, RedisError, Value};

use super::connect::{ConnectError, Connector, Link, Step};
use super::server_message;
use crate::config::{Config, Server};

/// A connection to one server or sentinel, with the application's login.
pub struct Probe {
    link: Link,
    resp3: bool,
}

/// The step at which a probe failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbeStep {
    /// The name, the files, the credentials, or the connection.
    Connecting,
    /// The handshake of TLS, with the verification of the certificate.
    Tls,
    /// `HELLO`, `AUTH` or `SELECT`.
    Login,
    /// A command after the login.
    Command,
}

/// Why a probe got no answer.
#[derive(Clone, Debug)]
pub struct ProbeError {
    /// Where it failed.
    pub step: ProbeStep,
    /// The first word of the server's error, such as `NOPERM`; `None` where the server has not answered.
    pub code: Option<String>,
    /// The error in the server's words, or the system's.
    pub text: String,
    /// The server was silent for longer than the limit.
    pub late: bool,
}

impl ProbeError {
    fn of(step: ProbeStep, error: &RedisError) -> Self {
        let code = error.code().map(str::to_owned);
        Self { step, code, text: server_message(error), late: error.is_timeout() }
    }
}

impl From<ConnectError> for ProbeError {
    fn from(error: ConnectError) -> Self {
        let step = match error.step {
            Step::Connecting => ProbeStep::Connecting,
            #[cfg(feature = "tls-no-provider")]
            Step::Tls => ProbeStep::Tls,
            Step::Login => ProbeStep::Login,
        };
        Self::of(step, &error.error)
    }
}

impl Probe {
    /// Dials, logs in and selects the database; with RESP2 where the server refuses `HELLO`.
    pub(crate) async fn dial(server: &Server, config: &Config) -> Result<Self, ProbeError> {
        let connector = Connector::new(server, config);
        let options = || AsyncConnectionConfig::new().set_response_timeout(None);
        let mut resp3 = !server.access.resp2;
        let mut dialled = connector.connect(protocol(resp3), options()).await;
        if resp3 && dialled.as_ref().is_err_and(ConnectError::refuses_hello) {
            resp3 = false;
            dialled = connector.connect(protocol(resp3), options()).await;
        }
        let probe = Self { link: dialled?, resp3 };
        if server.access.db != 0 {
            let select =
                [&b"SELECT"[..], server.access.db.to_string().as_bytes()].map(<[u8]>::to_vec);
            let selected = probe.send(&select, config.connect_timeout).await;
            selected.map_err(|error| ProbeError { step: ProbeStep::Login, ..error })?;
        }
        Ok(probe)
    }

    /// The certificates that a server shows, its own first; none without TLS.
    pub(crate) async fn certificates(
        server: &Server,
        config: &Config,
    ) -> Result<Vec<Vec<u8>>, ProbeError> {
        Ok(Connector::new(server, config).certificates().await?)
    }

    /// Whether the server speaks RESP3.
    pub fn resp3(&self) -> bool {
        self.resp3
    }

    /// Sends one command.
    pub async fn send(&self, words: &[Vec<u8>], limit: Duration) -> Result<Value, ProbeError> {
        let mut replies = self.send_all(&[words.to_vec()], limit).await?;
        replies.pop().unwrap_or_else(|| Ok(Value::Nil))
    }

    /// Sends commands in one pipeline. The outer error is that of the connection.
    pub async fn send_all(
        &self,
        commands: &[Vec<Vec<u8>>],
        limit: Duration,
    ) -> Result<Vec<Result<Value, ProbeError>>, ProbeError> {
        let mut pipe = redis::pipe();
        for words in commands {
            let mut command = redis::Cmd::new();
            command.arg(words);
            pipe.add_command(command);
        }
        let mut connection = self.link.connection();
        let sent = connection.send_packed_commands(&pipe, 0, commands.len());
        let failed = |error: &RedisError| ProbeError::of(ProbeStep::Command, error);
        match tokio::time::timeout(limit, sent).await {
            Ok(Ok(replies)) => {
                let replies = replies.into_iter().map(Value::extract_error);
                Ok(replies.map(|reply| reply.map_err(|error| failed(&error))).collect())
            }
            Ok(Err(error)) => Err(failed(&error)),
            Err(_) => {
                let text = format!("no answer within {} ms", limit.as_millis());
                Err(ProbeError { step: ProbeStep::Command, code: None, text, late: true })
            }
        }
    }
}

impl std::fmt::Debug for Probe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Probe").field("resp3", &self.resp3).finish_non_exhaustive()
    }
}

fn protocol(resp3: bool) -> ProtocolVersion {
    if resp3 { ProtocolVersion::RESP3 } else { ProtocolVersion::RESP2 }
}
