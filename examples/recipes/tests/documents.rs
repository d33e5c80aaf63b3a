//! What `docs/recipes.md` shows is the code that is compiled and tested here.

use std::fs;
use std::path::Path;

const DOCUMENT: &str = "docs/recipes.md";

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All sources under a folder.
fn sources(folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|is| is == "rs") {
            found.push(dedented(&read(&path)));
        }
    }
}

/// Without blanks at the beginnings of lines: a document shows a test outside its module.
fn dedented(text: &str) -> String {
    let lines = text.lines().map(str::trim_start).filter(|line| !line.starts_with("///"));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn every_block_is_part_of_what_is_compiled() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut found = Vec::new();
    for folder in ["examples/recipes/src", "examples/reexport/src"] {
        sources(&root.join(folder), &mut found);
    }
    let document = read(&root.join(DOCUMENT));
    let mut blocks = 0;
    // What is between fences; the odd parts are blocks.
    for block in document.split("```").skip(1).step_by(2) {
        let (language, code) = block.split_once('\n').expect("a block of lines");
        if language == "rust" {
            blocks += 1;
            let code = dedented(code.trim_end());
            let is_there = found.iter().any(|source| source.contains(&code));
            assert!(is_there, "{DOCUMENT} shows what no source has:\n{code}");
        }
    }
    assert!(blocks >= 9, "{blocks} blocks");
}
