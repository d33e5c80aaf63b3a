//! Whatever goes wrong, values are right, there are no errors, and hits come back.
//!
//! Four rows run in any case, and all of them with `CI_LONG=1`.

use std::time::Duration;

use chaos::{Row, rows};

const PHASE: Duration = Duration::from_secs(1);

async fn keeps_the_promise(row: &Row) {
    let figures = row.run(PHASE, 1).await;
    println!("{}", figures.cells().join(" | "));
    if let Some(failure) = figures.failure() {
        panic!("{failure}");
    }
}

async fn run(name: &str) {
    let all = rows();
    let row = all.iter().find(|row| row.name() == name).expect("there is such a row");
    keeps_the_promise(row).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_server_breaks_no_promise() {
    run("standalone/frozen/local").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_and_restarted_breaks_no_promise() {
    run("standalone/killed").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_are_cut_in_the_middle_of_a_reply_break_no_promise() {
    run("standalone/replies-cut").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_breaks_no_promise() {
    run("standalone/garbage").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_row_breaks_a_promise() {
    if std::env::var_os("CI_LONG").is_none() {
        return;
    }
    for row in rows() {
        keeps_the_promise(&row).await;
    }
}
