use cache_runtime::cache_result;

use std::borrow::Cow;

#[cache_result]
async fn plain(kind: &str) -> &str {
    kind
}

#[cache_result]
async fn fixed(id: u64) -> &'static str {
    if id > 3 { "many" } else { "few" }
}

#[cache_result]
async fn in_a_result(kinds: &[u64]) -> Result<&[u64], String> {
    Ok(kinds)
}

#[cache_result]
async fn in_an_option<'a>(kind: &'a str) -> Option<Cow<'a, str>> {
    Some(kind.into())
}

#[cache_result]
async fn in_a_tuple(kind: &str) -> (u64, &str) {
    (3, kind)
}

fn main() {}
