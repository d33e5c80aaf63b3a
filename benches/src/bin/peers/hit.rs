//! Hits over Redis: how many, how fast, and what they allocate.

use std::sync::Arc;

use crate::adapter::{Bare, ByHand, Cached, Hitbox, Kit, Ours, Tiers};
use crate::contest::{Lane, Load, Pace, drive, median, ratio, rounds};
use crate::report::{Target, count, table, time, title};
use crate::values::{Large, Reads, Small, runs};
use crate::{counting, report};

/// More than there are tasks, so that no two ask for one key at a time.
const KEYS: u64 = 1024;

/// Everybody over one server.
pub struct Field {
    pub ours: Arc<Ours>,
    pub cached: Arc<Cached>,
    pub hitbox: Arc<Hitbox>,
    pub kit: Arc<Kit>,
    pub tiers: Arc<Tiers>,
    pub by_hand: Arc<ByHand>,
    pub bare: Arc<Bare>,
}

impl Field {
    pub async fn start(url: &str) -> Self {
        Self {
            ours: Arc::new(Ours::start(url).await),
            cached: Arc::new(Cached::start(url).await),
            hitbox: Arc::new(Hitbox::start(url).await),
            kit: Arc::new(Kit::start(url).await),
            tiers: Arc::new(Tiers::start(url).await),
            by_hand: Arc::new(ByHand::start(url).await),
            bare: Arc::new(Bare::start(url).await),
        }
    }
}

/// Fills every key; then whether each is a hit with the right value.
async fn right<P: Reads>(peer: &P) -> Result<(), String> {
    for id in 0..KEYS {
        if !peer.small(id).await.is(&Small::of(id)) || !peer.large(id).await.is(&Large::of(id)) {
            return Err(format!("a miss of {id} is not right"));
        }
    }
    peer.settle().await;
    let before = runs();
    for id in 0..KEYS {
        if !peer.small(id).await.is(&Small::of(id)) || !peer.large(id).await.is(&Large::of(id)) {
            return Err(format!("a hit of {id} is not right"));
        }
    }
    match runs() - before {
        0 => Ok(()),
        missed => Err(format!("{missed} hits were misses")),
    }
}

fn id(task: u64, turn: u64) -> u64 {
    (task * 41 + turn) % KEYS
}

fn small<P: Reads>(peer: &Arc<P>, tasks: u64, pace: Pace) -> Lane<Load> {
    let peer = peer.clone();
    Lane::new(P::NAME, move || {
        let peer = peer.clone();
        let call = |peer: Arc<P>, task, turn| async move { peer.small(id(task, turn)).await };
        async move { drive(&peer, tasks, pace.turn, call).await }
    })
}

fn large<P: Reads>(peer: &Arc<P>, tasks: u64, pace: Pace) -> Lane<Load> {
    let peer = peer.clone();
    Lane::new(P::NAME, move || {
        let peer = peer.clone();
        let call = |peer: Arc<P>, task, turn| async move { peer.large(id(task, turn)).await };
        async move { drive(&peer, tasks, pace.turn, call).await }
    })
}

/// Allocations of one hit, on all threads.
async fn allocations<P: Reads>(peer: &Arc<P>, tasks: u64, large: bool) -> f64 {
    const CALLS: u64 = 1000;
    counting::begin();
    let each = (0..tasks).map(|_| {
        let peer = peer.clone();
        tokio::spawn(async move {
            for id in 0..CALLS {
                match large {
                    false => drop(std::hint::black_box(peer.small(id).await)),
                    true => drop(std::hint::black_box(peer.large(id).await)),
                }
            }
        })
    });
    for task in each.collect::<Vec<_>>() {
        task.await.expect("no panic");
    }
    counting::end().calls as f64 / (CALLS * tasks) as f64
}

/// Allocations of the decoded value itself.
fn own<T: serde::Serialize + serde::de::DeserializeOwned>(value: &T) -> f64 {
    let bytes = rmp_serde::to_vec_named(value).expect("it can be encoded");
    counting::begin();
    let value: T = rmp_serde::from_slice(&bytes).expect("it can be decoded");
    let counted = counting::end();
    drop(value);
    counted.calls as f64
}

/// Whoever is right takes part; whoever is not is named.
macro_rules! everybody {
    ($field:ident, $wrong:ident, |$peer:ident| $lane:expr) => {{
        let mut lanes = Vec::new();
        everybody!(@ $field, $wrong, lanes, |$peer| $lane;
            ours Ours, cached Cached, hitbox Hitbox, kit Kit, tiers Tiers, by_hand ByHand, bare Bare);
        lanes
    }};
    (@ $field:ident, $wrong:ident, $lanes:ident, |$peer:ident| $lane:expr; $($who:ident $Who:ident),*) => {$(
        if !$wrong.iter().any(|(name, _)| *name == $Who::NAME) {
            let $peer = &$field.$who;
            $lanes.push($lane);
        }
    )*};
}

