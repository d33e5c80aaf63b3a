use cache_runtime::cache_result;

#[cache_result(skip(page), key = "{kind}")]
async fn areas(kind: String, page: u64) -> u64 {
    kind.len() as u64 + page
}

fn main() {}
