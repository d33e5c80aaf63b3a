use cache_runtime::cache_result;

#[cache_result]
async fn areas(kind: u64, filter: impl Fn(u64) -> bool) -> bool {
    filter(kind)
}

fn main() {}
