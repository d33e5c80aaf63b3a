//! Several processes over one redis-server: who computes, who waits, and whose value is stored.

use std::time::{Duration, Instant};

use support::{Calls, Function, Member, Patience, Server, State, eventually, now};
use tokio::process::Command;

const SECOND: u64 = 1_000_000_000;
const LEASE: Duration = Duration::from_secs(2);

/// What a machine may add to a time that is measured.
const SLACK: Duration = Duration::from_secs(10);

/// A server for the cache, one for the database, and processes that use both.
struct Deployment {
    cache: Server,
    database: Server,
}

impl Deployment {
    async fn start() -> Self {
        Self { cache: Server::start().await, database: Server::start().await }
    }

    async fn with<const N: usize>() -> (Self, [Member; N]) {
        let deployment = Self::start().await;
        let mut members = Vec::new();
        for _ in 0..N {
            members.push(deployment.member().await);
        }
        let Ok(members) = members.try_into() else { unreachable!("as many as were started") };
        (deployment, members)
    }

    async fn member(&self) -> Member {
        self.member_by(Command::new(env!("CARGO_BIN_EXE_member"))).await
    }

    async fn member_by(&self, program: Command) -> Member {
        let (cache, database) = (self.cache.url(), self.database.url());
        Member::start(program, &cache, &database, Patience::long()).await
    }

    /// How often the function of an item has been run.
    async fn runs(&self, item: u32) -> u64 {
        let runs: Option<u64> = self.database.command(&["GET", &format!("runs:{item}")]).await;
        runs.unwrap_or(0)
    }

    /// Waits until a run of an item has begun.
    async fn begins(&self, item: u32) {
        eventually("a run begins", || async { self.runs(item).await > 0 }).await;
    }

    /// When the runs of an item began, or ended.
    async fn times(&self, what: &str, item: u32) -> Vec<u64> {
        self.database.command(&["LRANGE", &format!("{what}:{item}"), "0", "-1"]).await
    }
}

/// All calls got the value of one run.
fn assert_of_run(calls: &Calls, run: u64) {
    assert_eq!(calls.versions.keys().collect::<Vec<_>>(), [&run], "{calls:?}");
    assert!(calls.errors.is_empty(), "{calls:?}");
}

/// The only outcome of all calls.
fn assert_all(calls: &Calls, outcome: &str) {
    assert_eq!(calls.of(&[outcome]), calls.all(), "{calls:?}");
}

#[tokio::test]
async fn a_cold_key_is_computed_once_for_2000_callers_in_four_processes() {
    let (deployment, members) = Deployment::with::<4>().await;
    let calls = members.each_ref().map(|member| member.order("call Counted 1 1000 500"));
    let (mut all, mut computed) = (0, 0);
    for calls in calls {
        let calls: Calls = calls.one().await;
        println!("{:?}", calls.outcomes);
        assert_of_run(&calls, 1);
        assert_eq!(calls.of(&["computed", "joined", "waited", "hit"]), calls.all(), "{calls:?}");
        all += calls.all();
        computed += calls.of(&["computed"]);
    }
    assert_eq!((all, computed, deployment.runs(1).await), (2000, 1, 1));
    for member in &members {
        let quiet = || async { member.ask::<State>("state").await.flights == 0 };
        eventually("no flight is left", quiet).await;
    }
}

/// Two runs of a second, and more than a machine should add; in a queue eight take eight seconds.
const TWO_RUNS: Duration = Duration::from_secs(4);

/// Has every member make a call that takes a second, all at once.
async fn at_once(members: &[Member], order: &str) -> Vec<Calls> {
    let begun = Instant::now();
    let calls: Vec<_> = members.iter().map(|member| member.order(order)).collect();
    let mut all = Vec::new();
    for calls in calls {
        all.push(calls.one::<Calls>().await);
    }
    let (took, all_of) = (begun.elapsed(), all.iter().map(|calls| &calls.outcomes));
    println!("{order}: {took:?}, {:?}", all_of.collect::<Vec<_>>());
    assert!(took < TWO_RUNS, "`{order}` made them queue: {took:?}");
    all
}

#[tokio::test]
async fn who_waits_for_what_is_not_stored_waits_for_one_run_at_most() {
    let (deployment, members) = Deployment::with::<8>().await;
    for (item, function) in (10..).zip(Function::UNSTORED) {
        // The second time they know how to wait, and what the first has left is over.
        for _ in 0..2 {
            let before = deployment.runs(item).await;
            let all = at_once(&members, &format!("call {function} {item} 1000 3")).await;
            for calls in &all {
                assert_eq!(calls.of(&["computed", "joined"]), 3, "{function}: {calls:?}");
            }
            let computed: u32 = all.iter().map(|calls| calls.of(&["computed"])).sum();
            assert!(computed <= 8, "one run a process: {all:?}");
            assert_eq!(deployment.runs(item).await - before, u64::from(computed), "{function}");
            tokio::time::sleep(Duration::from_millis(600)).await;
        }
    }
}

