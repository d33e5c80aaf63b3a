//! Rounds in turns, so that what disturbs one contestant disturbs the others.

use std::future::Future;
use std::hint::black_box;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::values::{Got, Reads, runs};

/// How long and how often.
#[derive(Clone, Copy)]
pub struct Pace {
    /// The first of them is not counted.
    pub rounds: usize,
    /// One turn of one contestant.
    pub turn: Duration,
}

type Turn<T> = Pin<Box<dyn Future<Output = T>>>;

/// A contestant and one turn of it.
pub struct Lane<T> {
    pub name: String,
    turn: Box<dyn Fn() -> Turn<T>>,
}

impl<T> Lane<T> {
    pub fn new<F: Future<Output = T> + 'static>(
        name: impl Into<String>,
        turn: impl Fn() -> F + 'static,
    ) -> Self {
        Self { name: name.into(), turn: Box::new(move || Box::pin(turn())) }
    }
}

/// What each lane did in each round but the first. Every round begins with another lane.
pub async fn rounds<T>(lanes: &[Lane<T>], rounds: usize) -> Vec<Vec<T>> {
    let mut done: Vec<Vec<T>> = lanes.iter().map(|_| Vec::new()).collect();
    for round in 0..rounds {
        for place in 0..lanes.len() {
            let lane = (round + place) % lanes.len();
            let sample = (lanes[lane].turn)().await;
            if round > 0 {
                done[lane].push(sample);
            }
        }
    }
    done
}

/// The middle one.
pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The middle of the ratios within each round.
pub fn ratio<T>(ours: &[T], theirs: &[T], figure: impl Fn(&T) -> f64) -> f64 {
    median(ours.iter().zip(theirs).map(|(ours, theirs)| figure(ours) / figure(theirs)))
}

/// What some tasks did in one turn.
#[derive(Clone, Debug)]
pub struct Load {
    pub per_second: f64,
    /// In seconds.
    pub p50: f64,
    pub p99: f64,
    /// Calls whose caller saw an error.
    pub failed: u64,
    /// Runs of the function meanwhile.
    pub runs: u64,
}

/// The value at a share of the way through some durations, in seconds.
pub fn quantile(sorted: &[Duration], share: f64) -> f64 {
    let place = ((sorted.len() as f64 * share) as usize).min(sorted.len().saturating_sub(1));
    sorted.get(place).map_or(f64::NAN, Duration::as_secs_f64)
}

/// Calls of some tasks, each after the other, for one turn; then what is written behind them.
/// `call` gets the number of its task and of the call within it.
pub async fn drive<P, T, F, Fut>(peer: &Arc<P>, tasks: u64, turn: Duration, call: F) -> Load
where
    P: Reads,
    F: Fn(Arc<P>, u64, u64) -> Fut + Copy + Send + 'static,
    Fut: Future<Output = Got<T>> + Send,
{
    let (begun, before) = (Instant::now(), runs());
    let tasks = (0..tasks).map(|task| {
        let peer = peer.clone();
        tokio::spawn(async move {
            let (mut took, mut failed) = (Vec::with_capacity(1 << 12), 0);
            let mut last = Instant::now();
            while last - begun < turn {
                let got = black_box(call(peer.clone(), task, took.len() as u64).await);
                failed += u64::from(matches!(got, Got::Failed(_)));
                drop(got);
                let now = Instant::now();
                took.push(now - last);
                last = now;
            }
            (took, failed)
        })
    });
    let (mut took, mut failed) = (Vec::new(), 0);
    for task in tasks.collect::<Vec<_>>() {
        let (its, failures) = task.await.expect("no caller panics");
        took.extend(its);
        failed += failures;
    }
    peer.settle().await;
    let per_second = took.len() as f64 / begun.elapsed().as_secs_f64();
    took.sort_unstable();
    Load {
        per_second,
        p50: quantile(&took, 0.5),
        p99: quantile(&took, 0.99),
        failed,
        runs: runs() - before,
    }
}
