//! Hits in this process.

use std::collections::HashMap;
use std::future::{Future, ready};
use std::sync::Arc;

use cache_runtime::Cache;

use crate::adapter::near;
use crate::contest::{Lane, Pace, median, ratio, rounds};
use crate::report::{Target, table, time, title};
use crate::spin::{self, Holds};
use crate::values::{Small, body, runs};

const KIND: &str = "apartments";
const PAGES: u64 = 64;

/// The lanes of one comparison, with one thread and with two, and what a call allocates.
#[derive(Default)]
struct Board {
    lanes: [Vec<Lane<f64>>; 2],
    allocations: Vec<f64>,
}

impl Board {
    /// Fills every page, sees that each is a hit with the right value, and takes the contestant in.
    async fn add<F, Fut>(&mut self, name: &str, pace: Pace, call: F)
    where
        F: Fn(u64) -> Fut + Copy + Send + 'static,
        Fut: Future<Output: Holds> + Send,
    {
        let paged = move |number: u64| call(number % PAGES);
        // The first stores, the second reads what is stored and keeps it.
        for _ in 0..2 {
            for page in 0..PAGES {
                drop(paged(page).await);
            }
            Cache::global().flush().await;
        }
        let before = runs();
        for page in 0..PAGES {
            let right = paged(page).await.small() == Some(&Small::of(page));
            assert!(right && runs() == before, "{name}: page {page} is no hit, or not right");
        }
        for (lanes, threads) in self.lanes.iter_mut().zip([1, 2]) {
            lanes.push(spin::lane(name, threads, pace.turn, None, paged));
        }
        self.allocations.push(spin::allocations(None, paged).await);
    }

    /// Prints the table; nanoseconds of each by its name, one thread, in rounds.
    async fn run(self, pace: Pace, what: &str) -> HashMap<String, Vec<f64>> {
        let [one, two] =
            [rounds(&self.lanes[0], pace.rounds).await, rounds(&self.lanes[1], pace.rounds).await];
        title(what, "Time of one call; the ratio is of that time, ours to theirs.");
        let rows: Vec<_> = self.lanes[0]
            .iter()
            .enumerate()
            .map(|(place, lane)| {
                let middle = |done: &[Vec<f64>]| time(median(done[place].clone()) / 1e9);
                let to = |done: &[Vec<f64>]| {
                    format!("{:.2}", ratio(&done[0], &done[place], |&nanos| nanos))
                };
                let allocations = format!("{:.2}", self.allocations[place]);
                vec![lane.name.clone(), middle(&one), to(&one), middle(&two), to(&two), allocations]
            })
            .collect();
        table(
            &["contestant", "one thread", "ours to it", "two", "ours to it", "allocations"],
            &rows,
        );
        self.lanes[0].iter().map(|lane| lane.name.clone()).zip(one).collect()
    }
}

fn leaked<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}

pub async fn near(url: &str, pace: Pace) -> Vec<Target> {
    let mut targets = arc(pace).await;
    targets.extend(value(url, pace).await);
    targets
}

async fn arc(pace: Pace) -> Vec<Target> {
    let mut keys = Vec::new();
    let quick = quick_cache::sync::Cache::new(10_000);
    let moka = moka::sync::Cache::new(10_000);
    let later = moka::future::Cache::new(10_000);
    for page in 0..PAGES {
        let key = (KIND.to_owned(), page);
        let value = Arc::new(body::small(page).await);
        quick.insert(key.clone(), value.clone());
        moka.insert(key.clone(), value.clone());
        later.insert(key.clone(), value).await;
        keys.push(key);
    }
    let (keys, quick, moka, later) = (leaked(keys), leaked(quick), leaked(moka), leaked(later));
    let mut board = Board::default();
    board.add("ours, `local`", pace, |page| near::ours_arc(KIND, page)).await;
    board.add(QUICK, pace, |page| ready(quick.get(&keys[page as usize]))).await;
    board
        .add("bare moka, sync, ready key", pace, |page| ready(moka.get(&keys[page as usize])))
        .await;
    board.add("bare moka, future, ready key", pace, |page| later.get(&keys[page as usize])).await;
    board.add(CACHED, pace, |page| near::cached_arc(KIND, page)).await;
    let lru = "cached, sharded, max_size and ttl";
    board.add(lru, pace, |page| near::cached_lru_arc(KIND, page)).await;
    let allocations = board.allocations[0];
    let done = board.run(pace, "Hit in process, `Arc<T>`, arguments `(&str, u64)`").await;
    let ours = &done["ours, `local`"];
    let to = |name: &str| ratio(ours, &done[name], |&nanos| nanos);
    let work = "hit in process, Arc<T>, arguments (&str, u64)";
    vec![
        Target::at_most(work, 2.5, "x bare quick_cache (goal)", to(QUICK)),
        Target::at_most(work, 4.0, "x bare quick_cache (must)", to(QUICK)),
        Target::at_most(work, 1.0, "x cached in memory (goal)", to(CACHED)),
        Target::at_most(work, 2.0, "x cached in memory (must)", to(CACHED)),
        Target::at_most("allocations of a hit in process, Arc<T>", 0.0, "", allocations),
    ]
}

const QUICK: &str = "bare quick_cache, ready key";
const CACHED: &str = "cached, sharded, no bound";

async fn value(url: &str, pace: Pace) -> Vec<Target> {
    let quick = quick_cache::sync::Cache::new(10_000);
    let mut keys = Vec::new();
    for page in 0..PAGES {
        quick.insert((KIND.to_owned(), page), body::small(page).await);
        keys.push((KIND.to_owned(), page));
    }
    let (keys, quick) = (leaked(keys), leaked(quick));
    let moka = leaked(near::hitbox_moka(10_000));
    let kit = leaked(near::kit(url, 10_000).await);
    let tiers = leaked(near::tiers(url, 10_000).await);
    let mut board = Board::default();
    board.add("ours, `local`", pace, |page| near::ours(KIND, page)).await;
    board.add(QUICK, pace, |page| ready(quick.get(&keys[page as usize]))).await;
    board.add(CACHED, pace, |page| near::cached(KIND, page)).await;
    let hitbox = move |page| async move { near::hitbox(KIND.to_owned(), page).cache(moka).await };
    board.add("hitbox-moka", pace, hitbox).await;
    board.add("cachekit-rs, first level", pace, |page| near::cachekit(kit, KIND, page)).await;
    let first = "multi-tier-cache, first level";
    board.add(first, pace, |page| near::multi_tier(tiers, KIND, page)).await;
    let done = board.run(pace, "Hit in process, 200 bytes by value, arguments `(&str, u64)`").await;
    let ours = &done["ours, `local`"];
    let peers = [
        ("4 x faster than hitbox-moka", "hitbox-moka"),
        ("4 x faster than cachekit-rs", "cachekit-rs, first level"),
        ("4 x faster than multi-tier-cache", first),
    ];
    let work = "hit in process, 200 bytes by value";
    peers
        .map(|(target, name)| {
            let faster = 1.0 / ratio(ours, &done[name], |&nanos| nanos);
            let measured = format!("{faster:.2}");
            Target { work, target: format!("at least {target}"), measured, met: faster >= 4.0 }
        })
        .into()
}
