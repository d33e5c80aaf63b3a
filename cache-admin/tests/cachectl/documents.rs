//! The section "cachectl" of docs/operations.md tells of the program as it is.

use std::path::Path;

use crate::program::run;

/// The section, to the next one of its level.
fn section() -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/operations.md");
    let text = std::fs::read_to_string(file).expect("the document is there");
    let (_, section) = text.split_once("\n## cachectl\n").expect("the section is there");
    section.split("\n## ").next().expect("its text").to_owned()
}

#[tokio::test]
async fn the_table_of_checks_is_that_of_the_code() {
    let listed = run(&[], "doctor --list --json").await.json();
    let row = |check: &serde_json::Value| {
        let field = |name: &str| check[name].as_str().expect("text").to_owned();
        let id = field("id");
        format!(
            "| <a id=\"check-{id}\"></a>`{id}` | {} | {} | {} |",
            field("title"),
            field("expected"),
            field("why")
        )
    };
    let expected: Vec<_> = listed["checks"].as_array().expect("checks").iter().map(row).collect();
    assert_eq!(expected.len(), 30);
    let section = section();
    let rows: Vec<_> =
        section.lines().filter(|line| line.starts_with("| <a id=\"check-")).collect();
    assert_eq!(rows, expected, "the rows should be:\n{}", expected.join("\n"));
}

#[tokio::test]
async fn each_command_is_described() {
    let help = run(&[], "--help").await.stdout;
    let (_, commands) = help.split_once("Commands:\n").expect("a list of commands");
    let commands = commands.split("\n\n").next().expect("the list");
    let section = section();
    // Lines that go on are indented further.
    let names = commands.lines().filter_map(|line| line.strip_prefix("  "));
    let names = names.filter(|line| !line.starts_with(' '));
    for command in names.filter_map(|line| line.split_whitespace().next()) {
        assert!(
            command == "help" || section.contains(&format!("`{command}")),
            "{command} is not described"
        );
    }
}
