use cache_runtime::cache_result;

#[cache_result(local = "10m", ttl = "5m")]
async fn text(id: u64) -> u64 {
    id
}

#[cache_result(ttl = 300, local = 301)]
async fn number(id: u64) -> u64 {
    id
}

fn main() {}
