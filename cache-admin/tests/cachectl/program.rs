//! Runs of the program.

use assert_cmd::Command;
use serde_json::Value;

/// A run of `cachectl` in an environment of these variables alone.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    /// What a check has found.
    pub(crate) fn check(&self, id: &str) -> Value {
        let json = self.json();
        let checks = json["checks"].as_array().expect("checks");
        checks
            .iter()
            .find(|check| check["id"] == id)
            .unwrap_or_else(|| panic!("{id}: {self:?}"))
            .clone()
    }

    pub(crate) fn verdict(&self, id: &str) -> String {
        self.check(id)["verdict"].as_str().expect("a word").to_owned()
    }

    pub(crate) fn observed(&self, id: &str) -> String {
        self.check(id)["observed"].as_str().expect("a sentence").to_owned()
    }
}

/// Runs the program with words that are separated by blanks, without holding up the runtime of the test, which may
/// serve a proxy.
pub(crate) async fn run(environment: &[(&str, &str)], words: &str) -> Run {
    let environment: Vec<_> =
        environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let words: Vec<_> = words.split_whitespace().map(str::to_owned).collect();
    let ran = tokio::task::spawn_blocking(move || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cachectl"));
        command.env_clear().envs(environment).args(words);
        command.output().expect("it runs")
    });
    let output = ran.await.expect("it runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    Run {
        code: output.status.code().expect("it was not killed"),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    }
}
