use cache_runtime::cache_invalidate;

fn areas(id: u64) -> u64 {
    id
}

#[cache_invalidate(areas(id), |id| areas(*id))]
async fn rename(id: u64) -> u64 {
    id
}

fn main() {}
