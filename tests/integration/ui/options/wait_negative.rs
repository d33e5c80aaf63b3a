use cache_runtime::cache_result;

#[cache_result(wait = -5)]
async fn number(id: u64) -> u64 {
    id
}

fn main() {}
