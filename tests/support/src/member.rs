//! A process of a deployment, ended by its own handle.
//!
//! It takes orders on its standard input, one a line, each with a number, and answers on its
//! standard output under the same number.

use std::collections::HashMap;
use std::fmt::Display;
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::mpsc;

use crate::State;

/// Longer than anything that a member is asked for.
const DEADLINE: Duration = Duration::from_secs(100);

/// Who waits for the answers to which order; nothing once the member is gone.
#[derive(Debug)]
struct Asked(Mutex<Option<HashMap<u64, mpsc::UnboundedSender<String>>>>);

impl Default for Asked {
    fn default() -> Self {
        Self(Mutex::new(Some(HashMap::new())))
    }
}

impl Asked {
    fn lock(&self) -> MutexGuard<'_, Option<HashMap<u64, mpsc::UnboundedSender<String>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands a line to whoever gave the order; a number alone ends it.
    fn answer(&self, line: &str) {
        let (number, answer) = line.split_once(' ').unwrap_or((line, ""));
        let number = number.parse().unwrap_or_else(|_| panic!("a member said: {line}"));
        let mut asked = self.lock();
        let Some(asked) = asked.as_mut() else { return };
        if answer.is_empty() {
            asked.remove(&number);
        } else if let Some(asked) = asked.get(&number) {
            // Whoever has gone does not want to know.
            let _ = asked.send(answer.to_owned());
        }
    }
}

/// How long a member waits for what.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For all cache traffic of one call.
    pub budget: Duration,
    /// For one command.
    pub timeout: Duration,
    /// For another run of the same function.
    pub wait: Duration,
}

/// A process of a deployment.
#[derive(Debug)]
pub struct Member {
    child: Child,
    orders: mpsc::UnboundedSender<String>,
    next: AtomicU64,
    asked: Arc<Asked>,
}

/// What a member answers to one order.
#[derive(Debug)]
pub struct Answers(mpsc::UnboundedReceiver<String>);

impl Patience {
    /// So much that a slow machine bypasses nothing.
    pub const fn long() -> Self {
        let long = Duration::from_secs(30);
        Self { budget: long, timeout: long, wait: long }
    }
}

impl Member {
    /// Starts a member by its program and waits until it is connected: `cache` and `database` are
    /// the URLs of servers.
    ///
    /// # Panics
    ///
    /// Where it does not come up.
    pub async fn start(program: Command, cache: &str, database: &str, patience: Patience) -> Self {
        let mut program = program;
        let Patience { budget, timeout, wait } = patience;
        program.args([cache, database]);
        program.args([budget, timeout, wait].map(|time| time.as_millis().to_string()));
        let mut child = program
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the member starts");
        let (orders, mut lines) = mpsc::unbounded_channel::<String>();
        let mut input = child.stdin.take().expect("it is piped");
        tokio::spawn(async move {
            while let Some(line) = lines.recv().await {
                if input.write_all(line.as_bytes()).await.is_err() {
                    return;
                }
            }
        });
        let asked = Arc::<Asked>::default();
        let output = child.stdout.take().expect("it is piped");
        tokio::spawn(dispatch(output, asked.clone()));
        let member = Self { child, orders, next: AtomicU64::new(0), asked };
        member.ask::<State>("state").await;
        member
    }

    /// Gives an order.
    pub fn order(&self, order: impl Display) -> Answers {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let (answer, answers) = mpsc::unbounded_channel();
        if let Some(asked) = self.asked.lock().as_mut() {
            asked.insert(number, answer);
        }
        let _ = self.orders.send(format!("{number} {order}\n"));
        Answers(answers)
    }

    /// Gives an order that has one answer, and waits for it.
    ///
    /// # Panics
    ///
    /// As [`Answers::one`].
    pub async fn ask<T: DeserializeOwned>(&self, order: impl Display) -> T {
        self.order(order).one().await
    }

    /// Its process.
    ///
    /// # Panics
    ///
    /// Where it has ended.
    pub fn process(&self) -> u32 {
        self.child.id().expect("the member is ours and runs")
    }

    /// Ends it as a crash would.
    ///
    /// # Panics
    ///
    /// Where it cannot be ended.
    pub async fn kill(mut self) {
        self.child.kill().await.expect("the member is ours");
    }

    /// Stops it as a debugger would, or a host that is busy.
    ///
    /// # Panics
    ///
    /// Where it has ended.
    pub fn freeze(&self) {
        self.signal(Signal::SIGSTOP);
    }

    /// Lets it go on.
    ///
    /// # Panics
    ///
    /// Where it has ended.
    pub fn thaw(&self) {
        self.signal(Signal::SIGCONT);
    }

    fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.process()).expect("an id of a process");
        kill(Pid::from_raw(id), signal).expect("the member is ours and runs");
    }
}

impl Answers {
    /// The next answer; `None` where the order is done or the member is gone.
    ///
    /// # Panics
    ///
    /// Where it does not come within a minute or two, or is none.
    pub async fn next<T: DeserializeOwned>(&mut self) -> Option<T> {
        let line =
            tokio::time::timeout(DEADLINE, self.0.recv()).await.expect("the member hangs")?;
        Some(serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}")))
    }

    /// The only answer.
    ///
    /// # Panics
    ///
    /// As [`Answers::next`], and where there is none.
    pub async fn one<T: DeserializeOwned>(mut self) -> T {
        self.next().await.expect("the member answers")
    }
}

async fn dispatch(output: ChildStdout, asked: Arc<Asked>) {
    let mut lines = BufReader::new(output).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        asked.answer(&line);
    }
    *asked.lock() = None;
}
