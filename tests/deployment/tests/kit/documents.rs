//! Files of the kit that say something else than the code or each other.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use crate::operator::Kit;
use cache_runtime::Config;
use deployment::{generated, read, root, yaml};
use serde_json::Value;

/// The variables of `.env.example` with their values, in the order of the file.
fn example() -> Vec<(String, String)> {
    let text = read("deploy/.env.example");
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with("# "));
    let variables = lines.map(|line| {
        let line = line.strip_prefix('#').unwrap_or_else(|| panic!("commented out: {line}"));
        let (name, value) = line.split_once('=').unwrap_or_else(|| panic!("a variable: {line}"));
        (name.to_owned(), value.to_owned())
    });
    variables.collect()
}

/// Every variable that the code asks for, over all forms of the settings.
fn asked() -> BTreeSet<String> {
    let asked = RefCell::new(BTreeSet::new());
    for set in [
        ("REDIS_URL", "rediss+sentinel://h:1/m"),
        ("REDIS_HOST", "h"),
        ("REDIS_ENABLED", "true"),
        ("NOTHING", ""),
    ] {
        let config = Config::from_lookup(|name| {
            asked.borrow_mut().insert(name.to_owned());
            (name == set.0).then(|| set.1.to_owned())
        });
        config.unwrap_or_else(|error| panic!("{set:?}: {error}"));
    }
    asked.into_inner()
}

/// The variables of the README's table, with their defaults as numbers and words.
fn documented() -> BTreeMap<String, Option<String>> {
    let text = read("README.md");
    let (_, section) = text.split_once("\n## Configuration\n").expect("a section");
    let section = section.split("\n## ").next().expect("its text");
    let mut all = BTreeMap::new();
    for row in section.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let names: Vec<&str> = cells[0].split('`').skip(1).step_by(2).collect();
        let defaults: Vec<&str> =
            cells[1].split(',').map(|value| value.trim().trim_matches('`')).collect();
        for (index, name) in names.iter().enumerate() {
            // A row of several variables has as many defaults, or words for all of them.
            let default = (defaults.len() == names.len()).then(|| defaults[index]);
            let default = default.filter(|value| !value.is_empty() && !value.contains(' '));
            all.insert((*name).to_owned(), default.map(str::to_owned));
        }
    }
    all
}

#[test]
fn the_example_of_an_environment_has_every_variable_of_the_code_and_the_readme() {
    let example = example();
    let names: BTreeSet<String> = example.iter().map(|(name, _)| name.clone()).collect();
    assert_eq!(names.len(), example.len(), "a variable is there twice");
    assert_eq!(names, asked());
    let documented = documented();
    assert_eq!(names, documented.keys().cloned().collect());
    for (name, value) in &example {
        if let Some(default) = &documented[name] {
            assert_eq!(value, default, "{name}");
        }
    }
}

#[test]
fn the_example_has_the_defaults_of_the_code() {
    let example: BTreeMap<String, String> = example().into_iter().collect();
    // The address is another for everybody; what is a default without one is compared below.
    let shown = |lookup: &dyn Fn(&str) -> Option<String>| {
        let config = Config::from_lookup(|name| match name {
            "REDIS_HOST" => Some("h".to_owned()),
            other => lookup(other),
        });
        format!("{:?}", config.expect("settings that are right"))
    };
    let with_it = shown(&|name| example.get(name).cloned());
    assert_eq!(with_it, shown(&|_| None));
    for (name, value) in example.iter().filter(|(_, value)| !value.is_empty()) {
        let another = shown(&|asked| (asked == name).then(|| another(value)));
        assert_ne!(another, with_it, "{name} is read");
    }
}

/// A value that is allowed where this one is.
fn another(value: &str) -> String {
    value.parse::<u32>().map_or_else(|_| format!("{value}-2"), |number| (number + 1).to_string())
}

#[test]
fn what_is_generated_is_up_to_date() {
    for (path, expected) in generated() {
        let found = std::fs::read_to_string(root().join(path)).unwrap_or_default();
        // Not the text of JSON: the order of its fields depends on features of serde_json.
        let parsed = |text: &str| serde_json::from_str::<Value>(text).ok();
        let same =
            found == expected || parsed(&found).is_some_and(|json| Some(json) == parsed(&expected));
        assert!(same, "{path} is out of date: cargo run -p deployment");
    }
    let [rules] =
        <[Value; 1]>::try_from(yaml("deploy/prometheus/alerts.yaml")).expect("one document");
    let [resource] = <[Value; 1]>::try_from(yaml("deploy/kubernetes/prometheus-rule.yaml"))
        .expect("one document");
    assert_eq!(resource["kind"], "PrometheusRule");
    assert_eq!(resource["spec"]["groups"], rules["groups"]);
}

fn texts(value: &Value) -> Vec<String> {
    let list = value.as_array().map(Vec::as_slice).unwrap_or_default();
    list.iter().map(|text| text.as_str().expect("text").to_owned()).collect()
}

/// The one document of a file.
fn document(path: &str) -> Value {
    yaml(path).pop().expect("a document")
}

