//! Runs the rows one after the other and prints a table:
//! `cargo run --release -p chaos -- --markdown`.

use std::process::ExitCode;
use std::time::Duration;

use chaos::{BUDGET, Figures, Row, rows};
use clap::{ArgAction, Parser};

/// How wide the columns of a table of plain text are.
const WIDTHS: [usize; 11] = [10, 21, 5, 7, 6, 5, 4, 28, 21, 12, 9];

/// Callers under load while Redis is broken in every way we know.
#[derive(Debug, Parser)]
struct Options {
    /// Five seconds for each of the three phases of a row, instead of one.
    #[arg(long)]
    long: bool,
    /// Only rows whose names contain this.
    #[arg(long)]
    row: Option<String>,
    /// Prints the names of the rows, and ends.
    #[arg(long)]
    list: bool,
    /// Prints the table as Markdown.
    #[arg(long)]
    markdown: bool,
    /// Prints what became of calls, too.
    #[arg(short, long, action = ArgAction::Count)]
    verbose: u8,
    /// What is chosen at random.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    let mut chosen: Vec<Row> = rows();
    chosen.retain(|row| options.row.as_ref().is_none_or(|part| row.name().contains(part)));
    if options.list {
        for row in &chosen {
            println!("{}", row.name());
        }
        return ExitCode::SUCCESS;
    }
    print(&options, &Figures::HEADS.map(str::to_owned));
    if options.markdown {
        println!("|---|---|---|--:|--:|--:|--:|--:|--:|--:|--:|");
    }
    let phase = Duration::from_secs(if options.long { 5 } else { 1 });
    let mut failures = 0;
    for row in chosen {
        let figures = row.run(phase, options.seed).await;
        print(&options, &figures.cells());
        if let Some(failure) = figures.failure() {
            eprintln!("{failure}");
            failures += 1;
        } else if options.verbose > 0 {
            eprintln!("{figures:#?}");
        }
    }
    println!(
        "\nBudget of a call {BUDGET:?}; before, during and after {phase:?} each, during where a new \
         master is waited for until there is one; seed {}.",
        options.seed
    );
    if failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn print(options: &Options, cells: &[String; 11]) {
    if options.markdown {
        return println!("| {} |", cells.join(" | "));
    }
    let cells = cells.iter().zip(WIDTHS).map(|(cell, width)| format!("{cell:<width$}"));
    println!("{}", cells.collect::<Vec<_>>().join("  ").trim_end());
}
