//! Callers and writers over one cache.

mod firsts;
mod writers;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use cache_runtime::Cache;
use support::Dice;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::book::{Book, Phase};
use crate::functions;
use crate::judge::{Asked, cost, judge};
use crate::watch::{self, noting};
use crate::world::{Function, KEYS, World};
use firsts::Firsts;

const CALLERS: usize = 64;

const WRITERS: usize = 2;

/// What a caller does between two calls: 64 of them must not keep the machine busy by themselves.
const PAUSE: Duration = Duration::from_millis(4);

/// Longer than any wait, budget and run together: whatever has not ended by then hangs.
const PATIENCE: Duration = Duration::from_secs(20);

/// Callers and writers at work.
pub(crate) struct Load {
    shared: Arc<Shared>,
    callers: Vec<JoinHandle<Book>>,
    others: Vec<JoinHandle<()>>,
    panics: u64,
}

struct Shared {
    cache: Cache,
    world: Arc<World>,
    phase: AtomicU8,
    /// Whether nothing can bring back what is invalidated from now on.
    firm: AtomicBool,
    ends: AtomicBool,
    firsts: Firsts,
    /// By how much a timer was late in the middle phase at most, in microseconds.
    stall: AtomicU64,
}

/// What a load has come to.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) book: Book,
    pub(crate) first_hit: Option<Duration>,
    pub(crate) stall: Duration,
}

impl Load {
    /// Starts them; `parts` says where every call has its entry, and `firm` that nothing which is gone
    /// comes back.
    pub(crate) fn start(cache: &Cache, parts: Vec<Option<usize>>, firm: bool, seed: u64) -> Self {
        watch::install();
        let shared = Arc::new(Shared {
            cache: cache.clone(),
            world: Arc::new(World::new()),
            phase: AtomicU8::new(Phase::Before as u8),
            firm: AtomicBool::new(firm),
            ends: AtomicBool::new(false),
            firsts: Firsts::new(parts),
            stall: AtomicU64::new(0),
        });
        let mut dice = Dice::new(seed);
        let panics = watch::panics();
        let callers = (0..CALLERS).map(|_| tokio::spawn(call(shared.clone(), dice.split())));
        let callers = callers.collect();
        let writers =
            (0..WRITERS).map(|_| tokio::spawn(writers::write(shared.clone(), dice.split())));
        let others = writers.chain([tokio::spawn(stall(shared.clone()))]).collect();
        Self { shared, callers, others, panics }
    }

    pub(crate) fn enter(&self, phase: Phase) {
        if phase == Phase::After {
            self.shared.firsts.begin();
        }
        self.shared.phase.store(phase as u8, Ordering::SeqCst);
    }

    pub(crate) fn has_hit(&self) -> bool {
        self.shared.firsts.last().is_some()
    }

    /// From now on nothing can bring back what is invalidated.
    pub(crate) fn settle(&self) {
        self.shared.firm.store(true, Ordering::SeqCst);
    }

    /// Lets all end, and hands out what they have seen.
    pub(crate) async fn end(self) -> Done {
        let Self { shared, callers, others, panics } = self;
        shared.ends.store(true, Ordering::SeqCst);
        let mut book = Book::default();
        for caller in callers {
            match timeout(PATIENCE, caller).await {
                Ok(Ok(own)) => book.merge(own),
                Ok(Err(gone)) => book.errors.add(format!("a caller is gone: {gone}")),
                Err(_) => book.errors.add("a call hangs".to_owned()),
            }
        }
        for other in others {
            if !matches!(timeout(PATIENCE, other).await, Ok(Ok(()))) {
                book.errors.add("an invalidation panics or hangs".to_owned());
            }
        }
        for _ in panics..watch::panics() {
            book.errors.add("somebody has panicked".to_owned());
        }
        let stall = Duration::from_micros(shared.stall.load(Ordering::SeqCst));
        Done { book, first_hit: shared.firsts.last(), stall }
    }
}

impl Shared {
    fn phase(&self) -> Phase {
        Phase::ALL[usize::from(self.phase.load(Ordering::SeqCst))]
    }

    fn is_firm(&self) -> bool {
        self.firm.load(Ordering::SeqCst)
    }

    fn has_ended(&self) -> bool {
        self.ends.load(Ordering::SeqCst)
    }
}

async fn call(shared: Arc<Shared>, mut dice: Dice) -> Book {
    let mut book = Book::default();
    while !shared.has_ended() {
        let function = Function::ALL[dice.below(Function::ALL.len() as u64) as usize];
        call_one(&shared, &mut book, function, dice.below(u64::from(KEYS)) as u32).await;
        sleep(PAUSE).await;
    }
    book
}

async fn call_one(shared: &Shared, book: &mut Book, function: Function, key: u32) {
    let Shared { cache, world, .. } = shared;
    let [floor, firm] = [world.floor(function, key), world.firm(function, key)];
    let (phase, begun) = (shared.phase(), Instant::now());
    let call = noting(functions::call(world, function, key));
    let ((got, outcome), notes) = cache.scope(call).await;
    let whole = begun.elapsed();
    // Copies say nothing about whether the server is asked again.
    let is_first = outcome.is_hit() && !outcome.is_local_hit();
    if phase == Phase::After && is_first {
        shared.firsts.note(function, key);
    }
    let newest = world.committed(function, key);
    let asked = Asked { function, key, floor, firm, newest };
    // What began before and met with what went wrong belongs to it.
    let phase = phase.max(shared.phase().min(Phase::During));
    let cost = cost(whole, notes, &outcome);
    book.note(phase, &outcome, (cost, notes), judge(asked, &got, &outcome));
}

/// Notes how late timers are: what a busy machine adds to everything.
async fn stall(shared: Arc<Shared>) {
    const TICK: Duration = Duration::from_millis(2);
    while !shared.has_ended() {
        let begun = Instant::now();
        sleep(TICK).await;
        let late = begun.elapsed().saturating_sub(TICK).as_micros() as u64;
        if shared.phase() == Phase::During {
            shared.stall.fetch_max(late, Ordering::SeqCst);
        }
    }
}
