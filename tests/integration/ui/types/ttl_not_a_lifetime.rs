use cache_runtime::cache_result;

#[cache_result(ttl = |hours| *hours)]
async fn by_value(id: u64) -> f32 {
    id as f32
}

#[cache_result(ttl = hours)]
async fn by_argument(id: u64, hours: f32) -> u64 {
    drop(hours);
    id
}

fn main() {}
