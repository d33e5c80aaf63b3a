use cache_runtime::cache_result;

#[cache_result(key = "all")]
async fn template(kind: String, page: u64) -> u64 {
    kind.len() as u64 + page
}

#[cache_result(key = (1, "all"))]
async fn values(id: u64) -> u64 {
    id
}

fn main() {}
