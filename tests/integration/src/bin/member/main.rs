//! One process of a deployment: it has cached functions over one redis-server, and a database,
//! which is another.
//!
//! Its arguments are the URLs of the two, and the budget, the timeout and the wait in milliseconds;
//! `CACHE_LOCAL` has all functions keep copies in the process, or none.
//! Each line of its input is a number and an order; each line of its output is the number and an
//! answer, or the number alone, which ends the order. It ends with its input.

mod calls;
mod database;
mod functions;
mod schedule;
mod writes;

use std::io::Write as _;
use std::sync::mpsc;
use std::time::Duration;

use cache_runtime::{Cache, Config};
use serde::Serialize;
use support::{Dice, Operation, State};
use tokio::io::{AsyncBufReadExt as _, BufReader};

/// Where the answers to one order go.
#[derive(Clone)]
struct Answer {
    number: String,
    lines: mpsc::Sender<String>,
}

impl Answer {
    fn tell(&self, answer: &impl Serialize) {
        let answer = serde_json::to_string(answer).expect("answers are plain data");
        let _ = self.lines.send(format!("{} {answer}", self.number));
    }

    fn end(&self) {
        let _ = self.lines.send(self.number.clone());
    }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    std::panic::set_hook(Box::new(|panic| {
        eprintln!("a member panicked: {panic}");
        // Whoever waits for an answer is told by the end of the process.
        std::process::abort();
    }));
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [cache, database, budget, timeout, wait] = &arguments[..] else {
        panic!("expected two URLs and three times in milliseconds");
    };
    database::connect(database).await;
    let settings = Config::redis(cache).expect("a well-formed URL");
    let settings = settings.budget(millis(budget)).timeout(millis(timeout)).wait(millis(wait));
    let settings = match std::env::var("CACHE_LOCAL") {
        Ok(all) => settings.local(all == "true"),
        Err(_) => settings,
    };
    cache_runtime::init(Cache::new(settings)).expect("the first to ask for a cache");
    obey(print()).await;
}

fn millis(word: &str) -> Duration {
    Duration::from_millis(word.parse().expect("a number of milliseconds"))
}

/// Writes lines on a thread of its own: a full pipe keeps nobody else waiting.
fn print() -> mpsc::Sender<String> {
    let (lines, printed) = mpsc::channel::<String>();
    std::thread::spawn(move || {
        let mut output = std::io::stdout().lock();
        for mut line in printed {
            line.push('\n');
            // In one piece, or not at all, whenever the process is killed.
            if output.write_all(line.as_bytes()).and_then(|()| output.flush()).is_err() {
                return;
            }
        }
    });
    lines
}

async fn obey(lines: mpsc::Sender<String>) {
    let mut orders = BufReader::new(tokio::io::stdin()).lines();
    while let Ok(Some(order)) = orders.next_line().await {
        let (number, order) = order.split_once(' ').expect("a number and an order");
        let answer = Answer { number: number.to_owned(), lines: lines.clone() };
        let order = order.to_owned();
        tokio::spawn(async move {
            let words: Vec<&str> = order.split(' ').collect();
            carry_out(&words, &answer).await;
            answer.end();
        });
    }
}

/// Orders are documented by what they call.
async fn carry_out(words: &[&str], answer: &Answer) {
    match *words {
        ["state"] => answer.tell(&state().await),
        ["call", function, item, ms, count] => {
            let call = calls::Order::new(function, item, ms);
            answer.tell(&call.together(number(count)).await);
        }
        ["fail", function, item, ms] => {
            let call = calls::Order { fails: true, ..calls::Order::new(function, item, ms) };
            answer.tell(&call.together(1).await);
        }
        ["steady", function, item, ms, pause, calls] => {
            let call = calls::Order::new(function, item, ms);
            answer.tell(&call.steadily(millis(pause), number(calls)).await);
        }
        ["read", function, item, ms] => {
            let read = schedule::read(calls::Order::new(function, item, ms)).await;
            answer.tell(&Operation::Read(read));
        }
        ["write", item, seed] => {
            let write = writes::write(number(item), &mut Dice::new(u64::from(number(seed)))).await;
            answer.tell(&Operation::Invalidation(write));
        }
        ["overwrite", item] => {
            answer.tell(&Operation::Invalidation(writes::overwrite(number(item)).await));
        }
        ["commit", item] => answer.tell(&database::commit(number(item)).await),
        ["invalidate", what, item] => answer.tell(&writes::by_name(what, number(item)).await),
        ["history", seed, tasks] => {
            let seed = seed.parse().expect("a seed");
            schedule::run(Dice::new(seed), number(tasks), answer).await;
        }
        ["close", ms] => answer.tell(&Cache::global().close(millis(ms)).await.is_ok()),
        ["rest", ms] => schedule::rest(millis(ms)),
        ["stop"] => schedule::stop(),
        _ => panic!("no such order: {words:?}"),
    }
}

async fn state() -> State {
    let cache = Cache::global();
    cache.flush().await;
    let stats = cache.stats();
    State { flights: stats.flights, undelivered: stats.undelivered }
}

fn number(word: &str) -> u32 {
    word.parse().expect("a number")
}