#[test]
fn the_compose_files_name_what_is_there_and_publish_nothing() {
    let kit = Kit::new();
    let deploy = root().join("deploy");
    let compose = document("deploy/compose.yaml");
    let secrets = compose["secrets"].as_object().expect("secrets");
    for (name, secret) in secrets {
        assert_eq!(secret["file"], format!("secrets/{name}"));
        assert!(kit.secret(name).is_file(), "{name} is not made by deploy/prepare");
    }
    let services = compose["services"].as_object().expect("services");
    let names: Vec<&str> = services.keys().map(String::as_str).collect();
    assert_eq!(names, ["grafana", "prometheus", "property_api", "redis", "redis_exporter"]);
    for (name, service) in services {
        if let Some(image) = service["image"].as_str() {
            let (_, version) = image.split_once(':').expect("a version");
            let pinned = version.trim_start_matches('v').split(['.', '-']).take(3);
            assert!(
                pinned.clone().count() == 3
                    && pinned.clone().all(|part| part.parse::<u32>().is_ok()),
                "{image}"
            );
        }
        for port in texts(&service["ports"]) {
            assert!(port.starts_with("127.0.0.1:"), "{name} is published: {port}");
        }
        for mount in texts(&service["volumes"]) {
            let source = mount.split(':').next().expect("a source");
            if let Some(path) = source.strip_prefix("./") {
                assert!(deploy.join(path).exists() && mount.ends_with(":ro"), "{name}: {mount}");
            } else {
                assert!(compose["volumes"].get(source).is_some(), "{name}: {mount}");
            }
        }
        let given = texts(&service["secrets"]);
        assert!(given.iter().all(|secret| secrets.contains_key(secret)), "{name}: {given:?}");
        // A path of a secret in the environment is one that the service is given.
        let environment = service["environment"].as_object();
        for (variable, value) in environment.into_iter().flatten() {
            if let Some(secret) = value.as_str().and_then(|path| path.strip_prefix("/run/secrets/"))
            {
                assert!(given.iter().any(|name| name == secret), "{name}: {variable}");
            }
            let secret = ["PASSWORD", "TOKEN", "SECRET"].iter().any(|word| variable.contains(word));
            assert!(
                !secret || variable.ends_with("_FILE"),
                "{name}: {variable} is a secret in the open"
            );
        }
    }
    let commands = [&compose, &document("deploy/compose.persistent.yaml")]
        .map(|file| texts(&file["services"]["redis"]["command"]));
    for command in commands {
        assert!(deploy.join("redis").join(&command[1]).is_file(), "{command:?}");
    }
    assert!(read("deploy/redis/redis.conf").contains("\naclfile /run/secrets/users.acl\n"));
    assert!(read("deploy/prometheus/prometheus.yml").contains("/run/secrets/cache-view.password"));
    // The user `monitor` may not read settings, and the exporter does not ask for them.
    let exporter = &services["redis_exporter"]["environment"];
    assert_eq!(exporter["REDIS_EXPORTER_CONFIG_COMMAND"], "-");
    let build = &services["property_api"]["build"];
    assert!(root().join(build["dockerfile"].as_str().expect("a file")).is_file());
}

#[test]
fn the_image_is_built_by_the_compiler_of_the_repository_with_every_member() {
    let toolchain = read("rust-toolchain.toml");
    let channel =
        toolchain.lines().find_map(|line| line.strip_prefix("channel = ")).expect("a channel");
    let file = read("deploy/property_api.Dockerfile");
    assert!(file.contains(&format!("FROM rust:{}-", channel.trim_matches('"'))), "{file}");
    // Without authorities no certificate of a managed server is taken.
    let (_, image) = file.split_once("\nFROM debian:").expect("an image");
    assert!(image.contains("install --yes --no-install-recommends ca-certificates"), "{image}");
    let manifest = read("Cargo.toml");
    let (_, members) = manifest.split_once("members = [").expect("members");
    let (members, _) = members.split_once(']').expect("an end");
    let ignore = read("deploy/property_api.Dockerfile.dockerignore");
    for member in members.split('"').skip(1).step_by(2) {
        let folder = member.split('/').next().expect("a folder");
        assert!(ignore.lines().any(|line| line == format!("!{folder}")), "{member} is left out");
    }
}

#[test]
fn probes_do_not_depend_on_redis_and_variables_are_known() {
    let documents = yaml("deploy/kubernetes/property-api.yaml");
    let of_kind =
        |kind: &str| documents.iter().find(|one| one["kind"] == kind).expect("a resource");
    let known: BTreeSet<String> = example().into_iter().map(|(name, _)| name).collect();
    let service = read("examples/property_api/src/admin.rs");
    for variable in of_kind("ConfigMap")["data"].as_object().expect("variables").keys() {
        let of_service = variable
            .strip_suffix("_FILE")
            .is_some_and(|name| service.contains(&format!("(\"{name}\", Role::")));
        assert!(known.contains(variable) || of_service, "{variable} is not read");
    }
    let url = &of_kind("ConfigMap")["data"]["REDIS_URL"];
    assert!(url.as_str().is_some_and(|url| url.starts_with("rediss://")), "{url} is without TLS");
    let pod = &of_kind("Deployment")["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
        assert_eq!(container[probe]["httpGet"]["path"], "/health", "{probe}");
    }
    // A test of the example shows that it answers 200 without Redis.
    assert!(read("examples/property_api/src/api.rs").contains("\"/health\""));
    assert_eq!(pod["enableServiceLinks"], false);
    let monitor = &of_kind("PodMonitor")["spec"]["podMetricsEndpoints"][0];
    let prometheus = document("deploy/prometheus/prometheus.yml");
    let job = &prometheus["scrape_configs"][0];
    assert_eq!(monitor["path"], job["metrics_path"]);
    assert_eq!(monitor["relabelings"][0]["replacement"], job["job_name"]);
}
