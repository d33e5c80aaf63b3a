//! What 64 callers of a function of 1 ms pay beyond it while Redis is frozen or killed. The values
//! were stored. Every contestant has a server of its own, and its own timeouts.

use std::cell::Cell;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::time::timeout;

use crate::adapter::{ByHand, Cached, Hitbox, Kit, Ours, Tiers};
use crate::contest::quantile;
use crate::report::{Target, count, table, time, title};
use crate::server::Tcp;
use crate::values::{Got, Peer, SPENT, Small, runs};

const TASKS: u64 = 64;
/// No call is waited for longer.
const PATIENCE: Duration = Duration::from_secs(3);
/// No recovery is waited for longer.
const RECOVERY: Duration = Duration::from_secs(8);
/// From here on, a breaker has had its time to open.
const LATE: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, PartialEq)]
enum Fault {
    Frozen,
    Killed,
}

/// A call that ended after the fault.
struct Call {
    begun: Instant,
    /// Beyond the body.
    added: Duration,
    failed: bool,
}

struct Row {
    name: &'static str,
    worst: f64,
    late: f64,
    failed: usize,
    panics: usize,
    calls: usize,
    recovery: Option<Duration>,
}

/// A call, and what it took beyond its body; `None` where it is not over in time.
async fn call<P: Peer>(peer: &P, id: u64) -> (Option<Got<Small>>, Duration) {
    let begun = Instant::now();
    let timed = SPENT.scope(Cell::default(), async {
        let got = peer.brief(id).await;
        (got, SPENT.with(Cell::get))
    });
    match timeout(PATIENCE, timed).await {
        Ok((got, spent)) => (Some(got), begun.elapsed().saturating_sub(spent)),
        Err(_) => (None, PATIENCE),
    }
}

async fn suffer<P: Peer>(peer: &Arc<P>, server: &mut Tcp, fault: Fault, span: Duration) -> Row {
    let all: Arc<Mutex<Vec<Call>>> = Arc::default();
    let until = Instant::now() + span;
    let tasks = (0..TASKS).map(|id| {
        let (peer, all) = (peer.clone(), all.clone());
        tokio::spawn(async move {
            while Instant::now() < until {
                let begun = Instant::now();
                let (got, added) = call(&*peer, id).await;
                let failed = matches!(got, Some(Got::Failed(_)));
                let one = Call { begun, added, failed };
                all.lock().unwrap_or_else(PoisonError::into_inner).push(one);
                // A function would be slower than an error: without this, errors crowd all else out.
                if failed {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                tokio::task::yield_now().await;
            }
        })
    });
    let tasks: Vec<_> = tasks.collect();
    tokio::time::sleep(Duration::from_millis(50)).await;
    match fault {
        Fault::Frozen => server.server.freeze(),
        Fault::Killed => server.server.kill(),
    }
    let fault = Instant::now();
    let mut panics = 0;
    for task in tasks {
        panics += usize::from(task.await.is_err());
    }
    let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
    all.retain(|call| call.begun + call.added >= fault);
    let sorted = |from: Instant| {
        let mut added: Vec<_> =
            all.iter().filter(|call| call.begun >= from).map(|call| call.added).collect();
        added.sort_unstable();
        added
    };
    Row {
        name: P::NAME,
        worst: all.iter().map(|call| call.added).max().unwrap_or_default().as_secs_f64(),
        late: quantile(&sorted(fault + LATE), 0.5),
        failed: all.iter().filter(|call| call.failed).count(),
        panics,
        calls: all.len(),
        recovery: None,
    }
}

/// From the end of the fault to the first hit.
async fn recovered<P: Peer>(peer: &P) -> Option<Duration> {
    let begun = Instant::now();
    while begun.elapsed() < RECOVERY {
        let before = runs();
        let (got, _) = call(peer, 0).await;
        if got.is_some_and(|got| got.is(&Small::of(0))) && runs() == before {
            return Some(begun.elapsed());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    None
}

/// Both faults, one after the other.
async fn both<P: Peer>(span: Duration) -> [Row; 2] {
    let mut server = Tcp::start().await;
    let peer = Arc::new(P::start(&server.url()).await);
    for _ in 0..2 {
        for id in 0..TASKS {
            assert!(peer.brief(id).await.is(&Small::of(id)), "{}: not right", P::NAME);
        }
        peer.settle().await;
    }
    let mut frozen = suffer(&peer, &mut server, Fault::Frozen, span).await;
    server.server.thaw();
    frozen.recovery = recovered(&*peer).await;
    let mut killed = suffer(&peer, &mut server, Fault::Killed, span).await;
    server.server.restart().await;
    killed.recovery = recovered(&*peer).await;
    [frozen, killed]
}

pub async fn outage(span: Duration) -> Vec<Target> {
    let rows = [
        both::<Ours>(span).await,
        both::<Cached>(span).await,
        both::<Hitbox>(span).await,
        both::<Kit>(span).await,
        both::<Tiers>(span).await,
        both::<ByHand>(span).await,
    ];
    for (place, fault) in ["frozen (SIGSTOP)", "killed"].into_iter().enumerate() {
        title(
            &format!("Redis {fault}"),
            "64 callers of a function of 1 ms; times are what is added to it. Everybody's timeouts \
             are the defaults; a call is given up after 3 s.",
        );
        let text: Vec<_> = rows.iter().map(|rows| rows[place].text()).collect();
        let header = [
            "contestant",
            "worst",
            "median from 1 s on",
            "errors",
            "panics",
            "calls",
            "first hit after it",
        ];
        table(&header, &text);
    }
    let ours = &rows[0][0];
    vec![
        Target::at_most("Redis frozen, 64 tasks, worst call", 100.0, "ms", ours.worst * 1e3),
        Target::at_most("Redis frozen, 64 tasks, median once open", 10.0, "µs", ours.late * 1e6),
    ]
}

impl Row {
    fn text(&self) -> Vec<String> {
        let patient = |seconds: f64| {
            let cut = seconds >= PATIENCE.as_secs_f64();
            if cut { "> 3 s".to_owned() } else { time(seconds) }
        };
        vec![
            self.name.to_owned(),
            patient(self.worst),
            patient(self.late),
            count(self.failed as f64),
            self.panics.to_string(),
            count(self.calls as f64),
            self.recovery.map_or_else(|| "> 8 s".to_owned(), |took| time(took.as_secs_f64())),
        ]
    }
}