#[tokio::test]
async fn who_waits_for_a_refresh_that_fails_waits_for_one_run_at_most() {
    let (deployment, members) = Deployment::with::<8>().await;
    let calls: Calls = members[0].ask("call Forgiving 20 0 1").await;
    assert_all(&calls, "computed");
    tokio::time::sleep(Duration::from_millis(1500)).await;
    for calls in at_once(&members, "fail Forgiving 20 1000").await {
        assert_all(&calls, "stale-if-error");
        assert_of_run(&calls, 1);
    }
    assert!(deployment.runs(20).await <= 1 + 8);
    // It is still there, and one process refreshes it.
    tokio::time::sleep(Duration::from_millis(600)).await;
    let before = deployment.runs(20).await;
    for calls in at_once(&members, "call Forgiving 20 1000 3").await {
        assert_of_run(&calls, before + 1);
        assert_eq!(calls.of(&["computed", "joined", "waited", "hit"]), 3, "{calls:?}");
    }
}

#[tokio::test]
async fn what_is_stored_is_computed_once_also_after_a_run_that_was_not() {
    let (deployment, members) = Deployment::with::<8>().await;
    let calls: Calls = members[0].ask("call Finding 21 0 1").await;
    assert_all(&calls, "computed");
    for calls in at_once(&members, "call Counted 22 1000 100").await {
        assert_of_run(&calls, 1);
    }
    assert_eq!((deployment.runs(21).await, deployment.runs(22).await), (1, 1));
}

#[tokio::test]
async fn a_killed_owner_delays_the_others_by_the_rest_of_its_lease() {
    let (deployment, [owner, others @ ..]) = Deployment::with::<3>().await;
    let _lost = owner.order("call Counted 2 60000 2");
    deployment.begins(2).await;
    let waiting = others.each_ref().map(|other| other.order("call Counted 2 200 50"));
    tokio::time::sleep(Duration::from_millis(500)).await;
    let killed = now();
    owner.kill().await;
    for calls in waiting {
        let calls: Calls = calls.one().await;
        println!("{:?}", calls.outcomes);
        assert_of_run(&calls, 2);
    }
    let began = deployment.times("began", 2).await;
    assert_eq!(began.len(), 2, "one run takes over");
    let delay = Duration::from_nanos(began[1].checked_sub(killed).expect("not while it lived"));
    println!("the next run began {delay:?} after the owner was killed");
    assert!(delay < LEASE + SLACK, "{delay:?}");
}

#[tokio::test]
async fn an_owner_that_was_frozen_past_its_lease_stores_nothing() {
    let (deployment, [owner, other]) = Deployment::with::<2>().await;
    let late = owner.order("call Counted 3 1500 1");
    deployment.begins(3).await;
    owner.freeze();
    let calls: Calls = other.ask("call Counted 3 100 20").await;
    assert_of_run(&calls, 2);
    other.ask::<State>("state").await;
    owner.thaw();
    let late: Calls = late.one().await;
    println!("{:?}", late.outcomes);
    assert_of_run(&late, 1);
    owner.ask::<State>("state").await;
    for member in [&owner, &other] {
        let calls: Calls = member.ask("call Counted 3 0 5").await;
        assert_all(&calls, "hit");
        assert_of_run(&calls, 2);
    }
    assert_eq!(deployment.runs(3).await, 2);
}

#[tokio::test]
async fn a_stale_value_is_refreshed_behind_the_calls_by_one_process_at_a_time() {
    let (deployment, members) = Deployment::with::<3>().await;
    let first: Calls = members[0].ask("call Refreshed 4 3000 1").await;
    assert_all(&first, "computed");
    members[0].ask::<State>("state").await;
    let calls = members.each_ref().map(|member| member.order("steady Refreshed 4 3000 3 4500"));
    for calls in calls {
        let calls: Calls = calls.one().await;
        println!("{:?} {:?}", calls.outcomes, calls.versions);
        assert_eq!(calls.of(&["hit", "stale"]), 4500, "{calls:?}");
        assert!(calls.errors.is_empty(), "{calls:?}");
    }
    let elapsed = now() - deployment.times("began", 4).await[0];
    // The last refresh may still be going on.
    let ended = || async {
        let ended = deployment.times("ended", 4).await.len() as u64;
        ended == deployment.runs(4).await
    };
    eventually("the last refresh ends", ended).await;
    let runs = deployment.runs(4).await;
    println!("{runs} runs in {:?}", Duration::from_nanos(elapsed));
    assert!((2..=elapsed / (3 * SECOND) + 1).contains(&runs), "{runs} runs");
    let began = deployment.times("began", 4).await;
    let ended = deployment.times("ended", 4).await;
    let apart = began.iter().skip(1).zip(&ended).all(|(next, last)| next > last);
    assert!(apart, "two ran at a time: {began:?} {ended:?}");
}

