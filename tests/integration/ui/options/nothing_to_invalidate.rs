use cache_runtime::cache_invalidate;

#[cache_invalidate]
async fn bare(id: u64) -> u64 {
    id
}

#[cache_invalidate(cache = self.cache)]
async fn only_a_cache(id: u64) -> u64 {
    id
}

fn main() {}
