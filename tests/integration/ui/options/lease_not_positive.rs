use cache_runtime::cache_result;

#[cache_result(lease = 0)]
async fn number(id: u64) -> u64 {
    id
}

#[cache_result(lease = "0s")]
async fn text(id: u64) -> u64 {
    id
}

fn main() {}
