use cache_runtime::cache_result;

#[cache_result(ttl = 0)]
async fn zero(id: u64) -> u64 {
    id
}

#[cache_result(ttl = -5)]
async fn negative(id: u64) -> u64 {
    id
}

#[cache_result(ttl = "0s")]
async fn text(id: u64) -> u64 {
    id
}

#[cache_result(none_ttl = 0)]
async fn none(id: u64) -> Option<u64> {
    Some(id)
}

fn main() {}