#[tokio::test]
async fn a_failure_in_one_process_is_made_up_for_by_the_value_of_another() {
    let (deployment, [one, other]) = Deployment::with::<2>().await;
    let calls: Calls = one.ask("call Forgiving 5 0 1").await;
    assert_all(&calls, "computed");
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let calls: Calls = other.ask("fail Forgiving 5 0").await;
    assert_all(&calls, "stale-if-error");
    assert_of_run(&calls, 1);
    other.ask::<State>("state").await;
    let calls: Calls = one.ask("call Forgiving 5 0 1").await;
    assert_all(&calls, "computed");
    assert_of_run(&calls, 3);
    assert_eq!(deployment.runs(5).await, 3);
}

/// While a third process computes the old value.
#[tokio::test]
async fn an_invalidation_in_one_process_is_seen_by_a_call_begun_afterwards_in_another() {
    let (deployment, [writer, reader, computing]) = Deployment::with::<3>().await;
    for (item, what) in (0..).zip(["key", "prefix", "tag"]) {
        let reads = deployment.database.calls("get").await;
        let old = computing.order(format!("call Plain {item} 1500 3"));
        // Then it dawdles.
        let has_read = || async { deployment.database.calls("get").await > reads };
        eventually("it has read", has_read).await;
        assert_eq!(writer.ask::<u64>(format!("commit {item}")).await, 1);
        assert!(writer.ask::<bool>(format!("invalidate {what} {item}")).await);
        let calls: Calls = reader.ask(format!("call Plain {item} 0 10")).await;
        assert_of_run(&calls, 1);
        assert_eq!(calls.of(&["computed"]), 1, "{what}: {calls:?}");
        let old: Calls = old.one().await;
        assert_of_run(&old, 0);
        computing.ask::<State>("state").await;
        for member in [&reader, &computing, &writer] {
            let calls: Calls = member.ask(format!("call Plain {item} 0 10")).await;
            assert_of_run(&calls, 1);
        }
        deployment.cache.command::<()>(&["FLUSHALL"]).await;
    }
}

#[tokio::test]
async fn a_process_whose_clock_is_an_hour_ahead_shares_values() {
    let (deployment, [punctual]) = Deployment::with::<1>().await;
    let Some(ahead) = an_hour_ahead() else {
        println!("no `faketime` here: only the sources are searched for the wall clock");
        return assert_no_wall_clock_is_read();
    };
    let early = deployment.member_by(ahead).await;
    for (item, [one, other]) in [(6, [&punctual, &early]), (7, [&early, &punctual])] {
        let calls: Calls = one.ask(format!("call Refreshed {item} 0 1")).await;
        assert_all(&calls, "computed");
        one.ask::<State>("state").await;
        let calls: Calls = other.ask(format!("call Refreshed {item} 0 20")).await;
        assert_all(&calls, "hit");
        assert_eq!(deployment.runs(item).await, 1);
    }
    assert_no_wall_clock_is_read();
}

fn an_hour_ahead() -> Option<Command> {
    let path = std::env::var_os("PATH")?;
    let mut files = std::env::split_paths(&path).map(|folder| folder.join("faketime"));
    let faketime = files.find(|file| file.is_file())?;
    let mut program = Command::new(faketime);
    // The monotonic clock is the one that times are told by.
    program.args(["--exclude-monotonic", "-f", "+1h", env!("CARGO_BIN_EXE_member")]);
    Some(program)
}

/// What does not read a clock cannot be misled by it.
fn assert_no_wall_clock_is_read() {
    let sources = concat!(env!("CARGO_MANIFEST_DIR"), "/../../cache-runtime/src");
    let mut folders = vec![std::path::PathBuf::from(sources)];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("the sources are here") {
            let path = entry.expect("a folder can be listed").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).expect("sources are text");
            files += 1;
            for clock in ["SystemTime", "UNIX_EPOCH", "redis.call('TIME'"] {
                assert!(!text.contains(clock), "{} in {}", clock, path.display());
            }
        }
    }
    assert!(files > 20, "the sources have moved");
}
