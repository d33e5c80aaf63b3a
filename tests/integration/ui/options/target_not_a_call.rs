use cache_runtime::{cache_invalidate, cache_result};

#[cache_result]
async fn areas(kind: String) -> u64 {
    kind.len() as u64
}

#[cache_invalidate(areas, areas(kind.clone()).await, "areas")]
async fn not_calls(kind: String) {
    drop(kind);
}

#[cache_invalidate(
    areas(kind.parse::<u64>()?.to_string()),
    areas(other(&kind).await),
    |size| areas(return size)
)]
async fn leaves(kind: String) -> Result<String, std::num::ParseIntError> {
    Ok(kind)
}

async fn other(kind: &str) -> String {
    kind.to_owned()
}

#[cache_invalidate(|a, b| areas(a + b), prefix, prefix = "", tag = "")]
async fn wrong_values(kind: String) -> String {
    kind
}

fn main() {
    drop(areas(String::new()));
}
