use cache_runtime::{cache_invalidate, cache_result};

#[cache_result]
#[cache_invalidate(prefix = "areas")]
async fn cached_first(id: u64) -> u64 {
    id
}

#[cache_invalidate(prefix = "areas")]
#[cache_result]
async fn writing_first(id: u64) -> u64 {
    id
}

#[cache_invalidate(prefix = "areas")]
#[cache_invalidate(prefix = "users")]
async fn writing_twice(id: u64) -> u64 {
    id
}

fn main() {
    drop(cached_first(1));
    drop(writing_first(1));
    drop(writing_twice(1));
}
