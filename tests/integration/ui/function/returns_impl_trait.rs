use cache_runtime::cache_result;

#[cache_result]
async fn numbers(id: u64) -> impl Iterator<Item = u64> {
    0..id
}

fn main() {}
