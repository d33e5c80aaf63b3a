//! Callers and writers over one cache.

mod writers;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use cache_runtime::Cache;
use integration_tests::Dice;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::book::{Book, Phase};
use crate::functions;
use crate::judge::{Asked, cost, judge};
use crate::watch::{self, noting};
use crate::world::{Function, KEYS, World};

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
    loses_writes: bool,
    begun: Instant,
    phase: AtomicU8,
    ends: AtomicBool,
    /// When the last phase began, and when its first hit came, in microseconds; 0 is not yet.
    healed: AtomicU64,
    hit: AtomicU64,
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
    pub(crate) fn start(cache: &Cache, loses_writes: bool, seed: u64) -> Self {
        watch::install();
        let shared = Arc::new(Shared {
            cache: cache.clone(),
            world: Arc::new(World::new()),
            loses_writes,
            begun: Instant::now(),
            phase: AtomicU8::new(Phase::Before as u8),
            ends: AtomicBool::new(false),
            healed: AtomicU64::new(0),
            hit: AtomicU64::new(0),
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
            self.shared.healed.store(self.shared.micros(), Ordering::SeqCst);
        }
        self.shared.phase.store(phase as u8, Ordering::SeqCst);
    }

    pub(crate) fn has_hit(&self) -> bool {
        self.shared.hit.load(Ordering::SeqCst) != 0
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
        let [healed, hit, stall] = [&shared.healed, &shared.hit, &shared.stall]
            .map(|micros| micros.load(Ordering::SeqCst));
        let first_hit = (hit != 0).then(|| Duration::from_micros(hit.saturating_sub(healed)));
        Done { book, first_hit, stall: Duration::from_micros(stall) }
    }
}

impl Shared {
    fn micros(&self) -> u64 {
        self.begun.elapsed().as_micros() as u64
    }

    fn phase(&self) -> Phase {
        Phase::ALL[usize::from(self.phase.load(Ordering::SeqCst))]
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
    let (floor, phase, begun) = (world.floor(function, key), shared.phase(), Instant::now());
    let call = noting(functions::call(world, function, key));
    let ((got, outcome), notes) = cache.scope(call).await;
    let whole = begun.elapsed();
    // Copies say nothing about whether the server is asked again.
    let is_first = outcome.is_hit() && !outcome.is_local_hit();
    if phase == Phase::After && is_first {
        let now = shared.micros();
        let _ = shared.hit.compare_exchange(0, now, Ordering::SeqCst, Ordering::SeqCst);
    }
    let newest = world.committed(function, key);
    let asked = Asked { function, key, floor, newest, loses_writes: shared.loses_writes };
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
