//! This cache beside its peers and beside what is written by hand, in one run, in turns:
//! `cargo run --release --bin peers`. Names of workloads run these alone; `--quick` takes a third of
//! the time.
//!
//! Starts its own redis-server, over TCP on this machine, and prints one Markdown document.

#![deny(unsafe_code)]

mod adapter;
mod compile;
mod contest;
mod counting;
mod hit;
mod invalidate;
mod memory;
mod miss;
mod near;
mod off;
mod outage;
mod report;
mod server;
mod spin;
mod stampede;
mod values;
mod zipf;

use std::time::{Duration, Instant};

use contest::Pace;
use hit::Field;
use server::Tcp;

const WORKLOADS: [&str; 10] =
    ["hit", "near", "zipf", "miss", "stampede", "off", "invalidate", "memory", "outage", COMPILE];
/// Run only where it is named.
const COMPILE: &str = "compile";

/// What the arguments ask for.
struct Asked {
    quick: bool,
    names: Vec<String>,
}

impl Asked {
    fn read() -> Self {
        let (quick, names): (Vec<_>, Vec<_>) =
            std::env::args().skip(1).partition(|word| word == "--quick");
        if let Some(unknown) = names.iter().find(|name| !WORKLOADS.contains(&name.as_str())) {
            eprintln!("no workload `{unknown}`; there are {}", WORKLOADS.join(", "));
            std::process::exit(2);
        }
        Self { quick: !quick.is_empty(), names }
    }

    fn has(&self, workload: &str) -> bool {
        self.names.is_empty() && workload != COMPILE
            || self.names.iter().any(|name| name == workload)
    }

    fn pace(&self, millis: u64) -> Pace {
        let (rounds, share) = if self.quick { (4, 0.75) } else { (9, 1.0) };
        Pace { rounds, turn: Duration::from_millis(millis).mul_f64(share) }
    }
}

#[tokio::main(worker_threads = 2)]
async fn main() {
    let (asked, begun) = (Asked::read(), Instant::now());
    println!("# Side by side\n\n{}", include_str!("about.md").trim_end());
    let server = Tcp::start().await;
    let field = Field::start(&server.url()).await;
    let mut targets = Vec::new();
    if asked.has("hit") {
        targets.extend(hit::hit(&field, asked.pace(160)).await);
    }
    if asked.has("near") {
        targets.extend(near::near(&server.url(), asked.pace(60)).await);
    }
    if asked.has("zipf") {
        zipf::zipf(&server.url(), asked.pace(300)).await;
    }
    if asked.has("miss") {
        miss::miss(&field, asked.pace(120)).await;
    }
    if asked.has("stampede") {
        targets.extend(stampede::stampede(&field, asked.pace(0)).await);
    }
    if asked.has("off") {
        targets.extend(off::off(asked.pace(40)).await);
    }
    if asked.has("invalidate") {
        targets.extend(invalidate::invalidated(&server.url(), asked.pace(0)).await);
    }
    if asked.has("memory") {
        targets.extend(memory::memory(&server.url()).await);
    }
    if asked.has(COMPILE) {
        targets.extend(compile::compile(if asked.quick { 3 } else { 5 }));
    }
    // Last: what reconnects in the background may go on for a while.
    if asked.has("outage") {
        targets.extend(outage::outage(asked.pace(2000).turn).await);
    }
    report::targets(&targets);
    println!("\nThe run took {:.0} s.", begun.elapsed().as_secs_f64());
}
