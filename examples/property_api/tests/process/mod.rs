//! The program of this package, running.
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::io::{BufRead, BufReader};
use std::path::Path;
#[cfg(unix)]
use std::process::ExitStatus;
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use support::eventually;
use ureq::Agent;

/// A path, and a body for a `POST`.
#[derive(Clone, Copy)]
pub(crate) struct Call<'a>(pub(crate) &'a str, pub(crate) Option<&'a str>);

/// A response; `cache` is its `x-cache`.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) cache: Option<String>,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn is(&self, outcome: &str) -> bool {
        self.cache.as_deref() == Some(outcome)
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("a JSON body")
    }
}

/// A running service, ended with its handle.
pub(crate) struct Service {
    process: Child,
    /// `http://` and the address.
    pub(crate) base: String,
    agent: Agent,
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The program, in an environment of nothing else, patient enough that a busy machine bypasses
/// nothing.
pub(crate) fn program(database: &Path, listings: u32) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_property_api"));
    command.args(["--port", "0", "--listings", &listings.to_string(), "--database"]).arg(database);
    command.env_clear().env("CACHE_BUDGET_MS", "30000").env("REDIS_TIMEOUT_MS", "30000");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    command
}

impl Service {
    pub(crate) fn start(database: &Path, redis: Option<&str>) -> Self {
        Self::start_in(database, redis.map(|url| ("REDIS_URL", url)).as_slice())
    }

    /// Starts it with further variables in its environment.
    pub(crate) fn start_in(database: &Path, variables: &[(&str, &str)]) -> Self {
        let mut command = program(database, 20_000);
        command.envs(variables.iter().copied());
        Self::launch(command)
    }

    /// Starts what [`program`] has made, with further options.
    pub(crate) fn launch(mut command: Command) -> Self {
        let mut process = command.spawn().expect("the service starts");
        let mut line = String::new();
        let stdout = process.stdout.take().expect("piped");
        BufReader::new(stdout).read_line(&mut line).expect("a line");
        let base = line.trim().strip_prefix("listening on ").expect("the address").to_owned();
        let agent = Agent::config_builder().proxy(None).http_status_as_error(false).build().into();
        Self { process, base, agent }
    }

    pub(crate) fn call(&self, call: Call<'_>) -> Answer {
        self.call_with(call, "")
    }

    /// Calls with a token.
    pub(crate) fn call_as(&self, call: Call<'_>, token: &str) -> Answer {
        self.call_with(call, &format!("Bearer {token}"))
    }

    fn call_with(&self, Call(path, body): Call<'_>, authorization: &str) -> Answer {
        let url = format!("{}{path}", self.base);
        let response = match body {
            Some(body) => {
                let request = self.agent.post(&url).header("authorization", authorization);
                request.content_type("application/json").send(body)
            }
            None => self.agent.get(&url).header("authorization", authorization).call(),
        };
        let mut response = response.expect("an answer");
        let cache = response.headers().get("x-cache").map(|v| v.to_str().expect("text").to_owned());
        let body = response.body_mut().read_to_string().expect("a body");
        Answer { status: response.status().as_u16(), cache, body }
    }

    /// Asks the process to end, as `docker stop` and Kubernetes do, and waits until it has.
    #[cfg(unix)]
    pub(crate) fn terminated(mut self) -> ExitStatus {
        let id = self.process.id().to_string();
        let signal = Command::new("kill").args(["-TERM", &id]).status().expect("kill runs");
        assert!(signal.success());
        self.process.wait().expect("the process is ours")
    }

    pub(crate) fn health(&self) -> Answer {
        self.call(Call("/health", None))
    }

    /// Calls until the value is stored: that happens behind the reply.
    pub(crate) async fn until_hit(&self, call: Call<'_>) -> Answer {
        eventually("the value is stored", || async { self.call(call).is("hit") }).await;
        self.call(call)
    }
}
