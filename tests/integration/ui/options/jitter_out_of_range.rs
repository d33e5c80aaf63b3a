use cache_runtime::cache_result;

#[cache_result(jitter = 1.5)]
async fn above(id: u64) -> u64 {
    id
}

#[cache_result(jitter = -0.1)]
async fn below(id: u64) -> u64 {
    id
}

#[cache_result(jitter = "10%")]
async fn text(id: u64) -> u64 {
    id
}

fn main() {}
