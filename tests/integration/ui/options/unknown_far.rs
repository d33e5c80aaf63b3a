use cache_runtime::cache_result;

#[cache_result(color = "red", ttl = 3600)]
async fn with_a_value(id: u64) -> u64 {
    id
}

#[cache_result(colors)]
async fn bare(id: u64) -> u64 {
    id
}

fn main() {}
