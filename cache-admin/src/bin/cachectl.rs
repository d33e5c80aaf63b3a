//! `cachectl`: finds out whether a cache works and why not, shows what it does, and changes it. The section
//! "cachectl" of docs/operations.md describes the commands.

use std::process::ExitCode;

fn main() -> ExitCode {
    cache_admin::cachectl::main()
}
