use cache_runtime::cache_invalidate;

#[cache_invalidate(key = "{id}", tags = ["all"], prefx = "areas", ttl = 60)]
async fn words(id: u64) -> u64 {
    id
}

fn main() {}
