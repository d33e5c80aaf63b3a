use cache_runtime::{cache_invalidate, cache_result};

#[cache_result]
async fn areas(kind: String) -> usize {
    kind.len()
}

#[cache_invalidate(|_| areas(kind.clone()))]
async fn rename(kind: String) -> usize {
    kind.len()
}

fn main() {}
