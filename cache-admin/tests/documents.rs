//! The documents say what the router does.

use std::fs;
use std::path::Path;

use cache_admin::ENDPOINTS;

#[test]
fn the_table_of_routes_is_that_of_the_router() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/operations.md");
    let text = fs::read_to_string(file).expect("the document is there");
    let rows: Vec<_> = text
        .lines()
        .filter(|line| line.starts_with("| GET | ") || line.starts_with("| POST | "))
        .collect();
    let expected: Vec<_> = ENDPOINTS
        .iter()
        .map(|one| format!("| {} | `{}` | `{}` | {} |", one.method, one.path, one.role, one.about))
        .collect();
    assert_eq!(rows, expected);
}
