//! The files of the kit as an operator has them: with passwords, in a folder of the test's own.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use cache_runtime::{Cache, Config, Error};
use deployment::{read, root};
use support::{Node, configured, eventually, patient};
use tempfile::TempDir;

/// A copy of the settings, since servers write to them, and the files that `deploy/prepare` makes.
pub(crate) struct Kit {
    folder: TempDir,
}

impl Kit {
    pub(crate) fn new() -> Self {
        let kit = Self { folder: tempfile::tempdir().expect("a temporary folder") };
        kit.prepare();
        for file in std::fs::read_dir(root().join("deploy/redis")).expect("the kit has a folder") {
            let file = file.expect("a file").path();
            let name = text(file.file_name().expect("a name").as_ref()).to_owned();
            if file.extension().is_some_and(|extension| extension == "conf") {
                std::fs::copy(&file, kit.file(&name)).expect("a file can be copied");
            }
        }
        kit
    }

    /// The command that makes the passwords, and the files that contain them.
    pub(crate) fn preparation(&self) -> Command {
        let mut command = Command::new(root().join("deploy/prepare"));
        command.arg(self.secrets());
        command
    }

    /// Runs `deploy/prepare`, and returns the passwords that are there then.
    pub(crate) fn prepare(&self) -> Vec<String> {
        run(&mut self.preparation());
        let files = std::fs::read_dir(self.secrets())
            .expect("a folder")
            .map(|file| file.expect("a file").path());
        let mut passwords: Vec<PathBuf> =
            files.filter(|file| file.extension().is_some_and(|end| end == "password")).collect();
        passwords.sort();
        passwords.iter().map(|file| std::fs::read_to_string(file).expect("a password")).collect()
    }

    /// One of the files of settings.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn secrets(&self) -> PathBuf {
        self.file("secrets")
    }

    pub(crate) fn secret(&self, name: &str) -> PathBuf {
        self.secrets().join(name)
    }

    pub(crate) fn password(&self, user: &str) -> String {
        let file = self.secret(&format!("{user}.password"));
        std::fs::read_to_string(file).expect("deploy/prepare has made it")
    }

    /// Starts a server by one of the files, with the users of `acl`.
    pub(crate) async fn server(&self, file: &str, acl: &str, options: &[&str]) -> Node {
        let acl = self.secret(acl);
        let acl = ["--aclfile", acl.to_str().expect("a path in UTF-8")];
        let options = [&acl, options].concat();
        let password = self.password("admin");
        Node::from_file(&self.file(file), &options, ["admin", &password]).await
    }

    /// Starts a server by the first command with `mark` that docs/operations.md prints, with other words in
    /// `places`. Servers on one host have ports of their own.
    pub(crate) async fn printed_server(&self, mark: &str, places: &[(&str, &str)]) -> Node {
        let words = self.printed("redis-server", mark, places);
        let options: Vec<&str> = words[2..].iter().map(String::as_str).collect();
        let password = self.password("admin");
        Node::from_file(&self.file(&words[1]), &options, ["admin", &password]).await
    }

    /// The words of the first command of `program` with `mark` that docs/operations.md prints.
    pub(crate) fn printed(
        &self,
        program: &str,
        mark: &str,
        places: &[(&str, &str)],
    ) -> Vec<String> {
        let document = read("docs/operations.md").replace("\\\n", " ");
        let mut commands = document.lines().filter(|line| line.starts_with(program));
        let command = commands.find(|line| line.contains(mark));
        let mut command = command.unwrap_or_else(|| panic!("no {program} {mark}")).to_owned();
        let secrets = self.secrets();
        let of_the_kit = [("$secrets", text(&secrets)), ("PRIVATE_IP", "127.0.0.1")];
        for (place, value) in of_the_kit.iter().chain(places) {
            command = command.replace(place, value);
        }
        command.split_whitespace().map(str::to_owned).collect()
    }

    /// One server as compose.yaml has it.
    pub(crate) async fn redis(&self) -> Node {
        self.server("redis.conf", "users.acl", &[]).await
    }

    /// The settings of a service, as compose.yaml sets them.
    pub(crate) fn config(&self, url: &str) -> Result<Config, Error> {
        let file = self.secret("app.password");
        let file = file.to_str().expect("a path in UTF-8");
        let login = [
            ("REDIS_URL", url),
            ("REDIS_USERNAME", "app"),
            ("REDIS_PASSWORD_FILE", file),
            ("REDIS_SENTINEL_USERNAME", "app"),
            ("REDIS_SENTINEL_PASSWORD_FILE", file),
        ];
        configured(&login).map(patient)
    }

    /// The cache of such a service.
    pub(crate) async fn cache(&self, url: &str) -> Cache {
        let config = self.config(url).expect("settings that are right");
        // A server that has just come back may still be loading its data.
        let loaded = || async { Cache::connect(config.clone()).await.is_ok() };
        eventually("Redis answers", loaded).await;
        Cache::connect(config).await.expect("Redis answers")
    }

    /// The command that runs a script of `deploy/redis`, for this server.
    pub(crate) fn script(&self, name: &str, server: &Node) -> Command {
        let mut command = Command::new(root().join("deploy/redis").join(name));
        command
            .env("REDIS_PORT", server.port().to_string())
            .env("REDIS_ADMIN_PASSWORD_FILE", self.secret("admin.password"));
        command
    }
}

/// Runs a program that has to succeed.
pub(crate) fn run(command: &mut Command) -> String {
    let output = output(command);
    assert!(output.status.success(), "{command:?}: {}", said(&output));
    said(&output)
}

pub(crate) fn output(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

pub(crate) fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// The URL of a server, without a login.
pub(crate) fn url(server: &Node) -> String {
    format!("redis://{}", server.address())
}

/// A path as an argument.
pub(crate) fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}