pub async fn hit(field: &Field, pace: Pace) -> Vec<Target> {
    let mut wrong: Vec<(&str, String)> = Vec::new();
    let all: [(&str, Result<(), String>); 7] = [
        (Ours::NAME, right(&*field.ours).await),
        (Cached::NAME, right(&*field.cached).await),
        (Hitbox::NAME, right(&*field.hitbox).await),
        (Kit::NAME, right(&*field.kit).await),
        (Tiers::NAME, right(&*field.tiers).await),
        (ByHand::NAME, right(&*field.by_hand).await),
        (Bare::NAME, right(&*field.bare).await),
    ];
    wrong.extend(all.into_iter().filter_map(|(name, right)| Some((name, right.err()?))));
    for (name, why) in &wrong {
        println!("\nLeft out: {name}, because {why}.");
    }
    // One task and its connection's run on one thread, or wake each other across two, which takes
    // several times as long and may change at any time: many short turns see enough of both.
    let pace = |tasks: u64| match tasks {
        1 => Pace { rounds: pace.rounds * 4, turn: pace.turn / 4 },
        _ => pace,
    };
    let mut targets = Vec::new();
    for (size, is_large) in [("200 bytes", false), ("10 KB", true)] {
        for tasks in [1, 64, 512] {
            let lanes = everybody!(field, wrong, |peer| match is_large {
                false => small(peer, tasks, pace(tasks)),
                true => large(peer, tasks, pace(tasks)),
            });
            let done = rounds(&lanes, pace(tasks).rounds).await;
            print(&format!("Hit over Redis, {size}, {}", at(tasks)), &lanes, &done);
            if !is_large && tasks < 512 {
                targets.extend(judge(tasks, &lanes, &done));
            }
        }
    }
    title(
        "Allocations of a hit over Redis",
        "All threads are counted. Beyond those of the decoded value itself.",
    );
    let values = [own(&Small::of(1)), own(&Large::of(1))];
    let rows: Vec<(&str, [f64; 3])> = everybody!(field, wrong, |peer| {
        let one = allocations(peer, 1, false).await;
        let many = allocations(peer, 64, false).await;
        (peer_name(peer), [one, many, allocations(peer, 64, true).await])
    });
    let beyond = |name: &str, all: f64, own: f64| if name == Bare::NAME { all } else { all - own };
    let text: Vec<_> = rows
        .iter()
        .map(|&(name, all)| {
            let own = [values[0], values[0], values[1]];
            let beyond = all.iter().zip(own).map(|(all, own)| beyond(name, *all, own));
            std::iter::once(name.to_owned()).chain(beyond.map(|each| format!("{each:.1}"))).collect()
        })
        .collect();
    let header = [
        "contestant",
        &format!("200 bytes (value: {}), 1 task", values[0]),
        "64 tasks",
        &format!("10 KB (value: {}), 64 tasks", values[1]),
    ];
    table(&header, &text);
    if let Some((_, [_, ours, _])) = rows.first() {
        let work = "allocations of a hit over Redis, 64 tasks, 200 bytes, beyond the value's own";
        targets.push(Target::at_most(work, 8.0, "", ours - values[0]));
    }
    targets
}

fn peer_name<P: Reads>(_: &Arc<P>) -> &'static str {
    P::NAME
}

pub fn at(tasks: u64) -> String {
    if tasks == 1 { "sequential".to_owned() } else { format!("{tasks} tasks") }
}

/// The table of one load; the first lane is ours.
pub fn print(name: &str, lanes: &[Lane<Load>], done: &[Vec<Load>]) {
    title(
        name,
        "Medians over the rounds, and the p50 of the best one; the ratio is of calls per second, ours \
         to theirs; runs are those of the function.",
    );
    let middle = |loads: &[Load], figure: fn(&Load) -> f64| median(loads.iter().map(figure));
    let rows: Vec<_> = lanes
        .iter()
        .zip(done)
        .map(|(lane, loads)| {
            let failed: u64 = loads.iter().map(|load| load.failed).sum();
            vec![
                lane.name.clone(),
                count(middle(loads, |load| load.per_second)),
                time(loads.iter().map(|load| load.p50).fold(f64::INFINITY, f64::min)),
                time(middle(loads, |load| load.p50)),
                time(middle(loads, |load| load.p99)),
                format!("{:.2}", ratio(&done[0], loads, |load| load.per_second)),
                report::count(loads.iter().map(|load| load.runs).sum::<u64>() as f64),
                report::count(failed as f64),
            ]
        })
        .collect();
    let header =
        ["contestant", "calls/s", "best p50", "p50", "p99", "ours to it", "runs", "errors"];
    table(&header, &rows);
}

fn judge(tasks: u64, lanes: &[Lane<Load>], done: &[Vec<Load>]) -> Vec<Target> {
    let to = |name: &str, figure: fn(&Load) -> f64| {
        let theirs = lanes.iter().position(|lane| lane.name == name);
        theirs.map_or(f64::NAN, |theirs| ratio(&done[0], &done[theirs], figure))
    };
    if tasks == 1 {
        let bare = lanes.iter().position(|lane| lane.name == Bare::NAME);
        let mean = |loads: &[Load]| loads.iter().map(|load| load.p50).sum::<f64>();
        let slower = bare.map_or(f64::NAN, |bare| mean(&done[0]) / mean(&done[bare]));
        let work = "hit over Redis, sequential, 200 bytes, mean of the rounds' p50";
        return vec![Target::at_most(work, 1.10, "x bare GET", slower)];
    }
    let work = "hit over Redis, 64 tasks, 200 bytes, calls per second";
    let cached = to(Cached::NAME, |load| load.per_second);
    let bare = to(Bare::NAME, |load| load.per_second);
    let by_hand = to(ByHand::NAME, |load| load.per_second);
    vec![
        Target::at_least(work, 1.3, "x cached (goal)", cached),
        Target::at_least(work, 1.1, "x cached (must)", cached),
        Target::at_least(work, 1.0, "x bare GET (goal)", bare),
        Target::at_least(work, 0.9, "x bare GET (must)", bare),
        Target::at_least(work, 5.0, "x by hand (must)", by_hand),
    ]
}
