//! `cachectl doctor` about the servers of `deploy/`, with the logins that `deploy/prepare` makes.

use std::path::Path;
use std::process::Command;

use support::Node;
use tempfile::TempDir;

use crate::program::{Run, run};

/// A server by one of the kit's files, and what `doctor` says of it.
async fn diagnosed(file: &str) -> Run {
    let kit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy");
    let folder = TempDir::new().expect("a temporary folder");
    let secrets = folder.path().join("secrets");
    let prepared = Command::new(kit.join("prepare")).arg(&secrets).output().expect("it runs");
    assert!(prepared.status.success(), "{prepared:?}");
    // Copies, since a server may write to its settings; of all, since they include each other.
    for settings in std::fs::read_dir(kit.join("redis")).expect("the kit has a folder") {
        let settings = settings.expect("a file").path();
        if settings.extension().is_some_and(|extension| extension == "conf") {
            let name = settings.file_name().expect("a name");
            std::fs::copy(&settings, folder.path().join(name)).expect("a file can be copied");
        }
    }
    let settings = folder.path().join(file);
    let password = |user: &str| {
        let file = secrets.join(format!("{user}.password"));
        std::fs::read_to_string(file).expect("deploy/prepare has made it")
    };
    let users = path(&secrets.join("users.acl"));
    let server =
        Node::from_file(&settings, &["--aclfile", &users], ["admin", &password("admin")]).await;
    let url = format!("redis://{}", server.address());
    let (password_file, operator) = (path(&secrets.join("app.password")), password("admin"));
    let environment = [
        ("REDIS_URL", url.as_str()),
        ("REDIS_USERNAME", "app"),
        ("REDIS_PASSWORD_FILE", password_file.as_str()),
        ("CACHECTL_REDIS_USERNAME", "admin"),
        ("CACHECTL_REDIS_PASSWORD", operator.as_str()),
    ];
    run(&environment, "doctor --json").await
}

fn path(path: &Path) -> String {
    path.to_str().expect("a path in UTF-8").to_owned()
}

/// The checks with a warning or an error, but for the round trips, which a busy machine makes slow.
fn complaints(run: &Run) -> Vec<String> {
    let json = run.json();
    let checks = json["checks"].as_array().expect("checks").iter();
    let bad = checks.filter(|check| {
        let verdict = check["verdict"].as_str().expect("a word");
        check["id"] != "latency" && !["ok", "info", "skipped"].contains(&verdict)
    });
    bad.map(|check| check["id"].as_str().expect("an id").to_owned()).collect()
}

#[tokio::test]
async fn the_kit_has_nothing_to_complain_about() {
    let ran = diagnosed("redis.conf").await;
    assert_eq!(ran.json()["access"], "admin");
    assert_eq!(complaints(&ran), [""; 0], "{ran:?}");
}

#[tokio::test]
async fn the_kit_that_keeps_its_data_is_warned_about_for_that() {
    let ran = diagnosed("redis-persistent.conf").await;
    assert_eq!(complaints(&ran), ["persistence"], "{ran:?}");
}
