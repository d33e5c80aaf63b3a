//! Calls, one or many.

use std::time::Duration;

use cache_runtime::{Outcome, observe};
use support::{Calls, Function, Value};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use crate::functions::{
    Item, counted, failing, finding, fleeting, forgiving, huge, local, nested, picky, plain,
    refreshed, stale,
};
use crate::number;

/// A call that is to be made.
#[derive(Clone, Copy)]
pub(crate) struct Order {
    pub(crate) function: Function,
    pub(crate) item: u32,
    /// How long a run takes.
    pub(crate) ms: u64,
    pub(crate) fails: bool,
}

impl Order {
    pub(crate) fn new(function: &str, item: &str, ms: &str) -> Self {
        let function = function.parse().expect("a function");
        Self { function, item: number(item), ms: u64::from(number(ms)), fails: false }
    }

    /// Makes the call, and shows what the cache did.
    pub(crate) async fn make(self) -> (Result<Value, String>, Outcome) {
        let Self { function, item, ms, fails } = self;
        match function {
            Function::Plain => observe(plain(Item::new(item), ms)).await,
            Function::Stale => observe(stale(Item::new(item), ms)).await,
            Function::Local => observe(local(Item::new(item), ms)).await,
            Function::Nested => observe(nested(Item::new(item), ms)).await,
            Function::Counted => observe(counted(item, ms)).await,
            Function::Refreshed => observe(refreshed(item, ms)).await,
            Function::Forgiving => observe(forgiving(item, ms, fails)).await,
            Function::Failing => observe(failing(item, ms)).await,
            Function::Finding => {
                let (found, outcome) = observe(finding(item, ms)).await;
                (found.and_then(|found| found.ok_or_else(|| "nothing".to_owned())), outcome)
            }
            Function::Picky => observe(picky(item, ms)).await,
            Function::Fleeting => observe(fleeting(item, ms)).await,
            Function::Huge => {
                let (value, outcome) = observe(huge(item, ms)).await;
                (value.map(|(value, _)| value), outcome)
            }
        }
    }

    /// Makes it many times at once.
    pub(crate) async fn together(self, count: u32) -> Calls {
        let mut calls = JoinSet::new();
        for _ in 0..count {
            calls.spawn(self.make());
        }
        sum(calls).await
    }

    /// Makes it many times, at a constant rate.
    pub(crate) async fn steadily(self, pause: Duration, count: u32) -> Calls {
        let mut ticks = tokio::time::interval(pause);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let mut calls = JoinSet::new();
        for _ in 0..count {
            ticks.tick().await;
            calls.spawn(self.make());
        }
        sum(calls).await
    }
}

async fn sum(mut calls: JoinSet<(Result<Value, String>, Outcome)>) -> Calls {
    let mut sum = Calls::default();
    while let Some(call) = calls.join_next().await {
        let (value, outcome) = call.expect("no call panics");
        *sum.outcomes.entry(outcome.to_string()).or_default() += 1;
        match value {
            Ok(value) => *sum.versions.entry(value.version).or_default() += 1,
            Err(error) => *sum.errors.entry(error).or_default() += 1,
        }
    }
    sum
}
