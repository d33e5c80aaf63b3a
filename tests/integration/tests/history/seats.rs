//! The processes of a run: each has a seat, which is filled again when it is killed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use support::{Dice, Member, Operation, Patience, Server, State, eventually, now};
use tokio::process::Command;
use tokio::task::JoinHandle;

use crate::check::Event;
use crate::wire::Wire;

/// Tasks in each process.
const TASKS: u32 = 6;

/// The variable that has all functions keep copies, or none.
const LOCAL: &str = "CACHE_LOCAL";

/// How long processes wait for what; some are less patient than others.
const PATIENCE: [Patience; 2] = [
    Patience {
        budget: Duration::from_millis(500),
        timeout: Duration::from_millis(200),
        wait: Duration::from_secs(2),
    },
    Patience {
        budget: Duration::from_millis(150),
        timeout: Duration::from_millis(50),
        wait: Duration::from_millis(400),
    },
];

/// Whether the members of a deployment keep copies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Copies {
    No,
    /// Half of them of all functions, the others of those that ask for it.
    Yes,
}

impl Copies {
    /// Of all functions, or as they are written.
    fn of_all(self, number: usize) -> Option<bool> {
        match self {
            Self::No => Some(false),
            Self::Yes => (number < 2).then_some(true),
        }
    }
}

/// What has been recorded so far.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Recorded>>);

#[derive(Default)]
pub(crate) struct Recorded {
    pub(crate) events: Vec<Event>,
    /// When which process was frozen.
    pub(crate) frozen: HashMap<u32, Vec<(u64, u64)>>,
}

impl Log {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Recorded> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A process, with its way to the server.
pub(crate) struct Seat {
    pub(crate) wire: Wire,
    pub(crate) patience: Patience,
    member: Member,
    recording: JoinHandle<()>,
}

/// All processes.
pub(crate) struct Seats {
    pub(crate) all: Vec<Seat>,
    database: String,
    pub(crate) copies: Copies,
    pub(crate) log: Log,
    dice: Dice,
}

impl Seats {
    pub(crate) async fn fill(
        count: usize,
        cache: &Server,
        database: &Server,
        copies: Copies,
        dice: Dice,
    ) -> Self {
        let (database, log) = (database.url(), Log::default());
        let mut seats = Self { all: Vec::new(), database, copies, log, dice };
        for number in 0..count {
            let wire = Wire::new(cache.socket());
            let (member, recording) = seats.start(&wire, number).await;
            let patience = patience_of(number);
            tokio::spawn(wire.hiccups(patience.timeout, seats.dice.split()));
            seats.all.push(Seat { wire, patience, member, recording });
        }
        seats
    }

    async fn start(&mut self, wire: &Wire, number: usize) -> (Member, JoinHandle<()>) {
        let mut program = Command::new(env!("CARGO_BIN_EXE_member"));
        program.env_remove(LOCAL);
        if let Some(all) = self.copies.of_all(number) {
            program.env(LOCAL, all.to_string());
        }
        let patience = patience_of(number);
        let member = Member::start(program, &wire.url(), &self.database, patience).await;
        let seed = self.dice.split().below(u64::MAX);
        let mut told = member.order(format!("history {seed} {TASKS}"));
        let (process, log) = (member.process(), self.log.clone());
        let recording = tokio::spawn(async move {
            while let Some(operation) = told.next::<Operation>().await {
                log.lock().events.push(Event { process, operation });
            }
        });
        (member, recording)
    }

    /// Ends a process as a crash would, and starts another in its place.
    pub(crate) async fn replace(&mut self, number: usize) {
        let mut seat = self.all.remove(number);
        seat.member.kill().await;
        seat.recording.await.expect("it tells what it does");
        (seat.member, seat.recording) = self.start(&seat.wire, number).await;
        self.all.insert(number, seat);
    }

    /// Has a process do one thing more.
    pub(crate) async fn record(&self, number: usize, order: String) -> Operation {
        let member = &self.all[number].member;
        let (process, operation): (_, Operation) = (member.process(), member.ask(order).await);
        self.log.lock().events.push(Event { process, operation: operation.clone() });
        operation
    }

    /// Lets the tasks of a process do nothing for a while.
    pub(crate) fn rest(&self, number: usize, pause: Duration) {
        let _ = self.all[number].member.order(format!("rest {}", pause.as_millis()));
    }

    /// Stops a process for a while.
    pub(crate) async fn freeze(&self, number: usize, pause: Duration) {
        let member = &self.all[number].member;
        let begin = now();
        member.freeze();
        tokio::time::sleep(pause).await;
        member.thaw();
        let interval = (begin, now());
        self.log.lock().frozen.entry(member.process()).or_default().push(interval);
    }

    /// Lets all tasks end; returns once nothing is left of what they did.
    pub(crate) async fn end(self) -> Log {
        for Seat { member, .. } in &self.all {
            let _ = member.order("stop");
        }
        for Seat { member, recording, .. } in self.all {
            recording.await.expect("every call ends");
            let settled = || async {
                let state: State = member.ask("state").await;
                state == State { flights: 0, undelivered: 0 }
            };
            eventually("no flight and no tombstone is left", settled).await;
        }
        self.log
    }
}

fn patience_of(number: usize) -> Patience {
    PATIENCE[number % PATIENCE.len()]
}
