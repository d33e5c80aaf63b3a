use cache_runtime::cache_result;

#[cache_result(ttl = "300")]
async fn areas(id: u64) -> u64 {
    id
}

fn main() {}
