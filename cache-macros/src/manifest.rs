//! The user's Cargo.toml: whether it renames the runtime. The compiler would report only that the
//! crate `cache_runtime` is missing.

use std::path::Path;

/// The message for a package whose manifest gives the runtime another name.
pub(crate) fn renamed_runtime() -> Option<String> {
    let folder = std::env::var_os("CARGO_MANIFEST_DIR")?;
    let manifest = std::fs::read_to_string(Path::new(&folder).join("Cargo.toml")).ok()?;
    let name = new_name(&manifest)?.replace('-', "_");
    Some(format!("`cache-runtime` is called `{name}` in Cargo.toml; write `crate = \"::{name}\"`"))
}

/// The name that a manifest gives to the runtime; `None` if the manifest also lists the runtime under
/// its own name.
///
/// Scans lines instead of parsing TOML, which would cost a dependency in every user's build.
fn new_name(manifest: &str) -> Option<String> {
    let (mut table, mut found) = ("", None);
    for line in manifest.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
        if let Some(header) = line.strip_prefix('[') {
            // `[dependencies.name]`
            let header = header.trim_end_matches(']');
            table = header.rsplit_once("dependencies.").map_or("", |(_, name)| name);
        }
        let (key, value) = line.split_once('=').unwrap_or((line, ""));
        let (key, rest) = key.trim().split_once('.').unwrap_or((key.trim(), ""));
        if [key, table].iter().any(|name| is_ours(name)) {
            return None;
        }
        // `name = { package = ".." }`, `name.package = ".."`, or `package = ".."` in its table
        let inline = value.split_once("package").and_then(|(_, value)| value.split_once('='));
        match (key, rest) {
            ("package", "") if is_ours(value) => found = Some(table),
            (name, "package") if is_ours(value) => found = Some(name),
            (name, "") if inline.is_some_and(|(_, package)| begins_with_ours(package)) => {
                found = Some(name);
            }
            _ => {}
        }
    }
    found.filter(|name| !name.is_empty()).map(|name| name.trim_matches('"').to_owned())
}

fn is_ours(name: &str) -> bool {
    ["cache-runtime", "cache_runtime"].contains(&name.trim().trim_matches('"'))
}

fn begins_with_ours(value: &str) -> bool {
    value.split([',', '}']).next().is_some_and(is_ours)
}

#[cfg(test)]
mod tests {
    use super::new_name;

    #[test]
    fn a_new_name_is_found_unless_the_old_one_is_there_too() {
        for (manifest, expected) in [
            (
                "[dependencies]\ncached = { package = \"cache-runtime\", version = \"1\" }",
                Some("cached"),
            ),
            (
                "[dependencies]\ncached = { version = \"1\", package=\"cache-runtime\" }",
                Some("cached"),
            ),
            (
                "[dependencies.my-cache]\nversion = \"1\"\npackage = \"cache-runtime\"",
                Some("my-cache"),
            ),
            ("[target.x.dependencies]\ncached.package = \"cache-runtime\"", Some("cached")),
            ("[dependencies]\ncache-runtime = \"1\"", None),
            ("[dependencies]\ncache-runtime.workspace = true", None),
            ("[dependencies.cache-runtime]\nversion = \"1\"", None),
            ("[dependencies]\ncache_runtime = { package = \"cache-runtime\" }", None),
            (
                "[dependencies]\ncached = { package = \"cache-runtime\" }\n[dev-dependencies]\ncache-runtime = \"1\"",
                None,
            ),
            ("[package]\nname = \"cache-runtime\"", None),
            ("[dependencies]\ncached = { package = \"cache-runtime-2\" }", None),
            ("[dependencies]\n# cached = { package = \"cache-runtime\" }", None),
            ("", None),
        ] {
            assert_eq!(new_name(manifest).as_deref(), expected, "{manifest}");
        }
    }
}
