//! The program `cachectl`, in a module of the library because it reads and writes the keys of the fleet. Not part
//! of the public interface.

mod args;
mod doctor;
mod entries;
mod failure;
mod fleet;
mod http;
mod invalidate;
mod json;
mod ls;
mod redis;
mod reply;
mod stats;
mod switch;
mod target;
mod terminal;
mod watch;

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};

use args::{Args, Command};
use failure::{Exit, Failure};

/// Runs the program with the arguments and the environment of the process.
pub fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            let _ = error.print();
            let exit = if error.use_stderr() { Exit::Usage } else { Exit::Fine };
            return exit.into();
        }
    };
    args.color.write_global();
    let json = args.json;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let done = match runtime {
        Ok(runtime) => runtime.block_on(run(args)),
        Err(error) => Err(Failure::failed(format!("no threads: {error}"))),
    };
    done.unwrap_or_else(|failure| failure.print(json)).into()
}

async fn run(args: Args) -> Result<Exit, Failure> {
    let Args { command, common, json, .. } = args;
    match command {
        Command::Doctor(options) => doctor::run(&common, &options, json).await,
        Command::Stats(options) => stats::run(&common, &options, json).await,
        Command::Watch(options) => watch::run(&common, &options, json).await,
        Command::Ls(options) => ls::list(&common, &options, json).await,
        Command::Get(options) => ls::get(&common, &options, json).await,
        Command::Invalidate(options) => invalidate::run(&common, &options, json).await,
        Command::Switch(options) => switch::run(&common, &options, json).await,
        Command::Completions { shell } => {
            let mut page = Vec::new();
            clap_complete::generate(shell, &mut Args::command(), "cachectl", &mut page);
            terminal::print_page(&page);
            Ok(Exit::Fine)
        }
        Command::Man => manual(),
    }
}

/// The manual page, with each command in a section of its own.
fn manual() -> Result<Exit, Failure> {
    let failed = |error: io::Error| Failure::failed(error.to_string());
    let mut out = Vec::new();
    let mut command = Args::command();
    command.build();
    clap_mangen::Man::new(command.clone()).render(&mut out).map_err(failed)?;
    for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
        let page = clap_mangen::Man::new(sub.clone());
        writeln!(out, ".SH \"cachectl {}\"", sub.get_name()).map_err(failed)?;
        page.render_synopsis_section(&mut out).map_err(failed)?;
        page.render_description_section(&mut out).map_err(failed)?;
        page.render_options_section(&mut out).map_err(failed)?;
    }
    terminal::print_page(&out);
    Ok(Exit::Fine)
}
