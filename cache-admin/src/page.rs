//! The page: one file without anything to load, and the policy that allows exactly its script and style.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

/// The page.
pub(crate) const PAGE: &str = include_str!("page/index.html");

/// The Content-Security-Policy of the page: its own script and style by their hashes, requests to its own
/// origin, and nothing else.
pub(crate) static POLICY: LazyLock<String> = LazyLock::new(|| {
    format!(
        "default-src 'none'; script-src {}; style-src {}; connect-src 'self'; img-src data:; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        hashes("script"),
        hashes("style"),
    )
});

/// The policy of every other answer.
pub(crate) const NOTHING: &str = "default-src 'none'; frame-ancestors 'none'";

/// The hashes of the texts of all elements of one name that have no attributes.
fn hashes(element: &str) -> String {
    let (open, close) = (format!("<{element}>"), format!("</{element}>"));
    let texts = PAGE.split(&open).skip(1).filter_map(|rest| rest.split(&close).next());
    let hashes: Vec<_> = texts
        .map(|text| format!("'sha256-{}'", STANDARD.encode(Sha256::digest(text.as_bytes()))))
        .collect();
    hashes.join(" ")
}
