//! What the attribute costs the compiler: `peers compile`, and only when it is asked for, since it
//! builds the dependencies of three throw-away crates first. Each has 200 functions: plain, with
//! this attribute, with that of `cached` over Redis.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use crate::contest::median;
use crate::report::{Target, count, table, time, title};

const FUNCTIONS: usize = 200;
const CRATES: [&str; 3] = ["plain", "ours", "peer"];

fn source(name: &str) -> String {
    let attribute = match name {
        "ours" => "#[cache_runtime::cache_result(ttl = 3600)]",
        "peer" => {
            "#[cached::macros::concurrent_cached(redis = true, ttl_secs = 3600, \
             map_error = |error| error.to_string())]"
        }
        _ => "",
    };
    let mut text = String::from(
        "#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]\n\
         pub struct Row { pub id: u64, pub name: String, pub price: f64 }\n\
         pub type Called = std::pin::Pin<Box<dyn Future<Output = bool> + Send>>;\n",
    );
    for number in 0..FUNCTIONS {
        // Each is called, or no code would be made of it.
        let _ = write!(
            text,
            "{attribute}\npub async fn rows_{number}(id: u64) -> Result<Vec<Row>, String> {{\n\
                 if id == {number} {{ return Err(id.to_string()); }}\n\
                 Ok(vec![Row {{ id, name: id.to_string(), price: 0.5 }}])\n\
             }}\n\
             pub fn call_{number}() -> Called {{ Box::pin(async {{ rows_{number}(1).await.is_ok() }}) }}\n"
        );
    }
    text
}

fn write(folder: &Path) -> std::io::Result<()> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    fs::write(
        folder.join("Cargo.toml"),
        "[workspace]\nmembers = [\"plain\", \"ours\", \"peer\"]\nresolver = \"3\"\n",
    )?;
    // The versions that everything else here is measured with.
    fs::copy(here.join("Cargo.lock"), folder.join("Cargo.lock"))?;
    // Named, or a dependency's own toolchain file would count.
    let toolchain = "rust-toolchain.toml";
    fs::copy(here.with_file_name(toolchain), folder.join(toolchain))?;
    let runtime = here.with_file_name("cache-runtime");
    for name in CRATES {
        let dependency = match name {
            "ours" => format!("cache-runtime = {{ path = {:?} }}\n", runtime.display()),
            "peer" => "cached = { version = \"4.1\", features = [\"redis_tokio\"] }\n".to_owned(),
            _ => String::new(),
        };
        let manifest = format!(
            "[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\
             [dependencies]\nserde = {{ version = \"1\", features = [\"derive\"] }}\n{dependency}"
        );
        fs::create_dir_all(folder.join(name).join("src"))?;
        fs::write(folder.join(name).join("Cargo.toml"), manifest)?;
        fs::write(folder.join(name).join("src/lib.rs"), source(name))?;
    }
    Ok(())
}

fn cargo(folder: &Path) -> Command {
    let mut cargo = Command::new("cargo");
    cargo.current_dir(folder).env("CARGO_TARGET_DIR", folder.join("target"));
    cargo.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    cargo
}

/// How long one crate takes alone.
fn alone(folder: &Path, verb: &str, name: &str) -> Duration {
    let source = fs::File::options().write(true).open(folder.join(name).join("src/lib.rs"));
    let touched = source.and_then(|source| source.set_modified(SystemTime::now()));
    touched.expect("the source is ours");
    let begun = Instant::now();
    let mut cargo = cargo(folder);
    cargo.args([verb, "--offline", "-j2", "-p", name]).stderr(Stdio::piped());
    let done = cargo.output().expect("cargo runs");
    let took = begun.elapsed();
    assert!(done.status.success(), "{name}: {}", String::from_utf8_lossy(&done.stderr));
    took
}

/// Lines that the compiler reads once the attributes have been expanded, as rustfmt lays them out.
fn lines(folder: &Path, name: &str) -> f64 {
    let expanded = cargo(folder)
        .env("RUSTC_BOOTSTRAP", "1")
        .args(["rustc", "--offline", "-j2", "-p", name, "--", "-Zunpretty=expanded"])
        .stdout(Stdio::piped())
        .output()
        .expect("cargo runs");
    let file = folder.join(format!("{name}.rs"));
    fs::write(&file, expanded.stdout).expect("the folder is ours");
    let formatted =
        Command::new("rustfmt").current_dir(folder).args(["--edition", "2024"]).arg(&file).status();
    if !formatted.is_ok_and(|status| status.success()) {
        return f64::NAN;
    }
    fs::read_to_string(file).map_or(f64::NAN, |text| text.lines().count() as f64)
}

pub fn compile(rounds: usize) -> Vec<Target> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let folder = folder.path();
    write(folder).expect("the folder is ours");
    let mut middles = Vec::new();
    for verb in ["check", "build"] {
        for name in CRATES {
            alone(folder, verb, name);
        }
        let mut took = CRATES.map(|_| Vec::new());
        for _ in 0..rounds {
            for (name, took) in CRATES.iter().zip(&mut took) {
                took.push(alone(folder, verb, name).as_secs_f64());
            }
        }
        middles.push(took.map(median));
    }
    let lines = CRATES.map(|name| lines(folder, name));
    title(
        "Compiling 200 annotated functions",
        "The crate alone, dev profile, its dependencies built before; lines once expanded and \
         formatted. For each function, that of the plain ones subtracted.",
    );
    let each = |values: &[f64; 3], place: usize| (values[place] - values[0]) / FUNCTIONS as f64;
    let rows: Vec<_> = ["plain functions", "ours", "cached, Redis"]
        .iter()
        .enumerate()
        .map(|(place, name)| {
            let mut row = vec![(*name).to_owned()];
            for values in &middles {
                row.extend([time(values[place]), time(each(values, place))]);
            }
            row.extend([count(lines[place]), count(each(&lines, place))]);
            row
        })
        .collect();
    let header = ["crate", "check", "each", "build", "each", "lines", "each"];
    table(&header, &rows);
    ["compile time of a function, cargo check", "compile time of a function, cargo build"]
        .into_iter()
        .zip(&middles)
        .map(|(work, values)| {
            Target::at_most(work, 0.5, "x cached", each(values, 1) / each(values, 2))
        })
        .collect()
}
